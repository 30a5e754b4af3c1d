//! The deletion of an account. The row stays as a tombstone, so that no one can take the name.

use std::collections::BTreeSet;

use model::{ProjectId, Timestamp, UserId};

use crate::statement::statements;
use crate::{Conflict, Result, Storage, UnitOfWork};

statements! {
    SOLE_OWNER_OF = "SELECT normalized FROM project_roles AS own JOIN projects ON projects.id = own.project_id
        WHERE own.user_id = $1 AND own.role = 'owner' AND NOT EXISTS (
            SELECT 1 FROM project_roles AS other WHERE other.project_id = own.project_id AND other.user_id <> $1 AND other.role = 'owner')
        ORDER BY normalized";
    PROJECTS = "SELECT project_id FROM project_roles WHERE user_id = $1 ORDER BY project_id";
    LOCK_PROJECT = "SELECT id FROM projects WHERE id = $1", "SELECT id FROM projects WHERE id = $1 FOR NO KEY UPDATE";
    LOCK_USER = "SELECT id FROM users WHERE id = $1 AND deleted_at IS NULL", "SELECT id FROM users WHERE id = $1 AND deleted_at IS NULL FOR UPDATE";
    DROP_ROLES = "DELETE FROM project_roles WHERE user_id = $1";
    DROP_EMAILS = "DELETE FROM emails WHERE user_id = $1";
    BURY = "UPDATE users SET deleted_at = $2, disabled_at = COALESCE(disabled_at, $2), disabled_reason = COALESCE(disabled_reason, 'deleted'),
        staff = FALSE, password_hash = NULL, password_set_at = NULL, password_disabled = NULL, totp_secret = NULL, totp_enrolled_at = NULL,
        totp_last_step = NULL, recovery_confirmed_at = NULL, email_before = NULL, email_before_until = NULL, secured_at = NULL WHERE id = $1";
}

impl Storage {
    /// The projects without another owner, by normalized name.
    pub async fn sole_owner_of(&self, user: UserId) -> Result<Vec<String>> {
        self.database()
            .all(&SOLE_OWNER_OF, &[user.into()])
            .await?
            .iter()
            .map(|row| row.text("normalized"))
            .collect()
    }
}

impl UnitOfWork {
    /// Deletes a user: only the name stays, which remains taken, and data that others rely on
    /// (releases, journal, audit events). Returns whether there was a user who was not deleted.
    /// `Conflict::SoleOwner`; `Conflict::Raced` if the user was just given a role.
    pub async fn delete_user(&mut self, user: UserId, at: Timestamp) -> Result<bool> {
        // Projects before the user, as everywhere, to avoid deadlocks.
        let projects = self.projects_to_leave(user).await?;
        for project in &projects {
            self.optional(&LOCK_PROJECT, &[(*project).into()]).await?;
        }
        // Not `NO KEY`: this must wait for new rows that refer to the user, and make them wait.
        if self.optional(&LOCK_USER, &[user.into()]).await?.is_none() {
            return Ok(false);
        }
        if !self.projects_to_leave(user).await?.is_subset(&projects) {
            return self.refuse(Conflict::Raced);
        }
        if self
            .optional(&SOLE_OWNER_OF, &[user.into()])
            .await?
            .is_some()
        {
            return self.refuse(Conflict::SoleOwner);
        }
        self.execute(&DROP_ROLES, &[user.into()]).await?;
        self.execute(&DROP_EMAILS, &[user.into()]).await?;
        self.end_sessions(user, None).await?;
        self.remove_keys(user).await?;
        self.replace_recovery_codes(user, &[], at).await?;
        self.drop_devices(user, None).await?;
        self.drop_links(user, None).await?;
        self.revoke_tokens_of(user, at).await?;
        self.cancel_recovery_of(user, at).await?;
        self.must_touch(&BURY, &[user.into(), at.into()]).await?;
        Ok(true)
    }

    async fn projects_to_leave(&mut self, user: UserId) -> Result<BTreeSet<ProjectId>> {
        self.all(&PROJECTS, &[user.into()])
            .await?
            .iter()
            .map(|row| row.parsed("project_id"))
            .collect()
    }
}
