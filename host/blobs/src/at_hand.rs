//! What the system can read without waiting for a disk: a file whose folders are in its memory,
//! and bytes that are in its page cache. Small files that many ask for are there, and the way to
//! another thread and back costs several times what reading them does.
//!
//! Where a kernel or a file system does not offer it, nothing is at hand, which costs time only.

use std::fs::File;
use std::io::IoSliceMut;
use std::path::Path;

/// The file, opened to be read. Something else in its place, such as a pipe, is not waited for.
#[cfg(target_os = "linux")]
pub(crate) fn open(path: &Path) -> Option<File> {
    use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED).ok()?;
    let file = File::from(file);
    file.metadata()
        .is_ok_and(|found| found.is_file())
        .then_some(file)
}

/// Fills `part` with what is at `offset`; false if not all of it is at hand.
#[cfg(target_os = "linux")]
pub(crate) fn read(file: &File, part: &mut [u8], offset: u64) -> bool {
    use rustix::io::{ReadWriteFlags, preadv2};
    let wanted = part.len();
    let slices = &mut [IoSliceMut::new(part)];
    wanted == 0 || preadv2(file, slices, offset, ReadWriteFlags::NOWAIT) == Ok(wanted)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn open(_: &Path) -> Option<File> {
    None
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn read(_: &File, _: &mut [u8], _: u64) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[cfg(target_os = "linux")]
    #[test]
    fn what_was_just_written_is_at_hand_and_what_is_not_there_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("blob");
        File::create(&path)
            .unwrap()
            .write_all(b"0123456789")
            .unwrap();
        let file = open(&path).unwrap();
        let mut part = [0; 4];
        assert!(read(&file, &mut part, 3) && &part == b"3456");
        assert!(!read(&file, &mut part, 8));
        assert!(read(&file, &mut [], 10));
        assert!(open(&folder.path().join("other")).is_none());
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
        assert!(open(&pipe).is_none());
    }
}
