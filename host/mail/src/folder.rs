//! Delivery without an SMTP server: a file for each mail, in a folder for its owner only.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Creates the folder if it does not exist.
pub(crate) fn open(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().recursive(true).mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

/// Writes a mail and returns its path. It is complete and on disk before it appears under its name,
/// and a retry overwrites it: there is one file however often it is tried.
pub(crate) fn write(folder: &Path, name: &str, content: &[u8]) -> io::Result<PathBuf> {
    open(folder)?;
    let (unfinished, finished) = (
        folder.join(format!(".{name}.unfinished")),
        folder.join(name),
    );
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&unfinished, &finished)?;
    File::open(folder)?.sync_all()?;
    Ok(finished)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn only_the_owner_can_read_what_is_written() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("outbox");
        let file = write(&folder, "a.eml", b"secret").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&file)), (0o700, 0o600));
    }

    #[test]
    fn a_mail_that_is_written_twice_is_there_once() {
        let top = tempfile::tempdir().unwrap();
        fs::write(
            top.path().join(".a.eml.unfinished"),
            b"left behind by a crash",
        )
        .unwrap();
        write(top.path(), "a.eml", b"one").unwrap();
        write(top.path(), "a.eml", b"two").unwrap();
        let names: Vec<_> = fs::read_dir(top.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(
            (names, fs::read(top.path().join("a.eml")).unwrap()),
            (vec!["a.eml".into()], b"two".to_vec())
        );
    }
}
