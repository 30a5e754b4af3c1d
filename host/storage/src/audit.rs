//! Audit events: written with the change that they record, never changed, never deleted.

use model::audit::{Actor, AuditEvent, Detail, EventKind};
use model::kept::within;
use model::limit::{EVENT_DETAIL_BYTES, LOGGED_TEXT};
use model::{ProjectId, UserId};

use crate::database::{Row, Transaction, Value, fitting};
use crate::statement::statements;
use crate::{Result, Storage, StorageError, UnitOfWork};

/// A stored event.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditRow {
    /// Increasing.
    pub sequence: i64,
    pub event: AuditEvent,
    /// Its detail as it is stored: with what another version knows of, and with what was left
    /// out of a long one. To be shown; what is to be understood is in the event.
    pub stored: serde_json::Value,
}

/// Which events to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// The user it is about, or who did it.
    pub user: Option<UserId>,
    pub project: Option<ProjectId>,
    pub kind: Option<EventKind>,
}

macro_rules! list {
    ($condition:literal) => {
        concat!(
            "SELECT sequence, at, kind, actor_kind, actor_user_id, actor_token_id, actor_remote_address, actor_user_agent, actor_system_user,
            actor_publisher_id, actor_provider, actor_subject, user_id, project_id, decision_id, detail
            FROM audit_events WHERE ",
            $condition,
            " AND (CAST($1 AS TEXT) IS NULL OR user_id = $1 OR actor_user_id = $1)
            AND (CAST($2 AS TEXT) IS NULL OR project_id = $2) AND (CAST($3 AS TEXT) IS NULL OR kind = $3)
            AND sequence < $4 ORDER BY sequence DESC LIMIT $5"
        )
    };
}

statements! {
    ADD = "INSERT INTO audit_events (at, kind, actor_kind, actor_user_id, actor_token_id, actor_remote_address, actor_user_agent, actor_system_user,
        actor_publisher_id, actor_provider, actor_subject, user_id, project_id, decision_id, detail)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
    // One statement for each index, chosen by the most selective filter.
    LIST = list!("TRUE");
    /// The newest of both indexes, then the newest of these: fast however many events a user has.
    LIST_OF_USER = concat!("SELECT * FROM (", list!("user_id = $1"), ") AS about UNION SELECT * FROM (", list!("actor_user_id = $1"), ") AS done
        ORDER BY sequence DESC LIMIT $5");
    LIST_OF_PROJECT = list!("project_id = $2");
    LIST_OF_KIND = list!("kind = $3");
}

impl Storage {
    /// Writes an event without a change: a refusal, an authentication.
    pub async fn record_event(&self, event: &AuditEvent) -> Result<()> {
        self.database()
            .execute(&ADD, &values(event))
            .await
            .map(drop)
    }

    /// Events, newest first, those before `before` (a sequence), at most `limit`.
    pub async fn events(
        &self,
        filter: &AuditFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<AuditRow>> {
        let statement = match filter {
            AuditFilter {
                project: Some(_), ..
            } => &LIST_OF_PROJECT,
            AuditFilter { user: Some(_), .. } => &LIST_OF_USER,
            AuditFilter { kind: Some(_), .. } => &LIST_OF_KIND,
            _ => &LIST,
        };
        let values = [
            filter.user.into(),
            filter.project.into(),
            filter.kind.map(EventKind::as_str).into(),
            before.unwrap_or(i64::MAX).into(),
            limit.into(),
        ];
        self.database()
            .all(statement, &values)
            .await?
            .iter()
            .map(audit_row)
            .collect()
    }
}

impl UnitOfWork {
    pub(crate) async fn add_event(&mut self, event: &AuditEvent) -> Result<()> {
        self.execute(&ADD, &values(event)).await.map(drop)
    }
}

/// Writes an event without a change.
pub(crate) async fn record(transaction: &mut Transaction, event: &AuditEvent) -> Result<()> {
    transaction.execute(&ADD, &values(event)).await.map(drop)
}

fn values(event: &AuditEvent) -> [Value<'_>; 15] {
    let (kind, system_user, publisher, provider, subject) = match &event.actor {
        Actor::Caller { .. } => ("caller", None, None, None, None),
        Actor::Publisher {
            publisher,
            provider,
            subject,
            ..
        } => (
            "publisher",
            None,
            Some(*publisher),
            Some(provider.as_str()),
            Some(subject.as_str()),
        ),
        Actor::CommandLine { system_user } => {
            ("command-line", Some(system_user.as_str()), None, None, None)
        }
        Actor::System => ("system", None, None, None, None),
    };
    let (remote_address, user_agent) = event.actor.place().unzip();
    let text = |text: Option<&'_ str>| -> Value<'_> {
        text.map(|text| fitting(text, LOGGED_TEXT.length()).into_owned())
            .into()
    };
    [
        event.at.into(),
        event.kind().as_str().into(),
        kind.into(),
        event.actor.user().into(),
        event.actor.token().into(),
        text(remote_address),
        text(user_agent),
        text(system_user),
        publisher.into(),
        text(provider),
        text(subject),
        event.user.into(),
        event.project.into(),
        event.decision.into(),
        within(event.detail.to_json(), EVENT_DETAIL_BYTES)
            .to_string()
            .into(),
    ]
}

fn audit_row(row: &Row) -> Result<AuditRow> {
    let actor = match row.text("actor_kind")?.as_str() {
        "caller" => Actor::Caller {
            user: row.optional_parsed("actor_user_id")?,
            token: row.optional_parsed("actor_token_id")?,
            remote_address: row.text("actor_remote_address")?,
            user_agent: row.text("actor_user_agent")?,
        },
        "publisher" => Actor::Publisher {
            publisher: row.parsed("actor_publisher_id")?,
            provider: row.text("actor_provider")?,
            subject: row.text("actor_subject")?,
            token: row.optional_parsed("actor_token_id")?,
            remote_address: row.text("actor_remote_address")?,
            user_agent: row.text("actor_user_agent")?,
        },
        "command-line" => Actor::CommandLine {
            system_user: row.text("actor_system_user")?,
        },
        "system" => Actor::System,
        other => {
            return Err(StorageError::Corrupt(format!(
                "an audit event of an unknown actor, {other}"
            )));
        }
    };
    let kind = row.read("kind", EventKind::from_word)?;
    let stored = row.read("detail", |text| serde_json::from_str(text).ok())?;
    let event = AuditEvent {
        at: row.time("at")?,
        actor,
        user: row.optional_parsed("user_id")?,
        project: row.optional_parsed("project_id")?,
        decision: row.optional_parsed("decision_id")?,
        detail: Detail::read(kind, &stored),
    };
    Ok(AuditRow {
        sequence: row.integer("sequence")?,
        event,
        stored,
    })
}
