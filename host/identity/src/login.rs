//! Logging in: the password, then the second factor, or a passkey alone.
//!
//! Between the two steps, only a row is stored. It is valid for five minutes, and only for the
//! browser that has its secret in a cookie. It becomes invalid once the user has logged in or
//! changed the password. Only someone who knows an account's password learns whether it has a
//! second factor.

pub(crate) mod second_factor;

use data_encoding::HEXLOWER;
use gate::{Attempt, Permit, Refusal, RefusalKind};
use model::audit::Detail;
use model::audit::detail::SecondStep;
use model::{
    Action, Assurance, Caller, CeremonyKind, CredentialKind, DeviceKind, Factor, FactorUse,
    PasswordState, Principal, Timestamp, UserName,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use storage::ceremonies::NewCeremony;
use storage::users::UserRow;
use storage::{Secret, StorageError};

use crate::accounts::is_secured;
use crate::devices::{Device, MayAsk};
use crate::factors::KeyAnswer;
use crate::factors::challenges::{KeyBinding, KeyProblem};
use crate::prove_person::{Place, Proof};
use crate::refusals::Failure;
use crate::request::{Concerning, RequestContext, Stop, UseCase};
use crate::sessions::{StartSession, StartedSession};
use crate::{limits, opaque};

use second_factor::{Offered, Right};

/// How long a login waits for its second step.
const PENDING_MS: i64 = 5 * 60 * 1000;

const ACTION: Action = Action::SessionStart;

/// The state of a login.
#[derive(Debug)]
pub enum LoginStep {
    /// Logged in.
    Started(StartedSession),
    /// The password was right; now the second factor. `pending` belongs in a cookie and is valid
    /// for five minutes.
    SecondFactor { pending: Secret<String> },
    /// Everything was right so far, but the browser is unknown: the person confirms it by mail and
    /// logs in again. `mailed_before` if the mail was sent earlier and none was sent now. `again`
    /// is the secret to request the mail again.
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
    /// Whether a security key or passkey is enrolled.
    pub keys: bool,
    /// Unused recovery codes.
    pub recovery_codes_left: u32,
}

/// What is stored of the first step.
#[derive(Serialize, Deserialize)]
struct FirstStep {
    password_at: Timestamp,
    password_state: String,
    /// Digest of the password's hash then: a password that was changed is not proven.
    password: String,
}

/// A waiting login and its user.
struct Waiting {
    user: UserRow,
    password_at: Timestamp,
    password_state: PasswordState,
}

/// The browser of a second step.
struct Browser {
    device: Device,
    must_be_confirmed: bool,
}

crate::areas::area! {
    /// Logins: a password and then a second factor, or a passkey alone.
    Logins
}

impl Logins<'_> {
    /// The first step: a user name or verified email address, and the password. `device` is the
    /// cookie that identifies the browser, if it sent one.
    ///
    /// Unknown and disabled users, disabled and wrong passwords are refused in the same words after
    /// the same work. A decision made here without a second factor is final for users who have
    /// none; for others, a refusal that only requires a second factor is not.
    pub async fn with_password(
        self,
        context: RequestContext<'_>,
        name_or_email: &str,
        password: Secret<String>,
        device: Option<&str>,
    ) -> Result<LoginStep, Refusal> {
        let case = self.login_case(context);
        let step = self.first_step(&case, name_or_email, password, device);
        case.answer(step.await).await
    }

    fn login_case<'a>(&'a self, context: RequestContext<'a>) -> UseCase<'a> {
        self.identity
            .use_case(context, ACTION, CredentialKind::Session)
    }

    async fn first_step(
        self,
        case: &UseCase<'_>,
        name_or_email: &str,
        password: Secret<String>,
        device: Option<&str>,
    ) -> Result<LoginStep, Stop> {
        case.expect_person()?;
        let attempt = case.attempt;
        let proof = Proof {
            user_name: name_or_email,
            password: password.clone(),
            totp_code: None,
            asks_for_code: false,
            place: Place::Browser(device),
        };
        let proven = self
            .identity
            .proofs()
            .prove(attempt.remote_address, proof)
            .await;
        let user = proven
            .map_err(|problem| problem.into_failure(case.credential, Failure::login))?
            .user;
        let password_state = self
            .identity
            .passwords()
            .password_state(case, &password, Some(user.id))
            .await?;
        let assurance = Assurance {
            password_at: Some(attempt.at),
            second_factor: None,
            password_state,
        };
        let caller = caller(&user, assurance);
        // Whether policies refuse it or only count it, its owner sees it.
        if password_state == PasswordState::Breached {
            self.record_breach(case, &caller, &user).await.of(user.id)?;
        }
        let decided = case.decide(&caller, StartSession).await;
        if !user.facts().factors.any() {
            return self
                .start(case, &decided?, &user, assurance, device, None)
                .await;
        }
        match decided {
            // Decided again once the factor is proven.
            Ok(_) => {}
            Err(Refusal {
                kind: RefusalKind::Required(_),
                ..
            }) => {}
            Err(refusal) => return Err(refusal.into()),
        }
        // Each is a row. Also counted by address: an attacker elsewhere who knows a password can
        // neither end a waiting login of its owner nor prevent one.
        let counter = self
            .config()
            .limits
            .pending_of_from(&user.name, attempt.remote_address);
        let _counted = case.take(&[counter]).await.of(user.id)?;
        let pending = self
            .wait_for_second_factor(case, &caller, &user, assurance)
            .await
            .of(user.id)?;
        Ok(LoginStep::SecondFactor { pending })
    }

    /// The data for the page of the second factor; none if no login is pending. Uses nothing up.
    pub async fn pending(self, pending: &str) -> Result<Option<PendingLogin>, StorageError> {
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

    /// The second step by a code of a one-time password app. After a wrong one, the login stays
    /// pending.
    pub async fn with_totp(
        self,
        context: RequestContext<'_>,
        pending: &str,
        code: &str,
        device: Option<&str>,
    ) -> Result<LoginStep, Refusal> {
        let offered = Offered::Totp(code);
        self.with_second_factor(context, pending, offered, device)
            .await
    }

    /// The second step by a recovery code.
    pub async fn with_recovery_code(
        self,
        context: RequestContext<'_>,
        pending: &str,
        code: &str,
        device: Option<&str>,
    ) -> Result<LoginStep, Refusal> {
        let offered = Offered::RecoveryCode(code);
        self.with_second_factor(context, pending, offered, device)
            .await
    }

    /// The second step by a security key or passkey.
    pub async fn with_key(
        self,
        context: RequestContext<'_>,
        pending: &str,
        answer: &KeyAnswer,
        device: Option<&str>,
    ) -> Result<LoginStep, Refusal> {
        let offered = Offered::Key(KeyBinding::Pending(pending), answer);
        self.with_second_factor(context, pending, offered, device)
            .await
    }

    async fn with_second_factor(
        self,
        context: RequestContext<'_>,
        pending: &str,
        offered: Offered<'_>,
        device: Option<&str>,
    ) -> Result<LoginStep, Refusal> {
        let case = self.login_case(context);
        let step = self.second_step(&case, pending, offered, device);
        case.answer(step.await).await
    }

    /// Everything in one step: a passkey identifies the user and is the proof.
    pub async fn with_passkey(
        self,
        context: RequestContext<'_>,
        answer: &KeyAnswer,
        device: Option<&str>,
    ) -> Result<LoginStep, Refusal> {
        let case = self.login_case(context);
        let step = self.only_step(&case, answer, device);
        case.answer(step.await).await
    }

    async fn only_step(
        self,
        case: &UseCase<'_>,
        answer: &KeyAnswer,
        device: Option<&str>,
    ) -> Result<LoginStep, Stop> {
        case.expect_person()?;
        // An answer to no challenge of ours costs little and is not counted as a failed passkey.
        if !self
            .identity
            .factors()
            .is_asked_for_passkey(&answer.ceremony)
            .await?
        {
            let failure = Failure::passkey("key-challenge-unknown", None);
            return Err(Stop::counted(failure));
        }
        let (user, at) = self.look_at_passkey(case.attempt, answer).await?;
        let second_factor = Some(FactorUse {
            factor: Factor::Webauthn,
            at,
        });
        let assurance = Assurance {
            password_at: None,
            second_factor,
            password_state: PasswordState::Unchecked,
        };
        let permit = case.decide(&caller(&user, assurance), StartSession).await?;
        self.start(case, &permit, &user, assurance, device, None)
            .await
    }

    async fn second_step(
        self,
        case: &UseCase<'_>,
        pending: &str,
        offered: Offered<'_>,
        device: Option<&str>,
    ) -> Result<LoginStep, Stop> {
        case.expect_person()?;
        let attempt = case.attempt;
        let waiting = self
            .waiting(pending)
            .await?
            .map_err(|why| Stop::counted(Failure::login_expired(why, None)))?;
        let user = &waiting.user;
        let browser = self.browser_of(user, device, &offered).await.of(user.id)?;
        let right = self
            .identity
            .proofs()
            .look_at(attempt, user, &offered, browser.device.known())
            .await?;
        let second_factor = Some(FactorUse {
            factor: right.factor,
            at: right.at,
        });
        let assurance = Assurance {
            password_at: Some(waiting.password_at),
            second_factor,
            password_state: waiting.password_state,
        };
        let permit = case.decide(&caller(user, assurance), StartSession).await?;
        if !browser.must_be_confirmed {
            self.use_up(case, pending, user, &right).await?;
            return self
                .start(case, &permit, user, assurance, device, Some(&right))
                .await;
        }
        // Before the code is used up: a person who cannot get a mail keeps it.
        let asks = self
            .identity
            .devices()
            .may_ask(attempt, user, &browser.device)
            .await;
        let (mailed, mailed_before) = match asks.of(user.id)? {
            MayAsk::Yes(counted) => (Some(counted), false),
            MayAsk::MailedBefore => (None, true),
            MayAsk::TooMany(too_many) => {
                return Err(Failure::no_mail(too_many, user.id).into());
            }
        };
        // A recovery code is used up together with the start of the session: when the login is
        // repeated after the mail, the code still works.
        if let Err(stopped) = self.use_up(case, pending, user, &right).await {
            // No mail was sent, so none is counted.
            if let Some(counted) = mailed
                && let Err(error) = counted.give_back(self.storage()).await
            {
                tracing::warn!(%error, "a mail that was not sent stays counted");
            }
            return Err(stopped);
        }
        self.identity
            .devices()
            .ask_to_confirm(attempt, user, &browser.device, None, mailed.is_some())
            .await
            .of(user.id)?;
        let again = self
            .identity
            .devices()
            .wait_for_confirmation(attempt, user)
            .await
            .of(user.id)?;
        Ok(LoginStep::ConfirmDevice {
            device: browser.device.secret,
            again,
            mailed_before,
        })
    }

    /// The browser, and whether its user must confirm it before this factor is accepted.
    async fn browser_of(
        self,
        user: &UserRow,
        cookie: Option<&str>,
        offered: &Offered<'_>,
    ) -> Result<Browser, StorageError> {
        let device = self
            .identity
            .devices()
            .device_of(user.id, DeviceKind::Browser, cookie)
            .await?;
        let is_code = matches!(offered, Offered::Totp(_) | Offered::RecoveryCode(_));
        let must_be_confirmed = is_code
            && self
                .identity
                .devices()
                .must_be_confirmed(user, &device)
                .await?;
        Ok(Browser {
            device,
            must_be_confirmed,
        })
    }

    /// Uses up the waiting login, then a right code of an app. In this order: of two requests for
    /// one login, the later one costs no code.
    async fn use_up(
        self,
        case: &UseCase<'_>,
        pending: &str,
        user: &UserRow,
        right: &Right,
    ) -> Result<(), Stop> {
        let taken = match opaque::hash(pending) {
            Some(hash) => {
                self.storage()
                    .take_ceremony(&hash, CeremonyKind::Login, self.now())
                    .await
            }
            None => Ok(None),
        };
        if taken.of(user.id)?.is_none() {
            return Err(Failure::login_expired("login-finished-before", Some(user.id)).into());
        }
        Ok(self
            .identity
            .proofs()
            .settle(case.attempt, user, right)
            .await?)
    }

    async fn start(
        self,
        case: &UseCase<'_>,
        permit: &Permit<StartSession>,
        user: &UserRow,
        assurance: Assurance,
        cookie: Option<&str>,
        right: Option<&Right>,
    ) -> Result<LoginStep, Stop> {
        let device = self
            .identity
            .devices()
            .device_of(user.id, DeviceKind::Browser, cookie)
            .await
            .of(user.id)?;
        let started = self
            .identity
            .sessions()
            .start(permit, case.attempt, user, assurance, &device, right)
            .await
            .of(user.id)?;
        let started = started.map_err(|not_started| not_started.into_failure(user.id))?;
        Ok(LoginStep::Started(started))
    }

    async fn record_breach(
        self,
        case: &UseCase<'_>,
        caller: &Caller,
        user: &UserRow,
    ) -> Result<(), StorageError> {
        let UseCase { gate, attempt, .. } = *case;
        let breached = Detail::PasswordBreached {
            action: ACTION.into(),
        };
        let event = attempt.event(caller, breached).about(user.id);
        if gate
            .recorder()
            .wants_authentication(attempt, caller, ACTION)
        {
            gate.recorder().audit(event).await?;
        }
        Ok(())
    }

    /// Stores the first step; returns the secret for the browser. Also records that the password
    /// was right: somebody who knows it but has no second factor gets this far.
    async fn wait_for_second_factor(
        self,
        case: &UseCase<'_>,
        caller: &Caller,
        user: &UserRow,
        assurance: Assurance,
    ) -> Result<Secret<String>, StorageError> {
        let UseCase { gate, attempt, .. } = *case;
        let succeeded = Detail::AuthenticationSucceeded {
            method: CredentialKind::Session.into(),
            second_factor: SecondStep::Pending,
            action: ACTION.into(),
            route: attempt.route.to_owned(),
        };
        let event = attempt.event(caller, succeeded).about(user.id);
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
            kind: CeremonyKind::Login,
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
    async fn waiting(self, pending: &str) -> Result<Result<Waiting, &'static str>, StorageError> {
        let Some(hash) = opaque::hash(pending) else {
            return Ok(Err("no-pending-login"));
        };
        let Some(row) = self
            .storage()
            .ceremony(&hash, CeremonyKind::Login, self.now())
            .await?
        else {
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

    /// The owner of a passkey. An answer to a challenge of ours is counted for the address alone:
    /// the account is unknown before the passkey is verified, passkeys cannot be guessed, and a
    /// counter for all would let one attacker block everyone.
    async fn look_at_passkey(
        self,
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
        let user = match self.identity.factors().verify_passkey(answer, at).await {
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
}

/// A user who was proven in a form and has no session yet.
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
