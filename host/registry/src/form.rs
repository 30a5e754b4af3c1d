//! The upload form: parsed multipart fields, bounded and not yet believed.

use crate::spool::SpooledFile;
use crate::upload::UploadError;

/// Collects the parts of a multipart body in whatever order they come.
#[derive(Debug, Default)]
pub struct FormBuilder {}

impl FormBuilder {
    /// Bytes that one text field may have at most; read no further than one more than this.
    pub const MAX_FIELD_BYTES: usize = 1 << 20;

    /// An empty form.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a part that is not a file.
    pub fn text(&mut self, name: &str, value: &[u8]) -> Result<(), UploadError> {
        let _ = (name, value);
        todo!()
    }

    /// Whether a part with a file name is the distribution (`content`), is to be read and
    /// ignored (`gpg_signature`), or is refused (any other field).
    pub fn file_part(&self, name: &str) -> Result<FilePart, UploadError> {
        let _ = name;
        todo!()
    }

    /// Adds the distribution: the part's file name and content type, and its spooled bytes.
    pub fn content(&mut self, file_name: Option<&str>, content_type: Option<&str>, file: SpooledFile) -> Result<(), UploadError> {
        let _ = (file_name, content_type, file);
        todo!()
    }

    /// The whole form.
    pub fn finish(self) -> UploadForm {
        todo!()
    }
}

/// What to do with a part that has a file name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilePart {
    /// Spool it and hand it to [`FormBuilder::content`].
    Content,
    /// Read and drop it.
    Ignored,
}

/// All fields of an upload. What they mean is checked by [`crate::Registry::upload`].
#[derive(Debug)]
pub struct UploadForm {}
