//! Answers with a message of a megabyte.

guests::guest!("huge-output", |_| policy_sdk::deny(
    policy_sdk::Reason::new("huge", "x".repeat(1 << 20))
));
