//! A database for one test, and small registries to put into it.

use std::sync::Arc;

use model::audit::{AuditEvent, Detail, EventKind};
use model::{
    Digests, FileId, FileKind, ProjectId, ProjectName, ReleaseId, ReleaseState, Role, Timestamp,
    TokenId, UserId, UserName, Version,
};
use sqlx::{Connection, Executor};
use storage::files::NewFile;
use storage::projects::NewProject;
use storage::releases::NewRelease;
use storage::tokens::NewToken;
use storage::usage::Usage;
use storage::users::NewUser;
use storage::{Committed, Conflict, DatabaseKind, Result, Secret, SecretHash, Storage, UnitOfWork};
use tokio::sync::Barrier;

use crate::postgres;

/// A migrated database.
pub(crate) struct Fixture {
    pub(crate) storage: Storage,
    pub(crate) url: String,
}

impl Fixture {
    async fn at(url: String) -> Self {
        let storage = Storage::connect(&url).await.unwrap();
        storage.migrate().await.unwrap();
        Self { storage, url }
    }

    /// Another connection to the same database, like another process.
    pub(crate) async fn again(&self) -> Storage {
        Storage::connect(&self.url).await.unwrap()
    }
}

impl Fixture {
    /// SQL by hand that no method of the crate would run; or why the database refused it.
    pub(crate) async fn by_hand(&self, statement: &'static str) -> std::result::Result<(), String> {
        let run = async {
            if self.storage.kind() == DatabaseKind::Sqlite {
                sqlx::SqliteConnection::connect(&self.url)
                    .await?
                    .execute(statement)
                    .await
                    .map(drop)
            } else {
                sqlx::PgConnection::connect(&self.url)
                    .await?
                    .execute(statement)
                    .await
                    .map(drop)
            }
        };
        run.await.map_err(|error| error.to_string())
    }
}

/// Runs a test on SQLite and on PostgreSQL.
pub(crate) async fn on_both(test: impl AsyncFn(Fixture)) {
    let folder = tempfile::tempdir().unwrap();
    test(Fixture::at(format!("sqlite:{}/registry.db", folder.path().display())).await).await;
    if let Some(database) = tokio::task::spawn_blocking(postgres::new_database)
        .await
        .unwrap()
    {
        test(Fixture::at(database.url.clone()).await).await;
    }
}

/// Lets `count` tasks do the same at the same time, through two servers; returns their results.
pub(crate) async fn at_once<T, F>(
    fixture: &Fixture,
    count: usize,
    work: impl Fn(Storage, usize) -> F,
) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let storages = [fixture.storage.clone(), fixture.again().await];
    let start = Arc::new(Barrier::new(count));
    let task = |number: usize| {
        let storage = storages[number % 2].clone();
        let (start, work) = (start.clone(), work(storage.clone(), number));
        tokio::spawn(async move {
            // Opens the connection first, so that they meet in the database.
            storage.ping().await.unwrap();
            start.wait().await;
            work.await
        })
    };
    let tasks: Vec<_> = (0..count).map(task).collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

/// A hash that differs by number, for secrets in browsers and mails.
pub(crate) fn hash(number: u8) -> SecretHash {
    [number; 32]
}

/// A time, in seconds.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

pub(crate) fn event(kind: EventKind) -> AuditEvent {
    AuditEvent::of_server(at(1000), Detail::read(kind, &serde_json::json!({})))
}

/// The conflict that a result failed with.
pub(crate) fn conflict<T: std::fmt::Debug>(result: Result<T>) -> Conflict {
    result.unwrap_err().conflict().expect("a conflict")
}

/// Runs one unit of work and commits it.
pub(crate) async fn commit<T>(
    storage: &Storage,
    work: impl AsyncFnOnce(&mut UnitOfWork) -> Result<T>,
) -> Result<T> {
    let mut unit = storage.begin().await?;
    let value = work(&mut unit).await?;
    unit.commit(&event(EventKind::ProjectConfigured)).await?;
    Ok(value)
}

/// The same, returning the result of the commit.
pub(crate) async fn committed(
    storage: &Storage,
    work: impl AsyncFnOnce(&mut UnitOfWork) -> Result<()>,
) -> Committed {
    let mut unit = storage.begin().await.unwrap();
    work(&mut unit).await.unwrap();
    unit.commit(&event(EventKind::ProjectConfigured))
        .await
        .unwrap()
}

