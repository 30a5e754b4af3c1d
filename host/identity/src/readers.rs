//! Readers of the index and its files.
//!
//! A read may carry any credential: a token for uploads, a revoked one, the entry of `~/.netrc` for
//! this host. It matters only if it is accepted and permitted; otherwise the gate decides as if it
//! had not been sent, and it causes a refusal only if anonymous callers may not read.
//!
//! Invariant: no password is verified for a read, whatever the policies say. It would have to be
//! hashed for each of a thousand files, and each answer would reveal whether it is right.

use std::borrow::Cow;

use gate::{Attempt, Refusal, RefusalKind, SetAside};
use model::{Action, Caller, CredentialKind};

use crate::named::Login;
use crate::refusals::Failure;
use crate::request::{RequestContext, Stop, UseCase};
use crate::{InvalidAuthorization, Presented};

/// A credential that came with a read and was not accepted.
#[derive(Debug)]
pub struct Unaccepted {
    failure: Failure,
    /// The user name that was sent with a password.
    named: Option<String>,
}

crate::areas::area! {
    /// Readers of the index and its files.
    Readers
}

impl Readers<'_> {
    /// The reader. A credential that is not accepted yields an anonymous caller and is noted in the
    /// attempt; it must be passed to [`Readers::permitted`] or [`Readers::refused`] afterwards.
    pub async fn authenticate(
        self,
        attempt: &Attempt,
        presented: Result<Presented, InvalidAuthorization>,
        action: Action,
    ) -> (Caller, Option<Unaccepted>) {
        let (authenticated, named) = match presented {
            Ok(Presented::None) => return (Caller::anonymous(), None),
            Ok(Presented::Session(cookie)) => (
                self.identity.verify_session(&cookie, attempt.at).await,
                None,
            ),
            Ok(Presented::Token(text)) => (self.identity.verify_token(&text).await, None),
            Ok(Presented::Basic { user, password }) => {
                let looks_like_token = [&user, password.expose()]
                    .into_iter()
                    .any(|text| self.identity.looks_like_token(text));
                (
                    Err(Failure::password_not_accepted(action, looks_like_token)),
                    Some(user),
                )
            }
            Err(invalid) => (Err(Failure::authorization(invalid)), None),
        };
        match authenticated {
            Ok(caller) => (caller, None),
            Err(failure) => {
                let Failure {
                    credential,
                    why,
                    user,
                    token,
                    ..
                } = &failure;
                attempt.goes_without(SetAside {
                    credential: *credential,
                    why: Cow::Borrowed(why),
                    user: *user,
                    token: *token,
                });
                (Caller::anonymous(), Some(Unaccepted { failure, named }))
            }
        }
    }

    /// Notes the credential of a read that was permitted; `without` means that anonymous callers
    /// may read, too. A read by an accepted credential is audited, and fails if that fails.
    pub async fn permitted(
        self,
        context: RequestContext<'_>,
        action: Action,
        caller: &Caller,
        without: bool,
        unaccepted: Option<&Unaccepted>,
    ) -> Result<(), Refusal> {
        let case = self.identity.use_case(context, action, caller.credential);
        if let Some(unaccepted) = unaccepted {
            self.note_unread_password(&case, unaccepted);
            return Ok(());
        }
        if without {
            return Ok(());
        }
        case.answer(audit_reader(&case, caller).await.map_err(Stop::from))
            .await
    }

    /// Records and counts the credential of a read that was refused. If it was not accepted, the
    /// client learns why.
    pub async fn refused(
        self,
        context: RequestContext<'_>,
        action: Action,
        caller: &Caller,
        unaccepted: Option<&Unaccepted>,
        refusal: Refusal,
    ) -> Refusal {
        let case = self.identity.use_case(context, action, caller.credential);
        let Some(Unaccepted { failure, named }) =
            unaccepted.filter(|_| refusal.kind == RefusalKind::CredentialRequired)
        else {
            return match audit_reader(&case, caller).await {
                Ok(()) => refusal,
                Err(failure) => case.refuse(failure).await,
            };
        };
        let failure = case.counted(failure.clone(), named.as_deref()).await;
        case.audit_failure(&failure).await;
        let kind = if failure.kind == RefusalKind::Denied {
            RefusalKind::CredentialRequired
        } else {
            failure.kind
        };
        Refusal {
            kind,
            reasons: vec![failure.reason],
            ..refusal
        }
    }

    /// Records an unread password in the history of the user it was sent for: it may be stored in a
    /// program that they forgot.
    ///
    /// Runs in parallel to the request, so the time of the answer does not reveal whether the name
    /// exists. One at a time, so a flood of requests causes no flood of queries.
    fn note_unread_password(self, case: &UseCase<'_>, unaccepted: &Unaccepted) {
        let Unaccepted {
            failure,
            named: Some(name),
        } = unaccepted
        else {
            return;
        };
        let Ok(turn) = self.identity.inner.noting.clone().try_acquire_owned() else {
            return;
        };
        let (identity, gate, attempt, action, name, why) = (
            self.identity.clone(),
            case.gate.clone(),
            case.attempt.clone(),
            case.action,
            name.clone(),
            failure.why,
        );
        tokio::spawn(async move {
            let _turn = turn;
            let user = match identity.proofs().named(&Login::parse(&name)).await {
                Ok(Some(user)) => user.id,
                Ok(None) => return,
                Err(error) => {
                    return tracing::warn!(%error, "whose name came with a password could not be looked up");
                }
            };
            let set_aside = SetAside {
                credential: CredentialKind::BasicPassword,
                why: Cow::Borrowed(why),
                user: Some(user),
                token: None,
            };
            if gate
                .recorder()
                .wants_set_aside(&attempt, &set_aside, action)
            {
                gate.recorder()
                    .note(set_aside.event(&attempt, action, attempt.id));
            }
        });
    }
}

/// Records a read, or an attempt to read, by a caller with a header.
async fn audit_reader(case: &UseCase<'_>, caller: &Caller) -> Result<(), Failure> {
    let recorder = case.gate.recorder();
    if is_header(caller) && recorder.wants_reader(case.attempt, caller, case.action) {
        case.audit_admission(caller).await?;
    }
    Ok(())
}

/// Whether a caller came by a header. A session was audited when it began.
fn is_header(caller: &Caller) -> bool {
    !matches!(
        caller.credential,
        CredentialKind::None | CredentialKind::Session
    )
}
