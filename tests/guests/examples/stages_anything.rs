//! Stages every action, which only makes sense for an upload.

guests::guest!("stages-anything", |_| policy_sdk::stage(
    policy_sdk::Reason::new("held-back", "It is held back.")
));
