//! Users: names, passwords, second factors, email addresses.

use model::audit::EventKind;
use model::{Factors, PasswordDisabled, Timestamp, UserFacts, UserId, UserName};

use crate::database::Row;
use crate::statement::statements;
use crate::{Conflict, Result, Secret, Storage, UnitOfWork};

/// A user to create.
#[derive(Clone, Debug)]
pub struct NewUser<'a> {
    pub id: UserId,
    pub name: &'a UserName,
    pub created_at: Timestamp,
    pub staff: bool,
}

/// A user.
#[derive(Clone, Debug)]
pub struct UserRow {
    pub id: UserId,
    pub name: UserName,
    pub created_at: Timestamp,
    pub staff: bool,
    /// The password's hash (PHC string); none if no password was set.
    pub password_hash: Option<Secret<String>>,
    pub password_set_at: Option<Timestamp>,
    /// Why the password is disabled; none while it is not.
    pub password_disabled: Option<PasswordDisabled>,
    /// The shared secret in base32; none while TOTP is not enrolled.
    pub totp_secret: Option<Secret<String>>,
    pub totp_enrolled_at: Option<Timestamp>,
    /// The last time step whose code was accepted.
    pub totp_last_step: Option<i64>,
    /// Since when no credential of the user is valid; none if they are.
    pub disabled_at: Option<Timestamp>,
    /// Why, for the operators.
    pub disabled_reason: Option<String>,
    /// Since when the account is gone; only the name stays, so that no one can take it. A deleted
    /// user is disabled too.
    pub deleted_at: Option<Timestamp>,
    /// When a recovery code was used to prove that they were saved; none before that.
    pub recovery_confirmed_at: Option<Timestamp>,
    /// What stands in for the primary email address, after a session chose that.
    pub email_before: Option<EmailBefore>,
    /// When its owner secured the account; of no meaning once there is a new password.
    pub secured_at: Option<Timestamp>,
    /// Whether the primary email address is verified.
    pub email_verified: bool,
    /// Whether there is a security key or a passkey.
    pub webauthn_enrolled: bool,
}

impl UserRow {
    /// The facts about the user for a decision.
    pub fn facts(&self) -> UserFacts {
        UserFacts {
            id: self.id,
            name: self.name.clone(),
            created_at: self.created_at,
            email_verified: self.email_verified,
            factors: Factors {
                totp: self.totp_secret.is_some(),
                webauthn: self.webauthn_enrolled,
            },
            staff: self.staff,
        }
    }
}

/// The address that an account is given back through instead of its primary one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailBefore {
    /// As it was stored when it was the primary one.
    pub address: String,
    /// From then on the primary one stands.
    pub until: Timestamp,
}

/// An email address of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailRow {
    pub user: UserId,
    /// As the user wrote it. Addresses that differ only in ASCII case are one address.
    pub address: String,
    pub added_at: Timestamp,
    pub verified_at: Option<Timestamp>,
    pub primary: bool,
}

/// The columns that [`user_row`] reads.
macro_rules! user_columns {
    () => {
        "users.id AS user_id, users.name AS user_name, users.created_at AS user_created_at, users.staff AS user_staff,
        users.password_hash AS user_password_hash, users.password_set_at AS user_password_set_at, users.password_disabled AS user_password_disabled,
        users.totp_secret AS user_totp_secret, users.totp_enrolled_at AS user_totp_enrolled_at,
        users.totp_last_step AS user_totp_last_step, users.disabled_at AS user_disabled_at, users.disabled_reason AS user_disabled_reason,
        users.deleted_at AS user_deleted_at, users.recovery_confirmed_at AS user_recovery_confirmed_at,
        users.email_before AS user_email_before, users.email_before_until AS user_email_before_until, users.secured_at AS user_secured_at,
        EXISTS (SELECT 1 FROM security_keys WHERE security_keys.user_id = users.id) AS user_webauthn_enrolled,
        EXISTS (SELECT 1 FROM emails WHERE emails.user_id = users.id AND emails.is_primary AND emails.verified_at IS NOT NULL) AS user_email_verified"
    };
}
pub(crate) use user_columns;

