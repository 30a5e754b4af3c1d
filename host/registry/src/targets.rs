//! The subjects of decisions. Each holds everything that its use case acts on, and the facts for
//! the decision, loaded together by the loader of its use case.
//!
//! Fields are private to this crate: no other crate can build a target that shows one thing to the
//! gate and another to the use case.

use std::borrow::Cow;
use std::sync::Arc;

use gate::{
    ChangeFacts, FileFacts, MetadataFacts, ProjectFacts, ReleaseFacts, ReleaseStanding, Target,
    TargetFacts, VersionOrder,
};
use model::limit::SMALL_PROJECT;
use model::{
    Action, Caller, Factors, FileKind, ProjectId, ProjectStatus, ReleaseState, Role, Timestamp,
    TokenId, UserId, UserName, Version,
};
use serde_json::{Map, Value};
use storage::projects::ProjectRow;
use storage::releases::ReleaseRow;
use storage::{Storage, StorageError, UnitOfWork};
use turns::Asker;

use crate::archive::{ArchiveError, Inspected};
use crate::index::cache::ProjectEntry;
use crate::spool::SpooledFile;
use crate::upload::submission::Submission;

/// A project as one request knows it; it may not exist.
#[derive(Clone, Debug)]
pub(crate) struct KnownProject {
    pub(crate) normalized: String,
    /// The user whose role that is; none on the command line.
    pub(crate) by: Option<UserId>,
    pub(crate) row: Option<ProjectRow>,
    pub(crate) role: Option<Role>,
    pub(crate) settings: Value,
}

impl KnownProject {
    /// Loads project, role and settings with one query.
    pub(crate) async fn load(
        storage: &Storage,
        normalized: &str,
        caller: Option<&Caller>,
    ) -> Result<Self, StorageError> {
        let user = caller.and_then(Caller::user).map(|user| user.id);
        let found = storage.project_facts(normalized, user).await?;
        Ok(match found {
            Some(facts) => Self {
                normalized: normalized.to_owned(),
                by: user,
                row: Some(facts.project),
                role: facts.role,
                settings: settings_value(facts.settings),
            },
            None => Self {
                by: user,
                ..Self::absent(normalized)
            },
        })
    }

    pub(crate) fn absent(normalized: &str) -> Self {
        Self {
            normalized: normalized.to_owned(),
            by: None,
            row: None,
            role: None,
            settings: Value::Object(Map::new()),
        }
    }

    pub(crate) fn id(&self) -> Option<ProjectId> {
        self.row.as_ref().map(|row| row.id)
    }

    /// The project, after the decision: before that, its absence must not be revealed.
    pub(crate) fn existing(&self) -> Result<&ProjectRow, NoSuchProject> {
        self.row
            .as_ref()
            .ok_or_else(|| NoSuchProject(self.normalized.clone()))
    }

    /// Whether the caller may know nothing about the project except its name. The command line may
    /// know everything.
    pub(crate) fn hides_from_caller(&self, caller: Option<&Caller>) -> bool {
        caller.is_some() && self.role.is_none()
    }

    pub(crate) fn facts(&self) -> ProjectFacts<'_> {
        ProjectFacts {
            id: self.id(),
            normalized: &self.normalized,
            status: self
                .row
                .as_ref()
                .map_or(ProjectStatus::Active, |row| row.status),
            role: self.role,
            owner_settings: Cow::Borrowed(&self.settings),
        }
    }
}

/// There is no project of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no project '{0}'")]
pub struct NoSuchProject(pub String);

/// Whether status and role are still those of the decision. Checked inside the unit of work, which
/// keeps them unchanged until it ends: a role that was removed a moment ago grants nothing. The
/// command line's decisions involve no role.
pub(crate) async fn still_holds(
    unit: &mut UnitOfWork,
    project: &KnownProject,
) -> Result<bool, StorageError> {
    let Some(row) = &project.row else {
        return Ok(false);
    };
    let Some((status, role)) = unit.hold_project(row.id, project.by).await? else {
        return Ok(false);
    };
    Ok(status == row.status && (project.by.is_none() || role == project.role))
}

