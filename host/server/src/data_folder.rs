//! The data folder: everything that one server stores, readable by its owner only.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

/// What to do if the folder exists but may not be used.
pub(crate) const WHOSE_IT_IS: &str =
    "run this as the user that the server runs as, or name another data folder with --data";

/// The data folder.
#[derive(Clone, Debug)]
pub(crate) struct DataFolder {
    path: PathBuf,
    /// Whether this process created it.
    pub(crate) created: bool,
}

impl DataFolder {
    /// Opens the folder; creates it and its parts if they are missing.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let created = !path.exists();
        for folder in [path.to_owned(), path.join("keys")] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&folder)
                .with_context(|| {
                    format!(
                        "cannot make or use the data folder {}; {WHOSE_IT_IS}",
                        folder.display()
                    )
                })?;
        }
        let mode = fs::metadata(path)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            tracing::warn!(
                "the data folder {} is open to other users (mode {mode:o}); it holds the secrets of every account: chmod 700 it",
                path.display()
            );
        }
        Ok(Self {
            path: path.to_owned(),
            created,
        })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Locks the folder for one server until the value is dropped or the process ends, however it
    /// ends.
    ///
    /// # Errors
    /// Another server has locked it.
    pub(crate) fn lock_for_server(&self) -> anyhow::Result<fs::File> {
        let path = self.path.join("server.lock");
        let file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("cannot write {}; {WHOSE_IT_IS}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(fs::TryLockError::WouldBlock) => bail!(
                "another server uses the data folder {} with SQLite; stop it, name another folder with --data, or let both share PostgreSQL with --database",
                self.path.display()
            ),
            Err(fs::TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}", path.display()))
            }
        }
    }

    /// Folder of uploaded files.
    pub(crate) fn blobs(&self) -> PathBuf {
        self.path.join("blobs")
    }

    /// Folder of mails that are not handed to an SMTP server.
    pub(crate) fn outbox(&self) -> PathBuf {
        self.path.join("outbox")
    }

    /// Records the address at which the server answers, for commands whose mails link to it.
    pub(crate) fn note_public_url(&self, url: &str) -> anyhow::Result<()> {
        let path = self.path.join("public-url");
        // Renamed into place: a command that reads it at this moment sees a whole address.
        let beside = path.with_extension(std::process::id().to_string());
        fs::write(&beside, url).with_context(|| format!("cannot write {}", beside.display()))?;
        fs::rename(&beside, &path).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Folder of compiled policy modules.
    pub(crate) fn modules(&self) -> PathBuf {
        self.path.join("modules")
    }

    /// The key that authenticates compiled modules, created on first use. It never leaves this
    /// machine; if it is lost, modules are compiled again.
    pub(crate) fn module_cache_key(&self) -> anyhow::Result<[u8; 32]> {
        let path = self.path.join("keys").join("module-cache");
        if let Some(key) = read_key(&path)? {
            return Ok(key);
        }
        let mut key = [0; 32];
        identity::random::fill(&mut key);
        // Written to a temporary file and linked: another process that starts now sees a whole key
        // or none, and the first one wins.
        let beside = path.with_extension(std::process::id().to_string());
        let _ = fs::remove_file(&beside);
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)
            .with_context(|| format!("cannot write {}", beside.display()))?;
        file.write_all(&key)?;
        file.sync_all()?;
        let linked = fs::hard_link(&beside, &path);
        fs::remove_file(&beside)?;
        match linked {
            Ok(()) => Ok(key),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                read_key(&path)?.with_context(|| format!("{} vanished", path.display()))
            }
            Err(error) => Err(error).with_context(|| format!("cannot write {}", path.display())),
        }
    }
}

/// The address that the last server of this data folder recorded; none if there was no server yet.
pub(crate) fn noted_public_url(folder: &Path) -> Option<String> {
    fs::read_to_string(folder.join("public-url"))
        .ok()
        .map(|url| url.trim().to_owned())
}

fn read_key(path: &Path) -> anyhow::Result<Option<[u8; 32]>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let mode = fs::metadata(path)?.permissions().mode() & 0o777;
    ensure!(
        mode & 0o077 == 0,
        "{} is readable by other users (mode {mode:o}); remove it, and a new one is created",
        path.display()
    );
    let key = bytes.try_into().map_err(|_| {
        anyhow::anyhow!(
            "{} is damaged; remove it, and a new one is created",
            path.display()
        )
    })?;
    Ok(Some(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_and_its_key_are_their_owners_alone() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("new/data");
        let folder = DataFolder::open(&path).unwrap();
        assert!(folder.created);
        let key = folder.module_cache_key().unwrap();
        assert_ne!(key, [0; 32]);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&path.join("keys")), 0o700);
        assert_eq!(mode(&path.join("keys/module-cache")), 0o600);
        assert_eq!(fs::read_dir(path.join("keys")).unwrap().count(), 1);

        let again = DataFolder::open(&path).unwrap();
        assert!(!again.created);
        assert_eq!(again.module_cache_key().unwrap(), key);
    }

    #[test]
    fn one_server_at_a_time_holds_the_folder() {
        let parent = tempfile::tempdir().unwrap();
        let folder = DataFolder::open(parent.path()).unwrap();
        let held = folder.lock_for_server().unwrap();
        assert!(
            DataFolder::open(parent.path())
                .unwrap()
                .lock_for_server()
                .unwrap_err()
                .to_string()
                .contains("another server")
        );
        drop(held);
        folder.lock_for_server().unwrap();
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let folder = DataFolder::open(parent.path()).unwrap();
        folder.module_cache_key().unwrap();
        fs::set_permissions(
            parent.path().join("keys/module-cache"),
            fs::Permissions::from_mode(0o644),
        )
        .unwrap();
        assert!(
            folder
                .module_cache_key()
                .unwrap_err()
                .to_string()
                .contains("644")
        );
    }
}
