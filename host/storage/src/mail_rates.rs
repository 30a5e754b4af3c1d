//! How many mails about changes one address gets.
//!
//! The commit of a unit writes all its mails here: no one who changes a thousand things in an
//! account, with any credential and on any server, can fill a mailbox or hide anything. The first
//! mail of each kind is sent at once, and so are a few of any kind; further ones are counted in one
//! mail, which is sent a little later and lists how many there were of each kind.

use std::collections::BTreeMap;

use model::limit::{LISTED_CHANGES, MAIL_BYTES, REASON};
use model::mail::{Mail, MailField, MailKind};
use model::{MailId, Timestamp, UserId};
use serde_json::{Value, json};

use crate::outbox::MailState;
use crate::statement::statements;
use crate::{Result, Storage, UnitOfWork};

/// Mails about changes of any kind that one address gets at once within [`WINDOW_MS`]. This, and
/// one more mail for each kind that was not among them, limits anyone who acts in an account.
pub const AT_ONCE: usize = model::limit::CHANGE_MAILS.in_window(3600) as usize;
/// The same for each kind with a separate limit.
pub const OF_PROJECTS_AT_ONCE: usize = model::limit::PROJECT_MAILS.in_window(3600) as usize;
/// Window of [`AT_ONCE`], and the time within which one mail of a kind is the first.
pub const WINDOW_MS: i64 = 3600 * 1000;
/// How long changes beyond [`AT_ONCE`] are gathered before the one mail about them is sent, so at
/// most four such mails an hour.
pub const GATHERING_MS: i64 = 15 * 60 * 1000;

/// A mail that the commit writes.
pub(crate) struct UnwrittenMail {
    pub(crate) id: MailId,
    pub(crate) kind: MailKind,
    pub(crate) user: Option<UserId>,
    pub(crate) recipient: Option<String>,
    /// In the form of the table.
    pub(crate) fields: String,
    pub(crate) at: Timestamp,
}

statements! {
    /// Locks the row until the commit: units that write to one address at the same time take turns.
    LOOK = "INSERT INTO mail_rates (recipient, sent, updated_at) VALUES ($1, '', $2)
        ON CONFLICT (recipient) DO UPDATE SET updated_at = excluded.updated_at RETURNING sent";
    NOTE = "UPDATE mail_rates SET sent = $2 WHERE recipient = $1";
    FORGET = "DELETE FROM mail_rates WHERE updated_at <= $1";
    /// Only one that no server ever took: a mail that was sent once is not sent with other text.
    GATHERING = "SELECT id, fields FROM outbox WHERE recipient = $1 AND kind = 'changes-gathered' AND state = 'waiting'
        AND attempts = 0 AND leased_until IS NULL ORDER BY created_at, id LIMIT 1",
        "SELECT id, fields FROM outbox WHERE recipient = $1 AND kind = 'changes-gathered' AND state = 'waiting'
        AND attempts = 0 AND leased_until IS NULL ORDER BY created_at, id LIMIT 1 FOR UPDATE";
    GATHER = "UPDATE outbox SET fields = $2 WHERE id = $1";
    ENQUEUE = "INSERT INTO outbox (id, kind, user_id, recipient, fields, created_at, due_at, attempts, state, ended_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9)";
}

impl Storage {
    /// Deletes the rates of addresses that got no mail about a change for longer than any window;
    /// returns how many. Bookkeeping.
    pub async fn forget_mail_rates(&self, now: Timestamp) -> Result<u64> {
        self.database()
            .execute(&FORGET, &[now.plus_ms(-WINDOW_MS).into()])
            .await
    }
}

impl UnitOfWork {
    /// Writes the mails of the unit. Last before the registry's state, and in the order of their
    /// addresses, to avoid deadlocks.
    pub(crate) async fn write_mails(&mut self) -> Result<()> {
        let mut mails = std::mem::take(&mut self.mails);
        mails.sort_by_key(|mail| mail.recipient.as_deref().map(str::to_ascii_lowercase));
        for mail in mails {
            match &mail.recipient {
                Some(recipient)
                    if mail.kind.can_be_gathered()
                        && !self.goes_at_once(recipient, mail.kind, mail.at).await? =>
                {
                    self.gather(recipient, &mail).await?;
                }
                _ => self.write_mail(&mail, mail.at).await?,
            }
        }
        Ok(())
    }

