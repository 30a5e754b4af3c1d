//! The outbox: mails, written with the change that they report and sent after it.

use model::mail::{Mail, MailField, MailKind};
use model::{MailId, Timestamp, UserId};
use serde_json::{Map, Value};

use crate::database::{Row, fitting};
use crate::mail_rates::UnwrittenMail;
use crate::statement::statements;
use crate::{Conflict, Result, Storage, StorageError, UnitOfWork};

/// A mail to send.
#[derive(Clone, Debug)]
pub struct NewMail<'a> {
    pub id: MailId,
    pub mail: &'a Mail,
    /// The user that it is about.
    pub user: Option<UserId>,
    /// The address; none for a mail that is never sent, written by the same statement so that
    /// timing does not reveal whether there is a recipient.
    pub recipient: Option<&'a str>,
    pub at: Timestamp,
}

/// A mail that this server may send now.
#[derive(Clone, Debug)]
pub struct OutboxRow {
    pub id: MailId,
    pub mail: Mail,
    pub user: Option<UserId>,
    pub recipient: String,
    pub created_at: Timestamp,
    /// How often it was taken to be sent, including this time. Also identifies the lease: a server
    /// that took it earlier, and comes back late, changes nothing.
    pub attempts: u32,
}

/// The state of a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MailState {
    Waiting,
    Sent,
    /// Given up.
    Failed,
    /// Never to be sent.
    Void,
}

impl MailState {
    pub const ALL: [MailState; 4] = [Self::Waiting, Self::Sent, Self::Failed, Self::Void];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Void => "void",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// One row of the outbox, without the mail's text, which may contain a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxListing {
    pub id: MailId,
    pub kind: MailKind,
    pub user: Option<UserId>,
    /// Empty for a void mail.
    pub recipient: String,
    pub created_at: Timestamp,
    /// When it will be tried next, while it waits.
    pub due_at: Timestamp,
    pub attempts: u32,
    pub state: MailState,
    /// When it was sent or given up.
    pub ended_at: Option<Timestamp>,
    pub last_error: Option<String>,
}

/// The size of the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxDepth {
    pub waiting: u64,
    pub failed: u64,
    /// When the oldest waiting mail was written, except for one that still gathers changes.
    pub oldest_waiting: Option<Timestamp>,
}

/// Longest mail, all fields together, in bytes.
const MAX_FIELDS: usize = model::limit::MAIL_BYTES.length();
/// Longest error that is stored, in characters.
const MAX_ERROR: usize = 500;

macro_rules! list {
    ($condition:literal) => {
        concat!(
            "SELECT id, kind, user_id, recipient, created_at, due_at, attempts, state, ended_at, last_error FROM outbox ",
            $condition,
            " ORDER BY created_at DESC, id DESC LIMIT $1"
        )
    };
}

statements! {
    /// A lease that ended belongs to a dead server: the mail is taken up again.
    LEASE = "UPDATE outbox SET leased_until = $2, attempts = attempts + 1 WHERE id IN (
            SELECT id FROM outbox WHERE state = 'waiting' AND due_at <= $1 AND (leased_until IS NULL OR leased_until <= $1)
            ORDER BY due_at, id LIMIT $3)
        RETURNING id, kind, user_id, recipient, fields, created_at, attempts",
        // Materialized, so that the rows are chosen once; locked rows belong to another server.
        "WITH due AS MATERIALIZED (
            SELECT id FROM outbox WHERE state = 'waiting' AND due_at <= $1 AND (leased_until IS NULL OR leased_until <= $1)
            ORDER BY due_at, id LIMIT $3 FOR UPDATE SKIP LOCKED)
        UPDATE outbox SET leased_until = $2, attempts = attempts + 1 FROM due WHERE outbox.id = due.id
        RETURNING outbox.id, kind, user_id, recipient, fields, created_at, attempts";
    /// Checked first: most of the time nothing is due, and SQLite has one writer.
    ANY_DUE = "SELECT id FROM outbox WHERE state = 'waiting' AND due_at <= $1 AND (leased_until IS NULL OR leased_until <= $1) LIMIT 1";
    /// Recorded even by a late sender, because the mail must not be sent again.
    SENT = "UPDATE outbox SET state = 'sent', ended_at = $2, fields = NULL, leased_until = NULL, last_error = NULL WHERE id = $1 AND state = 'waiting'";
    DEFER = "UPDATE outbox SET due_at = $3, last_error = $4, leased_until = NULL WHERE id = $1 AND attempts = $2 AND state = 'waiting'";
    FAIL = "UPDATE outbox SET state = 'failed', ended_at = $3, last_error = $4, fields = NULL, leased_until = NULL
        WHERE id = $1 AND attempts = $2 AND state = 'waiting'";
    HURRY = "UPDATE outbox SET due_at = $1 WHERE state = 'waiting' AND due_at > $1";
    LIST = list!("");
    LIST_OF_STATE = list!("WHERE state = $2");
    DEPTH = "SELECT (SELECT COUNT(*) FROM outbox WHERE state = 'waiting') AS waiting, (SELECT COUNT(*) FROM outbox WHERE state = 'failed') AS failed,
        (SELECT MIN(created_at) FROM outbox WHERE state = 'waiting' AND (kind <> 'changes-gathered' OR attempts > 0)) AS oldest_waiting";
    FORGET = "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE state <> 'waiting' AND created_at < $1 ORDER BY created_at LIMIT $2)";
}