statements! {
    BY_ID = concat!("SELECT ", user_columns!(), " FROM users WHERE id = $1");
    BY_NAME = concat!("SELECT ", user_columns!(), " FROM users WHERE folded_name = $1 AND deleted_at IS NULL");
    BY_EMAIL = concat!("SELECT ", user_columns!(), " FROM emails JOIN users ON users.id = emails.user_id
        WHERE emails.folded_address = $1 AND emails.verified_at IS NOT NULL AND users.deleted_at IS NULL");
    COUNT = "SELECT COUNT(*) AS users FROM users";
    /// Only the audit log shows who used to be staff.
    HAD_STAFF = "SELECT EXISTS (SELECT 1 FROM audit_events WHERE kind = $1) OR EXISTS (SELECT 1 FROM users WHERE staff) AS had_staff";
    LIST = concat!("SELECT ", user_columns!(), " FROM users WHERE folded_name > $1 AND deleted_at IS NULL ORDER BY folded_name LIMIT $2");
    EMAILS = "SELECT user_id, address, added_at, verified_at, is_primary FROM emails WHERE user_id = $1 ORDER BY is_primary DESC, folded_address";
    /// The condition of the index `emails_beyond_ascii`, which is almost empty.
    EMAILS_BEYOND_ASCII = "SELECT user_id, address, added_at, verified_at, is_primary FROM emails
        WHERE length(CAST(folded_address AS BLOB)) <> length(folded_address) AND folded_address > $1 ORDER BY folded_address LIMIT $2",
        "SELECT user_id, address, added_at, verified_at, is_primary FROM emails
        WHERE octet_length(folded_address) <> length(folded_address) AND folded_address > $1 ORDER BY folded_address LIMIT $2";
    NAME_TAKEN = "SELECT id FROM users WHERE folded_name = $1";
    EMAIL = "SELECT user_id, address, added_at, verified_at, is_primary FROM emails WHERE folded_address = $1";
    /// PostgreSQL evaluates the condition again after a wait for the row, so that of two concurrent
    /// requests with one code one finds nothing to update.
    ACCEPT_TOTP_STEP = "UPDATE users SET totp_last_step = $2
        WHERE id = $1 AND totp_secret IS NOT NULL AND (totp_last_step IS NULL OR totp_last_step < $2)";
    CREATE = "INSERT INTO users (id, folded_name, name, created_at, staff) VALUES ($1, $2, $3, $4, $5)";
    SET_PASSWORD = "UPDATE users SET password_hash = $2, password_set_at = $3, password_disabled = NULL WHERE id = $1 AND deleted_at IS NULL";
    REHASH_PASSWORD = "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2";
    DISABLE_PASSWORD = "UPDATE users SET password_disabled = $2 WHERE id = $1 AND deleted_at IS NULL";
    SECURE = "UPDATE users SET password_disabled = $2, secured_at = $3 WHERE id = $1 AND deleted_at IS NULL";
    DISABLE_ENABLED_PASSWORD = "UPDATE users SET password_disabled = $2 WHERE id = $1 AND deleted_at IS NULL AND password_disabled IS NULL";
    /// Used steps stay used, whatever the secret: the same one may be set again.
    SET_TOTP = "UPDATE users SET totp_last_step = CASE WHEN totp_last_step > COALESCE(CAST($3 AS BIGINT), totp_last_step - 1)
        THEN totp_last_step ELSE $3 END, totp_secret = $2, totp_enrolled_at = $4 WHERE id = $1 AND deleted_at IS NULL";
    REMOVE_TOTP = "UPDATE users SET totp_secret = NULL, totp_enrolled_at = NULL WHERE id = $1 AND totp_secret IS NOT NULL";
    HAS_FACTOR = "SELECT id FROM users WHERE id = $1
        AND (totp_secret IS NOT NULL OR EXISTS (SELECT 1 FROM security_keys WHERE security_keys.user_id = users.id))";
    DISABLE = "UPDATE users SET disabled_at = $2, disabled_reason = $3 WHERE id = $1 AND disabled_at IS NULL";
    ENABLE = "UPDATE users SET disabled_at = NULL, disabled_reason = NULL WHERE id = $1 AND disabled_at IS NOT NULL AND deleted_at IS NULL";
    SET_STAFF = "UPDATE users SET staff = $2 WHERE id = $1 AND deleted_at IS NULL";
    /// One at a time for each user: the next steps depend on the user's other addresses, factors or
    /// sessions, which a later statement reads. `NO KEY`, so that references from new rows do not
    /// have to wait.
    LOCK = "SELECT disabled_at FROM users WHERE id = $1 AND deleted_at IS NULL",
        "SELECT disabled_at FROM users WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE";
    /// The first user is created by one unit at a time. On SQLite that holds for every unit. On
    /// PostgreSQL there is no row to lock yet.
    LOCK_FIRST = "SELECT 1 AS locked", "SELECT 1 AS locked FROM (SELECT pg_advisory_xact_lock(7202)) AS locked";
    ADD_EMAIL = "INSERT INTO emails (folded_address, address, user_id, added_at, is_primary)
        SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), id, CAST($4 AS BIGINT), NOT EXISTS (SELECT 1 FROM emails WHERE user_id = $3 AND is_primary)
        FROM users WHERE id = $3 AND deleted_at IS NULL";
    VERIFY_EMAIL = "UPDATE emails SET verified_at = COALESCE(verified_at, $3) WHERE folded_address = $2 AND user_id = $1";
    CLEAR_PRIMARY = "UPDATE emails SET is_primary = FALSE WHERE user_id = $1 AND is_primary AND folded_address <> $2
        AND EXISTS (SELECT 1 FROM emails AS wanted WHERE wanted.folded_address = $2 AND wanted.user_id = $1)";
    SET_PRIMARY = "UPDATE emails SET is_primary = TRUE WHERE folded_address = $2 AND user_id = $1";
    SET_EMAIL_BEFORE = "UPDATE users SET email_before = $2, email_before_until = $3 WHERE id = $1 AND deleted_at IS NULL";
    UNVERIFIED = "SELECT user_id FROM emails WHERE folded_address = $1 AND verified_at IS NULL";
    VERIFIED = "SELECT user_id FROM emails WHERE folded_address = $1 AND verified_at IS NOT NULL";
    RELEASE_UNVERIFIED = "DELETE FROM emails WHERE folded_address = $1 AND user_id = $2 AND verified_at IS NULL";
    /// The address that was verified first, or else added first.
    PROMOTE_ANY = "UPDATE emails SET is_primary = TRUE WHERE folded_address = (
            SELECT folded_address FROM emails WHERE user_id = $1 ORDER BY COALESCE(verified_at, 9223372036854775807), added_at, folded_address LIMIT 1)
        AND NOT EXISTS (SELECT 1 FROM emails AS present WHERE present.user_id = $1 AND present.is_primary)";
    REWRITE_EMAIL = "UPDATE emails SET folded_address = $3, address = $4 WHERE folded_address = $2 AND user_id = $1";
    TAKE_EMAIL = "DELETE FROM emails WHERE folded_address = $2 AND user_id = $1";
    REMOVE_EMAIL = "DELETE FROM emails WHERE folded_address = $2 AND user_id = $1 AND NOT is_primary";
}

