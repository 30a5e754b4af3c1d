//! What a request has in hand before anything is decided.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

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
#[derive(Clone)]
pub struct Attempt {
    /// Names the request, and the first decision made for it.
    pub id: DecisionId,
    /// When the request began, or was [renewed](Self::renewed); the only time its decisions know.
    pub at: Timestamp,
    /// The route's pattern, for example `/simple/{project}/`.
    pub route: &'static str,
    /// The request's method.
    pub method: Method,
    /// Where it came from.
    pub remote_address: IpAddr,
    /// The `User-Agent` header, at most 256 characters.
    pub user_agent: Box<str>,
    pub(crate) generation: Option<Arc<Generation>>,
    tally: Arc<Tally>,
}

/// What the decisions of one request add up to.
#[derive(Default)]
struct Tally {
    first_taken: AtomicBool,
    deciding_ns: AtomicU64,
    project: OnceLock<Box<str>>,
}

impl Attempt {
    pub(crate) fn new(
        at: Timestamp,
        route: &'static str,
        method: Method,
        remote_address: IpAddr,
        user_agent: &str,
        generation: Option<Arc<Generation>>,
    ) -> Self {
        let user_agent = user_agent.chars().filter(|c| !c.is_control()).take(256).collect();
        Self { id: DecisionId::new(), at, route, method, remote_address, user_agent, generation, tally: Arc::default() }
    }

    /// The same request at a later time, for one whose body took long to arrive: what expired
    /// meanwhile has expired. Its id and its generation stay what they were.
    pub fn renewed(&self, at: Timestamp) -> Self {
        Self { at: at.max(self.at), ..self.clone() }
    }

    /// Number of the policy set that decides this request; 0 while no set is active.
    pub fn set_number(&self) -> u64 {
        self.generation.as_ref().map_or(0, |generation| generation.number())
    }

    /// Microseconds spent deciding so far, all decisions of this request together.
    pub fn deciding_microseconds(&self) -> u64 {
        self.tally.deciding_ns.load(Ordering::Relaxed) / 1000
    }

    /// Normalized name of the project that its first decision about one was about.
    pub fn project(&self) -> Option<&str> {
        self.tally.project.get().map(|name| &**name)
    }

    pub(crate) fn is_about(&self, normalized: &str) {
        // For logs: bounded, and nothing that a terminal obeys, whatever a target calls a name.
        self.tally.project.get_or_init(|| normalized.chars().filter(char::is_ascii_graphic).take(128).collect());
    }

    /// The id of the next decision: the request's own for the first one.
    pub(crate) fn next_decision(&self) -> DecisionId {
        if self.tally.first_taken.swap(true, Ordering::Relaxed) { DecisionId::new() } else { self.id }
    }

    pub(crate) fn spent(&self, nanoseconds: u64) {
        self.tally.deciding_ns.fetch_add(nanoseconds, Ordering::Relaxed);
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Attempt").field("id", &self.id).field("route", &self.route).field("set_number", &self.set_number()).finish_non_exhaustive()
    }
}
