//! A policy set as a folder of files: `set.toml`, modules, `cases/*.toml`.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::audit::{Actor, AuditEvent, Detail};
use model::{ModuleDigest, Timestamp};
use policy_engine::{PolicySet, SetSpec};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use storage::policies::{NewModule, NewPolicySet};
use storage::{Storage, StorageError};

use crate::generations::{InstallError, assemble};
use crate::judgement::Judgement;

/// Most bytes of a set file or a case file.
const TEXT_LIMIT: u64 = 1 << 20;
/// Most case files.
const CASE_FILES: usize = 200;
/// Most bytes of a module. The engine depends on no crate of the workspace, so it has its own copy
/// of the number.
const MODULE_LIMIT: u64 = model::limit::POLICY_MODULE_BYTES.get();
const _: () = assert!(MODULE_LIMIT == policy_engine::MAXIMUM_MODULE_BYTES as u64);

/// A set with everything it needs, read from a folder and not yet stored.
#[derive(Clone, Debug, PartialEq)]
pub struct SetPackage {
    /// The parsed set file, each binding naming its module's digest.
    pub spec: SetSpec,
    /// The modules' file names and bytes, one per binding, in order.
    pub modules: Vec<(String, Arc<[u8]>)>,
    /// The case files' names and texts, in order of name.
    pub cases: Vec<(String, String)>,
}

/// A set as it is stored: it names its modules by their digests.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredSet {
    pub(crate) spec: SetSpec,
    pub(crate) cases: Vec<(String, String)>,
}

/// The set as it was written, from its row in the database.
pub fn stored_spec(row: &storage::policies::PolicySetRow) -> Result<SetSpec, serde_json::Error> {
    serde_json::from_str::<StoredSet>(&row.spec).map(|stored| stored.spec)
}

/// Why a folder is not a policy set.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// A file cannot be read.
    #[error("cannot read {path}: {cause}")]
    Unreadable {
        path: PathBuf,
        cause: std::io::Error,
    },
    /// A path that should be a file is something else.
    #[error("{path} is not a regular file")]
    NotAFile { path: PathBuf },
    /// There are too many case files.
    #[error("{path} holds more than {limit} case files")]
    TooManyCases { path: PathBuf, limit: usize },
    /// A file is too large.
    #[error("{path} is larger than {limit} bytes")]
    TooLarge { path: PathBuf, limit: u64 },
    /// The set file is wrong.
    #[error("{path}: {error}")]
    Invalid {
        path: PathBuf,
        error: policy_engine::SetError,
    },
    /// A module's name is a path.
    #[error("{path}: module `{module}` must be a file name without any folder")]
    ModuleName { path: PathBuf, module: String },
    /// A module was not found.
    #[error(
        "module {module} is neither in {folder} nor in {modules}; build it first (`cargo xtask build-plugins` builds those of this repository)"
    )]
    ModuleMissing {
        module: String,
        folder: PathBuf,
        modules: PathBuf,
    },
}

/// SHA-256 of a module's bytes.
pub fn digest_of(bytes: &[u8]) -> ModuleDigest {
    ModuleDigest(Sha256::digest(bytes).into())
}

impl SetPackage {
    /// Reads the set in `folder`. A module is looked for in the folder itself, then in
    /// `../modules`.
    pub fn read(folder: &Path) -> Result<Self, PackageError> {
        let set_file = folder.join("set.toml");
        let text = read_text(&set_file)?;
        let mut spec = SetSpec::parse(&text).map_err(|error| PackageError::Invalid {
            path: set_file.clone(),
            error,
        })?;
        let mut modules = Vec::with_capacity(spec.bindings.len());
        for binding in &mut spec.bindings {
            let bytes = read_module(folder, &set_file, &binding.module)?;
            binding.digest = Some(digest_of(&bytes).to_string());
            modules.push((binding.module.clone(), bytes));
        }
        Ok(Self {
            spec,
            modules,
            cases: read_cases(&folder.join("cases"))?,
        })
    }

    /// Validates everything a server would validate: loads and compiles the modules,
    /// assembles the set, runs its cases. Blocking.
    pub fn verify(self, engine: &policy_engine::Engine) -> Result<VerifiedPackage, InstallError> {
        let set = assemble(engine, 0, &self.spec, &self.modules, &self.cases)?;
        Ok(VerifiedPackage { package: self, set })
    }
}

/// A set that was loaded, assembled and tested here. Only such a set can be stored.
pub struct VerifiedPackage {
    package: SetPackage,
    set: PolicySet,
}

impl VerifiedPackage {
    /// The assembled set; its number is 0 until it is stored.
    pub fn set(&self) -> &PolicySet {
        &self.set
    }