/// `{policy: {setting: value}}`, the form that the gate reads.
pub(crate) fn settings_value(settings: Vec<(String, Map<String, Value>)>) -> Value {
    Value::Object(
        settings
            .into_iter()
            .map(|(policy, chosen)| (policy, Value::Object(chosen)))
            .collect(),
    )
}

const SECONDS_PER_DAY: u64 = 24 * 60 * 60;

/// A release as one request knows it; it may not exist.
#[derive(Clone, Debug)]
pub(crate) struct KnownRelease {
    pub(crate) version: Version,
    pub(crate) row: Option<ReleaseRow>,
    pub(crate) newest: Option<Version>,
    pub(crate) age: u64,
    pub(crate) staged_by: Vec<TokenId>,
    pub(crate) staged_by_users: Vec<UserId>,
    /// Names of the staged files in order, with their SHA-256 in hex.
    pub(crate) staged_files: Vec<(String, String)>,
    /// The source distribution among its files, staged ones included.
    pub(crate) source_distribution: Option<String>,
}

impl KnownRelease {
    pub(crate) fn absent(version: Version, newest: Option<Version>) -> Self {
        Self {
            version,
            row: None,
            newest,
            age: 0,
            staged_by: Vec::new(),
            staged_by_users: Vec::new(),
            staged_files: Vec::new(),
            source_distribution: None,
        }
    }

    pub(crate) async fn load(
        storage: &Storage,
        project: Option<ProjectId>,
        version: &Version,
        now: Timestamp,
    ) -> Result<Self, StorageError> {
        let Some(project) = project else {
            return Ok(Self::absent(version.clone(), None));
        };
        let newest = storage.published_versions(project).await?.into_iter().max();
        let mut known = Self::absent(version.clone(), newest);
        let Some(row) = storage.release(project, version).await? else {
            return Ok(known);
        };
        // While it is staged, since its newest file: otherwise an attacker could stage a harmless
        // file early, and add the one that matters right before publication.
        let mut since = row.published_at.unwrap_or(row.created_at);
        for file in storage.files_of(row.id).await? {
            if file.kind == FileKind::Sdist {
                known.source_distribution = Some(file.name.clone());
            }
            if file.state == ReleaseState::Staged {
                since = if row.published_at.is_none() {
                    since.max(file.uploaded_at)
                } else {
                    since
                };
                known.staged_by.extend(
                    file.uploaded_with
                        .filter(|token| !known.staged_by.contains(token)),
                );
                known.staged_by_users.extend(
                    file.uploaded_by
                        .filter(|user| !known.staged_by_users.contains(user)),
                );
                known
                    .staged_files
                    .push((file.name, file.digests.sha256_hex()));
            }
        }
        known.age = since.age_at(now);
        known.row = Some(row);
        Ok(known)
    }

    /// `limit`, if the release was published more than that many days ago and so takes no more
    /// files. A staged release is not published yet, and may wait as long as it likes.
    pub(crate) fn closed_after_days(&self, limit: Option<u32>) -> Option<u32> {
        let is_published = self
            .row
            .as_ref()
            .is_some_and(|row| row.state == ReleaseState::Published);
        limit.filter(|&days| is_published && self.age > u64::from(days) * SECONDS_PER_DAY)
    }

    pub(crate) fn facts(&self) -> ReleaseFacts<'_> {
        ReleaseFacts {
            version: &self.version,
            standing: match self.row.as_ref().map(|row| row.state) {
                None => ReleaseStanding::Absent,
                Some(ReleaseState::Staged) => ReleaseStanding::Staged,
                Some(ReleaseState::Published) => ReleaseStanding::Published,
            },
            age: self.age,
            order: order(&self.version, self.newest.as_ref()),
            newest: self.newest.as_ref(),
            staged_by: &self.staged_by,
            staged_by_users: &self.staged_by_users,
        }
    }
}