impl Storage {
    /// The user with this id.
    pub async fn user(&self, id: UserId) -> Result<Option<UserRow>> {
        self.database()
            .optional(&BY_ID, &[id.into()])
            .await?
            .as_ref()
            .map(user_row)
            .transpose()
    }

    /// The user with this name, ignoring case.
    pub async fn user_by_name(&self, name: &UserName) -> Result<Option<UserRow>> {
        self.database()
            .optional(&BY_NAME, &[name.folded().into()])
            .await?
            .as_ref()
            .map(user_row)
            .transpose()
    }

    /// The user with this verified email address, ignoring case.
    pub async fn user_by_email(&self, address: &str) -> Result<Option<UserRow>> {
        self.database()
            .optional(&BY_EMAIL, &[address.to_ascii_lowercase().into()])
            .await?
            .as_ref()
            .map(user_row)
            .transpose()
    }

    /// How many users there are or ever were: a registry whose users have all left is not new.
    pub async fn user_count(&self) -> Result<u64> {
        self.database().one(&COUNT, &[]).await?.count("users")
    }

    /// Whether there is or ever was a member of staff: a registry whose staff has left is not new.
    pub async fn had_staff(&self) -> Result<bool> {
        self.database()
            .one(&HAD_STAFF, &[EventKind::StaffGranted.as_str().into()])
            .await?
            .boolean("had_staff")
    }

