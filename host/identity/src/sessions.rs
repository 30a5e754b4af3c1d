//! Browser sessions: started, listed, ended.
//!
//! A session is a row, found by the hash of the secret in its cookie. The secret is created here at
//! the login and again at each step-up: a secret that someone else could have known before is never
//! valid.

use gate::{Attempt, Permit, Target, TargetFacts};
use model::audit::detail::{EndedSessions, LoginDevice, LoginMethod};
use model::audit::{Actor, Detail};
use model::{
    Action, Assurance, Caller, Factor, FactorUse, LinkPurpose, PasswordState, SessionId, Timestamp,
    UserId, UserName,
};
use storage::sessions::{NewSession, Proven, SessionRow};
use storage::users::UserRow;
use storage::{Conflict, Secret, StorageError, UnitOfWork};

use crate::accounts::is_secured;
use crate::devices::Device;
use crate::history::device_in_words;
use crate::login::second_factor::Right;
use crate::refusals::Failure;
use crate::{Account, opaque};

/// Start a session for a proven user.
#[derive(Clone, Copy, Debug)]
pub struct StartSession;

/// List a user's live sessions.
#[derive(Clone, Copy, Debug)]
pub struct ListSessions {
    pub account: Account,
}

/// End one of a user's sessions.
#[derive(Clone, Copy, Debug)]
pub struct EndSession {
    pub account: Account,
    pub session: SessionId,
}

/// End all of a user's sessions but one.
#[derive(Clone, Copy, Debug)]
pub struct EndSessions {
    pub account: Account,
    /// The session to keep; none to end all.
    pub except: Option<SessionId>,
}

/// A session that was started, or renewed with another secret.
#[derive(Clone, Debug)]
pub struct StartedSession {
    /// The value that the browser presents from now on. The database has only its hash.
    pub secret: Secret<String>,
    pub session: SessionId,
    pub user: UserName,
    /// Identifies the browser at the next login; none to leave that unchanged.
    pub device: Option<Secret<String>>,
    /// The final end, however much the session is used.
    pub expires_at: Timestamp,
}

/// A live session, as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedSession {
    pub id: SessionId,
    pub created_at: Timestamp,
    pub last_used_at: Timestamp,
    /// Where it was started from.
    pub remote_address: String,
    /// The browser in words, see [`device_in_words`].
    pub device: String,
    pub user_agent: String,
    /// The second factor proven last.
    pub factor: Option<Factor>,
}

/// Why a session was not started or renewed.
pub(crate) enum NotStarted {
    /// The proof no longer holds: the password or the app was changed, or the account was disabled
    /// during the login; or the session has ended.
    AccountChanged,
    /// The recovery code was used by another request.
    RecoveryCodeUsed,
}

impl NotStarted {
    /// As a refusal of a login.
    pub(crate) fn into_failure(self, user: UserId) -> Failure {
        match self {
            Self::AccountChanged => Failure::login_expired("account-changed", Some(user)),
            Self::RecoveryCodeUsed => {
                Failure::second_factor("recovery-code-unknown-or-used", Factor::RecoveryCode, user)
            }
        }
    }
}

/// What a session's row proves in a later request: its password was checked in an earlier one, and
/// may have changed since.
pub(crate) fn assurance_of(session: &SessionRow) -> Assurance {
    Assurance {
        password_state: PasswordState::Unchecked,
        ..session.assurance
    }
}

impl Target for StartSession {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::SessionStart)
    }
}

impl Target for ListSessions {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::SessionList)
    }
}

impl Target for EndSession {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::SessionEnd)
    }
}

impl Target for EndSessions {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::SessionEnd)
    }
}

crate::areas::area! {
    /// Sessions: started, listed, ended.
    Sessions
}