impl Storage {
    /// Takes mails that are due and that no other server has taken, at most `limit`, until
    /// `lease_until`: a server that has not reported on one by then may be dead, and another takes
    /// it. So stop sending before that time. Bookkeeping; oldest first.
    pub async fn lease_mails(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        limit: u32,
    ) -> Result<Vec<OutboxRow>> {
        if self
            .database()
            .optional(&ANY_DUE, &[now.into()])
            .await?
            .is_none()
        {
            return Ok(Vec::new());
        }
        let mut transaction = self.database().begin().await?;
        let rows = transaction
            .all(&LEASE, &[now.into(), lease_until.into(), limit.into()])
            .await?;
        transaction.commit().await?;
        let mut mails = rows.iter().map(outbox_row).collect::<Result<Vec<_>>>()?;
        mails.sort_by_key(|mail| (mail.created_at, mail.id));
        Ok(mails)
    }

    /// Records that a mail was sent, and deletes its text. Returns whether it was waiting.
    /// Bookkeeping.
    pub async fn mail_sent(&self, id: MailId, at: Timestamp) -> Result<bool> {
        Ok(self
            .database()
            .execute(&SENT, &[id.into(), at.into()])
            .await?
            == 1)
    }

    /// Postpones a mail that could not be sent, and ends its lease. Returns whether this lease
    /// still held it. Bookkeeping.
    pub async fn mail_deferred(
        &self,
        mail: &OutboxRow,
        due_at: Timestamp,
        error: &str,
    ) -> Result<bool> {
        let values = [
            mail.id.into(),
            mail.attempts.into(),
            due_at.into(),
            fitting(error, MAX_ERROR).into(),
        ];
        Ok(self.database().execute(&DEFER, &values).await? == 1)
    }

    /// Makes every postponed mail due now; returns how many. Bookkeeping.
    pub async fn hurry_mails(&self, now: Timestamp) -> Result<u64> {
        self.database().execute(&HURRY, &[now.into()]).await
    }

    /// Mails in a state, or in any, newest first, at most `limit`.
    pub async fn outbox(&self, state: Option<MailState>, limit: u32) -> Result<Vec<OutboxListing>> {
        let rows = match state {
            Some(state) => {
                self.database()
                    .all(&LIST_OF_STATE, &[limit.into(), state.as_str().into()])
                    .await?
            }
            None => self.database().all(&LIST, &[limit.into()]).await?,
        };
        rows.iter().map(listing).collect()
    }

    /// The size of the outbox.
    pub async fn outbox_depth(&self) -> Result<OutboxDepth> {
        let row = self.database().one(&DEPTH, &[]).await?;
        Ok(OutboxDepth {
            waiting: row.count("waiting")?,
            failed: row.count("failed")?,
            oldest_waiting: row.optional_time("oldest_waiting")?,
        })
    }

    /// Deletes mails that no longer wait and were written before `before`; returns how many.
    /// Bookkeeping.
    pub async fn forget_ended_mails(&self, before: Timestamp) -> Result<u64> {
        self.forget_in_parts(&FORGET, before).await
    }
}

impl UnitOfWork {
    /// Lets the commit write a mail that is sent afterwards, or never if it has no recipient.
    /// Beyond a rate, changes are counted in one mail ([`crate::mail_rates`]).
    pub async fn enqueue_mail(&mut self, mail: &NewMail<'_>) -> Result<()> {
        let fields = mail
            .mail
            .fields
            .iter()
            .map(|(field, text)| (field.as_str().to_owned(), Value::from(text.as_str())));
        let fields = Value::Object(fields.collect()).to_string();
        if fields.len() > MAX_FIELDS {
            return self.refuse(Conflict::TextRefused);
        }
        let recipient = mail.recipient.map(str::to_owned);
        self.mails.push(UnwrittenMail {
            id: mail.id,
            kind: mail.mail.kind,
            user: mail.user,
            recipient,
            fields,
            at: mail.at,
        });
        Ok(())
    }

    /// Gives a mail up, and deletes its text. Returns whether this lease still held it.
    pub async fn mail_failed(
        &mut self,
        mail: &OutboxRow,
        at: Timestamp,
        error: &str,
    ) -> Result<bool> {
        let values = [
            mail.id.into(),
            mail.attempts.into(),
            at.into(),
            fitting(error, MAX_ERROR).into(),
        ];
        Ok(self.execute(&FAIL, &values).await? == 1)
    }
}

fn outbox_row(row: &Row) -> Result<OutboxRow> {
    let kind = row.read("kind", MailKind::from_word)?;
    let words: Map<String, Value> = row.read("fields", |text| serde_json::from_str(text).ok())?;
    let word = |field: &MailField| {
        let text = words
            .get(field.as_str())
            .and_then(Value::as_str)
            .unwrap_or_default();
        (*field, text.to_owned())
    };
    Ok(OutboxRow {
        id: row.parsed("id")?,
        mail: Mail {
            kind,
            fields: kind.fields().iter().map(word).collect(),
        },
        user: row.optional_parsed("user_id")?,
        recipient: row.text("recipient")?,
        created_at: row.time("created_at")?,
        attempts: attempts(row)?,
    })
}

fn listing(row: &Row) -> Result<OutboxListing> {
    Ok(OutboxListing {
        id: row.parsed("id")?,
        kind: row.read("kind", MailKind::from_word)?,
        user: row.optional_parsed("user_id")?,
        recipient: row.text("recipient")?,
        created_at: row.time("created_at")?,
        due_at: row.time("due_at")?,
        attempts: attempts(row)?,
        state: row.read("state", MailState::from_word)?,
        ended_at: row.optional_time("ended_at")?,
        last_error: row.optional_text("last_error")?,
    })
}

fn attempts(row: &Row) -> Result<u32> {
    u32::try_from(row.count("attempts")?)
        .map_err(|_| StorageError::Corrupt("a mail was tried too often to count".to_owned()))
}
