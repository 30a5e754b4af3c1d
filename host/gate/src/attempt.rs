//! What a request has in hand before anything is decided.

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
    tally: Arc<Tally>,
}

/// What the decisions of one request add up to.
struct Tally {
    first_taken: AtomicBool,
    deciding_ns: AtomicU64,
    project: OnceLock<Box<str>>,
    is_refusal_recorded: OnceLock<bool>,
    set_aside: OnceLock<SetAside>,
    answer: Mutex<Answer>,
}

/// What the answer to a request names.
#[derive(Clone, Copy)]
struct Answer {
    decision: DecisionId,
    set_number: u64,
    /// Whether the next decision is the one to name.
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

    /// The same request at a later time, for one whose body took long to arrive, or that is
    /// decided once more: what expired meanwhile has expired, and the answer names what is
    /// decided from here on. Its id stays what it was.
    pub fn renewed(&self, at: Timestamp) -> Self {
        self.answer().is_open = true;
        Self {
            at: at.max(self.at),
            ..self.clone()
        }
    }

    /// The decision that the answer names: the one that refused, or else the first one since
    /// the request began or was renewed. The request's id before there is any.
    pub fn decision(&self) -> DecisionId {
        self.answer().decision
    }

    /// Number of the policy set that made this decision, or that serves before there is any;
    /// 0 while no set is active.
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

    /// Notes a refusal, which the answer names whatever was decided before it.
    pub(crate) fn refused(&self, decision: DecisionId, set_number: u64) {
        *self.answer() = Answer {
            decision,
            set_number,
            is_open: false,
        };
    }

    fn answer(&self) -> std::sync::MutexGuard<'_, Answer> {
        // Plain values: there is no half-written state that a panic could leave behind.
        self.tally
            .answer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
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
        self.tally.project.get_or_init(|| {
            normalized
                .chars()
                .filter(char::is_ascii_graphic)
                .take(128)
                .collect()
        });
    }

    /// Notes that a read goes on without what it presented, which could not be accepted. The
    /// caller is anonymous then.
    pub fn goes_without(&self, presented: SetAside) {
        self.tally.set_aside.get_or_init(|| presented);
    }

    /// What was presented and could not be accepted.
    pub(crate) fn set_aside(&self) -> Option<&SetAside> {
        self.tally.set_aside.get()
    }

    /// Whether refusals of this request are recorded one by one; found out once, however many
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
