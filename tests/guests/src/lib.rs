//! Code that the guests share. Each guest is an example in `examples/`, built for wasm by `cargo
//! xtask build-guests` into `target/guests/<name>.wasm`; the tests of the expected behaviour are in
//! `host/policy-engine/tests/hostile/`.
//!
//! To add one: write `examples/<name>.rs`, name it in `Cargo.toml`, test it there.

pub use policy_sdk::prelude::*;

/// A policy that hears and sees everything.
pub fn descriptor(name: &str) -> Descriptor {
    Descriptor::new(name, "1.0.0", "A guest of the engine's tests.")
        .hears(ActionSet::ALL)
        .needs(Sections::all())
}

/// Builds a module from a name and a function from a context to a verdict.
#[macro_export]
macro_rules! guest {
    ($name:literal, $evaluate:expr) => {
        struct Guest;

        impl policy_sdk::Policy for Guest {
            type Operator = ();
            type Owner = ();

            fn describe() -> policy_sdk::Descriptor {
                $crate::descriptor($name)
            }

            fn evaluate(_: &(), _: &(), context: &policy_sdk::Context) -> policy_sdk::Verdict {
                let evaluate: fn(&policy_sdk::Context) -> policy_sdk::Verdict = $evaluate;
                evaluate(context)
            }
        }

        policy_sdk::export!(Guest);
    };
}
