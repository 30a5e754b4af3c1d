//! One unit of work: changes and their audit events, or nothing.

use std::fmt;

use model::audit::AuditEvent;
use model::{ProjectId, SessionId, TokenId};

use crate::database::{Row, Transaction, Value};
use crate::decisions::{self, DecisionRow};
use crate::error::Conflict;
use crate::mail_rates::UnwrittenMail;
use crate::serials::ChangeMarker;
use crate::statement::{Statement, statements};
use crate::{Result, Storage, StorageError};

/// A transaction. Dropping it rolls it back; [`commit`](Self::commit) is the only way to keep it.
/// After an error it is unusable: drop it and, if that helps, start again.
pub struct UnitOfWork {
    storage: Storage,
    transaction: Transaction,
    /// Changes that readers will see. Written by `commit`, which takes the lock that orders serials
    /// last and so holds it as briefly as possible.
    visible: Vec<(ProjectId, &'static str)>,
    /// The position after the last of them that changes the list of projects; 0 if none does.
    visible_in_list: usize,
    /// Newly visible projects, minus those that are no longer visible.
    shown_projects: i64,
    events: Vec<AuditEvent>,
    /// Decisions that are recorded with the change, if it is committed.
    decisions: Vec<DecisionRow>,
    /// Written by `commit`, so that the rows with their rates are locked in one order.
    pub(crate) mails: Vec<UnwrittenMail>,
    /// The session that must still be live when this is committed.
    on_behalf_of: Option<SessionId>,
    /// The token that must not be revoked before this is committed.
    with_token: Option<TokenId>,
    /// The activation of a policy set that must still be the newest when this is committed.
    pub(crate) decided_under: Option<i64>,
    wrote: bool,
    /// Why it must not be committed. PostgreSQL answers the commit of a failed transaction with
    /// success and stores nothing, and SQLite would store half of it.
    broken: Option<Broken>,
}

#[derive(Clone, Copy)]
enum Broken {
    /// A statement is running, or was abandoned while it ran.
    Running,
    Conflict(Conflict),
    Failed,
}

/// The result of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The highest serial after the commit if readers can see a difference; none otherwise.
    pub serial: Option<i64>,
}

statements! {
    /// A unit that ends the session waits for this transaction to end, or was first. The session's
    /// use can be recorded meanwhile (`KEY`).
    HOLD_SESSION = "SELECT sessions.id FROM sessions JOIN users ON users.id = sessions.user_id
        WHERE sessions.id = $1 AND users.disabled_at IS NULL AND users.deleted_at IS NULL",
        "SELECT sessions.id FROM sessions JOIN users ON users.id = sessions.user_id
        WHERE sessions.id = $1 AND users.disabled_at IS NULL AND users.deleted_at IS NULL FOR KEY SHARE OF sessions";
    /// A unit that revokes the token waits for this transaction to end, or was first.
    HOLD_TOKEN = "SELECT tokens.id FROM tokens JOIN users ON users.id = tokens.user_id
        WHERE tokens.id = $1 AND tokens.revoked_at IS NULL AND users.disabled_at IS NULL AND users.deleted_at IS NULL",
        "SELECT tokens.id FROM tokens JOIN users ON users.id = tokens.user_id
        WHERE tokens.id = $1 AND tokens.revoked_at IS NULL AND users.disabled_at IS NULL AND users.deleted_at IS NULL FOR SHARE OF tokens";
    /// Locks the row until the transaction ends: commits happen in the order of their revisions and
    /// serials, so a reader who saw one has seen all earlier ones.
    ADVANCE = "UPDATE registry_state SET revision = revision + 1, serial = serial + $1, projects = projects + $3,
        list_serial = CASE WHEN CAST($2 AS BIGINT) > 0 THEN serial + CAST($2 AS BIGINT) ELSE list_serial END
        WHERE only_row = 1 RETURNING serial, list_serial, revision";
    ADD_TO_JOURNAL = "INSERT INTO journal (serial, project_id, project_name, action, at)
        SELECT CAST($1 AS BIGINT), id, normalized, CAST($3 AS TEXT), CAST($4 AS BIGINT) FROM projects WHERE id = $2";
    SET_PROJECT_SERIAL = "INSERT INTO project_serials (project_id, serial, project_name) SELECT id, CAST($2 AS BIGINT), normalized FROM projects WHERE id = $1
        ON CONFLICT (project_id) DO UPDATE SET serial = excluded.serial, project_name = excluded.project_name";
}

