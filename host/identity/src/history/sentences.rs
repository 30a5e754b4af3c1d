//! A sentence for each kind of event.

use std::collections::HashMap;

use model::audit::{Actor, AuditEvent, EventKind};
use model::{Action, CredentialKind, Factor, ProjectId, TokenId, UserId};

/// The mail about a password that is known from a breach, as in events.
const BREACH_MAIL: &str = "password-breached";

/// What the things in events are called.
pub(super) struct Names {
    /// Descriptions of the reader's own tokens, revoked ones too.
    pub(super) tokens: HashMap<TokenId, String>,
    pub(super) projects: HashMap<ProjectId, String>,
}

/// What is told of an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) sentence: String,
    pub(super) alarming: bool,
}

fn calm(sentence: impl Into<String>) -> Option<Told> {
    Some(Told { sentence: sentence.into(), alarming: false })
}

fn alarming(sentence: impl Into<String>) -> Option<Told> {
    Some(Told { sentence: sentence.into(), alarming: true })
}

/// The token that an event is about, or that was used.
pub(super) fn token_of(event: &AuditEvent) -> Option<TokenId> {
    match &event.actor {
        Actor::Caller { token: Some(token), .. } => Some(*token),
        _ => event.detail["token"].as_str().and_then(|text| text.parse().ok()),
    }
}

/// What the reader is told of an event that is about them, or that they caused; none for
/// what concerns operators alone.
pub(super) fn told(reader: UserId, event: &AuditEvent, names: &Names) -> Option<Told> {
    if event.user.is_some_and(|user| user != reader) {
        return told_of_another(event, names);
    }
    told_of_reader(event, names)
}

/// What is said of who did it, where that was somebody else; to stand behind the sentences.
pub(super) fn by_whom(reader: UserId, event: &AuditEvent) -> &'static str {
    match &event.actor {
        _ if event.user.is_some_and(|user| user != reader) => "",
        Actor::Caller { user: Some(by), .. } if *by != reader => " Another person did this, who may.",
        Actor::CommandLine { .. } => " An operator of the registry did this.",
        // The reader, or what the sentence says already.
        Actor::Caller { .. } | Actor::System => "",
    }
}

/// The one sentence for a right password that is known from a breach: of what the registry
/// noted, did and answered then.
pub(super) fn breached(events: &[&AuditEvent]) -> Option<String> {
    let is_there = |kind| events.iter().any(|event| event.kind == kind);
    let refused = events.iter().find(|event| event.kind == EventKind::RequestRefused)?;
    let is_mailed = events.iter().any(|event| event.kind == EventKind::MailRequested && event.detail["mail"] == BREACH_MAIL);
    let is_disabled = is_there(EventKind::PasswordDisabled);
    if !is_there(EventKind::PasswordBreached) && !(is_disabled && is_mailed) {
        return None;
    }
    let then = match (is_disabled, is_mailed) {
        (true, true) => "it was disabled, and a mail tells how to set a new one",
        (true, false) => "it was disabled, and you can set a new one through a mailed link",
        (false, _) => "it was not accepted",
    };
    Some(format!("The right password was given for {}, but it is known from a breach of another service: {then}.", doing(&refused.detail)))
}

