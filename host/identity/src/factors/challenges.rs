//! Browsers are asked for a key, and what they answer is verified.

use gate::{Attempt, Gate, Refusal};
use model::{Action, Caller, CredentialKind, Factor, SessionId, Timestamp, UserId};
use storage::ceremonies::{CeremonyRow, NewCeremony};
use storage::keys::{KeyKind, KeyRow};
use storage::users::UserRow;
use storage::{Secret, StorageError};

use super::ceremonies::{Answer, Asked, Proof, Rejected};
use crate::refusals::Failure;
use crate::sessions::StartSession;
use crate::step_up::StepUp;
use crate::{Identity, OwnSession, limits, login, opaque};

/// How long a challenge waits for its answer.
const LIFETIME_MS: i64 = 5 * 60 * 1000;
/// How often an answer is compared with a counter that others move.
const COUNTER_READS: usize = 4;

/// What a browser answers.
#[derive(Clone, Debug)]
pub struct KeyAnswer {
    /// The [`KeyChallenge::ceremony`] it answers.
    pub ceremony: String,
    /// JSON of the `PublicKeyCredential`, at most 64 KiB.
    pub response: String,
}

/// What a browser is asked.
#[derive(Clone, Debug)]
pub struct KeyChallenge {
    /// Comes back with the answer.
    pub ceremony: Secret<String>,
    /// For `PublicKeyCredential.parseCreationOptionsFromJSON` or `parseRequestOptionsFromJSON`.
    pub options: serde_json::Value,
}

/// Where a second factor was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeyBinding<'a> {
    /// In a login that waits for its second factor, by the secret in its cookie.
    Pending(&'a str),
    /// In a session that asked for a fresh proof.
    Session(SessionId),
}

/// Why a key's answer proves nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyProblem {
    /// `why` is for the audit log alone; `user` is whose key it would have been.
    #[error("wrong: {why}")]
    Wrong {
        why: &'static str,
        user: Option<UserId>,
    },
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What a challenge is for. What was asked for one purpose is no answer to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Enroll,
    LogIn,
    SecondFactor,
    StepUp,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::Enroll => "key-enroll",
            Self::LogIn => "key-log-in",
            Self::SecondFactor => "key-second-factor",
            Self::StepUp => "key-step-up",
        }
    }
}

impl Identity {
    /// Asks for a passkey of whoever it is.
    pub async fn challenge_for_passkey(
        &self,
        gate: &Gate,
        attempt: &Attempt,
    ) -> Result<KeyChallenge, Refusal> {
        let action = Action::SessionStart;
        self.count_challenge(
            gate,
            attempt,
            action,
            self.config().limits.challenges_from(attempt.remote_address),
        )
        .await?;
        let _ = gate
            .decide(attempt, &Caller::anonymous(), StartSession)
            .await?;
        let asked = self.inner.relying_party.ask_for_passkey();
        self.answerable(gate, attempt, action, Purpose::LogIn, None, None, asked)
            .await
    }

    /// Asks for a key in a login that waits for its second factor. `pending` is its cookie.
    pub async fn challenge_for_pending(
        &self,
        gate: &Gate,
        attempt: &Attempt,
        pending: &str,
    ) -> Result<KeyChallenge, Refusal> {
        let action = Action::SessionStart;
        let user = match opaque::hash(pending) {
            Some(secret) => self
                .storage()
                .ceremony(&secret, login::PENDING, self.now())
                .await
                .map(|login| login.and_then(|login| login.user)),
            None => Ok(None),
        };
        let user = match user {
            Ok(Some(user)) => user,
            Ok(None) => {
                return Err(self
                    .refuse_counted(
                        gate,
                        attempt,
                        action,
                        Failure::login_expired("no-pending-login", None),
                    )
                    .await);
            }
            Err(error) => {
                return Err(self
                    .challenge_unavailable(gate, attempt, action, &error)
                    .await);
            }
        };
        self.count_challenge(
            gate,
            attempt,
            action,
            self.config()
                .limits
                .challenges_of_from(user, attempt.remote_address),
        )
        .await?;
        let _ = gate
            .decide(attempt, &Caller::anonymous(), StartSession)
            .await?;
        self.challenge_for_keys_of(
            gate,
            attempt,
            action,
            Purpose::SecondFactor,
            user,
            None,
            Some(pending),
        )
        .await
    }

    /// Asks for a key within a session.
    pub async fn challenge_for_step_up(
        &self,
        gate: &Gate,
        attempt: &Attempt,
        caller: &Caller,
    ) -> Result<KeyChallenge, Refusal> {
        let action = Action::SessionStepUp;
        let Some(session) = OwnSession::of(caller) else {
            return Err(self
                .refuse_counted(gate, attempt, action, Failure::session_ended(None))
                .await);
        };
        self.count_challenge(
            gate,
            attempt,
            action,
            self.config().limits.challenges_within(session.id()),
        )
        .await?;
        let permit = gate.decide(attempt, caller, StepUp { session }).await?;
        let session = permit.into_target().session;
        self.challenge_for_keys_of(
            gate,
            attempt,
            action,
            Purpose::StepUp,
            session.account().id(),
            Some(session.id()),
            None,
        )
        .await
    }

