//! What can go wrong, the same on both databases.

/// Why a method failed.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// A rule that the database keeps would have been broken; nothing was written.
    #[error("{0}")]
    Conflict(#[from] Conflict),
    /// The database cannot be reached, is locked for too long, or cannot be set up.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// The database holds something this version cannot read, or a statement of ours is wrong.
    #[error("the database holds something unexpected: {0}")]
    Corrupt(String),
}

impl StorageError {
    /// The conflict, if it is one.
    pub fn conflict(&self) -> Option<Conflict> {
        match self {
            Self::Conflict(conflict) => Some(*conflict),
            _ => None,
        }
    }
}

/// The rules that the database keeps, each by a constraint or by a conditional write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Conflict {
    #[error("the user name is taken")]
    UserNameTaken,
    #[error("the e-mail address is taken")]
    EmailTaken,
    #[error("the user has a token with this description already")]
    TokenDescriptionTaken,
    #[error("the project name is taken")]
    ProjectNameTaken,
    #[error("the project would be left without an owner")]
    LastOwner,
    #[error("the file name is taken, or was once")]
    FileNameTaken,
    #[error("a file with the same content exists already")]
    FileContentTaken,
    #[error("the release has a source distribution already")]
    SourceDistributionTaken,
    #[error("an identifier was used twice")]
    IdTaken,
    /// A user, project, release, module or set that the write refers to does not exist (any more).
    #[error("something the write refers to does not exist any more")]
    ReferenceGone,
    /// Two transactions stood in each other's way; doing the same again may succeed.
    #[error("another write came in between; try again")]
    Raced,
}
