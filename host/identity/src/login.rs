//! Logging in: the password, then the second factor, or a passkey alone.
//!
//! Between the two steps nothing is remembered but a row that counts for five minutes and
//! for the browser that has its secret in a cookie. It is void once the user has logged in,
//! or changed the password. Nobody learns whether an account has a second factor who does not
//! know its password.

pub(crate) mod second_factor;

use data_encoding::HEXLOWER;
use gate::recorder::actor_of;
use gate::{Attempt, Gate, Permit, Refusal, RefusalKind};
use model::audit::{AuditEvent, EventKind};
use model::{
    Action, Assurance, Caller, CredentialKind, DeviceKind, Factor, FactorUse, PasswordState,
    Principal, Timestamp, UserId, UserName,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use storage::ceremonies::NewCeremony;
use storage::users::UserRow;
use storage::{Secret, StorageError};

use crate::devices::{Device, MayAsk};
use crate::factors::KeyAnswer;
use crate::factors::challenges::{KeyBinding, KeyProblem};
use crate::prove_person::{Place, Proof};
use crate::refusals::Failure;
use crate::secure::is_secured;
use crate::sessions::{StartSession, StartedSession};
use crate::{Identity, limits, opaque};

use second_factor::{Offered, Right};

/// The kind of the ceremonies in storage: logins that wait for their second step.
pub(crate) const PENDING: &str = "login";
/// How long they wait.
const PENDING_MS: i64 = 5 * 60 * 1000;

const ACTION: Action = Action::SessionStart;

/// Where a login stands.
#[derive(Debug)]
pub enum LoginStep {
    /// Logged in.
    Started(StartedSession),
    /// The password was right; now the second factor. What is pending belongs into a cookie
    /// and counts five minutes.
    SecondFactor { pending: Secret<String> },
    /// All was right so far, from a browser that was never seen: the person confirms it by
    /// mail and logs in again. `mailed_before` when the mail was sent a while ago and none now.
    /// `again` is what asks for the mail once more.
    ConfirmDevice {
        device: Secret<String>,
        again: Secret<String>,
        mailed_before: bool,
    },
}

/// A login whose password was right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingLogin {
    pub user: UserName,
    /// Whether a one-time password app is enrolled.
    pub totp: bool,
    /// Whether a security key or passkey is.
    pub keys: bool,
    /// Recovery codes that were not used.
    pub recovery_codes_left: u32,
}

/// What is remembered of the first step.
#[derive(Serialize, Deserialize)]
struct FirstStep {
    password_at: Timestamp,
    password_state: String,
    /// Digest of the password's hash as it was: a password that was changed was not proven.
    password: String,
}

/// A login that waits, and whose it is.
struct Waiting {
    user: UserRow,
    password_at: Timestamp,
    password_state: PasswordState,
}

/// Where a second step comes from.
struct Browser {
    device: Device,
    must_be_confirmed: bool,
}