    /// Whether a mail of this kind is sent to the address now; if so, it is counted.
    async fn goes_at_once(
        &mut self,
        recipient: &str,
        kind: MailKind,
        at: Timestamp,
    ) -> Result<bool> {
        let recipient = recipient.to_ascii_lowercase();
        let sent = self
            .one(&LOOK, &[recipient.as_str().into(), at.into()])
            .await?
            .text("sent")?;
        let since = at.plus_ms(-WINDOW_MS);
        let mut sent: Vec<(&str, Timestamp)> = sent
            .split(' ')
            .filter_map(read)
            .filter(|(_, sent_at)| *sent_at > since)
            .collect();
        let is_own = |earlier: &str| earlier == kind.as_str();
        let bounded_apart =
            |earlier: &str| MailKind::from_word(earlier).is_some_and(MailKind::has_own_bound);
        let count = |of: &dyn Fn(&str) -> bool| sent.iter().filter(|(kind, _)| of(kind)).count();
        let goes = match kind.has_own_bound() {
            true => count(&is_own) < OF_PROJECTS_AT_ONCE,
            false => count(&is_own) == 0 || count(&|earlier| !bounded_apart(earlier)) < AT_ONCE,
        };
        if !goes {
            return Ok(false);
        }
        sent.push((kind.as_str(), at));
        let sent: Vec<String> = sent
            .iter()
            .map(|(kind, at)| format!("{kind}@{}", at.0))
            .collect();
        self.execute(&NOTE, &[recipient.into(), sent.join(" ").into()])
            .await?;
        Ok(true)
    }

    /// Counts a change in the gathering mail of the address.
    async fn gather(&mut self, recipient: &str, mail: &UnwrittenMail) -> Result<()> {
        let word = |fields: &Value, field: MailField| {
            fields[field.as_str()]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        if let Some(row) = self.optional(&GATHERING, &[recipient.into()]).await? {
            let id: MailId = row.parsed("id")?;
            let known: Value = row.read("fields", |text| serde_json::from_str(text).ok())?;
            let changes = with_one_more(&word(&known, MailField::Changes), mail.kind);
            let (listed, since) = (word(&known, MailField::Listed), word(&known, MailField::At));
            let fields = gathered(&changes, &listed, mail, &since);
            return self
                .execute(&GATHER, &[id.into(), fields.into()])
                .await
                .map(drop);
        }
        let first = UnwrittenMail {
            id: MailId::new(),
            kind: MailKind::ChangesGathered,
            user: mail.user,
            recipient: Some(recipient.to_owned()),
            fields: gathered(
                &with_one_more("", mail.kind),
                "",
                mail,
                &mail.at.to_the_second(),
            ),
            at: mail.at,
        };
        self.write_mail(&first, mail.at.plus_ms(GATHERING_MS)).await
    }

    async fn write_mail(&mut self, mail: &UnwrittenMail, due_at: Timestamp) -> Result<()> {
        let state = if mail.recipient.is_some() {
            MailState::Waiting
        } else {
            MailState::Void
        };
        let values = [
            mail.id.into(),
            mail.kind.as_str().into(),
            mail.user.into(),
            mail.recipient.as_deref().unwrap_or_default().into(),
            mail.recipient.as_ref().map(|_| mail.fields.as_str()).into(),
            mail.at.into(),
            due_at.into(),
            state.as_str().into(),
            mail.recipient.is_none().then_some(mail.at).into(),
        ];
        self.execute(&ENQUEUE, &values).await.map(drop)
    }
}

/// The fields of the gathering mail, with another mail listed if there is room.
fn gathered(changes: &str, listed: &str, mail: &UnwrittenMail, since: &str) -> String {
    let words = |listed: &str| {
        json!({
            MailField::Changes.as_str(): changes,
            MailField::Listed.as_str(): listed,
            MailField::At.as_str(): since,
        })
        .to_string()
    };
    let longer = words(&with_listed(listed, mail));
    match longer.len() <= MAIL_BYTES.length() {
        true => longer,
        false => words(listed),
    }
}

/// The listed mails, with another one if its kind is listed and there is room.
fn with_listed(listed: &str, mail: &UnwrittenMail) -> String {
    let gathering = Mail {
        kind: MailKind::ChangesGathered,
        fields: vec![(MailField::Listed, listed.to_owned())],
    };
    let mut mails = gathering.listed();
    if mail.kind.is_listed() && mails.len() < LISTED_CHANGES.length() {
        let words: Value = serde_json::from_str(&mail.fields).unwrap_or_default();
        let word = |field: &MailField| {
            let word = words[field.as_str()].as_str().unwrap_or_default();
            (*field, word.chars().take(REASON.length()).collect())
        };
        mails.push(Mail {
            kind: mail.kind,
            fields: mail.kind.fields().iter().map(word).collect(),
        });
    }
    Mail::as_listed(&mails)
}

/// `token-created@1767614400000`.
fn read(entry: &str) -> Option<(&str, Timestamp)> {
    let (kind, at) = entry.split_once('@')?;
    Some((kind, Timestamp(at.parse().ok()?)))
}

/// `token-created=10 email-removed=2`, with one more of this kind; never longer than all kinds
/// together.
fn with_one_more(changes: &str, kind: MailKind) -> String {
    let mut counts: BTreeMap<&str, u64> = MailKind::gathered_in(changes)
        .map(|(kind, count)| (kind.as_str(), count))
        .collect();
    let count = counts.entry(kind.as_str()).or_default();
    *count = count.saturating_add(1);
    counts
        .iter()
        .map(|(kind, count)| format!("{kind}={count}"))
        .collect::<Vec<_>>()
        .join(" ")
}
