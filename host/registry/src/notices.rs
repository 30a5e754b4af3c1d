//! Mails to the owners of a project.

use model::mail::Mail;
use model::{MailId, ProjectId, Role, Timestamp, UserId, UserName};
use storage::outbox::NewMail;
use storage::{Storage, StorageError, UnitOfWork};

/// An owner who can be reached by mail.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    pub(crate) user: UserId,
    pub(crate) name: UserName,
    /// The verified primary address.
    address: String,
}

/// The owners of a project who can be reached: those with a verified primary address. Loaded before
/// the unit of work, which must not wait for reads.
pub(crate) async fn owners(
    storage: &Storage,
    project: ProjectId,
) -> Result<Vec<Owner>, StorageError> {
    let mut owners = Vec::new();
    for row in storage
        .roles_on(project)
        .await?
        .into_iter()
        .filter(|row| row.role == Role::Owner)
    {
        owners.extend(reachable(storage, row.user, row.user_name).await?);
    }
    Ok(owners)
}

/// This user, who is about to own a project, if they can be reached.
pub(crate) async fn reachable(
    storage: &Storage,
    user: UserId,
    name: UserName,
) -> Result<Option<Owner>, StorageError> {
    let primary = storage
        .emails(user)
        .await?
        .into_iter()
        .find(|email| email.primary && email.verified_at.is_some());
    Ok(primary.map(|email| Owner {
        user,
        name,
        address: email.address,
    }))
}

/// Writes a mail to each, which is sent if the unit is committed.
pub(crate) async fn tell(
    unit: &mut UnitOfWork,
    owners: &[Owner],
    mail: impl Fn(&Owner) -> Mail,
    at: Timestamp,
) -> Result<(), StorageError> {
    for owner in owners {
        let mail = mail(owner);
        unit.enqueue_mail(&NewMail {
            id: MailId::new(),
            mail: &mail,
            user: Some(owner.user),
            recipient: Some(&owner.address),
            at,
        })
        .await?;
    }
    Ok(())
}
