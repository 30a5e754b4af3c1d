//! What a request has in hand before anything is decided.

use std::net::IpAddr;
use std::sync::Arc;

use model::{DecisionId, Timestamp};

use crate::generations::Generation;

/// The method of the HTTP request, as far as policies can tell methods apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
    Other,
}

/// One request, pinned to the generation it began with.
///
/// However many decisions a request needs and however long it takes, all of them are
/// made by the generation that was active when it began.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Names the request, and the first decision made for it.
    pub id: DecisionId,
    /// When the request began; the only time its decisions know.
    pub at: Timestamp,
    /// The route's pattern, for example `/simple/{project}/`.
    pub route: &'static str,
    /// The request's method.
    pub method: Method,
    /// Where it came from.
    pub remote_address: IpAddr,
    /// The `User-Agent` header, at most 256 characters.
    pub user_agent: Box<str>,
    /// The generation that decides it.
    pub(crate) generation: Arc<Generation>,
}

impl Attempt {
    /// Number of the policy set that decides this request.
    pub fn set_number(&self) -> u64 {
        self.generation.number()
    }
}
