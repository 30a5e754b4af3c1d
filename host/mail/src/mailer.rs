//! From the outbox to the destination. Several servers may do it at once: each mail is leased by
//! one of them, and leased again if that one dies.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lettre::message::Mailbox;
use model::audit::{AuditEvent, Detail};
use model::email::comparable;
use model::{Clock, Mail, MailField, MailId, MailKind, Timestamp};
use storage::outbox::OutboxRow;
use storage::{Storage, StorageError};

use crate::folder;
use crate::letter::{Letter, Registry};
use crate::message::{MessageError, message};
use crate::smtp::{Refused, Smtp, SmtpServer};

/// Pauses before a mail is tried again, as multiples of the first one: with a minute 1, 5, 15
/// and then each 60 minutes.
const PAUSES: [u32; 4] = [1, 5, 15, 60];

/// How long a server may be busy with one mail before another one takes it. Longer than all waits
/// of one delivery together.
const LEASE_MS: i64 = 180_000;

/// Longest time for one delivery; the lease must not end during it.
const DELIVERY: Duration = Duration::from_secs(150);

/// How often the outbox is checked.
const POLL: Duration = Duration::from_secs(1);

/// Longest pause after the SMTP server could not be reached at all.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// The destination of mails.
#[derive(Clone, Debug)]
pub enum Transport {
    /// To an SMTP server.
    Smtp(SmtpServer),
    /// To a folder, a file each: `<time>-<kind>-<id>.eml`.
    Folder(PathBuf),
}

impl fmt::Display for Transport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Smtp(server) => server.fmt(out),
            Self::Folder(folder) => folder.display().fmt(out),
        }
    }
}

/// The operator's choices about mail.
#[derive(Clone, Debug)]
pub struct MailConfig {
    /// The sender: an address, or a name and `<address>`.
    pub from: String,
    pub transport: Transport,
    /// The registry's name in mails, and its address.
    pub registry: Registry,
    /// Pause before a failed mail is tried again; later pauses are up to 60 times as long.
    pub first_retry: Duration,
    /// How old a mail may become before it is given up.
    pub give_up_after: Duration,
}

impl MailConfig {
    /// The defaults: a minute before the first retry, three days before a mail is given up.
    pub fn new(from: String, transport: Transport, registry: Registry) -> Self {
        Self {
            from,
            transport,
            registry,
            first_retry: Duration::from_secs(60),
            give_up_after: Duration::from_secs(3 * 86_400),
        }
    }
}

/// Whether this is a valid sender: an address, or a name and `<address>`.
pub fn is_sender(text: &str) -> bool {
    sender(text).is_some()
}

/// The sender, with the domain as mail servers know it.
fn sender(text: &str) -> Option<Mailbox> {
    let written: Mailbox = text.parse().ok()?;
    let email = comparable(written.email.as_ref()).parse().ok()?;
    Some(Mailbox::new(written.name, email))
}

/// Why the configuration is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConfig {
    #[error(
        "`{0}` is no sender; write an address, or a name and an address: Packages <noreply@packages.example.org>"
    )]
    From(String),
    #[error("cannot speak TLS to the SMTP server: {0}")]
    Tls(String),
    #[error("cannot keep mails in {folder}: {cause}")]
    Folder { folder: PathBuf, cause: String },
}

/// Where a mail went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The SMTP server has taken it.
    Smtp,
    /// It is in this file.
    File(PathBuf),
}

/// Why a mail was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// It can never be sent.
    #[error("{0}")]
    Never(String),
    /// It may be sent later.
    #[error("{0}")]
    Later(String),
    /// Nothing can be sent at the moment.
    #[error("{0}")]
    Unavailable(String),
}

/// Sends the mails in the outbox. Cheap to clone.
#[derive(Clone)]
pub struct Mailer {
    inner: Arc<Inner>,
}

struct Inner {
    storage: Storage,
    clock: Arc<dyn Clock>,
    from: Mailbox,
    way: Way,
    registry: Registry,
    first_retry: Duration,
    give_up_after: Duration,
}

