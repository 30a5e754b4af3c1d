//! "This wasn't me": everything that lets somebody in is ended at once.

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

/// It ends sessions, and whoever may end theirs may do this: nothing must stand between a
/// person and the end of somebody else's access.
impl Target for SecureAccount {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::SessionEnd)
    }
}

impl Accounts<'_> {
    /// Ends what lets anybody in, this session included: sessions, API tokens, the password,
    /// logins and links under way, browsers that are known. Mails a link for a new password to
    /// the primary address, if that is verified: to the one from before, if it became it within
    /// the last seven days, and then tells the present one without a link. Returns where the
    /// link went, as [`Accounts::secured_through`] does. Second factors stay: they are what an
    /// intruder did not have, or can be removed once the account is its owner's again. But
    /// passkeys log in no more by themselves: from now on they stand beside the password.
    pub async fn secure(
        self,
        permit: Permit<SecureAccount>,
    ) -> Result<Option<String>, StorageError> {
        let (id, at) = (permit.target().account.id(), permit.at());
        let Some(user) = self.storage().user(id).await? else {
            return Ok(None);
        };
        let mailbox = self.identity.mailbox(&user).await?;
        // Secured again is secured for the same address. An address that becomes the primary one
        // from here on is no other answer: the link puts this one back.
        let recipient = match is_secured(&user) {
            true => reset_address(&user, &mailbox, self.now()),
            false => standing_primary(&user, &mailbox, at),
        };
        let mut unit = permit.begin(self.storage()).await?;
        // Held first: a login that is just being finished is either ended below or sees that
        // the password is disabled.
        if unit.hold_user(id).await?.is_none() {
            return Ok(None);
        }
        unit.secure_user(id, at).await?;
        // Whoever enrolled one, an intruder or the owner: beside the new password it still counts.
        let passkeys = unit.demote_passkeys(id).await?;
        // Not every link: the one that stops a recovery by staff may be what its owner needs most.
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

    /// Where the link for a new password would go if the account were secured now: the first
    /// letter of the address and its domain. None where it reaches nobody.
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
