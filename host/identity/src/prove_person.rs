//! Password and second factor verified within one call.

use std::net::IpAddr;

use gate::Refusal;
use model::audit::{AuditEvent, Detail};
use model::{
    Action, Assurance, Caller, CredentialKind, DeviceKind, Factor, FactorUse, Principal, SessionId,
    UserId, UserName,
};
use storage::users::UserRow;
use storage::{Secret, StorageError};
use turns::Asker;

use crate::devices::{NotProven, host_of};
use crate::limits::{self, Counter, Known, TooMany};
use crate::named::Login;
use crate::passwords::{Busy, MAX_BYTES, Match};
use crate::refusals::Failure;
use crate::request::{Concerning, RequestContext, Stop, UseCase};
use crate::{opaque, totp};

/// The input of a person.
pub(crate) struct Proof<'a> {
    /// The user name, or a verified email address.
    pub(crate) user_name: &'a str,
    pub(crate) password: Secret<String>,
    pub(crate) totp_code: Option<&'a str>,
    /// Whether a user who has a second factor must send a code: if the call has a place for one.
    pub(crate) asks_for_code: bool,
    pub(crate) place: Place<'a>,
}

/// Where a password was typed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'a> {
    /// In a program, or in an unknown place.
    Anywhere,
    /// In a browser with this device cookie, if it sent one.
    Browser(Option<&'a str>),
    /// In a program with this device secret, if it sent one.
    CommandLine(Option<&'a str>),
    /// In a live session of the named user.
    Session(SessionId),
}

/// A person's proof of identity, for this call alone.
#[derive(Clone, Copy)]
pub struct PersonalProof<'a> {
    /// The user name, or a verified email address.
    pub user_name: &'a str,
    pub password: &'a Secret<String>,
    pub totp_code: Option<&'a str>,
    /// The device secret that an earlier answer returned to the command line, if any.
    pub device: Option<&'a str>,
    /// The machine's own name, for the list of known devices.
    pub host: Option<&'a str>,
}

/// A TOTP code that was verified and is not used up yet. It authorises nothing until
/// [`Proofs::spend_code`] accepts it, which happens only once.
#[derive(Debug)]
#[must_use = "a code that is not spent can be sent again"]
pub struct UnspentCode {
    user: UserId,
    name: UserName,
    step: i64,
}

impl UnspentCode {
    /// A code that matched this step of the user's secret.
    pub(crate) fn new(user: &UserRow, step: i64) -> Self {
        Self {
            user: user.id,
            name: user.name.clone(),
            step,
        }
    }
}

/// Who it is.
pub(crate) struct Proven {
    pub(crate) user: UserRow,
    /// The TOTP code that was verified along with the password.
    pub(crate) code: Option<UnspentCode>,
}

/// Why the person was not proven.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("wrong: {why}")]
    Wrong {
        why: &'static str,
        user: Option<UserId>,
    },
    #[error("too many attempts")]
    TooMany {
        too_many: TooMany,
        user: Option<UserId>,
    },
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("busy")]
    Busy,
}

impl Problem {
    /// Converts it into a refusal; `wrong` provides the wording.
    pub(crate) fn into_failure(
        self,
        credential: CredentialKind,
        wrong: impl FnOnce(&'static str, Option<UserId>) -> Failure,
    ) -> Failure {
        match self {
            Self::Wrong { why, user } => wrong(why, user),
            Self::TooMany { too_many, user } => Failure {
                user,
                ..Failure::limited(credential, too_many)
            },
            Self::Busy => Failure::busy(credential),
            Self::Storage(error) => Failure::unavailable(credential, &error),
        }
    }
}

impl From<Busy> for Problem {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

crate::areas::area! {
    /// Proofs of identity: passwords and codes, counted and compared.
    Proofs
}

impl Proofs<'_> {
    /// Proves a person by password and TOTP code, for this request alone, without a session. Yields
    /// credential `session` with the current assurance. For a user without any second factor the
    /// assurance has none, and the policies may require one. For a user with one, a missing or
    /// wrong code is answered and counted like a wrong password; a user with only security keys
    /// must use a browser.
    ///
    /// A code is accepted only from a command line that its user confirmed, just like a login by
    /// code needs a confirmed browser: an attacker who tricked a user out of password and code has
    /// neither that device nor the mail about it.
    ///
    /// Refused unverified where the attempt's policy set could not permit a session.
    ///
    /// The code is verified here and used up by [`Self::spend_code`], between the decision and the
    /// change: a refused or failed action costs no code, and no code authorises two actions.
    pub async fn prove_person(
        self,
        context: RequestContext<'_>,
        action: Action,
        sent: PersonalProof<'_>,
    ) -> Result<(Caller, Option<UnspentCode>), NotProven> {
        let case = self
            .identity
            .use_case(context, action, CredentialKind::Session);
        let proven = self.prove_for_call(&case, sent);
        case.answer(proven.await).await
    }

