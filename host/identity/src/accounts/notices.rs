//! Mails to a user about the account, written in the unit of the change.

use model::audit::Actor;
use model::mail::{Mail, MailField};
use model::{MailId, Timestamp, UserId, UserName};
use storage::outbox::NewMail;
use storage::users::{EmailRow, UserRow};
use storage::{StorageError, UnitOfWork};

use crate::Identity;
use crate::history::device_in_words;

/// A user and where mails about the account go: the primary address, once it is verified.
pub(crate) struct Mailbox {
    pub(crate) user: UserId,
    pub(crate) name: UserName,
    pub(crate) emails: Vec<EmailRow>,
}

impl Mailbox {
    /// The primary address, if it is verified.
    pub(crate) fn primary(&self) -> Option<&str> {
        self.emails
            .iter()
            .find(|email| email.primary && email.verified_at.is_some())
            .map(|email| email.address.as_str())
    }

    /// Every address, verified or not.
    pub(crate) fn addresses(&self) -> Vec<&str> {
        self.emails
            .iter()
            .map(|email| email.address.as_str())
            .collect()
    }

    /// Every verified address, the primary one first.
    pub(crate) fn verified(&self) -> impl Iterator<Item = &str> {
        self.emails
            .iter()
            .filter(|email| email.verified_at.is_some())
            .map(|email| email.address.as_str())
    }

    /// Mails the user. Does nothing without a verified primary address.
    pub(crate) async fn tell(
        &self,
        unit: &mut UnitOfWork,
        mail: &Mail,
        at: Timestamp,
    ) -> Result<(), StorageError> {
        match self.primary() {
            Some(address) => enqueue(unit, mail, Some(self.user), Some(address), at).await,
            None => Ok(()),
        }
    }

    /// The user's name, as a field of a mail.
    pub(crate) fn user_name(&self) -> (MailField, String) {
        (MailField::UserName, self.name.as_written().to_owned())
    }
}

impl Identity {
    /// Where mails to this user go.
    pub(crate) async fn mailbox(&self, user: &UserRow) -> Result<Mailbox, StorageError> {
        Ok(Mailbox {
            user: user.id,
            name: user.name.clone(),
            emails: self.storage().emails(user.id).await?,
        })
    }

    /// The full URL of a link in a mail.
    pub(crate) fn link(&self, path: &str, secret: &str) -> (MailField, String) {
        (
            MailField::Link,
            format!("{}{path}?link={secret}", self.config().public_url),
        )
    }
}

/// Writes a mail to an address; without one, writes the same mail but never sends it.
pub(crate) async fn enqueue(
    unit: &mut UnitOfWork,
    mail: &Mail,
    user: Option<UserId>,
    recipient: Option<&str>,
    at: Timestamp,
) -> Result<(), StorageError> {
    unit.enqueue_mail(&NewMail {
        id: MailId::new(),
        mail,
        user,
        recipient,
        at,
    })
    .await
}

/// Where a change came from, as mails show it.
pub(crate) fn remote_address(actor: &Actor) -> (MailField, String) {
    let text = match actor.place() {
        Some((remote_address, _)) => remote_address.to_owned(),
        None => "the registry's own server".to_owned(),
    };
    (MailField::RemoteAddress, text)
}

/// The browser or program that a change was made with.
pub(crate) fn device(actor: &Actor) -> (MailField, String) {
    let text = match actor {
        Actor::Caller { user_agent, .. } => device_in_words(user_agent),
        Actor::Publisher {
            provider, subject, ..
        } => format!("a trusted publisher, {subject} of {provider}"),
        Actor::CommandLine { .. } => "the command line of its operators".to_owned(),
        Actor::System => "the registry itself".to_owned(),
    };
    (MailField::Device, text)
}

pub(crate) fn at(at: Timestamp) -> (MailField, String) {
    (MailField::At, to_the_second(at))
}

/// RFC 3339 in UTC to the second.
pub(crate) fn to_the_second(at: Timestamp) -> String {
    let text = at.to_string();
    text.split_once('.')
        .map_or(text.clone(), |(seconds, _)| format!("{seconds}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mails_tell_the_time_to_the_second() {
        assert_eq!(
            to_the_second(Timestamp(1_800_000_000_999)),
            "2027-01-15T08:00:00Z"
        );
    }
}
