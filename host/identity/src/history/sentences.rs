//! A sentence for each kind of event.

use std::borrow::Cow;
use std::collections::HashMap;

use model::audit::detail::{
    ConfirmedBy, Demand, EndedSessions, LoginDevice, LoginMethod, RequestedMail, SecondStep,
};
use model::audit::{Actor, AuditEvent, Detail, EventKind, Word};
use model::{
    Action, CredentialKind, DeviceKind, Factor, KeyKind, MailKind, ProjectId, TokenId, UserId,
};

/// The names of things in events.
pub(super) struct Names {
    /// Descriptions of the reader's own tokens, including revoked ones.
    pub(super) tokens: HashMap<TokenId, String>,
    pub(super) projects: HashMap<ProjectId, String>,
}

/// The text for an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) sentence: String,
    pub(super) alarming: bool,
}

fn calm(sentence: impl Into<String>) -> Option<Told> {
    Some(Told {
        sentence: sentence.into(),
        alarming: false,
    })
}

fn alarming(sentence: impl Into<String>) -> Option<Told> {
    Some(Told {
        sentence: sentence.into(),
        alarming: true,
    })
}

/// The token that an event is about, or that was used.
pub(super) fn token_of(event: &AuditEvent) -> Option<TokenId> {
    event.actor.token().or_else(|| event.detail.token())
}

/// The text for an event that is about the reader, or that they caused; none if it concerns
/// operators alone.
pub(super) fn told(reader: UserId, event: &AuditEvent, names: &Names) -> Option<Told> {
    if event.user.is_some_and(|user| user != reader) {
        return told_of_another(event, names);
    }
    told_of_reader(event, names)
}

/// Who did it, if somebody else did, as a suffix of the sentence.
pub(super) fn by_whom(reader: UserId, event: &AuditEvent) -> Cow<'static, str> {
    match &event.actor {
        _ if event.user.is_some_and(|user| user != reader) => "".into(),
        Actor::Caller { user: Some(by), .. } if *by != reader => {
            " Another person with the right to do so did this.".into()
        }
        Actor::Publisher {
            provider, subject, ..
        } => format!(" A trusted publisher did this: {subject} of {provider}.").into(),
        Actor::CommandLine { .. } => " An operator of the registry did this.".into(),
        // The reader did it, or the sentence already says who did.
        Actor::Caller { .. } | Actor::System => "".into(),
    }
}

/// The one sentence for a right password that is known from a breach: what the registry noted, did
/// and answered.
pub(super) fn breached(events: &[&AuditEvent]) -> Option<String> {
    let is_there = |kind| events.iter().any(|event| event.kind() == kind);
    let refused = events.iter().find_map(|event| match &event.detail {
        Detail::RequestRefused { action, .. } => Some(action),
        _ => None,
    })?;
    let is_mailed = events.iter().any(|event| match &event.detail {
        Detail::MailRequested { what } => what.mail() == Some(MailKind::PasswordBreached),
        _ => false,
    });
    let is_disabled = is_there(EventKind::PasswordDisabled);
    if !is_there(EventKind::PasswordBreached) && !(is_disabled && is_mailed) {
        return None;
    }
    let then = match (is_disabled, is_mailed) {
        (true, true) => "it was disabled, and a mail explains how to set a new one",
        (true, false) => "it was disabled, and you can set a new one with a link sent by email",
        (false, _) => "it was not accepted",
    };
    Some(format!(
        "The correct password was used for {}, but it is known from a breach of another service: {then}.",
        doing(refused.known())
    ))
}

