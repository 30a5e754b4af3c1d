//! Calls itself until it overflows.
#![cfg_attr(
    not(target_arch = "wasm32"),
    allow(dead_code, reason = "only the exports for wasm use it")
)]

guests::guest!(
    "endless-recursion",
    |context| match dig(std::hint::black_box(context.now)) {
        0 => policy_sdk::deny(policy_sdk::Reason::new("bottom", "There was a bottom.")),
        _ => policy_sdk::permit(),
    }
);

#[inline(never)]
fn dig(depth: u64) -> u64 {
    if std::hint::black_box(depth) == u64::MAX {
        0
    } else {
        std::hint::black_box(dig(std::hint::black_box(depth.wrapping_add(1))) | 1)
    }
}
