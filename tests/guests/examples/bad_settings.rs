//! Offers a setting whose default its kind does not allow.
#![cfg_attr(
    not(target_arch = "wasm32"),
    allow(dead_code, reason = "only the exports for wasm use it")
)]

use policy_sdk::{
    Context, Descriptor, Range, Setting, SettingError, SettingKind, SettingValue, Verdict,
};

struct Guest;

impl policy_sdk::bindings::exports::portcullis::policy::policy::Guest for Guest {
    fn describe() -> Descriptor {
        let mut descriptor = guests::descriptor("bad-settings");
        descriptor.operator_settings.push(Setting {
            name: "days".into(),
            label: "Days".into(),
            help: "How long.".into(),
            kind: SettingKind::Integer(Range {
                minimum: 1,
                maximum: 7,
            }),
            default: SettingValue::Text("a week".into()),
        });
        descriptor
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
