//! The rules in Cedar, written to be fast there: one `forbid` for each objection, the action in the
//! scope where possible, groups of actions built once, facts in the context record and built
//! without parsing, no schema checks while deciding.

use std::collections::{HashMap, HashSet};
use std::str::FromStr;

use cedar_policy::{
    Authorizer, Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicySet, Request,
    RestrictedExpression,
};
use policy_engine::contract::{self, Principal, TokenScope};

use super::Objections;
use crate::contexts::{Case, STAGING};

const RULES: &str = r#"
@id("everything-else")
permit(principal, action, resource);

@id("restrict-routes/credential-required")
forbid(principal, action, resource)
when { context.credential == "none" }
unless { action in Action::"open" };

@id("restrict-routes/credential-not-allowed")
forbid(principal, action, resource)
when { context.credential != "none" }
unless {
  if context.credential == "api-token" then action in Action::"uploads"
  else if context.credential == "session" then !(action in Action::"not-for-sessions")
  else context.credential == "publisher-token" && action == Action::"file:upload"
};

@id("require-second-factor/verified-email-required")
forbid(principal is User, action in Action::"guarded", resource)
unless { context.user.email_verified };

@id("require-second-factor/second-factor-required")
forbid(principal is User, action in Action::"guarded", resource)
unless { context.user.totp || context.user.webauthn };

@id("require-recent-proof/recent-second-factor-required")
forbid(principal is User, action in Action::"sensitive", resource)
when { context.credential == "session" && (context.user.totp || context.user.webauthn) }
unless { context.assurance has second_factor_age && context.assurance.second_factor_age <= 1800 };

@id("require-recent-proof/recent-password-required")
forbid(principal is User, action in Action::"sensitive", resource)
when { context.credential == "session" && !(context.user.totp || context.user.webauthn) }
unless { context.assurance has password_age && context.assurance.password_age <= 1800 };

@id("owner-mandate/second-factor-required")
forbid(principal is User, action in Action::"mandated", resource)
when { context.owner.second_factor }
unless { context.user.totp || context.user.webauthn };

@id("owner-mandate/fresh-second-factor-required")
forbid(principal is User, action in Action::"changing", resource)
when { context.owner.fresh_within > 0 && context.credential == "session" }
unless { context.assurance has second_factor_age && context.assurance.second_factor_age <= context.owner.fresh_within };

@id("owner-mandate/project-token-required")
forbid(principal is User, action in Action::"uploads", resource)
when { context.owner.project_tokens_only && context.credential == "api-token" }
unless { context has token && context.token has projects };

@id("owner-mandate/strong-token-required")
forbid(principal is User, action in Action::"uploads", resource)
when { context.owner.strong_tokens_only && context.credential == "api-token" }
unless { context has token && context.token.made_with_second_factor };

@id("staged-release/staged")
forbid(principal, action == Action::"file:upload", resource)
when { context.owner.staging == "all" || (context.owner.staging == "automation" && (context.credential == "api-token" || context.credential == "publisher-token")) };

@id("staged-release/staged-by-this-credential")
forbid(principal, action in Action::"releases", resource)
when { context has release && context.release.staged_by_this_credential };

@id("staged-release/person-required")
forbid(principal, action in Action::"releases", resource)
when { context.credential != "session" || !(principal is User) }
unless { context has release && context.release.staged_by_this_credential };

@id("staged-release/fresh-second-factor-required")
forbid(principal is User, action in Action::"releases", resource)
when { context.credential == "session" && !(context has release && context.release.staged_by_this_credential) }
unless { context.assurance has second_factor_age && context.assurance.second_factor_age <= 300 };
"#;

