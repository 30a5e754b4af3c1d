//! Gzipped tar archives, walked header by header.
//!
//! Extension headers (long names, PAX) are read here and not by a library, because a library reads
//! as many bytes into memory as they declare.
//!
//! As in [`super::zip_frame`], content that two readers could interpret differently is refused, but
//! consistent repetition is not. Refused are: more than one gzip member (some readers stop after
//! the first), content of entries that have none (some skip it, some read it as the next header),
//! sizes that are not octal numbers, two different names, targets or sizes of one entry, two
//! different files of one name, a prefix where the format has none.

mod extension;
mod names;

use std::io::{BufRead, Read};

use flate2::bufread::GzDecoder;
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

use super::{ArchiveError, MAX_ENTRIES, check_path, unpacked_limit, without_case};
use crate::metadata::MAX_METADATA_BYTES;
use crate::metadata::checks::excerpt;
use extension::Extension;
use names::{Names, Node};

const BLOCK: usize = 512;
/// Largest extension header.
const MAX_EXTENSION_BYTES: u64 = 64 << 10;

/// The contents of a source distribution.
#[derive(Debug)]
pub(super) struct Contents {
    /// Its one folder.
    pub(super) top: String,
    /// The `PKG-INFO` in that folder.
    pub(super) pkg_info: Vec<u8>,
    pub(super) names: Names,
}

/// Walks the whole archive and checks every entry.
pub(super) fn read(reader: impl BufRead, packed: u64) -> Result<Contents, ArchiveError> {
    let mut walk = Walk {
        input: GzDecoder::new(reader).take(unpacked_limit(packed) + 1),
        entries: 0,
        top: None,
        names: Names::default(),
        pkg_info: None,
    };
    walk.run()?;
    walk.names.check()?;
    let rest = walk
        .input
        .into_inner()
        .into_inner()
        .fill_buf()
        .map_err(super::io_error)?
        .len();
    if rest > 0 {
        return Err(ArchiveError::archive(
            "Something follows the gzipped tar archive.",
        ));
    }
    let Some(top) = walk.top else {
        return Err(ArchiveError::archive("The archive is empty."));
    };
    let pkg_info = walk
        .pkg_info
        .ok_or_else(|| ArchiveError::archive(format!("PKG-INFO not found at {top}/PKG-INFO.")))?;
    Ok(Contents {
        top,
        pkg_info,
        names: walk.names,
    })
}

