//! From a presented credential to a caller.

use gate::Refusal;
use model::caveat::Reach;
use model::{Action, Assurance, Caller, CredentialKind, Principal, Timestamp, TokenFacts};
use storage::sessions::SessionWithUser;
use storage::tokens::TokenWithUser;
use storage::{Secret, StorageError};

use crate::prove_person::{Place, Proof};
use crate::refusals::Failure;
use crate::request::{RequestContext, Stop, UseCase};
use crate::sessions::assurance_of;
use crate::tokens::TokenCaveats;
use crate::{Identity, InvalidAuthorization, Presented, opaque, tokens};

impl Identity {
    /// Turns what was presented into a caller, or refuses it.
    ///
    /// If nothing was presented or the session has ended, the caller is anonymous. A token is
    /// verified and identifies its user on any route; the gate checks its caveats. A password is
    /// verified only where the attempt's policy set could permit one, and refused unverified
    /// elsewhere: no one learns whether it is right, and no one can make the server hash.
    pub async fn authenticate(
        &self,
        context: RequestContext<'_>,
        presented: Presented,
        action: Action,
    ) -> Result<Caller, Refusal> {
        let case = self.use_case(context, action, CredentialKind::None);
        case.answer(self.verify_presented(&case, presented).await)
            .await
    }

    async fn verify_presented(
        &self,
        case: &UseCase<'_>,
        presented: Presented,
    ) -> Result<Caller, Stop> {
        let caller = match presented {
            Presented::None => return Ok(Caller::anonymous()),
            Presented::Session(cookie) => {
                return Ok(self.verify_session(&cookie, case.attempt.at).await?);
            }
            // Counted after the check, not before: a valid token is accepted however many invalid
            // ones come from the same address, and tokens cannot be guessed.
            Presented::Token(text) => self.verify_token(&text).await.map_err(Stop::counted)?,
            Presented::Basic { user, password }
                if case.may_permit(CredentialKind::BasicPassword) =>
            {
                self.verify_password(case, &user, password).await?
            }
            Presented::Basic { user, password } => {
                let looks_like_token = [&user, password.expose()]
                    .into_iter()
                    .any(|text| self.looks_like_token(text));
                let failure = Failure::password_not_accepted(case.action, looks_like_token);
                return Err(case.refuse_unread(failure, &user).await.into());
            }
        };
        Ok(case.admit(caller).await?)
    }

    /// Checks a credential again that [`Identity::authenticate`] accepted when the request began,
    /// for a request whose body took time to arrive. A token that was revoked or restricted
    /// meanwhile is refused, and the caller's facts are current. Records only failures. `attempt`
    /// is the [renewed](Gate::renew) one.
    pub async fn authenticate_again(
        &self,
        context: RequestContext<'_>,
        presented: Presented,
        action: Action,
    ) -> Result<Caller, Refusal> {
        let case = self.use_case(context, action, CredentialKind::None);
        case.answer(self.verify_again(&case, presented).await).await
    }

    async fn verify_again(&self, case: &UseCase<'_>, presented: Presented) -> Result<Caller, Stop> {
        Ok(match presented {
            Presented::None => Caller::anonymous(),
            Presented::Session(cookie) => self.verify_session(&cookie, case.attempt.at).await?,
            Presented::Token(text) => self.verify_token(&text).await?,
            Presented::Basic { user, password }
                if case.may_permit(CredentialKind::BasicPassword) =>
            {
                self.verify_password(case, &user, password).await?
            }
            Presented::Basic { .. } => {
                return Err(Failure::password_not_accepted(case.action, false).into());
            }
        })
    }

    /// Whether a credential that was accepted when the request began is no longer valid: its token
    /// was revoked, its session ended, its password was replaced, or its user was disabled. For
    /// slow bodies: records nothing and hashes no password; false if it cannot be determined.
    pub async fn has_ended(&self, caller: &Caller, presented: &Presented) -> bool {
        let Some(user) = caller.user().map(|user| user.id) else {
            return false;
        };
        let now = self.now().seconds();
        if caller
            .token
            .as_ref()
            .is_some_and(|token| Reach::of(token.caveats()).has_expired(now))
        {
            return true;
        }
        let ended =
            match presented {
                Presented::None => return false,
                Presented::Token(text) => {
                    match tokens::read(&self.config().token_prefix, text.expose()) {
                        Ok(read) => self.storage().token(read.id()).await.map(|found| {
                            found.is_none_or(|found| found.token.revoked_at.is_some())
                        }),
                        Err(_) => return true,
                    }
                }
                Presented::Session(cookie) => match opaque::hash(cookie.expose()) {
                    Some(secret) => self
                        .storage()
                        .session(&secret, self.sessions().idle_since(self.now()), self.now())
                        .await
                        .map(|found| found.is_none()),
                    None => return true,
                },
                Presented::Basic { .. } => self.storage().user(user).await.map(|found| {
                    let begun_at = caller.assurance.password_at;
                    found.is_none_or(|user| {
                        user.password_hash.is_none()
                            || user.password_disabled.is_some()
                            || user.password_set_at > begun_at
                    })
                }),
            };
        let is_gone = async || {
            Ok::<_, StorageError>(
                self.storage()
                    .user(user)
                    .await?
                    .is_none_or(|user| user.disabled_at.is_some() || user.deleted_at.is_some()),
            )
        };
        match ended {
            Ok(false) => is_gone().await.unwrap_or(false),
            ended => ended.unwrap_or(false),
        }
    }