/// Every kind is listed, so that a new one cannot be forgotten here.
fn told_of_reader(event: &AuditEvent, names: &Names) -> Option<Told> {
    use Detail::*;
    let project = || {
        event
            .project
            .and_then(|id| names.projects.get(&id))
            .map_or_else(
                || "a project".to_owned(),
                |name| format!("the project {name}"),
            )
    };
    match &event.detail {
        AccountCreated { .. } => calm("The account was created."),
        AccountDisabled { .. } => {
            alarming("The account was disabled: its credentials no longer work.")
        }
        AccountEnabled => calm("The account was enabled again."),
        AccountDeleted { .. } => alarming("The account was deleted."),
        AccountSecured { .. } => alarming(
            "“This wasn’t me”: every session was ended, every API token revoked and the password disabled.",
        ),
        PasswordSet { .. } => calm("A new password was set."),
        PasswordReset { .. } => alarming("A new password was set with a link sent by email."),
        PasswordResetRequested { .. } => calm("A link to set a new password was requested."),
        PasswordRehashed => None,
        PasswordDisabled { .. } => {
            alarming("The password was disabled: set a new one with a link sent by email.")
        }
        PasswordBreached { .. } => {
            alarming("The password was found in a known breach of another service.")
        }
        BreachCheckUnavailable { .. } => calm(
            "The password could not be checked against known breaches; it will be checked at the next login.",
        ),
        RegistrationRequested { .. } => {
            calm("Someone tried to register with an email address of this account.")
        }
        RegistrationDiscarded { .. } => {
            calm("A registration was discarded by the owner of its email address.")
        }
        TotpEnrolled { .. } => calm("A one-time password app was added as a second factor."),
        TotpRemoved => alarming("The one-time password app was removed."),
        RecoveryCodesGenerated { .. } => {
            calm("New recovery codes were generated; earlier ones stopped working.")
        }
        RecoveryCodesConfirmed { .. } => {
            calm("A recovery code was entered to confirm that the codes were saved.")
        }
        RecoveryCodeUsed { .. } => alarming("A recovery code was used."),
        KeyEnrolled { name, kind, .. } => calm(format!(
            "The {}{} was added.",
            key_in_words(kind.known()),
            quoted(name)
        )),
        KeyRenamed { name, .. } => calm(format!(
            "A security key or passkey was renamed to{}.",
            quoted(name)
        )),
        KeyRemoved { name, .. } => alarming(format!(
            "The {}{} was removed.",
            key_in_words(None),
            quoted(name)
        )),
        EmailAdded { address } => calm(format!("The email address {address} was added.")),
        EmailVerified { address } => calm(format!("The email address {address} was verified.")),
        EmailPromoted { address, .. } => alarming(format!(
            "The email address {address} became the primary one."
        )),
        EmailConverted { before, address } => calm(format!(
            "The email address {before} is now written {address}, as mail servers write it."
        )),
        EmailRemoved { address, .. } => calm(format!("The email address {address} was removed.")),
        StaffGranted { .. } => calm("The account was added to the registry's staff."),
        StaffRevoked => calm("The account was removed from the registry's staff."),
        DeviceUnrecognized { kind, .. } if *kind == DeviceKind::CommandLine => alarming(
            "Someone sent the password and a correct code from an unknown command line; we asked you by email whether it was you.",
        ),
        DeviceUnrecognized { .. } => alarming(
            "Someone with the password tried to log in from an unknown browser; we asked you by email whether it was you.",
        ),
        DeviceConfirmed { kind } if *kind == DeviceKind::CommandLine => {
            calm("A new command line was confirmed by email.")
        }
        DeviceConfirmed { .. } => calm("A new browser was confirmed by email."),
        DeviceForgotten { kind, host } => calm(match (kind.known(), host) {
            (Some(DeviceKind::CommandLine), Some(host)) if !host.is_empty() => format!(
                "The command line on {host} was forgotten: it has to be confirmed by email again."
            ),
            (Some(DeviceKind::CommandLine), _) => {
                "A command line was forgotten: it has to be confirmed by email again.".to_owned()
            }
            _ => "A browser was forgotten: it has to be confirmed by email again.".to_owned(),
        }),
        SessionStarted {
            method,
            second_factor,
            device,
            ..
        } => calm(logged_in(
            method.known(),
            second_factor.as_ref().and_then(Word::known),
            *device == LoginDevice::New,
        )),
        SessionSteppedUp { method, .. } => calm(match method.known() {
            Some(ConfirmedBy::Factor(factor)) => format!(
                "The second factor was confirmed again in a session, with {}.",
                factor_in_words(factor)
            ),
            Some(ConfirmedBy::Password) | None => {
                "The password was confirmed again in a session.".to_owned()
            }
        }),
        SessionEnded { which } => calm(match which {
            EndedSessions::AllBut { sessions: 1, .. } => "Another session was ended.".to_owned(),
            EndedSessions::AllBut { sessions, .. } => format!("{sessions} sessions were ended."),
            EndedSessions::One { own: true, .. } => "You logged out.".to_owned(),
            EndedSessions::One { own: false, .. } | EndedSessions::Replaced { .. } => {
                "A session was ended.".to_owned()
            }
        }),
        RecoveryStarted { .. } => alarming(
            "The registry's staff started to recover the account; the link in the mail about it stops the recovery.",
        ),
        RecoveryCancelled { .. } => calm("The recovery of the account was stopped."),
        RecoveryCompleted { .. } => alarming(
            "The account was recovered: its second factors were removed, and a link for a new password was sent by email.",
        ),
        MailRequested { what } => calm(match (what.mail(), what) {
            (Some(MailKind::EmailVerify), RequestedMail::To { address, .. }) => {
                format!("A mail with a link to verify the address was sent to {address}.")
            }
            (Some(MailKind::PasswordBreached), _) => {
                "A mail was sent: the password is known from a breach of another service."
                    .to_owned()
            }
            _ => "A mail was sent to an address of this account.".to_owned(),
        }),
        MailFailed { .. } => {
            alarming("A mail to an address of this account could not be delivered.")
        }
        AuthenticationSucceeded {
            method,
            second_factor,
            action,
            ..
        } => {
            let used = || token(event, names);
            authenticated(method.known(), second_factor, doing(action.known()), used)
        }
        AuthenticationFailed {
            method,
            second_factor,
            reason,
            action,
            ..
        } => match method.known() {
            Some(CredentialKind::ApiToken) => {
                token_failed(&token(event, names), reason, doing(action.known()))
            }
            Some(
                CredentialKind::None
                | CredentialKind::Session
                | CredentialKind::BasicPassword
                | CredentialKind::PublisherToken,
            )
            | None => {
                let factor = second_factor.as_ref().and_then(Word::known);
                failed(reason, factor, action.known())
            }
        },
        AuthenticationSetAside {
            method,
            reason,
            action,
            ..
        } => {
            let sent = || token(event, names);
            set_aside(method.known(), reason, doing(action.known()), sent)
        }
        RequestRefused {
            action,
            code,
            message,
            requires,
            credential,
            ..
        } => {
            let doing = doing(action.known());
            match credential.known() {
                Some(
                    CredentialKind::Session | CredentialKind::None | CredentialKind::PublisherToken,
                )
                | None => calm(match demand(requires, code) {
                    Some(demand) => format!("You were asked to {demand} before {doing}."),
                    None => format!(
                        "The rules of the registry did not allow {doing}{}",
                        because(message)
                    ),
                }),
                // Its owner must learn of a token that is used where policies do not permit tokens:
                // it may be in other hands.
                Some(CredentialKind::ApiToken) => alarming(format!(
                    "{} was used for {doing}, which was refused{}",
                    token(event, names),
                    because(message)
                )),
                Some(CredentialKind::BasicPassword) => alarming(format!(
                    "User name and password were used for {doing}, which was refused{}",
                    because(message)
                )),
            }
        }
        TokenCreated { description, .. } => {
            calm(format!("The API token{} was created.", quoted(description)))
        }
        TokenRevoked { description, .. } => {
            calm(format!("The API token{} was revoked.", quoted(description)))
        }
        RoleGranted { after, .. } => {
            calm(format!("You were given the role {after} in {}.", project()))
        }
        RoleRevoked { before, .. } => calm(format!(
            "You no longer have the role {before} in {}.",
            project()
        )),
        ProjectCreated { .. } => calm(format!("You created {}.", project())),
        ProjectConfigured { .. } => calm(format!("You changed the settings of {}.", project())),
        ProjectStatusChanged { after, .. } => calm(format!("You set {} to {after}.", project())),
        FileUploaded { file, .. } => calm(format!(
            "{file} was uploaded to {}{}.",
            project(),
            by_token(event, names)
        )),
        FileStaged { file, .. } => calm(format!(
            "{file} was uploaded to {}{} and waits to be published.",
            project(),
            by_token(event, names)
        )),
        ReleasePublished { version, .. } => calm(format!(
            "You published the release {version} of {}.",
            project()
        )),
        ReleaseRejected { version, .. } => calm(format!(
            "You rejected the release {version} of {}.",
            project()
        )),
        ReleaseYanked { version, .. } => calm(format!(
            "You yanked the release {version} of {}.",
            project()
        )),
        ReleaseUnyanked { version, .. } => calm(format!(
            "You took back the yank of the release {version} of {}.",
            project()
        )),
        ReleaseDeleted { version, .. } => calm(format!(
            "You deleted the release {version} of {}.",
            project()
        )),
        FileDeleted { version, .. } => calm(format!(
            "You deleted a file of the release {version} of {}.",
            project()
        )),
        ProjectDeleted { .. } => calm(format!("You deleted {}.", project())),
        PolicySetAdded { .. } => calm("You added a policy set."),
        PolicySetActivated { .. } => calm("You activated a policy set."),
        PolicySetRolledBack { .. } => calm("You rolled the policy set back."),
        PolicyModuleAdded => calm("You added a policy module."),
        RefusalsCounted { .. }
        | DecisionsCounted { .. }
        | AuthenticationsCounted { .. }
        | PolicySetFailed { .. }
        | OrphansSwept { .. } => None,
    }
}