pub(crate) async fn user(storage: &Storage, name: &str) -> UserId {
    let id = UserId::new();
    let name = UserName::parse(name).unwrap();
    commit(storage, async |unit| {
        unit.create_user(&NewUser {
            id,
            name: &name,
            created_at: at(1),
            staff: false,
        })
        .await
    })
    .await
    .unwrap();
    id
}

pub(crate) async fn try_project(storage: &Storage, name: &str) -> Result<ProjectId> {
    let id = ProjectId::new();
    let name = ProjectName::parse(name).unwrap();
    commit(storage, async |unit| {
        unit.create_project(&NewProject {
            id,
            name: &name,
            created_at: at(2),
        })
        .await
    })
    .await?;
    Ok(id)
}

pub(crate) async fn project(storage: &Storage, name: &str) -> ProjectId {
    try_project(storage, name).await.unwrap()
}

pub(crate) async fn grant(
    storage: &Storage,
    project: ProjectId,
    user: UserId,
    role: Role,
) -> Result<Option<Role>> {
    commit(storage, async |unit| {
        unit.grant_role(project, user, role, at(3)).await
    })
    .await
}

pub(crate) async fn try_token(
    storage: &Storage,
    user: UserId,
    description: &str,
) -> Result<TokenId> {
    let id = TokenId::new();
    let key = Secret::new([7; 32]);
    let stored_caveats = [r#"[1,["sample"]]"#.to_owned()];
    let token = NewToken {
        id,
        user,
        description,
        key: &key,
        stored_caveats: &stored_caveats,
        created_at: at(4),
        made_with_second_factor: true,
    };
    commit(storage, async |unit| unit.create_token(&token).await).await?;
    Ok(id)
}

/// Digests that differ with the text.
pub(crate) fn digests(content: &str) -> Digests {
    let mut bytes = [0; 32];
    for (position, byte) in content.bytes().enumerate() {
        bytes[position % 32] ^= byte.rotate_left(position as u32 / 32);
    }
    Digests {
        md5: bytes[..16].try_into().unwrap(),
        sha256: bytes,
        blake2_256: bytes,
    }
}

/// A wheel whose content is its name, unless set otherwise.
pub(crate) struct Upload<'a> {
    pub(crate) project: ProjectId,
    pub(crate) version: &'a str,
    pub(crate) name: &'a str,
    pub(crate) content: &'a str,
    pub(crate) kind: FileKind,
    pub(crate) state: ReleaseState,
}

impl<'a> Upload<'a> {
    pub(crate) fn published(project: ProjectId, version: &'a str, name: &'a str) -> Self {
        let kind = if name.ends_with(".tar.gz") {
            FileKind::Sdist
        } else {
            FileKind::Wheel
        };
        Self {
            project,
            version,
            name,
            content: name,
            kind,
            state: ReleaseState::Published,
        }
    }

    pub(crate) fn staged(project: ProjectId, version: &'a str, name: &'a str) -> Self {
        Self {
            state: ReleaseState::Staged,
            ..Self::published(project, version, name)
        }
    }

    /// Writes an upload as the registry does.
    pub(crate) async fn write_to(&self, unit: &mut UnitOfWork) -> Result<ReleaseId> {
        self.write(unit).await.map(|(release, _)| release)
    }

    /// The same, returning the project's usage.
    pub(crate) async fn add_to(&self, unit: &mut UnitOfWork) -> Result<Usage> {
        self.write(unit).await.map(|(_, usage)| usage)
    }

    async fn write(&self, unit: &mut UnitOfWork) -> Result<(ReleaseId, Usage)> {
        let version = Version::parse(self.version).unwrap();
        let release = NewRelease {
            id: ReleaseId::new(),
            project: self.project,
            version: &version,
            metadata_sha256: Some([3; 32]),
            created_at: at(10),
        };
        let release = unit.ensure_release(&release).await?.id;
        let file = NewFile {
            id: FileId::new(),
            release,
            name: self.name,
            name_key: &self.name.to_lowercase(),
            kind: self.kind,
            size: 1000,
            digests: digests(self.content),
            requires_python: Some(">=3.9"),
            metadata_sha256: Some([3; 32]),
            metadata_size: Some(100),
            python_version: "py3",
            comment: None,
            uploaded_at: at(11),
            uploaded_by: None,
            uploaded_with: None,
            state: self.state,
        };
        let usage = unit.add_file(&file).await?;
        Ok((release, usage))
    }

    pub(crate) async fn to(&self, storage: &Storage) -> Result<ReleaseId> {
        commit(storage, async |unit| self.write_to(unit).await).await
    }
}
