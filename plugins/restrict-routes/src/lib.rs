//! Which credential may do which action.
//!
//! An allow-list: everything that is not listed is refused. In 2020 tokens that were "only valid
//! for uploads" opened every route of an index, because the rule was written down nowhere. Here it
//! is.

use policy_sdk::prelude::*;

/// The policy.
pub struct RestrictRoutes;

/// The actions of an upload: the second is also decided if the project is new.
const UPLOADS: ActionSet = ActionSet::of(&[Action::FileUpload, Action::ProjectCreate]);

/// Actions that need no account: reading, and the way to an account.
const OPEN: ActionSet = ActionSet::of(&[
    Action::IndexRead,
    Action::FileDownload,
    Action::SessionStart,
    Action::AccountCreate,
    Action::PasswordReset,
    Action::EmailVerify,
    // The identity token to exchange is in the body of the request.
    Action::TokenMint,
]);

/// Actions of people who are logged in. Each action is here because someone decided so: a new one
/// is open to no one until it is added here, or to [`CLOSED_TO_SESSIONS`].
pub const OF_PEOPLE: ActionSet = ActionSet::of(&[
    Action::IndexRead,
    Action::FileDownload,
    Action::FileDelete,
    Action::ReleasePreview,
    Action::ReleasePublish,
    Action::ReleaseReject,
    Action::ReleaseYank,
    Action::ReleaseUnyank,
    Action::ReleaseDelete,
    Action::ProjectManage,
    Action::ProjectConfigure,
    Action::ProjectArchive,
    Action::ProjectUnarchive,
    Action::ProjectTransfer,
    Action::ProjectDelete,
    Action::RoleGrant,
    Action::RoleAccept,
    Action::RoleRevoke,
    Action::TokenCreate,
    Action::TokenList,
    Action::TokenRevoke,
    Action::PublisherAdd,
    Action::PublisherRemove,
    Action::AccountCreate,
    Action::AccountRead,
    Action::AccountUpdate,
    Action::AccountDelete,
    Action::EmailAdd,
    Action::EmailVerify,
    Action::EmailPromote,
    Action::EmailRemove,
    Action::PasswordChange,
    Action::PasswordReset,
    Action::FactorEnroll,
    Action::FactorRemove,
    Action::RecoveryCodesGenerate,
    Action::SessionStart,
    Action::SessionStepUp,
    Action::SessionList,
    Action::SessionEnd,
]);

/// Actions of the registry's staff who are logged in. The host lets no one else do them, whatever a
/// policy permits.
pub const OF_STAFF: ActionSet = ActionSet::of(&[
    Action::AccountRecover,
    Action::PolicySetRead,
    Action::PolicySetActivate,
    Action::DecisionRead,
    Action::AuditRead,
]);

/// Actions that no session may do, only programs.
pub const CLOSED_TO_SESSIONS: ActionSet = UPLOADS.with(ActionSet::of(&[Action::TokenMint]));

/// Actions of programs that read, request by request.
const READING: ActionSet = ActionSet::of(&[Action::IndexRead, Action::FileDownload]);

settings! {
    /// The actions of each kind of credential.
    pub struct Operator {
        /// What everyone may do without a credential.
        pub none: ActionSet = actions("Without a credential", OPEN),
        /// What a logged-in person may do.
        pub session: ActionSet = actions("With a session", OF_PEOPLE.with(OF_STAFF)),
        /// What a user name and a password in a request header may do. Passwords leak from scripts:
        /// best left empty. No password is ever checked for a read.
        pub basic_password: ActionSet = actions("With a password in a header", ActionSet::EMPTY),
        /// What an API token may do.
        pub api_token: ActionSet = actions("With an API token", UPLOADS),
        /// What the short-lived token of a trusted publisher may do.
        pub publisher_token: ActionSet = actions("With a publisher's token", &[Action::FileUpload]),
    }
}

impl Operator {
    fn allowed(&self, credential: CredentialKind) -> ActionSet {
        match credential {
            CredentialKind::None => self.none,
            CredentialKind::Session => self.session,
            CredentialKind::BasicPassword => self.basic_password,
            CredentialKind::ApiToken => self.api_token,
            CredentialKind::PublisherToken => self.publisher_token,
        }
    }
}

impl Policy for RestrictRoutes {
    type Operator = Operator;
    type Owner = ();

    fn describe() -> Descriptor {
        Descriptor::new(
            "restrict-routes",
            env!("CARGO_PKG_VERSION"),
            "Each kind of credential may do what is listed for it, and nothing else.",
        )
        .hears(ActionSet::ALL)
    }

