//! Conversion of addresses that were stored before domains had one form.
//!
//! No database can convert a domain, so the program does it: at the start and periodically, since a
//! server of the previous version may run in parallel. An index over non-ASCII addresses makes this
//! free when there is nothing to convert.

use model::audit::{AuditEvent, Detail};
use model::email::comparable;
use model::{Timestamp, UserId};
use storage::users::EmailRow;
use storage::{Storage, StorageError, UnitOfWork};

/// Addresses read at a time.
const PAGE: u32 = 500;

/// Rewrites every address whose domain is not in the form of [`model::EmailAddress`]; returns how
/// many. If two become equal, the one verified first, or else added first, stays with its account:
/// both were proven for the same mailbox. An address without such a form stays unchanged.
pub async fn convert_addresses(storage: &Storage, at: Timestamp) -> Result<u64, StorageError> {
    let (mut converted, mut after) = (0, String::new());
    loop {
        let page = storage.emails_beyond_ascii(&after, PAGE).await?;
        for email in &page {
            let form = comparable(&email.address);
            if form != email.address {
                converted += u64::from(convert(storage, email, &form, at).await?);
            }
        }
        match page.last() {
            Some(last) if page.len() == PAGE as usize => after = last.address.to_ascii_lowercase(),
            _ => return Ok(converted),
        }
    }
}

async fn convert(
    storage: &Storage,
    old: &EmailRow,
    form: &str,
    at: Timestamp,
) -> Result<bool, StorageError> {
    let other = storage.email(form).await?;
    let mut unit = storage.begin().await?;
    let mut users: Vec<UserId> = other
        .iter()
        .map(|other| other.user)
        .chain([old.user])
        .collect();
    // Always in the same order, to avoid deadlocks.
    users.sort_unstable();
    users.dedup();
    for user in users {
        if unit.hold_user(user).await?.is_none() {
            return Ok(false);
        }
    }
    let Some(old) = held(&mut unit, old.user, &old.address).await? else {
        return Ok(false);
    };
    let other = match &other {
        Some(other) => held(&mut unit, other.user, form).await?,
        None => None,
    };
    let converted = Detail::EmailConverted {
        before: old.address.clone(),
        address: form.to_owned(),
    };
    let converted = AuditEvent::of_server(at, converted).about(old.user);
    let Some(other) = other else {
        unit.rewrite_email(old.user, &old.address, form).await?;
        unit.commit(&converted).await?;
        return Ok(true);
    };
    let is_old_first = standing(&old) < standing(&other);
    let (kept, gone) = if is_old_first {
        (&old, &other)
    } else {
        (&other, &old)
    };
    unit.take_email(gone.user, &gone.address).await?;
    if is_old_first {
        unit.rewrite_email(old.user, &old.address, form).await?;
        unit.also(&converted);
    }
    if kept.user == gone.user && gone.primary {
        unit.promote_email(kept.user, form).await?;
    }
    let because = if kept.user == gone.user {
        "it is the same as another address of the account"
    } else {
        "it is the same as an address of another account"
    };
    let removed = Detail::EmailRemoved {
        address: gone.address.clone(),
        because: Some(because.to_owned()),
    };
    unit.commit(&AuditEvent::of_server(at, removed).about(gone.user))
        .await?;
    Ok(true)
}

async fn held(
    unit: &mut UnitOfWork,
    user: UserId,
    address: &str,
) -> Result<Option<EmailRow>, StorageError> {
    Ok(unit
        .emails(user)
        .await?
        .into_iter()
        .find(|email| email.address.eq_ignore_ascii_case(address)))
}

/// Smaller takes precedence.
fn standing(email: &EmailRow) -> (Timestamp, Timestamp) {
    (
        email.verified_at.unwrap_or(Timestamp(i64::MAX)),
        email.added_at,
    )
}
