//! Repeats its input in its notes, and answers with one of everything that a verdict can contain:
//! shows that values keep their meaning in both directions across the border.
#![cfg_attr(
    not(target_arch = "wasm32"),
    allow(dead_code, reason = "only the exports for wasm use it")
)]

use policy_sdk::{
    Action, Context, Descriptor, Obligation, Outcome, Page, Range, Reason, Requirement, Setting,
    SettingError, SettingKind, SettingValue, Verdict,
};

struct Guest;

fn setting(name: &str, kind: SettingKind, default: SettingValue) -> Setting {
    Setting {
        name: name.into(),
        label: name.into(),
        help: String::new(),
        kind,
        default,
    }
}

impl policy_sdk::bindings::exports::portcullis::policy::policy::Guest for Guest {
    fn describe() -> Descriptor {
        let mut descriptor = guests::descriptor("echo");
        let range = Range {
            minimum: -10,
            maximum: 10,
        };
        descriptor.operator_settings = vec![
            setting("flag", SettingKind::Boolean, SettingValue::Boolean(true)),
            setting(
                "number",
                SettingKind::Integer(range),
                SettingValue::Integer(-3),
            ),
            setting(
                "words",
                SettingKind::Text(20),
                SettingValue::Text("grüße".into()),
            ),
            setting(
                "choice",
                SettingKind::Choice(vec!["one".into(), "two".into()]),
                SettingValue::Choice(1),
            ),
            setting(
                "texts",
                SettingKind::Texts(3),
                SettingValue::Texts(vec!["a".into(), "b".into()]),
            ),
            setting(
                "actions",
                SettingKind::Actions,
                SettingValue::Actions(vec![Action::IndexRead, Action::AuditRead]),
            ),
        ];
        descriptor.owner_settings = vec![setting(
            "owner-flag",
            SettingKind::Boolean,
            SettingValue::Boolean(false),
        )];
        descriptor
    }

    fn validate_settings(
        operator: Vec<SettingValue>,
        owner: Vec<SettingValue>,
    ) -> Result<(), Vec<SettingError>> {
        if operator.first() == Some(&SettingValue::Boolean(false)) {
            return Err(vec![SettingError {
                setting: "flag".into(),
                message: "must\nstay on".into(),
            }]);
        }
        if owner.first() == Some(&SettingValue::Boolean(true)) {
            return Err(vec![SettingError {
                setting: "owner-flag".into(),
                message: "cannot be had here".into(),
            }]);
        }
        Ok(())
    }

    fn evaluate(settings: Vec<SettingValue>, context: Context) -> Verdict {
        let reason = |code: &str, page| Reason {
            code: code.into(),
            message: "A message.".into(),
            remedy: "A remedy.".into(),
            page,
        };
        Verdict {
            outcome: Outcome::Require(vec![
                Requirement::EnrolledSecondFactor,
                Requirement::SecondFactorWithin(900),
                Requirement::PasswordWithin(600),
                Requirement::VerifiedEmail,
                Requirement::ProjectToken,
                Requirement::TokenMadeWithSecondFactor,
            ]),
            reasons: vec![
                reason("tokens", Some(Page::Tokens)),
                reason("contact", Some(Page::Contact)),
                reason("none", None),
            ],
            obligations: vec![
                Obligation::DisablePassword,
                Obligation::SendMail("password-breached".into()),
            ],
            notes: vec![
                format!("{settings:?}"),
                format!(
                    "{:?} {} {:?}",
                    context.action, context.now, context.credential
                ),
                format!("{:?}", context.request),
                format!("{:?}", context.principal),
                format!("{:?}", context.token),
                format!("{:?}", context.assurance),
                format!("{:?}", context.project),
                format!("{:?}", context.release),
                format!("{:?}", context.file),
                format!("{:?}", context.metadata),
                format!("{:?}", context.change),
            ],
        }
    }
}

#[cfg(target_arch = "wasm32")]
policy_sdk::bindings::export_policy_module!(Guest with_types_in policy_sdk::bindings);
