//! Proving once more who one is, within a session.
//!
//! A session that stepped up is the same session with another secret: a cookie that was
//! copied before does not rise with it, and the one who stepped up last has it alone.

use gate::{Attempt, Gate, Permit, Refusal, Target, TargetFacts};
use model::audit::EventKind;
use model::{Action, Assurance, Caller, CredentialKind, FactorUse, UserId};
use serde_json::json;
use storage::sessions::{SessionRow, SessionWithUser};
use storage::users::UserRow;
use storage::{Secret, SecretHash, StorageError};

use crate::accounts::event;
use crate::factors::KeyAnswer;
use crate::factors::challenges::KeyBinding;
use crate::limits::Known;
use crate::login::second_factor::{Offered, Right};
use crate::prove_person::{Place, Proof};
use crate::refusals::Failure;
use crate::sessions::{NotStarted, StartedSession, assurance_of, is_still};
use crate::{Account, Identity, OwnSession, opaque};

const ACTION: Action = Action::SessionStepUp;

/// Renew what a session has proven.
#[derive(Clone, Copy, Debug)]
pub struct StepUp {
    pub session: OwnSession,
}

impl Target for StepUp {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(ACTION)
    }
}

/// Look at what one could step up with, before anything of it is sent.
#[derive(Clone, Copy, Debug)]
pub struct OpenStepUp {
    pub account: Account,
}

impl Target for OpenStepUp {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(ACTION)
    }
}

/// The session that steps up, as it is now.
struct Current {
    own: OwnSession,
    secret: SecretHash,
    session: SessionRow,
    user: UserRow,
}

impl Identity {
    /// Proves the password anew. `cookie` is what the session was presented with; it counts no
    /// more afterwards.
    pub async fn step_up_with_password(
        &self,
        gate: &Gate,
        attempt: &Attempt,
        caller: &Caller,
        cookie: &str,
        password: Secret<String>,
    ) -> Result<StartedSession, Refusal> {
        let current = self.current(gate, attempt, caller, cookie).await?;
        let place = Place::Session(current.session.id);
        let proof = Proof {
            user_name: current.user.name.as_written(),
            password: password.clone(),
            totp_code: None,
            asks_for_code: false,
            place,
        };
        let user = match self.prove(attempt.remote_address, proof).await {
            Ok(proven) => proven.user,
            Err(problem) => {
                let failure = problem
                    .into_failure(CredentialKind::Session, Failure::own_password)
                    .of(current.user.id);
                return Err(self.refuse(gate, attempt, ACTION, failure).await);
            }
        };
        let password_state = self
            .password_state(gate, attempt, ACTION, &password, Some(user.id))
            .await?;
        let assurance = Assurance {
            password_at: Some(attempt.at),
            password_state,
            ..assurance_of(&current.session)
        };
        self.renew(
            gate,
            attempt,
            caller,
            Current { user, ..current },
            assurance,
            None,
        )
        .await
    }

    /// Proves the second factor anew, by a code of a one-time password app.
    pub async fn step_up_with_totp(
        &self,
        gate: &Gate,
        attempt: &Attempt,
        caller: &Caller,
        cookie: &str,
        code: &str,
    ) -> Result<StartedSession, Refusal> {
        let current = self.current(gate, attempt, caller, cookie).await?;
        self.step_up_with(gate, attempt, caller, current, Offered::Totp(code))
            .await
    }

    /// The same by a recovery code.
    pub async fn step_up_with_recovery_code(
        &self,
        gate: &Gate,
        attempt: &Attempt,
        caller: &Caller,
        cookie: &str,
        code: &str,
    ) -> Result<StartedSession, Refusal> {
        let current = self.current(gate, attempt, caller, cookie).await?;
        self.step_up_with(gate, attempt, caller, current, Offered::RecoveryCode(code))
            .await
    }

    /// The same by a security key or passkey.
    pub async fn step_up_with_key(
        &self,
        gate: &Gate,
        attempt: &Attempt,
        caller: &Caller,
        cookie: &str,
        answer: &KeyAnswer,
    ) -> Result<StartedSession, Refusal> {
        let current = self.current(gate, attempt, caller, cookie).await?;
        let binding = KeyBinding::Session(current.session.id);
        self.step_up_with(
            gate,
            attempt,
            caller,
            current,
            Offered::Key(binding, answer),
        )
        .await
    }

    async fn step_up_with(
        &self,
        gate: &Gate,
        attempt: &Attempt,
        caller: &Caller,
        current: Current,
        offered: Offered<'_>,
    ) -> Result<StartedSession, Refusal> {
        let known = Some(Known::Session(current.session.id));
        let right = match self.look_at(attempt, &current.user, &offered, known).await {
            Ok(right) => right,
            Err(failure) => return Err(self.refuse(gate, attempt, ACTION, failure).await),
        };
        let second_factor = Some(FactorUse {
            factor: right.factor,
            at: right.at,
        });
        let assurance = Assurance {
            second_factor,
            ..assurance_of(&current.session)
        };
        self.renew(gate, attempt, caller, current, assurance, Some(right))
            .await
    }