/// What the reader did to another user.
fn told_of_another(event: &AuditEvent, names: &Names) -> Option<Told> {
    let project = || {
        event
            .project
            .and_then(|id| names.projects.get(&id))
            .map_or("a project", String::as_str)
    };
    match &event.detail {
        Detail::RoleGranted { user, after, .. } => calm(format!(
            "You gave {user} the role {after} in {}.",
            project()
        )),
        Detail::RoleRevoked { user, before } => calm(format!(
            "You removed the role {before} in {} from {user}.",
            project()
        )),
        Detail::AccountDisabled { .. } => calm("You disabled another account."),
        Detail::AccountEnabled => calm("You enabled another account."),
        Detail::StaffGranted { .. } => calm("You added another account to the registry's staff."),
        Detail::StaffRevoked => calm("You removed another account from the registry's staff."),
        Detail::RecoveryStarted { .. } => calm("You started the recovery of another account."),
        Detail::RecoveryCancelled { .. } => calm("You stopped the recovery of another account."),
        _ => None,
    }
}

/// Follows a noun; empty if there is no name.
fn quoted(name: &str) -> String {
    match name {
        "" => String::new(),
        name => format!(" “{name}”"),
    }
}

fn logged_in(method: Option<LoginMethod>, factor: Option<Factor>, is_new: bool) -> String {
    let how = match (method, factor) {
        (Some(LoginMethod::Passkey), _) => "by a passkey".to_owned(),
        (_, Some(factor)) => format!("by password and {}", factor_in_words(factor)),
        (_, None) => "by password alone".to_owned(),
    };
    let place = if is_new { ", from a new browser" } else { "" };
    format!("You logged in {how}{place}.")
}

