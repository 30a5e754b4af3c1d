//! The texts of refusals, in one place.
//!
//! A text depends on what was sent, never on what is stored: an unknown user and a wrong password,
//! or an unknown token and a revoked one, get the same text. The audit log has the difference.

use gate::{Page, Reason, RefusalKind};
use model::action::Subject;
use model::time::wait_in_words;
use model::{Action, CredentialKind, Factor, TokenId, UserId};
use storage::StorageError;

use crate::limits::TooMany;
use crate::presented::InvalidAuthorization;

/// A credential that was not accepted.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) credential: CredentialKind,
    /// Why, for the audit log alone.
    pub(crate) why: &'static str,
    /// The second factor that was tried.
    pub(crate) factor: Option<Factor>,
    /// The owner of the credential, if known.
    pub(crate) user: Option<UserId>,
    /// The token, if its signature is right.
    pub(crate) token: Option<TokenId>,
    pub(crate) kind: RefusalKind,
    /// Why, for the refused caller.
    pub(crate) reason: Reason,
}

fn reason(code: &str, message: impl Into<String>, remedy: impl Into<String>, page: Page) -> Reason {
    Reason {
        code: code.to_owned(),
        message: message.into(),
        remedy: remedy.into(),
        page: Some(page),
    }
}

impl Failure {
    fn denied(
        credential: CredentialKind,
        why: &'static str,
        user: Option<UserId>,
        reason: Reason,
    ) -> Self {
        Self {
            credential,
            why,
            factor: None,
            user,
            token: None,
            kind: RefusalKind::Denied,
            reason,
        }
    }

    /// The message is PyPI's, which clients and people know.
    pub(crate) fn token(why: &'static str, user: Option<UserId>) -> Self {
        let remedy = "Check that the whole token was copied, that this registry issued it, and that it was not revoked; or create a new one.";
        let reason = reason(
            "invalid-token",
            "Invalid or non-existent authentication information.",
            remedy,
            Page::Tokens,
        );
        Self::denied(CredentialKind::ApiToken, why, user, reason)
    }

    pub(crate) fn caveat(invalid: &model::caveat::InvalidCaveat, user: UserId) -> Self {
        let remedy = "Restrict the token again with a current tool, or create a new one.";
        let reason = reason(
            "invalid-api-token",
            format!("Invalid API Token: {invalid}"),
            remedy,
            Page::Tokens,
        );
        Self::denied(
            CredentialKind::ApiToken,
            "invalid-caveat",
            Some(user),
            reason,
        )
    }

    /// A password where no policy could permit one; it was not checked.
    pub(crate) fn password_not_accepted(action: Action, looks_like_token: bool) -> Self {
        let is_upload = action.about() == Subject::NewFile;
        let message = if is_upload {
            "Uploads with a user name and password are not accepted."
        } else {
            "A user name and password are not accepted here."
        };
        let remedy = if looks_like_token {
            "What was sent looks like an API token: use __token__ as the user name and the token as the password."
        } else if is_upload {
            "Create an API token and upload with __token__ as the user name and the token as the password."
        } else if action.is_read() {
            // Reads are refused only if they need a credential.
            "Use __token__ as the user name and an API token of this registry as the password."
        } else {
            "Remove them from the address or the netrc file; where credentials are needed, use __token__ as the user name and an API token as the password."
        };
        Self::denied(
            CredentialKind::BasicPassword,
            "password-not-accepted",
            None,
            reason("password-not-accepted", message, remedy, Page::Tokens),
        )
    }

    pub(crate) fn person_not_accepted() -> Self {
        let message = "A user name and password are not accepted here.";
        let reason = reason(
            "person-not-accepted",
            message,
            "Ask the operators of the registry what its policies allow.",
            Page::Contact,
        );
        Self::denied(CredentialKind::Session, "person-not-accepted", None, reason)
    }

    pub(crate) fn password(why: &'static str, user: Option<UserId>) -> Self {
        let remedy = "Check both; if the password was forgotten, set a new one.";
        let reason = reason(
            "wrong-credentials",
            "The user name or the password is wrong.",
            remedy,
            Page::PasswordReset,
        );
        Self::denied(CredentialKind::BasicPassword, why, user, reason)
    }

    pub(crate) fn person(why: &'static str, user: Option<UserId>) -> Self {
        let message = "The user name, the password or the code is wrong; a code is needed if a one-time password app is set up.";
        let remedy = "Check all of them; a code is accepted once, so wait for the next one. If you have only security keys, set up an app as well: this call needs its code.";
        let reason = reason("wrong-credentials", message, remedy, Page::SecondFactor);
        Self::denied(CredentialKind::Session, why, user, reason)
    }

    /// A login's first step. The text does not say which part is wrong.
    pub(crate) fn login(why: &'static str, user: Option<UserId>) -> Self {
        let message = "User name or email address and password do not match.";
        let remedy = "Check both.";
        let reason = reason("wrong-credentials", message, remedy, Page::PasswordReset);
        Self::denied(CredentialKind::Session, why, user, reason)
    }

