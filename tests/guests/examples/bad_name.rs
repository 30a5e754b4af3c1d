//! Has a name that would forge a line in a log.

guests::guest!("evil\nINFO all is well", |_| policy_sdk::permit());
