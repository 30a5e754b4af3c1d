//! A new password for a user who knows the old one.

use gate::{Permit, Refusal, Target, TargetFacts};
use model::audit::Detail;
use model::mail::{Mail, MailKind};
use model::{Action, Assurance, Caller, LinkPurpose, PasswordState, SessionId, UserId, UserName};
use storage::sessions::Proven;
use storage::users::UserRow;
use storage::{Secret, SecretHash, StorageError, UnitOfWork};
use turns::Asker;

use crate::accounts::notices::{at, device, remote_address};
use crate::passwords::{Busy, NotHashed, UnsuitablePassword};
use crate::prove_person::{Place, Problem, Proof};
use crate::refusals::Failure;
use crate::request::{RequestContext, Stop, UseCase, ends_with};
use crate::sessions::StartedSession;
use crate::{Account, opaque};

/// Why a password was not set.
#[derive(Debug, thiserror::Error)]
pub enum PasswordProblem {
    #[error(transparent)]
    Unsuitable(#[from] UnsuitablePassword),
    #[error("the current password is wrong")]
    WrongCurrent,
    #[error("the password is disabled; set a new one by a mailed link")]
    Disabled,
    #[error("the link no longer works; request another one")]
    UnknownLink,
    #[error(transparent)]
    Refused(Refusal),
    #[error(transparent)]
    Busy(#[from] Busy),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<NotHashed> for PasswordProblem {
    fn from(problem: NotHashed) -> Self {
        match problem {
            NotHashed::Unsuitable(unsuitable) => Self::Unsuitable(unsuitable),
            NotHashed::Busy(busy) => Self::Busy(busy),
        }
    }
}

impl From<Refusal> for PasswordProblem {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

ends_with!(PasswordProblem);

/// Open the empty form that changes one's own password.
#[derive(Clone, Copy, Debug)]
pub struct OpenPasswordChange {
    pub account: Account,
}

impl Target for OpenPasswordChange {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::PasswordChange)
    }
}

/// Change one's own password.
struct ChangePassword {
    user: UserId,
    /// The session that stays.
    keep: Option<SessionId>,
    password_hash: Secret<String>,
}

impl Target for ChangePassword {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::PasswordChange)
    }
}

crate::areas::area! {
    /// Passwords: changed, set by a mailed link, checked against breaches.
    Passwords
}

