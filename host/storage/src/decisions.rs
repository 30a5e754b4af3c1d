//! The decision log. Bookkeeping: it is written in batches, separately from the changes.

use model::limit::LOGGED_TEXT;
use model::{DecisionId, Timestamp, TokenId, UserId};
use serde_json::{Value, json};

use crate::database::{Row, Transaction, fitting};
use crate::statement::statements;
use crate::{Result, Storage};

/// One decision.
#[derive(Clone, Debug, PartialEq)]
pub struct DecisionRow {
    pub id: DecisionId,
    pub at: Timestamp,
    /// The action's text, `noun:verb`.
    pub action: String,
    /// The outcome of the decision, in the gate's words.
    pub outcome: String,
    /// Number of the policy set; none if no set decided.
    pub set_number: Option<i64>,
    pub user: Option<UserId>,
    pub token: Option<TokenId>,
    /// Normalized name of the project, which may not exist.
    pub project_name: Option<String>,
    /// Pattern of the route.
    pub route: String,
    pub remote_address: String,
    /// Time spent deciding.
    pub microseconds: u64,
    /// Names of the policies in grade `warn` or `observe` that would not have let it through,
    /// joined by `, `; none if there were none.
    pub would_refuse: Option<String>,
    /// Everything else, as JSON text: context, verdicts, reasons. Empty in lists.
    pub record: String,
}

/// Which decisions to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DecisionFilter {
    pub outcome: Option<String>,
    pub action: Option<String>,
    pub project_name: Option<String>,
    pub user: Option<UserId>,
    /// Only those that a policy in grade `warn` or `observe` would not have let through.
    pub would_refuse: bool,
}

/// Longest project name that is kept: it is indexed, and a request may ask for any.
const MAX_NAME: usize = 200;
/// Decisions written by one statement.
const BATCH: usize = 200;
/// After every id, for a first page.
const AFTER_ALL: &str = "~";

macro_rules! list {
    ($condition:literal) => {
        concat!(
            "SELECT id, at, action, outcome, set_number, user_id, token_id, project_name, route, remote_address, microseconds, would_refuse, '' AS record
            FROM decisions WHERE ",
            $condition,
            " AND (CAST($1 AS TEXT) IS NULL OR outcome = $1) AND (CAST($2 AS TEXT) IS NULL OR action = $2)
            AND (CAST($3 AS TEXT) IS NULL OR project_name = $3) AND (CAST($4 AS TEXT) IS NULL OR user_id = $4)
            AND ($8 = 0 OR would_refuse IS NOT NULL)
            AND (at, id) < ($5, $6) ORDER BY at DESC, id DESC LIMIT $7"
        )
    };
}

statements! {
    /// A whole batch in one statement: `$1` is a JSON array of objects.
    RECORD = "INSERT INTO decisions (id, at, action, outcome, set_number, user_id, token_id, project_name, route, remote_address, microseconds, would_refuse, record)
        SELECT value ->> 'id', value ->> 'at', value ->> 'action', value ->> 'outcome', value ->> 'set_number', value ->> 'user_id', value ->> 'token_id',
        value ->> 'project_name', value ->> 'route', value ->> 'remote_address', value ->> 'microseconds',
        value ->> 'would_refuse', value ->> 'record'
        FROM json_each($1) WHERE TRUE ON CONFLICT (id) DO NOTHING",
        "INSERT INTO decisions (id, at, action, outcome, set_number, user_id, token_id, project_name, route, remote_address, microseconds, would_refuse, record)
        SELECT id, at, action, outcome, set_number, user_id, token_id, project_name, route, remote_address, microseconds, would_refuse, record
        FROM json_to_recordset(CAST(CAST($1 AS TEXT) AS JSON)) AS decision (id TEXT, at BIGINT, action TEXT, outcome TEXT, set_number BIGINT, user_id TEXT,
        token_id TEXT, project_name TEXT, route TEXT, remote_address TEXT, microseconds BIGINT,
        would_refuse TEXT, record TEXT) ON CONFLICT (id) DO NOTHING";
    BY_ID = "SELECT id, at, action, outcome, set_number, user_id, token_id, project_name, route, remote_address, microseconds, would_refuse, record
        FROM decisions WHERE id = $1";
    BEGINNING = "SELECT id FROM decisions WHERE id >= $1 AND id < $2 ORDER BY id LIMIT $3";
    // One statement for each index, chosen by the most selective filter.
    LIST = list!("TRUE");
    LIST_WOULD_REFUSE = list!("would_refuse IS NOT NULL");
    LIST_OF_PROJECT = list!("project_name = $3");
    LIST_OF_USER = list!("user_id = $4");
    LIST_OF_OUTCOME = list!("outcome = $1");
    LIST_OF_ACTION = list!("action = $2");
    FORGET = "DELETE FROM decisions WHERE id IN (SELECT id FROM decisions WHERE at < $1 ORDER BY at LIMIT $2)";
}

