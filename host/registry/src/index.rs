//! What pip, uv and people's tools read: the Simple API and the JSON API.

use bytes::Bytes;
use gate::Permit;
use model::Caller;
use storage::StorageError;

use crate::Registry;
use crate::targets::ReadIndex;

/// How a page of the Simple API is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PageFormat {
    /// `text/html` and `application/vnd.pypi.simple.v1+html` (PEP 503).
    Html,
    /// `application/vnd.pypi.simple.v1+json` (PEP 691).
    Json,
}

/// A rendered page, shared with the cache.
#[derive(Clone, Debug)]
pub struct Page {
    pub body: Bytes,
    /// With its quotes.
    pub etag: String,
    /// `X-PyPI-Last-Serial`.
    pub last_serial: i64,
}

impl Registry {
    /// What a decision about reading needs: the list of projects, or one project's pages.
    /// `project` is a normalized name. From memory for an anonymous caller and a cached page.
    pub async fn load_read_index(&self, caller: &Caller, project: Option<&str>) -> Result<ReadIndex, StorageError> {
        let _ = (caller, project);
        todo!()
    }

    /// `/simple/` or `/simple/{project}/`; none is a 404.
    pub async fn simple_page(&self, permit: Permit<ReadIndex>, format: PageFormat) -> Result<Option<Page>, StorageError> {
        let _ = (permit, format);
        todo!()
    }

    /// `/pypi/{project}/json`, or with `version` as it stands in the path
    /// `/pypi/{project}/{version}/json`; none is a 404.
    pub async fn json_page(&self, permit: Permit<ReadIndex>, version: Option<&str>) -> Result<Option<Page>, StorageError> {
        let _ = (permit, version);
        todo!()
    }
}
