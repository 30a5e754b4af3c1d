//! Mails about a change of roles: to the user whose role changes, and to the other owners.

use model::audit::Actor;
use model::mail::{Mail, MailField, MailKind};
use model::{MailId, ProjectId, Role, Timestamp, UserId, UserName};
use storage::outbox::NewMail;
use storage::{Storage, StorageError, UnitOfWork};

/// A change of one user's role on one project.
pub(super) struct RoleChange<'a> {
    pub(super) project: ProjectId,
    /// As people spell it.
    pub(super) project_name: &'a str,
    pub(super) user: UserId,
    pub(super) user_name: &'a UserName,
    /// The new role, if any.
    pub(super) role: Option<Role>,
    pub(super) actor: &'a Actor,
    pub(super) at: Timestamp,
}

/// Mails with their addressees, to be written with the change.
pub(super) struct Notices(Vec<(UserId, String, Mail)>);

impl RoleChange<'_> {
    /// Looks up the recipients before the unit of work, which must not wait for reads. A user
    /// without a verified primary address gets no mail.
    pub(super) async fn notices(&self, storage: &Storage) -> Result<Notices, StorageError> {
        let actor = match self.actor {
            Actor::Caller { user: Some(id), .. } => {
                storage.user(*id).await?.map(|user| user.name.to_string())
            }
            Actor::Publisher {
                provider, subject, ..
            } => Some(format!("The trusted publisher {subject} of {provider}")),
            _ => None,
        };
        let actor = actor.unwrap_or_else(|| "An operator of the registry".to_owned());
        let owners = storage
            .roles_on(self.project)
            .await?
            .into_iter()
            .filter(|row| row.role == Role::Owner && row.user != self.user);
        let mut notices = Vec::new();
        for (user, kind) in std::iter::once((self.user, MailKind::RoleChanged))
            .chain(owners.map(|row| (row.user, MailKind::CollaboratorChanged)))
        {
            let emails = storage.emails(user).await?;
            if let Some(email) = emails
                .into_iter()
                .find(|email| email.primary && email.verified_at.is_some())
            {
                notices.push((user, email.address, self.mail(kind, &actor)));
            }
        }
        Ok(Notices(notices))
    }

    fn mail(&self, kind: MailKind, actor: &str) -> Mail {
        Mail::new(
            kind,
            [
                (MailField::UserName, self.user_name.to_string()),
                (MailField::Project, self.project_name.to_owned()),
                (
                    MailField::Role,
                    self.role.map_or("none", Role::as_str).to_owned(),
                ),
                (MailField::Actor, actor.to_owned()),
                (MailField::At, self.at.to_the_second()),
            ],
        )
    }
}

impl Notices {
    /// Writes them, so that they are sent if the unit is committed.
    pub(super) async fn enqueue(
        &self,
        unit: &mut UnitOfWork,
        at: Timestamp,
    ) -> Result<(), StorageError> {
        for (user, address, mail) in &self.0 {
            unit.enqueue_mail(&NewMail {
                id: MailId::new(),
                mail,
                user: Some(*user),
                recipient: Some(address),
                at,
            })
            .await?;
        }
        Ok(())
    }
}
