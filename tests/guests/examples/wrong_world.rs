//! A valid component of another world.
#![allow(unreachable_pub, unsafe_code, reason = "generated")]

#[allow(clippy::all, reason = "generated")]
mod bindings {
    wit_bindgen::generate!({
        inline: "
            package elsewhere:greeter@1.0.0;
            interface greeter { greet: func(name: string) -> string; }
            world greeting { export greeter; }
        ",
        world: "greeting",
        pub_export_macro: true,
    });
}

#[cfg_attr(
    not(target_arch = "wasm32"),
    allow(dead_code, reason = "only the exports for wasm use it")
)]
struct Greeter;

impl bindings::exports::elsewhere::greeter::greeter::Guest for Greeter {
    fn greet(name: String) -> String {
        format!("hello {name}")
    }
}

#[cfg(target_arch = "wasm32")]
bindings::export!(Greeter with_types_in bindings);
