//! Which address a secured account is given back through.
//!
//! Whoever has a session for an hour can make an address of their own the primary one. So for
//! a week the address from before is the one that an account is given back through, as the
//! audit log has it.

use gate::Permit;
use model::audit::detail::Promotion;
use model::audit::{Actor, AuditEvent, Detail, EventKind};
use model::email::comparable;
use model::mail::{Mail, MailField, MailKind};
use model::{Timestamp, UserId};
use storage::audit::AuditFilter;
use storage::users::UserRow;
use storage::{StorageError, UnitOfWork};

use super::notices::{self, Mailbox, device, enqueue, remote_address};
use crate::accounts::emails::Emails;
use crate::secure::is_secured;

/// How long an address has to be the primary one to be trusted with the account.
const STANDING_MS: i64 = 7 * 24 * 3600 * 1000;
/// Events read at once.
const PAGE: u32 = 100;

impl Emails<'_> {
    /// The verified address that was the primary one for seven days without a break, the last
    /// one that was; or else the first. What operators changed, or the link that was mailed to
    /// an address itself, stands at once.
    pub(crate) async fn standing_primary(
        self,
        mailbox: &Mailbox,
        at: Timestamp,
    ) -> Result<Option<String>, StorageError> {
        let mut standing = mailbox.primary().map(ToOwned::to_owned);
        let (mut until, mut before) = (at, None);
        let filter = AuditFilter {
            user: Some(mailbox.user),
            project: None,
            kind: Some(EventKind::EmailPromoted),
        };
        loop {
            let rows = self.storage().events(&filter, before, PAGE).await?;
            for row in rows
                .iter()
                .filter(|row| row.event.user == Some(mailbox.user))
            {
                if is_trusted(&row.event) || until.0.saturating_sub(row.event.at.0) >= STANDING_MS {
                    return Ok(standing);
                }
                // None: the one from before was not verified, so nobody proved to have it.
                let Some(earlier) = before_of(&row.event) else {
                    return Ok(standing);
                };
                // An event from before domains had one form has another.
                standing = Some(comparable(earlier).into_owned());
                until = row.event.at;
            }
            before = rows.last().map(|row| row.sequence);
            if rows.len() < PAGE as usize {
                return Ok(standing);
            }
        }
    }

    /// The address that a link for a new password goes to: the primary one, and while the
    /// account is secured the one that it was secured for.
    pub(crate) async fn reset_address(
        self,
        user: &UserRow,
        mailbox: &Mailbox,
    ) -> Result<Option<String>, StorageError> {
        if !is_secured(user) {
            return Ok(mailbox.primary().map(ToOwned::to_owned));
        }
        // As of then: an intruder's address must not come to stand by waiting.
        let filter = AuditFilter {
            user: Some(user.id),
            project: None,
            kind: Some(EventKind::AccountSecured),
        };
        let secured = self.storage().events(&filter, None, 1).await?;
        self.standing_primary(
            mailbox,
            secured.first().map_or(self.now(), |row| row.event.at),
        )
        .await
    }
}

fn is_trusted(promotion: &AuditEvent) -> bool {
    !matches!(promotion.actor, Actor::Caller { .. }) || promotion.detail["put-back-by-link"] == true
}

/// The primary address before this promotion, if it was verified.
fn before_of(promotion: &AuditEvent) -> Option<&str> {
    promotion.detail["before"].as_str()
}

/// Makes the address that a link was mailed to the primary one again, in the unit that takes
/// the link. False if it is another account's by now.
pub(crate) async fn put_back<T>(
    unit: &mut UnitOfWork,
    permit: &Permit<T>,
    mailbox: &Mailbox,
    address: &str,
) -> Result<bool, StorageError> {
    let (user, at): (UserId, Timestamp) = (mailbox.user, permit.at());
    if !mailbox
        .emails
        .iter()
        .any(|email| email.address.eq_ignore_ascii_case(address))
    {
        if unit.is_verified_email(address).await? {
            return Ok(false);
        }
        // The link proves whose the address is; whoever only claimed it gives way.
        if let Some(claimant) = unit.release_unverified_email(address).await? {
            let removed = Detail::EmailRemoved {
                address: address.to_owned(),
                because: Some("another account verified the address".to_owned()),
            };
            unit.also(&permit.event(removed).about(claimant));
        }
        unit.add_email(user, address, at).await?;
        let address = address.to_owned();
        unit.also(&permit.event(Detail::EmailAdded { address }).about(user));
    }
    if !unit.verify_email(user, address, at).await? || !unit.promote_email(user, address).await? {
        return Ok(false);
    }
    let promoted = Detail::EmailPromoted {
        address: address.to_owned(),
        how: Promotion::PutBackByLink,
    };
    unit.also(&permit.event(promoted).about(user));
    if let Some(replaced) = mailbox.primary() {
        let actor = permit.actor();
        let words = [
            mailbox.user_name(),
            (MailField::Address, address.to_owned()),
            (MailField::OtherAddress, replaced.to_owned()),
            remote_address(actor),
            device(actor),
            notices::at(at),
        ];
        let mail = Mail::new(MailKind::PrimaryEmailChanged, words);
        for recipient in [replaced, address] {
            enqueue(unit, &mail, Some(user), Some(recipient), at).await?;
        }
    }
    Ok(true)
}

/// An address as its owner knows it and others do not: the first letter, and the domain.
pub(crate) fn masked(address: &str) -> String {
    let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    format!("{}…@{domain}", local.chars().next().unwrap_or_default())
}
