//! What is known of a request before anything is decided.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use model::audit::{Actor, AuditEvent, Detail};
use model::{Caller, DecisionId, Timestamp};

use crate::set_aside::SetAside;

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

/// One request. Each of its decisions is made by the policy set that serves at that moment,
/// however long the request takes.
#[derive(Clone)]
pub struct Attempt {
    /// Names the request, and the first decision made for it.
    pub id: DecisionId,
    /// When the request began, or was [renewed](Self::renewed); the only time its decisions use.
    pub at: Timestamp,
    /// The route's pattern, for example `/simple/{project}/`.
    pub route: &'static str,
    /// The request's method.
    pub method: Method,
    /// Where it came from.
    pub remote_address: IpAddr,
    /// The `User-Agent` header, at most 256 characters.
    pub user_agent: Box<str>,
    tally: Arc<Tally>,
}

/// The totals of one request's decisions.
struct Tally {
    first_taken: AtomicBool,
    deciding_ns: AtomicU64,
    project: OnceLock<Box<str>>,
    is_refusal_recorded: OnceLock<bool>,
    set_aside: OnceLock<SetAside>,
    answer: Mutex<Answer>,
}

/// The decision that the answer to a request names.
#[derive(Clone, Copy)]
struct Answer {
    decision: DecisionId,
    set_number: u64,
    /// Whether the answer names the next decision.
    is_open: bool,
}

impl Attempt {
    pub(crate) fn new(
        at: Timestamp,
        route: &'static str,
        method: Method,
        remote_address: IpAddr,
        user_agent: &str,
        set_number: u64,
    ) -> Self {
        let user_agent = user_agent
            .chars()
            .filter(|c| !c.is_control())
            .take(256)
            .collect();
        let id = DecisionId::new();
        let answer = Mutex::new(Answer {
            decision: id,
            set_number,
            is_open: true,
        });
        let tally = Tally {
            first_taken: AtomicBool::new(false),
            deciding_ns: AtomicU64::new(0),
            project: OnceLock::new(),
            is_refusal_recorded: OnceLock::new(),
            set_aside: OnceLock::new(),
            answer,
        };
        Self {
            id,
            at,
            route,
            method,
            remote_address,
            user_agent,
            tally: Arc::new(tally),
        }
    }

    /// This caller as the actor of an audit event.
    pub fn actor(&self, caller: &Caller) -> Actor {
        let address = self.remote_address.to_string();
        Actor::of(caller, address, self.user_agent.to_string())
    }

    /// What this caller did or tried with the request.
    pub fn event(&self, caller: &Caller, detail: Detail) -> AuditEvent {
        AuditEvent::new(self.at, self.actor(caller), detail).decided_by(self.id)
    }

    /// The same request at a later time, for one whose body took long to arrive, or that is decided
    /// again: it sees what expired meanwhile, and the answer names a decision made from then on.
    /// The id stays the same.
    pub fn renewed(&self, at: Timestamp) -> Self {
        self.answer().is_open = true;
        Self {
            at: at.max(self.at),
            ..self.clone()
        }
    }

    /// The decision that the answer names: the one that refused, or else the first one since the
    /// request began or was renewed. Before any, the request's id.
    pub fn decision(&self) -> DecisionId {
        self.answer().decision
    }

    /// Number of the policy set that made this decision, or that serves if there is none yet; 0
    /// while no set is active.
    pub fn set_number(&self) -> u64 {
        self.answer().set_number
    }

    /// Notes a decision of this request.
    pub(crate) fn decided(&self, decision: DecisionId, set_number: u64) {
        let mut answer = self.answer();
        if answer.is_open {
            *answer = Answer {
                decision,
                set_number,
                is_open: false,
            };
        }
    }

    /// Notes a refusal. The answer names it, whatever was decided before.
    pub(crate) fn refused(&self, decision: DecisionId, set_number: u64) {
        *self.answer() = Answer {
            decision,
            set_number,
            is_open: false,
        };
    }

    fn answer(&self) -> std::sync::MutexGuard<'_, Answer> {
        // Plain values: a panic cannot leave a half-written state behind.
        self.tally
            .answer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Microseconds spent so far on all decisions of this request.
    pub fn deciding_microseconds(&self) -> u64 {
        self.tally.deciding_ns.load(Ordering::Relaxed) / 1000
    }

    /// Normalized name of the first project that a decision of it was about.
    pub fn project(&self) -> Option<&str> {
        self.tally.project.get().map(|name| &**name)
    }

    pub(crate) fn is_about(&self, normalized: &str) {
        // For logs: bounded, and without terminal control characters, whatever a target uses as a
        // name.
        self.tally.project.get_or_init(|| {
            normalized
                .chars()
                .filter(char::is_ascii_graphic)
                .take(128)
                .collect()
        });
    }

    /// Notes that a read goes on without its credential, which could not be accepted. The caller is
    /// then anonymous.
    pub fn goes_without(&self, presented: SetAside) {
        self.tally.set_aside.get_or_init(|| presented);
    }

    /// The credential that could not be accepted.
    pub(crate) fn set_aside(&self) -> Option<&SetAside> {
        self.tally.set_aside.get()
    }

    /// Whether refusals of this request are recorded one by one; determined once, however many
    /// there are.
    pub(crate) fn is_refusal_recorded(&self, find_out: impl FnOnce() -> bool) -> bool {
        *self.tally.is_refusal_recorded.get_or_init(find_out)
    }

    /// The id of the next decision: the request's own for the first one.
    pub(crate) fn next_decision(&self) -> DecisionId {
        if self.tally.first_taken.swap(true, Ordering::Relaxed) {
            DecisionId::new()
        } else {
            self.id
        }
    }

    pub(crate) fn spent(&self, nanoseconds: u64) {
        self.tally
            .deciding_ns
            .fetch_add(nanoseconds, Ordering::Relaxed);
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Attempt")
            .field("id", &self.id)
            .field("route", &self.route)
            .field("set_number", &self.set_number())
            .finish_non_exhaustive()
    }
}
