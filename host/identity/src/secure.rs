//! "This wasn't me": ends everything that lets anyone in, at once.

use gate::{Permit, Target, TargetFacts};
use model::Action;
use model::audit::Detail;
use model::mail::{Mail, MailField, MailKind};
use storage::StorageError;

use crate::accounts::notices::{self, enqueue};
use crate::accounts::standing_primary::{masked, reset_address, standing_primary};
use crate::accounts::{Accounts, is_secured};
use crate::password_reset::LINK_LIFETIME;
use crate::{Account, AccountView};

/// End every session, revoke every token and disable the password of a user.
#[derive(Clone, Copy, Debug)]
pub struct SecureAccount {
    pub account: Account,
}

/// It ends sessions, so a caller who may end theirs may do this: nothing must keep a person from
/// ending an intruder's access.
impl Target for SecureAccount {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::SessionEnd)
    }
}

impl Accounts<'_> {
    /// Ends everything that lets anyone in: sessions including this one, API tokens, the password,
    /// pending logins and links, known browsers. Mails a link for a new password to the primary
    /// address, if that is verified. If it became the primary one within the last seven days, the
    /// previous one gets the link, and the current one gets a mail without a link. Returns where
    /// the link went, as [`Accounts::secured_through`] does. Second factors stay: an intruder did
    /// not have them, or the owner can remove them later. But passkeys no longer log in alone: they
    /// now work only with the password.
    pub async fn secure(
        self,
        permit: Permit<SecureAccount>,
    ) -> Result<Option<String>, StorageError> {
        let (id, at) = (permit.target().account.id(), permit.at());
        let Some(user) = self.storage().user(id).await? else {
            return Ok(None);
        };
        let mailbox = self.identity.mailbox(&user).await?;
        // Securing it again uses the same address. A new primary address since then changes
        // nothing: the link restores this one.
        let recipient = match is_secured(&user) {
            true => reset_address(&user, &mailbox, self.now()),
            false => standing_primary(&user, &mailbox, at),
        };
        let mut unit = permit.begin(self.storage()).await?;
        // Held first: a login that is just finishing is either ended below or sees that the
        // password is disabled.
        if unit.hold_user(id).await?.is_none() {
            return Ok(None);
        }
        unit.secure_user(id, at).await?;
        // Whether an intruder or the owner enrolled it, it still works with the new password.
        let passkeys = unit.demote_passkeys(id).await?;
        // Not every link: the owner may need the one that stops a recovery by staff.
        let sessions = self
            .identity
            .passwords()
            .end_what_was_begun(&mut unit, id, None, None)
            .await?;
        let tokens = unit.revoke_tokens_of(id, at).await?;
        if let Some(recipient) = &recipient {
            let link = self
                .identity
                .passwords()
                .link_to_reset(&mut unit, id, at, recipient)
                .await?;
            let (from, with, when) = (
                notices::remote_address(permit.actor()),
                notices::device(permit.actor()),
                notices::at(at),
            );
            let is_elsewhere = mailbox
                .primary()
                .is_some_and(|primary| !primary.eq_ignore_ascii_case(recipient));
            if is_elsewhere {
                let words = [
                    mailbox.user_name(),
                    from.clone(),
                    with.clone(),
                    when.clone(),
                ];
                mailbox
                    .tell(
                        &mut unit,
                        &Mail::new(MailKind::AccountSecuredElsewhere, words),
                        at,
                    )
                    .await?;
            }
            let words = [
                mailbox.user_name(),
                (MailField::Link, link.expose().clone()),
                (MailField::LinkLifetime, LINK_LIFETIME.to_owned()),
                from,
                with,
                when,
            ];
            enqueue(
                &mut unit,
                &Mail::new(MailKind::AccountSecured, words),
                Some(id),
                Some(recipient),
                at,
            )
            .await?;
        }
        let secured = Detail::AccountSecured {
            sessions,
            tokens,
            passkeys,
            mailed: recipient.clone(),
        };
        unit.commit(&permit.event(secured).about(id)).await?;
        Ok(recipient.as_deref().map(masked))
    }

    /// Where the link for a new password would go if the account were secured now: the first letter
    /// of the address and its domain. None if there is no address for it.
    pub async fn secured_through(self, view: AccountView) -> Result<Option<String>, StorageError> {
        let Some(user) = self.storage().user(view.user()).await? else {
            return Ok(None);
        };
        let mailbox = self.identity.mailbox(&user).await?;
        Ok(standing_primary(&user, &mailbox, self.now())
            .as_deref()
            .map(masked))
    }
}