impl UnitOfWork {
    pub(crate) fn new(storage: Storage, transaction: Transaction) -> Self {
        Self {
            storage,
            transaction,
            visible: Vec::new(),
            visible_in_list: 0,
            shown_projects: 0,
            events: Vec::new(),
            decisions: Vec::new(),
            mails: Vec::new(),
            on_behalf_of: None,
            with_token: None,
            decided_under: None,
            wrote: false,
            broken: None,
        }
    }

    /// The unit fails with `Conflict::SessionEnded` unless this session is live until the commit:
    /// of a simultaneous change and end of the session, either the change is first, and visible to
    /// the one that ends the session, or it is not made.
    pub fn on_behalf_of(&mut self, session: SessionId) {
        self.on_behalf_of = Some(session);
    }

    /// The unit fails with `Conflict::TokenRevoked` unless this token is valid until the commit, as
    /// [`on_behalf_of`](Self::on_behalf_of) does for a session.
    pub fn with_token(&mut self, token: TokenId) {
        self.with_token = Some(token);
    }

    /// The unit fails with `Conflict::PoliciesReplaced` unless this activation (a sequence; 0:
    /// none) is the newest one at the commit: of a simultaneous change and activation, on any
    /// servers, either the change is first, or it is not made.
    pub fn decided_under(&mut self, activation: i64) {
        // Of two decisions of one unit, at most one was made by the current set.
        if self
            .decided_under
            .replace(activation)
            .is_some_and(|other| other != activation)
            && self.broken.is_none()
        {
            self.broken = Some(Broken::Conflict(Conflict::PoliciesReplaced));
        }
    }

    /// Checks the session of [`on_behalf_of`](Self::on_behalf_of) and locks it: before the unit
    /// itself ends sessions, or else at the commit. Last in the lock order except for the
    /// registry's state: projects, releases, users, sessions.
    pub(crate) async fn hold_session(&mut self) -> Result<()> {
        let Some(session) = self.on_behalf_of.take() else {
            return Ok(());
        };
        match self.optional(&HOLD_SESSION, &[session.into()]).await? {
            Some(_) => Ok(()),
            None => self.refuse(Conflict::SessionEnded),
        }
    }

    /// The same for the token; before the unit itself revokes tokens, or else at the commit.
    pub(crate) async fn hold_token(&mut self) -> Result<()> {
        let Some(token) = self.with_token.take() else {
            return Ok(());
        };
        match self.optional(&HOLD_TOKEN, &[token.into()]).await? {
            Some(_) => Ok(()),
            None => self.refuse(Conflict::TokenRevoked),
        }
    }

    /// Writes the decision that allowed the change to the log together with it.
    pub fn record_decision(&mut self, decision: DecisionRow) {
        self.decisions.push(decision);
    }

    /// Adds another audit event to the unit.
    pub fn also(&mut self, event: &AuditEvent) {
        self.events.push(event.clone());
    }

    /// Writes the audit event, after those that were added before, and commits.
    pub async fn commit(mut self, event: &AuditEvent) -> Result<Committed> {
        match self.broken {
            None => {}
            Some(Broken::Conflict(conflict)) => return Err(conflict.into()),
            Some(Broken::Running | Broken::Failed) => {
                return Err(StorageError::Unavailable(
                    "the unit of work failed before it was committed".to_owned(),
                ));
            }
        }
        let wrote = self.wrote || !self.mails.is_empty();
        self.hold_token().await?;
        self.hold_session().await?;
        self.write_mails().await?;
        decisions::record(&mut self.transaction, &self.decisions).await?;
        for earlier in std::mem::take(&mut self.events) {
            self.add_event(&earlier).await?;
        }
        self.add_event(event).await?;
        let marker = if wrote || self.decided_under.is_some() {
            Some(self.advance(event).await?)
        } else {
            None
        };
        // Invariant: after `advance`, which every activation waits for, too. Commits and
        // activations have one order on all servers, and no change is committed that a replaced set
        // decided.
        if let Some(activation) = self.decided_under
            && self.last_activation().await? != activation
        {
            return self.refuse(Conflict::PoliciesReplaced);
        }
        let serial = marker
            .filter(|_| !self.visible.is_empty())
            .map(|marker| marker.serial);
        self.transaction.commit().await?;
        if let Some(marker) = marker {
            self.storage.learn(marker);
        }
        Ok(Committed { serial })
    }

