//! The name of a blob: the digest of its content.

/// The name of a blob. The content under a name never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlobName {
    /// A distribution, by its BLAKE2b-256.
    File([u8; 32]),
    /// Core metadata, by its SHA-256: stored once, however many files of a release share it. (It
    /// used to be next to its wheel, under the wheel's BLAKE2b-256.)
    Metadata([u8; 32]),
}

impl BlobName {
    /// The digest of either kind.
    pub fn digest(&self) -> &[u8; 32] {
        match self {
            Self::File(digest) | Self::Metadata(digest) => digest,
        }
    }

    /// The name of a file in a folder.
    pub(crate) fn to_file_name(self) -> String {
        let hex = data_encoding::HEXLOWER.encode(self.digest());
        match self {
            Self::File(_) => hex,
            Self::Metadata(_) => hex + METADATA,
        }
    }

    /// The inverse; none for foreign files.
    pub(crate) fn of_file_name(name: &str) -> Option<Self> {
        let (hex, kind): (_, fn([u8; 32]) -> Self) = match name.strip_suffix(METADATA) {
            Some(hex) => (hex, Self::Metadata),
            None => (name, Self::File),
        };
        let digest = data_encoding::HEXLOWER.decode(hex.as_bytes()).ok()?;
        Some(kind(digest.try_into().ok()?))
    }
}

const METADATA: &str = ".metadata";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_found_again_by_the_name_of_its_file() {
        for name in [BlobName::File([7; 32]), BlobName::Metadata([171; 32])] {
            assert_eq!(BlobName::of_file_name(&name.to_file_name()), Some(name));
        }
        let hex = "ab".repeat(32);
        for foreign in ["", "ab", "README", &hex.to_uppercase(), &hex[2..]] {
            assert_eq!(BlobName::of_file_name(foreign), None, "{foreign}");
        }
    }
}
