//! The frame of a ZIP archive, read so strictly that no two readers can disagree about its
//! contents.
//!
//! The entries follow one another from the first byte to the central directory, the directory
//! reaches to its end record, and that ends the file. Each entry is in both lists with the same
//! name, flags, method, sizes and checksum, and unpacks to exactly that. So there is nothing
//! before, between, inside or after them that another reader could take for an entry
//! (<https://blog.pypi.org/posts/2025-08-07-wheel-archive-confusion-attacks/>).
//!
//! Repeated values must be the same: ZIP64 records and plain ones ([`zip64`]), data descriptors and
//! headers. Features that no build tool writes and that readers treat differently are refused
//! altogether: comments, extra fields that rename or resize an entry ([`extra`]), names that are
//! not plain. Readers start at different places: Python's looks for ZIP64 records before the end
//! record, others search for the end record backwards, and streaming ones never see the directory
//! and trust local headers, data descriptors and the end of compressed data.

mod extra;
mod zip64;

use std::collections::HashSet;
use std::io::{BufRead, Read, Seek, SeekFrom, Write};

use flate2::Crc;
use flate2::bufread::DeflateDecoder;
use model::limit::{ARCHIVE_NAMES, Bound};

use super::{ArchiveError, MAX_ENTRIES, check_path, io_error, unpacked_limit};
use zip64::Numbers;

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const DESCRIPTOR: u32 = 0x0807_4b50;
/// Records that a reader finds by searching backwards from the end: the end record, and
/// the record and the locator of ZIP64.
const SEARCHED_FOR: [u32; 3] = [END, zip64::RECORD, zip64::LOCATOR];
const END_BYTES: usize = 22;
const DESCRIPTOR_BYTES: usize = 16;
/// With sizes of eight bytes, where the local header has ZIP64.
const WIDE_DESCRIPTOR_BYTES: usize = 24;
const LOCAL_BYTES: u64 = 30;
const CENTRAL_BYTES: usize = 46;
/// Largest central directory that is read.
const MAX_DIRECTORY_BYTES: u64 = 64 << 20;

/// The compression level; readers ignore it.
const FLAGS_EFFORT: u16 = 3 << 1;
const FLAG_DESCRIPTOR: u16 = 1 << 3;
const FLAG_UTF8: u16 = 1 << 11;

/// One entry.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    deflated: bool,
    crc32: u32,
    packed: u64,
    pub(crate) unpacked: u64,
    offset: u64,
    /// Where its data begins; known once the local header has been read.
    data: u64,
    flags: u16,
}

/// An archive whose frame has been checked.
pub(crate) struct ZipFrame<R> {
    reader: R,
    pub(crate) entries: Vec<Entry>,
}

impl<R: BufRead + Seek> ZipFrame<R> {
    /// Checks the whole archive and unpacks every entry once, without keeping the contents.
    pub(crate) fn open(mut reader: R) -> Result<Self, ArchiveError> {
        let length = reader.seek(SeekFrom::End(0)).map_err(io_error)?;
        let (entries, directory) = read_directory(&mut reader, length)?;
        let mut frame = Self { reader, entries };
        frame.check_entries(length)?;
        frame.check_layout(directory)?;
        for index in 0..frame.entries.len() {
            frame.unpack(index, &mut std::io::sink())?;
        }
        Ok(frame)
    }

    /// Unpacks one entry of at most `limit` bytes.
    pub(crate) fn read(&mut self, index: usize, limit: u64) -> Result<Vec<u8>, ArchiveError> {
        let entry = &self.entries[index];
        if entry.unpacked > limit {
            return Err(ArchiveError::archive(format!(
                "'{}' is larger than {limit} bytes.",
                entry.name
            )));
        }
        let mut bytes = Vec::new();
        self.unpack(index, &mut bytes)?;
        Ok(bytes)
    }

