//! Policy modules, policy sets, the active set, and its state on the servers.

use model::{ModuleDigest, Timestamp, UserId};
use uuid::Uuid;

use crate::database::{Row, fitting};
use crate::statement::statements;
use crate::{Conflict, Result, Storage, UnitOfWork};

/// A policy module to store.
#[derive(Clone, Debug)]
pub struct NewModule<'a> {
    pub digest: ModuleDigest,
    pub name: &'a str,
    pub version: &'a str,
    /// The wasm component.
    pub bytes: &'a [u8],
    pub added_at: Timestamp,
}

/// A policy module without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleRow {
    pub digest: ModuleDigest,
    pub name: String,
    pub version: String,
    /// In bytes.
    pub size: u64,
    pub added_at: Timestamp,
}

/// A policy set to store.
#[derive(Clone, Debug)]
pub struct NewPolicySet<'a> {
    pub name: &'a str,
    /// The set's specification, as JSON text.
    pub spec: &'a str,
    pub created_at: Timestamp,
    /// None if it was created on the command line.
    pub created_by: Option<UserId>,
}

/// A policy set. Immutable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicySetRow {
    /// From 1, increasing, without gaps.
    pub number: i64,
    pub name: String,
    /// The set's specification, as JSON text.
    pub spec: String,
    pub created_at: Timestamp,
    pub created_by: Option<UserId>,
}

/// Why a set became the active one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivationKind {
    /// A person applied it.
    Apply,
    /// A person rolled back to it.
    Rollback,
    /// The first start of a registry without one.
    Start,
    /// A server found it in the folder that it watches.
    Watch,
}

impl ActivationKind {
    /// The word in the database and in lists.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Rollback => "rollback",
            Self::Start => "start",
            Self::Watch => "watch",
        }
    }

    /// Whether a person requested it.
    pub fn is_by_hand(self) -> bool {
        match self {
            Self::Apply | Self::Rollback => true,
            Self::Start | Self::Watch => false,
        }
    }

    fn from_word(text: &str) -> Option<Self> {
        [Self::Apply, Self::Rollback, Self::Start, Self::Watch]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// An activation to record.
#[derive(Clone, Debug)]
pub struct NewActivation<'a> {
    pub set_number: i64,
    pub at: Timestamp,
    /// None if it was done on the command line.
    pub by: Option<UserId>,
    pub kind: ActivationKind,
    /// Why, in the operator's words; may be empty.
    pub reason: &'a str,
}

/// The activation of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivationRow {
    /// From 1, increasing. The highest one is active.
    pub sequence: i64,
    pub set_number: i64,
    /// Name of the set.
    pub set_name: String,
    pub at: Timestamp,
    pub by: Option<UserId>,
    pub kind: ActivationKind,
    pub reason: String,
}

/// The state of one running server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerRow {
    /// Identifier of the process, new at each start.
    pub server: Uuid,
    pub host: String,
    pub pid: u32,
    /// The set that it serves; none before its first.
    pub set_number: Option<i64>,
    pub started_at: Timestamp,
    pub heartbeat_at: Timestamp,
    /// Why the last set that it was asked to serve failed, if it did.
    pub last_error: Option<String>,
    /// Number of that set.
    pub last_error_set: Option<i64>,
    /// The folder that it takes its sets from, if it watches one.
    pub watched: Option<WatchedFolder>,
}

/// The state of the folder that a server watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedFolder {
    pub folder: String,
    /// When it was last checked.
    pub looked_at: Timestamp,
    /// The newest set from there that was accepted; none before the first.
    pub set_number: Option<i64>,
    /// Why its current set is not accepted, if it is not.
    pub error: Option<String>,
}

/// Longest error that is stored for a server, in characters.
const MAX_ERROR: usize = 4000;

macro_rules! activations {
    ($condition:literal) => {
        concat!(
            "SELECT sequence, set_number, policy_sets.name AS set_name, at, activated_by, kind, reason
            FROM policy_activations JOIN policy_sets ON policy_sets.number = set_number WHERE ",
            $condition,
            " ORDER BY sequence DESC LIMIT $2"
        )
    };
}