    fn validate(operator: &Operator, _: Option<&()>) -> Result<(), Vec<SettingError>> {
        match READING
            .iter()
            .find(|&action| operator.basic_password.contains(action))
        {
            Some(action) => Err(vec![SettingError::new(
                "basic-password",
                [
                    "no password is looked at for ",
                    action.as_str(),
                    ": leave it out",
                ]
                .concat(),
            )]),
            None => Ok(()),
        }
    }

    fn evaluate(operator: &Operator, _: &(), context: &Context) -> Verdict {
        if operator
            .allowed(context.credential)
            .contains(context.action)
        {
            return permit();
        }
        deny(refusal(operator, context.credential, context.action))
    }
}

policy_sdk::export!(RestrictRoutes);

/// The message for the client. Upload tools print it from the status line, so it is short.
fn refusal(operator: &Operator, credential: CredentialKind, action: Action) -> Reason {
    let reason = |message: &str| Reason::new("credential-not-allowed", message);
    match credential {
        CredentialKind::None if UPLOADS.contains(action) => {
            Reason::new("credential-required", "Uploads need an API token.")
                .remedy("Create one and use it as password with the user name __token__.")
                .page(Page::Tokens)
        }
        CredentialKind::None if action == Action::AccountCreate => Reason::new(
            "registration-closed",
            "Nobody registers here: the operators make the accounts.",
        )
        .remedy("Ask them for one.")
        .page(Page::Contact),
        CredentialKind::None => {
            Reason::new("credential-required", "This is not open to everybody.")
                .remedy(instead(operator, action))
        }
        CredentialKind::Session if UPLOADS.contains(action) => {
            reason("A browser session cannot upload.")
                .remedy("Upload with an API token as password and the user name __token__.")
                .page(Page::Tokens)
        }
        CredentialKind::Session => {
            let message = [
                "The rules of this registry do not let people in a browser do this (",
                action.as_str(),
                ").",
            ]
            .concat();
            Reason::new("credential-not-allowed", message)
                .remedy(instead(operator, action))
                .page(Page::Contact)
        }
        CredentialKind::BasicPassword if UPLOADS.contains(action) => {
            reason("Passwords are not accepted for uploads.")
                .remedy("Use an API token as password with the user name __token__.")
                .page(Page::Tokens)
        }
        CredentialKind::BasicPassword => {
            reason("Passwords are not accepted here.").remedy(instead(operator, action))
        }
        CredentialKind::ApiToken => {
            token_refusal("API tokens", operator.api_token, operator, action)
        }
        CredentialKind::PublisherToken if action == Action::ProjectCreate => {
            reason("A trusted publisher cannot create a project.")
                .remedy("Make the first upload with an API token.")
                .page(Page::Tokens)
        }
        CredentialKind::PublisherToken => token_refusal(
            "Publisher tokens",
            operator.publisher_token,
            operator,
            action,
        ),
    }
}

fn token_refusal(tokens: &str, allowed: ActionSet, operator: &Operator, action: Action) -> Reason {
    let message = match !UPLOADS.contains(action) && allowed.is_subset(UPLOADS) {
        true => [tokens, " are only valid for uploads."].concat(),
        false => [tokens, " are not valid for ", action.as_str(), "."].concat(),
    };
    Reason::new("credential-not-allowed", message)
        .remedy(instead(operator, action))
        .page(Page::Tokens)
}

