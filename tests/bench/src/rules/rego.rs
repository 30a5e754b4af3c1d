//! The rules in Rego for regorus, compiled to its register machine; the input is built directly as
//! its values, without JSON text.

use std::collections::BTreeMap;
use std::sync::Arc;

use policy_engine::contract::{self, Principal, TokenScope};
use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::vm::RegoVM;
use regorus::{Engine, Value};

use super::Objections;
use crate::contexts::{Case, STAGING};

const RULES: &str = r#"
package gate

uploads := {"file:upload", "project:create"}
open := {"index:read", "file:download", "session:start", "account:create", "password:reset", "email:verify", "token:mint"}
looking := {"release:preview", "project:manage"}
mandated := {"file:upload", "file:delete", "release:preview", "release:publish", "release:reject", "release:yank", "release:unyank", "release:delete", "project:create", "project:manage", "project:configure", "project:archive", "project:unarchive", "project:transfer", "project:delete", "role:grant", "role:accept", "role:revoke", "publisher:add", "publisher:remove"}
releases := {"release:publish", "release:reject"}
guarded := {"file:upload", "file:delete", "release:preview", "release:publish", "release:reject", "release:yank", "release:unyank", "release:delete", "project:create", "project:manage", "project:configure", "project:archive", "project:unarchive", "project:transfer", "project:delete", "role:grant", "role:accept", "role:revoke", "token:create", "publisher:add", "publisher:remove", "account:recover", "policy-set:read", "policy-set:activate", "decision:read", "audit:read"}
sensitive := {"file:delete", "release:yank", "release:unyank", "release:delete", "project:configure", "project:archive", "project:unarchive", "project:transfer", "project:delete", "role:grant", "role:revoke", "token:create", "publisher:add", "publisher:remove", "account:delete", "account:recover", "email:add", "email:promote", "email:remove", "factor:enroll", "factor:remove", "recovery-codes:generate", "policy-set:activate"}

allowed if { input.credential == "api-token"; input.action in uploads }
allowed if { input.credential == "session"; not input.action in uploads; input.action != "token:mint" }
allowed if { input.credential == "publisher-token"; input.action == "file:upload" }

has_factor if input.user.totp
has_factor if input.user.webauthn

objections contains "restrict-routes/credential-required" if { input.credential == "none"; not input.action in open }
objections contains "restrict-routes/credential-not-allowed" if { input.credential != "none"; not allowed }

objections contains "require-second-factor/verified-email-required" if { input.action in guarded; input.user; not input.user.email_verified }
objections contains "require-second-factor/second-factor-required" if { input.action in guarded; input.user; not has_factor }

asked_for_proof if { input.credential == "session"; input.action in sensitive; input.user }
factor_is_recent if input.assurance.second_factor_age <= 1800
password_is_recent if input.assurance.password_age <= 1800
objections contains "require-recent-proof/recent-second-factor-required" if { asked_for_proof; has_factor; not factor_is_recent }
objections contains "require-recent-proof/recent-password-required" if { asked_for_proof; not has_factor; not password_is_recent }

objections contains "owner-mandate/second-factor-required" if { input.owner.second_factor; input.action in mandated; input.user; not has_factor }
objections contains "owner-mandate/fresh-second-factor-required" if {
  input.owner.fresh_within > 0
  input.credential == "session"
  input.action in mandated
  not input.action in looking
  input.user
  not proven_within_owner
}
proven_within_owner if input.assurance.second_factor_age <= input.owner.fresh_within
objections contains "owner-mandate/project-token-required" if { input.owner.project_tokens_only; input.credential == "api-token"; input.action in uploads; input.user; not input.token.projects }
objections contains "owner-mandate/strong-token-required" if { input.owner.strong_tokens_only; input.credential == "api-token"; input.action in uploads; input.user; not input.token.made_with_second_factor }

automation := {"api-token", "publisher-token"}
objections contains "staged-release/staged" if { input.action == "file:upload"; input.owner.staging == "all" }
objections contains "staged-release/staged" if { input.action == "file:upload"; input.owner.staging == "automation"; input.credential in automation }
person if { input.credential == "session"; input.user }
objections contains "staged-release/staged-by-this-credential" if { input.action in releases; input.release.staged_by_this_credential }
objections contains "staged-release/person-required" if { input.action in releases; not input.release.staged_by_this_credential; not person }
objections contains "staged-release/fresh-second-factor-required" if { input.action in releases; not input.release.staged_by_this_credential; person; not proven_for_release }
proven_for_release if input.assurance.second_factor_age <= 300
"#;

/// Regorus with the rules compiled.
pub struct Rego {
    machine: RegoVM,
}

