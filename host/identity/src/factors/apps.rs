//! A one-time password app (TOTP) enrolled by its owner, in a browser.

use gate::{ChangeFacts, Permit, Target, TargetFacts};
use model::audit::Detail;
use model::mail::MailKind;
use model::{Action, CeremonyKind, Factor, UserName};
use storage::ceremonies::{CeremonyRow, NewCeremony};
use storage::users::UserRow;
use storage::{Conflict, Secret, StorageError, UnitOfWork};

use super::{FactorError, Factors};
use crate::own::of_account;
use crate::sessions::StartedSession;
use crate::{OwnSession, opaque, totp};

/// How long a secret waits for its first code: time to install an app.
const LIFETIME_MS: i64 = 15 * 60 * 1000;

/// Show a fresh secret to a person.
#[derive(Clone, Debug)]
pub struct ProposeTotp {
    pub session: OwnSession,
}

/// Enroll the app that holds the secret, proven by a code.
#[derive(Clone, Debug)]
pub struct ConfirmTotp {
    pub session: OwnSession,
    /// The [`ProposedTotp::ceremony`].
    pub ceremony: String,
    pub code: String,
}

/// A secret that is enrolled nowhere yet.
#[derive(Clone, Debug)]
pub struct ProposedTotp {
    /// Sent back with the code.
    pub ceremony: Secret<String>,
    /// Base32 without padding.
    pub secret: Secret<String>,
    /// `otpauth://totp/…`, for a QR code.
    pub url: Secret<String>,
}

impl Target for ProposeTotp {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts {
            change: ChangeFacts::Factor(Factor::Totp),
            ..TargetFacts::of(Action::FactorEnroll)
        }
    }
}

impl Target for ConfirmTotp {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts {
            change: ChangeFacts::Factor(Factor::Totp),
            ..TargetFacts::of(Action::FactorEnroll)
        }
    }
}

of_account! {
    ProposeTotp: session.account,
    ConfirmTotp: session.account,
}

impl Factors<'_> {
    /// Creates a fresh secret that stays on the server until a code of it comes back: a browser can
    /// refer to a secret, but never choose one.
    pub async fn propose_totp_for(
        self,
        permit: Permit<ProposeTotp>,
    ) -> Result<ProposedTotp, FactorError> {
        let ProposeTotp { session } = *permit.target();
        self.count_proposal(session.id()).await?;
        let user = self.user_who_may_enroll(session.account().id()).await?;
        if user.totp_secret.is_some() {
            return Err(FactorError::TotpEnrolled);
        }
        let secret = totp::generate_secret();
        let (ceremony, hash) = opaque::generate();
        let now = self.now();
        let new = NewCeremony {
            secret: &hash,
            kind: CeremonyKind::TotpEnroll,
            user: Some(user.id),
            session: Some(session.id()),
            state: secret.expose(),
            created_at: now,
            expires_at: now.plus_ms(LIFETIME_MS),
        };
        // A session enrolls one at a time.
        self.storage().open_ceremony_of_few(&new, 1).await?;
        self.shown(&user.name, ceremony, &secret)
    }

    /// Shows the secret of a running enrollment again, after a wrong code.
    pub async fn proposed_totp(
        self,
        session: OwnSession,
        ceremony: &str,
    ) -> Result<ProposedTotp, FactorError> {
        let running = self.running_enrollment(session, ceremony).await?;
        let user = self
            .storage()
            .user(session.account().id())
            .await?
            .ok_or(FactorError::UnknownUser)?;
        self.shown(&user.name, Secret::new(ceremony.to_owned()), &running.state)
    }

    /// Enrolls the app. After a wrong code, the secret can be tried again. The right code is used
    /// up in the same write, so it cannot log anyone in. The session gets a new secret and a proven
    /// second factor: the user could prove it with the app's next code anyway.
    pub async fn confirm_totp(
        self,
        permit: Permit<ConfirmTotp>,
    ) -> Result<Option<StartedSession>, FactorError> {
        let ConfirmTotp {
            session,
            ceremony,
            code,
        } = permit.target();
        let user = self.user_who_may_enroll(session.account().id()).await?;
        let running = self.running_enrollment(*session, ceremony).await?;
        let taken = self
            .take_attempts(&permit, &user, Action::FactorEnroll, Factor::Totp)
            .await?;
        let matched = totp::matched_step(&running.state, code, self.now())
            .map_err(|_| FactorError::UnknownCeremony)?;
        let Some(step) = matched else {
            self.record_wrong(
                &permit,
                user.id,
                Action::FactorEnroll,
                Factor::Totp,
                "wrong-code",
            )
            .await?;
            return Err(FactorError::WrongCode);
        };
        taken.give_back(self.storage()).await?;
        let hash = opaque::hash(ceremony).ok_or(FactorError::UnknownCeremony)?;
        let taken = self
            .storage()
            .take_ceremony(&hash, CeremonyKind::TotpEnroll, self.now())
            .await?
            .ok_or(FactorError::UnknownCeremony)?;

        let mut unit = permit.begin(self.storage()).await?;
        if !self
            .enroll_app(&mut unit, &permit, &user, &taken.state, Some(step))
            .await?
        {
            return Err(FactorError::TotpEnrolled);
        }
        let started = self
            .identity
            .sessions()
            .change_secret_for_factor(&mut unit, &permit, &user, Factor::Totp)
            .await?;
        let enrolled = Detail::TotpEnrolled { code_checked: true };
        unit.commit(&permit.event(enrolled).about(user.id)).await?;
        Ok(started)
    }

    /// Enrolls the app that has this secret, in the unit that records it, and mails its owner.
    /// Pages and the command line both use it. `step` is that of the proving code, which is used
    /// up. False if an app is already enrolled: replacing it would be an unnoticed removal of a
    /// factor.
    pub(crate) async fn enroll_app<T>(
        self,
        unit: &mut UnitOfWork,
        permit: &Permit<T>,
        user: &UserRow,
        secret: &Secret<String>,
        step: Option<i64>,
    ) -> Result<bool, StorageError> {
        let held = unit
            .hold_user(user.id)
            .await?
            .ok_or(Conflict::ReferenceGone)?;
        if held.totp_secret.is_some() {
            return Ok(false);
        }
        unit.set_totp(user.id, secret.expose(), step, permit.at())
            .await?;
        self.identity
            .accounts()
            .tell_of_app(unit, permit, user, MailKind::FactorAdded)
            .await?;
        Ok(true)
    }

    fn shown(
        self,
        name: &UserName,
        ceremony: Secret<String>,
        secret: &Secret<String>,
    ) -> Result<ProposedTotp, FactorError> {
        let described = totp::describe(secret, &self.config().totp_issuer, name)
            .map_err(|_| FactorError::UnknownCeremony)?;
        Ok(ProposedTotp {
            ceremony,
            secret: described.secret,
            url: described.url,
        })
    }

    async fn running_enrollment(
        self,
        session: OwnSession,
        ceremony: &str,
    ) -> Result<CeremonyRow, FactorError> {
        let hash = opaque::hash(ceremony).ok_or(FactorError::UnknownCeremony)?;
        let running = self
            .storage()
            .ceremony(&hash, CeremonyKind::TotpEnroll, self.now())
            .await?;
        running
            .filter(|running| {
                running.user == Some(session.account().id())
                    && running.session == Some(session.id())
            })
            .ok_or(FactorError::UnknownCeremony)
    }
}