fn authenticated(
    method: Option<CredentialKind>,
    second: &SecondStep,
    doing: &str,
    token: impl FnOnce() -> String,
) -> Option<Told> {
    match (method, second) {
        (Some(CredentialKind::ApiToken), _) => calm(format!("{} was used for {doing}.", token())),
        (Some(CredentialKind::BasicPassword), _) => {
            calm(format!("User name and password were used for {doing}."))
        }
        (_, SecondStep::Pending) => {
            calm("The correct password was entered; the second factor was requested.")
        }
        (_, SecondStep::Proven(Word::Known(factor))) => calm(format!(
            "Password and {} were used for {doing}.",
            factor_in_words(*factor)
        )),
        (_, SecondStep::Proven(Word::Other(_)) | SecondStep::None) => {
            calm(format!("The password was used for {doing}."))
        }
    }
}

fn token_failed(token: &str, reason: &str, doing: &str) -> Option<Told> {
    alarming(match reason {
        "revoked-token" => format!("{token}, which was revoked, was used for {doing}."),
        "disabled-user" => {
            format!("{token} was used for {doing} while the account was disabled.")
        }
        "invalid-caveat" => format!(
            "{token} was used for {doing}, with a restriction that cannot be read; it was not accepted."
        ),
        _ => format!("{token} was used for {doing} and not accepted."),
    })
}