    /// Whether the set does what a registry needs, as far as its policies can be asked in
    /// advance. Blocking: some 100 milliseconds.
    pub fn judge(&self) -> Judgement {
        Judgement::of(&self.set, self.case_files())
    }

    /// How many case files the set was tested with.
    pub fn case_files(&self) -> usize {
        self.package.cases.len()
    }

    /// Stores modules and set in one audited transaction and returns the set's number. A set equal
    /// to a stored one gets that one's number again: applying the same folder twice creates one
    /// set, even if several servers that watch it read a change at the same moment.
    pub async fn store(
        &self,
        storage: &Storage,
        actor: &Actor,
        at: Timestamp,
    ) -> Result<u64, StorageError> {
        let spec = serde_json::to_string(&StoredSet {
            spec: self.package.spec.clone(),
            cases: self.package.cases.clone(),
        })
        .map_err(|error| StorageError::Corrupt(error.to_string()))?;
        let mut unit = storage.begin().await?;
        if let Some(number) = unit.same_policy_set(&spec).await? {
            return u64::try_from(number).map_err(|error| StorageError::Corrupt(error.to_string()));
        }
        for (policy, (_, bytes)) in self.set.policies().zip(&self.package.modules) {
            unit.add_module(&NewModule {
                digest: digest_of(bytes),
                name: &policy.policy,
                version: &policy.version,
                bytes,
                added_at: at,
            })
            .await?;
        }
        let number = unit
            .add_policy_set(&NewPolicySet {
                name: &self.package.spec.name,
                spec: &spec,
                created_at: at,
                created_by: None,
            })
            .await?;
        let detail = Detail::PolicySetAdded {
            set: number,
            name: self.package.spec.name.clone(),
        };
        unit.commit(&AuditEvent::new(at, actor.clone(), detail))
            .await?;
        u64::try_from(number).map_err(|error| StorageError::Corrupt(error.to_string()))
    }
}

/// Reads a regular file within a bound. Something that only looks like one (a device, a pipe) could
/// be read forever.
fn read_bytes(path: &Path, limit: u64) -> Result<Vec<u8>, PackageError> {
    let unreadable = |cause| PackageError::Unreadable {
        path: path.to_owned(),
        cause,
    };
    // Checked before it is opened: opening a pipe waits for a writer.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(PackageError::NotAFile {
            path: path.to_owned(),
        });
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .map_err(unreadable)?
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > limit {
        return Err(PackageError::TooLarge {
            path: path.to_owned(),
            limit,
        });
    }
    Ok(bytes)
}

fn read_text(path: &Path) -> Result<String, PackageError> {
    let bytes = read_bytes(path, TEXT_LIMIT)?;
    String::from_utf8(bytes).map_err(|error| PackageError::Unreadable {
        path: path.to_owned(),
        cause: std::io::Error::new(std::io::ErrorKind::InvalidData, error),
    })
}

fn read_module(folder: &Path, set_file: &Path, module: &str) -> Result<Arc<[u8]>, PackageError> {
    // A set from somebody else must not be able to name files elsewhere on this machine.
    if Path::new(module).components().count() != 1 || !module.ends_with(".wasm") {
        return Err(PackageError::ModuleName {
            path: set_file.to_owned(),
            module: module.to_owned(),
        });
    }
    let shared = folder
        .canonicalize()
        .ok()
        .and_then(|folder| folder.parent().map(|parent| parent.join("modules")))
        .unwrap_or_else(|| folder.join("../modules"));
    for place in [folder, shared.as_path()] {
        let path = place.join(module);
        match std::fs::metadata(&path) {
            Ok(found) if found.is_file() => return Ok(read_bytes(&path, MODULE_LIMIT)?.into()),
            Ok(_) => {}
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            // The module may exist but be unreadable.
            Err(cause) => return Err(PackageError::Unreadable { path, cause }),
        }
    }
    Err(PackageError::ModuleMissing {
        module: module.to_owned(),
        folder: folder.to_owned(),
        modules: shared,
    })
}

fn read_cases(folder: &Path) -> Result<Vec<(String, String)>, PackageError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => {
            return Err(PackageError::Unreadable {
                path: folder.to_owned(),
                cause,
            });
        }
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry
            .map_err(|cause| PackageError::Unreadable {
                path: folder.to_owned(),
                cause,
            })?
            .path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            if files.len() == CASE_FILES {
                return Err(PackageError::TooManyCases {
                    path: folder.to_owned(),
                    limit: CASE_FILES,
                });
            }
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            files.push((name, read_text(&path)?));
        }
    }
    files.sort();
    Ok(files)
}