    async fn prove_for_call(
        self,
        case: &UseCase<'_>,
        sent: PersonalProof<'_>,
    ) -> Result<(Caller, Option<UnspentCode>), Stop<NotProven>> {
        case.expect_person()?;
        let PersonalProof {
            user_name,
            password,
            totp_code,
            device,
            host,
        } = sent;
        let proof = Proof {
            user_name,
            password: password.clone(),
            totp_code,
            asks_for_code: true,
            place: Place::CommandLine(device),
        };
        let at = case.attempt.at;
        let Proven { user, code } = self
            .prove(case.attempt.remote_address, proof)
            .await
            .map_err(|problem| problem.into_failure(case.credential, Failure::person))?;
        if code.is_some() {
            self.admit_device(case, &user, device, host.and_then(host_of))
                .await?;
        }
        let second_factor = code.as_ref().map(|_| FactorUse {
            factor: Factor::Totp,
            at,
        });
        let password_state = self
            .identity
            .passwords()
            .password_state(case, password, Some(user.id))
            .await?;
        let assurance = Assurance {
            password_at: Some(at),
            second_factor,
            password_state,
        };
        let caller = Caller {
            credential: case.credential,
            principal: Principal::User(user.facts()),
            token: None,
            session: None,
            assurance,
        };
        Ok((case.admit(caller).await?, code))
    }

    /// Admits a command line that its user confirmed, and any of a user who cannot be asked. All
    /// others are refused before the decision, and the user is asked by mail.
    async fn admit_device(
        self,
        case: &UseCase<'_>,
        user: &UserRow,
        secret: Option<&str>,
        host: Option<&str>,
    ) -> Result<(), Stop<NotProven>> {
        let device = self
            .identity
            .devices()
            .device_of(user.id, DeviceKind::CommandLine, secret)
            .await
            .of(user.id)?;
        if self
            .identity
            .devices()
            .must_be_confirmed(user, &device)
            .await
            .of(user.id)?
        {
            return Err(self
                .identity
                .devices()
                .refuse_command_line(case, user, device, host)
                .await);
        }
        let attempt = case.attempt;
        if device.is_confirmed()
            && let Err(error) = self
                .storage()
                .touch_device(
                    user.id,
                    &device.hash,
                    attempt.at,
                    &attempt.remote_address.to_string(),
                    &attempt.user_agent,
                )
                .await
        {
            tracing::warn!(%error, user = %user.id, "the use of a command line could not be noted");
        }
        Ok(())
    }

    /// Uses up a code: of any number of requests with it, only one gets past this. The others are
    /// refused like those with a wrong code.
    pub async fn spend_code(
        self,
        context: RequestContext<'_>,
        action: Action,
        code: &UnspentCode,
    ) -> Result<(), Refusal> {
        let case = self
            .identity
            .use_case(context, action, CredentialKind::Session);
        let spent = async {
            match self.accept_code(case.attempt.remote_address, code).await? {
                true => Ok(()),
                false => Err(Failure::person("code-used-before", Some(code.user)).into()),
            }
        };
        case.answer(spent.await).await
    }

    /// Uses up the code; false if it was used before. Such a code is counted like a wrong one, so
    /// that old codes cannot be tried endlessly.
    pub(crate) async fn accept_code(
        self,
        address: IpAddr,
        code: &UnspentCode,
    ) -> Result<bool, StorageError> {
        if self
            .storage()
            .accept_totp_step(code.user, code.step)
            .await?
        {
            return Ok(true);
        }
        let limits = &self.config().limits;
        // Refused in any case, whether or not it still fits the limits.
        let _counted = limits::take(
            self.storage(),
            &[
                limits.totp_from(address),
                limits.totp_of(&code.name),
                limits.totp_of_all(),
            ],
            self.now(),
        )
        .await?;
        Ok(false)
    }

