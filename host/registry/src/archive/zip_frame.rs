//! The frame of a ZIP archive, read so strictly that no two readers can disagree on what
//! is in it.
//!
//! The entries lie one after another from the first byte to the central directory, the
//! directory reaches to its end record, and that ends the file. Each entry is in both
//! lists with the same name, method, sizes and checksum. So there is nothing before,
//! between or behind that another reader could take for an entry
//! (<https://blog.pypi.org/posts/2025-08-07-wheel-archive-confusion-attacks/>).

use std::collections::HashSet;
use std::io::{Read, Seek, SeekFrom};

use flate2::Crc;
use flate2::read::DeflateDecoder;

use super::{ArchiveError, MAX_ENTRIES, check_path, io_error, unpacked_limit};

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const DESCRIPTOR: u32 = 0x0807_4b50;
const END_BYTES: usize = 22;
const LOCAL_BYTES: u64 = 30;
const CENTRAL_BYTES: usize = 46;
/// Largest central directory that is read.
const MAX_DIRECTORY_BYTES: u64 = 16 << 20;

const FLAG_ENCRYPTED: u16 = 1;
const FLAG_DESCRIPTOR: u16 = 1 << 3;
const FLAG_PATCH: u16 = 1 << 5;
const FLAG_STRONG_ENCRYPTION: u16 = 1 << 6;
const FLAG_MASKED: u16 = 1 << 13;

/// One entry.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    deflated: bool,
    crc32: u32,
    packed: u64,
    pub(crate) unpacked: u64,
    offset: u64,
    /// Where its bytes begin; known once the local header was read.
    data: u64,
    flags: u16,
}

/// An archive whose frame was checked.
pub(crate) struct ZipFrame<R> {
    reader: R,
    pub(crate) entries: Vec<Entry>,
}

impl<R: Read + Seek> ZipFrame<R> {
    /// Checks the frame of the whole archive; reads no entry's content.
    pub(crate) fn open(mut reader: R) -> Result<Self, ArchiveError> {
        let length = reader.seek(SeekFrom::End(0)).map_err(io_error)?;
        let (entries, directory) = read_directory(&mut reader, length)?;
        let mut frame = Self { reader, entries };
        frame.check_entries(length)?;
        frame.check_layout(directory)?;
        Ok(frame)
    }

    /// Unpacks one entry of at most `limit` bytes and checks its checksum.
    pub(crate) fn read(&mut self, index: usize, limit: u64) -> Result<Vec<u8>, ArchiveError> {
        let entry = self.entries[index].clone();
        if entry.unpacked > limit {
            return Err(ArchiveError::archive(format!("'{}' is larger than {limit} bytes.", entry.name)));
        }
        self.reader.seek(SeekFrom::Start(entry.data)).map_err(io_error)?;
        let packed = (&mut self.reader).take(entry.packed);
        let mut bytes = Vec::new();
        // One byte more than promised is enough to know that the promise was a lie.
        let read = if entry.deflated {
            DeflateDecoder::new(packed).take(entry.unpacked + 1).read_to_end(&mut bytes)
        } else {
            packed.take(entry.unpacked + 1).read_to_end(&mut bytes)
        };
        read.map_err(|_| ArchiveError::archive(format!("'{}' cannot be unpacked.", entry.name)))?;
        let mut crc = Crc::new();
        crc.update(&bytes);
        if bytes.len() as u64 != entry.unpacked || crc.sum() != entry.crc32 {
            return Err(ArchiveError::archive(format!("'{}' does not match its size or checksum.", entry.name)));
        }
        Ok(bytes)
    }

    fn check_entries(&self, length: u64) -> Result<(), ArchiveError> {
        let mut names = HashSet::new();
        let mut unpacked = 0u64;
        for entry in &self.entries {
            check_path(&entry.name)?;
            if !names.insert(entry.name.as_str()) {
                return Err(ArchiveError::archive(format!("The ZIP archive has two entries named '{}'.", entry.name)));
            }
            unpacked = unpacked.saturating_add(entry.unpacked);
        }
        if unpacked > unpacked_limit(length) {
            return Err(ArchiveError::archive("The ZIP archive unpacks to too much: it looks like a bomb."));
        }
        Ok(())
    }

