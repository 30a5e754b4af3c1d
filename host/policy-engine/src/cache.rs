//! The cache of compiled modules on disk.

use std::fs::{self, DirBuilder, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{Error, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use tracing::warn;

/// First bytes of a file; changes with its layout.
const MAGIC: &[u8; 16] = b"portcullis-cwsm1";
const MAC_BYTES: usize = 32;
/// The largest file that is read.
const MAXIMUM_BYTES: u64 = 80 << 20;

/// A folder of compiled modules, keyed by digest and engine, each authenticated with
/// HMAC-SHA256: a compiled module is native code, so a forged file would be a break-in.
///
/// A problem with the folder or a file costs a compilation and a warning in the log, never more.
#[derive(Clone)]
pub struct ModuleCache {
    folder: PathBuf,
    key: [u8; 32],
}

impl ModuleCache {
    /// A cache in `folder` (created with mode 0700 if missing), authenticated with `key`,
    /// which must be secret, random and the same from start to start.
    pub fn new(folder: impl Into<PathBuf>, key: [u8; 32]) -> Self {
        ModuleCache {
            folder: folder.into(),
            key,
        }
    }

    /// The compiled form of the module with this digest, if there is one with a valid HMAC.
    pub(crate) fn get(&self, engine: &wasmtime::Engine, digest: &[u8; 32]) -> Option<Vec<u8>> {
        let path = self.path(engine, digest);
        match self.read(&path, engine, digest) {
            Ok(compiled) => compiled,
            Err(error) => {
                warn!(path = %path.display(), %error, "a cached module cannot be trusted and is compiled again");
                None
            }
        }
    }

    /// Stores a compiled module.
    pub(crate) fn put(&self, engine: &wasmtime::Engine, digest: &[u8; 32], compiled: &[u8]) {
        let path = self.path(engine, digest);
        if let Err(error) = self.write(&path, engine, digest, compiled) {
            warn!(path = %path.display(), %error, "a compiled module could not be cached, the next start will compile it again");
        }
    }

    fn read(
        &self,
        path: &Path,
        engine: &wasmtime::Engine,
        digest: &[u8; 32],
    ) -> Result<Option<Vec<u8>>, Error> {
        let mut file = match OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path)
        {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        check_folder(&self.folder)?;
        check_ours(&file.metadata()?)?;
        let mut bytes = Vec::new();
        (&mut file).take(MAXIMUM_BYTES).read_to_end(&mut bytes)?;
        let Some((mac, compiled)) = bytes
            .strip_prefix(MAGIC)
            .and_then(|rest| rest.split_at_checked(MAC_BYTES))
        else {
            return Err(Error::other("it is not a compiled module"));
        };
        self.mac(engine, digest, compiled)?
            .verify_slice(mac)
            .map_err(|_| Error::other("its authentication code is wrong"))?;
        Ok(Some(compiled.to_vec()))
    }

    fn write(
        &self,
        path: &Path,
        engine: &wasmtime::Engine,
        digest: &[u8; 32],
        compiled: &[u8],
    ) -> Result<(), Error> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)?;
        check_folder(&self.folder)?;
        let mac = self.mac(engine, digest, compiled)?.finalize().into_bytes();
        // Mode 0600; renamed when complete, so a reader sees all of it or nothing.
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(MAGIC)?;
        file.write_all(&mac)?;
        file.write_all(compiled)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }

    /// Binds the code to its module and engine, so that one valid file cannot replace another.
    fn mac(
        &self,
        engine: &wasmtime::Engine,
        digest: &[u8; 32],
        compiled: &[u8],
    ) -> Result<Hmac<Sha256>, Error> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key)
            .map_err(|_| Error::other("the key has a wrong length"))?;
        mac.update(MAGIC);
        mac.update(digest);
        mac.update(&compatibility(engine));
        mac.update(compiled);
        Ok(mac)
    }

    fn path(&self, engine: &wasmtime::Engine, digest: &[u8; 32]) -> PathBuf {
        self.folder.join(format!(
            "{}-{}.cwasm",
            HEXLOWER.encode(digest),
            HEXLOWER.encode(&compatibility(engine)[..8])
        ))
    }
}