/// Every kind is named, so that a new one is thought of here.
fn told_of_reader(event: &AuditEvent, names: &Names) -> Option<Told> {
    use EventKind::*;
    let detail = &event.detail;
    let word = |key: &str| detail[key].as_str().unwrap_or_default();
    let quoted = |key: &str| detail[key].as_str().filter(|text| !text.is_empty()).map(|text| format!(" “{text}”")).unwrap_or_default();
    let project = || event.project.and_then(|id| names.projects.get(&id)).map_or_else(|| "a project".to_owned(), |name| format!("the project {name}"));
    match event.kind {
        AccountCreated => calm("The account was created."),
        AccountDisabled => alarming("The account was disabled: no credential of it counts any more."),
        AccountEnabled => calm("The account was enabled again."),
        AccountDeleted => alarming("The account was deleted."),
        AccountSecured => alarming("“This wasn’t me”: every session was ended, every API token revoked and the password disabled."),
        PasswordSet => calm("A new password was set."),
        PasswordReset => alarming("A new password was set through a mailed link."),
        PasswordResetRequested => calm("A link to set a new password was asked for."),
        PasswordRehashed => None,
        PasswordDisabled => alarming("The password was disabled: set a new one through a mailed link."),
        PasswordBreached => alarming("The password was found in a known breach of another service."),
        BreachCheckUnavailable => calm("The password could not be looked for in known breaches; that is done at the next login."),
        RegistrationRequested => calm("Somebody tried to register with an e-mail address of this account."),
        RegistrationDiscarded => calm("A registration was discarded by the owner of its e-mail address."),
        TotpEnrolled => calm("A one-time password app was added as a second factor."),
        TotpRemoved => alarming("The one-time password app was removed."),
        RecoveryCodesGenerated => calm("New recovery codes were generated; earlier ones stopped working."),
        RecoveryCodesConfirmed => calm("A recovery code was used to show that the codes were kept."),
        RecoveryCodeUsed => alarming("A recovery code was used."),
        KeyEnrolled => calm(format!("The {}{} was added.", key_in_words(word("kind")), quoted("name"))),
        KeyRenamed => calm(format!("A security key or passkey was renamed to{}.", quoted("name"))),
        KeyRemoved => alarming(format!("The {}{} was removed.", key_in_words(word("kind")), quoted("name"))),
        EmailAdded => calm(format!("The e-mail address {} was added.", word("address"))),
        EmailVerified => calm(format!("The e-mail address {} was verified.", word("address"))),
        EmailPromoted => alarming(format!("The e-mail address {} became the primary one.", word("address"))),
        EmailConverted => calm(format!("The e-mail address {} is now written {}, as mail servers write it.", word("before"), word("address"))),
        EmailRemoved => calm(format!("The e-mail address {} was removed.", word("address"))),
        StaffGranted => calm("The account became one of the registry's staff."),
        StaffRevoked => calm("The account is no longer one of the registry's staff."),
        DeviceUnrecognized if word("kind") == "command-line" => {
            alarming("Somebody sent the password and a right code from a command line that was never seen; a mail asked whether it was you.")
        }
        DeviceUnrecognized => alarming("Somebody with the password tried to log in from a browser that was never seen; a mail asked whether it was you."),
        DeviceConfirmed if word("kind") == "command-line" => calm("A new command line was confirmed by mail."),
        DeviceConfirmed => calm("A new browser was confirmed by mail."),
        DeviceForgotten => calm(match (word("kind"), word("host")) {
            ("command-line", "") => "A command line was forgotten: it has to be confirmed by mail again.".to_owned(),
            ("command-line", host) => format!("The command line on {host} was forgotten: it has to be confirmed by mail again."),
            _ => "A browser was forgotten: it has to be confirmed by mail again.".to_owned(),
        }),
        SessionStarted => calm(logged_in(word("method"), factor(word("second-factor")), word("device") == "new")),
        SessionSteppedUp => calm(match factor(word("method")) {
            Some(factor) => format!("The second factor was proven again in a session, by {}.", factor_in_words(factor)),
            None => "The password was proven again in a session.".to_owned(),
        }),
        SessionEnded => calm(match detail["sessions"].as_u64() {
            Some(1) => "Another session was ended.".to_owned(),
            Some(sessions) => format!("{sessions} sessions were ended."),
            None if detail["own"] == true => "You logged out.".to_owned(),
            None => "A session was ended.".to_owned(),
        }),
        RecoveryStarted => alarming("The registry's staff began to recover the account; whoever does not want that can stop it by the mailed link."),
        RecoveryCancelled => calm("The recovery of the account was stopped."),
        RecoveryCompleted => alarming("The account was recovered: its second factors were removed and a link for a new password was mailed."),
        MailRequested => calm(match word("mail") {
            "email-verify" => format!("A mail with a link was sent to {}, to show that this address is yours.", word("address")),
            BREACH_MAIL => "A mail was sent: the password is known from a breach of another service.".to_owned(),
            _ => "A mail was sent to an address of this account.".to_owned(),
        }),
        MailFailed => alarming("A mail to an address of this account could not be delivered."),
        AuthenticationSucceeded => authenticated(event, names),
        AuthenticationFailed => failed(event, names),
        RequestRefused => refused(event, names),
        TokenCreated => calm(format!("The API token{} was made.", quoted("description"))),
        TokenRevoked => calm(format!("The API token{} was revoked.", quoted("description"))),
        RoleGranted => calm(format!("You got the role {} in {}.", word("after"), project())),
        RoleRevoked => calm(format!("You lost the role {} in {}.", word("before"), project())),
        ProjectCreated => calm(format!("You created {}.", project())),
        ProjectConfigured => calm(format!("You changed the settings of {}.", project())),
        ProjectStatusChanged => calm(format!("You set {} to {}.", project(), word("after"))),
        FileUploaded => calm(format!("{} was uploaded to {}{}.", word("file"), project(), by_token(event, names))),
        FileStaged => calm(format!("{} was uploaded to {}{} and waits to be published.", word("file"), project(), by_token(event, names))),
        ReleasePublished => calm(format!("You published the release {} of {}.", word("version"), project())),
        ReleaseRejected => calm(format!("You rejected the release {} of {}.", word("version"), project())),
        PolicySetAdded => calm("You added a policy set."),
        PolicySetActivated => calm("You activated a policy set."),
        PolicySetRolledBack => calm("You rolled the policy set back."),
        PolicyModuleAdded => calm("You added a policy module."),
        RefusalsCounted | DecisionsCounted | AuthenticationsCounted | PolicySetFailed | OrphansSwept => None,
    }
}

