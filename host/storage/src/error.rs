//! Errors, the same on both databases.

use sqlx::error::{DatabaseError, ErrorKind};

/// Why a method failed.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The write would have broken a rule that the database enforces; nothing was written.
    #[error("{0}")]
    Conflict(#[from] Conflict),
    /// The database cannot be reached, is locked for too long, or cannot be set up.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// The database holds something this version cannot read, or a statement of ours is wrong.
    #[error("the database holds something unexpected: {0}")]
    Corrupt(String),
}

impl StorageError {
    /// The conflict, if it is one.
    pub fn conflict(&self) -> Option<Conflict> {
        match self {
            Self::Conflict(conflict) => Some(*conflict),
            _ => None,
        }
    }
}

/// The rules that the database enforces, each by a constraint or by a conditional write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Conflict {
    #[error("the user name is taken")]
    UserNameTaken,
    #[error("the email address is taken")]
    EmailTaken,
    #[error("the user has a token with this description already")]
    TokenDescriptionTaken,
    #[error("the user has as many tokens as anybody may have; revoke some first")]
    TooManyTokens,
    #[error("the security key is enrolled already")]
    KeyTaken,
    #[error("the user has a key with this name already")]
    KeyNameTaken,
    #[error("the user would be left without a second factor")]
    LastFactor,
    #[error("the user is the only owner of a project")]
    SoleOwner,
    #[error("a recovery of the account is running already")]
    RecoveryRunning,
    /// The session of [`on_behalf_of`](crate::UnitOfWork::on_behalf_of) ended before the commit.
    #[error("the session has ended")]
    SessionEnded,
    /// The token of [`with_token`](crate::UnitOfWork::with_token) was revoked before the commit.
    #[error("the token was revoked")]
    TokenRevoked,
    /// Another policy set was activated before the commit of a unit with
    /// [`decided_under`](crate::UnitOfWork::decided_under).
    #[error("the policy set that decided was replaced before this was done")]
    PoliciesReplaced,
    #[error("the project name is taken")]
    ProjectNameTaken,
    #[error("the project name looks like that of another project")]
    ProjectNameSimilar,
    #[error("the project would be left without an owner")]
    LastOwner,
    #[error("the file name is taken, or was once")]
    FileNameTaken,
    #[error("a file with the same content exists already")]
    FileContentTaken,
    #[error("the release has a source distribution already")]
    SourceDistributionTaken,
    #[error("an identifier was used twice")]
    IdTaken,
    /// A user, project, release, module or set that the write refers to does not exist, or no
    /// longer.
    #[error("something the write refers to does not exist any more")]
    ReferenceGone,
    /// Two transactions conflicted; a retry may succeed.
    #[error("another write came in between; try again")]
    Raced,
    /// A text contains a NUL, or is too long for its column.
    #[error("a text holds a NUL character or is too long")]
    TextRefused,
}

/// Constraint name (PostgreSQL), columns (as SQLite names a constraint), meaning.
const RULES: &[(&str, &str, Conflict)] = &[
    ("user_id_taken", "users.id", Conflict::IdTaken),
    (
        "user_name_taken",
        "users.folded_name",
        Conflict::UserNameTaken,
    ),
    ("email_taken", "emails.folded_address", Conflict::EmailTaken),
    ("email_primary_raced", "emails.user_id", Conflict::Raced),
    ("token_id_taken", "tokens.id", Conflict::IdTaken),
    (
        "token_description_taken",
        "tokens.user_id, tokens.description",
        Conflict::TokenDescriptionTaken,
    ),
    (
        "session_secret_taken",
        "sessions.secret_hash",
        Conflict::IdTaken,
    ),
    ("session_id_taken", "sessions.id", Conflict::IdTaken),
    ("key_id_taken", "security_keys.id", Conflict::IdTaken),
    (
        "key_credential_taken",
        "security_keys.credential_id",
        Conflict::KeyTaken,
    ),
    (
        "key_name_taken",
        "security_keys.user_id, security_keys.folded_name",
        Conflict::KeyNameTaken,
    ),
    (
        "recovery_code_raced",
        "recovery_codes.user_id, recovery_codes.code_hash",
        Conflict::Raced,
    ),
    (
        "ceremony_taken",
        "ceremonies.secret_hash",
        Conflict::IdTaken,
    ),
    ("link_taken", "links.secret_hash", Conflict::IdTaken),
    (
        "device_raced",
        "devices.user_id, devices.secret_hash",
        Conflict::Raced,
    ),
    ("mail_id_taken", "outbox.id", Conflict::IdTaken),
    ("mail_rate_raced", "mail_rates.recipient", Conflict::Raced),
    ("recovery_id_taken", "recoveries.id", Conflict::IdTaken),
    (
        "recovery_running",
        "recoveries.user_id",
        Conflict::RecoveryRunning,
    ),
    ("project_id_taken", "projects.id", Conflict::IdTaken),
    (
        "project_name_taken",
        "projects.normalized",
        Conflict::ProjectNameTaken,
    ),
    (
        "project_name_similar",
        "projects.looks",
        Conflict::ProjectNameSimilar,
    ),
    (
        "role_raced",
        "project_roles.project_id, project_roles.user_id",
        Conflict::Raced,
    ),
    (
        "settings_raced",
        "project_settings.project_id, project_settings.policy",
        Conflict::Raced,
    ),
    ("release_id_taken", "releases.id", Conflict::IdTaken),
    (
        "release_raced",
        "releases.project_id, releases.version_key",
        Conflict::Raced,
    ),
    (
        "file_name_taken",
        "file_names.name",
        Conflict::FileNameTaken,
    ),
    (
        "file_name_spelled",
        "file_names.name_key",
        Conflict::FileNameTaken,
    ),
    ("file_name_used", "files.name", Conflict::FileNameTaken),
    ("file_id_taken", "files.id", Conflict::IdTaken),
    (
        "file_content_taken",
        "files.blake2_256",
        Conflict::FileContentTaken,
    ),
    (
        "source_distribution_taken",
        "files.release_id",
        Conflict::SourceDistributionTaken,
    ),
    ("policy_set_raced", "policy_sets.number", Conflict::Raced),
    (
        "policy_activation_raced",
        "policy_activations.sequence",
        Conflict::Raced,
    ),
];