impl Identity {
    /// The first step: a user name or verified email address, and the password. `device` is
    /// the cookie by which the browser is known, if it sent one.
    ///
    /// Unknown and disabled users, disabled and wrong passwords are refused in the same words
    /// after the same work. What is decided here without a second factor is final for those
    /// who have none; for the others a refusal that only requires one is not.
    pub async fn log_in(
        &self,
        gate: &Gate,
        attempt: &Attempt,
        name_or_email: &str,
        password: Secret<String>,
        device: Option<&str>,
    ) -> Result<LoginStep, Refusal> {
        if !gate.may_permit(attempt, ACTION, CredentialKind::Session) {
            return Err(self
                .refuse_counted(gate, attempt, ACTION, Failure::person_not_accepted())
                .await);
        }
        let proof = Proof {
            user_name: name_or_email,
            password: password.clone(),
            totp_code: None,
            asks_for_code: false,
            place: Place::Browser(device),
        };
        let user = match self.prove(attempt.remote_address, proof).await {
            Ok(proven) => proven.user,
            Err(problem) => {
                return Err(self
                    .refuse(
                        gate,
                        attempt,
                        ACTION,
                        problem.into_failure(CredentialKind::Session, Failure::login),
                    )
                    .await);
            }
        };
        let password_state = self
            .password_state(gate, attempt, ACTION, &password, Some(user.id))
            .await?;
        let assurance = Assurance {
            password_at: Some(attempt.at),
            second_factor: None,
            password_state,
        };
        let caller = caller(&user, assurance);
        // Whatever the policies make of it, or only count: its owner reads it.
        if password_state == PasswordState::Breached
            && let Err(error) = self.record_breach(gate, attempt, &caller, &user).await
        {
            return Err(self.login_unavailable(gate, attempt, &error, user.id).await);
        }
        let decided = gate.decide(attempt, &caller, StartSession).await;
        if !user.facts().factors.any() {
            return self
                .start(gate, attempt, &decided?, &user, assurance, device, None)
                .await;
        }
        match decided {
            // Decided again once the factor was proven.
            Ok(_) => {}
            Err(Refusal {
                kind: RefusalKind::Required(_),
                ..
            }) => {}
            Err(refusal) => return Err(refusal),
        }
        // Each is a row. Counted for the address as well: who knows a password elsewhere neither
        // ends nor keeps its owner from a login that waits.
        let counter = self
            .config()
            .limits
            .pending_of_from(&user.name, attempt.remote_address);
        match limits::take(self.storage(), &[counter], self.now()).await {
            Ok(Ok(_counted)) => {}
            Ok(Err(too_many)) => {
                return Err(self
                    .refuse(
                        gate,
                        attempt,
                        ACTION,
                        Failure::limited(CredentialKind::Session, too_many).of(user.id),
                    )
                    .await);
            }
            Err(error) => return Err(self.login_unavailable(gate, attempt, &error, user.id).await),
        }
        match self
            .wait_for_second_factor(gate, attempt, &caller, &user, assurance)
            .await
        {
            Ok(pending) => Ok(LoginStep::SecondFactor { pending }),
            Err(error) => Err(self.login_unavailable(gate, attempt, &error, user.id).await),
        }
    }

    /// What the page for the second factor offers; none when nothing is pending. Uses nothing up.
    pub async fn pending_login(&self, pending: &str) -> Result<Option<PendingLogin>, StorageError> {
        let Ok(Waiting { user, .. }) = self.waiting(pending).await? else {
            return Ok(None);
        };
        let factors = user.facts().factors;
        let recovery_codes_left = self.storage().recovery_codes_of(user.id).await?.unused;
        Ok(Some(PendingLogin {
            user: user.name,
            totp: factors.totp,
            keys: factors.webauthn,
            recovery_codes_left,
        }))
    }

    /// The second step by a code of a one-time password app. A wrong one leaves the login
    /// pending.
    pub async fn log_in_with_totp(
        &self,
        gate: &Gate,
        attempt: &Attempt,
        pending: &str,
        code: &str,
        device: Option<&str>,
    ) -> Result<LoginStep, Refusal> {
        self.second_step(gate, attempt, pending, Offered::Totp(code), device)
            .await
    }

    /// The second step by a recovery code.
    pub async fn log_in_with_recovery_code(
        &self,
        gate: &Gate,
        attempt: &Attempt,
        pending: &str,
        code: &str,
        device: Option<&str>,
    ) -> Result<LoginStep, Refusal> {
        self.second_step(gate, attempt, pending, Offered::RecoveryCode(code), device)
            .await
    }

    /// The second step by a security key or passkey.
    pub async fn log_in_with_key(
        &self,
        gate: &Gate,
        attempt: &Attempt,
        pending: &str,
        answer: &KeyAnswer,
        device: Option<&str>,
    ) -> Result<LoginStep, Refusal> {
        self.second_step(
            gate,
            attempt,
            pending,
            Offered::Key(KeyBinding::Pending(pending), answer),
            device,
        )
        .await
    }