fn failed(reason: &str, factor: Option<Factor>, action: Option<Action>) -> Option<Told> {
    let doing = doing(action);
    match reason {
        // Pages that were left open, not attempts.
        "login-finished-before" | "account-changed" | "no-pending-login" => {
            calm("A login was begun and not finished in time.")
        }
        "session-ended" => calm("A page of a session that had ended was used."),
        "breach-check-unavailable" => calm(
            "A login was postponed, because the password could not be checked against known breaches.",
        ),
        "too-many-attempts" | "too-many-codes" => alarming(format!(
            "There were too many failed attempts at {doing}; the next one has to wait."
        )),
        // Programs repeat themselves: such reads come from a machine's settings, not an attack.
        "password-not-accepted" => {
            let uploads = action == Some(Action::FileUpload);
            let to_do = if uploads {
                "to upload".to_owned()
            } else {
                format!("for {doing}")
            };
            let advice =
                "If that was a program of yours, take the password out of it and use an API token.";
            Some(Told {
                sentence: format!(
                    "Someone sent your user name with a password {to_do}; it was refused unread. {advice}"
                ),
                alarming: uploads,
            })
        }
        "too-many-device-mails" => alarming(
            "The correct password and second factor were used from an unknown browser; it was not let in, because too many mails about such browsers had been sent.",
        ),
        "device-unconfirmed" => alarming(format!(
            "The correct password and one-time code were used for {doing} from a command line that has not been confirmed yet; it was not let in."
        )),
        "too-many-command-line-mails" => alarming(format!(
            "The correct password and one-time code were used for {doing} from an unknown command line; it was not let in, because too many mails about such devices had been sent."
        )),
        "unreadable-totp-secret" => calm(format!(
            "The stored data of your one-time password app could not be read, so {doing} failed: tell the operators."
        )),
        "wrong-password" => alarming(format!("A wrong password was used for {doing}.")),
        "password-disabled" | "no-password" => alarming(format!(
            "A password was used for {doing}, although the account has no valid one."
        )),
        "disabled-user" => alarming(format!(
            "Someone tried {doing} while the account was disabled."
        )),
        "code-used-before" => alarming(format!(
            "A one-time code that had already been used was sent for {doing}."
        )),
        "no-code" => alarming(format!(
            "The correct password was used for {doing}, and no one-time code."
        )),
        "key-counter-went-back" => alarming(format!(
            "A security key or passkey was not accepted for {doing}: its counter went backwards, as it does when a key was copied. Remove the key if you know of no copy."
        )),
        "busy" | "unavailable" => calm(format!(
            "Because of a fault of the registry, {doing} failed."
        )),
        _ => alarming(match factor {
            Some(Factor::Webauthn) => match reason {
                "no-keys" | "key-unknown" | "key-of-another-user" => format!(
                    "A security key or passkey that is none of this account was used for {doing}."
                ),
                "key-challenge-unknown" | "key-wrong-challenge" => {
                    format!("A security key or passkey was used too late, or twice, for {doing}.")
                }
                "key-wrong-origin"
                | "key-challenge-elsewhere"
                | "key-cross-origin"
                | "key-wrong-registry" => {
                    format!(
                        "A security key or passkey was used for {doing}, but on another site or in another browser than where it was asked for."
                    )
                }
                "key-is-no-passkey" => {
                    format!("A security key that is no passkey was used for {doing}.")
                }
                _ => format!("A security key or passkey was not accepted for {doing}."),
            },
            Some(Factor::RecoveryCode) => {
                format!("A wrong recovery code was used for {doing}.")
            }
            Some(Factor::Totp) => format!("A wrong one-time code was used for {doing}."),
            None if reason == "wrong-code" => {
                format!("A wrong one-time code was used for {doing}.")
            }
            None => format!("Someone failed at {doing}."),
        }),
    }
}

/// A credential that came with a read open to everyone, and made no difference to it.
fn set_aside(
    method: Option<CredentialKind>,
    reason: &str,
    doing: &str,
    token: impl FnOnce() -> String,
) -> Option<Told> {
    match method {
        Some(CredentialKind::ApiToken) => match reason {
            // Anyone else who has it may try it elsewhere.
            "revoked-token" => alarming(format!(
                "{}, which was revoked, was sent for {doing}, which needs no token.",
                token()
            )),
            "disabled-user" => alarming(format!(
                "{} was sent for {doing}, which needs no token, while the account was disabled.",
                token()
            )),
            _ => calm(format!(
                "{} was sent for {doing}, which needs no token.",
                token()
            )),
        },
        Some(CredentialKind::BasicPassword) => calm(format!(
            "Someone sent your user name with a password for {doing}, which needs neither; nobody looked whether it is right. \
             If that was a program of yours, take the password out of it."
        )),
        Some(CredentialKind::None | CredentialKind::Session | CredentialKind::PublisherToken)
        | None => calm(format!(
            "What was sent for {doing} made no difference: everybody may do that."
        )),
    }
}