enum Way {
    Smtp(Smtp),
    Folder(PathBuf),
}

/// The result of one check of the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// Nothing is due.
    Nothing,
    /// A mail was handled; there may be more.
    More,
    /// Delivery is down; no other mail would fare better.
    Closed,
}

impl Mailer {
    /// Checks the configuration. Must be called within a tokio runtime.
    pub fn new(
        storage: Storage,
        clock: Arc<dyn Clock>,
        config: MailConfig,
    ) -> Result<Self, InvalidConfig> {
        let from = sender(&config.from).ok_or_else(|| InvalidConfig::From(config.from.clone()))?;
        let way = match config.transport {
            Transport::Smtp(server) => {
                Way::Smtp(Smtp::new(&server, from.email.domain()).map_err(InvalidConfig::Tls)?)
            }
            Transport::Folder(folder) => {
                folder::open(&folder).map_err(|cause| InvalidConfig::Folder {
                    folder: folder.clone(),
                    cause: cause.to_string(),
                })?;
                Way::Folder(folder)
            }
        };
        // Registered at zero, since an alert on a missing metric never fires.
        for outcome in ["sent", "deferred", "failed"] {
            metrics::counter!("portcullis_mails_total", "outcome" => outcome).increment(0);
        }
        let (first_retry, give_up_after) = (config.first_retry, config.give_up_after);
        Ok(Self {
            inner: Arc::new(Inner {
                storage,
                clock,
                from,
                way,
                registry: config.registry,
                first_retry,
                give_up_after,
            }),
        })
    }

