//! The bindings that the SDK carries are those that wit-bindgen makes of `wit/policy.wit`.
//!
//! They are committed so that nobody who builds a policy, or starts a registry for the first
//! time, builds a parser of WIT before. Written anew by `cargo xtask bindings`.

use std::fs;

use wit_bindgen_core::wit_parser::Resolve;
use wit_bindgen_core::{Files, WorldGenerator as _};
use wit_bindgen_rust::Opts;

use super::workspace;

const HEADER: &str =
    "// Generated from wit/policy.wit by `cargo xtask bindings`; not to be edited.\n\n";

fn generated() -> String {
    let mut resolve = Resolve::default();
    let (package, _) = resolve
        .push_dir(workspace().join("wit"))
        .expect("the contract is well-formed");
    let world = resolve
        .select_world(&[package], Some("policy-module"))
        .expect("the contract has a world");
    let options = Opts {
        format: true,
        additional_derive_attributes: ["PartialEq", "Eq"].map(str::to_owned).into(),
        pub_export_macro: true,
        export_macro_name: Some("export_policy_module".to_owned()),
        default_bindings_module: Some("policy_sdk::bindings".to_owned()),
        disable_run_ctors_once_workaround: true,
        ..Opts::default()
    };
    let mut files = Files::default();
    options
        .build()
        .generate(&mut resolve, world, &mut files)
        .expect("bindings can be generated");
    let (_, source) = files.iter().next().expect("a file was generated");
    format!("{HEADER}{}", String::from_utf8_lossy(source))
}

#[test]
fn the_committed_bindings_are_those_of_the_contract() {
    let path = workspace().join("plugins/policy-sdk/src/bindings.rs");
    let generated = generated();
    if std::env::var_os("UPDATE_TABLES").is_some() {
        fs::write(&path, generated).expect("the bindings can be written");
        return;
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let differing = committed
        .lines()
        .zip(generated.lines())
        .find(|(old, new)| old != new);
    assert!(
        committed == generated,
        "{} is out of date: run `cargo xtask bindings`\nfirst: {differing:#?}",
        path.display()
    );
}
