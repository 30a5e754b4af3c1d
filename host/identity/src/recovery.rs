//! Recovery of an account by staff: announced, delayed, audited. Staff never see a secret: the
//! result is a link to the account's own address.

use gate::{Permit, Refusal, Target, TargetFacts};
use model::audit::{Actor, AuditEvent, Detail};
use model::mail::{Mail, MailField, MailKind};
use model::{
    Action, LinkPurpose, PasswordDisabled, PasswordState, RecoveryId, Timestamp, UserId, UserName,
};
use storage::links::NewLink;
use storage::recoveries::{NewRecovery, RecoveryOutcome, RecoveryRow};
use storage::users::UserRow;
use storage::{Conflict, SecretHash, StorageError};

use crate::accounts::notices::{Mailbox, at, enqueue, to_the_second};
use crate::accounts::person;
use crate::limits::{self, TooMany};
use crate::password_reset::LINK_LIFETIME;
use crate::request::RequestContext;
use crate::{Account, AccountView, OwnSession, opaque};

/// Maximum number of recoveries completed in one go.
const AT_ONCE: u32 = 50;

/// Minimum and maximum number of characters of a reason.
pub const MIN_REASON: usize = 10;
pub const MAX_REASON: usize = model::limit::REASON.length();

/// Whether a text may be the reason of a recovery.
pub fn is_reason(text: &str) -> bool {
    let text = text.trim();
    (MIN_REASON..=MAX_REASON).contains(&text.chars().count()) && model::text::is_plain_line(text)
}

/// Recover a user's account.
#[derive(Clone, Debug)]
pub struct RecoverAccount {
    pub user: UserId,
    /// Why, for the person and for the operators; 10 to 300 characters.
    pub reason: String,
}

/// Stop a recovery that waits.
#[derive(Clone, Copy, Debug)]
pub struct CancelRecovery {
    pub recovery: RecoveryId,
}

/// List recoveries, the newest first.
#[derive(Clone, Copy, Debug)]
pub struct ListRecoveries {
    /// Maximum number of recoveries to list.
    pub limit: u32,
}

/// Stop the recovery of one's own account, while logged in to it.
#[derive(Clone, Copy, Debug)]
pub struct StopOwnRecovery {
    pub account: Account,
}

/// A recovery, for staff.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedRecovery {
    pub id: RecoveryId,
    pub user: UserName,
    /// Name of the staff member, or of the system user on the command line.
    pub started_by: String,
    pub reason: String,
    pub started_at: Timestamp,
    pub effective_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    /// `completed` or `cancelled`; none while it waits.
    pub outcome: Option<String>,
}

/// A recovery that its owner may stop, for the page behind the mailed link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnouncedRecovery {
    pub user: UserName,
    pub reason: String,
    pub effective_at: Timestamp,
}

/// Why a recovery was not started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    #[error("the user does not exist")]
    UnknownUser,
    #[error(
        "write {MIN_REASON} to {MAX_REASON} characters, without control or invisible characters"
    )]
    InvalidReason,
    #[error("only the staff of the registry recovers accounts")]
    NotStaff,
    #[error("you cannot recover your own account; ask another member of the staff")]
    OwnAccount,
    #[error("an account of the staff is recovered on the command line only")]
    StaffAccount,
    #[error("the user has no verified email address to tell of the recovery; verify one first")]
    NobodyToTell,
    #[error("a recovery of the account is running already")]
    Running,
    #[error("too many recoveries were started; try again in {}", model::time::wait_in_words(*.retry_after_seconds))]
    Limited { retry_after_seconds: u64 },
    #[error("the recovery does not exist or has ended")]
    UnknownRecovery,
    #[error(transparent)]
    Refused(Refusal),
    #[error(transparent)]
    Storage(StorageError),
}

impl From<StorageError> for RecoveryError {
    fn from(error: StorageError) -> Self {
        match error.conflict() {
            Some(Conflict::RecoveryRunning) => Self::Running,
            Some(Conflict::ReferenceGone) => Self::UnknownUser,
            _ => Self::Storage(error),
        }
    }
}

/// Show the recovery that a mailed link would stop.
#[derive(Clone, Debug)]
pub struct ReadRecoveryLink {
    pub link: String,
}

impl Target for ReadRecoveryLink {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::PasswordReset)
    }
}

/// Stop a recovery of one's own account, by the mailed link.
struct StopRecovery {
    link: SecretHash,
    recovery: RecoveryRow,
    user: UserRow,
}

impl Target for RecoverAccount {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::AccountRecover)
    }
}

