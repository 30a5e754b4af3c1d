//! Proving one's identity again, within a session.
//!
//! A session that stepped up is the same session with a new secret: a cookie that was copied before
//! gains nothing, and only the last one to step up has the session.

use gate::{Attempt, Permit, Refusal, Target, TargetFacts};
use model::audit::Detail;
use model::audit::detail::ConfirmedBy;
use model::{Action, Assurance, Caller, CredentialKind, FactorUse, SessionId};
use storage::sessions::{SessionRow, SessionWithUser};
use storage::users::UserRow;
use storage::{Secret, SecretHash, StorageError};

use crate::factors::KeyAnswer;
use crate::factors::challenges::KeyBinding;
use crate::limits::Known;
use crate::login::second_factor::{Offered, Right};
use crate::prove_person::{Place, Proof};
use crate::refusals::Failure;
use crate::request::{Concerning, RequestContext, Stop, UseCase};
use crate::sessions::{NotStarted, StartedSession, assurance_of, is_still};
use crate::{Account, OwnSession, opaque};

const ACTION: Action = Action::SessionStepUp;

/// Renew the proof of a session.
#[derive(Clone, Copy, Debug)]
pub struct StepUp {
    pub session: OwnSession,
}

impl Target for StepUp {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(ACTION)
    }
}

/// Show the factors to step up with, before any is sent.
#[derive(Clone, Copy, Debug)]
pub struct OpenStepUp {
    pub account: Account,
}

impl Target for OpenStepUp {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(ACTION)
    }
}

/// The session that steps up, in its current state.
struct Current {
    own: OwnSession,
    secret: SecretHash,
    session: SessionRow,
    user: UserRow,
}

crate::areas::area! {
    /// Proving one's identity again, within a session.
    StepUps
}