/// In the words that the refused caller read, too; none in old events.
fn because(message: &str) -> String {
    match message {
        "" => ".".to_owned(),
        message => format!(": {message}"),
    }
}

/// What must be done first, if anything can be.
fn demand(requires: &[Word<Demand>], code: &str) -> Option<&'static str> {
    let demands = |demand: Demand| requires.iter().any(|word| *word == demand);
    if demands(Demand::EnrolledSecondFactor) {
        Some("add a second factor")
    } else if demands(Demand::VerifiedEmail) {
        Some("verify an email address")
    } else if demands(Demand::SecondFactorWithin) || code == "recent-second-factor-required" {
        Some("confirm your second factor again")
    } else if demands(Demand::PasswordWithin) || code == "recent-password-required" {
        Some("enter your password again")
    } else {
        None
    }
}

fn token(event: &AuditEvent, names: &Names) -> String {
    match token_of(event).and_then(|id| names.tokens.get(&id)) {
        Some(description) => format!("The API token “{description}”"),
        None => "An API token of yours".to_owned(),
    }
}

fn by_token(event: &AuditEvent, names: &Names) -> String {
    match token_of(event).and_then(|id| names.tokens.get(&id)) {
        Some(description) => format!(" with the API token “{description}”"),
        None => String::new(),
    }
}

fn factor_in_words(factor: Factor) -> &'static str {
    match factor {
        Factor::Totp => "a one-time code",
        Factor::Webauthn => "a security key or passkey",
        Factor::RecoveryCode => "a recovery code",
    }
}

fn key_in_words(kind: Option<KeyKind>) -> &'static str {
    match kind {
        Some(KeyKind::Passkey) => "passkey",
        Some(KeyKind::SecurityKey) => "security key",
        None => "security key or passkey",
    }
}

/// The attempted action, as a noun.
fn doing(action: Option<Action>) -> &'static str {
    action.map_or("an action", Action::doing)
}

#[cfg(test)]
mod tests {
    use model::Timestamp;
    use serde_json::{Value, json};

    use super::*;

    fn event(kind: EventKind, user: UserId, detail: Value) -> AuditEvent {
        let actor = Actor::Caller {
            user: Some(user),
            token: None,
            remote_address: "192.0.2.1".into(),
            user_agent: "test".into(),
        };
        AuditEvent::new(Timestamp(0), actor, Detail::read(kind, &detail)).about(user)
    }

    fn publisher() -> Actor {
        Actor::Publisher {
            publisher: uuid::Uuid::nil(),
            provider: "github".into(),
            subject: "repository=ana/sample workflow=release.yml".into(),
            token: None,
            remote_address: "192.0.2.1".into(),
            user_agent: "twine".into(),
        }
    }

    fn nothing() -> Names {
        Names {
            tokens: HashMap::new(),
            projects: HashMap::new(),
        }
    }

    #[test]
    fn every_sentence_is_one_whatever_is_missing() {
        let user = UserId::new();
        for &kind in EventKind::ALL {
            if let Some(Told { sentence, .. }) =
                told(user, &event(kind, user, json!({})), &nothing())
            {
                assert!(
                    sentence.ends_with('.')
                        && sentence.starts_with(
                            |first: char| first.is_uppercase() || !first.is_alphabetic()
                        ),
                    "{kind}: {sentence}"
                );
            }
        }
    }