/// What the reader did to somebody else.
fn told_of_another(event: &AuditEvent, names: &Names) -> Option<Told> {
    let word = |key: &str| event.detail[key].as_str().unwrap_or_default();
    let project = || event.project.and_then(|id| names.projects.get(&id)).map_or("a project", String::as_str);
    match event.kind {
        EventKind::RoleGranted => calm(format!("You gave {} the role {} in {}.", word("user"), word("after"), project())),
        EventKind::RoleRevoked => calm(format!("You took the role {} in {} from {}.", word("before"), project(), word("user"))),
        EventKind::AccountDisabled => calm("You disabled another account."),
        EventKind::AccountEnabled => calm("You enabled another account."),
        EventKind::StaffGranted => calm("You made another account one of the registry's staff."),
        EventKind::StaffRevoked => calm("You took another account from the registry's staff."),
        EventKind::RecoveryStarted => calm("You began the recovery of another account."),
        EventKind::RecoveryCancelled => calm("You stopped the recovery of another account."),
        _ => None,
    }
}

fn logged_in(method: &str, factor: Option<Factor>, is_new: bool) -> String {
    let how = match (method, factor) {
        ("passkey", _) => "by a passkey".to_owned(),
        (_, Some(factor)) => format!("by password and {}", factor_in_words(factor)),
        (_, None) => "by password alone".to_owned(),
    };
    let place = if is_new { ", from a browser that was not known before" } else { "" };
    format!("You logged in {how}{place}.")
}

fn authenticated(event: &AuditEvent, names: &Names) -> Option<Told> {
    let doing = doing(&event.detail);
    let method = event.detail["method"].as_str().and_then(CredentialKind::from_word);
    match (method, event.detail["second-factor"].as_str()) {
        (Some(CredentialKind::ApiToken), _) => calm(format!("{} was used for {doing}.", token(event, names))),
        (Some(CredentialKind::BasicPassword), _) => calm(format!("User name and password were used for {doing}.")),
        (_, Some("pending")) => calm("The right password was given to log in; the second factor was asked for."),
        (_, Some(word)) => match factor(word) {
            Some(factor) => calm(format!("Password and {} were given for {doing}.", factor_in_words(factor))),
            None => calm(format!("The password was given for {doing}.")),
        },
        (_, None) => calm(format!("The password was given for {doing}.")),
    }
}

