//! The steps from nothing to the tables of this version, in order. Listed here instead of by
//! `sqlx::migrate!`, which would make the compiler build both database drivers a second time. A
//! released step is never changed: a database remembers its checksum.

use std::borrow::Cow;
use std::sync::LazyLock;

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// A step: its number, its name, and its text for each database.
pub(crate) struct Step {
    number: i64,
    name: &'static str,
    pub(crate) sqlite: &'static str,
    pub(crate) postgres: &'static str,
}

macro_rules! steps {
    ($($number:literal $file:literal $name:literal;)*) => {
        &[$(Step {
            number: $number,
            name: $name,
            sqlite: include_str!(concat!("../../migrations/sqlite/", $file)),
            postgres: include_str!(concat!("../../migrations/postgres/", $file)),
        }),*]
    };
}

pub(crate) const STEPS: &[Step] = steps! {
    1 "0001_registry.sql" "registry";
    2 "0002_people.sql" "people";
    3 "0003_command_line_devices.sql" "command line devices";
    4 "0004_people_forms.sql" "people forms";
    5 "0005_quotas.sql" "quotas";
    6 "0006_search.sql" "search";
    7 "0007_watched_folders.sql" "watched folders";
    8 "0008_listed_projects.sql" "listed projects";
    9 "0009_standing_addresses.sql" "standing addresses";
    10 "0010_publishers.sql" "publishers";
};

pub(crate) static SQLITE: LazyLock<Migrator> = LazyLock::new(|| migrator(|step| step.sqlite));
pub(crate) static POSTGRES: LazyLock<Migrator> = LazyLock::new(|| migrator(|step| step.postgres));

fn migrator(text: impl Fn(&Step) -> &'static str) -> Migrator {
    let migration = |step: &Step| {
        Migration::new(
            step.number,
            Cow::Borrowed(step.name),
            MigrationType::Simple,
            text(step).into_sql_str(),
            false,
        )
    };
    Migrator::with_migrations(STEPS.iter().map(migration).collect())
}