    /// Whether a challenge for a passkey waits for this answer. Uses nothing up.
    pub(crate) async fn is_asked_for_passkey(&self, ceremony: &str) -> Result<bool, StorageError> {
        let Some(secret) = opaque::hash(ceremony) else {
            return Ok(false);
        };
        Ok(self
            .storage()
            .ceremony(&secret, Purpose::LogIn.as_str(), self.now())
            .await?
            .is_some())
    }

    /// Whose passkey it is. Takes the challenge first, so that it is answered once. Does not
    /// count attempts: the login does.
    pub(crate) async fn verify_passkey(
        &self,
        answer: &KeyAnswer,
        now: Timestamp,
    ) -> Result<UserRow, KeyProblem> {
        let Some(ceremony) = self
            .take_challenge(Purpose::LogIn, &answer.ceremony, now)
            .await?
        else {
            return Err(wrong("key-challenge-unknown", None));
        };
        let read = Answer::read(&answer.response).map_err(|rejected| wrong(rejected.0, None))?;
        let Some((key, user)) = self
            .storage()
            .key_by_credential_id(read.credential_id())
            .await?
        else {
            return Err(wrong("key-unknown", None));
        };
        let whose = Some(user.id);
        if user.disabled_at.is_some() {
            return Err(wrong("disabled-user", whose));
        }
        // A security key was enrolled to stand beside a password, never alone.
        if key.kind != KeyKind::Passkey {
            return Err(wrong("key-is-no-passkey", whose));
        }
        // Who it is comes from the key alone here, so it must say so (WebAuthn, 7.2 step 6).
        if read.user_handle() != Some(user.id.0.as_bytes()) {
            return Err(wrong("key-of-another-user", whose));
        }
        let proof = self
            .inner
            .relying_party
            .verify_passkey(ceremony.state.expose(), &read, &key)
            .map_err(|rejected| wrong(rejected.0, whose))?;
        self.use_key(key, &proof, now).await?;
        Ok(user)
    }

    /// Whether it is a key of this user, asked for here. Takes the challenge first, so that it
    /// is answered once. Does not count attempts: the login does.
    pub(crate) async fn verify_key(
        &self,
        user: UserId,
        binding: KeyBinding<'_>,
        answer: &KeyAnswer,
        now: Timestamp,
    ) -> Result<(), KeyProblem> {
        let whose = Some(user);
        let purpose = match binding {
            KeyBinding::Pending(_) => Purpose::SecondFactor,
            KeyBinding::Session(_) => Purpose::StepUp,
        };
        let Some(ceremony) = self.take_challenge(purpose, &answer.ceremony, now).await? else {
            return Err(wrong("key-challenge-unknown", whose));
        };
        let (login, state) = split(ceremony.state.expose());
        let is_bound_here = match binding {
            KeyBinding::Pending(pending) => {
                ceremony.session.is_none() && bound_to(pending).is_some_and(|bound| bound == login)
            }
            KeyBinding::Session(session) => ceremony.session == Some(session) && login.is_empty(),
        };
        if ceremony.user != whose || !is_bound_here {
            return Err(wrong("key-challenge-elsewhere", whose));
        }
        let read = Answer::read(&answer.response).map_err(|rejected| wrong(rejected.0, whose))?;
        let Some((key, owner)) = self
            .storage()
            .key_by_credential_id(read.credential_id())
            .await?
        else {
            return Err(wrong("key-unknown", whose));
        };
        if owner.id != user
            || read
                .user_handle()
                .is_some_and(|handle| handle != user.0.as_bytes())
        {
            return Err(wrong("key-of-another-user", whose));
        }
        let proof = self
            .inner
            .relying_party
            .verify_key(state, &read)
            .map_err(|rejected| wrong(rejected.0, whose))?;
        self.use_key(key, &proof, now).await
    }

    /// Moves the key's counter, which everybody else who uses this very key moves as well.
    async fn use_key(
        &self,
        mut key: KeyRow,
        proof: &Proof,
        now: Timestamp,
    ) -> Result<(), KeyProblem> {
        let whose = Some(key.user);
        for _ in 0..COUNTER_READS {
            let (counter, credential) = proof
                .renew(&key)
                .map_err(|rejected| wrong(rejected.0, whose))?;
            if self
                .storage()
                .use_key(key.id, key.counter, counter, &credential, now)
                .await?
            {
                return Ok(());
            }
            key = match self
                .storage()
                .key_by_credential_id(&key.credential_id)
                .await?
            {
                Some((now, _)) if now.id == key.id => now,
                _ => return Err(wrong("key-unknown", whose)),
            };
        }
        Err(wrong("key-counter-raced", whose))
    }