fn order(version: &Version, newest: Option<&Version>) -> VersionOrder {
    match newest.map(|newest| version.cmp(newest)) {
        None => VersionOrder::First,
        Some(std::cmp::Ordering::Less) => VersionOrder::Older,
        Some(std::cmp::Ordering::Equal) => VersionOrder::Same,
        Some(std::cmp::Ordering::Greater) => VersionOrder::Newer,
    }
}

/// Upload one file.
#[derive(Debug)]
pub struct UploadFile {
    pub(crate) project: KnownProject,
    pub(crate) release: KnownRelease,
    pub(crate) submission: Submission,
    /// None once it has become a blob.
    pub(crate) file: Option<SpooledFile>,
    pub(crate) uploader: Option<UserId>,
    pub(crate) token: Option<TokenId>,
    /// The result of inspecting the file; none before that.
    pub(crate) inspected: Option<Result<Inspected, ArchiveError>>,
    pub(crate) metadata: Option<MetadataFacts>,
}

impl UploadFile {
    /// Stored bytes: of the file and of its core metadata.
    pub(crate) fn cost(&self) -> u64 {
        let metadata = self
            .inspected
            .as_ref()
            .and_then(|inspected| inspected.as_ref().ok())
            .map_or(0, |inspected| inspected.metadata_file.len() as u64);
        self.submission
            .size
            .saturating_add(if self.keeps_metadata() { metadata } else { 0 })
    }

    /// Whether its core metadata is stored: a wheel's is served next to it, and pages show that of
    /// the first visible file of a release.
    pub(crate) fn keeps_metadata(&self) -> bool {
        self.submission.kind == FileKind::Wheel
            || self
                .release
                .row
                .as_ref()
                .is_none_or(|row| row.state == ReleaseState::Staged)
    }
}

impl Target for UploadFile {
    fn facts(&self) -> TargetFacts<'_> {
        let submission = &self.submission;
        TargetFacts {
            action: Action::FileUpload,
            project: Some(self.project.facts()),
            release: Some(self.release.facts()),
            file: Some(FileFacts {
                name: &submission.file_name,
                kind: submission.kind,
                size: submission.size,
                digests: submission.digests,
            }),
            metadata: self.metadata.as_ref(),
            change: ChangeFacts::Nothing,
        }
    }
}

/// Create a project by a first upload.
#[derive(Debug)]
pub struct CreateProject {
    pub(crate) project: KnownProject,
    pub(crate) name: model::ProjectName,
    pub(crate) owner: UserId,
}

impl Target for CreateProject {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts {
            project: Some(self.project.facts()),
            ..TargetFacts::of(Action::ProjectCreate)
        }
    }
}

/// Whether a caller could upload to a project at all; only for the core rules.
#[derive(Debug)]
pub(crate) struct UploadSomething {
    pub(crate) project: KnownProject,
}

impl Target for UploadSomething {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts {
            project: Some(self.project.facts()),
            ..TargetFacts::of(Action::FileUpload)
        }
    }
}

/// Read the list of projects, and the facts about all of them.
#[derive(Clone, Debug)]
pub struct ReadList(pub(crate) ());

/// Read a project's pages.
#[derive(Clone, Debug)]
pub struct ReadProject {
    pub(crate) asker: Asker,
    pub(crate) project: SeenProject,
}

/// A project to read; it may not exist for readers.
#[derive(Clone, Debug)]
pub(crate) struct SeenProject {
    pub(crate) normalized: String,
    pub(crate) found: Found,
    pub(crate) role: Option<Role>,
}

/// The known data of a project to read.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// There is none that readers see, or it was not looked up.
    Nothing,
    /// The data for decisions. Its files are loaded only for permitted readers.
    Row {
        row: Box<ProjectRow>,
        settings: Value,
        /// How many files it has, staged ones included; none if they have not been counted yet.
        files: Option<u64>,
    },
    /// All of it, from memory.
    Entry(Arc<ProjectEntry>),
}