    /// Whether this name is taken, possibly by a deleted user.
    pub async fn is_name_taken(&self, name: &UserName) -> Result<bool> {
        Ok(self
            .database()
            .optional(&NAME_TAKEN, &[name.folded().into()])
            .await?
            .is_some())
    }

    /// Users in order of their folded names, those after `after` (a folded name), at most `limit`.
    pub async fn users(&self, after: Option<&str>, limit: u32) -> Result<Vec<UserRow>> {
        self.database()
            .all(&LIST, &[after.unwrap_or_default().into(), limit.into()])
            .await?
            .iter()
            .map(user_row)
            .collect()
    }

    /// A user's email addresses, the primary one first.
    pub async fn emails(&self, user: UserId) -> Result<Vec<EmailRow>> {
        self.database()
            .all(&EMAILS, &[user.into()])
            .await?
            .iter()
            .map(email_row)
            .collect()
    }

    /// An email address, ignoring case.
    pub async fn email(&self, address: &str) -> Result<Option<EmailRow>> {
        self.database()
            .optional(&EMAIL, &[address.to_ascii_lowercase().into()])
            .await?
            .as_ref()
            .map(email_row)
            .transpose()
    }

    /// Email addresses with non-ASCII letters, of all users, in the order of their folded form,
    /// those after `after`, at most `limit`.
    pub async fn emails_beyond_ascii(&self, after: &str, limit: u32) -> Result<Vec<EmailRow>> {
        self.database()
            .all(&EMAILS_BEYOND_ASCII, &[after.into(), limit.into()])
            .await?
            .iter()
            .map(email_row)
            .collect()
    }

    /// Accepts a TOTP time step once: true only if it is later than every step accepted before (RFC
    /// 6238, 5.2: a code must not be accepted twice). Atomic across processes. Deliberately outside
    /// any unit of work: a code is used up even if the action fails.
    pub async fn accept_totp_step(&self, user: UserId, step: i64) -> Result<bool> {
        Ok(self
            .database()
            .execute(&ACCEPT_TOTP_STEP, &[user.into(), step.into()])
            .await?
            == 1)
    }
}

impl UnitOfWork {
    /// The user's addresses, see [`Storage::emails`]; if the user is held, none is added, removed
    /// or promoted until the unit ends.
    pub async fn emails(&mut self, user: UserId) -> Result<Vec<EmailRow>> {
        self.all(&EMAILS, &[user.into()])
            .await?
            .iter()
            .map(email_row)
            .collect()
    }

    /// Creates a user without a password. `Conflict::UserNameTaken`.
    pub async fn create_user(&mut self, user: &NewUser<'_>) -> Result<()> {
        let values = [
            user.id.into(),
            user.name.folded().into(),
            user.name.as_written().into(),
            user.created_at.into(),
            user.staff.into(),
        ];
        self.execute(&CREATE, &values).await.map(drop)
    }