    /// Everything in one step: a passkey says who it is and proves it.
    pub async fn log_in_with_passkey(
        &self,
        gate: &Gate,
        attempt: &Attempt,
        answer: &KeyAnswer,
        device: Option<&str>,
    ) -> Result<LoginStep, Refusal> {
        if !gate.may_permit(attempt, ACTION, CredentialKind::Session) {
            return Err(self
                .refuse_counted(gate, attempt, ACTION, Failure::person_not_accepted())
                .await);
        }
        // What answers no challenge of ours costs nothing, and counts against nobody's passkeys.
        match self.is_asked_for_passkey(&answer.ceremony).await {
            Ok(true) => {}
            Ok(false) => {
                return Err(self
                    .refuse_counted(
                        gate,
                        attempt,
                        ACTION,
                        Failure::passkey("key-challenge-unknown", None),
                    )
                    .await);
            }
            Err(error) => {
                return Err(self
                    .refuse(
                        gate,
                        attempt,
                        ACTION,
                        Failure::unavailable(CredentialKind::Session, &error),
                    )
                    .await);
            }
        }
        let (user, at) = match self.look_at_passkey(attempt, answer).await {
            Ok(found) => found,
            Err(failure) => return Err(self.refuse(gate, attempt, ACTION, failure).await),
        };
        let second_factor = Some(FactorUse {
            factor: Factor::Webauthn,
            at,
        });
        let assurance = Assurance {
            password_at: None,
            second_factor,
            password_state: PasswordState::Unchecked,
        };
        let permit = gate
            .decide(attempt, &caller(&user, assurance), StartSession)
            .await?;
        self.start(gate, attempt, &permit, &user, assurance, device, None)
            .await
    }

    async fn second_step(
        &self,
        gate: &Gate,
        attempt: &Attempt,
        pending: &str,
        offered: Offered<'_>,
        device: Option<&str>,
    ) -> Result<LoginStep, Refusal> {
        if !gate.may_permit(attempt, ACTION, CredentialKind::Session) {
            return Err(self
                .refuse_counted(gate, attempt, ACTION, Failure::person_not_accepted())
                .await);
        }
        let waiting = match self.waiting(pending).await {
            Ok(Ok(waiting)) => waiting,
            Ok(Err(why)) => {
                return Err(self
                    .refuse_counted(gate, attempt, ACTION, Failure::login_expired(why, None))
                    .await);
            }
            Err(error) => {
                return Err(self
                    .refuse(
                        gate,
                        attempt,
                        ACTION,
                        Failure::unavailable(CredentialKind::Session, &error),
                    )
                    .await);
            }
        };
        let user = &waiting.user;
        let browser = match self.browser_of(user, device, &offered).await {
            Ok(browser) => browser,
            Err(error) => return Err(self.login_unavailable(gate, attempt, &error, user.id).await),
        };
        let right = match self
            .look_at(attempt, user, &offered, browser.device.known())
            .await
        {
            Ok(right) => right,
            Err(failure) => return Err(self.refuse(gate, attempt, ACTION, failure).await),
        };
        let second_factor = Some(FactorUse {
            factor: right.factor,
            at: right.at,
        });
        let assurance = Assurance {
            password_at: Some(waiting.password_at),
            second_factor,
            password_state: waiting.password_state,
        };
        let permit = gate
            .decide(attempt, &caller(user, assurance), StartSession)
            .await?;
        if !browser.must_be_confirmed {
            self.use_up(gate, attempt, pending, user, &right).await?;
            return self
                .start(
                    gate,
                    attempt,
                    &permit,
                    user,
                    assurance,
                    device,
                    Some(&right),
                )
                .await;
        }
        // Before the code is used up: who cannot be mailed keeps it.
        let (mailed, mailed_before) = match self.may_ask(attempt, user, &browser.device).await {
            Ok(MayAsk::Yes(counted)) => (Some(counted), false),
            Ok(MayAsk::MailedBefore) => (None, true),
            Ok(MayAsk::TooMany(too_many)) => {
                return Err(self
                    .refuse(gate, attempt, ACTION, Failure::no_mail(too_many, user.id))
                    .await);
            }
            Err(error) => return Err(self.login_unavailable(gate, attempt, &error, user.id).await),
        };
        // A recovery code is used up with the session that it starts: the login that is repeated
        // after the mail still has it.
        if let Err(refusal) = self.use_up(gate, attempt, pending, user, &right).await {
            // No mail, so none counts.
            if let Some(counted) = mailed
                && let Err(error) = counted.give_back(self.storage()).await
            {
                tracing::warn!(%error, "a mail that was not sent stays counted");
            }
            return Err(refusal);
        }
        let asked = async {
            self.ask_to_confirm(attempt, user, &browser.device, None, mailed.is_some())
                .await?;
            self.wait_for_confirmation(attempt, user).await
        };
        match asked.await {
            Ok(again) => Ok(LoginStep::ConfirmDevice {
                device: browser.device.secret,
                again,
                mailed_before,
            }),
            Err(error) => Err(self.login_unavailable(gate, attempt, &error, user.id).await),
        }
    }

