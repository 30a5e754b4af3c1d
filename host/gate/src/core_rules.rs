//! What no policy may widen: token caveats, roles, project status, actions for staff.
//!
//! These hold before any policy is asked. A policy can only narrow what they leave.

use model::action::{AllowedIn, Subject};
use model::caveat::{CaveatFailure, CaveatProject, CaveatSubject, Reach};
use model::{Action, Caller, Principal, ProjectStatus, Role, Timestamp};
use policy_engine::contract::{Page, Reason};

use crate::target::{ProjectFacts, TargetFacts};

/// Checks the core's rules in PyPI's order: caveats, staff, role, status.
pub fn check(now: Timestamp, caller: &Caller, facts: &TargetFacts<'_>) -> Result<(), Box<Reason>> {
    check_caveats(now, caller, facts.project.as_ref())?;
    check_staff(caller, facts.action)?;
    if let Some(project) = &facts.project {
        check_role(caller, facts.action, project)?;
        check_status(facts.action, project)?;
    }
    Ok(())
}

fn check_caveats(
    now: Timestamp,
    caller: &Caller,
    project: Option<&ProjectFacts<'_>>,
) -> Result<(), Box<Reason>> {
    let Some(token) = &caller.token else {
        return Ok(());
    };
    let subject = CaveatSubject {
        now,
        caller,
        project: project.map(|project| CaveatProject {
            normalized: project.normalized,
            id: project.id.map(|id| id.0),
        }),
        publisher_registered: project.is_some_and(|project| project.role.is_some()),
    };
    invalid_token(
        token
            .caveats()
            .filter_map(|caveat| caveat.check(&subject).err()),
    )
}

/// Checks a token's caveats as far as they do not depend on the project: that it is not expired,
/// that it is this user's, and that its lists leave any project at all. Checked before a body is
/// read: the holder of a useless token must not use up its owner's limits.
pub fn check_token(now: Timestamp, caller: &Caller) -> Result<(), Box<Reason>> {
    let Some(token) = &caller.token else {
        return Ok(());
    };
    let subject = CaveatSubject {
        now,
        caller,
        project: None,
        publisher_registered: false,
    };
    let waits_for_project = |failure: &CaveatFailure| {
        matches!(
            failure,
            CaveatFailure::NoProject | CaveatFailure::PublisherNoProject
        )
    };
    invalid_token(
        token
            .caveats()
            .filter_map(|caveat| caveat.check(&subject).err())
            .filter(|failure| !waits_for_project(failure)),
    )?;
    if Reach::of(token.caveats()).leaves_no_project() {
        invalid_token([CaveatFailure::NoProject])
    } else {
        Ok(())
    }
}

fn invalid_token(found: impl IntoIterator<Item = CaveatFailure>) -> Result<(), Box<Reason>> {
    let mut failures: Vec<String> = Vec::new();
    for failure in found {
        let text = failure.to_string();
        // The registry and the holder may both have set it; a person need not read it twice.
        if !failures.contains(&text) {
            failures.push(text);
        }
    }
    if failures.is_empty() {
        return Ok(());
    }
    Err(reason(
        "token-caveat",
        format!("Invalid API Token: {}.", failures.join(", ")),
        "Use a token that is valid for this.",
        Some(Page::Tokens),
    ))
}

fn check_staff(caller: &Caller, action: Action) -> Result<(), Box<Reason>> {
    if !action.is_for_staff() || caller.user().is_some_and(|user| user.staff) {
        return Ok(());
    }
    let message = match &caller.principal {
        Principal::Anonymous => {
            "You must log in as a member of the registry's staff to do this.".to_owned()
        }
        _ => "Only the staff of the registry may do this.".to_owned(),
    };
    Err(reason(
        "staff-only",
        message,
        "Ask the operators of the registry.",
        Some(Page::Contact),
    ))
}

fn check_role(
    caller: &Caller,
    action: Action,
    project: &ProjectFacts<'_>,
) -> Result<(), Box<Reason>> {
    let Some((needed, what)) = action.least_role() else {
        return Ok(());
    };
    // A first upload creates the project. Everything else gets the same refusal whether the project
    // does not exist or gives the caller no role: staged projects must not show.
    let is_first_upload = project.id.is_none() && action.about() == Subject::NewFile;
    if is_first_upload || project.role.is_some_and(|role| role >= needed) {
        return Ok(());
    }
    let name = project.normalized;
    let message = match &caller.principal {
        Principal::User(user) => format!(
            "The user '{}' isn't allowed to {what} project '{name}'.",
            user.name
        ),
        Principal::Publisher { .. } => {
            format!("The given token isn't allowed to {what} project '{name}'.")
        }
        Principal::Anonymous => format!("You must say who you are to {what} project '{name}'."),
    };
    let remedy = match needed {
        _ if matches!(caller.principal, Principal::Anonymous) => {
            "Uploads take an API token; everything else takes a person with password and one-time code."
        }
        Role::Maintainer => {
            "Check the name of the project, or ask the operators of the registry for the role of maintainer."
        }
        Role::Owner => {
            "This is for owners of the project; the operators of the registry give that role."
        }
    };
    Err(reason(
        "no-role",
        message,
        remedy,
        Some(Page::ProjectSettings),
    ))
}