    #[test]
    fn what_a_person_should_look_at_twice_is_alarming() {
        let (user, token) = (UserId::new(), TokenId::new());
        let names = Names {
            tokens: HashMap::from([(token, "laptop".to_owned())]),
            projects: HashMap::new(),
        };
        let refused = |credential| json!({ "action": "token:create", "code": "token-not-accepted", "message": "Tokens make no tokens.", "credential": credential });
        let mut with_token = event(EventKind::RequestRefused, user, refused("api-token"));
        with_token.actor = Actor::Caller {
            user: Some(user),
            token: Some(token),
            remote_address: String::new(),
            user_agent: String::new(),
        };
        let wrong = |reason, factor: Option<&str>| json!({ "action": "session:start", "method": "session", "reason": reason, "second-factor": factor });
        for (event, is_alarming, expected) in [
            (
                with_token,
                true,
                "The API token “laptop” was used for creating an API token, which was refused: Tokens make no tokens.",
            ),
            (
                event(EventKind::RequestRefused, user, refused("session")),
                false,
                "The rules of the registry did not allow creating an API token: Tokens make no tokens.",
            ),
            (
                event(
                    EventKind::AuthenticationFailed,
                    user,
                    json!({ "action": "file:upload", "method": "basic-password", "reason": "password-not-accepted" }),
                ),
                true,
                "Someone sent your user name with a password to upload; it was refused unread. \
                 If that was a program of yours, take the password out of it and use an API token.",
            ),
            (
                event(
                    EventKind::AuthenticationFailed,
                    user,
                    wrong("wrong-password", None),
                ),
                true,
                "A wrong password was used for logging in.",
            ),
            (
                event(
                    EventKind::AuthenticationFailed,
                    user,
                    wrong("unknown-code", Some("recovery-code")),
                ),
                true,
                "A wrong recovery code was used for logging in.",
            ),
            (
                event(
                    EventKind::AuthenticationFailed,
                    user,
                    wrong("code-used-before", Some("totp")),
                ),
                true,
                "A one-time code that had already been used was sent for logging in.",
            ),
            (
                event(
                    EventKind::AuthenticationFailed,
                    user,
                    wrong("key-counter-went-back", Some("webauthn")),
                ),
                true,
                "A security key or passkey was not accepted for logging in: its counter went backwards, as it does when a key was copied. Remove the key if you know of no copy.",
            ),
            (
                event(
                    EventKind::SessionStarted,
                    user,
                    json!({ "method": "password", "second-factor": "totp", "device": "new" }),
                ),
                false,
                "You logged in by password and a one-time code, from a new browser.",
            ),
            (
                event(
                    EventKind::SessionStarted,
                    user,
                    json!({ "method": "passkey", "second-factor": "webauthn" }),
                ),
                false,
                "You logged in by a passkey.",
            ),
            (
                event(
                    EventKind::SessionEnded,
                    user,
                    json!({ "session": "0195", "own": true }),
                ),
                false,
                "You logged out.",
            ),
            (
                event(
                    EventKind::SessionEnded,
                    user,
                    json!({ "session": "0195", "own": false }),
                ),
                false,
                "A session was ended.",
            ),
            (
                event(EventKind::TotpRemoved, user, json!({})),
                true,
                "The one-time password app was removed.",
            ),
        ] {
            assert_eq!(
                told(user, &event, &names),
                Some(Told {
                    sentence: expected.to_owned(),
                    alarming: is_alarming
                })
            );
        }
    }

    #[test]
    fn who_else_did_it_is_told() {
        let user = UserId::new();
        let by = |actor| {
            by_whom(
                user,
                &AuditEvent {
                    actor,
                    ..event(EventKind::TotpRemoved, user, json!({}))
                },
            )
        };
        let caller = |by| Actor::Caller {
            user: by,
            token: None,
            remote_address: String::new(),
            user_agent: String::new(),
        };
        assert!(
            by(caller(Some(UserId::new())))
                .ends_with("Another person with the right to do so did this.")
        );
        assert!(
            by(Actor::CommandLine {
                system_user: "root".into()
            })
            .ends_with("An operator of the registry did this.")
        );
        assert_eq!(
            by(publisher()),
            " A trusted publisher did this: repository=ana/sample workflow=release.yml of github."
        );
        assert_eq!(by(caller(Some(user))), by(caller(None)));
    }

    #[test]
    fn of_another_account_only_ones_own_doing_is_told() {
        let (reader, other) = (UserId::new(), UserId::new());
        let of_other = |kind| {
            told(
                reader,
                &AuditEvent {
                    user: Some(other),
                    ..event(kind, reader, json!({ "user": "ben", "after": "owner" }))
                },
                &nothing(),
            )
        };
        assert_eq!(
            of_other(EventKind::RoleGranted).unwrap().sentence,
            "You gave ben the role owner in a project."
        );
        assert_eq!(of_other(EventKind::PasswordSet), None);
    }
}