/// A digest of the properties that make an engine's compiled code usable by another.
fn compatibility(engine: &wasmtime::Engine) -> [u8; 32] {
    struct Sha(Sha256);
    impl Hasher for Sha {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }

        fn finish(&self) -> u64 {
            0
        }
    }
    let mut hasher = Sha(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.0.finalize().into()
}

fn check_folder(folder: &Path) -> Result<(), Error> {
    check_ours(&fs::symlink_metadata(folder)?)
        .map_err(|error| Error::other(format!("its folder: {error}")))
}

#[expect(unsafe_code, reason = "the standard library does not tell who we are")]
fn check_ours(metadata: &fs::Metadata) -> Result<(), Error> {
    // SAFETY: takes no arguments and cannot fail.
    let ours = unsafe { libc::geteuid() };
    if metadata.uid() != ours {
        return Err(Error::other("it belongs to another user"));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(Error::other(
            "other users may access it; take their rights away with chmod go=",
        ));
    }
    if metadata.is_symlink() {
        return Err(Error::other("it is a symbolic link"));
    }
    Ok(())
}

impl std::fmt::Debug for ModuleCache {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the key.
        out.debug_struct("ModuleCache")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn cache() -> (tempfile::TempDir, ModuleCache, wasmtime::Engine) {
        let folder = tempfile::tempdir().unwrap();
        let cache = ModuleCache::new(folder.path().join("modules"), [7; 32]);
        (
            folder,
            cache,
            wasmtime::Engine::new(&crate::engine::configuration(true)).unwrap(),
        )
    }

    #[test]
    fn what_was_kept_comes_back_for_the_same_module_and_engine_only() {
        let (_folder, cache, engine) = cache();
        cache.put(&engine, &[1; 32], b"native code");
        assert_eq!(
            cache.get(&engine, &[1; 32]).as_deref(),
            Some(&b"native code"[..])
        );
        assert_eq!(cache.get(&engine, &[2; 32]), None);
        let other = wasmtime::Engine::new(&crate::engine::configuration(false)).unwrap();
        assert_eq!(cache.get(&other, &[1; 32]), None);
    }

    #[test]
    fn a_forged_swapped_or_foreign_file_is_not_used() {
        let (_folder, cache, engine) = cache();
        cache.put(&engine, &[1; 32], b"native code");
        let path = cache.path(&engine, &[1; 32]);
        let good = fs::read(&path).unwrap();

        // One flipped bit of the code.
        let mut forged = good.clone();
        *forged.last_mut().unwrap() ^= 1;
        fs::write(&path, &forged).unwrap();
        assert_eq!(cache.get(&engine, &[1; 32]), None);

        // A valid file under another module's name.
        let swapped = cache.path(&engine, &[2; 32]);
        fs::write(&swapped, &good).unwrap();
        fs::set_permissions(&swapped, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(cache.get(&engine, &[2; 32]), None);

        // Another key.
        fs::write(&path, &good).unwrap();
        assert!(cache.get(&engine, &[1; 32]).is_some());
        assert_eq!(
            ModuleCache::new(&cache.folder, [8; 32]).get(&engine, &[1; 32]),
            None
        );

        // Cut short.
        fs::write(&path, &good[..20]).unwrap();
        assert_eq!(cache.get(&engine, &[1; 32]), None);
    }

    #[test]
    fn files_and_folders_that_others_may_touch_are_not_used() {
        let (_folder, cache, engine) = cache();
        cache.put(&engine, &[1; 32], b"native code");
        let path = cache.path(&engine, &[1; 32]);
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&cache.folder), mode(&path)), (0o700, 0o600));

        fs::set_permissions(&path, fs::Permissions::from_mode(0o620)).unwrap();
        assert_eq!(cache.get(&engine, &[1; 32]), None);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::set_permissions(&cache.folder, fs::Permissions::from_mode(0o770)).unwrap();
        assert_eq!(cache.get(&engine, &[1; 32]), None);
        fs::set_permissions(&cache.folder, fs::Permissions::from_mode(0o700)).unwrap();

        // A link to a good file is not the file that we wrote.
        let elsewhere = cache.folder.join("elsewhere");
        fs::rename(&path, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        assert_eq!(cache.get(&engine, &[1; 32]), None);
    }
}