    /// Creates the first member of staff, if there is none and never was. Returns whether it did:
    /// of several that try at once, one does. Other users do not matter: a stranger who registers
    /// at a new registry must not lock its operators out.
    pub async fn create_first_user(&mut self, user: &NewUser<'_>) -> Result<bool> {
        self.one(&LOCK_FIRST, &[]).await?;
        if self
            .one(&HAD_STAFF, &[EventKind::StaffGranted.as_str().into()])
            .await?
            .boolean("had_staff")?
        {
            return Ok(false);
        }
        self.create_user(user).await?;
        Ok(true)
    }

    /// The current user, who does not change until the unit ends; none if there is none or they
    /// were deleted. For comparison with credentials that were verified before the unit began.
    pub async fn hold_user(&mut self, user: UserId) -> Result<Option<UserRow>> {
        if !self.lock_user(user).await? {
            return Ok(None);
        }
        self.optional(&BY_ID, &[user.into()])
            .await?
            .as_ref()
            .map(user_row)
            .transpose()
    }

    /// Waits for every other unit that called this for the user. Returns whether the user exists
    /// and was not deleted.
    pub(crate) async fn lock_user(&mut self, user: UserId) -> Result<bool> {
        Ok(self.optional(&LOCK, &[user.into()]).await?.is_some())
    }

    /// The same, for a user who is not disabled either.
    pub(crate) async fn lock_enabled_user(&mut self, user: UserId) -> Result<bool> {
        let row = self.optional(&LOCK, &[user.into()]).await?;
        Ok(row
            .map(|row| row.optional_time("disabled_at"))
            .transpose()?
            .is_some_and(|disabled_at| disabled_at.is_none()))
    }

    /// Sets the password's hash and enables the password.
    pub async fn set_password_hash(
        &mut self,
        user: UserId,
        hash: &str,
        at: Timestamp,
    ) -> Result<()> {
        self.must_touch(&SET_PASSWORD, &[user.into(), hash.into(), at.into()])
            .await
    }

    /// Replaces the hash of an unchanged password (stronger parameters), if it still is `old`.
    /// Returns whether it was.
    pub async fn rehash_password(&mut self, user: UserId, old: &str, new: &str) -> Result<bool> {
        Ok(self
            .execute(&REHASH_PASSWORD, &[user.into(), old.into(), new.into()])
            .await?
            == 1)
    }

    /// Disables the password until the next [`set_password_hash`](Self::set_password_hash).
    pub async fn disable_password(&mut self, user: UserId, reason: PasswordDisabled) -> Result<()> {
        self.must_touch(&DISABLE_PASSWORD, &[user.into(), reason.as_str().into()])
            .await
    }

    /// The same for an account that its owner secures.
    pub async fn secure_user(&mut self, user: UserId, at: Timestamp) -> Result<()> {
        let reason = PasswordDisabled::Secured.as_str();
        self.must_touch(&SECURE, &[user.into(), reason.into(), at.into()])
            .await
    }

    /// The same for one that is enabled: what it was disabled for before stands. Returns whether
    /// it was enabled.
    pub async fn disable_enabled_password(
        &mut self,
        user: UserId,
        reason: PasswordDisabled,
    ) -> Result<bool> {
        Ok(self
            .execute(
                &DISABLE_ENABLED_PASSWORD,
                &[user.into(), reason.as_str().into()],
            )
            .await?
            == 1)
    }

    /// Enrolls TOTP with a secret in base32. `last_step` is the step whose code was used to enroll
    /// it, which uses it up; steps that were used before stay used.
    pub async fn set_totp(
        &mut self,
        user: UserId,
        secret: &str,
        last_step: Option<i64>,
        at: Timestamp,
    ) -> Result<()> {
        self.must_touch(
            &SET_TOTP,
            &[user.into(), secret.into(), last_step.into(), at.into()],
        )
        .await
    }

