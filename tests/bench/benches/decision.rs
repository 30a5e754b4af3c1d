// `cargo bench --package bench`: the same program as `cargo xtask bench decision`, which
// builds the policy modules first.
include!("../src/bin/decision.rs");
