//! Headers of `METADATA` and `PKG-INFO`: lines `Name: value`, continued after blanks, an empty
//! line, and then the description.
//!
//! Our own parser, because this must be read exactly as installers read it. Python's parser also
//! ends a line at a carriage return, and takes a line that is not a header for the beginning of the
//! description; both are errors here.

use super::MetadataError;

/// One header.
pub(super) struct Header<'a> {
    pub(super) key: &'a str,
    /// The text after the colon, including continuation lines.
    pub(super) value: &'a str,
    /// The line it begins at, from 1.
    pub(super) line: usize,
}

/// A file in its two parts.
pub(super) struct Headers<'a> {
    pub(super) headers: Vec<Header<'a>>,
    pub(super) body: &'a str,
}

pub(super) fn read(text: &str) -> Result<Headers<'_>, MetadataError> {
    let mut headers: Vec<Header<'_>> = Vec::new();
    // Start of the last header's value.
    let mut value_at = 0;
    let mut at = 0;
    for (index, whole) in text.split_inclusive('\n').enumerate() {
        let number = index + 1;
        let malformed = || MetadataError::Malformed { line: number };
        let line = whole.strip_suffix('\n').unwrap_or(whole);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.contains('\r') || whole.ends_with('\r') {
            return Err(MetadataError::Characters {
                line: number,
                why: "has a carriage return that does not end it",
            });
        }
        let next = at + whole.len();
        if line.is_empty() {
            return Ok(Headers {
                headers,
                body: &text[next..],
            });
        }
        if line.starts_with([' ', '\t']) {
            let last = headers.last_mut().ok_or_else(malformed)?;
            last.value = &text[value_at..next];
        } else {
            let (key, _) = line.split_once(':').ok_or_else(malformed)?;
            if key.is_empty()
                || !key
                    .bytes()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'))
            {
                return Err(malformed());
            }
            value_at = at + key.len() + 1;
            headers.push(Header {
                key,
                value: &text[value_at..next],
                line: number,
            });
        }
        at = next;
    }
    Ok(Headers { headers, body: "" })
}
