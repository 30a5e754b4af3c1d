//! Extra fields of entries: a list of (id, length, bytes) behind the name in both headers.

use super::{ArchiveError, u16_at};

/// Fields that build tools write and that change neither name nor size nor content, with
/// the lengths they may have: times (`UT`), owners on Unix (two generations and `ux`), and
/// the mark of JAR tools. Everything else is refused, above all ZIP64 (0x0001) and the
/// Unicode path (0x7075), which some readers take for the name and others do not see.
const HARMLESS: &[(u16, std::ops::RangeInclusive<usize>)] = &[(0x5455, 1..=13), (0x5855, 8..=12), (0x7855, 0..=4), (0x7875, 3..=35), (0xcafe, 0..=0)];

/// Checks the extra fields of one header of an entry.
pub(super) fn check(name: &str, mut bytes: &[u8]) -> Result<(), ArchiveError> {
    let mut seen = Vec::new();
    while !bytes.is_empty() {
        let damaged = || ArchiveError::archive(format!("'{name}' has a damaged extra field."));
        let head = bytes.get(..4).ok_or_else(damaged)?;
        let (id, length) = (u16_at(head, 0), usize::from(u16_at(head, 2)));
        bytes = bytes.get(4 + length..).ok_or_else(damaged)?;
        if id == 0x0001 {
            return Err(ArchiveError::archive("ZIP64 is not supported."));
        }
        let is_harmless = HARMLESS.iter().any(|(known, lengths)| *known == id && lengths.contains(&length));
        if !is_harmless || seen.contains(&id) {
            return Err(ArchiveError::archive(format!("'{name}' has an extra field (0x{id:04x}) that readers may understand differently.")));
        }
        seen.push(id);
    }
    Ok(())
}
