//! Gzipped tar archives, walked header by header.
//!
//! Extension headers (long names, PAX) are read here and not by a library, because a
//! library reads as much of them into memory as they say.
//!
//! As with [`super::zip_frame`], what two readers could read differently is refused: more
//! than one gzip member (some readers stop after the first), content of entries that have
//! none (some skip it, some read it as the next header), sizes that are not octal numbers,
//! two sources of one name, a prefix where the format has none.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, Read};

use flate2::bufread::GzDecoder;
use tar::{EntryType, Header};

use super::{ArchiveError, MAX_ENTRIES, check_no_file_is_a_folder, check_path, unpacked_limit};
use crate::metadata::MAX_METADATA_BYTES;

const BLOCK: usize = 512;
/// Largest extension header.
const MAX_EXTENSION_BYTES: u64 = 64 << 10;

/// Walks the whole archive, checks every entry, and returns the `PKG-INFO` of its one folder.
pub(super) fn read_pkg_info(reader: impl BufRead, packed: u64) -> Result<Vec<u8>, ArchiveError> {
    let mut walk = Walk {
        input: GzDecoder::new(reader).take(unpacked_limit(packed) + 1),
        entries: 0,
        top: None,
        names: HashMap::new(),
        folders: HashSet::new(),
        pkg_info: None,
    };
    walk.run()?;
    walk.check_names()?;
    let rest = walk.input.into_inner().into_inner().fill_buf().map_err(super::io_error)?.len();
    if rest > 0 {
        return Err(ArchiveError::archive("Something follows the gzipped tar archive."));
    }
    let Some(top) = walk.top else { return Err(ArchiveError::archive("The archive is empty.")) };
    walk.pkg_info.ok_or_else(|| ArchiveError::archive(format!("PKG-INFO not found at {top}/PKG-INFO.")))
}

struct Walk<R> {
    input: std::io::Take<R>,
    entries: usize,
    top: Option<String>,
    /// Everything that is no folder, and whether it is a file.
    names: HashMap<String, bool>,
    folders: HashSet<String>,
    pkg_info: Option<Vec<u8>>,
}

/// What extension headers say of the entry that follows them.
#[derive(Default)]
struct Extension {
    path: Option<String>,
    link: Option<String>,
}

impl Extension {
    /// Readers differ in which of two names they take.
    fn set(place: &mut Option<String>, name: String) -> Result<(), ArchiveError> {
        match place.replace(name) {
            None => Ok(()),
            Some(_) => Err(ArchiveError::archive("The tar archive names an entry twice.")),
        }
    }
}