impl Target for CancelRecovery {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::AccountRecover)
    }
}

/// Decided like a new password by a mailed link: it is the owner's own action and not one of staff,
/// and an owner with the mailbox and no factor at hand must be able to do it.
impl Target for StopRecovery {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::PasswordReset)
    }
}

impl Target for StopOwnRecovery {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::AccountUpdate)
    }
}

impl Target for ListRecoveries {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::AccountRecover)
    }
}

/// How long after its due time the link can stop a recovery that has not happened yet: a server
/// completes it some seconds later, or once it is up again.
const LATEST_MS: i64 = 7 * 24 * 3600 * 1000;

crate::areas::area! {
    /// Recoveries of accounts by staff.
    Recoveries
}

impl Recoveries<'_> {
    /// Announces a recovery to every verified address of the user. Unless stopped, it happens after
    /// the configured wait.
    pub async fn start(self, permit: Permit<RecoverAccount>) -> Result<RecoveryId, RecoveryError> {
        let RecoverAccount { user, reason } = permit.target();
        let reason = reason.trim();
        if !is_reason(reason) {
            return Err(RecoveryError::InvalidReason);
        }
        let user = self
            .storage()
            .user(*user)
            .await?
            .filter(|user| user.deleted_at.is_none())
            .ok_or(RecoveryError::UnknownUser)?;
        let started_by = match permit.actor() {
            Actor::CommandLine { system_user } => system_user.clone(),
            Actor::Caller {
                user: Some(actor), ..
            } => {
                let actor = self
                    .storage()
                    .user(*actor)
                    .await?
                    .filter(|actor| actor.staff)
                    .ok_or(RecoveryError::NotStaff)?;
                // An attacker who took over one staff account must not get the others this way.
                match user.staff {
                    _ if actor.id == user.id => return Err(RecoveryError::OwnAccount),
                    true => return Err(RecoveryError::StaffAccount),
                    false => actor.name.as_written().to_owned(),
                }
            }
            Actor::Caller { user: None, .. } | Actor::Publisher { .. } | Actor::System => {
                return Err(RecoveryError::NotStaff);
            }
        };
        let mailbox = self.identity.mailbox(&user).await?;
        // The link for a new password will go to the primary address.
        if mailbox.primary().is_none() {
            return Err(RecoveryError::NobodyToTell);
        }
        if permit.actor().is_remote() {
            let limits = &self.config().limits;
            let started_by = UserName::parse(&started_by).map_err(|_| RecoveryError::NotStaff)?;
            let too_many = |TooMany {
                                retry_after_seconds,
                            }| RecoveryError::Limited {
                retry_after_seconds,
            };
            let counted = limits::take(
                self.storage(),
                &[
                    limits.recoveries_of(&user.name),
                    limits.recoveries_by(&started_by),
                ],
                self.now(),
            )
            .await?;
            let _counted = counted.map_err(too_many)?;
        }
        let (id, now) = (RecoveryId::new(), permit.at());
        let wait_ms =
            i64::try_from(self.config().recovery_wait.as_millis()).unwrap_or(i64::MAX / 4);
        let effective_at = now.plus_ms(wait_ms);
        let (secret, stored) = opaque::generate();
        let words = [
            mailbox.user_name(),
            (MailField::Reason, reason.to_owned()),
            (MailField::EffectiveAt, to_the_second(effective_at)),
            self.identity.link("/recovery/cancel", secret.expose()),
            at(now),
        ];
        let mail = Mail::new(MailKind::RecoveryStarted, words);
        let mut unit = permit.begin(self.storage()).await?;
        unit.start_recovery(&NewRecovery {
            id,
            user: user.id,
            started_by: &started_by,
            reason,
            started_at: now,
            effective_at,
        })
        .await?;
        let data = id.to_string();
        let link = NewLink {
            secret: &stored,
            purpose: LinkPurpose::RecoveryCancel,
            user: Some(user.id),
            data: &data,
            created_at: now,
            expires_at: effective_at.plus_ms(LATEST_MS),
        };
        unit.create_link(&link).await?;
        for address in mailbox.verified() {
            enqueue(&mut unit, &mail, Some(user.id), Some(address), now).await?;
        }
        let started = Detail::RecoveryStarted {
            recovery: id.into(),
            by: started_by,
            reason: reason.to_owned(),
            effective_at: to_the_second(effective_at),
        };
        unit.commit(&permit.event(started).about(user.id)).await?;
        Ok(id)
    }

    /// Stops a recovery that waits.
    pub async fn cancel(self, permit: Permit<CancelRecovery>) -> Result<(), RecoveryError> {
        let recovery = self
            .storage()
            .recovery(permit.target().recovery)
            .await?
            .ok_or(RecoveryError::UnknownRecovery)?;
        self.stop(&permit, &recovery, None, "the staff").await
    }

    /// Recoveries for staff, the newest first.
    pub async fn list(
        self,
        permit: Permit<ListRecoveries>,
    ) -> Result<Vec<ListedRecovery>, StorageError> {
        let listed = |row: RecoveryRow| ListedRecovery {
            id: row.id,
            user: row.user_name,
            started_by: row.started_by,
            reason: row.reason,
            started_at: row.started_at,
            effective_at: row.effective_at,
            ended_at: row.ended_at,
            outcome: row.outcome.map(|outcome| outcome.as_str().to_owned()),
        };
        Ok(self
            .storage()
            .recoveries(permit.target().limit)
            .await?
            .into_iter()
            .map(listed)
            .collect())
    }

    /// The user with this name, for staff who recover accounts.
    pub async fn user_to_recover(
        self,
        _permit: &Permit<ListRecoveries>,
        name: &UserName,
    ) -> Result<Option<UserId>, StorageError> {
        let user = self.storage().user_by_name(name).await?;
        Ok(user.map(|user| user.id))
    }

    /// The recovery that a mailed link would stop. Changes nothing.
    pub async fn announced(
        self,
        permit: Permit<ReadRecoveryLink>,
    ) -> Result<Option<AnnouncedRecovery>, StorageError> {
        let announced = |row: RecoveryRow| AnnouncedRecovery {
            user: row.user_name,
            reason: row.reason,
            effective_at: row.effective_at,
        };
        Ok(self
            .running(&permit.target().link)
            .await?
            .map(|(_, row)| announced(row)))
    }

    async fn running(self, link: &str) -> Result<Option<(SecretHash, RecoveryRow)>, StorageError> {
        let Some(stored) = opaque::hash(link) else {
            return Ok(None);
        };
        let Some(row) = self
            .storage()
            .link(&stored, LinkPurpose::RecoveryCancel, self.now())
            .await?
        else {
            return Ok(None);
        };
        let Ok(id) = row.data.expose().parse() else {
            return Ok(None);
        };
        Ok(self
            .storage()
            .recovery(id)
            .await?
            .filter(|recovery| recovery.ended_at.is_none())
            .map(|recovery| (stored, recovery)))
    }

    /// Stops a recovery by the mailed link. `UnknownRecovery` for a link that is not valid.
    pub async fn cancel_by_link(
        self,
        context: RequestContext<'_>,
        link: &str,
    ) -> Result<(), RecoveryError> {
        let target = self
            .to_stop(link)
            .await?
            .ok_or(RecoveryError::UnknownRecovery)?;
        let caller = person(&target.user, PasswordState::Unchecked);
        let RequestContext { gate, attempt } = context;
        let permit = gate
            .decide(attempt, &caller, target)
            .await
            .map_err(RecoveryError::Refused)?;
        let (target, permit) = permit.split();
        let StopRecovery { link, recovery, .. } = &target;
        self.stop(&permit, recovery, Some(link), "the link that was mailed")
            .await
    }

    /// The recovery that a mailed link would stop, and its user.
    async fn to_stop(self, link: &str) -> Result<Option<StopRecovery>, StorageError> {
        let Some((link, recovery)) = self.running(link).await? else {
            return Ok(None);
        };
        let user = self.storage().user(recovery.user).await?;
        Ok(user.map(|user| StopRecovery {
            link,
            recovery,
            user,
        }))
    }

    /// The recovery of an account that waits, if there is one.
    pub async fn of(self, view: AccountView) -> Result<Option<AnnouncedRecovery>, StorageError> {
        self.waiting(view.user()).await
    }

    /// The waiting recovery of one's own account, for a notice on pages that were decided for other
    /// actions: a logged-in user sees it on every page.
    pub async fn announced_in(
        self,
        session: OwnSession,
    ) -> Result<Option<AnnouncedRecovery>, StorageError> {
        self.waiting(session.account().id()).await
    }

    async fn waiting(self, user: UserId) -> Result<Option<AnnouncedRecovery>, StorageError> {
        let announced = |row: RecoveryRow| AnnouncedRecovery {
            user: row.user_name,
            reason: row.reason,
            effective_at: row.effective_at,
        };
        Ok(self.storage().recovery_of(user).await?.map(announced))
    }

    /// Stops the recovery of the caller's own account. `UnknownRecovery` if none waits.
    pub async fn stop_own(self, permit: Permit<StopOwnRecovery>) -> Result<(), RecoveryError> {
        let user = permit.target().account.id();
        let recovery = self
            .storage()
            .recovery_of(user)
            .await?
            .filter(|_| permit.target().account.is_own(&permit))
            .ok_or(RecoveryError::UnknownRecovery)?;
        self.stop(&permit, &recovery, None, "its owner, logged in")
            .await
    }

    pub(crate) async fn stop<T>(
        self,
        permit: &Permit<T>,
        recovery: &RecoveryRow,
        link: Option<&SecretHash>,
        by: &str,
    ) -> Result<(), RecoveryError> {
        let emails = self.storage().emails(recovery.user).await?;
        let mut unit = permit.begin(self.storage()).await?;
        let user = unit
            .hold_user(recovery.user)
            .await?
            .ok_or(RecoveryError::UnknownRecovery)?;
        if let Some(link) = link {
            unit.take_link(link, LinkPurpose::RecoveryCancel, self.now())
                .await?
                .ok_or(RecoveryError::UnknownRecovery)?;
        }
        if !unit
            .end_recovery(recovery.id, RecoveryOutcome::Cancelled, permit.at())
            .await?
        {
            return Err(RecoveryError::UnknownRecovery);
        }
        unit.drop_links(user.id, Some(LinkPurpose::RecoveryCancel))
            .await?;
        let mailbox = Mailbox {
            user: user.id,
            name: user.name,
            emails,
        };
        let mail = Mail::new(
            MailKind::RecoveryCancelled,
            [mailbox.user_name(), at(permit.at())],
        );
        for address in mailbox.verified() {
            enqueue(&mut unit, &mail, Some(user.id), Some(address), permit.at()).await?;
        }
        let cancelled = Detail::RecoveryCancelled {
            recovery: recovery.id.into(),
            by: by.to_owned(),
        };
        unit.commit(&permit.event(cancelled).about(user.id)).await?;
        Ok(())
    }

    /// Completes the recoveries that are due; returns how many. For a background task on any number
    /// of servers. One that fails does not prevent the others.
    pub async fn complete_due(self) -> Result<u64, StorageError> {
        let mut completed = 0;
        for recovery in self.storage().due_recoveries(self.now(), AT_ONCE).await? {
            match self.complete(&recovery).await {
                Ok(done) => completed += u64::from(done),
                Err(error) => {
                    tracing::error!(%error, recovery = %recovery.id, "a recovery could not be completed")
                }
            }
        }
        Ok(completed)
    }

    /// Removes what the owner lost and what an attacker may have, and mails a link for a new
    /// password. False if another server was first, or it was stopped.
    async fn complete(self, recovery: &RecoveryRow) -> Result<bool, StorageError> {
        let now = self.now();
        let emails = self.storage().emails(recovery.user).await?;
        let mut unit = self.storage().begin().await?;
        let Some(user) = unit.hold_user(recovery.user).await? else {
            return Ok(false);
        };
        if !unit
            .end_recovery(recovery.id, RecoveryOutcome::Completed, now)
            .await?
        {
            return Ok(false);
        }
        let mailbox = Mailbox {
            user: user.id,
            name: user.name,
            emails,
        };
        let had_totp = unit.remove_totp(user.id, false).await?;
        let keys = unit.remove_keys(user.id).await?;
        unit.replace_recovery_codes(user.id, &[], now).await?;
        unit.disable_password(user.id, PasswordDisabled::Recovery)
            .await?;
        let ended = self
            .identity
            .passwords()
            .end_what_was_begun(&mut unit, user.id, None, None)
            .await?;
        unit.drop_links(user.id, Some(LinkPurpose::RecoveryCancel))
            .await?;
        let link = self
            .identity
            .passwords()
            .link_to_reset(&mut unit, user.id, now, "")
            .await?;
        let words = [
            mailbox.user_name(),
            (MailField::Link, link.expose().clone()),
            (MailField::LinkLifetime, LINK_LIFETIME.to_owned()),
            at(now),
        ];
        mailbox
            .tell(
                &mut unit,
                &Mail::new(MailKind::RecoveryCompleted, words),
                now,
            )
            .await?;
        let completed = Detail::RecoveryCompleted {
            recovery: recovery.id.into(),
            removed_totp: had_totp,
            removed_keys: keys,
            ended_sessions: ended,
        };
        unit.commit(&AuditEvent::of_server(now, completed).about(user.id))
            .await?;
        Ok(true)
    }
}
