//! Behaves well: permits everything.

guests::guest!("permit-all", |_| policy_sdk::permit());
