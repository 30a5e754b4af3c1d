//! Storage of bytes. No other crate knows where they are: a blob has a name, a size and bytes, but
//! no path, so it could be stored elsewhere as well.
//!
//! Read [`Blobs`] first, then the life of a blob in order: [`Incoming`] (written and hashed),
//! [`Received`] (complete, but not stored yet), [`Blob`] (stored, to be read in parts),
//! [`OldBlobs`] (possibly unreferenced). Only the registry knows which blobs are referenced.
//!
//! To add another kind of storage, add another way to open [`Blobs`], and a variant to each error.
//!
//! Invariant: when [`Received::keep`] and [`Blobs::keep_metadata`] return, the blob survives a
//! crash. So the row that names it is written afterwards.

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
