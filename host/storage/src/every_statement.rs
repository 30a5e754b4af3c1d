//! The list of all statements. It knows every noun, and no noun knows it.

use crate::statement::Statement;
use crate::{DatabaseKind, Result, Storage, StorageError};

/// Every statement, by noun.
const ALL: &[(&str, &[(&str, &Statement)])] = &[
    ("storage", crate::storage::STATEMENTS),
    ("unit", crate::unit::STATEMENTS),
    ("users", crate::users::STATEMENTS),
    ("deletion", crate::deletion::STATEMENTS),
    ("sessions", crate::sessions::STATEMENTS),
    ("keys", crate::keys::STATEMENTS),
    ("recovery_codes", crate::recovery_codes::STATEMENTS),
    ("ceremonies", crate::ceremonies::STATEMENTS),
    ("links", crate::links::STATEMENTS),
    ("devices", crate::devices::STATEMENTS),
    ("outbox", crate::outbox::STATEMENTS),
    ("mail_rates", crate::mail_rates::STATEMENTS),
    ("recoveries", crate::recoveries::STATEMENTS),
    ("tokens", crate::tokens::STATEMENTS),
    ("projects", crate::projects::STATEMENTS),
    ("releases", crate::releases::STATEMENTS),
    ("removal", crate::removal::STATEMENTS),
    ("files", crate::files::STATEMENTS),
    ("usage", crate::usage::STATEMENTS),
    ("policies", crate::policies::STATEMENTS),
    ("decisions", crate::decisions::STATEMENTS),
    ("audit", crate::audit::STATEMENTS),
    ("attempts", crate::attempts::STATEMENTS),
    ("serials", crate::serials::STATEMENTS),
];

impl Storage {
    /// Lets the database parse every statement of this crate without running it; returns how many
    /// there are. For tests, and for trying a new version of a database.
    pub async fn prepare_every_statement(&self) -> Result<usize> {
        let mut prepared = 0;
        for (noun, statements) in ALL {
            for (name, statement) in *statements {
                self.database().prepare(statement).await.map_err(|error| {
                    StorageError::Corrupt(format!("statement {name} of {noun}: {error}"))
                })?;
                prepared += 1;
            }
        }
        Ok(prepared)
    }

    /// Noun, name and text of every statement of this crate, as sent to this database. For tests,
    /// and for query plans.
    pub fn statements(
        &self,
    ) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> + use<> {
        let kind = self.kind();
        let text = move |statement: &Statement| match kind {
            DatabaseKind::Sqlite => statement.sqlite,
            DatabaseKind::Postgres => statement.postgres,
        };
        ALL.iter().flat_map(move |(noun, statements)| {
            statements
                .iter()
                .map(move |(name, statement)| (*noun, *name, text(statement)))
        })
    }
}