    /// Checks the limits first, then does the same work for every user, known or not: one hash, or
    /// two for a password that was not typed in the form that is compared, and one code.
    ///
    /// The time is taken here and not when the request began: a slow body must not keep an old code
    /// alive.
    pub(crate) async fn prove(self, address: IpAddr, proof: Proof<'_>) -> Result<Proven, Problem> {
        let name = Login::parse(proof.user_name);
        let limits = &self.config().limits;
        let (known, its_user) = match proof.place {
            Place::Anywhere | Place::Browser(None) | Place::CommandLine(None) => (None, None),
            Place::Browser(Some(cookie)) => self
                .known_device(&name, DeviceKind::Browser, cookie)
                .await?
                .unzip(),
            Place::CommandLine(Some(secret)) => self
                .known_device(&name, DeviceKind::CommandLine, secret)
                .await?
                .unzip(),
            Place::Session(session) => (
                Some(Known::Session(session)),
                UserName::parse(proof.user_name).ok(),
            ),
        };
        let passwords = match &known {
            // Failures of strangers are counted elsewhere, so they lock no one out here.
            Some(known) => limits.password_known_by(known, &name).into(),
            None => {
                let mut counters = vec![limits.password_from(address)];
                counters.extend(match &name {
                    Login::Name(name) => Some(limits.password_of(name)),
                    Login::Email(address) => Some(limits.password_of_address(address)),
                    Login::Nobody => None,
                });
                // Last: the others stop most of one attacker's attempts before they count here.
                counters.push(limits.password_of_all());
                counters
            }
        };
        // Never given back, and taken before the wait for a turn.
        let checks: Vec<Counter> = match &known {
            Some(known) => limits.password_checks_known_by(known, &name).into(),
            None => vec![limits.password_checks_of_from(&name, address)],
        };
        // A request over a limit must not take a turn from others. Checked first, since this writes
        // nothing: an attacker can make up any number of names.
        if let Err(too_many) = limits::check(self.storage(), &passwords, self.now()).await? {
            return Err(self.too_many(&name, too_many).await?);
        }
        // A place in the queue before any row: a request without one leaves no row behind.
        let asker = match &its_user {
            Some(user) => self.identity.inner.passwords.known(user),
            None => self.identity.inner.passwords.stranger(address),
        };
        let queued = self.identity.inner.passwords.queue(asker)?;
        if let Err(too_many) = limits::take(self.storage(), &checks, self.now()).await? {
            return Err(self.too_many(&name, too_many).await?);
        }
        let turn = queued.turn().await?;
        let taken = match limits::take(self.storage(), &passwords, self.now()).await? {
            Ok(taken) => taken,
            Err(too_many) => return Err(self.too_many(&name, too_many).await?),
        };

        let user = self.named(&name).await?;
        let enabled_hash = user
            .as_ref()
            .filter(|user| user.password_disabled.is_none() && user.disabled_at.is_none())
            .and_then(|user| user.password_hash.clone());
        let is_short_enough = proof.password.expose().len() <= MAX_BYTES;
        let password = if is_short_enough {
            proof.password
        } else {
            Secret::new(String::new())
        };
        let matched = turn.verify(password.clone(), enabled_hash.clone()).await;
        let is_right_password = matched != Match::No && is_short_enough;
        let enrolled = user.as_ref().and_then(|user| user.totp_secret.as_ref());
        let step = proof.totp_code.map(|code| {
            totp::matched_step(
                enrolled.unwrap_or(&self.identity.inner.dummy_totp),
                code,
                self.now(),
            )
        });

        if !is_right_password {
            return Err(wrong_password(user.as_ref()));
        }
        let Some(mut user) = user else {
            return Err(wrong_password(None));
        };
        let wrong = |why| {
            Err(Problem::Wrong {
                why,
                user: Some(user.id),
            })
        };
        let mut code = None;
        if proof.asks_for_code && user.totp_secret.is_some() {
            let Some(step) = step else {
                return wrong("no-code");
            };
            // Counted only once the password is right: otherwise any stranger could use up a user's
            // codes for the day and so block publishing. A caller over the limit learns how long to
            // wait, and that the password is right, as at the login.
            let counters: Vec<Counter> = match &known {
                Some(known) => limits
                    .factor_known_by(Factor::Totp, known, &user.name)
                    .into(),
                None => vec![
                    limits.totp_from(address),
                    limits.totp_of(&user.name),
                    limits.totp_of_all(),
                ],
            };
            let limited = |too_many| Problem::TooMany {
                too_many,
                user: Some(user.id),
            };
            let taken_codes = limits::take(self.storage(), &counters, self.now())
                .await?
                .map_err(limited)?;
            match step {
                Ok(Some(step)) if user.totp_last_step.is_none_or(|last| step > last) => {
                    code = Some(UnspentCode::new(&user, step))
                }
                Ok(Some(_)) => return wrong("code-used-before"),
                Ok(None) => return wrong("wrong-code"),
                Err(_) => {
                    tracing::error!(user = %user.id, "a stored TOTP secret is unreadable; remove it and enroll again");
                    return wrong("unreadable-totp-secret");
                }
            }
            taken_codes.give_back(self.storage()).await?;
        }
        // A key needs a browser. A password alone proves less than this user's logins.
        if proof.asks_for_code && code.is_none() && user.facts().factors.any() {
            return wrong("factor-needs-browser");
        }
        taken.give_back(self.storage()).await?;
        if let Some(outdated) = enabled_hash.filter(|stored| {
            matched == Match::AsTyped || self.identity.inner.passwords.is_outdated(stored)
        }) {
            user.password_hash = self
                .rehash(asker, user.id, password, &outdated)
                .await
                .or(user.password_hash);
        }
        Ok(Proven { user, code })
    }