    /// The browser, and whether its user must confirm it before this factor counts.
    async fn browser_of(
        &self,
        user: &UserRow,
        cookie: Option<&str>,
        offered: &Offered<'_>,
    ) -> Result<Browser, StorageError> {
        let device = self.device_of(user.id, DeviceKind::Browser, cookie).await?;
        let is_code = matches!(offered, Offered::Totp(_) | Offered::RecoveryCode(_));
        let must_be_confirmed = is_code && self.must_be_confirmed(user, &device).await?;
        Ok(Browser {
            device,
            must_be_confirmed,
        })
    }

    /// Uses up the login that waits, then a code of an app that was right. In this order: of
    /// two requests for one login the one that comes too late costs no code.
    async fn use_up(
        &self,
        gate: &Gate,
        attempt: &Attempt,
        pending: &str,
        user: &UserRow,
        right: &Right,
    ) -> Result<(), Refusal> {
        let taken = match opaque::hash(pending) {
            Some(hash) => {
                self.storage()
                    .take_ceremony(&hash, PENDING, self.now())
                    .await
            }
            None => Ok(None),
        };
        match taken {
            Ok(Some(_)) => {}
            Ok(None) => {
                return Err(self
                    .refuse(
                        gate,
                        attempt,
                        ACTION,
                        Failure::login_expired("login-finished-before", Some(user.id)),
                    )
                    .await);
            }
            Err(error) => return Err(self.login_unavailable(gate, attempt, &error, user.id).await),
        }
        match self.settle(attempt, user, right).await {
            Ok(()) => Ok(()),
            Err(failure) => Err(self.refuse(gate, attempt, ACTION, failure).await),
        }
    }

    #[allow(clippy::too_many_arguments)]
    async fn start(
        &self,
        gate: &Gate,
        attempt: &Attempt,
        permit: &Permit<StartSession>,
        user: &UserRow,
        assurance: Assurance,
        cookie: Option<&str>,
        right: Option<&Right>,
    ) -> Result<LoginStep, Refusal> {
        let started = async {
            let device: Device = self.device_of(user.id, DeviceKind::Browser, cookie).await?;
            self.start_session(permit, attempt, user, assurance, &device, right)
                .await
        };
        match started.await {
            Ok(Ok(started)) => Ok(LoginStep::Started(started)),
            Ok(Err(not_started)) => Err(self
                .refuse(gate, attempt, ACTION, not_started.into_failure(user.id))
                .await),
            Err(error) => Err(self.login_unavailable(gate, attempt, &error, user.id).await),
        }
    }

    async fn record_breach(
        &self,
        gate: &Gate,
        attempt: &Attempt,
        caller: &Caller,
        user: &UserRow,
    ) -> Result<(), StorageError> {
        let event = AuditEvent {
            at: attempt.at,
            kind: EventKind::PasswordBreached,
            actor: actor_of(attempt, caller),
            user: Some(user.id),
            project: None,
            decision: Some(attempt.id),
            detail: json!({ "action": ACTION.as_str() }),
        };
        if gate
            .recorder()
            .wants_authentication(attempt, caller, ACTION)
        {
            gate.recorder().audit(event).await?;
        }
        Ok(())
    }

    /// Remembers the first step; what the browser is to remember. That the password was right
    /// is recorded: whoever knows it and has no second factor comes this far.
    async fn wait_for_second_factor(
        &self,
        gate: &Gate,
        attempt: &Attempt,
        caller: &Caller,
        user: &UserRow,
        assurance: Assurance,
    ) -> Result<Secret<String>, StorageError> {
        let event = AuditEvent {
            at: attempt.at,
            kind: EventKind::AuthenticationSucceeded,
            actor: actor_of(attempt, caller),
            user: Some(user.id),
            project: None,
            decision: Some(attempt.id),
            detail: json!({ "method": CredentialKind::Session.as_str(), "second-factor": "pending", "action": ACTION.as_str(), "route": attempt.route }),
        };
        if gate
            .recorder()
            .wants_authentication(attempt, caller, ACTION)
        {
            gate.recorder().audit(event).await?;
        }
        let (secret, hash) = opaque::generate();
        let first = FirstStep {
            password_at: attempt.at,
            password_state: assurance.password_state.as_str().to_owned(),
            password: digest_of_password(user),
        };
        let state = serde_json::to_string(&first)
            .map_err(|error| StorageError::Corrupt(error.to_string()))?;
        let ceremony = NewCeremony {
            secret: &hash,
            kind: PENDING,
            user: Some(user.id),
            session: None,
            state: &state,
            created_at: attempt.at,
            expires_at: attempt.at.plus_ms(PENDING_MS),
        };
        self.storage().open_ceremony(&ceremony).await?;
        Ok(secret)
    }