    /// Walks the local headers in the order in which they lie.
    fn check_layout(&mut self, directory: u64) -> Result<(), ArchiveError> {
        let mut order: Vec<usize> = (0..self.entries.len()).collect();
        order.sort_by_key(|&index| self.entries[index].offset);
        let mut position = 0u64;
        for (turn, &index) in order.iter().enumerate() {
            let next = order.get(turn + 1).map_or(directory, |&next| self.entries[next].offset);
            if self.entries[index].offset != position {
                return Err(ArchiveError::archive("The ZIP archive has bytes that belong to no entry."));
            }
            position = self.check_local(index, next)?;
        }
        if position == directory { Ok(()) } else { Err(ArchiveError::archive("The ZIP archive has bytes that belong to no entry.")) }
    }

    /// Checks a local header against the directory and returns where the entry ends.
    fn check_local(&mut self, index: usize, next: u64) -> Result<u64, ArchiveError> {
        let entry = &mut self.entries[index];
        let differs = |what: &str| ArchiveError::archive(format!("The ZIP archive's lists of entries differ in the {what} of '{}'.", entry.name));
        self.reader.seek(SeekFrom::Start(entry.offset)).map_err(io_error)?;
        let mut header = [0u8; LOCAL_BYTES as usize];
        self.reader.read_exact(&mut header).map_err(|_| truncated())?;
        if u32_at(&header, 0) != LOCAL {
            return Err(ArchiveError::archive("The ZIP archive's list of entries does not lead to entries."));
        }
        let (name_bytes, extra_bytes) = (u16_at(&header, 26), u16_at(&header, 28));
        let mut name = vec![0u8; usize::from(name_bytes)];
        self.reader.read_exact(&mut name).map_err(|_| truncated())?;
        if name != entry.name.as_bytes() {
            return Err(differs("name"));
        }
        let method = if entry.deflated { 8 } else { 0 };
        if u16_at(&header, 8) != method || u16_at(&header, 6) & FLAG_DESCRIPTOR != entry.flags & FLAG_DESCRIPTOR {
            return Err(differs("method"));
        }
        let stated = (u32_at(&header, 14), u64::from(u32_at(&header, 18)), u64::from(u32_at(&header, 22)));
        let known = (entry.crc32, entry.packed, entry.unpacked);
        let has_descriptor = entry.flags & FLAG_DESCRIPTOR != 0;
        // With a descriptor behind the data, the local header may leave these at zero.
        if stated != known && !(has_descriptor && stated == (0, 0, 0)) {
            return Err(differs("sizes or checksum"));
        }
        entry.data = entry.offset + LOCAL_BYTES + u64::from(name_bytes) + u64::from(extra_bytes);
        let end = entry.data + entry.packed;
        if !has_descriptor {
            return Ok(end);
        }
        let gap = next.checked_sub(end).filter(|gap| matches!(gap, 12 | 16)).ok_or_else(|| differs("data descriptor"))?;
        let mut descriptor = [0u8; 16];
        let descriptor = &mut descriptor[..gap as usize];
        self.reader.seek(SeekFrom::Start(end)).map_err(io_error)?;
        self.reader.read_exact(descriptor).map_err(|_| truncated())?;
        let start = if gap == 16 { 4 } else { 0 };
        let told = (u32_at(descriptor, start), u64::from(u32_at(descriptor, start + 4)), u64::from(u32_at(descriptor, start + 8)));
        if told != known || (gap == 16 && u32_at(descriptor, 0) != DESCRIPTOR) {
            return Err(differs("data descriptor"));
        }
        Ok(end + gap)
    }
}