    /// Unpacks an entry and checks that it matches both lists: its size, its checksum, and that the
    /// compressed data ends where the entry does. A reader that relies on one of these must find
    /// the same end as a reader that relies on the others.
    fn unpack(&mut self, index: usize, into: &mut impl Write) -> Result<(), ArchiveError> {
        let entry = &self.entries[index];
        let (promised, crc32) = (entry.unpacked, entry.crc32);
        self.reader
            .seek(SeekFrom::Start(entry.data))
            .map_err(io_error)?;
        let packed = (&mut self.reader).take(entry.packed);
        let mut sink = Checked {
            into,
            crc: Crc::new(),
        };
        let (unpacked, used) = if entry.deflated {
            let mut decoder = DeflateDecoder::new(packed);
            // One byte more than declared is enough to prove the declaration wrong.
            let unpacked = std::io::copy(
                &mut (&mut decoder).take(promised.saturating_add(1)),
                &mut sink,
            );
            (unpacked, decoder.total_in())
        } else {
            let unpacked = std::io::copy(&mut { packed }, &mut sink);
            (unpacked, entry.packed)
        };
        let entry = &self.entries[index];
        let unpacked = unpacked
            .map_err(|_| ArchiveError::archive(format!("'{}' cannot be unpacked.", entry.name)))?;
        if unpacked != promised || sink.crc.sum() != crc32 || used != entry.packed {
            return Err(ArchiveError::archive(format!(
                "'{}' does not match its size or checksum.",
                entry.name
            )));
        }
        Ok(())
    }

    fn check_entries(&self, length: u64) -> Result<(), ArchiveError> {
        let mut names = HashSet::new();
        let (mut unpacked, mut bytes) = (0u64, 0u64);
        for entry in &self.entries {
            check_path(&entry.name)?;
            bytes += entry.name.len() as u64;
            if bytes > ARCHIVE_NAMES.get() {
                return Err(ArchiveError::archive(format!(
                    "The names in the ZIP archive are longer than {} together.",
                    Bound::from(ARCHIVE_NAMES)
                )));
            }
            let path = entry.name.trim_end_matches('/');
            if !names.insert(path) {
                return Err(ArchiveError::archive(format!(
                    "The ZIP archive has two entries named '{path}'."
                )));
            }
            if path != entry.name && entry.unpacked != 0 {
                return Err(ArchiveError::archive(format!(
                    "The folder '{path}' has content."
                )));
            }
            unpacked = unpacked.saturating_add(entry.unpacked);
        }
        let files = self
            .entries
            .iter()
            .filter(|entry| !entry.name.ends_with('/'))
            .map(|entry| entry.name.as_str())
            .collect();
        super::check_no_file_is_a_folder(
            self.entries.iter().map(|entry| entry.name.as_str()),
            &files,
        )?;
        if unpacked > unpacked_limit(length) {
            return Err(super::bomb());
        }
        Ok(())
    }

    /// Walks the local headers in their order in the file.
    fn check_layout(&mut self, directory: u64) -> Result<(), ArchiveError> {
        let mut order: Vec<usize> = (0..self.entries.len()).collect();
        order.sort_by_key(|&index| self.entries[index].offset);
        let mut position = 0u64;
        for (turn, &index) in order.iter().enumerate() {
            let next = order
                .get(turn + 1)
                .map_or(directory, |&next| self.entries[next].offset);
            if self.entries[index].offset != position {
                return Err(ArchiveError::archive(
                    "The ZIP archive has bytes that belong to no entry.",
                ));
            }
            position = self.check_local(index, next)?;
        }
        if position == directory {
            Ok(())
        } else {
            Err(ArchiveError::archive(
                "The ZIP archive has bytes that belong to no entry.",
            ))
        }
    }

