//! The upload form: parsed multipart fields, bounded but not validated yet.

use std::collections::BTreeMap;

use crate::metadata::fields::FIELDS;
use crate::spool::SpooledFile;
use crate::upload::UploadError;

/// Fields of the form that are not core metadata.
const OWN_FIELDS: &[&str] = &[
    ":action",
    "protocol_version",
    "filetype",
    "pyversion",
    "md5_digest",
    "sha256_digest",
    "blake2_256_digest",
    "comment",
    "attestations",
];

/// Most parts of one form; far more than any real project has classifiers and requirements.
const MAX_PARTS: usize = model::limit::FORM_PARTS.length();
/// Bytes of all text fields together.
const MAX_TEXT_BYTES: usize = model::limit::FORM_TEXT_BYTES.length();

/// Collects the parts of a multipart body in any order.
#[derive(Debug, Default)]
pub struct FormBuilder {
    fields: Fields,
    content: Option<Content>,
    parts: usize,
    bytes: usize,
}

/// The distribution as it arrived.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) file_name: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) file: SpooledFile,
}

/// Text fields by name. Never an empty list, never an empty text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(BTreeMap<&'static str, Vec<String>>);

impl Fields {
    /// Every value of a field, in order.
    pub(crate) fn all(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// The value of a field that has one.
    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        self.all(name).first().map(String::as_str)
    }
}

impl FormBuilder {
    /// Most bytes of one text field; read at most one more than this.
    pub const MAX_FIELD_BYTES: usize = model::limit::FORM_FIELD_BYTES.length();

    /// An empty form.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a part that is not a file. Unknown fields are dropped; so are empty values and the
    /// value `UNKNOWN`, which old tools write for "nothing"; NUL is escaped.
    pub fn text(&mut self, name: &str, value: &[u8]) -> Result<(), UploadError> {
        self.count_part()?;
        let Some(name) = known_field(name) else {
            return Ok(());
        };
        self.bytes = self.bytes.saturating_add(value.len());
        let too_large = |why: String| {
            Err(UploadError::rejected(
                "form-too-large",
                format!("The upload form is too large: {why}."),
            ))
        };
        if value.len() > Self::MAX_FIELD_BYTES {
            return too_large(format!(
                "the text of '{name}' is longer than {} bytes",
                Self::MAX_FIELD_BYTES
            ));
        }
        if self.bytes > MAX_TEXT_BYTES {
            return too_large(format!(
                "with the text of '{name}' all its texts are longer than {MAX_TEXT_BYTES} bytes"
            ));
        }
        let Ok(text) = std::str::from_utf8(value) else {
            return Err(UploadError::rejected(
                "form-not-utf8",
                format!("Invalid value for {name}. Error: Use UTF-8."),
            ));
        };
        if text.is_empty() || text.trim() == "UNKNOWN" {
            return Ok(());
        }
        let text = text.replace('\0', "\\x00");
        let values = self.fields.0.entry(name).or_default();
        if !is_repeatable(name) && values.first().is_some_and(|first| *first != text) {
            // The value must not depend on which of the two a reader takes.
            return Err(UploadError::rejected(
                "form-contradiction",
                format!(
                    "Invalid value for {name}. Error: It was given twice with different values."
                ),
            ));
        }
        if is_repeatable(name) || values.is_empty() {
            values.push(text);
        }
        Ok(())
    }

    /// Whether a part with a file name is the distribution (`content`), is read and ignored
    /// (`gpg_signature`), or is refused (any other field).
    pub fn file_part(&mut self, name: &str) -> Result<FilePart, UploadError> {
        self.count_part()?;
        match name {
            "content" if self.content.is_some() => Err(UploadError::rejected(
                "two-files",
                "Upload payload has more than one file.",
            )),
            "content" => Ok(FilePart::Content),
            "gpg_signature" => Ok(FilePart::Ignored),
            _ => {
                let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
                Err(UploadError::rejected(
                    "field-is-a-file",
                    format!("{name}: Should not be a tuple."),
                ))
            }
        }
    }

    /// Adds the distribution: the part's file name and content type, and its spooled bytes.
    pub fn content(
        &mut self,
        file_name: Option<&str>,
        content_type: Option<&str>,
        file: SpooledFile,
    ) -> Result<(), UploadError> {
        if self.content.is_some() {
            return Err(UploadError::rejected(
                "two-files",
                "Upload payload has more than one file.",
            ));
        }
        let bounded = |text: &str| text.chars().take(1024).collect();
        self.content = Some(Content {
            file_name: file_name.map(bounded),
            content_type: content_type.map(bounded),
            file,
        });
        Ok(())
    }

    /// The text fields so far.
    pub(crate) fn fields(&self) -> &Fields {
        &self.fields
    }

