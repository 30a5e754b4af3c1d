//! Who reads the index and its files.
//!
//! Anybody may send anything with a read: a token for uploads, one that was revoked, what
//! `~/.netrc` has for this host. It decides something only where it is accepted and permitted;
//! else the gate decides as if it had not been sent, and only a read that is nobody's to make
//! is refused for it.
//!
//! Invariant: no password is verified for a read, whatever the policies say. It would have to
//! be hashed for each of a thousand files, and each answer would say whether it is right.

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
    /// The user name that stood beside a password.
    named: Option<String>,
}

crate::areas::area! {
    /// Who reads the index and its files.
    Readers
}

impl Readers<'_> {
    /// Who reads. What is not accepted makes an anonymous caller, is noted in the attempt, and
    /// is to be shown to [`Readers::permitted`] or [`Readers::refused`] afterwards.
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

    /// Notes what came with a read that was permitted; `without` says that it was permitted to
    /// anybody. A credential that was accepted and read is audited, and without that there is
    /// no read.
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

    /// Records and counts what came with a read that was refused. What the client is told is
    /// what was wrong with its credential, where that was not accepted.
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

    /// Whoever was named beside a password that nobody looked at learns of it from their
    /// history: it may lie in a program that they forgot.
    ///
    /// Beside the request, which takes no longer for a name that somebody has; and one at a
    /// time, so that a flood of them is no flood of queries.
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

/// Records that a caller with a header reads, or tries to.
async fn audit_reader(case: &UseCase<'_>, caller: &Caller) -> Result<(), Failure> {
    let recorder = case.gate.recorder();
    if is_header(caller) && recorder.wants_reader(case.attempt, caller, case.action) {
        case.audit_admission(caller).await?;
    }
    Ok(())
}

/// Whether a caller came by a header. Whoever has a session was audited when it began.
fn is_header(caller: &Caller) -> bool {
    !matches!(
        caller.credential,
        CredentialKind::None | CredentialKind::Session
    )
}
