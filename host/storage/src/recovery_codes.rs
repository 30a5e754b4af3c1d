//! Recovery codes: the last resort when every other factor is lost. Stored hashed, usable once.

use model::{Timestamp, UserId};

use crate::statement::statements;
use crate::{Conflict, Result, SecretHash, Storage, UnitOfWork};

/// The visible state of a user's recovery codes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecoveryCodes {
    /// How many were generated; 0 if none ever were.
    pub total: u32,
    pub unused: u32,
    pub generated_at: Option<Timestamp>,
    /// When one of them was used to prove that they were saved; none before that.
    pub confirmed_at: Option<Timestamp>,
}

/// Most codes of one user.
const MAX_CODES: usize = 32;

statements! {
    OF_USER = "SELECT COUNT(code_hash) AS total, COUNT(CASE WHEN used_at IS NULL THEN code_hash END) AS unused, MIN(generated_at) AS generated_at,
        (SELECT recovery_confirmed_at FROM users WHERE id = $1) AS confirmed_at FROM recovery_codes WHERE user_id = $1";
    /// PostgreSQL evaluates the condition again after a wait for the row, so that of two concurrent
    /// requests with one code one finds nothing to update.
    SPEND = "UPDATE recovery_codes SET used_at = $3 WHERE user_id = $1 AND code_hash = $2 AND used_at IS NULL";
    LEFT = "SELECT COUNT(*) AS unused FROM recovery_codes WHERE user_id = $1 AND used_at IS NULL";
    LOOK = "SELECT code_hash FROM recovery_codes WHERE user_id = $1 AND code_hash = $2 AND used_at IS NULL";
    UNCONFIRM = "UPDATE users SET recovery_confirmed_at = NULL WHERE id = $1 AND deleted_at IS NULL";
    DROP = "DELETE FROM recovery_codes WHERE user_id = $1";
    ADD = "INSERT INTO recovery_codes (user_id, code_hash, generated_at) VALUES ($1, $2, $3)";
    /// Only if codes exist: the confirmed ones may just have been replaced.
    CONFIRM = "UPDATE users SET recovery_confirmed_at = $2 WHERE id = $1 AND recovery_confirmed_at IS NULL
        AND EXISTS (SELECT 1 FROM recovery_codes WHERE user_id = $1 AND used_at IS NOT NULL)";
}

impl Storage {
    /// The state of a user's recovery codes.
    pub async fn recovery_codes_of(&self, user: UserId) -> Result<RecoveryCodes> {
        let row = self.database().one(&OF_USER, &[user.into()]).await?;
        // Never more than `MAX_CODES`.
        let count = |column| {
            row.count(column)
                .map(|count| u32::try_from(count).unwrap_or(u32::MAX))
        };
        Ok(RecoveryCodes {
            total: count("total")?,
            unused: count("unused")?,
            generated_at: row.optional_time("generated_at")?,
            confirmed_at: row.optional_time("confirmed_at")?,
        })
    }

    /// Whether a code is one of the user's and was not used.
    pub async fn has_recovery_code(&self, user: UserId, code: &SecretHash) -> Result<bool> {
        Ok(self
            .database()
            .optional(&LOOK, &[user.into(), code.into()])
            .await?
            .is_some())
    }
}

impl UnitOfWork {
    /// Replaces the user's codes, used or not, by these (at most 32; none for no codes). They must
    /// be confirmed again.
    pub async fn replace_recovery_codes(
        &mut self,
        user: UserId,
        codes: &[SecretHash],
        at: Timestamp,
    ) -> Result<()> {
        if codes.len() > MAX_CODES {
            return self.refuse(Conflict::TextRefused);
        }
        self.must_touch(&UNCONFIRM, &[user.into()]).await?;
        self.execute(&DROP, &[user.into()]).await?;
        for code in codes {
            self.execute(&ADD, &[user.into(), code.into(), at.into()])
                .await?;
        }
        Ok(())
    }

    /// Uses up a code and returns how many are left; none, and nothing is used up, unless it is one
    /// of the user's and was not used before. Works once, however many processes try.
    pub async fn spend_recovery_code(
        &mut self,
        user: UserId,
        code: &SecretHash,
        at: Timestamp,
    ) -> Result<Option<u32>> {
        // In the lock order of `replace_recovery_codes`.
        self.lock_user(user).await?;
        if self
            .execute(&SPEND, &[user.into(), code.into(), at.into()])
            .await?
            != 1
        {
            return Ok(None);
        }
        let left = self.one(&LEFT, &[user.into()]).await?.count("unused")?;
        Ok(Some(u32::try_from(left).unwrap_or(u32::MAX)))
    }

    /// Records that one of the user's codes was used to prove that they were saved. Returns whether
    /// it was the first, and one of the current codes was used indeed.
    pub async fn confirm_recovery_codes(&mut self, user: UserId, at: Timestamp) -> Result<bool> {
        self.lock_user(user).await?;
        Ok(self.execute(&CONFIRM, &[user.into(), at.into()]).await? == 1)
    }
}