    /// Checks a local header against the directory and returns where the entry ends.
    fn check_local(&mut self, index: usize, next: u64) -> Result<u64, ArchiveError> {
        let entry = &mut self.entries[index];
        let differs = |what: &str| {
            ArchiveError::archive(format!(
                "The ZIP archive's lists of entries differ in the {what} of '{}'.",
                entry.name
            ))
        };
        self.reader
            .seek(SeekFrom::Start(entry.offset))
            .map_err(io_error)?;
        let mut header = [0u8; LOCAL_BYTES as usize];
        self.reader
            .read_exact(&mut header)
            .map_err(|_| truncated())?;
        if u32_at(&header, 0) != LOCAL {
            return Err(ArchiveError::archive(
                "The ZIP archive's list of entries does not lead to entries.",
            ));
        }
        let (name_bytes, extra_bytes) = (u16_at(&header, 26), u16_at(&header, 28));
        let mut name = vec![0u8; usize::from(name_bytes)];
        self.reader.read_exact(&mut name).map_err(|_| truncated())?;
        if name != entry.name.as_bytes() {
            return Err(differs("name"));
        }
        let mut extra = vec![0u8; usize::from(extra_bytes)];
        self.reader
            .read_exact(&mut extra)
            .map_err(|_| truncated())?;
        let wide = extra::check(&entry.name, &extra)?;
        let method = if entry.deflated { 8 } else { 0 };
        if u16_at(&header, 8) != method || u16_at(&header, 6) != entry.flags {
            return Err(differs("method or flags"));
        }
        let plain = Numbers {
            unpacked: u32_at(&header, 22).into(),
            packed: u32_at(&header, 18).into(),
            offset: 0,
        };
        let numbers = zip64::resolve(&entry.name, plain, wide)?;
        let stated = (u32_at(&header, 14), numbers.packed, numbers.unpacked);
        let known = (entry.crc32, entry.packed, entry.unpacked);
        let has_descriptor = entry.flags & FLAG_DESCRIPTOR != 0;
        // With a descriptor after the data, the local header may leave these at zero.
        if stated != known && !(has_descriptor && stated == (0, 0, 0)) {
            return Err(differs("sizes or checksum"));
        }
        entry.data = entry.offset + LOCAL_BYTES + u64::from(name_bytes) + u64::from(extra_bytes);
        let end = entry.data.saturating_add(entry.packed);
        if !has_descriptor {
            return Ok(end);
        }
        let mut descriptor = [0u8; WIDE_DESCRIPTOR_BYTES];
        let descriptor = &mut descriptor[..if wide.is_some() {
            WIDE_DESCRIPTOR_BYTES
        } else {
            DESCRIPTOR_BYTES
        }];
        if next.checked_sub(end) != Some(descriptor.len() as u64) {
            return Err(differs("data descriptor"));
        }
        self.reader.seek(SeekFrom::Start(end)).map_err(io_error)?;
        self.reader
            .read_exact(descriptor)
            .map_err(|_| truncated())?;
        let sizes = match wide {
            Some(_) => (u64_at(descriptor, 8), u64_at(descriptor, 16)),
            None => (u32_at(descriptor, 8).into(), u32_at(descriptor, 12).into()),
        };
        if u32_at(descriptor, 0) != DESCRIPTOR || (u32_at(descriptor, 4), sizes.0, sizes.1) != known
        {
            return Err(differs("data descriptor"));
        }
        Ok(next)
    }
}

/// Passes bytes on and computes their checksum.
struct Checked<W> {
    into: W,
    crc: Crc,
}

impl<W: Write> Write for Checked<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.into.write(bytes)?;
        self.crc.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.into.flush()
    }
}

/// The directory according to the end records.
#[derive(Clone, Copy, Debug)]
struct Ends {
    /// Entries on this disk, and on all.
    here: u64,
    total: u64,
    size: u64,
    offset: u64,
    /// Start of the first of the end records.
    end_at: u64,
}