    /// A login's second step without the first, or long after it.
    pub(crate) fn login_expired(why: &'static str, user: Option<UserId>) -> Self {
        let message =
            "This login has expired, was finished before, or was begun in another browser.";
        Self::denied(
            CredentialKind::Session,
            why,
            user,
            reason("login-expired", message, "Log in again.", Page::StepUp),
        )
    }

    /// A wrong second factor of a user who is known by now.
    pub(crate) fn second_factor(why: &'static str, factor: Factor, user: UserId) -> Self {
        let (code, message, remedy) = match factor {
            Factor::Totp => (
                "wrong-code",
                "The code is wrong or has been used before.",
                "Wait for the next code of your app, and check that your device's clock is right.",
            ),
            Factor::Webauthn => (
                "wrong-key",
                "The security key or passkey was not accepted.",
                "Try again, or use another one that is registered for this account.",
            ),
            Factor::RecoveryCode => (
                "wrong-recovery-code",
                "The recovery code is wrong or has been used before.",
                "Try another one; each works once, and only the newest set is valid.",
            ),
        };
        Self {
            factor: Some(factor),
            ..Self::denied(
                CredentialKind::Session,
                why,
                Some(user),
                reason(code, message, remedy, Page::SecondFactor),
            )
        }
    }

    /// A passkey in place of name and password.
    pub(crate) fn passkey(why: &'static str, user: Option<UserId>) -> Self {
        let message = "The passkey was not accepted.";
        let remedy = "Try again, use another one, or log in with user name and password.";
        let reason = reason("wrong-passkey", message, remedy, Page::SecondFactor);
        Self {
            factor: Some(Factor::Webauthn),
            ..Self::denied(CredentialKind::Session, why, user, reason)
        }
    }

    /// The password of a user who is logged in.
    pub(crate) fn own_password(why: &'static str, user: Option<UserId>) -> Self {
        let reason = reason(
            "wrong-password",
            "The password is wrong.",
            "Check it; if it was forgotten, set a new one.",
            Page::PasswordReset,
        );
        Self::denied(CredentialKind::Session, why, user, reason)
    }

    /// A session that ended, or got another cookie, while the request was on its way.
    pub(crate) fn session_ended(user: Option<UserId>) -> Self {
        let reason = reason(
            "session-ended",
            "The session has ended.",
            "Log in again.",
            Page::StepUp,
        );
        Self::denied(CredentialKind::Session, "session-ended", user, reason)
    }

    /// The same failure, for this user.
    pub(crate) fn of(self, user: UserId) -> Self {
        Self {
            user: Some(user),
            ..self
        }
    }

    pub(crate) fn with_token(self, token: TokenId) -> Self {
        Self {
            token: Some(token),
            ..self
        }
    }

    pub(crate) fn with_factor(self, factor: Factor) -> Self {
        Self {
            factor: Some(factor),
            ..self
        }
    }

    pub(crate) fn authorization(invalid: InvalidAuthorization) -> Self {
        let reason = reason(
            invalid.code(),
            "The Authorization header was not understood.",
            sentence(&invalid.to_string()),
            Page::Tokens,
        );
        Self::denied(CredentialKind::None, invalid.code(), None, reason)
    }

    pub(crate) fn limited(credential: CredentialKind, too_many: TooMany) -> Self {
        let TooMany {
            retry_after_seconds,
        } = too_many;
        let remedy = format!(
            "Wait {}, then try again.",
            wait_in_words(retry_after_seconds)
        );
        // Some limits count failures, others count requests: the text is true of both.
        let reason = reason(
            "too-many-attempts",
            "This was tried too often.",
            remedy,
            Page::Contact,
        );
        Self {
            credential,
            why: "too-many-attempts",
            factor: None,
            user: None,
            token: None,
            kind: RefusalKind::Limited {
                retry_after_seconds,
            },
            reason,
        }
    }

    /// The limit of mails about unknown browsers is reached, so none was sent for this one.
    pub(crate) fn no_mail(too_many: TooMany, user: UserId) -> Self {
        let TooMany {
            retry_after_seconds,
        } = too_many;
        let message = "This browser must be confirmed by mail, and too many such mails were sent for your account, so none was sent for this browser.";
        let wait = wait_in_words(retry_after_seconds);
        let remedy = format!(
            "Wait {wait}, then log in again; or use a browser that you have logged in from before."
        );
        let reason = reason("too-many-attempts", message, remedy, Page::Contact);
        let kind = RefusalKind::Limited {
            retry_after_seconds,
        };
        Self {
            credential: CredentialKind::Session,
            why: "too-many-device-mails",
            factor: None,
            user: Some(user),
            token: None,
            kind,
            reason,
        }
    }

