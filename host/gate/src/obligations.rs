//! What the host must do for a decision to hold.
//!
//! An obligation the host cannot fulfil turns the decision into a denial: a policy that
//! permits "if a mail is sent" has not permitted anything else.

use model::audit::Detail;
use model::audit::detail::RequestedMail;
use model::mail::{Mail, MailField, MailKind};
use model::{Caller, MailId, PasswordDisabled, UserFacts};
use policy_engine::contract::Obligation;
use storage::outbox::NewMail;
use storage::{Storage, StorageError};

use crate::attempt::Attempt;

/// The mails that a policy may ask for. Each contains only what the host knows of the caller and of
/// the request, so no policy can put words into it.
const MAILS: [MailKind; 1] = [MailKind::PasswordBreached];

/// The same mail to the same user is sent once in this time: a policy that asks for it at each
/// request must not fill a mailbox. An obligation whose mail was recently sent is fulfilled.
const MAIL_WINDOW_MS: i64 = 3_600_000;

/// Why an obligation could not be fulfilled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ObligationError {
    #[error("this registry does not know the obligation `{0}`")]
    Unknown(String),
    #[error("the decision has obligations about a user, and the caller is none")]
    NoUser,
    #[error("the user has no verified primary email address to send `{0}` to")]
    NoAddress(MailKind),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Fulfils every obligation of a decision, in one unit of work with its audit events, or returns
/// the one it could not. If any of them is unknown, nothing is done. A user without a usable
/// address is still protected: the rest is done. `activation` is that of the decision: demands of a
/// replaced set are not fulfilled.
pub(crate) async fn fulfil(
    storage: &Storage,
    attempt: &Attempt,
    caller: &Caller,
    obligations: &[Obligation],
    activation: i64,
) -> Result<(), ObligationError> {
    let (disable_password, mails) = read(obligations)?;
    let user = caller.user().ok_or(ObligationError::NoUser)?;
    let address = if mails.is_empty() {
        None
    } else {
        primary_address(storage, user).await?
    };
    if let (Some(&kind), None) = (mails.first(), &address) {
        act(
            storage,
            attempt,
            caller,
            user,
            activation,
            disable_password,
            &[],
            None,
        )
        .await?;
        return Err(ObligationError::NoAddress(kind));
    }
    let mut new_mails = Vec::with_capacity(mails.len());
    for kind in mails {
        if storage
            .take_attempt(&counter(kind, user), attempt.at, MAIL_WINDOW_MS, 1)
            .await?
            .is_ok()
        {
            new_mails.push(kind);
        }
    }
    let result = act(
        storage,
        attempt,
        caller,
        user,
        activation,
        disable_password,
        &new_mails,
        address.as_deref(),
    )
    .await;
    if result.is_err() {
        for kind in new_mails {
            storage
                .give_back_attempt(&counter(kind, user), attempt.at)
                .await?;
        }
    }
    Ok(result?)
}

/// Whether the password is to be disabled, and which mails are to be sent, each once.
fn read(obligations: &[Obligation]) -> Result<(bool, Vec<MailKind>), ObligationError> {
    let (mut disable_password, mut mails) = (false, Vec::new());
    for obligation in obligations {
        match obligation {
            Obligation::DisablePassword => disable_password = true,
            Obligation::SendMail(name) => {
                let kind = MAILS
                    .into_iter()
                    .find(|kind| kind.as_str() == name)
                    .ok_or_else(|| ObligationError::Unknown(format!("send-mail {name}")))?;
                if !mails.contains(&kind) {
                    mails.push(kind);
                }
            }
            Obligation::Other(name) => return Err(ObligationError::Unknown(name.clone())),
        }
    }
    Ok((disable_password, mails))
}

/// Where to write to the user: only an address that is proven to be theirs.
async fn primary_address(
    storage: &Storage,
    user: &UserFacts,
) -> Result<Option<String>, StorageError> {
    let emails = storage.emails(user.id).await?;
    Ok(emails
        .into_iter()
        .find(|email| email.primary && email.verified_at.is_some())
        .map(|email| email.address))
}