fn check_status(action: Action, project: &ProjectFacts<'_>) -> Result<(), Box<Reason>> {
    use AllowedIn::{AnyState, Open, Unquarantined};
    match (project.status, action.allowed_in()) {
        (ProjectStatus::Active | ProjectStatus::Deprecated, AnyState | Unquarantined | Open)
        | (ProjectStatus::Archived, AnyState | Unquarantined)
        | (ProjectStatus::Quarantined, AnyState) => Ok(()),
        (ProjectStatus::Archived, Open) => Err(reason(
            "project-archived",
            format!(
                "Project '{}' is archived and accepts no new files.",
                project.normalized
            ),
            "The operators of the registry can unarchive it.",
            Some(Page::Contact),
        )),
        (ProjectStatus::Quarantined, Unquarantined | Open) => Err(reason(
            "project-quarantined",
            format!("Project '{}' is in quarantine.", project.normalized),
            "Ask the operators of the registry.",
            Some(Page::Contact),
        )),
    }
}

fn reason(code: &str, message: String, remedy: &str, page: Option<Page>) -> Box<Reason> {
    Box::new(Reason {
        code: code.to_owned(),
        message,
        remedy: remedy.to_owned(),
        page,
    })
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use model::{
        Assurance, Caveat, CredentialKind, Factors, ProjectId, TokenFacts, TokenId, UserFacts,
        UserId, UserName,
    };

    use super::*;

    fn user() -> UserFacts {
        UserFacts {
            id: UserId::new(),
            name: UserName::parse("ana").unwrap(),
            created_at: Timestamp(0),
            email_verified: true,
            factors: Factors::default(),
            staff: false,
        }
    }

    fn with_token(caveats: Vec<Caveat>) -> Caller {
        Caller {
            credential: CredentialKind::ApiToken,
            principal: Principal::User(user()),
            token: Some(TokenFacts {
                id: TokenId::new(),
                created_at: Timestamp(0),
                last_used_at: None,
                made_with_second_factor: false,
                minted: caveats,
                added: Vec::new(),
            }),
            session: None,
            assurance: Assurance::NONE,
        }
    }

    fn about(action: Action, role: Option<Role>, status: ProjectStatus) -> TargetFacts<'static> {
        TargetFacts {
            project: Some(ProjectFacts {
                id: Some(ProjectId::new()),
                normalized: "sample",
                status,
                role,
                owner_settings: Cow::Owned(serde_json::json!({})),
            }),
            ..TargetFacts::of(action)
        }
    }

    fn of_staff(mut caller: Caller) -> Caller {
        if let Principal::User(user) = &mut caller.principal {
            user.staff = true;
        }
        caller
    }

    fn code(result: Result<(), Box<Reason>>) -> Option<String> {
        result.err().map(|reason| reason.code)
    }

    #[test]
    fn a_token_that_no_project_can_mend_is_void_before_there_is_one() {
        let names = |names: &[&str]| {
            Caveat::ProjectNames(names.iter().map(|name| (*name).to_owned()).collect())
        };
        let until = |expires_at| Caveat::Expiration {
            expires_at,
            not_before: 0,
        };
        let void = |caveats: &[Caveat]| {
            code(check_token(
                Timestamp::from_seconds(100),
                &with_token(caveats.to_vec()),
            ))
            .is_some()
        };
        assert!(
            !void(&[]) && !void(&[until(101)]) && !void(&[names(&["a", "b"]), names(&["b"])]),
            "the project decides"
        );
        assert!(
            !void(&[names(&["a"]), Caveat::ProjectIds(vec!["1".to_owned()])]),
            "so it does of what is named by id"
        );
        assert!(void(&[until(100)]) && void(&[until(101), until(50)]));
        assert!(void(&[Caveat::RequestUser("somebody else".to_owned())]));
        assert!(
            void(&[names(&["a"]), names(&["b"])])
                && void(&[names(&[])])
                && void(&[Caveat::ProjectIds(Vec::new())])
        );
    }

    #[test]
    fn a_caveat_that_fails_comes_before_a_missing_role() {
        let caller = with_token(vec![Caveat::ProjectNames(vec!["other".into()])]);
        assert_eq!(
            code(check(
                Timestamp(0),
                &caller,
                &about(Action::FileUpload, None, ProjectStatus::Active)
            ))
            .as_deref(),
            Some("token-caveat")
        );
    }

    #[test]
    fn what_the_holder_added_holds_like_what_the_registry_minted() {
        let mut caller = with_token(vec![]);
        let upload = about(Action::FileUpload, Some(Role::Owner), ProjectStatus::Active);
        assert_eq!(code(check(Timestamp(0), &caller, &upload)), None);
        caller.token.as_mut().unwrap().added = vec![Caveat::ProjectNames(vec!["other".into()])];
        assert_eq!(
            code(check(Timestamp(0), &caller, &upload)).as_deref(),
            Some("token-caveat")
        );
    }

    #[test]
    fn a_project_token_is_refused_where_there_is_no_project() {
        let caller = with_token(vec![Caveat::ProjectNames(vec!["sample".into()])]);
        let refused =
            check(Timestamp(0), &caller, &TargetFacts::of(Action::TokenList)).unwrap_err();
        assert!(
            refused
                .message
                .contains("project-scoped token used outside of a project context"),
            "{}",
            refused.message
        );
    }

    #[test]
    fn without_a_role_nothing_on_a_project_is_allowed_but_reading() {
        for &action in Action::ALL {
            let refused = code(check(
                Timestamp(0),
                &of_staff(with_token(vec![])),
                &about(action, None, ProjectStatus::Active),
            ));
            assert_eq!(refused.is_some(), action.least_role().is_some(), "{action}");
        }
    }

    #[test]
    fn what_is_for_staff_is_refused_to_everybody_else_whatever_they_own() {
        for &action in Action::ALL {
            for caller in [with_token(vec![]), Caller::anonymous()] {
                let refused = code(check(
                    Timestamp(0),
                    &caller,
                    &about(action, Some(Role::Owner), ProjectStatus::Active),
                ));
                assert_eq!(
                    refused.as_deref() == Some("staff-only"),
                    action.is_for_staff(),
                    "{action}"
                );
            }
            let alone = code(check(
                Timestamp(0),
                &of_staff(with_token(vec![])),
                &TargetFacts::of(action),
            ));
            assert_eq!(alone, None, "{action}");
        }
    }

    #[test]
    fn a_stranger_cannot_tell_a_project_from_none() {
        for &action in Action::ALL
            .iter()
            .filter(|&&action| action != Action::FileUpload)
        {
            let mut absent = about(action, None, ProjectStatus::Active);
            absent.project.as_mut().unwrap().id = None;
            let there = about(action, None, ProjectStatus::Active);
            let caller = with_token(vec![]);
            assert_eq!(
                check(Timestamp(0), &caller, &absent),
                check(Timestamp(0), &caller, &there),
                "{action}"
            );
        }
    }

    #[test]
    fn a_maintainer_may_upload_and_not_manage() {
        assert_eq!(
            code(check(
                Timestamp(0),
                &with_token(vec![]),
                &about(
                    Action::FileUpload,
                    Some(Role::Maintainer),
                    ProjectStatus::Active
                )
            )),
            None
        );
        assert_eq!(
            code(check(
                Timestamp(0),
                &with_token(vec![]),
                &about(
                    Action::RoleGrant,
                    Some(Role::Maintainer),
                    ProjectStatus::Active
                )
            ))
            .as_deref(),
            Some("no-role")
        );
    }

    #[test]
    fn an_archived_project_takes_no_files_even_from_its_owner() {
        for action in [Action::FileUpload, Action::ReleasePublish] {
            let refused = check(
                Timestamp(0),
                &with_token(vec![]),
                &about(action, Some(Role::Owner), ProjectStatus::Archived),
            )
            .unwrap_err();
            assert_eq!(refused.code, "project-archived");
        }
    }

    #[test]
    fn a_closed_project_allows_what_is_listed_here_and_nothing_else() {
        let allowed = |status| -> Vec<Action> {
            let staff = of_staff(with_token(vec![]));
            let may = |action| {
                let project = about(action, Some(Role::Owner), status);
                check(Timestamp(0), &staff, &project).is_ok()
            };
            let actions = Action::ALL.iter().copied();
            actions.filter(|&action| may(action)).collect()
        };
        assert_eq!(
            allowed(ProjectStatus::Quarantined),
            [
                Action::IndexRead,
                Action::FileDownload,
                Action::ProjectManage,
                Action::AuditRead
            ]
        );
        let mut but_files = Action::ALL.to_vec();
        but_files.retain(|action| ![Action::FileUpload, Action::ReleasePublish].contains(action));
        assert_eq!(allowed(ProjectStatus::Archived), but_files);
        assert_eq!(allowed(ProjectStatus::Deprecated), Action::ALL);
        assert_eq!(allowed(ProjectStatus::Active), Action::ALL);
    }

    /// Owners have no page and no call for it: roles and status are up to the operators.
    #[test]
    fn a_refusal_sends_nobody_to_somebody_who_cannot_help() {
        for &action in Action::ALL {
            for (role, status) in [
                (None, ProjectStatus::Active),
                (Some(Role::Maintainer), ProjectStatus::Active),
                (Some(Role::Owner), ProjectStatus::Archived),
            ] {
                let Err(refused) = check(
                    Timestamp(0),
                    &of_staff(with_token(vec![])),
                    &about(action, role, status),
                ) else {
                    continue;
                };
                assert!(
                    refused
                        .remedy
                        .to_lowercase()
                        .contains("the operators of the registry"),
                    "{action}: {}",
                    refused.remedy
                );
            }
        }
    }
}
