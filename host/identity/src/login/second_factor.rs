//! The second factor of a user who is already known, in a login or within a session.

use gate::Attempt;
use model::{CredentialKind, Factor, Timestamp};
use storage::users::UserRow;
use storage::{Secret, StorageError, UnitOfWork};

use crate::factors::KeyAnswer;
use crate::factors::challenges::{KeyBinding, KeyProblem};
use crate::limits::{self, Counter, Known, Taken};
use crate::prove_person::Proofs;
use crate::prove_person::UnspentCode;
use crate::refusals::Failure;
use crate::totp;

/// A second factor that somebody sends.
pub(crate) enum Offered<'a> {
    /// A code of a one-time password app.
    Totp(&'a str),
    RecoveryCode(&'a str),
    Key(KeyBinding<'a>, &'a KeyAnswer),
}

/// A second factor that was right. It authorises nothing until [`Proofs::settle`] and, within the
/// unit of the action, [`Proofs::settle_in`] have accepted it.
#[must_use = "a code that is not settled can be sent again"]
pub(crate) struct Right {
    pub(crate) factor: Factor,
    /// When it was checked.
    pub(crate) at: Timestamp,
    unspent: Option<Unspent>,
}

/// A right code that is not used up yet.
enum Unspent {
    Totp(UnspentCode),
    RecoveryCode(Secret<String>),
}

impl Offered<'_> {
    pub(crate) fn factor(&self) -> Factor {
        match self {
            Self::Totp(_) => Factor::Totp,
            Self::RecoveryCode(_) => Factor::RecoveryCode,
            Self::Key(..) => Factor::Webauthn,
        }
    }

    /// Anyone who gets this far knows the password, and may be a thief: neither their attempts nor
    /// those of others at the same address lock out a known browser or session.
    fn counters(
        &self,
        limits: &limits::Limits,
        attempt: &Attempt,
        user: &UserRow,
        known: Option<Known>,
    ) -> Vec<Counter> {
        let (address, name) = (attempt.remote_address, &user.name);
        if let Some(known) = known {
            return limits.factor_known_by(self.factor(), &known, name).into();
        }
        match self {
            Self::Totp(_) => vec![
                limits.totp_from(address),
                limits.totp_of(name),
                limits.totp_of_all(),
            ],
            Self::RecoveryCode(_) => vec![
                limits.recovery_code_from(address),
                limits.recovery_code_of(name),
                limits.recovery_code_of_all(),
            ],
            Self::Key(..) => vec![
                limits.webauthn_from(address),
                limits.webauthn_of(name),
                limits.webauthn_of_all(),
            ],
        }
    }
}

impl Proofs<'_> {
    /// Whether it is right. Counted first, so that no more are checked than the limits allow,
    /// however many come at once. Refused if the limits cannot be read.
    ///
    /// The time is taken here and not when the request began: a slow body must not keep an old code
    /// alive.
    pub(crate) async fn look_at(
        self,
        attempt: &Attempt,
        user: &UserRow,
        offered: &Offered<'_>,
        known: Option<Known>,
    ) -> Result<Right, Failure> {
        let factor = offered.factor();
        let unavailable = |error| {
            Failure::unavailable(CredentialKind::Session, &error)
                .of(user.id)
                .with_factor(factor)
        };
        let wrong = |why| Failure::second_factor(why, factor, user.id);
        let taken = self.count(attempt, user, offered, known).await?;
        let at = self.now();
        let unspent = match offered {
            Offered::Totp(code) => {
                let secret = user
                    .totp_secret
                    .as_ref()
                    .ok_or_else(|| wrong("totp-not-enrolled"))?;
                let step = totp::matched_step(secret, code, at).map_err(|_| {
                    tracing::error!(user = %user.id, "a stored TOTP secret is unreadable; remove it and enroll again");
                    wrong("unreadable-totp-secret")
                })?;
                let step = step.ok_or_else(|| wrong("wrong-code"))?;
                if user.totp_last_step.is_some_and(|last| step <= last) {
                    return Err(wrong("code-used-before"));
                }
                Some(Unspent::Totp(UnspentCode::new(user, step)))
            }
            Offered::RecoveryCode(code) => match self
                .identity
                .factors()
                .has_recovery_code(user.id, code)
                .await
            {
                Ok(true) => Some(Unspent::RecoveryCode(Secret::new((*code).to_owned()))),
                Ok(false) => return Err(wrong("recovery-code-unknown-or-used")),
                Err(error) => return Err(unavailable(error)),
            },
            Offered::Key(binding, answer) => {
                match self
                    .identity
                    .factors()
                    .verify_key(user.id, *binding, answer, at)
                    .await
                {
                    Ok(()) => None,
                    Err(KeyProblem::Wrong { why, .. }) => return Err(wrong(why)),
                    Err(KeyProblem::Storage(error)) => return Err(unavailable(error)),
                }
            }
        };
        taken.give_back(self.storage()).await.map_err(unavailable)?;
        Ok(Right {
            factor,
            at,
            unspent,
        })
    }

    /// Counts an attempt, before anything is checked.
    async fn count(
        self,
        attempt: &Attempt,
        user: &UserRow,
        offered: &Offered<'_>,
        known: Option<Known>,
    ) -> Result<Taken, Failure> {
        let limited = |too_many| {
            Failure::limited(CredentialKind::Session, too_many)
                .of(user.id)
                .with_factor(offered.factor())
        };
        let counters = offered.counters(&self.config().limits, attempt, user, known);
        match limits::take(self.storage(), &counters, self.now()).await {
            Ok(taken) => taken.map_err(limited),
            Err(error) => Err(Failure::unavailable(CredentialKind::Session, &error)
                .of(user.id)
                .with_factor(offered.factor())),
        }
    }

    /// Uses up a code of an app: of any number of requests with one code, only one gets past this.
    /// Runs after the decision, so a refusal by policy costs no code.
    pub(crate) async fn settle(
        self,
        attempt: &Attempt,
        user: &UserRow,
        right: &Right,
    ) -> Result<(), Failure> {
        let Some(Unspent::Totp(code)) = &right.unspent else {
            return Ok(());
        };
        match self.accept_code(attempt.remote_address, code).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Failure::second_factor(
                "code-used-before",
                right.factor,
                user.id,
            )),
            Err(error) => Err(Failure::unavailable(CredentialKind::Session, &error)
                .of(user.id)
                .with_factor(right.factor)),
        }
    }

    /// Uses up a recovery code in the unit of the action. False if it was used meanwhile: the unit
    /// must not be committed then.
    pub(crate) async fn settle_in(
        self,
        unit: &mut UnitOfWork,
        attempt: &Attempt,
        user: &UserRow,
        right: &Right,
    ) -> Result<bool, StorageError> {
        match &right.unspent {
            Some(Unspent::RecoveryCode(code)) => {
                self.identity
                    .factors()
                    .spend_recovery_code(unit, attempt, user, code.expose())
                    .await
            }
            Some(Unspent::Totp(_)) | None => Ok(true),
        }
    }
}