#[allow(clippy::too_many_arguments)]
async fn act(
    storage: &Storage,
    attempt: &Attempt,
    caller: &Caller,
    user: &UserFacts,
    activation: i64,
    disable_password: bool,
    mails: &[MailKind],
    address: Option<&str>,
) -> Result<(), StorageError> {
    let event = |detail| attempt.event(caller, detail).about(user.id);
    let because = || "a policy demanded it".to_owned();
    let mut events = Vec::with_capacity(mails.len() + 1);
    let mut unit = storage.begin().await?;
    unit.decided_under(activation);
    if disable_password
        && unit
            .disable_enabled_password(user.id, PasswordDisabled::Policy)
            .await?
    {
        // Somebody who knows the password may already have logged in with it.
        let ended = unit.end_sessions(user.id, None).await?;
        unit.drop_ceremonies(user.id, None).await?;
        events.push(event(Detail::PasswordDisabled {
            because: because(),
            ended_sessions: ended,
        }));
    }
    for &kind in mails {
        let mail = mail(kind, attempt, user);
        unit.enqueue_mail(&NewMail {
            id: MailId::new(),
            mail: &mail,
            user: Some(user.id),
            recipient: address,
            at: attempt.at,
        })
        .await?;
        events.push(event(Detail::MailRequested {
            what: RequestedMail::Because {
                mail: kind.into(),
                because: because(),
            },
        }));
    }
    let Some(last) = events.pop() else {
        return Ok(());
    };
    for earlier in &events {
        unit.also(earlier);
    }
    unit.commit(&last).await.map(drop)
}

fn mail(kind: MailKind, attempt: &Attempt, user: &UserFacts) -> Mail {
    let word = |field: &MailField| {
        let text = match field {
            MailField::UserName => user.name.as_written().to_owned(),
            MailField::RemoteAddress => attempt.remote_address.to_string(),
            MailField::At => attempt.at.to_the_second(),
            // No mail of the list has another word; a test checks that.
            _ => String::new(),
        };
        (*field, text)
    };
    Mail {
        kind,
        fields: kind.fields().iter().map(word).collect(),
    }
}

fn counter(kind: MailKind, user: &UserFacts) -> String {
    format!("obligation-mail:{kind}:{}", user.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mail_that_a_policy_may_ask_for_is_filled_with_what_is_known_here() {
        for kind in MAILS {
            let known = [MailField::UserName, MailField::RemoteAddress, MailField::At];
            assert!(
                kind.fields().iter().all(|field| known.contains(field)),
                "{kind}"
            );
        }
    }

    #[test]
    fn no_policy_can_send_a_link_or_a_mail_it_invented() {
        for kind in MailKind::ALL.iter().filter(|kind| !MAILS.contains(kind)) {
            assert!(
                matches!(
                    read(&[Obligation::SendMail(kind.to_string())]),
                    Err(ObligationError::Unknown(_))
                ),
                "{kind}"
            );
        }
        assert!(
            !MAILS
                .iter()
                .any(|kind| kind.fields().contains(&MailField::Link))
        );
        for name in ["", "password-breached ", "PASSWORD-BREACHED", "win-a-prize"] {
            let known_before = [
                Obligation::DisablePassword,
                Obligation::SendMail(name.to_owned()),
            ];
            assert!(
                matches!(read(&known_before), Err(ObligationError::Unknown(_))),
                "{name:?}"
            );
        }
    }

    #[test]
    fn what_is_asked_for_twice_is_done_once() {
        let twice = [
            Obligation::SendMail("password-breached".to_owned()),
            Obligation::DisablePassword,
        ];
        let (disable, mails) = read(&[twice.clone(), twice].concat()).unwrap();
        assert_eq!((disable, mails), (true, vec![MailKind::PasswordBreached]));
    }
}