    /// The login that waits under this secret, or why there is none.
    async fn waiting(&self, pending: &str) -> Result<Result<Waiting, &'static str>, StorageError> {
        let Some(hash) = opaque::hash(pending) else {
            return Ok(Err("no-pending-login"));
        };
        let Some(row) = self.storage().ceremony(&hash, PENDING, self.now()).await? else {
            return Ok(Err("no-pending-login"));
        };
        let unreadable = || StorageError::Corrupt("the state of a pending login".to_owned());
        let first: FirstStep =
            serde_json::from_str(row.state.expose()).map_err(|_| unreadable())?;
        let password_state =
            PasswordState::from_word(&first.password_state).ok_or_else(unreadable)?;
        let user = match row.user {
            Some(user) => self.storage().user(user).await?,
            None => None,
        };
        let may_log_in = |user: &UserRow| {
            user.disabled_at.is_none()
                && user.deleted_at.is_none()
                && user.password_disabled.is_none()
        };
        match user {
            Some(user) if may_log_in(&user) && digest_of_password(&user) == first.password => {
                Ok(Ok(Waiting {
                    user,
                    password_at: first.password_at,
                    password_state,
                }))
            }
            _ => Ok(Err("account-changed")),
        }
    }

    /// Whose passkey it is. An answer to a challenge of ours is counted for the address alone:
    /// which account is meant is not known before the passkey was right, nobody can guess one,
    /// and what is counted for all would let one stop all.
    async fn look_at_passkey(
        &self,
        attempt: &Attempt,
        answer: &KeyAnswer,
    ) -> Result<(UserRow, Timestamp), Failure> {
        let unavailable = |error| {
            Failure::unavailable(CredentialKind::Session, &error).with_factor(Factor::Webauthn)
        };
        let counters = [self.config().limits.webauthn_from(attempt.remote_address)];
        let taken = limits::take(self.storage(), &counters, self.now())
            .await
            .map_err(unavailable)?;
        let taken = taken.map_err(|too_many| {
            Failure::limited(CredentialKind::Session, too_many).with_factor(Factor::Webauthn)
        })?;
        let at = self.now();
        let user = match self.verify_passkey(answer, at).await {
            Ok(user) => user,
            Err(KeyProblem::Wrong { why, user }) => return Err(Failure::passkey(why, user)),
            Err(KeyProblem::Storage(error)) => return Err(unavailable(error)),
        };
        if user.disabled_at.is_some() || user.deleted_at.is_some() {
            return Err(Failure::passkey("disabled-user", Some(user.id)));
        }
        if is_secured(&user) {
            return Err(Failure::passkey("account-secured", Some(user.id)));
        }
        taken.give_back(self.storage()).await.map_err(unavailable)?;
        Ok((user, at))
    }

    async fn login_unavailable(
        &self,
        gate: &Gate,
        attempt: &Attempt,
        error: &StorageError,
        user: UserId,
    ) -> Refusal {
        self.refuse(
            gate,
            attempt,
            ACTION,
            Failure::unavailable(CredentialKind::Session, error).of(user),
        )
        .await
    }
}

/// Somebody who was proven in a form, without a session yet.
fn caller(user: &UserRow, assurance: Assurance) -> Caller {
    Caller {
        credential: CredentialKind::Session,
        principal: Principal::User(user.facts()),
        token: None,
        session: None,
        assurance,
    }
}

fn digest_of_password(user: &UserRow) -> String {
    let hash = user
        .password_hash
        .as_ref()
        .map_or("", |hash| hash.expose().as_str());
    HEXLOWER.encode(&Sha256::digest(hash.as_bytes()))
}
