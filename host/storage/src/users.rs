//! Users: names, passwords, second factors, e-mail addresses.

use model::{Timestamp, UserFacts, UserId, UserName};

use crate::{Result, Secret, Storage, UnitOfWork};

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
    /// The password's hash (PHC string); none while no password was set.
    pub password_hash: Option<Secret<String>>,
    pub password_set_at: Option<Timestamp>,
    /// Why the password is disabled; none while it is not.
    pub password_disabled: Option<String>,
    /// The shared secret in base32; none while TOTP is not enrolled.
    pub totp_secret: Option<Secret<String>>,
    pub totp_enrolled_at: Option<Timestamp>,
    /// Whether the primary e-mail address is verified.
    pub email_verified: bool,
}

impl UserRow {
    /// What a decision may know about the user.
    pub fn facts(&self) -> UserFacts {
        todo!()
    }
}

/// An e-mail address of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailRow {
    pub user: UserId,
    /// As the user wrote it. Addresses that differ only in ASCII case are one address.
    pub address: String,
    pub added_at: Timestamp,
    pub verified_at: Option<Timestamp>,
    pub primary: bool,
}

impl Storage {
    /// The user with this id.
    pub async fn user(&self, id: UserId) -> Result<Option<UserRow>> {
        let _ = id;
        todo!()
    }

    /// The user with this name, whatever its case.
    pub async fn user_by_name(&self, name: &UserName) -> Result<Option<UserRow>> {
        let _ = name;
        todo!()
    }

    /// How many users there are.
    pub async fn user_count(&self) -> Result<u64> {
        todo!()
    }

    /// Users in order of their folded names, those after `after` (a folded name), at most `limit`.
    pub async fn users(&self, after: Option<&str>, limit: u32) -> Result<Vec<UserRow>> {
        let _ = (after, limit);
        todo!()
    }

    /// A user's e-mail addresses, the primary one first.
    pub async fn emails(&self, user: UserId) -> Result<Vec<EmailRow>> {
        let _ = user;
        todo!()
    }

    /// An e-mail address, whatever its case.
    pub async fn email(&self, address: &str) -> Result<Option<EmailRow>> {
        let _ = address;
        todo!()
    }

    /// Accepts a TOTP time step once: true only if it lies after every step accepted before
    /// (RFC 6238, 5.2: a code must not be accepted twice). Atomic across processes. Outside
    /// of any unit of work on purpose: a code is spent even when what it was for fails.
    pub async fn accept_totp_step(&self, user: UserId, step: i64) -> Result<bool> {
        let _ = (user, step);
        todo!()
    }
}

impl UnitOfWork {
    /// Creates a user without a password. `Conflict::UserNameTaken`.
    pub async fn create_user(&mut self, user: &NewUser<'_>) -> Result<()> {
        let _ = user;
        todo!()
    }

    /// Sets the password's hash and enables the password.
    pub async fn set_password_hash(&mut self, user: UserId, hash: &str, at: Timestamp) -> Result<()> {
        let _ = (user, hash, at);
        todo!()
    }

    /// Replaces the hash of an unchanged password (stronger parameters), if it still is `old`.
    /// Returns whether it was.
    pub async fn rehash_password(&mut self, user: UserId, old: &str, new: &str) -> Result<bool> {
        let _ = (user, old, new);
        todo!()
    }

    /// Disables the password until the next [`set_password_hash`](Self::set_password_hash).
    pub async fn disable_password(&mut self, user: UserId, reason: &str) -> Result<()> {
        let _ = (user, reason);
        todo!()
    }

    /// Enrolls TOTP with a secret in base32, or removes it. Forgets the accepted steps: they
    /// were those of the old secret.
    pub async fn set_totp(&mut self, user: UserId, secret: Option<&str>, at: Timestamp) -> Result<()> {
        let _ = (user, secret, at);
        todo!()
    }

    /// Makes the user staff, or not.
    pub async fn set_staff(&mut self, user: UserId, staff: bool) -> Result<()> {
        let _ = (user, staff);
        todo!()
    }

    /// Adds an unverified address; the first one becomes the primary. `Conflict::EmailTaken`.
    pub async fn add_email(&mut self, user: UserId, address: &str, at: Timestamp) -> Result<()> {
        let _ = (user, address, at);
        todo!()
    }

    /// Marks an address of the user as verified. Returns whether the user has the address.
    pub async fn verify_email(&mut self, user: UserId, address: &str, at: Timestamp) -> Result<bool> {
        let _ = (user, address, at);
        todo!()
    }

    /// Makes an address of the user the primary one. Returns whether the user has the address.
    pub async fn promote_email(&mut self, user: UserId, address: &str) -> Result<bool> {
        let _ = (user, address);
        todo!()
    }

    /// Removes an address of the user that is not the primary one. Returns whether there was one.
    pub async fn remove_email(&mut self, user: UserId, address: &str) -> Result<bool> {
        let _ = (user, address);
        todo!()
    }
}