/// Groups of actions. Cedar looks a group up in the entities, which is cheaper than a list
/// of actions in a rule.
const GROUPS: &[(&str, &[&str])] = &[
    (
        "guarded",
        &[
            "file:upload",
            "file:delete",
            "release:preview",
            "release:publish",
            "release:reject",
            "release:yank",
            "release:unyank",
            "release:delete",
            "project:create",
            "project:manage",
            "project:configure",
            "project:archive",
            "project:unarchive",
            "project:transfer",
            "project:delete",
            "role:grant",
            "role:accept",
            "role:revoke",
            "token:create",
            "publisher:add",
            "publisher:remove",
            "account:recover",
            "policy-set:read",
            "policy-set:activate",
            "decision:read",
            "audit:read",
        ],
    ),
    (
        "mandated",
        &[
            "file:upload",
            "file:delete",
            "release:preview",
            "release:publish",
            "release:reject",
            "release:yank",
            "release:unyank",
            "release:delete",
            "project:create",
            "project:manage",
            "project:configure",
            "project:archive",
            "project:unarchive",
            "project:transfer",
            "project:delete",
            "role:grant",
            "role:accept",
            "role:revoke",
            "publisher:add",
            "publisher:remove",
        ],
    ),
    (
        "changing",
        &[
            "file:upload",
            "file:delete",
            "release:publish",
            "release:reject",
            "release:yank",
            "release:unyank",
            "release:delete",
            "project:create",
            "project:configure",
            "project:archive",
            "project:unarchive",
            "project:transfer",
            "project:delete",
            "role:grant",
            "role:accept",
            "role:revoke",
            "publisher:add",
            "publisher:remove",
        ],
    ),
    (
        "sensitive",
        &[
            "file:delete",
            "release:yank",
            "release:unyank",
            "release:delete",
            "project:configure",
            "project:archive",
            "project:unarchive",
            "project:transfer",
            "project:delete",
            "role:grant",
            "role:revoke",
            "token:create",
            "publisher:add",
            "publisher:remove",
            "account:delete",
            "account:recover",
            "email:add",
            "email:promote",
            "email:remove",
            "factor:enroll",
            "factor:remove",
            "recovery-codes:generate",
            "policy-set:activate",
        ],
    ),
    (
        "open",
        &[
            "index:read",
            "file:download",
            "session:start",
            "account:create",
            "password:reset",
            "email:verify",
            "token:mint",
        ],
    ),
    ("uploads", &["file:upload", "project:create"]),
    ("releases", &["release:publish", "release:reject"]),
    (
        "not-for-sessions",
        &["file:upload", "project:create", "token:mint"],
    ),
];

/// Cedar with the rules loaded.
pub struct Cedar {
    authorizer: Authorizer,
    policies: PolicySet,
    /// Names of the policies, by the identifiers that Cedar gave them.
    names: HashMap<String, String>,
    entities: Entities,
    user: EntityTypeName,
    nobody: EntityTypeName,
    action: EntityTypeName,
    project: EntityTypeName,
}

impl Cedar {
    /// Parses the rules.
    pub fn new() -> anyhow::Result<Self> {
        let policies = PolicySet::from_str(RULES)?;
        let names = policies
            .policies()
            .map(|policy| {
                (
                    policy.id().to_string(),
                    policy.annotation("id").unwrap_or_default().to_owned(),
                )
            })
            .collect();
        Ok(Self {
            authorizer: Authorizer::new(),
            policies,
            names,
            entities: Entities::from_entities(actions()?, None)?,
            user: "User".parse()?,
            nobody: "Nobody".parse()?,
            action: "Action".parse()?,
            project: "Project".parse()?,
        })
    }

    /// Converts and decides.
    pub fn decide(&self, case: &Case) -> anyhow::Result<Objections> {
        let request = self.convert(case)?;
        let response = self
            .authorizer
            .is_authorized(&request, &self.policies, &self.entities);
        if let Some(error) = response.diagnostics().errors().next() {
            anyhow::bail!("cedar: {error}");
        }
        if response.decision() == cedar_policy::Decision::Allow {
            return Ok(Objections::new());
        }
        Ok(response
            .diagnostics()
            .reason()
            .filter_map(|id| self.names.get::<str>(id.as_ref()).cloned())
            .collect())
    }

    fn convert(&self, case: &Case) -> anyhow::Result<Request> {
        let context = &case.context;
        let principal = match &context.principal {
            Principal::User(user) => {
                EntityUid::from_type_name_and_id(self.user.clone(), EntityId::new(&user.name))
            }
            _ => EntityUid::from_type_name_and_id(self.nobody.clone(), EntityId::new("nobody")),
        };
        let action = EntityUid::from_type_name_and_id(
            self.action.clone(),
            EntityId::new(context.action.as_str()),
        );
        let project = context
            .project
            .as_ref()
            .map_or("", |project| project.name.as_str());
        let resource =
            EntityUid::from_type_name_and_id(self.project.clone(), EntityId::new(project));
        Ok(Request::new(
            principal,
            action,
            resource,
            Context::from_pairs(facts(case))?,
            None,
        )?)
    }
}