impl Ends {
    fn plain(end: &[u8; END_BYTES], end_at: u64) -> Self {
        Self {
            here: u16_at(end, 8).into(),
            total: u16_at(end, 10).into(),
            size: u32_at(end, 12).into(),
            offset: u32_at(end, 16).into(),
            end_at,
        }
    }

    /// Reads the end record, and those of ZIP64 if they come before it.
    fn read<R: Read + Seek>(reader: &mut R, length: u64) -> Result<Self, ArchiveError> {
        let end_at = length
            .checked_sub(END_BYTES as u64)
            .ok_or_else(|| ArchiveError::archive("The file is not a ZIP archive."))?;
        let end: [u8; END_BYTES] = read_at(reader, end_at)?;
        if u32_at(&end, 0) != END || u16_at(&end, 20) != 0 {
            return Err(ArchiveError::archive(
                "The file is not a ZIP archive, or something follows it.",
            ));
        }
        if let Some(locator_at) = end_at.checked_sub(zip64::LOCATOR_BYTES as u64) {
            let locator: [u8; zip64::LOCATOR_BYTES] = read_at(reader, locator_at)?;
            if zip64::is_locator(&locator) {
                let record_at = locator_at
                    .checked_sub(zip64::RECORD_BYTES as u64)
                    .ok_or_else(truncated)?;
                return zip64::resolve_ends(
                    &read_at(reader, record_at)?,
                    &locator,
                    &end,
                    record_at,
                );
            }
        }
        if u16_at(&end, 4) != 0 || u16_at(&end, 6) != 0 {
            return Err(ArchiveError::archive("The ZIP archive has several parts."));
        }
        Ok(Self::plain(&end, end_at))
    }
}

fn read_at<R: Read + Seek, const N: usize>(
    reader: &mut R,
    at: u64,
) -> Result<[u8; N], ArchiveError> {
    let mut bytes = [0u8; N];
    reader.seek(SeekFrom::Start(at)).map_err(io_error)?;
    reader.read_exact(&mut bytes).map_err(|_| truncated())?;
    Ok(bytes)
}

/// Reads the end records and the directory. Returns the entries and the start of the directory.
fn read_directory<R: Read + Seek>(
    reader: &mut R,
    length: u64,
) -> Result<(Vec<Entry>, u64), ArchiveError> {
    let Ends {
        here,
        total,
        size,
        offset,
        end_at,
    } = Ends::read(reader, length)?;
    if here != total {
        return Err(ArchiveError::archive("The ZIP archive has several parts."));
    }
    if total > MAX_ENTRIES as u64 {
        return Err(ArchiveError::archive(format!(
            "The ZIP archive has more than {MAX_ENTRIES} entries."
        )));
    }
    if size > MAX_DIRECTORY_BYTES {
        return Err(ArchiveError::archive(format!(
            "The ZIP archive has a list of entries of more than {MAX_DIRECTORY_BYTES} bytes."
        )));
    }
    if offset.checked_add(size) != Some(end_at) {
        return Err(ArchiveError::archive(
            "The ZIP archive's list of entries is not where its end record says.",
        ));
    }
    let mut directory = vec![0u8; usize::try_from(size).map_err(|_| truncated())?];
    reader.seek(SeekFrom::Start(offset)).map_err(io_error)?;
    reader.read_exact(&mut directory).map_err(|_| truncated())?;
    // The directory contains names, numbers and dates. If one of these signatures were in it, a
    // searching reader could take the bytes after it for the end of another archive.
    if directory
        .windows(4)
        .any(|window| SEARCHED_FOR.contains(&u32_at(window, 0)))
    {
        return Err(ArchiveError::archive(
            "The ZIP archive's list of entries holds what another reader takes for its end, or for that of ZIP64.",
        ));
    }
    let mut entries = Vec::new();
    let mut rest = directory.as_slice();
    while !rest.is_empty() {
        let (entry, used) = read_central(rest)?;
        entries.push(entry);
        rest = &rest[used..];
    }
    if entries.len() as u64 != total {
        return Err(ArchiveError::archive(
            "The ZIP archive's end record counts its entries wrongly.",
        ));
    }
    Ok((entries, offset))
}