impl Rego {
    /// Parses and compiles the rules.
    pub fn new() -> anyhow::Result<Self> {
        let mut engine = Engine::new();
        engine.add_policy("gate.rego".to_owned(), RULES.to_owned())?;
        let entry = "data.gate.objections";
        let compiled = engine.compile_with_entrypoint(&entry.into())?;
        let program = Compiler::compile_from_policy(&compiled, &[entry])?;
        let mut machine = RegoVM::new();
        machine.load_program(program);
        machine.set_data(Value::new_object())?;
        Ok(Self { machine })
    }

    /// Converts and decides.
    pub fn decide(&mut self, case: &Case) -> anyhow::Result<Objections> {
        self.machine.set_input(convert(case));
        let found = self.machine.execute()?;
        found
            .as_set()?
            .iter()
            .map(|value| Ok(value.as_string()?.to_string()))
            .collect()
    }
}

fn object(fields: Vec<(&str, Value)>) -> Value {
    Value::from(
        fields
            .into_iter()
            .map(|(name, value)| (Value::from(name), value))
            .collect::<BTreeMap<Value, Value>>(),
    )
}

fn text(value: &str) -> Value {
    Value::String(Arc::from(value))
}

/// The facts that the policies ask for, and no others.
fn convert(case: &Case) -> Value {
    let contract::Context {
        action,
        now,
        credential,
        principal,
        token,
        assurance,
        project,
        release,
        ..
    } = &case.context;
    let mut facts = vec![
        ("action", text(action.as_str())),
        ("now", Value::from(*now)),
        ("credential", text(credential.as_str())),
    ];
    if let Principal::User(user) = principal {
        facts.push((
            "user",
            object(vec![
                ("name", text(&user.name)),
                ("age", Value::from(user.age)),
                ("email_verified", Value::from(user.email_verified)),
                (
                    "totp",
                    Value::from(user.factors.contains(contract::Factors::TOTP)),
                ),
                (
                    "webauthn",
                    Value::from(user.factors.contains(contract::Factors::WEBAUTHN)),
                ),
                ("staff", Value::from(user.staff)),
            ]),
        ));
    }
    if let Some(token) = token {
        let mut fields = vec![
            ("id", text(&token.id)),
            ("age", Value::from(token.age)),
            (
                "made_with_second_factor",
                Value::from(token.made_with_second_factor),
            ),
        ];
        fields.extend(
            token
                .expires_in
                .map(|seconds| ("expires_in", Value::from(seconds))),
        );
        fields.extend(
            token
                .last_used
                .map(|seconds| ("last_used", Value::from(seconds))),
        );
        if let TokenScope::Projects(projects) = &token.scope {
            fields.push((
                "projects",
                Value::from(projects.iter().map(|name| text(name)).collect::<Vec<_>>()),
            ));
        }
        facts.push(("token", object(fields)));
    }
    if let Some(assurance) = assurance {
        let mut fields = vec![("password_state", text(assurance.password_state.as_str()))];
        fields.extend(
            assurance
                .password_age
                .map(|seconds| ("password_age", Value::from(seconds))),
        );
        fields.extend(
            assurance
                .second_factor
                .as_ref()
                .map(|proof| ("second_factor", text(proof.factor.as_str()))),
        );
        fields.extend(
            assurance
                .second_factor
                .as_ref()
                .map(|proof| ("second_factor_age", Value::from(proof.age))),
        );
        facts.push(("assurance", object(fields)));
    }
    if let Some(project) = project {
        facts.push((
            "project",
            object(vec![
                ("name", text(&project.name)),
                ("exists", Value::from(project.exists)),
                ("status", text(project.status.as_str())),
                ("role", text(project.role.as_str())),
            ]),
        ));
    }
    if let Some(release) = release {
        let mut fields = vec![
            ("version", text(&release.version)),
            ("state", text(release.state.as_str())),
            ("age", Value::from(release.age)),
            ("order", text(release.order.as_str())),
            (
                "staged_by_this_credential",
                Value::from(release.staged_by_this_credential),
            ),
        ];
        fields.extend(
            release
                .newest
                .as_ref()
                .map(|version| ("newest", text(version))),
        );
        facts.push(("release", object(fields)));
    }
    let owner = &case.owner;
    facts.push((
        "owner",
        object(vec![
            ("second_factor", Value::from(owner.second_factor)),
            ("fresh_within", Value::from(owner.fresh_within)),
            (
                "project_tokens_only",
                Value::from(owner.project_tokens_only),
            ),
            ("strong_tokens_only", Value::from(owner.strong_tokens_only)),
            ("staging", text(STAGING[owner.staging])),
        ]),
    ));
    object(facts)
}
