//! Permits its first call and refuses every later one that sees the first one's state.
#![cfg_attr(
    not(target_arch = "wasm32"),
    allow(dead_code, reason = "only the exports for wasm use it")
)]

use std::sync::atomic::{AtomicU64, Ordering};

static CALLS: AtomicU64 = AtomicU64::new(0);

guests::guest!(
    "keeps-state",
    |_| match CALLS.fetch_add(1, Ordering::Relaxed) {
        0 => policy_sdk::permit(),
        calls => policy_sdk::deny(policy_sdk::Reason::new(
            "seen-before",
            format!("This sandbox was used {calls} times before.")
        )),
    }
);
