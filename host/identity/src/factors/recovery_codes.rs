//! Recovery codes: eight, shown once, each valid once. For a user who has lost every other factor.
//! The user confirms that they kept them before enrolling any other factor.

use gate::{Attempt, Permit, Target, TargetFacts};
use model::audit::{Actor, AuditEvent, Detail};
use model::mail::{Mail, MailField, MailKind};
use model::{Action, Factor, Timestamp, UserId};
use sha2::{Digest, Sha256};
use storage::users::UserRow;
use storage::{Secret, StorageError, UnitOfWork};
use zeroize::Zeroizing;

use super::FactorError;
use super::Factors;
use crate::Account;
use crate::accounts::notices::{self, Mailbox};
use crate::own::of_account;

/// The number of codes.
pub const CODES: usize = 8;
/// Characters of a code without hyphens: 80 bits, which cannot be guessed, so a plain hash protects
/// them.
const CHARACTERS: usize = 16;
/// Maximum length of a text that is checked as a code: hyphens and the spaces people type.
const MAX_TEXT: usize = 64;
/// When so few are left, the user is asked to create new ones.
const FEW: u32 = 2;
/// Crockford's base32, without the letters that look like digits.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Generate recovery codes; the previous ones become invalid.
#[derive(Clone, Debug)]
pub struct GenerateRecoveryCodes {
    pub account: Account,
}

/// Use one, to show that they were kept.
#[derive(Clone, Debug)]
pub struct ConfirmRecoveryCodes {
    pub account: Account,
    pub code: String,
}

impl Target for GenerateRecoveryCodes {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::RecoveryCodesGenerate)
    }
}

impl Target for ConfirmRecoveryCodes {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::RecoveryCodesGenerate)
    }
}

of_account! {
    GenerateRecoveryCodes: account,
    ConfirmRecoveryCodes: account,
}

impl Factors<'_> {
    /// Eight fresh codes, to be shown once. They must be confirmed again.
    pub async fn generate_recovery_codes(
        self,
        permit: Permit<GenerateRecoveryCodes>,
    ) -> Result<Vec<Secret<String>>, FactorError> {
        let user = self
            .user_with_verified_email(permit.target().account.id())
            .await?;
        let codes: Vec<Secret<String>> = (0..CODES).map(|_| generate()).collect();
        let hashes = codes
            .iter()
            .filter_map(|code| stored(user.id, code.expose()))
            .collect::<Vec<_>>();
        let at = permit.at();
        let mailbox = self.identity.mailbox(&user).await?;
        let mut unit = permit.begin(self.storage()).await?;
        unit.replace_recovery_codes(user.id, &hashes, at).await?;
        let words = [
            mailbox.user_name(),
            notices::remote_address(permit.actor()),
            notices::device(permit.actor()),
            notices::at(at),
        ];
        mailbox
            .tell(
                &mut unit,
                &Mail::new(MailKind::RecoveryCodesGenerated, words),
                at,
            )
            .await?;
        let generated = Detail::RecoveryCodesGenerated {
            codes: codes.len() as u64,
        };
        unit.commit(&permit.event(generated).about(user.id)).await?;
        Ok(codes)
    }

    /// Uses up a code; after that, second factors can be enrolled.
    pub async fn confirm_recovery_codes(
        self,
        permit: Permit<ConfirmRecoveryCodes>,
    ) -> Result<(), FactorError> {
        let target = permit.target();
        let user = self.user_with_verified_email(target.account.id()).await?;
        let taken = self
            .take_attempts(
                &permit,
                &user,
                Action::RecoveryCodesGenerate,
                Factor::RecoveryCode,
            )
            .await?;
        match self.spend_to_confirm(&permit, &user).await? {
            true => taken.give_back(self.storage()).await?,
            false => {
                self.record_wrong(
                    &permit,
                    user.id,
                    Action::RecoveryCodesGenerate,
                    Factor::RecoveryCode,
                    "recovery-code-unknown-or-used",
                )
                .await?;
                return Err(FactorError::WrongCode);
            }
        }
        Ok(())
    }

    /// False for a code that is not the user's or was used before.
    async fn spend_to_confirm(
        self,
        permit: &Permit<ConfirmRecoveryCodes>,
        user: &UserRow,
    ) -> Result<bool, StorageError> {
        let Some(hash) = stored(user.id, &permit.target().code) else {
            return Ok(false);
        };
        let mailbox = self.identity.mailbox(user).await?;
        let mut unit = permit.begin(self.storage()).await?;
        let Some(left) = unit.spend_recovery_code(user.id, &hash, self.now()).await? else {
            return Ok(false);
        };
        let detail = match unit.confirm_recovery_codes(user.id, permit.at()).await? {
            true => Detail::RecoveryCodesConfirmed {
                left: u64::from(left),
            },
            false => {
                tell_used(&mut unit, &mailbox, permit.actor(), left, permit.at()).await?;
                Detail::RecoveryCodeUsed {
                    left: u64::from(left),
                }
            }
        };
        unit.commit(&permit.event(detail).about(user.id)).await?;
        Ok(true)
    }

    /// Whether it is one of the user's unused codes. Uses nothing up, and so proves nothing.
    pub(crate) async fn has_recovery_code(
        self,
        user: UserId,
        code: &str,
    ) -> Result<bool, StorageError> {
        match stored(user, code) {
            Some(hash) => self.storage().has_recovery_code(user, &hash).await,
            None => Ok(false),
        }
    }

    /// Uses up a code in place of a second factor, in the unit of the action, with its event and
    /// its mails: it is spent only if the action is done. False for a code that was used meanwhile;
    /// the unit must not be committed then. Does not count attempts: the login does.
    pub(crate) async fn spend_recovery_code(
        self,
        unit: &mut UnitOfWork,
        attempt: &Attempt,
        user: &UserRow,
        code: &str,
    ) -> Result<bool, StorageError> {
        let Some(hash) = stored(user.id, code) else {
            return Ok(false);
        };
        let mailbox = self.identity.mailbox(user).await?;
        let at = self.now();
        let Some(left) = unit.spend_recovery_code(user.id, &hash, at).await? else {
            return Ok(false);
        };
        let actor = Actor::Caller {
            user: Some(user.id),
            token: None,
            remote_address: attempt.remote_address.to_string(),
            user_agent: attempt.user_agent.to_string(),
        };
        tell_used(unit, &mailbox, &actor, left, at).await?;
        let used = Detail::RecoveryCodeUsed {
            left: u64::from(left),
        };
        unit.also(
            &AuditEvent::new(at, actor, used)
                .about(user.id)
                .decided_by(attempt.id),
        );
        Ok(true)
    }
}

