//! Which address a secured account is given back through.
//!
//! Somebody who has a session for an hour can make an address of their own the primary one. So
//! for a week the address from before is the one that an account is given back through; the
//! user's row has it, and the audit log says the same.

use gate::Permit;
use model::audit::Detail;
use model::audit::detail::Promotion;
use model::email::comparable;
use model::mail::{Mail, MailField, MailKind};
use model::{Timestamp, UserId};
use storage::users::{EmailBefore, UserRow};
use storage::{StorageError, UnitOfWork};

use super::is_secured;
use super::notices::{self, Mailbox, device, enqueue, remote_address};

/// How long an address has to be the primary one to be trusted with the account.
const STANDING_MS: i64 = 7 * 24 * 3600 * 1000;

/// The verified address that was the primary one for seven days without a break, the last one
/// that was; or else the first. What operators changed, or the link that was mailed to an address
/// itself, stands at once.
pub(crate) fn standing_primary(user: &UserRow, mailbox: &Mailbox, at: Timestamp) -> Option<String> {
    match &user.email_before {
        // Written before domains had one form, maybe.
        Some(before) if at < before.until => Some(comparable(&before.address).into_owned()),
        _ => mailbox.primary().map(ToOwned::to_owned),
    }
}

/// The address that a link for a new password goes to: the primary one, and while the account
/// is secured the one that it was secured for.
pub(crate) fn reset_address(user: &UserRow, mailbox: &Mailbox, now: Timestamp) -> Option<String> {
    if !is_secured(user) {
        return mailbox.primary().map(ToOwned::to_owned);
    }
    // As of then: an intruder's address must not come to stand by waiting.
    standing_primary(user, mailbox, user.secured_at.unwrap_or(now))
}

/// Notes, in the unit that makes another address the primary one, which address stands in for it:
/// the one that stood until then, if the one from before was verified. `mailbox` is as it was.
pub(crate) async fn note_promotion<T>(
    unit: &mut UnitOfWork,
    permit: &Permit<T>,
    user: &UserRow,
    mailbox: &Mailbox,
) -> Result<(), StorageError> {
    let is_by_session = permit.actor().is_remote();
    let at = permit.at();
    let before = standing_primary(user, mailbox, at)
        .filter(|_| is_by_session && mailbox.primary().is_some())
        .map(|address| EmailBefore {
            address,
            until: at.plus_ms(STANDING_MS),
        });
    unit.set_email_before(user.id, before.as_ref()).await
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
    unit.set_email_before(user, None).await?;
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