/// Reads the end record and the directory it names. Returns the entries and where the directory begins.
fn read_directory<R: Read + Seek>(reader: &mut R, length: u64) -> Result<(Vec<Entry>, u64), ArchiveError> {
    let end_at = length.checked_sub(END_BYTES as u64).ok_or_else(|| ArchiveError::archive("The file is not a ZIP archive."))?;
    let mut end = [0u8; END_BYTES];
    reader.seek(SeekFrom::Start(end_at)).map_err(io_error)?;
    reader.read_exact(&mut end).map_err(io_error)?;
    if u32_at(&end, 0) != END || u16_at(&end, 20) != 0 {
        return Err(ArchiveError::archive("The file is not a ZIP archive, or something follows it."));
    }
    let (disk, first_disk, here, total) = (u16_at(&end, 4), u16_at(&end, 6), u16_at(&end, 8), u16_at(&end, 10));
    let (size, offset) = (u64::from(u32_at(&end, 12)), u64::from(u32_at(&end, 16)));
    if disk != 0 || first_disk != 0 || here != total {
        return Err(ArchiveError::archive("The ZIP archive has several parts."));
    }
    if total == u16::MAX || size == u64::from(u32::MAX) || offset == u64::from(u32::MAX) {
        return Err(ArchiveError::archive("ZIP64 is not supported."));
    }
    if usize::from(total) > MAX_ENTRIES || size > MAX_DIRECTORY_BYTES {
        return Err(ArchiveError::archive(format!("The ZIP archive has more than {MAX_ENTRIES} entries.")));
    }
    if offset + size != end_at {
        return Err(ArchiveError::archive("The ZIP archive's list of entries is not where its end record says."));
    }
    let mut directory = vec![0u8; usize::try_from(size).map_err(|_| truncated())?];
    reader.seek(SeekFrom::Start(offset)).map_err(io_error)?;
    reader.read_exact(&mut directory).map_err(|_| truncated())?;
    let mut entries = Vec::with_capacity(usize::from(total));
    let mut rest = directory.as_slice();
    while !rest.is_empty() {
        let (entry, used) = read_central(rest)?;
        entries.push(entry);
        rest = &rest[used..];
    }
    if entries.len() != usize::from(total) {
        return Err(ArchiveError::archive("The ZIP archive's end record counts its entries wrongly."));
    }
    Ok((entries, offset))
}