/// Only the driver's one-line message is kept. It names tables and constraints, never values;
/// PostgreSQL's `DETAIL`, which quotes them, is dropped.
impl From<sqlx::Error> for StorageError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => from_database(&*error),
            sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::ColumnIndexOutOfBounds { .. }
            | sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::Encode(_)
            | sqlx::Error::TypeNotFound { .. }
            | sqlx::Error::RowNotFound => Self::Corrupt(error.to_string()),
            sqlx::Error::PoolTimedOut => {
                Self::Unavailable("no connection became free in time: it is down, refuses connections, or has too much to do".to_owned())
            }
            other => Self::Unavailable(other.to_string()),
        }
    }
}

fn from_database(error: &dyn DatabaseError) -> StorageError {
    match error.kind() {
        ErrorKind::UniqueViolation => match broken_rule(error) {
            Some(conflict) => conflict.into(),
            None => StorageError::Corrupt(error.message().to_owned()),
        },
        ErrorKind::ForeignKeyViolation => Conflict::ReferenceGone.into(),
        _ => from_code(error),
    }
}

fn broken_rule(error: &dyn DatabaseError) -> Option<Conflict> {
    let columns = error.message().strip_prefix("UNIQUE constraint failed: ");
    let named = |(name, of_sqlite, _): &&(&str, &str, Conflict)| {
        columns.map_or_else(
            || error.constraint() == Some(*name),
            |columns| columns == *of_sqlite,
        )
    };
    RULES.iter().find(named).map(|(_, _, conflict)| *conflict)
}

fn from_code(error: &dyn DatabaseError) -> StorageError {
    let code = error.code().unwrap_or_default();
    let message = error.message().to_owned();
    // PostgreSQL: five characters, the first two are the class. SQLite: a number whose
    // lowest byte is the class.
    if code.len() == 5
        && error
            .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
            .is_some()
    {
        return match (&code[..2], &*code) {
            ("40", _) => Conflict::Raced.into(),
            // 54000: an index row that is too long. 22021: a text that PostgreSQL cannot store.
            ("54", _) | (_, "22021") => Conflict::TextRefused.into(),
            ("08" | "28" | "3D" | "53" | "55" | "57" | "58", _) => {
                StorageError::Unavailable(message)
            }
            _ => StorageError::Corrupt(message),
        };
    }
    match code.parse::<i64>().map(|code| code & 0xff) {
        // Busy, locked, read-only, I/O error, full, cannot open.
        Ok(5 | 6 | 8 | 10 | 13 | 14) => StorageError::Unavailable(message),
        _ => StorageError::Corrupt(message),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::RULES;
    use crate::database::migrations::{STEPS, Step};

    /// The names that tables give to their unique constraints.
    fn named(text: impl Fn(&Step) -> &'static str) -> BTreeSet<&'static str> {
        let name_after = |line: &'static str, start| {
            line.trim_start()
                .strip_prefix(start)
                .and_then(|rest| rest.split(' ').next())
        };
        let names = STEPS.iter().flat_map(|step| text(step).lines());
        names
            .filter_map(|line| {
                name_after(line, "CONSTRAINT ").or_else(|| name_after(line, "CREATE UNIQUE INDEX "))
            })
            .collect()
    }

    #[test]
    fn every_constraint_has_a_meaning_on_both_databases() {
        let known: BTreeSet<_> = RULES.iter().map(|(name, _, _)| *name).collect();
        assert_eq!(named(|step| step.sqlite), known);
        assert_eq!(named(|step| step.postgres), known);
        assert_eq!(known.len(), RULES.len(), "each once");
    }
}