/// An alternative that would be let through.
fn instead(operator: &Operator, action: Action) -> &'static str {
    let allows = |credential| operator.allowed(credential).contains(action);
    match () {
        () if allows(CredentialKind::None) => {
            "This needs no credential: leave it out of the request."
        }
        // Before the session: tools that read an index have tokens, and no person present.
        () if allows(CredentialKind::ApiToken) && READING.contains(action) => {
            "Use an API token as password with the user name __token__."
        }
        () if allows(CredentialKind::ApiToken) => "Use an API token.",
        () if allows(CredentialKind::Session) => {
            "A person does this, with password and second factor."
        }
        () if allows(CredentialKind::BasicPassword) => "Use user name and password.",
        () => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(credential: CredentialKind, action: Action) -> Verdict {
        RestrictRoutes::evaluate(&Operator::default(), &(), &Context::of(action, credential))
    }

    #[test]
    fn a_token_does_nothing_but_upload() {
        for &action in Action::ALL {
            let permitted = check(CredentialKind::ApiToken, action).outcome == Outcome::Permit;
            assert_eq!(permitted, UPLOADS.contains(action), "{}", action.as_str());
        }
    }

    #[test]
    fn a_publisher_uploads_and_creates_no_project() {
        for &action in Action::ALL {
            let permitted =
                check(CredentialKind::PublisherToken, action).outcome == Outcome::Permit;
            assert_eq!(
                permitted,
                action == Action::FileUpload,
                "{}",
                action.as_str()
            );
        }
    }

    #[test]
    fn a_password_in_a_header_does_nothing() {
        for &action in Action::ALL {
            assert_eq!(
                check(CredentialKind::BasicPassword, action).outcome,
                Outcome::Deny,
                "{}",
                action.as_str()
            );
        }
    }

    #[test]
    fn a_session_cannot_upload() {
        assert_eq!(
            check(CredentialKind::Session, Action::FileUpload).outcome,
            Outcome::Deny
        );
        assert_eq!(
            check(CredentialKind::Session, Action::ReleasePublish).outcome,
            Outcome::Permit
        );
    }

    #[test]
    fn of_every_action_somebody_decided_whether_a_session_may() {
        let open = OF_PEOPLE.with(OF_STAFF);
        for &action in Action::ALL {
            assert!(
                open.contains(action) != CLOSED_TO_SESSIONS.contains(action),
                "{}: put it into OF_PEOPLE, OF_STAFF or CLOSED_TO_SESSIONS",
                action.as_str()
            );
        }
    }

    #[test]
    fn everybody_reads_without_a_credential() {
        for action in [Action::IndexRead, Action::FileDownload] {
            assert_eq!(check(CredentialKind::None, action), permit());
        }
    }

    #[test]
    fn a_password_on_an_upload_is_told_how_to_use_a_token() {
        let verdict = check(CredentialKind::BasicPassword, Action::FileUpload);
        let reason = &verdict.reasons[0];
        assert_eq!(reason.message, "Passwords are not accepted for uploads.");
        assert!(reason.remedy.contains("__token__"));
        assert_eq!(reason.page, Some(Page::Tokens));
    }

    #[test]
    fn a_token_that_reads_is_told_that_reading_needs_none() {
        let verdict = check(CredentialKind::ApiToken, Action::IndexRead);
        assert_eq!(verdict.reasons[0].code, "credential-not-allowed");
        assert_eq!(
            verdict.reasons[0].message,
            "API tokens are only valid for uploads."
        );
        assert_eq!(
            verdict.reasons[0].remedy,
            "This needs no credential: leave it out of the request."
        );
    }

    #[test]
    fn who_reads_without_a_credential_where_members_read_is_told_how() {
        let operator = Operator {
            none: ActionSet::EMPTY,
            api_token: READING,
            ..Operator::default()
        };
        let verdict = RestrictRoutes::evaluate(
            &operator,
            &(),
            &Context::of(Action::IndexRead, CredentialKind::None),
        );
        assert_eq!(verdict.reasons[0].code, "credential-required");
        assert_eq!(
            verdict.reasons[0].remedy,
            "Use an API token as password with the user name __token__."
        );
    }

    #[test]
    fn who_cannot_register_is_told_who_makes_accounts() {
        let operator = Operator {
            none: ActionSet::EMPTY,
            ..Operator::default()
        };
        let verdict = RestrictRoutes::evaluate(
            &operator,
            &(),
            &Context::of(Action::AccountCreate, CredentialKind::None),
        );
        assert_eq!(
            (verdict.reasons[0].code.as_str(), verdict.reasons[0].page),
            ("registration-closed", Some(Page::Contact))
        );
    }

    #[test]
    fn an_operator_who_lets_passwords_read_is_told_that_none_is_looked_at() {
        let operator = Operator {
            basic_password: ActionSet::of(&[Action::FileUpload, Action::FileDownload]),
            ..Operator::default()
        };
        let errors = RestrictRoutes::validate(&operator, None).unwrap_err();
        assert_eq!(
            errors,
            [SettingError::new(
                "basic-password",
                "no password is looked at for file:download: leave it out"
            )]
        );
        assert_eq!(RestrictRoutes::validate(&Operator::default(), None), Ok(()));
    }

    #[test]
    fn a_token_is_never_said_to_upload_where_the_operator_lets_it_do_more() {
        let operator = Operator {
            api_token: ActionSet::of(&[Action::FileUpload, Action::IndexRead]),
            ..Operator::default()
        };
        let verdict = RestrictRoutes::evaluate(
            &operator,
            &(),
            &Context::of(Action::TokenList, CredentialKind::ApiToken),
        );
        assert_eq!(
            verdict.reasons[0].message,
            "API tokens are not valid for token:list."
        );
    }

    #[test]
    fn every_refusal_has_a_reason_that_fits_a_status_line() {
        let kinds = [
            CredentialKind::None,
            CredentialKind::Session,
            CredentialKind::BasicPassword,
            CredentialKind::ApiToken,
            CredentialKind::PublisherToken,
        ];
        for credential in kinds {
            for &action in Action::ALL {
                for reason in check(credential, action).reasons {
                    assert!(
                        !reason.message.is_empty()
                            && reason.message.len() + reason.remedy.len() <= 160,
                        "{reason:?}"
                    );
                }
            }
        }
    }
}