    /// Removes TOTP. Returns whether it was enrolled. `Conflict::LastFactor` if a factor must
    /// remain and none would.
    pub async fn remove_totp(&mut self, user: UserId, must_leave_factor: bool) -> Result<bool> {
        self.lock_user(user).await?;
        let removed = self.execute(&REMOVE_TOTP, &[user.into()]).await? == 1;
        if removed && must_leave_factor {
            self.keep_a_factor(user).await?;
        }
        Ok(removed)
    }

    /// Fails the unit if it left the user, whom it has locked, without a second factor.
    pub(crate) async fn keep_a_factor(&mut self, user: UserId) -> Result<()> {
        match self.optional(&HAS_FACTOR, &[user.into()]).await? {
            Some(_) => Ok(()),
            None => self.refuse(Conflict::LastFactor),
        }
    }

    /// Disables the user until [`enable_user`](Self::enable_user): no credential of theirs is valid
    /// meanwhile. Returns whether there was a user who was not disabled.
    pub async fn disable_user(
        &mut self,
        user: UserId,
        reason: &str,
        at: Timestamp,
    ) -> Result<bool> {
        Ok(self
            .execute(&DISABLE, &[user.into(), at.into(), reason.into()])
            .await?
            == 1)
    }

    /// Undoes that. Returns whether there was a disabled user.
    pub async fn enable_user(&mut self, user: UserId) -> Result<bool> {
        Ok(self.execute(&ENABLE, &[user.into()]).await? == 1)
    }

    /// Makes the user staff, or undoes it.
    pub async fn set_staff(&mut self, user: UserId, staff: bool) -> Result<()> {
        self.must_touch(&SET_STAFF, &[user.into(), staff.into()])
            .await
    }

    /// Adds an unverified address; the first one becomes the primary. `Conflict::EmailTaken`.
    pub async fn add_email(&mut self, user: UserId, address: &str, at: Timestamp) -> Result<()> {
        self.lock_user(user).await?;
        self.must_touch(
            &ADD_EMAIL,
            &[
                address.to_ascii_lowercase().into(),
                address.into(),
                user.into(),
                at.into(),
            ],
        )
        .await
    }

    /// Marks an address of the user as verified. Returns whether the user has the address.
    pub async fn verify_email(
        &mut self,
        user: UserId,
        address: &str,
        at: Timestamp,
    ) -> Result<bool> {
        Ok(self
            .execute(
                &VERIFY_EMAIL,
                &[user.into(), address.to_ascii_lowercase().into(), at.into()],
            )
            .await?
            == 1)
    }

    /// Makes an address of the user the primary one. Returns whether the user has the address.
    pub async fn promote_email(&mut self, user: UserId, address: &str) -> Result<bool> {
        let folded = address.to_ascii_lowercase();
        self.lock_user(user).await?;
        self.execute(&CLEAR_PRIMARY, &[user.into(), (&folded).into()])
            .await?;
        Ok(self
            .execute(&SET_PRIMARY, &[user.into(), folded.into()])
            .await?
            == 1)
    }

    /// Sets what stands in for the primary address of the user; none where that stands itself.
    pub async fn set_email_before(
        &mut self,
        user: UserId,
        before: Option<&EmailBefore>,
    ) -> Result<()> {
        let address = before.map(|before| before.address.as_str());
        let until = before.map(|before| before.until);
        self.must_touch(
            &SET_EMAIL_BEFORE,
            &[user.into(), address.into(), until.into()],
        )
        .await
    }