fn failed(event: &AuditEvent, names: &Names) -> Option<Told> {
    let doing = doing(&event.detail);
    let reason = event.detail["reason"].as_str().unwrap_or_default();
    match event.detail["method"].as_str().and_then(CredentialKind::from_word) {
        Some(CredentialKind::ApiToken) => {
            return alarming(match reason {
                "revoked-token" => format!("{}, which was revoked, was used for {doing}.", token(event, names)),
                "disabled-user" => format!("{} was used for {doing} while the account was disabled.", token(event, names)),
                "invalid-caveat" => format!("{} was used for {doing}, with a restriction that cannot be read; it was not accepted.", token(event, names)),
                _ => format!("{} was used for {doing} and not accepted.", token(event, names)),
            });
        }
        Some(CredentialKind::None | CredentialKind::Session | CredentialKind::BasicPassword | CredentialKind::PublisherToken) | None => {}
    }
    match reason {
        // Pages that were left open, not attempts of anybody.
        "login-finished-before" | "account-changed" | "no-pending-login" => calm("A login was begun and not finished in time."),
        "session-ended" => calm("A page of a session that had ended was used."),
        "breach-check-unavailable" => calm("A login was put off, since the password could not be looked for in known breaches."),
        "too-many-attempts" | "too-many-codes" => alarming(format!("There were too many failed attempts at {doing}; whoever it is has to wait.")),
        // Programs repeat themselves: what reads the index so is a machine's settings, not an attack.
        "password-not-accepted" => {
            let uploads = event.detail["action"] == Action::FileUpload.as_str();
            let to_do = if uploads { "to upload".to_owned() } else { format!("for {doing}") };
            let advice = "If that was a program of yours, take the password out of it and use an API token.";
            Some(Told { sentence: format!("Somebody sent your user name with a password {to_do}; it was refused unread. {advice}"), alarming: uploads })
        }
        "too-many-device-mails" => alarming(
            "The right password and second factor were given from a browser that was never seen; it was not let in, since too many mails about such browsers had been sent.",
        ),
        "device-unconfirmed" => {
            alarming(format!("The right password and one-time code were given for {doing} from a command line that waits to be confirmed; it was not let in."))
        }
        "too-many-command-line-mails" => alarming(format!(
            "The right password and one-time code were given for {doing} from a command line that was never seen; it was not let in, since too many mails about such devices had been sent."
        )),
        "unreadable-totp-secret" => calm(format!("What is kept of your one-time password app could not be read, so {doing} failed: tell the operators.")),
        "wrong-password" => alarming(format!("A wrong password was given for {doing}.")),
        "password-disabled" | "no-password" => alarming(format!("A password was given for {doing}, although the account has none that counts.")),
        "disabled-user" => alarming(format!("Somebody tried {doing} while the account was disabled.")),
        "code-used-before" => alarming(format!("A one-time code that had been used before was given for {doing}.")),
        "no-code" => alarming(format!("The right password was given for {doing}, and no one-time code.")),
        "key-counter-went-back" => alarming(format!(
            "A security key or passkey was not accepted for {doing}: its counter went back, as that of a copy would. Remove it if you know of none."
        )),
        "busy" | "unavailable" => calm(format!("Because of a fault of the registry, {doing} failed.")),
        _ => alarming(match event.detail["second-factor"].as_str().and_then(factor) {
            Some(Factor::Webauthn) => match reason {
                "no-keys" | "key-unknown" | "key-of-another-user" => format!("A security key or passkey that is none of this account was used for {doing}."),
                "key-challenge-unknown" | "key-wrong-challenge" => format!("A security key or passkey was used too late, or twice, for {doing}."),
                "key-wrong-origin" | "key-challenge-elsewhere" | "key-cross-origin" | "key-wrong-registry" => {
                    format!("A security key or passkey was used for {doing}, but on another site or in another browser than where it was asked for.")
                }
                "key-is-no-passkey" => format!("A security key that is no passkey was used for {doing}."),
                _ => format!("A security key or passkey was not accepted for {doing}."),
            },
            Some(Factor::RecoveryCode) => format!("A wrong recovery code was given for {doing}."),
            Some(Factor::Totp) => format!("A wrong one-time code was given for {doing}."),
            None if reason == "wrong-code" => format!("A wrong one-time code was given for {doing}."),
            None => format!("Somebody failed at {doing}."),
        }),
    }
}

/// A token where policies do not want it is what its owner must hear of: it may be in other
/// hands.
fn refused(event: &AuditEvent, names: &Names) -> Option<Told> {
    let doing = doing(&event.detail);
    // In the words that the one who was refused read, too; none in old events.
    let why = event.detail["message"].as_str().filter(|message| !message.is_empty()).map_or_else(|| ".".to_owned(), |message| format!(": {message}"));
    match event.detail["credential"].as_str().and_then(CredentialKind::from_word) {
        Some(CredentialKind::ApiToken) => alarming(format!("{} was used for {doing}, which was refused{why}", token(event, names))),
        Some(CredentialKind::BasicPassword) => alarming(format!("User name and password were used for {doing}, which was refused{why}")),
        Some(CredentialKind::Session | CredentialKind::None | CredentialKind::PublisherToken) | None => calm(match demand(&event.detail) {
            Some(demand) => format!("You were asked to {demand} before {doing}."),
            None => format!("The rules of the registry did not allow {doing}{why}"),
        }),
    }
}