static NO_SETTINGS: Value = Value::Null;

impl SeenProject {
    /// Without any lookup.
    pub(crate) fn unseen(normalized: &str) -> Self {
        Self {
            normalized: normalized.to_owned(),
            found: Found::Nothing,
            role: None,
        }
    }

    fn facts(&self) -> ProjectFacts<'_> {
        let (row, settings) = match &self.found {
            Found::Nothing => (None, &NO_SETTINGS),
            Found::Row { row, settings, .. } => (Some(&**row), settings),
            Found::Entry(entry) => (Some(&entry.project), &entry.settings),
        };
        ProjectFacts {
            id: row.map(|row| row.id),
            normalized: &self.normalized,
            status: row.map_or(ProjectStatus::Active, |row| row.status),
            role: self.role,
            owner_settings: Cow::Borrowed(settings),
        }
    }

    /// Whether building its pages takes negligible time.
    pub(crate) fn is_small(&self) -> bool {
        let files = match &self.found {
            Found::Nothing => Some(0),
            Found::Row { files, .. } => *files,
            Found::Entry(entry) => Some(entry.files.len() as u64),
        };
        files.is_some_and(|files| files <= u64::from(SMALL_PROJECT.get()))
    }

    /// All of it, if that is in memory.
    pub(crate) fn entry(&self) -> Option<&Arc<ProjectEntry>> {
        match &self.found {
            Found::Entry(entry) => Some(entry),
            Found::Nothing | Found::Row { .. } => None,
        }
    }
}

impl ReadProject {
    /// Its name in addresses.
    pub fn normalized(&self) -> &str {
        &self.project.normalized
    }

    /// Its status; active if readers see no such project.
    pub fn status(&self) -> ProjectStatus {
        self.project.facts().status
    }
}

impl Target for ReadList {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::IndexRead)
    }
}

impl Target for ReadProject {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts {
            project: Some(self.project.facts()),
            ..TargetFacts::of(Action::IndexRead)
        }
    }
}

/// Download a file or its metadata.
#[derive(Clone, Debug)]
pub struct DownloadFile {
    pub(crate) project: SeenProject,
    /// The requested BLAKE2b-256 in hex, if it is well-formed, and the file's name.
    pub(crate) wanted: Option<(String, String)>,
    /// Position of the file in the project's entry; none if there is no such file.
    pub(crate) file: Option<usize>,
    /// The `.metadata` next to the file.
    pub(crate) wants_metadata: bool,
    /// The moment of the request.
    pub(crate) now: Timestamp,
}

impl DownloadFile {
    /// Finds the file in the project's data in memory.
    pub(crate) fn find(&mut self) {
        self.file = match (self.project.entry(), &self.wanted) {
            (Some(entry), Some((hex, name))) => entry.position(name, hex),
            _ => None,
        };
    }

    pub(crate) fn row(&self) -> Option<&storage::files::FileRow> {
        self.project.entry()?.files.get(self.file?)
    }
}

impl Target for DownloadFile {
    fn facts(&self) -> TargetFacts<'_> {
        let newest = self.project.entry().and_then(|entry| entry.newest());
        TargetFacts {
            project: Some(self.project.facts()),
            release: self.row().map(|file| ReleaseFacts {
                version: &file.version,
                standing: ReleaseStanding::Published,
                age: file
                    .published_at
                    .unwrap_or(file.uploaded_at)
                    .age_at(self.now),
                order: order(&file.version, newest),
                newest,
                staged_by: &[],
                staged_by_users: &[],
            }),
            file: self.row().map(|file| FileFacts {
                name: &file.name,
                kind: file.kind,
                size: file.size,
                digests: file.digests,
            }),
            ..TargetFacts::of(Action::FileDownload)
        }
    }
}