impl<R: Read> Walk<R> {
    fn run(&mut self) -> Result<(), ArchiveError> {
        let mut extension = Extension::default();
        loop {
            let mut block = [0u8; BLOCK];
            if !self.read_block(&mut block)? {
                return Err(ArchiveError::archive("The tar archive is cut short."));
            }
            if block == [0u8; BLOCK] {
                return self.expect_zeros();
            }
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                return Err(ArchiveError::archive(format!("The tar archive has more than {MAX_ENTRIES} entries.")));
            }
            let header = Header::from_byte_slice(&block);
            let damaged = || ArchiveError::archive("The tar archive has a damaged header.");
            let sum: u32 = block.iter().enumerate().map(|(at, &byte)| if (148..156).contains(&at) { u32::from(b' ') } else { u32::from(byte) }).sum();
            if header.cksum().map_err(|_| damaged())? != sum {
                return Err(damaged());
            }
            let size = size_of(&block).ok_or_else(damaged)?;
            check_prefix(header)?;
            match header.entry_type() {
                EntryType::GNULongName => Extension::set(&mut extension.path, text(self.read_extension(size)?)?)?,
                EntryType::GNULongLink => Extension::set(&mut extension.link, text(self.read_extension(size)?)?)?,
                EntryType::XHeader => {
                    let bytes = self.read_extension(size)?;
                    read_pax(&bytes, &mut extension)?;
                }
                // For all entries that follow; build tools write a comment (the commit) at most.
                EntryType::XGlobalHeader => {
                    let bytes = self.read_extension(size)?;
                    let mut global = Extension::default();
                    read_pax(&bytes, &mut global)?;
                    if global.path.is_some() || global.link.is_some() || extension.path.is_some() || extension.link.is_some() {
                        return Err(ArchiveError::archive("The tar archive renames all entries at once."));
                    }
                }
                kind => {
                    let Extension { path, link } = std::mem::take(&mut extension);
                    let path = match path {
                        Some(path) => path,
                        None => text(header.path_bytes().into_owned())?,
                    };
                    let link = match link {
                        Some(link) => Some(link),
                        None => header.link_name_bytes().map(|link| text(link.into_owned())).transpose()?,
                    };
                    self.entry(kind, path, link, size)?;
                }
            }
        }
    }

    fn entry(&mut self, kind: EntryType, path: String, link: Option<String>, size: u64) -> Result<(), ArchiveError> {
        let path = path.strip_prefix("./").map(str::to_owned).unwrap_or(path);
        let is_folder = kind == EntryType::Directory;
        if is_folder && size != 0 {
            return Err(ArchiveError::archive("The tar archive has a folder with content."));
        }
        if is_folder && (path.is_empty() || path == "." || path == "/") {
            return Ok(());
        }
        check_path(&path)?;
        if !is_folder && path.ends_with('/') {
            return Err(ArchiveError::archive(format!("'{path}' is a file by its kind and a folder by its name.")));
        }
        let top = path.split('/').next().unwrap_or_default();
        match &self.top {
            None => self.top = Some(top.to_owned()),
            Some(first) if first == top => {}
            Some(first) => return Err(ArchiveError::archive(format!("Incorrect number of top-level folders: '{first}' and '{top}'; only one is allowed."))),
        }
        if is_folder {
            self.folders.insert(path.trim_end_matches('/').to_owned());
            return Ok(());
        }
        if self.names.insert(path.clone(), matches!(kind, EntryType::Regular | EntryType::Continuous)).is_some() {
            return Err(ArchiveError::archive(format!("The tar archive has two entries named '{path}'.")));
        }
        match kind {
            EntryType::Regular | EntryType::Continuous => {}
            EntryType::Symlink | EntryType::Link => {
                self.check_link(kind, &path, link.as_deref().unwrap_or_default())?;
                // A hard link repeats its target's size in some archives, without content.
                return if size == 0 { Ok(()) } else { Err(ArchiveError::archive(format!("The link '{path}' has content."))) };
            }
            EntryType::GNUSparse => return Err(ArchiveError::archive("The tar archive has sparse files.")),
            _ => return Err(ArchiveError::archive(format!("'{path}' is neither a file nor a folder."))),
        }
        let inside = self.top.as_ref().and_then(|top| path.strip_prefix(top.as_str())).unwrap_or_default();
        if inside != "/PKG-INFO" {
            // Where file names have no case, it would take the place of the real one.
            if inside.eq_ignore_ascii_case("/PKG-INFO") {
                return Err(ArchiveError::archive(format!("'{path}' is PKG-INFO in other letters.")));
            }
            return self.skip(size);
        }
        if size > MAX_METADATA_BYTES {
            return Err(ArchiveError::archive(format!("PKG-INFO is larger than {MAX_METADATA_BYTES} bytes.")));
        }
        self.pkg_info = Some(self.read_content(size)?);
        Ok(())
    }

    /// A hard link names a file that came before. A symbolic link stays inside the folder: as
    /// no entry lies behind a link, the folders above it are real, so going up from it leads
    /// where it says. Going up behind a name would not: the name may be a link itself.
    fn check_link(&self, kind: EntryType, path: &str, target: &str) -> Result<(), ArchiveError> {
        let outside = || ArchiveError::archive(format!("The link '{path}' leads out of the archive."));
        if target.is_empty() || target.starts_with('/') || target.contains('\\') || target.len() > super::MAX_PATH_BYTES || target.chars().any(char::is_control)
        {
            return Err(outside());
        }
        if kind == EntryType::Link {
            let target = target.strip_prefix("./").unwrap_or(target);
            return if self.names.get(target) == Some(&true) { Ok(()) } else { Err(outside()) };
        }
        let steps = || target.split('/').filter(|part| !matches!(*part, "" | "."));
        let up = steps().take_while(|part| *part == "..").count();
        let goes_up_again = steps().skip(up).any(|part| part == "..");
        // The archive's one folder, the first part of the path, must not be left.
        let folders = path.split('/').count() - 1;
        if goes_up_again || up >= folders { Err(outside()) } else { Ok(()) }
    }

    /// No path is two things.
    fn check_names(&self) -> Result<(), ArchiveError> {
        let files: HashSet<&str> = self.names.keys().map(String::as_str).collect();
        if let Some(both) = self.folders.iter().find(|folder| files.contains(folder.as_str())) {
            return Err(ArchiveError::archive(format!("'{both}' is a file and a folder.")));
        }
        check_no_file_is_a_folder(files.iter().copied().chain(self.folders.iter().map(String::as_str)).collect(), &files)
    }

    fn read_extension(&mut self, size: u64) -> Result<Vec<u8>, ArchiveError> {
        if size > MAX_EXTENSION_BYTES {
            return Err(ArchiveError::archive(format!("The tar archive has an extension header of more than {MAX_EXTENSION_BYTES} bytes.")));
        }
        self.read_content(size)
    }

    /// Reads `size` bytes and the padding behind them. Callers bound `size`.
    fn read_content(&mut self, size: u64) -> Result<Vec<u8>, ArchiveError> {
        let mut bytes = vec![0u8; usize::try_from(size).map_err(|_| self.ended())?];
        self.input.read_exact(&mut bytes).map_err(|_| self.ended())?;
        self.skip_exactly(padding(size))?;
        Ok(bytes)
    }

    fn skip(&mut self, size: u64) -> Result<(), ArchiveError> {
        self.skip_exactly(size.saturating_add(padding(size)))
    }

    fn skip_exactly(&mut self, size: u64) -> Result<(), ArchiveError> {
        let skipped = std::io::copy(&mut (&mut self.input).take(size), &mut std::io::sink()).map_err(|_| self.ended())?;
        if skipped == size { Ok(()) } else { Err(self.ended()) }
    }

    /// Whether there was a whole block; false at a clean end.
    fn read_block(&mut self, block: &mut [u8; BLOCK]) -> Result<bool, ArchiveError> {
        let mut filled = 0;
        while filled < BLOCK {
            match self.input.read(&mut block[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return Err(ArchiveError::archive("The file is not a gzipped tar archive, or it is damaged.")),
            }
        }
        match filled {
            BLOCK => Ok(true),
            _ if self.input.limit() == 0 => Err(self.ended()),
            0 => Ok(false),
            _ => Err(self.ended()),
        }
    }

    /// Behind the end of the archive there is nothing but padding.
    fn expect_zeros(&mut self) -> Result<(), ArchiveError> {
        let mut block = [0u8; BLOCK];
        while self.read_block(&mut block)? {
            if block != [0u8; BLOCK] {
                return Err(ArchiveError::archive("Something follows the tar archive."));
            }
        }
        Ok(())
    }

    fn ended(&self) -> ArchiveError {
        if self.input.limit() == 0 {
            return ArchiveError::archive("The tar archive unpacks to too much: it looks like a bomb.");
        }
        ArchiveError::archive("The tar archive is cut short or damaged.")
    }
}

fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

fn text(mut bytes: Vec<u8>) -> Result<String, ArchiveError> {
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    String::from_utf8(bytes).map_err(|_| ArchiveError::archive("The tar archive has a name that is not UTF-8."))
}

/// Reads PAX records (`length key=value\n`). What changes where content begins or ends is
/// refused; nobody needs it for files of these sizes.
fn read_pax(mut bytes: &[u8], extension: &mut Extension) -> Result<(), ArchiveError> {
    let damaged = || ArchiveError::archive("The tar archive has a damaged PAX header.");
    while !bytes.is_empty() {
        let blank = bytes.iter().take(8).position(|&c| c == b' ').ok_or_else(damaged)?;
        let length: usize =
            std::str::from_utf8(&bytes[..blank]).ok().filter(|digits| !digits.starts_with('+')).and_then(|digits| digits.parse().ok()).ok_or_else(damaged)?;
        let record = bytes.get(blank + 1..length).and_then(|record| record.strip_suffix(b"\n")).ok_or_else(damaged)?;
        let equals = record.iter().position(|&c| c == b'=').ok_or_else(damaged)?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        match key {
            b"path" | b"linkpath" if value.ends_with(b"\0") => return Err(damaged()),
            b"path" => Extension::set(&mut extension.path, text(value.to_vec())?)?,
            b"linkpath" => Extension::set(&mut extension.link, text(value.to_vec())?)?,
            b"hdrcharset" => return Err(ArchiveError::archive("The tar archive has names in an encoding of its own.")),
            b"size" => return Err(ArchiveError::archive("The tar archive states a size in a PAX header.")),
            key if key.starts_with(b"GNU.sparse") => return Err(ArchiveError::archive("The tar archive has sparse files.")),
            _ => {}
        }
        bytes = &bytes[length..];
    }
    Ok(())
}