/// What has to be done first, where something can be.
fn demand(detail: &serde_json::Value) -> Option<&'static str> {
    let demanded: Vec<&str> = detail["requires"].as_array().map(|words| words.iter().filter_map(|word| word.as_str()).collect()).unwrap_or_default();
    let demands = |word: &str| demanded.contains(&word);
    if demands("enrolled-second-factor") {
        Some("add a second factor")
    } else if demands("verified-email") {
        Some("verify an e-mail address")
    } else if demands("second-factor-within") || detail["code"] == "recent-second-factor-required" {
        Some("prove your second factor again")
    } else if demands("password-within") || detail["code"] == "recent-password-required" {
        Some("give your password again")
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

fn factor(word: &str) -> Option<Factor> {
    Factor::from_word(word)
}

fn factor_in_words(factor: Factor) -> &'static str {
    match factor {
        Factor::Totp => "a one-time code",
        Factor::Webauthn => "a security key or passkey",
        Factor::RecoveryCode => "a recovery code",
    }
}

fn key_in_words(kind: &str) -> &'static str {
    match kind {
        "passkey" => "passkey",
        "security-key" => "security key",
        _ => "security key or passkey",
    }
}

/// What was attempted, as a noun.
fn doing(detail: &serde_json::Value) -> &'static str {
    let Some(action) = detail["action"].as_str().and_then(|text| text.parse::<Action>().ok()) else { return "an action" };
    match action {
        Action::IndexRead => "reading the index",
        Action::FileDownload => "downloading a file",
        Action::FileUpload => "uploading a file",
        Action::FileDelete => "deleting a file",
        Action::ReleasePreview => "looking at a staged release",
        Action::ReleasePublish => "publishing a release",
        Action::ReleaseReject => "rejecting a staged release",
        Action::ReleaseYank => "yanking a release",
        Action::ReleaseUnyank => "taking back the yanking of a release",
        Action::ReleaseDelete => "deleting a release",
        Action::ProjectCreate => "creating a project",
        Action::ProjectManage => "managing a project",
        Action::ProjectConfigure => "changing a project's settings",
        Action::ProjectArchive => "archiving a project",
        Action::ProjectUnarchive => "taking a project out of the archive",
        Action::ProjectTransfer => "handing over a project",
        Action::ProjectDelete => "deleting a project",
        Action::RoleGrant => "giving somebody a role",
        Action::RoleAccept => "accepting a role",
        Action::RoleRevoke => "taking a role from somebody",
        Action::TokenCreate => "making an API token",
        Action::TokenList => "listing API tokens",
        Action::TokenRevoke => "revoking an API token",
        Action::TokenMint => "minting a short-lived token",
        Action::PublisherAdd => "adding a trusted publisher",
        Action::PublisherRemove => "removing a trusted publisher",
        Action::AccountCreate => "creating an account",
        Action::AccountRead => "reading the account",
        Action::AccountUpdate => "changing the account",
        Action::AccountDelete => "deleting the account",
        Action::AccountRecover => "recovering an account",
        Action::EmailAdd => "adding an e-mail address",
        Action::EmailVerify => "following a mailed link",
        Action::EmailPromote => "choosing another primary e-mail address",
        Action::EmailRemove => "removing an e-mail address",
        Action::PasswordChange => "changing the password",
        Action::PasswordReset => "setting a new password by mail",
        Action::FactorEnroll => "adding a second factor",
        Action::FactorRemove => "removing a second factor",
        Action::RecoveryCodesGenerate => "generating recovery codes",
        Action::SessionStart => "logging in",
        Action::SessionStepUp => "proving again who you are",
        Action::SessionList => "listing sessions",
        Action::SessionEnd => "ending a session",
        Action::PolicySetRead => "reading the policy set",
        Action::PolicySetActivate => "activating a policy set",
        Action::DecisionRead => "reading decisions",
        Action::AuditRead => "reading the audit log",
    }
}

#[cfg(test)]
mod tests {
    use model::Timestamp;
    use serde_json::{Value, json};

    use super::*;

    fn event(kind: EventKind, user: UserId, detail: Value) -> AuditEvent {
        let actor = Actor::Caller { user: Some(user), token: None, remote_address: "192.0.2.1".into(), user_agent: "test".into() };
        AuditEvent { at: Timestamp(0), kind, actor, user: Some(user), project: None, decision: None, detail }
    }

    fn nothing() -> Names {
        Names { tokens: HashMap::new(), projects: HashMap::new() }
    }

