//! Wants the clock and the files of its host.

#[allow(unsafe_code, clippy::all, reason = "generated")]
mod bindings {
    wit_bindgen::generate!({
        inline: "
            package portcullis:curious;
            world curious {
                import wasi:clocks/wall-clock@0.2.0;
                import wasi:filesystem/preopens@0.2.0;
            }
            package wasi:clocks@0.2.0 {
                interface wall-clock { now: func() -> u64; }
            }
            package wasi:filesystem@0.2.0 {
                interface preopens { get-directories: func() -> list<string>; }
            }
        ",
        world: "curious",
        generate_all,
    });
}

guests::guest!("imports-wasi", |_| {
    let found = bindings::wasi::clocks::wall_clock::now() > 0
        && bindings::wasi::filesystem::preopens::get_directories().is_empty();
    if found {
        policy_sdk::permit()
    } else {
        policy_sdk::abstain()
    }
});