    /// Sends mails as they come, until `stop`. The one that is being sent is finished first.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        loop {
            let pause = match self.send_one().await {
                Ok(Look::More) => Duration::ZERO,
                Ok(Look::Nothing) => POLL,
                Ok(Look::Closed) => self.inner.first_retry.min(LONGEST_REST),
                Err(error) => {
                    tracing::warn!(%error, "cannot look into the outbox; mails wait");
                    POLL
                }
            };
            tokio::select! {
                biased;
                () = &mut stop => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Sends a test mail to `address`, bypassing the outbox, so that the caller sees at once what
    /// is wrong.
    pub async fn send_test(&self, address: &str) -> Result<Delivery, SendError> {
        let at = self.inner.clock.now();
        let mail = Mail::new(MailKind::Test, [(MailField::At, at.to_the_second())]);
        self.deliver(MailId::new(), at, address, &mail).await
    }

    /// Sends the mail that has been due longest.
    async fn send_one(&self) -> Result<Look, StorageError> {
        let now = self.inner.clock.now();
        let Some(row) = self
            .inner
            .storage
            .lease_mails(now, now.plus_ms(LEASE_MS), 1)
            .await?
            .into_iter()
            .next()
        else {
            return Ok(Look::Nothing);
        };
        let (id, kind) = (row.id, row.mail.kind);
        match self
            .deliver(id, row.created_at, &row.recipient, &row.mail)
            .await
        {
            Ok(delivery) => {
                // If this is not written, the mail is sent again with the same Message-ID.
                self.inner
                    .storage
                    .mail_sent(id, self.inner.clock.now())
                    .await?;
                metrics::counter!("portcullis_mails_total", "outcome" => "sent").increment(1);
                match delivery {
                    Delivery::Smtp => tracing::info!(mail = %id, kind = %kind, "mail sent"),
                    Delivery::File(file) => {
                        tracing::info!(mail = %id, kind = %kind, file = %file.display(), "mail written to a file")
                    }
                }
                Ok(Look::More)
            }
            Err(SendError::Never(why)) => self.give_up(&row, &why).await.map(|()| Look::More),
            Err(SendError::Later(why)) => self.put_off(&row, &why).await.map(|()| Look::More),
            Err(SendError::Unavailable(why)) => {
                self.put_off(&row, &why).await.map(|()| Look::Closed)
            }
        }
    }

    async fn deliver(
        &self,
        id: MailId,
        at: Timestamp,
        recipient: &str,
        mail: &Mail,
    ) -> Result<Delivery, SendError> {
        let letter = Letter::new(mail, &self.inner.registry);
        let message = message(id, at, &self.inner.from, recipient, &letter)
            .map_err(|error: MessageError| SendError::Never(error.to_string()))?;
        match &self.inner.way {
            Way::Smtp(smtp) => match tokio::time::timeout(DELIVERY, smtp.send(message)).await {
                Ok(Ok(())) => Ok(Delivery::Smtp),
                Ok(Err(refused @ Refused::Unavailable(_))) => {
                    Err(SendError::Unavailable(refused.to_string()))
                }
                Ok(Err(refused @ Refused::Later(_))) => Err(SendError::Later(refused.to_string())),
                Ok(Err(refused @ Refused::Never(_))) => Err(SendError::Never(refused.to_string())),
                Err(_) => Err(SendError::Unavailable(
                    "the SMTP server is too slow".to_owned(),
                )),
            },
            Way::Folder(folder) => {
                let (folder, name) = (folder.clone(), file_name(id, at, mail.kind));
                let written = tokio::task::spawn_blocking(move || {
                    folder::write(&folder, &name, &message.formatted())
                })
                .await;
                match written {
                    Ok(Ok(file)) => Ok(Delivery::File(file)),
                    Ok(Err(cause)) => Err(SendError::Unavailable(format!(
                        "the mail cannot be written to a file: {cause}"
                    ))),
                    Err(cause) => Err(SendError::Unavailable(cause.to_string())),
                }
            }
        }
    }

    /// Schedules a retry, or gives up a mail that has become too old.
    async fn put_off(&self, row: &OutboxRow, why: &str) -> Result<(), StorageError> {
        let now = self.inner.clock.now();
        if now.0 - row.created_at.0 >= milliseconds(self.inner.give_up_after) {
            return self.give_up(row, why).await;
        }
        let place = usize::try_from(row.attempts)
            .unwrap_or(usize::MAX)
            .saturating_sub(1)
            .min(PAUSES.len() - 1);
        let pause = milliseconds(self.inner.first_retry) * i64::from(PAUSES[place]);
        self.inner
            .storage
            .mail_deferred(row, now.plus_ms(pause), why)
            .await?;
        metrics::counter!("portcullis_mails_total", "outcome" => "deferred").increment(1);
        tracing::warn!(mail = %row.id, kind = %row.mail.kind, again_in_seconds = pause / 1000, "mail could not be sent: {why}");
        Ok(())
    }

    /// Ends a mail that can never be delivered, and records that.
    async fn give_up(&self, row: &OutboxRow, why: &str) -> Result<(), StorageError> {
        let now = self.inner.clock.now();
        // Without the recipient: events are kept permanently, and the user is named.
        let detail = Detail::MailFailed {
            mail: row.id.into(),
            kind: row.mail.kind.into(),
            reason: why.to_owned(),
            written_at: row.created_at.to_string(),
        };
        let event = AuditEvent::of_server(now, detail).about(row.user);
        let mut unit = self.inner.storage.begin().await?;
        if !unit.mail_failed(row, now, why).await? {
            // Another server has taken or sent it since.
            return Ok(());
        }
        unit.commit(&event).await?;
        metrics::counter!("portcullis_mails_total", "outcome" => "failed").increment(1);
        tracing::error!(mail = %row.id, kind = %row.mail.kind, "mail given up: {why}");
        Ok(())
    }
}

fn milliseconds(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 1000)
}

/// Sorts by time, shows the kind, and is the same for each attempt. Without colons, because not
/// every file system allows them.
fn file_name(id: MailId, at: Timestamp, kind: MailKind) -> String {
    format!(
        "{}-{kind}-{id}.eml",
        at.to_the_second().replace([':', '-'], "")
    )
}

#[cfg(test)]
mod tests;
