//! Never finishes describing itself.
#![cfg_attr(
    not(target_arch = "wasm32"),
    allow(dead_code, reason = "only the exports for wasm use it")
)]

use policy_sdk::{Context, Descriptor, SettingError, SettingValue, Verdict};

struct Guest;

impl policy_sdk::bindings::exports::portcullis::policy::policy::Guest for Guest {
    fn describe() -> Descriptor {
        let mut number = 1_u64;
        while std::hint::black_box(number) != 0 {
            number = number.wrapping_mul(3);
        }
        guests::descriptor("slow-describe")
    }

    fn validate_settings(
        _: Vec<SettingValue>,
        _: Vec<SettingValue>,
    ) -> Result<(), Vec<SettingError>> {
        Ok(())
    }

    fn evaluate(_: Vec<SettingValue>, _: Context) -> Verdict {
        policy_sdk::permit()
    }
}

#[cfg(target_arch = "wasm32")]
policy_sdk::bindings::export_policy_module!(Guest with_types_in policy_sdk::bindings);