/// Mails the owner that a code was used, and whether few are left.
async fn tell_used(
    unit: &mut UnitOfWork,
    mailbox: &Mailbox,
    actor: &Actor,
    left: u32,
    at: Timestamp,
) -> Result<(), StorageError> {
    let left_word = || (MailField::Left, left.to_string());
    let words = [
        mailbox.user_name(),
        left_word(),
        notices::remote_address(actor),
        notices::device(actor),
        notices::at(at),
    ];
    mailbox
        .tell(unit, &Mail::new(MailKind::RecoveryCodeUsed, words), at)
        .await?;
    if left <= FEW {
        mailbox
            .tell(
                unit,
                &Mail::new(
                    MailKind::RecoveryCodesLow,
                    [mailbox.user_name(), left_word()],
                ),
                at,
            )
            .await?;
    }
    Ok(())
}

/// A fresh code, `xxxx-xxxx-xxxx-xxxx`.
fn generate() -> Secret<String> {
    let mut bytes = Zeroizing::new([0_u8; CHARACTERS]);
    crate::random::fill(&mut *bytes);
    let mut code = String::with_capacity(CHARACTERS + 3);
    for (position, byte) in bytes.iter().enumerate() {
        if position > 0 && position % 4 == 0 {
            code.push('-');
        }
        // 256 is a multiple of 32, so every character is as likely as any other.
        code.push(char::from(ALPHABET[usize::from(byte % 32)]));
    }
    Secret::new(code)
}

/// The stored form of a code; none for a text that is no code. It includes the user, so the table
/// does not reveal that two users have the same code.
fn stored(user: UserId, text: &str) -> Option<[u8; 32]> {
    let code = Zeroizing::new(plain(text)?);
    Some(
        Sha256::new()
            .chain_update(user.0.as_bytes())
            .chain_update(code.as_bytes())
            .finalize()
            .into(),
    )
}

/// The code as it was generated, however `-`, spaces, capitals and look-alikes were typed.
fn plain(text: &str) -> Option<String> {
    if text.len() > MAX_TEXT {
        return None;
    }
    let mut code = String::with_capacity(CHARACTERS);
    for character in text
        .chars()
        .filter(|character| !character.is_whitespace() && *character != '-')
    {
        let character = match character.to_ascii_lowercase() {
            'o' => '0',
            'i' | 'l' => '1',
            other => other,
        };
        if !character.is_ascii() || !ALPHABET.contains(&(character as u8)) {
            return None;
        }
        code.push(character);
    }
    (code.len() == CHARACTERS).then_some(code)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_code_has_four_groups_of_four() {
        let code = generate();
        let groups: Vec<&str> = code.expose().split('-').collect();
        assert!(
            groups.len() == 4
                && groups
                    .iter()
                    .all(|group| group.len() == 4
                        && group.bytes().all(|byte| ALPHABET.contains(&byte))),
            "{groups:?}"
        );
        assert_ne!(code, generate());
    }

    #[test]
    fn a_code_is_the_same_however_it_is_typed() {
        let user = UserId::new();
        let code = "0123-4567-89ab-cd1z";
        for typed in [
            code,
            "0123456789abcd1z",
            " 0123 4567 89AB CDIZ ",
            "O123-4567-89ab-cdLz",
            "0123\u{2003}4567-89ab-cd1z",
        ] {
            assert_eq!(stored(user, typed), stored(user, code), "{typed}");
        }
    }

    #[test]
    fn what_is_no_code_is_not_looked_for() {
        let long = format!("{}0123-4567-89ab-cd1z", " ".repeat(60));
        for typed in [
            "",
            "0123-4567-89ab-cd1",
            "0123-4567-89ab-cd1zz",
            "0123-4567-89ab-cduz",
            "0123-4567-89ab-cd1ä",
            "0123_4567_89ab_cd1z",
            &long,
        ] {
            assert_eq!(stored(UserId::new(), typed), None, "{typed}");
        }
    }

    #[test]
    fn the_same_code_of_another_user_is_stored_differently() {
        assert_ne!(
            stored(UserId::new(), "0123-4567-89ab-cd1z"),
            stored(UserId::new(), "0123-4567-89ab-cd1z")
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = stored(UserId::new(), &text);
        }
    }
}