    async fn advance(&mut self, event: &AuditEvent) -> Result<ChangeMarker> {
        let visible = self.visible.clone();
        let count = visible.len() as i64;
        let row = self
            .one(
                &ADVANCE,
                &[
                    count.into(),
                    (self.visible_in_list as i64).into(),
                    self.shown_projects.into(),
                ],
            )
            .await?;
        let marker = ChangeMarker::read(&row)?;
        for (serial, (project, action)) in (marker.serial - count + 1..).zip(visible) {
            self.execute(
                &ADD_TO_JOURNAL,
                &[
                    serial.into(),
                    project.into(),
                    action.into(),
                    event.at.into(),
                ],
            )
            .await?;
            self.execute(&SET_PROJECT_SERIAL, &[project.into(), serial.into()])
                .await?;
        }
        Ok(marker)
    }

    /// Records that readers will see a difference.
    pub(crate) fn readers_see(&mut self, project: ProjectId, action: &'static str) {
        self.visible.push((project, action));
    }

    /// Records that the last change for readers also changes the list of projects.
    pub(crate) fn list_changes(&mut self) {
        self.visible_in_list = self.visible.len();
    }

    /// Records that readers see one more project.
    pub(crate) fn project_shown(&mut self) {
        self.shown_projects += 1;
        self.list_changes();
    }

    /// Records that readers see one project less.
    pub(crate) fn project_hidden(&mut self) {
        self.shown_projects -= 1;
        self.list_changes();
    }

    /// Waits for every other unit that called this, or that is being committed.
    pub(crate) async fn take_turn(&mut self) -> Result<()> {
        self.one(&ADVANCE, &[0_i64.into(), 0_i64.into(), 0_i64.into()])
            .await
            .map(drop)
    }

    pub(crate) async fn all(
        &mut self,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>> {
        self.start()?;
        let result = self.transaction.all(statement, values).await;
        self.finish(result)
    }

    pub(crate) async fn optional(
        &mut self,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> Result<Option<Row>> {
        Ok(self.all(statement, values).await?.into_iter().next())
    }

    pub(crate) async fn one(&mut self, statement: &Statement, values: &[Value<'_>]) -> Result<Row> {
        self.optional(statement, values)
            .await?
            .ok_or_else(Row::missing)
    }

    pub(crate) async fn execute(
        &mut self,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> Result<u64> {
        self.start()?;
        let result = self.transaction.execute(statement, values).await;
        self.finish(result)
    }

    /// Runs a statement that changes the one row that it names; `Conflict::ReferenceGone` if there
    /// is none.
    pub(crate) async fn must_touch(
        &mut self,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> Result<()> {
        match self.execute(statement, values).await? {
            1 => Ok(()),
            _ => self.refuse(Conflict::ReferenceGone),
        }
    }

    /// Fails the unit for a reason that no constraint covers.
    pub(crate) fn refuse<T>(&mut self, conflict: Conflict) -> Result<T> {
        self.broken = Some(Broken::Conflict(conflict));
        Err(conflict.into())
    }

    fn start(&mut self) -> Result<()> {
        match self.broken.replace(Broken::Running) {
            None => Ok(()),
            Some(Broken::Conflict(conflict)) => self.refuse(conflict),
            Some(_) => Err(StorageError::Unavailable(
                "the unit of work failed before".to_owned(),
            )),
        }
    }

    fn finish<T>(&mut self, result: Result<T>) -> Result<T> {
        self.broken = match &result {
            Ok(_) => None,
            Err(StorageError::Conflict(conflict)) => Some(Broken::Conflict(*conflict)),
            Err(_) => Some(Broken::Failed),
        };
        self.wrote = true;
        result
    }
}

impl fmt::Debug for UnitOfWork {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "UnitOfWork({:?})", self.storage.kind())
    }
}