/// Every action that is in a group, with its groups.
fn actions() -> anyhow::Result<Vec<Entity>> {
    let uid = |name: &str| -> anyhow::Result<EntityUid> {
        Ok(EntityUid::from_type_name_and_id(
            "Action".parse()?,
            EntityId::new(name),
        ))
    };
    let mut parents: HashMap<&str, HashSet<EntityUid>> = HashMap::new();
    for (group, actions) in GROUPS {
        for action in *actions {
            parents.entry(action).or_default().insert(uid(group)?);
        }
    }
    parents
        .into_iter()
        .map(|(action, groups)| Ok(Entity::new_no_attrs(uid(action)?, groups)))
        .collect()
}

fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

fn number(value: u64) -> RestrictedExpression {
    RestrictedExpression::new_long(i64::try_from(value).unwrap_or(i64::MAX))
}

fn record(fields: Vec<(&str, RestrictedExpression)>) -> anyhow::Result<RestrictedExpression> {
    Ok(RestrictedExpression::new_record(
        fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value)),
    )?)
}

/// The facts that the policies ask for, and no others.
fn facts(case: &Case) -> Vec<(String, RestrictedExpression)> {
    let flag = RestrictedExpression::new_bool;
    let contract::Context {
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
        ("now", number(*now)),
        ("credential", text(credential.as_str())),
    ];
    let mut add = |name, fields| facts.push((name, record(fields).expect("field names differ")));
    if let Principal::User(user) = principal {
        add(
            "user",
            vec![
                ("name", text(&user.name)),
                ("age", number(user.age)),
                ("email_verified", flag(user.email_verified)),
                ("totp", flag(user.factors.contains(contract::Factors::TOTP))),
                (
                    "webauthn",
                    flag(user.factors.contains(contract::Factors::WEBAUTHN)),
                ),
                ("staff", flag(user.staff)),
            ],
        );
    }
    if let Some(token) = token {
        let mut fields = vec![
            ("id", text(&token.id)),
            ("age", number(token.age)),
            (
                "made_with_second_factor",
                flag(token.made_with_second_factor),
            ),
        ];
        fields.extend(
            token
                .expires_in
                .map(|seconds| ("expires_in", number(seconds))),
        );
        fields.extend(
            token
                .last_used
                .map(|seconds| ("last_used", number(seconds))),
        );
        if let TokenScope::Projects(projects) = &token.scope {
            fields.push((
                "projects",
                RestrictedExpression::new_set(projects.iter().map(|name| text(name))),
            ));
        }
        add("token", fields);
    }
    if let Some(assurance) = assurance {
        let mut fields = vec![("password_state", text(assurance.password_state.as_str()))];
        fields.extend(
            assurance
                .password_age
                .map(|seconds| ("password_age", number(seconds))),
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
                .map(|proof| ("second_factor_age", number(proof.age))),
        );
        add("assurance", fields);
    }
    if let Some(project) = project {
        add(
            "project",
            vec![
                ("name", text(&project.name)),
                ("exists", flag(project.exists)),
                ("status", text(project.status.as_str())),
                ("role", text(project.role.as_str())),
            ],
        );
    }
    if let Some(release) = release {
        let mut fields = vec![
            ("version", text(&release.version)),
            ("state", text(release.state.as_str())),
            ("age", number(release.age)),
            ("order", text(release.order.as_str())),
            (
                "staged_by_this_credential",
                flag(release.staged_by_this_credential),
            ),
        ];
        fields.extend(
            release
                .newest
                .as_ref()
                .map(|version| ("newest", text(version))),
        );
        add("release", fields);
    }
    let owner = &case.owner;
    add(
        "owner",
        vec![
            ("second_factor", flag(owner.second_factor)),
            ("fresh_within", number(owner.fresh_within.into())),
            ("project_tokens_only", flag(owner.project_tokens_only)),
            ("strong_tokens_only", flag(owner.strong_tokens_only)),
            ("staging", text(STAGING[owner.staging])),
        ],
    );
    facts
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
