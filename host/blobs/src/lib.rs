//! Where bytes lie. Nobody else knows: what is handed out has a name, a size and bytes, and no
//! path, so that they may as well lie elsewhere.
//!
//! Read [`Blobs`] first, then the life of a blob in its order: [`Incoming`] (written and hashed),
//! [`Received`] (whole, and not kept yet), [`Blob`] (kept, to be read in parts), [`OldBlobs`]
//! (those that nobody may refer to any longer). Who refers to a blob is the registry's to know.
//!
//! Another place for bytes is another way to open [`Blobs`], and one more variant of each error.
//!
//! Invariant: when [`Received::keep`] and [`Blobs::keep_metadata`] return, the blob survives a
//! crash. So the row that names it is written after it.

mod at_hand;
mod blob;
mod folder;
mod incoming;
mod name;
mod old;

pub use blob::{Blob, ReadError, Reading, Rest};
pub use folder::{Blobs, OpenError};
pub use incoming::{Incoming, Received, WriteError};
pub use name::BlobName;
pub use old::{OldBlob, OldBlobs, Removed, SweepError};