impl Passwords<'_> {
    /// Whether the caller may open the form. Other requirements for a change must be met before it
    /// is filled in: passwords are not stored during a step-up. The form itself verifies the
    /// password, and only the new one is checked for breaches: the page that replaces a breached
    /// one must open.
    pub async fn open_change(
        self,
        context: RequestContext<'_>,
        account: Account,
        caller: &Caller,
    ) -> Result<Permit<OpenPasswordChange>, Refusal> {
        let case = self
            .identity
            .use_case(context, Action::PasswordChange, caller.credential);
        let assurance = Assurance {
            password_state: PasswordState::Unchecked,
            password_at: caller.assurance.password_at.map(|_| case.attempt.at),
            ..caller.assurance
        };
        let caller = Caller {
            assurance,
            ..caller.clone()
        };
        case.decide(&caller, OpenPasswordChange { account }).await
    }

    /// Changes the caller's own password. Ends the caller's other sessions, and returns a new
    /// secret for the current one. `known` is the device cookie of the browser, which stays known;
    /// the others become unknown. A disabled password is not a current one: only a mailed link sets
    /// a new one.
    pub async fn change(
        self,
        context: RequestContext<'_>,
        caller: &Caller,
        current: Secret<String>,
        new: Secret<String>,
        known: Option<&str>,
    ) -> Result<Option<StartedSession>, PasswordProblem> {
        let case = self
            .identity
            .use_case(context, Action::PasswordChange, caller.credential);
        let changed = self.change_proven(&case, caller, current, new, known);
        case.answer(changed.await).await
    }

    async fn change_proven(
        self,
        case: &UseCase<'_>,
        caller: &Caller,
        current: Secret<String>,
        new: Secret<String>,
        known: Option<&str>,
    ) -> Result<Option<StartedSession>, Stop<PasswordProblem>> {
        let user = self.prove_current(case, caller, current).await?;
        let mailbox = self.identity.mailbox(&user).await?;
        let addresses = mailbox.addresses();
        let asker = self.identity.inner.passwords.known(&user.name);
        let hashed = self.hash_new_password(asker, &new, &user.name, &addresses);
        let password_hash = Secret::new(hashed.await.map_err(PasswordProblem::from)?);
        let password_state = self.password_state(case, &new, Some(user.id)).await?;
        let assurance = Assurance {
            password_at: Some(case.attempt.at),
            password_state,
            ..caller.assurance
        };
        let proven = Caller {
            assurance,
            ..caller.clone()
        };
        let target = ChangePassword {
            user: user.id,
            keep: caller.session,
            password_hash,
        };
        let permit = case.decide(&proven, target).await?;

        let (target, now) = (permit.target(), permit.at());
        let mut unit = permit.begin(self.storage()).await?;
        // Proven a moment ago is not proven now: a reset, or a breach, may have come in between.
        let still = |held: &UserRow| {
            held.password_hash == user.password_hash
                && held.password_disabled.is_none()
                && held.disabled_at.is_none()
        };
        unit.hold_user(target.user)
            .await?
            .filter(still)
            .ok_or(PasswordProblem::WrongCurrent)?;
        unit.set_password_hash(target.user, target.password_hash.expose(), now)
            .await?;
        let known = known.and_then(opaque::hash);
        // A link for a new password stays: a thief with the password could otherwise void each one
        // that the owner requests. A thief with the owner's mail could request another anyway.
        let ended = self
            .end_what_the_password_began(&mut unit, target.user, target.keep, known.as_ref())
            .await?;
        let started = self
            .identity
            .sessions()
            .change_secret(
                &mut unit,
                &permit,
                &user.name,
                Proven::Password(now, password_state),
            )
            .await?;
        let words = [
            mailbox.user_name(),
            remote_address(permit.actor()),
            device(permit.actor()),
            at(now),
        ];
        mailbox
            .tell(&mut unit, &Mail::new(MailKind::PasswordChanged, words), now)
            .await?;
        let set = Detail::PasswordSet {
            ended_sessions: Some(ended),
        };
        unit.commit(&permit.event(set).about(target.user)).await?;
        Ok(started)
    }

    /// The caller, verified by their current password.
    async fn prove_current(
        self,
        case: &UseCase<'_>,
        caller: &Caller,
        current: Secret<String>,
    ) -> Result<UserRow, Stop<PasswordProblem>> {
        // As for every password: it is checked only where it could be of use.
        let person = caller
            .user()
            .filter(|_| case.may_permit(caller.credential))
            .ok_or_else(|| Stop::counted(Failure::person_not_accepted()))?;
        let proof = Proof {
            user_name: person.name.as_written(),
            password: current,
            totp_code: None,
            asks_for_code: false,
            place: caller.session.map_or(Place::Anywhere, Place::Session),
        };
        match self
            .identity
            .proofs()
            .prove(case.attempt.remote_address, proof)
            .await
        {
            Ok(proven) if proven.user.id == person.id => Ok(proven.user),
            Ok(_) => Err(PasswordProblem::WrongCurrent.into()),
            Err(Problem::Wrong { why, user }) => {
                // A user who is logged in by a passkey may learn that the password was disabled.
                let answer = if why == "password-disabled" {
                    PasswordProblem::Disabled
                } else {
                    PasswordProblem::WrongCurrent
                };
                Err(Stop::recorded(Failure::person(why, user), answer))
            }
            Err(Problem::TooMany { too_many, .. }) => {
                Err(Failure::limited(caller.credential, too_many)
                    .of(person.id)
                    .into())
            }
            Err(Problem::Busy) => Err(PasswordProblem::Busy(Busy).into()),
            Err(Problem::Storage(error)) => Err(error.into()),
        }
    }

    /// Ends what the old password, or a credential that is no longer valid, started: sessions but
    /// for one, logins that wait for a second step, confirmed browsers but for one, and links that
    /// somebody may have requested. Not the link that stops a recovery, which protects the account
    /// whoever has the password. Returns how many sessions ended.
    pub(crate) async fn end_what_was_begun(
        self,
        unit: &mut UnitOfWork,
        user: UserId,
        keep: Option<SessionId>,
        keep_device: Option<&SecretHash>,
    ) -> Result<u64, StorageError> {
        let ended = self
            .end_what_the_password_began(unit, user, keep, keep_device)
            .await?;
        unit.drop_links(user, Some(LinkPurpose::PasswordReset))
            .await?;
        Ok(ended)
    }

    /// The same except for links for a new password.
    async fn end_what_the_password_began(
        self,
        unit: &mut UnitOfWork,
        user: UserId,
        keep: Option<SessionId>,
        keep_device: Option<&SecretHash>,
    ) -> Result<u64, StorageError> {
        let ended = unit.end_sessions(user, keep).await?;
        unit.drop_ceremonies(user, keep).await?;
        unit.drop_devices(user, keep_device).await?;
        for purpose in [LinkPurpose::DeviceConfirm, LinkPurpose::EmailVerify] {
            unit.drop_links(user, Some(purpose)).await?;
        }
        Ok(ended)
    }

    /// The hash of a new password for a user with this name and these addresses, if it is suitable.
    pub(crate) async fn hash_new_password(
        self,
        asker: Asker,
        password: &Secret<String>,
        name: &UserName,
        addresses: &[&str],
    ) -> Result<String, NotHashed> {
        let location = &self.config().token_location;
        let hashing = &self.identity.inner.passwords;
        hashing
            .hash_new(asker, password, name, addresses, location)
            .await
    }

    /// Whether it would be accepted, without hashing it.
    pub(crate) async fn check_new_password(
        self,
        asker: Asker,
        password: &Secret<String>,
        name: &UserName,
        addresses: &[&str],
    ) -> Result<(), NotHashed> {
        let location = &self.config().token_location;
        let hashing = &self.identity.inner.passwords;
        hashing
            .check_new(asker, password, name, addresses, location)
            .await
    }
}
