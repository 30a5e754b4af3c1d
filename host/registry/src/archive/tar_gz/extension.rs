//! Extension headers (GNU's long names, PAX records), which apply to the entry that follows.
//!
//! Tools repeat parts of the entry's own header here, uv for example its path and its size.
//! Repeated values must be the same; records that move content, or rename in a way that only some
//! readers follow, are refused.

use super::super::ArchiveError;

/// PAX's only other encoding is "binary"; this one is the default that all readers accept.
const UTF8_CHARSET: &[u8] = b"ISO-IR 10646 2000 UTF-8";

/// The extensions so far for the next entry.
#[derive(Default)]
pub(super) struct Extension {
    pub(super) path: Option<String>,
    pub(super) link: Option<String>,
    /// The size of its content, which its own header must repeat.
    pub(super) size: Option<u64>,
}

impl Extension {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.path.is_none() && self.link.is_none() && self.size.is_none()
    }

    pub(super) fn set_path(&mut self, path: String) -> Result<(), ArchiveError> {
        set(&mut self.path, path, "names")
    }

    pub(super) fn set_link(&mut self, link: String) -> Result<(), ArchiveError> {
        set(&mut self.link, link, "targets")
    }

    /// Reads PAX records (`length key=value\n`).
    pub(super) fn read_pax(&mut self, mut bytes: &[u8]) -> Result<(), ArchiveError> {
        let damaged = || ArchiveError::archive("The tar archive has a damaged PAX header.");
        while !bytes.is_empty() {
            let blank = bytes
                .iter()
                .take(8)
                .position(|&c| c == b' ')
                .ok_or_else(damaged)?;
            let length = usize::try_from(decimal(&bytes[..blank]).ok_or_else(damaged)?)
                .map_err(|_| damaged())?;
            let record = bytes
                .get(blank + 1..length)
                .and_then(|record| record.strip_suffix(b"\n"))
                .ok_or_else(damaged)?;
            let equals = record.iter().position(|&c| c == b'=').ok_or_else(damaged)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" | b"linkpath" if value.ends_with(b"\0") => return Err(damaged()),
                b"path" => self.set_path(super::text(value.to_vec())?)?,
                b"linkpath" => self.set_link(super::text(value.to_vec())?)?,
                b"size" => set(&mut self.size, decimal(value).ok_or_else(damaged)?, "sizes")?,
                b"hdrcharset" if value != UTF8_CHARSET => {
                    return Err(ArchiveError::archive(
                        "The tar archive has names in an encoding of its own.",
                    ));
                }
                key if key.starts_with(b"GNU.sparse") => {
                    return Err(ArchiveError::archive("The tar archive has sparse files."));
                }
                _ => {}
            }
            bytes = &bytes[length..];
        }
        Ok(())
    }
}

/// Readers disagree on which of two values they take; two equal values are harmless.
fn set<T: PartialEq>(place: &mut Option<T>, value: T, what: &str) -> Result<(), ArchiveError> {
    if place.as_ref().is_some_and(|before| *before != value) {
        return Err(ArchiveError::archive(format!(
            "The tar archive gives an entry two different {what}."
        )));
    }
    *place = Some(value);
    Ok(())
}

/// Only digits: no sign, no blanks, no other spelling of a number.
fn decimal(digits: &[u8]) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits)
        .ok()
        .filter(|_| is_number)?
        .parse()
        .ok()
}