statements! {
    MODULE = "SELECT digest, name, version, CAST(LENGTH(bytes) AS BIGINT) AS size, added_at FROM policy_modules WHERE digest = $1";
    MODULE_BYTES = "SELECT bytes FROM policy_modules WHERE digest = $1";
    MODULES = "SELECT digest, name, version, CAST(LENGTH(bytes) AS BIGINT) AS size, added_at FROM policy_modules ORDER BY added_at DESC, digest";
    SET = "SELECT number, name, spec, created_at, created_by FROM policy_sets WHERE number = $1";
    SAME_SET = "SELECT number FROM policy_sets WHERE spec = $1 ORDER BY number DESC LIMIT 1";
    SETS = "SELECT number, name, spec, created_at, created_by FROM policy_sets WHERE number < $1 ORDER BY number DESC LIMIT $2";
    ACTIVATIONS = activations!("sequence < $1");
    LAST_ACTIVATION = "SELECT COALESCE(MAX(sequence), 0) AS sequence FROM policy_activations";
    REPORT_SERVER = "INSERT INTO servers (server, host, pid, set_number, started_at, heartbeat_at, last_error, last_error_set,
        watched_folder, watched_at, watched_set, watched_error) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        ON CONFLICT (server) DO UPDATE SET set_number = excluded.set_number, heartbeat_at = excluded.heartbeat_at,
        last_error = excluded.last_error, last_error_set = excluded.last_error_set, watched_folder = excluded.watched_folder,
        watched_at = excluded.watched_at, watched_set = excluded.watched_set, watched_error = excluded.watched_error";
    SERVERS = "SELECT server, host, pid, set_number, started_at, heartbeat_at, last_error, last_error_set,
        watched_folder, watched_at, watched_set, watched_error FROM servers ORDER BY started_at, server";
    REMOVE_SERVER = "DELETE FROM servers WHERE server = $1";
    REMOVE_STALE_SERVERS = "DELETE FROM servers WHERE heartbeat_at < $1";
    ADD_MODULE = "INSERT INTO policy_modules (digest, name, version, bytes, added_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (digest) DO NOTHING";
    ADD_SET = "INSERT INTO policy_sets (number, name, spec, created_at, created_by)
        SELECT COALESCE(MAX(number), 0) + 1, CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS BIGINT), CAST($4 AS TEXT) FROM policy_sets RETURNING number";
    ACTIVATE = "INSERT INTO policy_activations (sequence, set_number, at, activated_by, kind, reason) VALUES ($1, $2, $3, $4, $5, $6)";
}

impl Storage {
    /// A module without its bytes.
    pub async fn module(&self, digest: ModuleDigest) -> Result<Option<ModuleRow>> {
        self.database()
            .optional(&MODULE, &[digest.into()])
            .await?
            .as_ref()
            .map(module_row)
            .transpose()
    }

    /// A module's bytes. The caller checks them against the digest.
    pub async fn module_bytes(&self, digest: ModuleDigest) -> Result<Option<Vec<u8>>> {
        self.database()
            .optional(&MODULE_BYTES, &[digest.into()])
            .await?
            .map(|row| row.bytes("bytes"))
            .transpose()
    }

    /// Every module, newest first.
    pub async fn modules(&self) -> Result<Vec<ModuleRow>> {
        self.database()
            .all(&MODULES, &[])
            .await?
            .iter()
            .map(module_row)
            .collect()
    }

    /// The set with this number.
    pub async fn policy_set(&self, number: i64) -> Result<Option<PolicySetRow>> {
        self.database()
            .optional(&SET, &[number.into()])
            .await?
            .as_ref()
            .map(set_row)
            .transpose()
    }

    /// Sets, newest first, those before `before`, at most `limit`.
    pub async fn policy_sets(&self, before: Option<i64>, limit: u32) -> Result<Vec<PolicySetRow>> {
        self.database()
            .all(&SETS, &[before.unwrap_or(i64::MAX).into(), limit.into()])
            .await?
            .iter()
            .map(set_row)
            .collect()
    }

    /// The activation that is in force.
    pub async fn active_set(&self) -> Result<Option<ActivationRow>> {
        Ok(self.activations(None, 1).await?.into_iter().next())
    }

    /// Sequence of the activation in force, 0 if there is none. Cheap: servers poll it.
    pub async fn activation_marker(&self) -> Result<i64> {
        self.database()
            .one(&LAST_ACTIVATION, &[])
            .await?
            .integer("sequence")
    }

    /// Activations, newest first, those before `before` (a sequence), at most `limit`.
    pub async fn activations(&self, before: Option<i64>, limit: u32) -> Result<Vec<ActivationRow>> {
        self.database()
            .all(
                &ACTIVATIONS,
                &[before.unwrap_or(i64::MAX).into(), limit.into()],
            )
            .await?
            .iter()
            .map(activation_row)
            .collect()
    }

    /// Stores a server's report, replacing its previous one. Bookkeeping.
    pub async fn report_server(&self, server: &ServerRow) -> Result<()> {
        let watched = server.watched.as_ref();
        let values = [
            server.server.into(),
            (&server.host).into(),
            server.pid.into(),
            server.set_number.into(),
            server.started_at.into(),
            server.heartbeat_at.into(),
            server
                .last_error
                .as_ref()
                .map(|error| fitting(error, MAX_ERROR))
                .into(),
            server.last_error_set.into(),
            watched.map(|watched| &watched.folder).into(),
            watched.map(|watched| watched.looked_at).into(),
            watched.and_then(|watched| watched.set_number).into(),
            watched
                .and_then(|watched| watched.error.as_ref())
                .map(|error| fitting(error, MAX_ERROR))
                .into(),
        ];
        self.database()
            .execute(&REPORT_SERVER, &values)
            .await
            .map(drop)
    }

    /// Every server that has reported, in order of their starts.
    pub async fn servers(&self) -> Result<Vec<ServerRow>> {
        self.database()
            .all(&SERVERS, &[])
            .await?
            .iter()
            .map(server_row)
            .collect()
    }