struct Walk<R> {
    input: std::io::Take<R>,
    entries: usize,
    top: Option<String>,
    names: Names,
    pkg_info: Option<Vec<u8>>,
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
            let header = Header::from_byte_slice(&block);
            let damaged = || ArchiveError::archive("The tar archive has a damaged header.");
            let sum: u32 = block
                .iter()
                .enumerate()
                .map(|(at, &byte)| {
                    if (148..156).contains(&at) {
                        u32::from(b' ')
                    } else {
                        u32::from(byte)
                    }
                })
                .sum();
            if header.cksum().map_err(|_| damaged())? != sum {
                return Err(damaged());
            }
            if block[124] & 0x80 != 0 {
                return Err(ArchiveError::archive(
                    "The tar archive has an entry of 8 GiB or more, or writes its size as if it had.",
                ));
            }
            let size = size_of(&block).ok_or_else(damaged)?;
            check_prefix(header)?;
            match header.entry_type() {
                EntryType::GNULongName => {
                    check_no_size_yet(&extension)?;
                    extension.set_path(text(self.read_extension(size)?)?)?;
                }
                EntryType::GNULongLink => {
                    check_no_size_yet(&extension)?;
                    extension.set_link(text(self.read_extension(size)?)?)?;
                }
                EntryType::XHeader => {
                    check_no_size_yet(&extension)?;
                    extension.read_pax(&self.read_extension(size)?)?;
                }
                // Applies to all entries that follow; build tools write at most a comment (the
                // commit).
                EntryType::XGlobalHeader => {
                    let mut global = Extension::default();
                    global.read_pax(&self.read_extension(size)?)?;
                    if !global.is_empty() || !extension.is_empty() {
                        return Err(ArchiveError::archive(
                            "The tar archive renames or resizes all entries at once.",
                        ));
                    }
                }
                kind => {
                    let Extension {
                        path,
                        link,
                        size: stated,
                    } = std::mem::take(&mut extension);
                    let path = match path {
                        Some(path) => path,
                        None => text(header.path_bytes().into_owned())?,
                    };
                    if stated.is_some_and(|stated| stated != size) {
                        return Err(ArchiveError::archive(format!(
                            "The tar archive gives '{}' two different sizes.",
                            excerpt(&path)
                        )));
                    }
                    let link = match link {
                        Some(link) => Some(link),
                        None => header
                            .link_name_bytes()
                            .map(|link| text(link.into_owned()))
                            .transpose()?,
                    };
                    self.entry(kind, &path, link.unwrap_or_default(), size)?;
                }
            }
        }
    }

    fn entry(
        &mut self,
        kind: EntryType,
        path: &str,
        link: String,
        size: u64,
    ) -> Result<(), ArchiveError> {
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            return Err(ArchiveError::archive(format!(
                "The tar archive has more than {MAX_ENTRIES} entries."
            )));
        }
        let path = path.strip_prefix("./").unwrap_or(path);
        let is_folder = kind == EntryType::Directory;
        if is_folder && size != 0 {
            return Err(ArchiveError::archive(
                "The tar archive has a folder with content.",
            ));
        }
        if is_folder && (path.is_empty() || path == "." || path == "/") {
            return Ok(());
        }
        check_path(path)?;
        if !is_folder && path.ends_with('/') {
            return Err(ArchiveError::archive(format!(
                "'{path}' is a file by its kind and a folder by its name."
            )));
        }
        let top = path.split('/').next().unwrap_or_default();
        match &self.top {
            None => self.top = Some(top.to_owned()),
            Some(first) if first == top => {}
            Some(first) => {
                return Err(ArchiveError::archive(format!(
                    "Incorrect number of top-level folders: '{first}' and '{top}'; only one is allowed."
                )));
            }
        }
        let inside = &path[top.len()..];
        // On file systems where these are the same name, it would replace the real one.
        if inside != "/PKG-INFO"
            && without_case(inside.trim_end_matches('/')) == without_case("/PKG-INFO")
        {
            return Err(ArchiveError::archive(format!(
                "'{path}' is PKG-INFO in other letters."
            )));
        }
        match kind {
            EntryType::Directory => self.names.add_folder(path)?,
            // A hard link repeats its target's size in some archives, without content.
            EntryType::Symlink | EntryType::Link if size != 0 => {
                return Err(ArchiveError::archive(format!(
                    "The link '{path}' has content."
                )));
            }
            EntryType::Symlink => self.names.add(path, Node::SymbolicLink(link))?,
            EntryType::Link => self.names.add(path, Node::HardLink(link))?,
            EntryType::Regular | EntryType::Continuous if inside == "/PKG-INFO" => {
                // Installers read it while they unpack: not even an identical second one is
                // expected.
                if self.names.contains(path) {
                    return Err(ArchiveError::archive(format!(
                        "The tar archive has two entries named '{path}'."
                    )));
                }
                if size > MAX_METADATA_BYTES {
                    return Err(ArchiveError::archive(format!(
                        "PKG-INFO is larger than {MAX_METADATA_BYTES} bytes."
                    )));
                }
                let content = self.read_content(size)?;
                self.names
                    .add(path, Node::File(Sha256::digest(&content).into()))?;
                self.pkg_info = Some(content);
            }
            EntryType::Regular | EntryType::Continuous => {
                let digest = self.digest(size)?;
                self.names.add(path, Node::File(digest))?;
            }
            EntryType::GNUSparse => {
                return Err(ArchiveError::archive("The tar archive has sparse files."));
            }
            _ => {
                return Err(ArchiveError::archive(format!(
                    "'{path}' is neither a file nor a folder."
                )));
            }
        }
        Ok(())
    }

    fn read_extension(&mut self, size: u64) -> Result<Vec<u8>, ArchiveError> {
        if size > MAX_EXTENSION_BYTES {
            return Err(ArchiveError::archive(format!(
                "The tar archive has an extension header of more than {MAX_EXTENSION_BYTES} bytes."
            )));
        }
        self.read_content(size)
    }

    /// Reads `size` bytes and the padding after them. Callers bound `size`.
    fn read_content(&mut self, size: u64) -> Result<Vec<u8>, ArchiveError> {
        let mut bytes = vec![0u8; usize::try_from(size).map_err(|_| self.ended())?];
        self.input
            .read_exact(&mut bytes)
            .map_err(|_| self.ended())?;
        self.skip_exactly(padding(size))?;
        Ok(bytes)
    }

    /// Reads `size` bytes and the padding after them, and returns their digest.
    fn digest(&mut self, size: u64) -> Result<[u8; 32], ArchiveError> {
        let mut hasher = Sha256::new();
        let mut batch = [0u8; 16 << 10];
        let mut left = size;
        while left > 0 {
            let wanted = batch.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            self.input
                .read_exact(&mut batch[..wanted])
                .map_err(|_| self.ended())?;
            hasher.update(&batch[..wanted]);
            left -= wanted as u64;
        }
        self.skip_exactly(padding(size))?;
        Ok(hasher.finalize().into())
    }

    fn skip_exactly(&mut self, size: u64) -> Result<(), ArchiveError> {
        let skipped = std::io::copy(&mut (&mut self.input).take(size), &mut std::io::sink())
            .map_err(|_| self.ended())?;
        if skipped == size {
            Ok(())
        } else {
            Err(self.ended())
        }
    }

    /// Whether there was a whole block; false at a clean end.
    fn read_block(&mut self, block: &mut [u8; BLOCK]) -> Result<bool, ArchiveError> {
        let mut filled = 0;
        while filled < BLOCK {
            match self.input.read(&mut block[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => {
                    return Err(ArchiveError::archive(
                        "The file is not a gzipped tar archive, or it is damaged.",
                    ));
                }
            }
        }
        match filled {
            BLOCK => Ok(true),
            _ if self.input.limit() == 0 => Err(self.ended()),
            0 => Ok(false),
            _ => Err(self.ended()),
        }
    }

    /// After the end of the archive only padding may follow.
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
            return super::bomb();
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
    String::from_utf8(bytes)
        .map_err(|_| ArchiveError::archive("The tar archive has a name that is not UTF-8."))
}