impl Sessions<'_> {
    /// Sessions that were last used at this time or before have ended.
    pub(crate) fn idle_since(self, now: Timestamp) -> Timestamp {
        now.plus_ms(-milliseconds(self.config().session_idle))
    }

    /// Starts a session of this user, who was proven in the state of the row, if the proof still
    /// holds. A given recovery code is used up with it.
    ///
    /// Also drops the user's other logins between their two steps. A link for a new password stays:
    /// knowing the old one must not void it.
    pub(crate) async fn start(
        self,
        permit: &Permit<StartSession>,
        attempt: &Attempt,
        user: &UserRow,
        assurance: Assurance,
        device: &Device,
        right: Option<&Right>,
    ) -> Result<Result<StartedSession, NotStarted>, StorageError> {
        let (secret, hash) = opaque::generate();
        let (id, at) = (SessionId::new(), permit.at());
        let expires_at = at.plus_ms(milliseconds(self.config().session_lifetime));
        let remote_address = attempt.remote_address.to_string();
        let mut unit = permit.begin(self.storage()).await?;
        let held = unit.hold_user(user.id).await?;
        if !held.is_some_and(|held| is_still(user, &held, assurance)) {
            return Ok(Err(NotStarted::AccountChanged));
        }
        if let Some(right) = right
            && !self
                .identity
                .proofs()
                .settle_in(&mut unit, attempt, user, right)
                .await?
        {
            return Ok(Err(NotStarted::RecoveryCodeUsed));
        }
        let session = NewSession {
            secret: &hash,
            id,
            user: user.id,
            created_at: at,
            expires_at,
            remote_address: &remote_address,
            user_agent: &attempt.user_agent,
            assurance,
        };
        unit.create_session(&session).await?;
        unit.see_device(
            user.id,
            &device.hash,
            at,
            &remote_address,
            &attempt.user_agent,
            true,
        )
        .await?;
        unit.drop_ceremonies_before_sessions(user.id).await?;
        let started = Detail::SessionStarted {
            session: id.into(),
            method: match assurance.password_at {
                Some(_) => LoginMethod::Password.into(),
                None => LoginMethod::Passkey.into(),
            },
            second_factor: assurance.second_factor.map(|used| used.factor.into()),
            device: match device.is_confirmed() {
                true => LoginDevice::Known.into(),
                false => LoginDevice::New.into(),
            },
        };
        unit.commit(&permit.event(started).about(user.id)).await?;
        Ok(Ok(StartedSession {
            secret,
            session: id,
            user: user.name.clone(),
            device: Some(device.secret.clone()),
            expires_at,
        }))
    }

    /// Gives the session of the permit a new secret, within the unit that changes how the account
    /// is proven. That invalidates copies of its cookie, which may be why its owner makes the
    /// change. None if the permit was not for a session.
    pub(crate) async fn change_secret<T>(
        self,
        unit: &mut UnitOfWork,
        permit: &Permit<T>,
        user: &UserName,
        proven: Proven,
    ) -> Result<Option<StartedSession>, StorageError> {
        let Some(session) = permit.session() else {
            return Ok(None);
        };
        let (secret, hash) = opaque::generate();
        let expires_at = unit
            .change_session_secret(session, &hash, proven, permit.at())
            .await?
            .ok_or(Conflict::SessionEnded)?;
        Ok(Some(StartedSession {
            secret,
            session,
            user: user.clone(),
            device: None,
            expires_at,
        }))
    }

    /// Like [`Self::change_secret`], for a new second factor. The first one ends the other sessions
    /// and makes all other browsers and command lines unknown: they got in by the password alone,
    /// and someone who knows it would need no mail for a code.
    pub(crate) async fn change_secret_for_factor<T>(
        self,
        unit: &mut UnitOfWork,
        permit: &Permit<T>,
        user: &UserRow,
        factor: Factor,
    ) -> Result<Option<StartedSession>, StorageError> {
        let at = permit.at();
        // Enrollment by an operator is unrelated to the browsers that got in before.
        let is_first = permit.session().is_some() && !user.facts().factors.any();
        if is_first {
            unit.end_sessions(user.id, permit.session()).await?;
            unit.drop_devices(user.id, None).await?;
            unit.drop_links(user.id, Some(LinkPurpose::DeviceConfirm))
                .await?;
        }
        let started = self
            .change_secret(
                unit,
                permit,
                &user.name,
                Proven::Factor(FactorUse { factor, at }),
            )
            .await?;
        let (
            Some(mut started),
            Actor::Caller {
                remote_address,
                user_agent,
                ..
            },
        ) = (started, permit.actor())
        else {
            return Ok(None);
        };
        if is_first {
            let (secret, device) = opaque::generate();
            unit.see_device(user.id, &device, at, remote_address, user_agent, true)
                .await?;
            started.device = Some(secret);
        }
        Ok(Some(started))
    }

    /// A user's live sessions, the newest first.
    pub async fn list(
        self,
        permit: Permit<ListSessions>,
    ) -> Result<Vec<ListedSession>, StorageError> {
        let now = self.now();
        let rows = self
            .storage()
            .sessions_of(permit.target().account.id(), self.idle_since(now), now)
            .await?;
        let listed = |row: SessionRow| ListedSession {
            id: row.id,
            created_at: row.created_at,
            last_used_at: row.last_used_at,
            remote_address: row.remote_address,
            device: device_in_words(&row.user_agent),
            user_agent: row.user_agent,
            factor: row.assurance.second_factor.map(|used| used.factor),
        };
        Ok(rows.into_iter().map(listed).collect())
    }

    /// Ends one of a user's sessions; returns whether it was live. Another user's session is
    /// treated as unknown.
    pub async fn end(self, permit: Permit<EndSession>) -> Result<bool, StorageError> {
        let EndSession { account, session } = *permit.target();
        let user = account.id();
        let mut unit = permit.begin(self.storage()).await?;
        if !unit.end_session(user, session).await? {
            return Ok(false);
        }
        let which = EndedSessions::One {
            session: session.into(),
            own: permit.session() == Some(session),
        };
        let ended = Detail::SessionEnded { which };
        unit.commit(&permit.event(ended).about(user)).await?;
        Ok(true)
    }

    /// Ends the session that a browser had before it logged in again: its cookie is replaced, and
    /// nothing else would end it.
    pub async fn end_replaced(
        self,
        attempt: &Attempt,
        replaced: &Caller,
        by: &StartedSession,
    ) -> Result<(), StorageError> {
        let (Some(user), Some(session)) = (
            replaced.user(),
            replaced.session.filter(|session| *session != by.session),
        ) else {
            return Ok(());
        };
        let mut unit = self.storage().begin().await?;
        if unit.end_session(user.id, session).await? {
            let which = EndedSessions::Replaced {
                session: session.into(),
                by: by.session.into(),
            };
            let ended = Detail::SessionEnded { which };
            unit.commit(&attempt.event(replaced, ended).about(user.id))
                .await?;
        }
        Ok(())
    }

    /// Ends all of a user's sessions but one; returns how many.
    pub async fn end_all(self, permit: Permit<EndSessions>) -> Result<u64, StorageError> {
        let EndSessions { account, except } = *permit.target();
        let user = account.id();
        let mut unit = permit.begin(self.storage()).await?;
        let ended = unit.end_sessions(user, except).await?;
        if ended == 0 {
            return Ok(0);
        }
        let which = EndedSessions::AllBut {
            sessions: ended,
            kept: except.map(Into::into),
        };
        let detail = Detail::SessionEnded { which };
        unit.commit(&permit.event(detail).about(user)).await?;
        Ok(ended)
    }

    /// Deletes the rows of sessions, pending steps and links that have ended; returns how many.
    /// Housekeeping, to run periodically: none of them is valid any longer.
    pub async fn forget_what_ended(self) -> Result<u64, StorageError> {
        let now = self.now();
        let sessions = self
            .storage()
            .forget_ended_sessions(self.idle_since(now), now)
            .await?;
        let ceremonies = self.storage().forget_ended_ceremonies(now).await?;
        Ok(sessions + ceremonies + self.storage().forget_ended_links(now).await?)
    }
}

/// Whether the proof of a user in this request still holds.
pub(crate) fn is_still(proven: &UserRow, held: &UserRow, assurance: Assurance) -> bool {
    let may_log_in = held.disabled_at.is_none() && held.deleted_at.is_none();
    let has_password = assurance.password_at.is_none()
        || held.password_disabled.is_none() && held.password_hash == proven.password_hash;
    let used_totp = assurance
        .second_factor
        .is_some_and(|used| used.factor == Factor::Totp);
    may_log_in
        && has_password
        && !is_secured(held)
        && (!used_totp || held.totp_secret == proven.totp_secret)
}

fn milliseconds(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}