    /// A command line that is not known to be the user's, although password and code were right.
    /// `mailed_before` if the link was mailed earlier and none was sent now.
    pub(crate) fn device_unknown(mailed_before: bool, user: UserId) -> Self {
        let message = match mailed_before {
            false => {
                "This command line is not known for your account, so nothing was done: a link was mailed to your primary address."
            }
            true => {
                "This command line is not known for your account, so nothing was done: the link that was mailed some minutes ago confirms it."
            }
        };
        let remedy = "Open the link, then send the same again with the `device` of this answer. The code is not used up, but is valid for a short time only.";
        let reason = reason("device-unknown", message, remedy, Page::StagedReleases);
        Self::denied(
            CredentialKind::Session,
            "device-unconfirmed",
            Some(user),
            reason,
        )
    }

    /// The limit of mails about unknown command lines is reached, so none was sent for this one.
    pub(crate) fn no_mail_for_command_line(too_many: TooMany, user: UserId) -> Self {
        let TooMany {
            retry_after_seconds,
        } = too_many;
        let message = "This command line must be confirmed by mail, and too many such mails were sent for your account, so none was sent for it.";
        let wait = wait_in_words(retry_after_seconds);
        let remedy = format!(
            "Wait {wait}, then try again; or use a command line that you have confirmed before."
        );
        let reason = reason("too-many-attempts", message, remedy, Page::Contact);
        let kind = RefusalKind::Limited {
            retry_after_seconds,
        };
        Self {
            credential: CredentialKind::Session,
            why: "too-many-command-line-mails",
            factor: None,
            user: Some(user),
            token: None,
            kind,
            reason,
        }
    }

    pub(crate) fn busy(credential: CredentialKind) -> Self {
        let reason = reason(
            "busy",
            "Too many passwords are being checked.",
            "Try again in a moment.",
            Page::Contact,
        );
        Self {
            credential,
            why: "busy",
            factor: None,
            user: None,
            token: None,
            kind: RefusalKind::Failed,
            reason,
        }
    }

    pub(crate) fn unavailable(credential: CredentialKind, error: &StorageError) -> Self {
        tracing::error!(%error, "a credential could not be checked");
        let reason = reason(
            "authentication-failed",
            "The credentials could not be checked.",
            "Try again in a moment.",
            Page::Contact,
        );
        Self {
            credential,
            why: "unavailable",
            factor: None,
            user: None,
            token: None,
            kind: RefusalKind::Failed,
            reason,
        }
    }
}

/// Capitalizes the first letter and ends with a full stop.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    characters
        .next()
        .map(|first| format!("{}{}.", first.to_uppercase(), characters.as_str()))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Our own texts are also subject to the limits of the contract with policies.
    #[test]
    fn texts_fit_the_contract_and_name_a_remedy() {
        let invalid = [
            InvalidAuthorization::Several,
            InvalidAuthorization::TooLong,
            InvalidAuthorization::UnknownScheme,
            InvalidAuthorization::Malformed,
            InvalidAuthorization::ControlCharacter,
            InvalidAuthorization::EmptyToken,
        ];
        let failures = invalid.into_iter().map(Failure::authorization).chain([
            Failure::token("x", None),
            Failure::caveat(&model::caveat::InvalidCaveat::UnknownTag(9), UserId::new()),
            Failure::password_not_accepted(Action::FileUpload, false),
            Failure::password_not_accepted(Action::FileUpload, true),
            Failure::password_not_accepted(Action::IndexRead, false),
            Failure::password_not_accepted(Action::AccountRead, false),
            Failure::person_not_accepted(),
            Failure::password("x", None),
            Failure::person("x", None),
            Failure::login("x", None),
            Failure::login_expired("x", None),
            Failure::second_factor("x", Factor::Totp, UserId::new()),
            Failure::second_factor("x", Factor::Webauthn, UserId::new()),
            Failure::second_factor("x", Factor::RecoveryCode, UserId::new()),
            Failure::passkey("x", None),
            Failure::own_password("x", None),
            Failure::session_ended(None),
            Failure::limited(
                CredentialKind::BasicPassword,
                TooMany {
                    retry_after_seconds: 3,
                },
            ),
            Failure::no_mail(
                TooMany {
                    retry_after_seconds: 3,
                },
                UserId::new(),
            ),
            Failure::no_mail_for_command_line(
                TooMany {
                    retry_after_seconds: 3,
                },
                UserId::new(),
            ),
            Failure::device_unknown(false, UserId::new()),
            Failure::device_unknown(true, UserId::new()),
            Failure::busy(CredentialKind::Session),
        ]);
        for Failure { reason, .. } in failures {
            assert!(
                reason.code.len() <= 64
                    && reason
                        .code
                        .bytes()
                        .all(|byte| byte.is_ascii_lowercase() || byte == b'-'),
                "{reason:?}"
            );
            for text in [&reason.message, &reason.remedy] {
                assert!(text.len() <= 300 && text.is_ascii(), "{reason:?}");
                assert!(
                    !text.is_empty()
                        && (text.ends_with('.') || text.starts_with("Invalid API Token")),
                    "{reason:?}"
                );
            }
        }
    }
}
