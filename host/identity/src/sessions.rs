//! Browser sessions: started, listed, ended.

use gate::{Permit, Target, TargetFacts};
use model::{Action, Factor, SessionId, Timestamp, UserId, UserName};
use storage::{Secret, StorageError};

use crate::Identity;

/// Start a session for whoever was proven.
#[derive(Clone, Copy, Debug)]
pub struct StartSession;

/// List a user's live sessions.
#[derive(Clone, Copy, Debug)]
pub struct ListSessions {
    pub user: UserId,
}

/// End one of a user's sessions.
#[derive(Clone, Copy, Debug)]
pub struct EndSession {
    pub user: UserId,
    pub session: SessionId,
}

/// End a user's sessions, all but one.
#[derive(Clone, Copy, Debug)]
pub struct EndSessions {
    pub user: UserId,
    /// The one that goes on; none to end all.
    pub except: Option<SessionId>,
}

/// A session that was started, or renewed with another secret.
#[derive(Clone, Debug)]
pub struct StartedSession {
    /// What the browser presents from now on. The database has its hash only.
    pub secret: Secret<String>,
    pub session: SessionId,
    pub user: UserName,
    /// What the browser is known by at the next login; none to leave that as it is.
    pub device: Option<Secret<String>>,
    /// The end that no use puts off.
    pub expires_at: Timestamp,
}

/// A live session, as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedSession {
    pub id: SessionId,
    pub created_at: Timestamp,
    pub last_used_at: Timestamp,
    /// Where it was started from.
    pub remote_address: String,
    /// The browser in words, see [`crate::history::device_in_words`].
    pub device: String,
    pub user_agent: String,
    /// The second factor proven last.
    pub factor: Option<Factor>,
}

impl Target for StartSession {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::SessionStart)
    }
}

impl Target for ListSessions {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::SessionList)
    }
}

impl Target for EndSession {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::SessionEnd)
    }
}

impl Target for EndSessions {
    fn facts(&self) -> TargetFacts<'_> {
        TargetFacts::of(Action::SessionEnd)
    }
}

impl Identity {
    /// A user's live sessions, the newest first.
    pub async fn list_sessions(&self, permit: Permit<ListSessions>) -> Result<Vec<ListedSession>, StorageError> {
        let _ = permit;
        todo!()
    }

    /// Ends one of a user's sessions; whether it lived. One that is another user's does not
    /// exist.
    pub async fn end_session(&self, permit: Permit<EndSession>) -> Result<bool, StorageError> {
        let _ = permit;
        todo!()
    }

    /// Ends a user's sessions but one; how many.
    pub async fn end_sessions(&self, permit: Permit<EndSessions>) -> Result<u64, StorageError> {
        let _ = permit;
        todo!()
    }
}