    /// The whole form.
    pub fn finish(self) -> UploadForm {
        UploadForm {
            fields: self.fields,
            content: self.content,
        }
    }

    fn count_part(&mut self) -> Result<(), UploadError> {
        self.parts += 1;
        if self.parts <= MAX_PARTS {
            return Ok(());
        }
        Err(UploadError::rejected(
            "form-too-large",
            format!("The upload form has more than {MAX_PARTS} fields."),
        ))
    }
}

fn known_field(name: &str) -> Option<&'static str> {
    OWN_FIELDS
        .iter()
        .copied()
        .chain(
            FIELDS
                .iter()
                .flat_map(|field| field.form_names.iter().copied()),
        )
        .find(|known| *known == name)
}

fn is_repeatable(name: &str) -> bool {
    FIELDS
        .iter()
        .any(|field| field.many && field.form_names.contains(&name))
}

/// What to do with a part that has a file name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilePart {
    /// Spool it and hand it to [`FormBuilder::content`].
    Content,
    /// Read and drop it.
    Ignored,
}

/// All fields of an upload. [`crate::Registry::upload`] validates them.
#[derive(Debug)]
pub struct UploadForm {
    pub(crate) fields: Fields,
    pub(crate) content: Option<Content>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn form(parts: &[(&str, &[u8])]) -> Result<Fields, UploadError> {
        let mut builder = FormBuilder::new();
        for (name, value) in parts {
            builder.text(name, value)?;
        }
        Ok(builder.finish().fields)
    }

    #[test]
    fn repeated_keys_stay_in_order() {
        let fields = form(&[("classifiers", b"B"), ("classifiers", b"A")]).unwrap();
        assert_eq!(fields.all("classifiers"), ["B", "A"]);
    }

    #[test]
    fn empty_and_unknown_values_and_unknown_fields_are_absent() {
        let fields = form(&[
            ("summary", b""),
            ("license", b"UNKNOWN"),
            ("home_page", b" UNKNOWN "),
            ("colour", b"red"),
            ("name", b"x"),
        ])
        .unwrap();
        assert_eq!(
            (
                fields.one("summary"),
                fields.one("license"),
                fields.one("home_page"),
                fields.one("colour")
            ),
            (None, None, None, None)
        );
        assert_eq!(fields.one("name"), Some("x"));
    }

    #[test]
    fn a_nul_is_escaped() {
        assert_eq!(
            form(&[("summary", b"a\0b")]).unwrap().one("summary"),
            Some("a\\x00b")
        );
    }

    #[test]
    fn a_single_field_may_not_contradict_itself() {
        assert!(form(&[("name", b"a"), ("name", b"b")]).is_err());
        assert_eq!(
            form(&[("name", b"a"), ("name", b"a")]).unwrap().all("name"),
            ["a"]
        );
    }

    #[test]
    fn text_that_is_not_utf8_is_refused() {
        assert!(form(&[("name", b"\xff")]).is_err());
    }

    #[test]
    fn counts_and_sizes_are_bounded() {
        let large = vec![b'a'; FormBuilder::MAX_FIELD_BYTES + 1];
        assert!(form(&[("description", &large)]).is_err());
        let most = &large[1..];
        assert!(form(&[("description", most), ("summary", most)]).is_ok());
        assert!(form(&[("description", most), ("summary", most), ("keywords", b"a")]).is_err());
        let many: Vec<(&str, &[u8])> = vec![("classifiers", b"a".as_slice()); MAX_PARTS + 1];
        assert!(form(&many).is_err());
        let unknown: Vec<(&str, &[u8])> = vec![("nobody-knows", b"a".as_slice()); MAX_PARTS + 1];
        assert!(form(&unknown).is_err());
    }

    #[test]
    fn only_the_distribution_and_signatures_may_be_files() {
        let mut builder = FormBuilder::new();
        assert_eq!(builder.file_part("content").unwrap(), FilePart::Content);
        assert_eq!(
            builder.file_part("gpg_signature").unwrap(),
            FilePart::Ignored
        );
        assert_eq!(
            builder.file_part("name").unwrap_err().to_string(),
            "name: Should not be a tuple."
        );
    }

    proptest! {
        #[test]
        fn no_parts_panic_the_form(parts in proptest::collection::vec(("[a-z_:]{0,20}", proptest::collection::vec(any::<u8>(), 0..40)), 0..20)) {
            let borrowed: Vec<(&str, &[u8])> = parts.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
            if let Ok(fields) = form(&borrowed) {
                for values in fields.0.values() {
                    prop_assert!(!values.is_empty() && values.iter().all(|value| !value.is_empty() && !value.contains('\0')));
                }
            }
        }
    }
}
