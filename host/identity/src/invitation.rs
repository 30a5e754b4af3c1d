//! An account that an operator creates for somebody, who chooses the password.

use gate::{Permit, Target, TargetFacts};
use model::UserId;
use model::mail::{Mail, MailField, MailKind};

use crate::accounts::Accounts;
use crate::accounts::{AccountError, CreateUser};
use crate::opaque;

/// How long a link is valid: people are on holiday.
const LINK_MS: i64 = 7 * 24 * 3600 * 1000;
/// The same in words for people.
pub const LINK_LIFETIME: &str = "7 days";

/// Create a user, and mail them a link to choose a password.
#[derive(Clone, Debug)]
pub struct InviteUser {
    user: CreateUser,
    address: String,
}

impl InviteUser {
    /// The operator vouches for the address: it is verified, and only someone who reads its mail
    /// can choose the password.
    pub fn new(name: model::UserName, address: String, staff: bool) -> Self {
        Self {
            user: CreateUser {
                name,
                email: Some(address.clone()),
                email_verified: true,
                staff,
            },
            address,
        }
    }
}

impl Target for InviteUser {
    fn facts(&self) -> TargetFacts<'_> {
        self.user.facts()
    }
}

impl Accounts<'_> {
    /// Creates the user and mails the link, or does neither.
    pub async fn invite(self, permit: Permit<InviteUser>) -> Result<UserId, AccountError> {
        let InviteUser { user, address } = permit.target();
        let mut unit = permit.begin(self.storage()).await?;
        let (id, event) = self.create_in(&mut unit, &permit, user).await?;
        let (secret, stored) = opaque::generate();
        unit.create_link(&crate::password_reset::new_link_until(
            &stored,
            id,
            permit.at(),
            LINK_MS,
        ))
        .await?;
        let words = [
            (MailField::UserName, user.name.to_string()),
            self.identity.link("/password/reset", secret.expose()),
            (MailField::LinkLifetime, LINK_LIFETIME.to_owned()),
        ];
        let mail = Mail::new(MailKind::Invitation, words);
        crate::accounts::notices::enqueue(&mut unit, &mail, Some(id), Some(address), permit.at())
            .await?;
        unit.commit(&event).await?;
        Ok(id)
    }
}
