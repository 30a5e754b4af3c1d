//! Extra fields of entries: a list of (id, length, bytes) after the name in both headers.
//!
//! A reader skips fields that it does not know. Times, owners, access lists, alignment and padding
//! do not affect an installer, so they are accepted. The refused fields can make one reader see
//! another name, content, size or kind of file than the header gives.

use flate2::Crc;

use super::{ArchiveError, u16_at, u32_at};

const ZIP64: u16 = 0x0001;
const UNICODE_PATH: u16 = 0x7075;
const UNICODE_COMMENT: u16 = 0x6375;
/// PKWARE's field for Unix: times and owners, then the target of a link or device.
const UNIX: u16 = 0x000d;
const UNIX_WITHOUT_TARGET: usize = 12;

/// Fields that change name, content, size or kind, by the registry in PKWARE's APPNOTE (4.5.2
/// and 4.6) and Info-ZIP's list.
const CHANGING: &[u16] = &[
    0x0008, // names in another encoding
    0x000e, // streams and forks of a file
    0x000f, // a patch
    0x0014, // what encryption and signatures need: 0x0014 to 0x0019
    0x0015, 0x0016, 0x0017, 0x0018, 0x0019, 0x0020, // encryption again
    0x0021, 0x0022, 0x0023, 0x0066, // attributes that are compressed, of IBM's systems
    0x07c8, // Macintosh, three generations, some with a name of their own
    0x1986, // Pixar's, with a size
    0x2605, // ZipIt: a long name
    0x2705, 0x2805, 0x334d, // Macintosh again
    0x4690, // IBM 4690
    0x554e, // Xceed: a name in Unicode
    0x756e, // ASi's field for Unix: a mode, and what a link leads to
    0x9901, // AES
    0x9902,
];

/// Checks the extra fields of one header of an entry and returns that of ZIP64, if there is one.
pub(super) fn check<'a>(name: &str, mut bytes: &'a [u8]) -> Result<Option<&'a [u8]>, ArchiveError> {
    let mut zip64 = None;
    // Fewer than four bytes are not a field; aligning tools pad with zeros.
    while bytes.len() >= 4 || bytes.iter().any(|byte| *byte != 0) {
        let damaged = || ArchiveError::archive(format!("'{name}' has a damaged extra field."));
        let head = bytes.get(..4).ok_or_else(damaged)?;
        let (id, length) = (u16_at(head, 0), usize::from(u16_at(head, 2)));
        let content = bytes.get(4..4 + length).ok_or_else(damaged)?;
        bytes = &bytes[4 + length..];
        let is_harmless = match id {
            ZIP64 => zip64.replace(content).is_none(),
            UNICODE_PATH => says(content, name, name.as_bytes()),
            UNICODE_COMMENT => says(content, "", b""),
            UNIX => content.len() <= UNIX_WITHOUT_TARGET,
            id => !CHANGING.contains(&id),
        };
        if !is_harmless {
            return Err(ArchiveError::archive(format!(
                "'{name}' has an extra field (0x{id:04x}) that readers may understand differently."
            )));
        }
    }
    Ok(zip64)
}

/// Whether a Unicode field (version, checksum of the plain text, text) matches the plain text. With
/// a wrong checksum some readers would skip it and some would not.
fn says(content: &[u8], text: &str, plain: &[u8]) -> bool {
    let mut crc = Crc::new();
    crc.update(plain);
    content.len() >= 5
        && content[0] == 1
        && u32_at(content, 1) == crc.sum()
        && &content[5..] == text.as_bytes()
}
