//! Asks browsers for a key and verifies their answers.

use gate::{Permit, Refusal, Target, TargetFacts};
use model::{Action, Caller, CeremonyKind, CredentialKind, Factor, SessionId, Timestamp, UserId};
use storage::ceremonies::{CeremonyRow, NewCeremony};
use storage::keys::{KeyKind, KeyRow};
use storage::users::UserRow;
use storage::{Secret, StorageError};

use super::Factors;
use super::ceremonies::{Answer, Asked, Proof, Rejected};
use crate::limits::Counter;
use crate::refusals::Failure;
use crate::request::{RequestContext, Stop, UseCase};
use crate::{OwnSession, opaque};

/// How long a challenge waits for its answer.
const LIFETIME_MS: i64 = 5 * 60 * 1000;
/// How often an answer is compared with a counter that other requests may change.
const COUNTER_READS: usize = 4;

/// A browser's answer.
#[derive(Clone, Debug)]
pub struct KeyAnswer {
    /// The [`KeyChallenge::ceremony`] that it answers.
    pub ceremony: String,
    /// JSON of the `PublicKeyCredential`, at most 64 KiB.
    pub response: String,
}

/// A request to a browser.
#[derive(Clone, Debug)]
pub struct KeyChallenge {
    /// Sent back with the answer.
    pub ceremony: Secret<String>,
    /// For `PublicKeyCredential.parseCreationOptionsFromJSON` or `parseRequestOptionsFromJSON`.
    pub options: serde_json::Value,
}

/// Where a second factor was requested.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeyBinding<'a> {
    /// In a login that waits for its second factor, by the secret in its cookie.
    Pending(&'a str),
    /// In a session that requested a fresh proof.
    Session(SessionId),
}

/// Why a key's answer proves nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyProblem {
    /// `why` is for the audit log alone; `user` is the owner of the key.
    #[error("wrong: {why}")]
    Wrong {
        why: &'static str,
        user: Option<UserId>,
    },
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Ask a browser for a passkey of any user.
struct AskForPasskey;

impl Target for AskForPasskey {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::SessionStart)
    }
}

/// Ask a browser for one of the keys of a user, as a second factor.
struct AskForKey<'a> {
    user: UserId,
    binding: KeyBinding<'a>,
}

impl Target for AskForKey<'_> {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(match self.binding {
            KeyBinding::Pending(_) => Action::SessionStart,
            KeyBinding::Session(_) => Action::SessionStepUp,
        })
    }
}