    /// Includes the user, so that they see it in their history.
    async fn too_many(self, login: &Login<'_>, too_many: TooMany) -> Result<Problem, StorageError> {
        let user = self.named(login).await?.map(|user| user.id);
        Ok(Problem::TooMany { too_many, user })
    }

    pub(crate) async fn named(self, login: &Login<'_>) -> Result<Option<UserRow>, StorageError> {
        match login {
            Login::Name(name) => self.storage().user_by_name(name).await,
            Login::Email(address) => self.storage().user_by_email(address).await,
            Login::Nobody => Ok(None),
        }
    }

    /// The browser or command line, and its user, if the named user confirmed it. Runs the same
    /// statements for a name that does not exist.
    async fn known_device(
        self,
        login: &Login<'_>,
        kind: DeviceKind,
        secret: &str,
    ) -> Result<Option<(Known, UserName)>, StorageError> {
        let Some(hash) = opaque::hash(secret) else {
            return Ok(None);
        };
        let user = self.named(login).await?;
        let id = user.as_ref().map_or_else(UserId::new, |user| user.id);
        let device = self.storage().device(id, &hash).await?;
        Ok(device
            .filter(|device| device.kind == kind && device.confirmed_at.is_some())
            .zip(user)
            .map(|(_, user)| (Known::Device(hash), user.name)))
    }

    /// Hashes a proven password again with the current cost and form: only now is it known. A
    /// failure does not affect the request. Returns the new hash, if it was stored.
    async fn rehash(
        self,
        asker: Asker,
        user: UserId,
        password: Secret<String>,
        outdated: &Secret<String>,
    ) -> Option<Secret<String>> {
        let turn = self.identity.inner.passwords.turn(asker).await.ok()?;
        let hash = Secret::new(turn.hash(password).await);
        let replace = async {
            let mut unit = self.storage().begin().await?;
            if !unit
                .rehash_password(user, outdated.expose(), hash.expose())
                .await?
            {
                // A new password was set at this very moment, and stays.
                return Ok(false);
            }
            let rehashed = AuditEvent::of_server(self.now(), Detail::PasswordRehashed);
            unit.commit(&rehashed.about(user)).await.map(|_| true)
        };
        match replace.await {
            Ok(replaced) => replaced.then_some(hash),
            Err(error) => {
                let error: StorageError = error;
                tracing::warn!(%error, %user, "a password could not be hashed anew");
                None
            }
        }
    }
}

/// Why a password is not right; for the audit log alone.
fn wrong_password(user: Option<&UserRow>) -> Problem {
    let why = match user {
        None => "unknown-user",
        Some(UserRow {
            disabled_at: Some(_),
            ..
        }) => "disabled-user",
        Some(UserRow {
            password_disabled: Some(_),
            ..
        }) => "password-disabled",
        Some(UserRow {
            password_hash: None,
            ..
        }) => "no-password",
        Some(_) => "wrong-password",
    };
    Problem::Wrong {
        why,
        user: user.map(|user| user.id),
    }
}