    #[allow(clippy::too_many_arguments)]
    async fn challenge_for_keys_of(
        &self,
        gate: &Gate,
        attempt: &Attempt,
        action: Action,
        purpose: Purpose,
        user: UserId,
        session: Option<SessionId>,
        pending: Option<&str>,
    ) -> Result<KeyChallenge, Refusal> {
        let keys = match self.storage().keys_of(user).await {
            Ok(keys) => keys,
            Err(error) => {
                return Err(self
                    .challenge_unavailable(gate, attempt, action, &error)
                    .await);
            }
        };
        let asked = if keys.is_empty() {
            Err(Rejected("no-keys"))
        } else {
            self.inner.relying_party.ask_for_key(&keys)
        };
        let asked = asked.map(|asked| Asked {
            state: format!(
                "{}\n{}",
                pending.and_then(bound_to).unwrap_or_default(),
                asked.state
            ),
            ..asked
        });
        self.answerable(gate, attempt, action, purpose, Some(user), session, asked)
            .await
    }

    #[allow(clippy::too_many_arguments)]
    async fn answerable(
        &self,
        gate: &Gate,
        attempt: &Attempt,
        action: Action,
        purpose: Purpose,
        user: Option<UserId>,
        session: Option<SessionId>,
        asked: Result<Asked, Rejected>,
    ) -> Result<KeyChallenge, Refusal> {
        let asked = match asked {
            Ok(asked) => asked,
            Err(Rejected(why)) => {
                let failure = match user {
                    Some(user) => Failure::second_factor(why, Factor::Webauthn, user),
                    None => Failure::passkey(why, None),
                };
                return Err(self.refuse(gate, attempt, action, failure).await);
            }
        };
        match self.open_challenge(purpose, user, session, asked).await {
            Ok(challenge) => Ok(challenge),
            Err(error) => Err(self
                .challenge_unavailable(gate, attempt, action, &error)
                .await),
        }
    }

    /// Each question is a row, so it is counted, and before it is decided, since each decision is
    /// a row too. Who has a session or a login that waits is counted apart: strangers at the
    /// same address keep nobody from their keys.
    async fn count_challenge(
        &self,
        gate: &Gate,
        attempt: &Attempt,
        action: Action,
        counter: limits::Counter,
    ) -> Result<(), Refusal> {
        let failure = match limits::take(self.storage(), &[counter], self.now()).await {
            Ok(Ok(_counted)) => return Ok(()),
            Ok(Err(too_many)) => Failure::limited(CredentialKind::Session, too_many),
            Err(error) => Failure::unavailable(CredentialKind::Session, &error),
        };
        Err(self.refuse(gate, attempt, action, failure).await)
    }

    async fn challenge_unavailable(
        &self,
        gate: &Gate,
        attempt: &Attempt,
        action: Action,
        error: &StorageError,
    ) -> Refusal {
        self.refuse(
            gate,
            attempt,
            action,
            Failure::unavailable(CredentialKind::Session, error),
        )
        .await
    }

    pub(super) async fn open_challenge(
        &self,
        purpose: Purpose,
        user: Option<UserId>,
        session: Option<SessionId>,
        asked: Asked,
    ) -> Result<KeyChallenge, StorageError> {
        let (ceremony, secret) = opaque::generate();
        let now = self.now();
        let new = NewCeremony {
            secret: &secret,
            kind: purpose.as_str(),
            user,
            session,
            state: &asked.state,
            created_at: now,
            expires_at: now.plus_ms(LIFETIME_MS),
        };
        match purpose {
            // A session enrolls one at a time.
            Purpose::Enroll => self.storage().open_ceremony_of_few(&new, 1).await?,
            Purpose::LogIn | Purpose::SecondFactor | Purpose::StepUp => {
                self.storage().open_ceremony(&new).await?
            }
        }
        Ok(KeyChallenge {
            ceremony,
            options: asked.options,
        })
    }

    /// Takes a challenge, once and for all. None if there is none of this purpose in time.
    pub(super) async fn take_challenge(
        &self,
        purpose: Purpose,
        ceremony: &str,
        now: Timestamp,
    ) -> Result<Option<CeremonyRow>, StorageError> {
        match opaque::hash(ceremony) {
            Some(secret) => {
                self.storage()
                    .take_ceremony(&secret, purpose.as_str(), now)
                    .await
            }
            None => Ok(None),
        }
    }
}

fn wrong(why: &'static str, user: Option<UserId>) -> KeyProblem {
    KeyProblem::Wrong { why, user }
}

/// Which login a challenge belongs to: the hash under which that waits.
fn bound_to(pending: &str) -> Option<String> {
    opaque::hash(pending).map(|secret| data_encoding::HEXLOWER.encode(&secret))
}

/// The login, empty within a session, and the rest.
fn split(state: &str) -> (&str, &str) {
    state.split_once('\n').unwrap_or_default()
}
