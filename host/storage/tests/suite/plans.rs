//! No statement scans a growing table: the cost depends only on the rows that it finds.

use std::collections::BTreeSet;

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, SqliteConnection};
use storage::DatabaseKind;

use crate::fixture::{Fixture, on_both};

/// Tables that grow while a registry is used.
const GROWING: [&str; 21] = [
    "users",
    "emails",
    "tokens",
    "projects",
    "project_roles",
    "project_settings",
    "project_serials",
    "journal",
    "releases",
    "files",
    "file_names",
    "decisions",
    "audit_events",
    "attempts",
    "sessions",
    "security_keys",
    "recovery_codes",
    "ceremonies",
    "links",
    "devices",
    "outbox",
];

/// Statements that scan a table or an index, and why their cost does not grow with it.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    (
        "projects",
        "NEWEST",
        "walks an index in its order and stops at its limit",
    ),
    (
        "outbox",
        "LIST",
        "walks an index in its order and stops at its limit",
    ),
    (
        "audit",
        "LIST",
        "walks an index in its order and stops at its limit",
    ),
    (
        "policies",
        "SETS",
        "walks an index in its order and stops at its limit",
    ),
    (
        "recoveries",
        "LIST",
        "walks an index in its order and stops at its limit",
    ),
    (
        "releases",
        "STAGED",
        "an index of staged files alone; for the command line, which lists them all",
    ),
    (
        "outbox",
        "DEPTH",
        "indexes of mails that wait and of mails that failed alone",
    ),
    ("outbox", "LEASE", "an index of mails that wait alone"),
    (
        "files",
        "TOTAL_SIZE",
        "a sum over everything; no request asks for it",
    ),
    (
        "users",
        "COUNT",
        "a count of everything; no request asks for it",
    ),
    ("users", "HAD_STAFF", "an index of staff alone"),
    (
        "links",
        "DROP_OF_PURPOSE",
        "run once, when the first user is created",
    ),
];

/// Indexes of waiting rows only: a mail to send, a file to publish. PostgreSQL may use one for a
/// statement that names its row another way, as long as almost nothing waits.
const WAITING: [&str; 2] = ["outbox_by_due", "files_staged"];

#[tokio::test]
async fn no_statement_reads_the_whole_of_a_table_that_grows() {
    on_both(async |fixture| {
        let found = match fixture.storage.kind() {
            DatabaseKind::Sqlite => scans_of_sqlite(&fixture).await,
            DatabaseKind::Postgres => scans_of_postgres(&fixture).await,
        };
        let excused = |noun: &str, name: &str| {
            EXCEPTIONS
                .iter()
                .any(|(of, named, _)| (*of, *named) == (noun, name))
        };
        let wrong: Vec<_> = found
            .iter()
            .filter(|(noun, name, _)| !excused(noun, name))
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        for (noun, name, _) in EXCEPTIONS {
            assert!(
                fixture
                    .storage
                    .statements()
                    .any(|(of, named, _)| (of, named) == (*noun, *name)),
                "{name} of {noun} is excused and does not exist"
            );
        }
    })
    .await;
}

/// Noun and name of a statement, and the table or index that it scans.
type Scan = (&'static str, &'static str, String);

async fn scans_of_sqlite(fixture: &Fixture) -> BTreeSet<Scan> {
    let mut connection = SqliteConnection::connect(&fixture.url).await.unwrap();
    let mut found = BTreeSet::new();
    for (noun, name, text) in fixture.storage.statements() {
        for row in sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}")))
            .fetch_all(&mut connection)
            .await
            .unwrap()
        {
            let step: String = row.get("detail");
            let Some(read) = step.strip_prefix("SCAN ") else {
                continue;
            };
            // By its name in the statement, which may differ from the table's.
            let table = read.split(' ').next().unwrap_or_default();
            let is_known = [
                "json_each",
                "CONSTANT",
                "registry_state",
                "listed",
                "about",
                "done",
                "servers",
            ]
            .contains(&table)
                || table.starts_with("policy_");
            if !is_known && !read.starts_with('(') {
                found.insert((noun, name, step));
            }
        }
    }
    found
}

async fn scans_of_postgres(fixture: &Fixture) -> BTreeSet<Scan> {
    let mut connection = PgConnection::connect(&fixture.url).await.unwrap();
    // Tables are empty here, so the planner would prefer to scan them; with these settings it does
    // so only if it has no other way.
    for setting in [
        "SET enable_seqscan = off",
        "SET plan_cache_mode = force_generic_plan",
    ] {
        sqlx::query(setting).execute(&mut connection).await.unwrap();
    }
    let mut found = BTreeSet::new();
    for (number, (noun, name, text)) in fixture.storage.statements().enumerate() {
        let values = (1..20)
            .take_while(|value| text.contains(&format!("${value}")))
            .map(|_| "NULL")
            .collect::<Vec<_>>()
            .join(", ");
        let values = if values.is_empty() {
            values
        } else {
            format!("({values})")
        };
        sqlx::raw_sql(AssertSqlSafe(format!("PREPARE plan_{number} AS {text}")))
            .execute(&mut connection)
            .await
            .unwrap_or_else(|error| panic!("{name} of {noun}: {error}"));
        let explain = format!("EXPLAIN (FORMAT JSON) EXECUTE plan_{number}{values}");
        let row = sqlx::raw_sql(AssertSqlSafe(explain))
            .fetch_one(&mut connection)
            .await
            .unwrap_or_else(|error| panic!("{name} of {noun}: {error}"));
        let plan: Value = serde_json::from_str(&row.get_unchecked::<String, _>(0)).unwrap();
        let mut scans = Vec::new();
        visit(&plan[0]["Plan"], &mut scans);
        found.extend(scans.into_iter().map(|scan| (noun, name, scan)));
    }
    found
}

/// Steps that read a table or an index without a condition to locate rows.
fn visit(step: &Value, scans: &mut Vec<String>) {
    let kind = step["Node Type"].as_str().unwrap_or_default();
    let table = step["Relation Name"].as_str().unwrap_or_default();
    let reads_by_itself = kind == "Seq Scan" || kind.starts_with("Index");
    let is_small = step["Index Name"]
        .as_str()
        .is_some_and(|index| WAITING.contains(&index));
    if reads_by_itself && !is_small && GROWING.contains(&table) && step.get("Index Cond").is_none()
    {
        scans.push(format!(
            "{kind} on {table} {}",
            step["Index Name"].as_str().unwrap_or_default()
        ));
    }
    for below in step["Plans"].as_array().into_iter().flatten() {
        visit(below, scans);
    }
}