    /// Refuses, records and counts a request whose `Authorization` header cannot be read.
    pub async fn refuse_authorization(
        &self,
        context: RequestContext<'_>,
        action: Action,
        invalid: InvalidAuthorization,
    ) -> Refusal {
        self.use_case(context, action, CredentialKind::None)
            .refuse_counted(Failure::authorization(invalid))
            .await
    }

    pub(crate) fn looks_like_token(&self, text: &str) -> bool {
        text.trim_start()
            .strip_prefix(&self.config().token_prefix)
            .is_some_and(|rest| rest.starts_with('-'))
    }

    /// The caller of a session. A session that has ended yields an anonymous caller and no failure:
    /// browsers keep cookies longer than we keep sessions.
    pub(crate) async fn verify_session(
        &self,
        cookie: &Secret<String>,
        at: Timestamp,
    ) -> Result<Caller, Failure> {
        let Some(secret) = opaque::hash(cookie.expose()) else {
            return Ok(Caller::anonymous());
        };
        let unavailable = |error| Failure::unavailable(CredentialKind::Session, &error);
        let found = self
            .storage()
            .session(&secret, self.sessions().idle_since(at), at)
            .await
            .map_err(unavailable)?;
        let Some(SessionWithUser { session, user }) = found else {
            return Ok(Caller::anonymous());
        };
        if let Err(error) = self.storage().touch_session(session.id, at).await {
            tracing::warn!(%error, session = %session.id, "the use of a session could not be noted");
        }
        Ok(Caller {
            credential: CredentialKind::Session,
            principal: Principal::User(user.facts()),
            token: None,
            session: Some(session.id),
            assurance: assurance_of(&session),
        })
    }

    /// An unknown token takes the same work as one with a wrong signature.
    pub(crate) async fn verify_token(&self, text: &Secret<String>) -> Result<Caller, Failure> {
        let read = tokens::read(&self.config().token_prefix, text.expose())
            .map_err(|_| Failure::token("unreadable-token", None))?;
        let found = self
            .storage()
            .token(read.id())
            .await
            .map_err(|error| Failure::unavailable(CredentialKind::ApiToken, &error))?;
        let key = found
            .as_ref()
            .map_or(&self.inner.dummy_key, |found| &found.token.key);
        let verified = read.verify(key);
        let TokenWithUser { token, user } =
            found.ok_or_else(|| Failure::token("unknown-token", None))?;
        // The token's owner is used only once the signature is right.
        let verified = verified.map_err(|_| Failure::token("wrong-signature", None))?;
        if token.revoked_at.is_some() {
            return Err(Failure::token("revoked-token", Some(user.id)).with_token(token.id));
        }
        if user.disabled_at.is_some() {
            return Err(Failure::token("disabled-user", Some(user.id)).with_token(token.id));
        }
        let TokenCaveats { minted, added } = verified
            .caveats(&token.stored_caveats)
            .map_err(|invalid| Failure::caveat(&invalid, user.id).with_token(token.id))?;
        let facts = TokenFacts {
            id: token.id,
            created_at: token.created_at,
            last_used_at: token.last_used_at,
            made_with_second_factor: token.made_with_second_factor,
            minted,
            added,
        };
        Ok(Caller {
            credential: CredentialKind::ApiToken,
            principal: Principal::User(user.facts()),
            token: Some(facts),
            session: None,
            assurance: Assurance::NONE,
        })
    }

    /// The user of a password, and whether the password is known from a breach.
    async fn verify_password(
        &self,
        case: &UseCase<'_>,
        user_name: &str,
        password: Secret<String>,
    ) -> Result<Caller, Failure> {
        let credential = CredentialKind::BasicPassword;
        // A password that is sent with every request leaves no place for a code.
        let proof = Proof {
            user_name,
            password: password.clone(),
            totp_code: None,
            asks_for_code: false,
            place: Place::Anywhere,
        };
        let user = self
            .proofs()
            .prove(case.attempt.remote_address, proof)
            .await
            .map_err(|problem| problem.into_failure(credential, Failure::password))?
            .user;
        let password_state = self
            .passwords()
            .password_state(case, &password, Some(user.id))
            .await?;
        let assurance = Assurance {
            password_at: Some(case.attempt.at),
            second_factor: None,
            password_state,
        };
        Ok(Caller {
            credential,
            principal: Principal::User(user.facts()),
            token: None,
            session: None,
            assurance,
        })
    }
}