impl StepUps<'_> {
    /// Verifies the password again. `cookie` is the one that the session was presented with; it no
    /// longer works afterwards.
    pub async fn with_password(
        self,
        context: RequestContext<'_>,
        caller: &Caller,
        cookie: &str,
        password: Secret<String>,
    ) -> Result<StartedSession, Refusal> {
        let case = self
            .identity
            .use_case(context, ACTION, CredentialKind::Session);
        let started = self.prove_password_again(&case, caller, cookie, password);
        case.answer(started.await).await
    }

    async fn prove_password_again(
        self,
        case: &UseCase<'_>,
        caller: &Caller,
        cookie: &str,
        password: Secret<String>,
    ) -> Result<StartedSession, Stop> {
        let current = self.current(case, caller, cookie).await?;
        let place = Place::Session(current.session.id);
        let proof = Proof {
            user_name: current.user.name.as_written(),
            password: password.clone(),
            totp_code: None,
            asks_for_code: false,
            place,
        };
        let proven = self
            .identity
            .proofs()
            .prove(case.attempt.remote_address, proof)
            .await;
        let user = proven
            .map_err(|problem| problem.into_failure(case.credential, Failure::own_password))
            .of(current.user.id)?
            .user;
        let password_state = self
            .identity
            .passwords()
            .password_state(case, &password, Some(user.id))
            .await?;
        let assurance = Assurance {
            password_at: Some(case.attempt.at),
            password_state,
            ..assurance_of(&current.session)
        };
        let current = Current { user, ..current };
        self.renew(case, caller, current, assurance, None).await
    }

    /// Verifies the second factor again, by a code of a one-time password app.
    pub async fn with_totp(
        self,
        context: RequestContext<'_>,
        caller: &Caller,
        cookie: &str,
        code: &str,
    ) -> Result<StartedSession, Refusal> {
        self.step_up_with(context, caller, cookie, |_| Offered::Totp(code))
            .await
    }

    /// The same by a recovery code.
    pub async fn with_recovery_code(
        self,
        context: RequestContext<'_>,
        caller: &Caller,
        cookie: &str,
        code: &str,
    ) -> Result<StartedSession, Refusal> {
        self.step_up_with(context, caller, cookie, |_| Offered::RecoveryCode(code))
            .await
    }

    /// The same by a security key or passkey.
    pub async fn with_key(
        self,
        context: RequestContext<'_>,
        caller: &Caller,
        cookie: &str,
        answer: &KeyAnswer,
    ) -> Result<StartedSession, Refusal> {
        self.step_up_with(context, caller, cookie, |session| {
            Offered::Key(KeyBinding::Session(session), answer)
        })
        .await
    }

    async fn step_up_with<'a>(
        self,
        context: RequestContext<'_>,
        caller: &Caller,
        cookie: &str,
        offered: impl FnOnce(SessionId) -> Offered<'a>,
    ) -> Result<StartedSession, Refusal> {
        let case = self
            .identity
            .use_case(context, ACTION, CredentialKind::Session);
        let started = self.prove_factor_again(&case, caller, cookie, offered);
        case.answer(started.await).await
    }

    async fn prove_factor_again<'a>(
        self,
        case: &UseCase<'_>,
        caller: &Caller,
        cookie: &str,
        offered: impl FnOnce(SessionId) -> Offered<'a>,
    ) -> Result<StartedSession, Stop> {
        let current = self.current(case, caller, cookie).await?;
        let offered = offered(current.session.id);
        let known = Some(Known::Session(current.session.id));
        let right = self
            .identity
            .proofs()
            .look_at(case.attempt, &current.user, &offered, known)
            .await?;
        let second_factor = Some(FactorUse {
            factor: right.factor,
            at: right.at,
        });
        let assurance = Assurance {
            second_factor,
            ..assurance_of(&current.session)
        };
        self.renew(case, caller, current, assurance, Some(right))
            .await
    }

    /// The caller's session, found by its cookie. A caller without a session, or with another's
    /// cookie, has none to renew.
    async fn current(
        self,
        case: &UseCase<'_>,
        caller: &Caller,
        cookie: &str,
    ) -> Result<Current, Stop> {
        case.expect_person()?;
        let at = case.attempt.at;
        let found = match opaque::hash(cookie) {
            Some(secret) => self
                .storage()
                .session(&secret, self.identity.sessions().idle_since(at), at)
                .await?
                .map(|found| (secret, found)),
            None => None,
        };
        match found.zip(OwnSession::of(caller)) {
            Some(((secret, SessionWithUser { session, user }), own))
                if own.id() == session.id && own.account().id() == user.id =>
            {
                Ok(Current {
                    own,
                    secret,
                    session,
                    user,
                })
            }
            _ => {
                let user = caller.user().map(|user| user.id);
                Err(Stop::counted(Failure::session_ended(user)))
            }
        }
    }

    /// Decides, uses up the code, and gives the session another secret.
    async fn renew(
        self,
        case: &UseCase<'_>,
        caller: &Caller,
        current: Current,
        assurance: Assurance,
        right: Option<Right>,
    ) -> Result<StartedSession, Stop> {
        let proven = Caller {
            assurance,
            ..caller.clone()
        };
        let target = StepUp {
            session: current.own,
        };
        let permit = case.decide(&proven, target).await?;
        if let Some(right) = &right {
            self.identity
                .proofs()
                .settle(case.attempt, &current.user, right)
                .await?;
        }
        // Earlier proofs were judged when they were made.
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
        let user = current.user.id;
        let renewed = self
            .renew_session(
                &permit,
                case.attempt,
                &current,
                fresh,
                assurance,
                right.as_ref(),
            )
            .await
            .of(user)?;
        let secret = renewed.map_err(|not_renewed| match not_renewed {
            NotStarted::AccountChanged => Failure::session_ended(Some(user)),
            used @ NotStarted::RecoveryCodeUsed => used.into_failure(user),
        })?;
        Ok(StartedSession {
            secret,
            session: current.session.id,
            user: current.user.name,
            device: None,
            expires_at: current.session.expires_at,
        })
    }

    /// The session's new secret, unless it ended or stepped up meanwhile. A given recovery code is
    /// used up with it.
    async fn renew_session(
        self,
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
                .identity
                .proofs()
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
        let stepped_up = Detail::SessionSteppedUp {
            session: permit.target().session.id().into(),
            method: right
                .map_or(ConfirmedBy::Password, |right| {
                    ConfirmedBy::Factor(right.factor)
                })
                .into(),
        };
        unit.commit(&permit.event(stepped_up).about(current.user.id))
            .await?;
        Ok(Ok(secret))
    }
}