    /// The caller's session by the cookie it came with. A caller without one, or with another
    /// one's cookie, has none to renew.
    async fn current(
        &self,
        gate: &Gate,
        attempt: &Attempt,
        caller: &Caller,
        cookie: &str,
    ) -> Result<Current, Refusal> {
        let own = OwnSession::of(caller);
        let caller_id = caller.user().map(|user| user.id);
        if !gate.may_permit(attempt, ACTION, CredentialKind::Session) {
            return Err(self
                .refuse_counted(gate, attempt, ACTION, Failure::person_not_accepted())
                .await);
        }
        let found = match opaque::hash(cookie) {
            Some(secret) => self
                .storage()
                .session(&secret, self.idle_since(attempt.at), attempt.at)
                .await
                .map(|found| found.map(|found| (secret, found))),
            None => Ok(None),
        };
        match found.map(|found| found.zip(own)) {
            Ok(Some(((secret, SessionWithUser { session, user }), own)))
                if own.id() == session.id && own.account().id() == user.id =>
            {
                Ok(Current {
                    own,
                    secret,
                    session,
                    user,
                })
            }
            Ok(_) => Err(self
                .refuse_counted(gate, attempt, ACTION, Failure::session_ended(caller_id))
                .await),
            Err(error) => Err(self
                .refuse(
                    gate,
                    attempt,
                    ACTION,
                    Failure::unavailable(CredentialKind::Session, &error),
                )
                .await),
        }
    }

    /// Decides, uses up the code, and gives the session another secret.
    async fn renew(
        &self,
        gate: &Gate,
        attempt: &Attempt,
        caller: &Caller,
        current: Current,
        assurance: Assurance,
        right: Option<Right>,
    ) -> Result<StartedSession, Refusal> {
        let proven = Caller {
            assurance,
            ..caller.clone()
        };
        let permit = gate
            .decide(
                attempt,
                &proven,
                StepUp {
                    session: current.own,
                },
            )
            .await?;
        if let Some(right) = &right
            && let Err(failure) = self.settle(attempt, &current.user, right).await
        {
            return Err(self.refuse(gate, attempt, ACTION, failure).await);
        }
        // What was proven before this request was judged then.
        let fresh = match &right {
            Some(_) => Assurance {
                password_at: None,
                ..assurance
            },
            None => Assurance {
                second_factor: None,
                ..assurance
            },
        };
        match self
            .renew_session(&permit, attempt, &current, fresh, assurance, right.as_ref())
            .await
        {
            Ok(Ok(secret)) => Ok(StartedSession {
                secret,
                session: current.session.id,
                user: current.user.name,
                device: None,
                expires_at: current.session.expires_at,
            }),
            Ok(Err(NotStarted::AccountChanged)) => Err(self
                .refuse(
                    gate,
                    attempt,
                    ACTION,
                    Failure::session_ended(Some(current.user.id)),
                )
                .await),
            Ok(Err(used @ NotStarted::RecoveryCodeUsed)) => Err(self
                .refuse(gate, attempt, ACTION, used.into_failure(current.user.id))
                .await),
            Err(error) => Err(self
                .refuse(gate, attempt, ACTION, failure_of(&error, current.user.id))
                .await),
        }
    }

    /// The session's new secret, unless it ended or stepped up meanwhile. A recovery code that
    /// was given is used up with it.
    async fn renew_session(
        &self,
        permit: &Permit<StepUp>,
        attempt: &Attempt,
        current: &Current,
        fresh: Assurance,
        assurance: Assurance,
        right: Option<&Right>,
    ) -> Result<Result<Secret<String>, NotStarted>, StorageError> {
        let (secret, hash) = opaque::generate();
        let mut unit = permit.begin(self.storage()).await?;
        let held = unit.hold_user(current.user.id).await?;
        if !held.is_some_and(|held| is_still(&current.user, &held, fresh)) {
            return Ok(Err(NotStarted::AccountChanged));
        }
        if let Some(right) = right
            && !self
                .settle_in(&mut unit, attempt, &current.user, right)
                .await?
        {
            return Ok(Err(NotStarted::RecoveryCodeUsed));
        }
        if !unit
            .renew_session(
                permit.target().session.id(),
                &current.secret,
                &hash,
                assurance,
                permit.at(),
            )
            .await?
        {
            return Ok(Err(NotStarted::AccountChanged));
        }
        let method = right.map_or("password", |right| right.factor.as_str());
        let detail =
            json!({ "session": permit.target().session.id().to_string(), "method": method });
        unit.commit(&event(
            permit,
            EventKind::SessionSteppedUp,
            current.user.id,
            detail,
        ))
        .await?;
        Ok(Ok(secret))
    }
}

fn failure_of(error: &StorageError, user: UserId) -> Failure {
    Failure::unavailable(CredentialKind::Session, error).of(user)
}