    /// Removes an address from a user who never verified it, even if it is primary: another of
    /// theirs becomes primary then. Returns that user. For an address that someone else has just
    /// verified.
    pub async fn release_unverified_email(&mut self, address: &str) -> Result<Option<UserId>> {
        let folded = address.to_ascii_lowercase();
        let Some(row) = self.optional(&UNVERIFIED, &[(&folded).into()]).await? else {
            return Ok(None);
        };
        let user: UserId = row.parsed("user_id")?;
        self.lock_user(user).await?;
        if self
            .execute(&RELEASE_UNVERIFIED, &[(&folded).into(), user.into()])
            .await?
            == 0
        {
            return Ok(None);
        }
        self.execute(&PROMOTE_ANY, &[user.into()]).await?;
        Ok(Some(user))
    }

    /// Whether a user has verified this address.
    pub async fn is_verified_email(&mut self, address: &str) -> Result<bool> {
        Ok(self
            .optional(&VERIFIED, &[address.to_ascii_lowercase().into()])
            .await?
            .is_some())
    }

    /// Changes the form of an address of the user, and nothing else. `Conflict::EmailTaken`;
    /// `Conflict::ReferenceGone` if the user does not have it.
    pub async fn rewrite_email(&mut self, user: UserId, address: &str, form: &str) -> Result<()> {
        let values = [
            user.into(),
            address.to_ascii_lowercase().into(),
            form.to_ascii_lowercase().into(),
            form.into(),
        ];
        self.must_touch(&REWRITE_EMAIL, &values).await
    }

    /// Removes an address from the user, even the primary one: another of theirs becomes primary
    /// then. Returns whether there was one.
    pub async fn take_email(&mut self, user: UserId, address: &str) -> Result<bool> {
        let taken = self
            .execute(
                &TAKE_EMAIL,
                &[user.into(), address.to_ascii_lowercase().into()],
            )
            .await?
            == 1;
        self.execute(&PROMOTE_ANY, &[user.into()]).await?;
        Ok(taken)
    }

    /// Removes an address of the user that is not the primary one. Returns whether there was one.
    pub async fn remove_email(&mut self, user: UserId, address: &str) -> Result<bool> {
        Ok(self
            .execute(
                &REMOVE_EMAIL,
                &[user.into(), address.to_ascii_lowercase().into()],
            )
            .await?
            == 1)
    }
}

/// Reads `user_columns!`.
pub(crate) fn user_row(row: &Row) -> Result<UserRow> {
    Ok(UserRow {
        id: row.parsed("user_id")?,
        name: row.read("user_name", |text| UserName::parse(text).ok())?,
        created_at: row.time("user_created_at")?,
        staff: row.boolean("user_staff")?,
        password_hash: row.optional_text("user_password_hash")?.map(Secret::new),
        password_set_at: row.optional_time("user_password_set_at")?,
        // A reason that another version wrote disables it as well.
        password_disabled: row
            .optional_text("user_password_disabled")?
            .map(|why| PasswordDisabled::from_word(&why).unwrap_or(PasswordDisabled::Policy)),
        totp_secret: row.optional_text("user_totp_secret")?.map(Secret::new),
        totp_enrolled_at: row.optional_time("user_totp_enrolled_at")?,
        totp_last_step: row.optional_integer("user_totp_last_step")?,
        disabled_at: row.optional_time("user_disabled_at")?,
        disabled_reason: row.optional_text("user_disabled_reason")?,
        deleted_at: row.optional_time("user_deleted_at")?,
        recovery_confirmed_at: row.optional_time("user_recovery_confirmed_at")?,
        email_before: row
            .optional_text("user_email_before")?
            .zip(row.optional_time("user_email_before_until")?)
            .map(|(address, until)| EmailBefore { address, until }),
        secured_at: row.optional_time("user_secured_at")?,
        email_verified: row.boolean("user_email_verified")?,
        webauthn_enrolled: row.boolean("user_webauthn_enrolled")?,
    })
}

fn email_row(row: &Row) -> Result<EmailRow> {
    Ok(EmailRow {
        user: row.parsed("user_id")?,
        address: row.text("address")?,
        added_at: row.time("added_at")?,
        verified_at: row.optional_time("verified_at")?,
        primary: row.boolean("is_primary")?,
    })
}