    #[test]
    fn every_sentence_is_one_whatever_is_missing() {
        let user = UserId::new();
        for &kind in EventKind::ALL {
            if let Some(Told { sentence, .. }) = told(user, &event(kind, user, json!({})), &nothing()) {
                assert!(sentence.ends_with('.') && sentence.starts_with(|first: char| first.is_uppercase() || !first.is_alphabetic()), "{kind}: {sentence}");
            }
        }
    }

    #[test]
    fn what_a_person_should_look_at_twice_is_alarming() {
        let (user, token) = (UserId::new(), TokenId::new());
        let names = Names { tokens: HashMap::from([(token, "laptop".to_owned())]), projects: HashMap::new() };
        let refused =
            |credential| json!({ "action": "token:create", "code": "token-not-accepted", "message": "Tokens make no tokens.", "credential": credential });
        let mut with_token = event(EventKind::RequestRefused, user, refused("api-token"));
        with_token.actor = Actor::Caller { user: Some(user), token: Some(token), remote_address: String::new(), user_agent: String::new() };
        let wrong = |reason, factor: Option<&str>| json!({ "action": "session:start", "method": "session", "reason": reason, "second-factor": factor });
        for (event, is_alarming, expected) in [
            (with_token, true, "The API token “laptop” was used for making an API token, which was refused: Tokens make no tokens."),
            (
                event(EventKind::RequestRefused, user, refused("session")),
                false,
                "The rules of the registry did not allow making an API token: Tokens make no tokens.",
            ),
            (
                event(EventKind::AuthenticationFailed, user, json!({ "action": "file:upload", "method": "basic-password", "reason": "password-not-accepted" })),
                true,
                "Somebody sent your user name with a password to upload; it was refused unread. \
                 If that was a program of yours, take the password out of it and use an API token.",
            ),
            (event(EventKind::AuthenticationFailed, user, wrong("wrong-password", None)), true, "A wrong password was given for logging in."),
            (
                event(EventKind::AuthenticationFailed, user, wrong("unknown-code", Some("recovery-code"))),
                true,
                "A wrong recovery code was given for logging in.",
            ),
            (
                event(EventKind::AuthenticationFailed, user, wrong("code-used-before", Some("totp"))),
                true,
                "A one-time code that had been used before was given for logging in.",
            ),
            (
                event(EventKind::AuthenticationFailed, user, wrong("key-counter-went-back", Some("webauthn"))),
                true,
                "A security key or passkey was not accepted for logging in: its counter went back, as that of a copy would. Remove it if you know of none.",
            ),
            (
                event(EventKind::SessionStarted, user, json!({ "method": "password", "second-factor": "totp", "device": "new" })),
                false,
                "You logged in by password and a one-time code, from a browser that was not known before.",
            ),
            (event(EventKind::SessionStarted, user, json!({ "method": "passkey", "second-factor": "webauthn" })), false, "You logged in by a passkey."),
            (event(EventKind::SessionEnded, user, json!({ "session": "0195", "own": true })), false, "You logged out."),
            (event(EventKind::SessionEnded, user, json!({ "session": "0195", "own": false })), false, "A session was ended."),
            (event(EventKind::TotpRemoved, user, json!({})), true, "The one-time password app was removed."),
        ] {
            assert_eq!(told(user, &event, &names), Some(Told { sentence: expected.to_owned(), alarming: is_alarming }));
        }
    }

    #[test]
    fn who_else_did_it_is_told() {
        let user = UserId::new();
        let by = |actor| by_whom(user, &AuditEvent { actor, ..event(EventKind::TotpRemoved, user, json!({})) });
        let caller = |by| Actor::Caller { user: by, token: None, remote_address: String::new(), user_agent: String::new() };
        assert!(by(caller(Some(UserId::new()))).ends_with("Another person did this, who may."));
        assert!(by(Actor::CommandLine { system_user: "root".into() }).ends_with("An operator of the registry did this."));
        assert_eq!(by(caller(Some(user))), by(caller(None)));
    }

    #[test]
    fn of_another_account_only_ones_own_doing_is_told() {
        let (reader, other) = (UserId::new(), UserId::new());
        let of_other = |kind| told(reader, &AuditEvent { user: Some(other), ..event(kind, reader, json!({ "user": "ben", "after": "owner" })) }, &nothing());
        assert_eq!(of_other(EventKind::RoleGranted).unwrap().sentence, "You gave ben the role owner in a project.");
        assert_eq!(of_other(EventKind::PasswordSet), None);
    }
}