fn read_central(bytes: &[u8]) -> Result<(Entry, usize), ArchiveError> {
    let header = bytes
        .get(..CENTRAL_BYTES)
        .filter(|header| u32_at(header, 0) == CENTRAL)
        .ok_or_else(|| ArchiveError::archive("The ZIP archive's list of entries is damaged."))?;
    let (name_bytes, extra_bytes, comment_bytes) = (
        usize::from(u16_at(header, 28)),
        usize::from(u16_at(header, 30)),
        usize::from(u16_at(header, 32)),
    );
    let used = CENTRAL_BYTES + name_bytes + extra_bytes + comment_bytes;
    let (name, extra) = bytes
        .get(CENTRAL_BYTES..used)
        .map(|variable| {
            (
                &variable[..name_bytes],
                &variable[name_bytes..name_bytes + extra_bytes],
            )
        })
        .ok_or_else(truncated)?;
    let name = std::str::from_utf8(name)
        .map_err(|_| ArchiveError::archive("The ZIP archive has a name that is not UTF-8."))?
        .to_owned();
    if comment_bytes != 0 {
        return Err(ArchiveError::archive(format!("'{name}' has a comment.")));
    }
    let wide = extra::check(&name, extra)?;
    let flags = u16_at(header, 8);
    if flags & !(FLAGS_EFFORT | FLAG_DESCRIPTOR | FLAG_UTF8) != 0 {
        return Err(ArchiveError::archive(format!(
            "'{name}' is encrypted or uses a feature of ZIP archives that is not supported."
        )));
    }
    if !name.is_ascii() && flags & FLAG_UTF8 == 0 {
        return Err(ArchiveError::archive(format!(
            "'{name}' has a name beyond ASCII without saying that it is UTF-8."
        )));
    }
    let deflated = match u16_at(header, 10) {
        0 => false,
        8 => true,
        method => {
            return Err(ArchiveError::archive(format!(
                "'{name}' is compressed by method {method}; use deflate or none."
            )));
        }
    };
    let plain = Numbers {
        unpacked: u32_at(header, 24).into(),
        packed: u32_at(header, 20).into(),
        offset: u32_at(header, 42).into(),
    };
    let Numbers {
        unpacked,
        packed,
        offset,
    } = zip64::resolve(&name, plain, wide)?;
    if u16_at(header, 34) != 0 {
        return Err(ArchiveError::archive("The ZIP archive has several parts."));
    }
    if !deflated && packed != unpacked {
        return Err(ArchiveError::archive(format!(
            "'{name}' is stored in another size than its own."
        )));
    }
    // A reader that sees the data first cannot know its end.
    if !deflated && flags & FLAG_DESCRIPTOR != 0 && packed != 0 {
        return Err(ArchiveError::archive(format!(
            "'{name}' is neither compressed nor told its size in advance."
        )));
    }
    // Upper half of the external attributes: the file's mode on Unix. Readers disagree on whether
    // it applies if the archive says that it was written on another system.
    match u32_at(header, 38) >> 16 & 0o170_000 {
        0 | 0o040_000 | 0o100_000 => {}
        0o120_000 => {
            return Err(ArchiveError::archive(format!(
                "'{name}' is a symbolic link."
            )));
        }
        _ => {
            return Err(ArchiveError::archive(format!(
                "'{name}' is neither a file nor a folder."
            )));
        }
    }
    let entry = Entry {
        name,
        deflated,
        crc32: u32_at(header, 16),
        packed,
        unpacked,
        offset,
        data: 0,
        flags,
    };
    Ok((entry, used))
}

fn truncated() -> ArchiveError {
    ArchiveError::archive("The ZIP archive is cut short.")
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests;