    /// Forgets a server that shuts down. Bookkeeping.
    pub async fn remove_server(&self, server: Uuid) -> Result<()> {
        self.database()
            .execute(&REMOVE_SERVER, &[server.into()])
            .await
            .map(drop)
    }

    /// Forgets servers without a heartbeat since `before`; returns how many. Bookkeeping.
    pub async fn remove_stale_servers(&self, before: Timestamp) -> Result<u64> {
        self.database()
            .execute(&REMOVE_STALE_SERVERS, &[before.into()])
            .await
    }
}

impl UnitOfWork {
    /// Sequence of the newest activation; 0 before the first.
    pub(crate) async fn last_activation(&mut self) -> Result<i64> {
        self.one(&LAST_ACTIVATION, &[]).await?.integer("sequence")
    }

    /// Stores a module. Returns false if it existed already.
    pub async fn add_module(&mut self, module: &NewModule<'_>) -> Result<bool> {
        let values = [
            module.digest.into(),
            module.name.into(),
            module.version.into(),
            module.bytes.into(),
            module.added_at.into(),
        ];
        Ok(self.execute(&ADD_MODULE, &values).await? == 1)
    }

    /// Number of the newest set with this specification. No one adds one until this unit ends: it
    /// waits for another unit that adds or checks, and is called before modules are added, which
    /// two units may lock in different orders.
    pub async fn same_policy_set(&mut self, spec: &str) -> Result<Option<i64>> {
        self.take_turn().await?;
        self.optional(&SAME_SET, &[spec.into()])
            .await?
            .map(|row| row.integer("number"))
            .transpose()
    }

    /// Stores a set and returns its number. One at a time: waits for another unit that does the
    /// same.
    pub async fn add_policy_set(&mut self, set: &NewPolicySet<'_>) -> Result<i64> {
        self.take_turn().await?;
        self.one(
            &ADD_SET,
            &[
                set.name.into(),
                set.spec.into(),
                set.created_at.into(),
                set.created_by.into(),
            ],
        )
        .await?
        .integer("number")
    }

    /// Activates a set and returns the activation's sequence. Servers pick it up.
    /// `Conflict::ReferenceGone` if there is no such set. With `expected`, only while that
    /// activation (0: none) is in force, else `Conflict::Raced`. The activation of
    /// [`decided_under`](Self::decided_under) must be in force until then.
    pub async fn activate_policy_set(
        &mut self,
        activation: &NewActivation<'_>,
        expected: Option<i64>,
    ) -> Result<i64> {
        self.take_turn().await?;
        let last = self.last_activation().await?;
        if expected.is_some_and(|expected| expected != last) {
            return self.refuse(Conflict::Raced);
        }
        if self.decided_under.take().is_some_and(|under| under != last) {
            return self.refuse(Conflict::PoliciesReplaced);
        }
        let sequence = last + 1;
        let values = [
            sequence.into(),
            activation.set_number.into(),
            activation.at.into(),
            activation.by.into(),
            activation.kind.as_str().into(),
            activation.reason.into(),
        ];
        self.execute(&ACTIVATE, &values).await?;
        Ok(sequence)
    }
}

fn module_row(row: &Row) -> Result<ModuleRow> {
    Ok(ModuleRow {
        digest: row.parsed("digest")?,
        name: row.text("name")?,
        version: row.text("version")?,
        size: row.count("size")?,
        added_at: row.time("added_at")?,
    })
}

fn set_row(row: &Row) -> Result<PolicySetRow> {
    Ok(PolicySetRow {
        number: row.integer("number")?,
        name: row.text("name")?,
        spec: row.text("spec")?,
        created_at: row.time("created_at")?,
        created_by: row.optional_parsed("created_by")?,
    })
}

fn activation_row(row: &Row) -> Result<ActivationRow> {
    Ok(ActivationRow {
        sequence: row.integer("sequence")?,
        set_number: row.integer("set_number")?,
        set_name: row.text("set_name")?,
        at: row.time("at")?,
        by: row.optional_parsed("activated_by")?,
        kind: row.read("kind", ActivationKind::from_word)?,
        reason: row.text("reason")?,
    })
}

fn server_row(row: &Row) -> Result<ServerRow> {
    Ok(ServerRow {
        server: row.parsed("server")?,
        host: row.text("host")?,
        pid: row.integer("pid")?.try_into().unwrap_or(0),
        set_number: row.optional_integer("set_number")?,
        started_at: row.time("started_at")?,
        heartbeat_at: row.time("heartbeat_at")?,
        last_error: row.optional_text("last_error")?,
        last_error_set: row.optional_integer("last_error_set")?,
        watched: match row.optional_text("watched_folder")? {
            Some(folder) => Some(WatchedFolder {
                folder,
                looked_at: row.time("watched_at")?,
                set_number: row.optional_integer("watched_set")?,
                error: row.optional_text("watched_error")?,
            }),
            None => None,
        },
    })
}