/// The size in a header: octal digits, with blanks before and blanks or NULs behind. The
/// binary form for sizes beyond 8 GiB is read differently by different readers.
fn size_of(block: &[u8; BLOCK]) -> Option<u64> {
    let field = block[124..136].trim_ascii_start();
    let digits = field.iter().take_while(|c| matches!(c, b'0'..=b'7')).count();
    let (digits, padding) = field.split_at(digits);
    if padding.iter().any(|c| !matches!(c, 0 | b' ')) {
        return None;
    }
    Some(digits.iter().fold(0, |size, digit| size * 8 + u64::from(digit - b'0')))
}

/// Only the format of POSIX has a second half of the name here; GNU's keeps times there, and
/// some readers take those for a name.
fn check_prefix(header: &Header) -> Result<(), ArchiveError> {
    let block = header.as_bytes();
    let is_plain = if header.as_ustar().is_some() { &block[508..] != b"tar\0" } else { block[345..500].iter().all(|&c| c == 0) };
    if is_plain { Ok(()) } else { Err(ArchiveError::archive("The tar archive has a header that is read differently by different tools.")) }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;
    use crate::archive::samples::{gzip, tar_gz, tar_gz_of};

    fn read(bytes: &[u8]) -> Result<Vec<u8>, String> {
        read_pkg_info(Cursor::new(bytes), bytes.len() as u64).map_err(|error| error.to_string())
    }

    fn entry(kind: EntryType, path: &str, link: Option<&str>, content: &[u8]) -> Vec<u8> {
        tar_gz_of(|builder| {
            let mut info = Header::new_ustar();
            info.set_size(1);
            builder.append_data(&mut info, "s-1/PKG-INFO", b"x".as_slice()).unwrap();
            let mut header = Header::new_gnu();
            header.set_entry_type(kind);
            header.set_size(content.len() as u64);
            // Written by hand: the library refuses to write what we must refuse to read.
            header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
            if let Some(link) = link {
                header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
            }
            header.set_cksum();
            builder.append(&header, content).unwrap();
        })
    }

    #[test]
    fn pkg_info_is_found_in_the_one_folder() {
        assert_eq!(read(&tar_gz(&[("s-1/a/PKG-INFO", b"wrong"), ("s-1/PKG-INFO", b"right")])).unwrap(), b"right");
        assert!(read(&tar_gz(&[("s-1/setup.py", b"")])).unwrap_err().contains("PKG-INFO not found at s-1/PKG-INFO"));
        assert!(read(&tar_gz(&[("s-1/PKG-INFO", b""), ("t/PKG-INFO", b"")])).unwrap_err().contains("top-level folders"));
        assert!(read(&tar_gz(&[])).unwrap_err().contains("empty"));
    }

    #[test]
    fn long_names_of_both_kinds_are_read() {
        let long = format!("s-1/{}/PKG-INFO", "d".repeat(300));
        assert_eq!(
            read(&tar_gz_of(|builder| {
                let mut header = Header::new_gnu();
                header.set_size(0);
                builder.append_data(&mut header, &long, b"".as_slice()).unwrap();
                builder.append_pax_extensions([("path", b"s-1/PKG-INFO".as_slice()), ("mtime", b"1.5")]).unwrap();
                let mut header = Header::new_ustar();
                header.set_size(2);
                builder.append_data(&mut header, "ignored", b"ok".as_slice()).unwrap();
            }))
            .unwrap(),
            b"ok"
        );
    }

    #[test]
    fn paths_links_and_kinds_that_are_dangerous_are_refused() {
        for (kind, path, link, part) in [
            (EntryType::Regular, "../s-1/a", None, "leads out of the archive"),
            (EntryType::Regular, "/s-1/a", None, "absolute path"),
            (EntryType::Symlink, "s-1/a", Some("../../etc/passwd"), "leads out of the archive"),
            (EntryType::Symlink, "s-1/a", Some("/etc/passwd"), "leads out of the archive"),
            (EntryType::Symlink, "s-1/a", Some("../other"), "leads out of the archive"),
            (EntryType::Symlink, "s-1/a", Some("b/../c"), "leads out of the archive"),
            (EntryType::Link, "s-1/a", Some("../b"), "leads out of the archive"),
            (EntryType::Link, "s-1/a", Some("etc/passwd"), "leads out of the archive"),
            (EntryType::Regular, "s-1/a/", None, "folder by its name"),
            (EntryType::Regular, "s-1//PKG-INFO", None, "empty part"),
            (EntryType::Regular, "s-1/./PKG-INFO", None, "empty part"),
            (EntryType::Regular, "./s-1/PKG-INFO", None, "two entries"),
            (EntryType::Regular, "s-1/pkg-info", None, "in other letters"),
            (EntryType::Regular, "s-1/PKG-INFO/a", None, "a file and a folder"),
            (EntryType::Directory, "s-1/PKG-INFO", None, "a file and a folder"),
            (EntryType::Char, "s-1/a", None, "neither a file nor a folder"),
            (EntryType::Fifo, "s-1/a", None, "neither a file nor a folder"),
            (EntryType::GNUSparse, "s-1/a", None, "sparse"),
            (EntryType::Regular, "s-1/PKG-INFO", None, "two entries"),
        ] {
            let error = read(&entry(kind, path, link, b"")).unwrap_err();
            assert!(error.contains(part), "{path}: {error}");
        }
        assert!(read(&entry(EntryType::Symlink, "s-1/a/b", Some("../PKG-INFO"), b"")).is_ok());
        assert!(read(&entry(EntryType::Link, "s-1/a/b", Some("s-1/PKG-INFO"), b"")).is_ok());
        assert!(read(&entry(EntryType::Directory, "s-1/a", None, b"")).is_ok());
    }

    #[test]
    fn content_of_what_has_none_is_refused() {
        // Some readers skip it, some take it for the next header.
        let hidden = [0u8; BLOCK];
        for (kind, part) in [(EntryType::Directory, "folder with content"), (EntryType::Symlink, "has content")] {
            assert!(read(&entry(kind, "s-1/a", Some("b"), &hidden)).unwrap_err().contains(part));
        }
    }

    #[test]
    fn what_follows_the_first_gzip_member_is_refused() {
        let plain = tar_gz(&[("s-1/PKG-INFO", b"x")]);
        assert!(read(&plain).is_ok());
        for more in [plain.as_slice(), &gzip(&[0; 1024]), b"junk", &[0; 8]] {
            assert!(read(&[plain.as_slice(), more].concat()).unwrap_err().contains("Something follows"));
        }
        let half = tar_of(b"s-1/PKG-INFO");
        assert!(read(&[gzip(&half[..512]), gzip(&half[512..])].concat()).is_err());
    }

    /// A plain archive of one empty file with a changed header.
    fn tar_of(path: &[u8]) -> Vec<u8> {
        tar_with(path, |_| {})
    }

    fn tar_with(path: &[u8], change: impl FnOnce(&mut Header)) -> Vec<u8> {
        let mut header = Header::new_gnu();
        header.set_size(0);
        header.as_mut_bytes()[..path.len()].copy_from_slice(path);
        change(&mut header);
        header.set_cksum();
        [header.as_bytes().to_vec(), vec![0; 1024]].concat()
    }

    #[test]
    fn headers_that_are_read_differently_are_refused() {
        assert!(read(&gzip(&tar_of(b"s-1/PKG-INFO"))).is_ok());
        let with = |change: fn(&mut Header)| read(&gzip(&tar_with(b"s-1/PKG-INFO", change))).unwrap_err();
        // GNU's format has no prefix; Python's reader applies one all the same.
        assert!(with(|header| header.as_mut_bytes()[345..349].copy_from_slice(b"evil")).contains("read differently"));
        assert!(with(|header| header.as_mut_bytes()[124..136].copy_from_slice(&[0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0])).contains("damaged header"));
        assert!(with(|header| header.as_mut_bytes()[124..136].copy_from_slice(b"0\0777777777\0")).contains("damaged header"));
    }

    #[test]
    fn an_entry_has_one_name() {
        let long = |path: &str| {
            let mut header = Header::new_gnu();
            header.set_entry_type(EntryType::GNULongName);
            header.set_size(path.len() as u64);
            header.set_cksum();
            (header, path.as_bytes().to_vec())
        };
        let bytes = tar_gz_of(|builder| {
            let (header, content) = long("s-1/one");
            builder.append(&header, content.as_slice()).unwrap();
            builder.append_pax_extensions([("path", b"s-1/PKG-INFO".as_slice())]).unwrap();
            let mut header = Header::new_ustar();
            header.set_size(0);
            builder.append_data(&mut header, "s-1/two", b"".as_slice()).unwrap();
        });
        assert!(read(&bytes).unwrap_err().contains("names an entry twice"));
        let bytes = tar_gz_of(|builder| {
            builder.append_pax_extensions([("path", b"s-1/a".as_slice()), ("path", b"s-1/PKG-INFO")]).unwrap();
        });
        assert!(read(&bytes).unwrap_err().contains("names an entry twice"));
    }

    #[test]
    fn pax_headers_that_move_content_are_refused() {
        for (key, part) in [("size", "states a size"), ("GNU.sparse.major", "sparse"), ("hdrcharset", "encoding of its own")] {
            let bytes = tar_gz_of(|builder| builder.append_pax_extensions([(key, b"1".as_slice())]).unwrap());
            assert!(read(&bytes).unwrap_err().contains(part), "{key}");
        }
    }

    #[test]
    fn an_extension_header_cannot_fill_the_memory() {
        assert!(read(&entry(EntryType::GNULongName, "x", None, &vec![b'a'; 70_000])).unwrap_err().contains("extension header"));
    }

    #[test]
    fn a_bomb_is_refused() {
        let zeros = vec![0u8; 70 << 20];
        assert!(read(&tar_gz(&[("s-1/zeros", &zeros)])).unwrap_err().contains("looks like a bomb"));
    }

    #[test]
    fn nothing_but_padding_follows_the_archive() {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = Header::new_ustar();
        header.set_size(0);
        builder.append_data(&mut header, "s-1/PKG-INFO", b"".as_slice()).unwrap();
        let mut plain = builder.into_inner().unwrap();
        assert!(read(&gzip(&plain)).is_ok());
        plain.extend_from_slice(&[b'x'; 512]);
        assert!(read(&gzip(&plain)).unwrap_err().contains("Something follows"));
        assert!(read(b"no gzip at all").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let _ = read(&gzip(&bytes));
            let _ = read(&bytes);
        }

        #[test]
        fn no_damage_panics_the_reader(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
            let mut builder = tar::Builder::new(Vec::new());
            builder.append_pax_extensions([("comment", b"hello".as_slice())]).unwrap();
            let mut header = Header::new_ustar();
            header.set_size(3);
            builder.append_data(&mut header, "s-1/PKG-INFO", b"abc".as_slice()).unwrap();
            let mut bytes = builder.into_inner().unwrap();
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
                // With a checksum that fits, so that damage reaches behind the check.
                for start in [0, 1024] {
                    let mut block = [0u8; 512];
                    block.copy_from_slice(&bytes[start..start + 512]);
                    let sum: u32 = block.iter().enumerate().map(|(at, &byte)| if (148..156).contains(&at) { 32 } else { u32::from(byte) }).sum();
                    bytes[start + 148..start + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
                }
            }
            let _ = read(&gzip(&bytes));
        }
    }
}