impl Factors<'_> {
    /// Asks for a passkey of any user.
    pub async fn challenge_for_passkey(
        self,
        context: RequestContext<'_>,
    ) -> Result<KeyChallenge, Refusal> {
        let case = self
            .identity
            .use_case(context, Action::SessionStart, CredentialKind::Session);
        case.answer(self.ask_for_passkey(&case).await).await
    }

    async fn ask_for_passkey(self, case: &UseCase<'_>) -> Result<KeyChallenge, Stop> {
        let limits = &self.config().limits;
        let address = case.attempt.remote_address;
        self.count_challenge(case, limits.challenges_from(address))
            .await?;
        let permit = case.decide(&Caller::anonymous(), AskForPasskey).await?;
        let AskForPasskey = permit.into_target();
        let asked = self.identity.inner.relying_party.ask_for_passkey();
        let asked = asked.map_err(|Rejected(why)| Failure::passkey(why, None))?;
        Ok(self
            .open_challenge(CeremonyKind::KeyLogIn, None, None, asked)
            .await?)
    }

    /// Asks for a key in a login that waits for its second factor. `pending` is its cookie.
    pub async fn challenge_for_pending(
        self,
        context: RequestContext<'_>,
        pending: &str,
    ) -> Result<KeyChallenge, Refusal> {
        let case = self
            .identity
            .use_case(context, Action::SessionStart, CredentialKind::Session);
        case.answer(self.ask_for_key_in_login(&case, pending).await)
            .await
    }

    async fn ask_for_key_in_login(
        self,
        case: &UseCase<'_>,
        pending: &str,
    ) -> Result<KeyChallenge, Stop> {
        let login = match opaque::hash(pending) {
            Some(secret) => {
                self.storage()
                    .ceremony(&secret, CeremonyKind::Login, self.now())
                    .await?
            }
            None => None,
        };
        let Some(user) = login.and_then(|login| login.user) else {
            let failure = Failure::login_expired("no-pending-login", None);
            return Err(Stop::counted(failure));
        };
        let limits = &self.config().limits;
        let address = case.attempt.remote_address;
        self.count_challenge(case, limits.challenges_of_from(user, address))
            .await?;
        let target = AskForKey {
            user,
            binding: KeyBinding::Pending(pending),
        };
        let permit = case.decide(&Caller::anonymous(), target).await?;
        self.ask_for_key(permit).await
    }

    /// Asks for a key within a session.
    pub async fn challenge_for_step_up(
        self,
        context: RequestContext<'_>,
        caller: &Caller,
    ) -> Result<KeyChallenge, Refusal> {
        let case = self
            .identity
            .use_case(context, Action::SessionStepUp, CredentialKind::Session);
        case.answer(self.ask_for_key_in_session(&case, caller).await)
            .await
    }

    async fn ask_for_key_in_session(
        self,
        case: &UseCase<'_>,
        caller: &Caller,
    ) -> Result<KeyChallenge, Stop> {
        let session =
            OwnSession::of(caller).ok_or_else(|| Stop::counted(Failure::session_ended(None)))?;
        let limits = &self.config().limits;
        self.count_challenge(case, limits.challenges_within(session.id()))
            .await?;
        let target = AskForKey {
            user: session.account().id(),
            binding: KeyBinding::Session(session.id()),
        };
        let permit = case.decide(caller, target).await?;
        self.ask_for_key(permit).await
    }

    /// Whether a passkey challenge waits for this answer. Uses nothing up.
    pub(crate) async fn is_asked_for_passkey(self, ceremony: &str) -> Result<bool, StorageError> {
        let Some(secret) = opaque::hash(ceremony) else {
            return Ok(false);
        };
        Ok(self
            .storage()
            .ceremony(&secret, CeremonyKind::KeyLogIn, self.now())
            .await?
            .is_some())
    }

    /// The owner of a passkey. Takes the challenge first, so that it is answered only once. Does
    /// not count attempts: the login does.
    pub(crate) async fn verify_passkey(
        self,
        answer: &KeyAnswer,
        now: Timestamp,
    ) -> Result<UserRow, KeyProblem> {
        let Some(ceremony) = self
            .take_challenge(CeremonyKind::KeyLogIn, &answer.ceremony, now)
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
        // A security key was enrolled for use with a password, never alone.
        if key.kind != KeyKind::Passkey {
            return Err(wrong("key-is-no-passkey", whose));
        }
        // Only the key identifies the user here, so it must name them (WebAuthn, 7.2 step 6).
        if read.user_handle() != Some(user.id.0.as_bytes()) {
            return Err(wrong("key-of-another-user", whose));
        }
        let proof = self
            .identity
            .inner
            .relying_party
            .verify_passkey(ceremony.state.expose(), &read, &key)
            .map_err(|rejected| wrong(rejected.0, whose))?;
        self.use_key(key, &proof, now).await?;
        Ok(user)
    }

    /// Whether the answer comes from a key of this user and was requested here. Takes the challenge
    /// first, so that it is answered only once. Does not count attempts: the login does.
    pub(crate) async fn verify_key(
        self,
        user: UserId,
        binding: KeyBinding<'_>,
        answer: &KeyAnswer,
        now: Timestamp,
    ) -> Result<(), KeyProblem> {
        let whose = Some(user);
        let purpose = match binding {
            KeyBinding::Pending(_) => CeremonyKind::KeySecondFactor,
            KeyBinding::Session(_) => CeremonyKind::KeyStepUp,
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
            .identity
            .inner
            .relying_party
            .verify_key(state, &read)
            .map_err(|rejected| wrong(rejected.0, whose))?;
        self.use_key(key, &proof, now).await
    }

    /// Updates the key's counter, which any other request with the same key updates as well.
    async fn use_key(
        self,
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

    async fn ask_for_key(self, permit: Permit<AskForKey<'_>>) -> Result<KeyChallenge, Stop> {
        let AskForKey { user, binding } = permit.into_target();
        let keys = self.storage().keys_of(user).await?;
        let asked = if keys.is_empty() {
            Err(Rejected("no-keys"))
        } else {
            self.identity.inner.relying_party.ask_for_key(&keys)
        };
        let asked =
            asked.map_err(|Rejected(why)| Failure::second_factor(why, Factor::Webauthn, user))?;
        let (purpose, session, login) = match binding {
            KeyBinding::Pending(pending) => {
                (CeremonyKind::KeySecondFactor, None, bound_to(pending))
            }
            KeyBinding::Session(session) => (CeremonyKind::KeyStepUp, Some(session), None),
        };
        let state = format!("{}\n{}", login.unwrap_or_default(), asked.state);
        Ok(self
            .open_challenge(purpose, Some(user), session, Asked { state, ..asked })
            .await?)
    }

    /// Each challenge is a row, so it is counted, and before the decision, since each decision is a
    /// row too. A browser that has a session or a waiting login has a separate counter: strangers
    /// at the same address cannot keep a user from their keys.
    async fn count_challenge(self, case: &UseCase<'_>, counter: Counter) -> Result<(), Stop> {
        case.take(&[counter]).await.map(drop)
    }

    pub(super) async fn open_challenge(
        self,
        purpose: CeremonyKind,
        user: Option<UserId>,
        session: Option<SessionId>,
        asked: Asked,
    ) -> Result<KeyChallenge, StorageError> {
        let (ceremony, secret) = opaque::generate();
        let now = self.now();
        let new = NewCeremony {
            secret: &secret,
            kind: purpose,
            user,
            session,
            state: &asked.state,
            created_at: now,
            expires_at: now.plus_ms(LIFETIME_MS),
        };
        match purpose {
            // A session enrolls one at a time.
            CeremonyKind::KeyEnroll => self.storage().open_ceremony_of_few(&new, 1).await?,
            _ => self.storage().open_ceremony(&new).await?,
        }
        Ok(KeyChallenge {
            ceremony,
            options: asked.options,
        })
    }

    /// Takes a challenge, which works once. None if there is no live one for this purpose.
    pub(super) async fn take_challenge(
        self,
        purpose: CeremonyKind,
        ceremony: &str,
        now: Timestamp,
    ) -> Result<Option<CeremonyRow>, StorageError> {
        match opaque::hash(ceremony) {
            Some(secret) => self.storage().take_ceremony(&secret, purpose, now).await,
            None => Ok(None),
        }
    }
}

fn wrong(why: &'static str, user: Option<UserId>) -> KeyProblem {
    KeyProblem::Wrong { why, user }
}

/// The login that a challenge belongs to: the hash under which the login waits.
fn bound_to(pending: &str) -> Option<String> {
    opaque::hash(pending).map(|secret| data_encoding::HEXLOWER.encode(&secret))
}

/// Splits off the login, which is empty within a session.
fn split(state: &str) -> (&str, &str) {
    state.split_once('\n').unwrap_or_default()
}