fn read_central(bytes: &[u8]) -> Result<(Entry, usize), ArchiveError> {
    let header = bytes
        .get(..CENTRAL_BYTES)
        .filter(|header| u32_at(header, 0) == CENTRAL)
        .ok_or_else(|| ArchiveError::archive("The ZIP archive's list of entries is damaged."))?;
    let (name_bytes, extra_bytes, comment_bytes) = (usize::from(u16_at(header, 28)), usize::from(u16_at(header, 30)), usize::from(u16_at(header, 32)));
    let used = CENTRAL_BYTES + name_bytes + extra_bytes + comment_bytes;
    let name = bytes.get(CENTRAL_BYTES..CENTRAL_BYTES + name_bytes).filter(|_| bytes.len() >= used).ok_or_else(truncated)?;
    let name = std::str::from_utf8(name).map_err(|_| ArchiveError::archive("The ZIP archive has a name that is not UTF-8."))?.to_owned();
    let flags = u16_at(header, 8);
    if flags & (FLAG_ENCRYPTED | FLAG_PATCH | FLAG_STRONG_ENCRYPTION | FLAG_MASKED) != 0 {
        return Err(ArchiveError::archive(format!("'{name}' is encrypted.")));
    }
    let deflated = match u16_at(header, 10) {
        0 => false,
        8 => true,
        method => return Err(ArchiveError::archive(format!("'{name}' is compressed by method {method}; use deflate or none."))),
    };
    let (packed, unpacked, offset) = (u32_at(header, 20), u32_at(header, 24), u32_at(header, 42));
    if [packed, unpacked, offset].contains(&u32::MAX) {
        return Err(ArchiveError::archive("ZIP64 is not supported."));
    }
    // Upper half of the external attributes, when written on Unix: the file's mode.
    let mode = u32_at(header, 38) >> 16;
    if header[5] == 3 && mode & 0o170_000 == 0o120_000 {
        return Err(ArchiveError::archive(format!("'{name}' is a symbolic link.")));
    }
    let entry = Entry { name, deflated, crc32: u32_at(header, 16), packed: packed.into(), unpacked: unpacked.into(), offset: offset.into(), data: 0, flags };
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

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;
    use crate::archive::samples::zip;

    fn why(bytes: Vec<u8>) -> String {
        ZipFrame::open(Cursor::new(bytes)).err().map(|error| error.to_string()).unwrap_or_default()
    }

    fn find(bytes: &[u8], signature: u32) -> usize {
        bytes.windows(4).position(|window| window == signature.to_le_bytes()).unwrap()
    }

    #[test]
    fn an_ordinary_archive_reads_back() {
        let mut frame = ZipFrame::open(Cursor::new(zip(&[("a.txt", b"one"), ("b/c.txt", &[b'x'; 5000])]))).unwrap();
        assert_eq!(frame.entries.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["a.txt", "b/c.txt"]);
        assert_eq!(frame.read(0, 10).unwrap(), b"one");
        assert_eq!(frame.read(1, 5000).unwrap(), vec![b'x'; 5000]);
        assert!(frame.read(1, 4999).is_err());
    }

    #[test]
    fn nothing_may_lie_before_between_or_behind_the_entries() {
        let plain = zip(&[("a", b"one"), ("b", b"two")]);
        assert!(why([b"#!/bin/sh\n".as_slice(), &plain].concat()).contains("not where its end record says"));
        assert!(why([plain.as_slice(), b"more"].concat()).contains("something follows it"));
        let mut between = plain.clone();
        let directory = find(&between, CENTRAL);
        between.splice(directory..directory, *b"gap!");
        let end = find(&between, END);
        let moved = u32_at(&between, end + 16) + 4;
        between[end + 16..end + 20].copy_from_slice(&moved.to_le_bytes());
        assert!(why(between).contains("bytes that belong to no entry"));
    }

    #[test]
    fn the_two_lists_must_agree() {
        let mut renamed = zip(&[("a", b"one")]);
        renamed[30] = b'z';
        assert!(why(renamed).contains("differ in the name of 'a'"));
        let mut resized = zip(&[("a", b"one")]);
        resized[22] ^= 1;
        assert!(why(resized).contains("differ in the sizes"));
    }

    #[test]
    fn an_entry_listed_twice_is_refused() {
        let plain = zip(&[("a", b"one"), ("b", b"two")]);
        let doubled: Vec<u8> = {
            let mut bytes = plain;
            for at in (0..bytes.len() - 1).filter(|&at| bytes[at] == b'b').collect::<Vec<_>>() {
                bytes[at] = b'a';
            }
            bytes
        };
        assert!(why(doubled).contains("two entries named 'a'"));
    }

    #[test]
    fn content_that_does_not_match_its_checksum_is_refused() {
        let mut bytes = zip(&[("a", b"one")]);
        let at = find(&bytes, CENTRAL);
        // Changed in both lists alike: only reading the content can tell.
        bytes[14] ^= 1;
        bytes[at + 16] ^= 1;
        let mut frame = ZipFrame::open(Cursor::new(bytes)).unwrap();
        assert!(frame.read(0, 10).unwrap_err().to_string().contains("does not match its size or checksum"));
    }

    #[test]
    fn encryption_odd_compression_and_links_are_refused() {
        let patched = |offset: usize, value: &[u8]| {
            let mut bytes = zip(&[("a", b"one")]);
            let at = find(&bytes, CENTRAL);
            bytes[at + offset..at + offset + value.len()].copy_from_slice(value);
            why(bytes)
        };
        assert!(patched(8, &1u16.to_le_bytes()).contains("is encrypted"));
        assert!(patched(10, &14u16.to_le_bytes()).contains("compressed by method 14"));
        assert!(patched(38, &(0o120_777u32 << 16).to_le_bytes()).contains("symbolic link"));
        assert!(patched(24, &u32::MAX.to_le_bytes()).contains("ZIP64"));
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_unpacked() {
        let zeros = vec![0u8; 70 << 20];
        assert!(why(zip(&[("a", &zeros)])).contains("looks like a bomb"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = ZipFrame::open(Cursor::new(bytes));
        }

        #[test]
        fn no_damage_panics_the_reader(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
            let mut bytes = zip(&[("a", b"one"), ("dir/b", &[7; 300])]);
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            if let Ok(mut frame) = ZipFrame::open(Cursor::new(bytes)) {
                for index in 0..frame.entries.len() {
                    let _ = frame.read(index, 1000);
                }
            }
        }
    }
}
