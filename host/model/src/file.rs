//! Distribution files.

crate::project::words! {
    /// Kind of a distribution file; the words are those of the upload form's `filetype`.
    FileKind {
        /// A source distribution (PEP 625).
        Sdist = "sdist",
        /// A wheel (PEP 427).
        Wheel = "bdist_wheel",
    }
}

/// Digests of a file's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digests {
    /// MD5, stored because old clients send it; proves nothing.
    pub md5: [u8; 16],
    /// SHA-256.
    pub sha256: [u8; 32],
    /// BLAKE2b with 32 bytes of output; names the blob.
    pub blake2_256: [u8; 32],
}

impl Digests {
    /// MD5 in lower-case hex.
    pub fn md5_hex(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.md5)
    }

    /// SHA-256 in lower-case hex.
    pub fn sha256_hex(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.sha256)
    }

    /// BLAKE2b-256 in lower-case hex.
    pub fn blake2_256_hex(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.blake2_256)
    }
}
