//! The rules as plain Rust functions, as a lower bound.

use policy_engine::contract::{Action, Context, CredentialKind, Principal, TokenScope, User};

use super::{Objections, PROOF_WITHIN, RELEASE_WITHIN};
use crate::contexts::{Case, OwnerChoices};

/// Decides on a copy of the context, as an engine that converts its input would.
pub fn decide(case: &Case) -> Objections {
    let case = case.clone();
    objections(&case).into_iter().map(str::to_owned).collect()
}

/// Only the rules.
pub fn objections(case: &Case) -> Vec<&'static str> {
    let mut found = Vec::new();
    let Case { context, owner } = case;
    restrict_routes(context, &mut found);
    require_second_factor(context, &mut found);
    require_recent_proof(context, &mut found);
    owner_mandate(context, owner, &mut found);
    staged_release(context, owner, &mut found);
    found
}

fn uploads(action: Action) -> bool {
    matches!(action, Action::FileUpload | Action::ProjectCreate)
}

fn user(context: &Context) -> Option<&User> {
    match &context.principal {
        Principal::User(user) => Some(user),
        _ => None,
    }
}

fn proven_within(context: &Context, seconds: u64) -> bool {
    context
        .assurance
        .as_ref()
        .and_then(|assurance| assurance.second_factor.as_ref())
        .is_some_and(|proof| proof.age <= seconds)
}

fn restrict_routes(context: &Context, found: &mut Vec<&'static str>) {
    use Action::{
        AccountCreate, EmailVerify, FileDownload, FileUpload, IndexRead, PasswordReset,
        SessionStart, TokenMint,
    };
    let action = context.action;
    let open = matches!(
        action,
        IndexRead
            | FileDownload
            | SessionStart
            | AccountCreate
            | PasswordReset
            | EmailVerify
            | TokenMint
    );
    let allowed = match context.credential {
        CredentialKind::None => open,
        CredentialKind::Session => !uploads(action) && action != TokenMint,
        CredentialKind::BasicPassword => false,
        CredentialKind::ApiToken => uploads(action),
        CredentialKind::PublisherToken => action == FileUpload,
    };
    if !allowed {
        found.push(if context.credential == CredentialKind::None {
            "restrict-routes/credential-required"
        } else {
            "restrict-routes/credential-not-allowed"
        });
    }
}

fn require_second_factor(context: &Context, found: &mut Vec<&'static str>) {
    use Action as A;
    let guarded = matches!(
        context.action,
        A::FileUpload
            | A::FileDelete
            | A::ReleasePreview
            | A::ReleasePublish
            | A::ReleaseReject
            | A::ReleaseYank
            | A::ReleaseUnyank
            | A::ReleaseDelete
            | A::ProjectCreate
            | A::ProjectManage
            | A::ProjectConfigure
            | A::ProjectArchive
            | A::ProjectUnarchive
            | A::ProjectTransfer
            | A::ProjectDelete
            | A::RoleGrant
            | A::RoleAccept
            | A::RoleRevoke
            | A::TokenCreate
            | A::PublisherAdd
            | A::PublisherRemove
            | A::AccountRecover
            | A::PolicySetRead
            | A::PolicySetActivate
            | A::DecisionRead
            | A::AuditRead
    );
    let Some(user) = user(context).filter(|_| guarded) else {
        return;
    };
    if !user.email_verified {
        found.push("require-second-factor/verified-email-required");
    }
    if user.factors.is_empty() {
        found.push("require-second-factor/second-factor-required");
    }
}

fn require_recent_proof(context: &Context, found: &mut Vec<&'static str>) {
    use Action as A;
    let sensitive = matches!(
        context.action,
        A::FileDelete
            | A::ReleaseYank
            | A::ReleaseUnyank
            | A::ReleaseDelete
            | A::ProjectConfigure
            | A::ProjectArchive
            | A::ProjectUnarchive
            | A::ProjectTransfer
            | A::ProjectDelete
            | A::RoleGrant
            | A::RoleRevoke
            | A::TokenCreate
            | A::PublisherAdd
            | A::PublisherRemove
            | A::AccountDelete
            | A::AccountRecover
            | A::EmailAdd
            | A::EmailPromote
            | A::EmailRemove
            | A::FactorEnroll
            | A::FactorRemove
            | A::RecoveryCodesGenerate
            | A::PolicySetActivate
    );
    let Some(user) =
        user(context).filter(|_| sensitive && context.credential == CredentialKind::Session)
    else {
        return;
    };
    let password_age = context
        .assurance
        .as_ref()
        .and_then(|assurance| assurance.password_age);
    if user.factors.is_empty() {
        if password_age.is_none_or(|age| age > PROOF_WITHIN) {
            found.push("require-recent-proof/recent-password-required");
        }
    } else if !proven_within(context, PROOF_WITHIN) {
        found.push("require-recent-proof/recent-second-factor-required");
    }
}

fn owner_mandate(context: &Context, owner: &OwnerChoices, found: &mut Vec<&'static str>) {
    use Action as A;
    let heard = matches!(
        context.action,
        A::FileUpload
            | A::FileDelete
            | A::ReleasePreview
            | A::ReleasePublish
            | A::ReleaseReject
            | A::ReleaseYank
            | A::ReleaseUnyank
            | A::ReleaseDelete
            | A::ProjectCreate
            | A::ProjectManage
            | A::ProjectConfigure
            | A::ProjectArchive
            | A::ProjectUnarchive
            | A::ProjectTransfer
            | A::ProjectDelete
            | A::RoleGrant
            | A::RoleAccept
            | A::RoleRevoke
            | A::PublisherAdd
            | A::PublisherRemove
    );
    if !heard {
        return;
    }
    let Some(user) = user(context) else { return };
    if owner.second_factor && user.factors.is_empty() {
        found.push("owner-mandate/second-factor-required");
    }
    let looking = matches!(context.action, A::ReleasePreview | A::ProjectManage);
    if context.credential == CredentialKind::Session
        && !looking
        && owner.fresh_within > 0
        && !proven_within(context, owner.fresh_within.into())
    {
        found.push("owner-mandate/fresh-second-factor-required");
    }
    if context.credential == CredentialKind::ApiToken && uploads(context.action) {
        let token = context.token.as_ref();
        if owner.project_tokens_only
            && !token.is_some_and(|token| matches!(token.scope, TokenScope::Projects(_)))
        {
            found.push("owner-mandate/project-token-required");
        }
        if owner.strong_tokens_only && !token.is_some_and(|token| token.made_with_second_factor) {
            found.push("owner-mandate/strong-token-required");
        }
    }
}

fn staged_release(context: &Context, owner: &OwnerChoices, found: &mut Vec<&'static str>) {
    match context.action {
        Action::FileUpload => {
            let automation = matches!(
                context.credential,
                CredentialKind::ApiToken | CredentialKind::PublisherToken
            );
            if owner.staging == 2 || owner.staging == 1 && automation {
                found.push("staged-release/staged");
            }
        }
        Action::ReleasePublish | Action::ReleaseReject => {
            if context
                .release
                .as_ref()
                .is_some_and(|release| release.staged_by_this_credential)
            {
                found.push("staged-release/staged-by-this-credential");
            } else if context.credential != CredentialKind::Session || user(context).is_none() {
                found.push("staged-release/person-required");
            } else if !proven_within(context, RELEASE_WITHIN) {
                found.push("staged-release/fresh-second-factor-required");
            }
        }
        _ => {}
    }
}