/// A declared size applies to the next entry; some readers apply it to the next header of any kind.
fn check_no_size_yet(extension: &Extension) -> Result<(), ArchiveError> {
    match extension.size {
        None => Ok(()),
        Some(_) => Err(ArchiveError::archive(
            "The tar archive states a size before another extension header.",
        )),
    }
}

/// The size in a header: octal digits, with blanks before and blanks or NULs after. Readers
/// disagree on the binary form for sizes beyond 8 GiB.
fn size_of(block: &[u8; BLOCK]) -> Option<u64> {
    let field = block[124..136].trim_ascii_start();
    let digits = field
        .iter()
        .take_while(|c| matches!(c, b'0'..=b'7'))
        .count();
    let (digits, padding) = field.split_at(digits);
    if padding.iter().any(|c| !matches!(c, 0 | b' ')) {
        return None;
    }
    Some(
        digits
            .iter()
            .fold(0, |size, digit| size * 8 + u64::from(digit - b'0')),
    )
}

/// Only the POSIX format has a second half of the name here; GNU's keeps times there, which some
/// readers take for a name.
fn check_prefix(header: &Header) -> Result<(), ArchiveError> {
    let block = header.as_bytes();
    let is_plain = if header.as_ustar().is_some() {
        &block[508..] != b"tar\0"
    } else {
        block[345..500].iter().all(|&c| c == 0)
    };
    if is_plain {
        Ok(())
    } else {
        Err(ArchiveError::archive(
            "The tar archive has a header that is read differently by different tools.",
        ))
    }
}

#[cfg(test)]
mod tests;
