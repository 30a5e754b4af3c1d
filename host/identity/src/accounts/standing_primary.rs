//! Which address a secured account is recovered through.
//!
//! Somebody who has a session for an hour can make an address of their own the primary one. So for
//! a week, an account is recovered through the previous address. The user's row stores it, and the
//! audit log has it too.

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

/// How long an address must be the primary one before the account can be recovered through it.
const STANDING_MS: i64 = 7 * 24 * 3600 * 1000;

/// The verified address that was last the primary one for seven days without a break, or else the
/// first one. A change by operators, or by a link mailed to the address itself, takes effect at
/// once.
pub(crate) fn standing_primary(user: &UserRow, mailbox: &Mailbox, at: Timestamp) -> Option<String> {
    match &user.email_before {
        // It may have been stored before domains had one form.
        Some(before) if at < before.until => Some(comparable(&before.address).into_owned()),
        _ => mailbox.primary().map(ToOwned::to_owned),
    }
}

/// The address that a link for a new password goes to: the primary one, or, while the account is
/// secured, the address that it was secured for.
pub(crate) fn reset_address(user: &UserRow, mailbox: &Mailbox, now: Timestamp) -> Option<String> {
    if !is_secured(user) {
        return mailbox.primary().map(ToOwned::to_owned);
    }
    // As of that time: an intruder's address must not become trusted by waiting.
    standing_primary(user, mailbox, user.secured_at.unwrap_or(now))
}

/// Records, in the unit that makes another address the primary one, which address stands in for it:
/// the one trusted until then, if the previous one was verified. `mailbox` is the state before.
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

/// Makes the address that a link was mailed to the primary one again, in the unit that takes the
/// link. False if another account has it by now.
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
        // The link proves who owns the address; an unverified claim gives way.
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

/// An address that its owner recognises and others do not: the first letter, and the domain.
pub(crate) fn masked(address: &str) -> String {
    let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    format!("{}…@{domain}", local.chars().next().unwrap_or_default())
}