impl Storage {
    /// Writes decisions to the log, in one transaction. One that exists already is left unchanged.
    pub async fn record_decisions(&self, decisions: &[DecisionRow]) -> Result<()> {
        self.record_log(decisions, &[]).await
    }

    /// The decision with this id, record included.
    pub async fn decision(&self, id: DecisionId) -> Result<Option<DecisionRow>> {
        self.database()
            .optional(&BY_ID, &[id.into()])
            .await?
            .as_ref()
            .map(decision_row)
            .transpose()
    }

    /// Ids of decisions that begin with this text, the oldest first, at most `limit`.
    pub async fn decisions_beginning(
        &self,
        beginning: &str,
        limit: u32,
    ) -> Result<Vec<DecisionId>> {
        let values = [
            beginning.into(),
            format!("{beginning}{AFTER_ALL}").into(),
            limit.into(),
        ];
        self.database()
            .all(&BEGINNING, &values)
            .await?
            .iter()
            .map(|row| row.parsed("id"))
            .collect()
    }

    /// Decisions, newest first, those before `before` (time and id of the last one on the previous
    /// page), at most `limit`. Without their records.
    pub async fn decisions(
        &self,
        filter: &DecisionFilter,
        before: Option<(Timestamp, DecisionId)>,
        limit: u32,
    ) -> Result<Vec<DecisionRow>> {
        let statement = match filter {
            DecisionFilter {
                project_name: Some(_),
                ..
            } => &LIST_OF_PROJECT,
            DecisionFilter { user: Some(_), .. } => &LIST_OF_USER,
            DecisionFilter {
                would_refuse: true, ..
            } => &LIST_WOULD_REFUSE,
            DecisionFilter {
                action: Some(_), ..
            } => &LIST_OF_ACTION,
            DecisionFilter {
                outcome: Some(_), ..
            } => &LIST_OF_OUTCOME,
            _ => &LIST,
        };
        let (at, id) = before.map_or((Timestamp(i64::MAX), AFTER_ALL.to_owned()), |(at, id)| {
            (at, id.to_string())
        });
        let values = [
            filter.outcome.as_ref().into(),
            filter.action.as_ref().into(),
            filter.project_name.as_ref().into(),
            filter.user.into(),
            at.into(),
            id.into(),
            limit.into(),
            i64::from(filter.would_refuse).into(),
        ];
        self.database()
            .all(statement, &values)
            .await?
            .iter()
            .map(decision_row)
            .collect()
    }

    /// Deletes decisions made before `before`, at most `limit` in one call; returns how many.
    pub async fn forget_decisions(&self, before: Timestamp, limit: u32) -> Result<u64> {
        self.database()
            .execute(&FORGET, &[before.into(), limit.into()])
            .await
    }
}

pub(crate) async fn record(transaction: &mut Transaction, decisions: &[DecisionRow]) -> Result<()> {
    for batch in decisions.chunks(BATCH) {
        let batch: Vec<_> = batch.iter().map(to_json).collect();
        transaction
            .execute(&RECORD, &[Value::from(batch).to_string().into()])
            .await?;
    }
    Ok(())
}

fn to_json(decision: &DecisionRow) -> Value {
    json!({
        "id": decision.id.to_string(),
        "at": decision.at.0,
        "action": fitting(&decision.action, MAX_NAME),
        "outcome": fitting(&decision.outcome, MAX_NAME),
        "set_number": decision.set_number,
        "user_id": decision.user.map(|user| user.to_string()),
        "token_id": decision.token.map(|token| token.to_string()),
        "project_name": decision.project_name.as_ref().map(|name| fitting(name, MAX_NAME)),
        "route": fitting(&decision.route, LOGGED_TEXT.length()),
        "remote_address": fitting(&decision.remote_address, LOGGED_TEXT.length()),
        "microseconds": decision.microseconds.min(i64::MAX as u64),
        "would_refuse": decision.would_refuse.as_ref().map(|names| fitting(names, LOGGED_TEXT.length())),
        "record": fitting(&decision.record, usize::MAX),
    })
}

fn decision_row(row: &Row) -> Result<DecisionRow> {
    Ok(DecisionRow {
        id: row.parsed("id")?,
        at: row.time("at")?,
        action: row.text("action")?,
        outcome: row.text("outcome")?,
        set_number: row.optional_integer("set_number")?,
        user: row.optional_parsed("user_id")?,
        token: row.optional_parsed("token_id")?,
        project_name: row.optional_text("project_name")?,
        route: row.text("route")?,
        remote_address: row.text("remote_address")?,
        microseconds: row.count("microseconds")?,
        would_refuse: row.optional_text("would_refuse")?,
        record: row.text("record")?,
    })
}