/// See staged releases: of one project, of all projects of a user, or (on the command line) of all.
#[derive(Clone, Debug)]
pub struct PreviewReleases {
    pub(crate) scope: PreviewScope,
}

#[derive(Clone, Debug)]
pub(crate) enum PreviewScope {
    Project(Box<KnownProject>),
    ProjectsOf(UserId),
    Nothing,
    Everything,
}

impl Target for PreviewReleases {
    fn facts(&self) -> TargetFacts<'_> {
        let project = match &self.scope {
            PreviewScope::Project(project) => Some(project.facts()),
            PreviewScope::ProjectsOf(_) | PreviewScope::Nothing | PreviewScope::Everything => None,
        };
        TargetFacts {
            project,
            ..TargetFacts::of(Action::ReleasePreview)
        }
    }
}

macro_rules! staged_release_targets {
    ($($(#[$doc:meta])* $name:ident = $action:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            pub(crate) project: KnownProject,
            pub(crate) release: KnownRelease,
        }

        impl $name {
            /// The staged files of this target, in order of names, each with its SHA-256 in hex: a
            /// person is asked to confirm them, or they are compared with the confirmed ones.
            /// Nothing else is published or rejected, whatever is staged in between.
            pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
                self.release.staged_files.iter().map(|(name, sha256)| (name.as_str(), sha256.as_str()))
            }
        }

        impl Target for $name {
            fn facts(&self) -> TargetFacts<'_> {
                TargetFacts { project: Some(self.project.facts()), release: Some(self.release.facts()), ..TargetFacts::of(Action::$action) }
            }
        }
    )*};
}

staged_release_targets! {
    /// Publish a staged release.
    PublishRelease = ReleasePublish,
    /// Discard a staged release.
    RejectRelease = ReleaseReject,
}

macro_rules! role_targets {
    ($($(#[$doc:meta])* $name:ident = $action:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            pub(crate) project: KnownProject,
            pub(crate) user_name: UserName,
            /// The user, if there is one, with their factors.
            pub(crate) user: Option<(UserId, Factors)>,
            pub(crate) before: Option<Role>,
            pub(crate) after: Option<Role>,
        }

        impl Target for $name {
            fn facts(&self) -> TargetFacts<'_> {
                let factors = self.user.map(|(_, factors)| factors).unwrap_or_default();
                let change = ChangeFacts::Role { user: self.user_name.as_written(), before: self.before, after: self.after, factors };
                TargetFacts { project: Some(self.project.facts()), change, ..TargetFacts::of(Action::$action) }
            }
        }
    )*};
}

role_targets! {
    /// Give a user a role.
    GrantRole = RoleGrant,
    /// Remove a role.
    RevokeRole = RoleRevoke,
}

/// Change the owners' choices for a policy.
#[derive(Clone, Debug)]
pub struct ConfigureProject {
    pub(crate) project: KnownProject,
    pub(crate) policy: String,
    pub(crate) settings: Map<String, Value>,
}

impl Target for ConfigureProject {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts {
            project: Some(self.project.facts()),
            ..TargetFacts::of(Action::ProjectConfigure)
        }
    }
}

/// Change a project's status.
#[derive(Clone, Debug)]
pub struct SetProjectStatus {
    pub(crate) project: KnownProject,
    pub(crate) status: ProjectStatus,
    pub(crate) reason: Option<String>,
}

impl SetProjectStatus {
    fn action(&self) -> Action {
        let before = self
            .project
            .row
            .as_ref()
            .map_or(ProjectStatus::Active, |row| row.status);
        match (before, self.status) {
            (_, ProjectStatus::Archived) => Action::ProjectArchive,
            (ProjectStatus::Archived, _) => Action::ProjectUnarchive,
            _ => Action::ProjectConfigure,
        }
    }
}

impl Target for SetProjectStatus {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts {
            project: Some(self.project.facts()),
            ..TargetFacts::of(self.action())
        }
    }
}
