//! The fields of each kind of event, and the one place that knows how they are stored.
//!
//! The list at the end is complete: a kind always comes with its fields, and code that writes an
//! event names all of them. Stored events outlive the code: a key is never renamed, and a field
//! added later is missing in older events.

use serde_json::{Map, Value};

use super::field::{Word, details};
use crate::action::Action;
use crate::caller::{CredentialKind, Factor};
use crate::device::{DeviceKind, KeyKind};
use crate::id::{KeyId, MailId, RecoveryId, SessionId, TokenId, UserId};
use crate::mail::MailKind;
use crate::project::{ProjectStatus, Role};

pub use super::parts::{
    ConfirmedBy, Demand, EndedSessions, LoginDevice, LoginMethod, Promotion, Registration, Removal,
    RequestedMail, SecondStep,
};

impl Detail {
    /// The token that it is about, if any.
    pub fn token(&self) -> Option<TokenId> {
        match self {
            Self::TokenCreated { token, .. } | Self::TokenRevoked { token, .. } => token.known(),
            Self::AuthenticationSetAside { token, .. } => token.as_ref().and_then(Word::known),
            _ => None,
        }
    }

    /// The policy set that it made the active one, if any.
    pub fn activated_set(&self) -> Option<i64> {
        match self {
            Self::PolicySetActivated { set, .. } | Self::PolicySetRolledBack { set, .. } => {
                Some(*set)
            }
            _ => None,
        }
    }
}

details! {
    AccountCreated = "account:created" { name: String = "name", staff: bool = "staff" },
    AccountDisabled = "account:disabled" {
        reason: String = "reason",
        ended_sessions: u64 = "ended-sessions",
    },
    AccountEnabled = "account:enabled",
    PasswordSet = "account:password:set" {
        /// None for a new account, which had no sessions.
        ended_sessions: Option<u64> = "ended-sessions" unless_none,
    },
    PasswordRehashed = "account:password:rehashed",
    PasswordDisabled = "account:password:disabled" {
        because: String = "because",
        ended_sessions: u64 = "ended-sessions",
    },
    TotpEnrolled = "account:totp:enrolled" { code_checked: bool = "code-checked" },
    TotpRemoved = "account:totp:removed",
    EmailAdded = "account:email:added" { address: String = "address" },
    EmailVerified = "account:email:verified" { address: String = "address" },
    EmailPromoted = "account:email:promoted" {
        address: String = "address",
        how: Promotion = _,
    },
    EmailRemoved = "account:email:removed" {
        address: String = "address",
        /// None if its owner did it.
        because: Option<String> = "because" unless_none,
    },
    EmailConverted = "account:email:converted" {
        before: String = "before",
        address: String = "address",
    },
    StaffGranted = "account:staff:granted" {
        because: Option<String> = "because" unless_none,
    },
    StaffRevoked = "account:staff:revoked",
    AccountDeleted = "account:deleted" {
        name: String = "name",
        reason: Option<String> = "reason",
    },
    AccountSecured = "account:secured" {
        sessions: u64 = "sessions",
        tokens: u64 = "tokens",
        /// How many can no longer log in by themselves.
        passkeys: u64 = "passkeys",
        /// Where the link for a new password went.
        mailed: Option<String> = "mailed",
    },
    PasswordResetRequested = "account:password:reset-requested" {
        mailed: bool = "mailed",
        known: bool = "known",
        often: bool = "often",
    },
    PasswordReset = "account:password:reset" { ended_sessions: u64 = "ended-sessions" },
    PasswordBreached = "account:password:breached" { action: Word<Action> = "action" },
    BreachCheckUnavailable = "account:password:breach-check-unavailable" {
        action: Word<Action> = "action",
    },
    RegistrationRequested = "account:registration-requested" { who: Registration = _ },
    RegistrationDiscarded = "account:registration-discarded" {
        name: String = "name",
        address: String = "address",
    },
    RecoveryCodesGenerated = "account:recovery-codes:generated" { codes: u64 = "codes" },
    RecoveryCodesConfirmed = "account:recovery-codes:confirmed" { left: u64 = "left" },
    RecoveryCodeUsed = "account:recovery-codes:used" { left: u64 = "left" },
    KeyEnrolled = "account:key:enrolled" {
        key: Word<KeyId> = "key",
        name: String = "name",
        kind: Word<KeyKind> = "kind",
    },
    KeyRenamed = "account:key:renamed" {
        key: Word<KeyId> = "key",
        name: String = "name",
        before: String = "before",
    },
    KeyRemoved = "account:key:removed" {
        key: Word<KeyId> = "key",
        name: String = "name",
    },
    DeviceUnrecognized = "account:device:unrecognized" {
        mailed: bool = "mailed",
        kind: Word<DeviceKind> = "kind",
    },
    DeviceConfirmed = "account:device:confirmed" { kind: Word<DeviceKind> = "kind" },
    DeviceForgotten = "account:device:forgotten" {
        kind: Word<DeviceKind> = "kind",
        /// The host of the command line, as it reported it.
        host: Option<String> = "host",
    },
    SessionStarted = "session:started" {
        session: Word<SessionId> = "session",
        method: Word<LoginMethod> = "method",
        second_factor: Option<Word<Factor>> = "second-factor",
        device: Word<LoginDevice> = "device",
    },
    SessionSteppedUp = "session:stepped-up" {
        session: Word<SessionId> = "session",
        method: Word<ConfirmedBy> = "method",
    },
    SessionEnded = "session:ended" { which: EndedSessions = _ },
    RecoveryStarted = "account:recovery:started" {
        recovery: Word<RecoveryId> = "recovery",
        by: String = "by",
        reason: String = "reason",
        /// A moment, to the second.
        effective_at: String = "effective-at",
    },
    RecoveryCancelled = "account:recovery:cancelled" {
        recovery: Word<RecoveryId> = "recovery",
        by: String = "by",
    },
    RecoveryCompleted = "account:recovery:completed" {
        recovery: Word<RecoveryId> = "recovery",
        removed_totp: bool = "removed-totp",
        removed_keys: u64 = "removed-keys",
        ended_sessions: u64 = "ended-sessions",
    },
    MailRequested = "mail:requested" { what: RequestedMail = _ },
    /// Without the address: events are stored permanently, and the user is named.
    MailFailed = "mail:failed" {
        mail: Word<MailId> = "mail",
        kind: Word<MailKind> = "kind",
        reason: String = "reason",
        /// A moment, to the millisecond.
        written_at: String = "written-at",
    },
    AuthenticationSucceeded = "authentication:succeeded" {
        method: Word<CredentialKind> = "method",
        second_factor: SecondStep = "second-factor",
        action: Word<Action> = "action",
        route: String = "route",
    },
    AuthenticationFailed = "authentication:failed" {
        method: Word<CredentialKind> = "method",
        second_factor: Option<Word<Factor>> = "second-factor",
        /// Why, as a stable code.
        reason: String = "reason",
        action: Word<Action> = "action",
        route: Option<String> = "route" unless_none,
    },
    AuthenticationSetAside = "authentication:set-aside" {
        method: Word<CredentialKind> = "method",
        /// Why, as a stable code.
        reason: String = "reason",
        token: Option<Word<TokenId>> = "token",
        action: Word<Action> = "action",
        route: String = "route",
    },
    TokenCreated = "token:created" {
        token: Word<TokenId> = "token",
        description: String = "description",
        /// Its restrictions, as the token itself states them.
        caveats: Vec<String> = "caveats",
        made_with_second_factor: bool = "made-with-second-factor",
    },
    TokenRevoked = "token:revoked" {
        token: Word<TokenId> = "token",
        description: String = "description",
    },
    RoleGranted = "role:granted" {
        user: String = "user",
        before: Option<Word<Role>> = "before",
        after: Word<Role> = "after",
    },
    RoleRevoked = "role:revoked" {
        user: String = "user",
        before: Word<Role> = "before",
    },
    ProjectCreated = "project:created" {
        name: String = "name",
        owner: Word<UserId> = "owner",
        set: u64 = "set",
    },
    ProjectConfigured = "project:configured" {
        policy: String = "policy",
        settings: Value = "settings",
        before: Option<Value> = "before",
    },
    ProjectStatusChanged = "project:status:changed" {
        before: Word<ProjectStatus> = "before",
        after: Word<ProjectStatus> = "after",
        reason: Option<String> = "reason",
    },
    FileUploaded = "file:uploaded" {
        file: String = "file",
        version: String = "version",
        size: u64 = "size",
        sha256: String = "sha256",
        blake2_256: String = "blake2_256",
        set: u64 = "set",
    },
    FileStaged = "file:staged" {
        file: String = "file",
        version: String = "version",
        size: u64 = "size",
        sha256: String = "sha256",
        blake2_256: String = "blake2_256",
        set: u64 = "set",
    },
    ReleasePublished = "release:published" {
        action: Word<Action> = "action",
        version: String = "version",
        files: Vec<String> = "files",
        set: u64 = "set",
    },
    ReleaseRejected = "release:rejected" {
        action: Word<Action> = "action",
        version: String = "version",
        files: Vec<String> = "files",
        set: u64 = "set",
    },
    ReleaseYanked = "release:yanked" { what: Removal = _, version: String = "version" },
    ReleaseUnyanked = "release:unyanked" { what: Removal = _, version: String = "version" },
    ReleaseDeleted = "release:deleted" { what: Removal = _, version: String = "version" },
    FileDeleted = "file:deleted" { what: Removal = _, version: String = "version" },
    ProjectDeleted = "project:deleted" { what: Removal = _ },
    RequestRefused = "request:refused" {
        action: Word<Action> = "action",
        code: String = "code",
        /// The words that the refused caller saw.
        message: String = "message",
        requires: Vec<Word<Demand>> = "requires",
        credential: Word<CredentialKind> = "credential",
        route: String = "route",
        set: u64 = "set",
    },
    RefusalsCounted = "request:refusals:counted" {
        refusals: u64 = "refusals",
        sources: Vec<(String, u64)> = "sources",
    },
    DecisionsCounted = "request:decisions:counted" {
        decisions: u64 = "decisions",
        sources: Vec<(String, u64)> = "sources",
    },
    AuthenticationsCounted = "authentication:counted" {
        authentications: u64 = "authentications",
        sources: Vec<(String, u64)> = "sources",
    },
    /// No longer written.
    PolicyModuleAdded = "policy-module:added",
    PolicySetAdded = "policy-set:added" { set: i64 = "set", name: String = "name" },
    PolicySetActivated = "policy-set:activated" {
        set: i64 = "set",
        reason: String = "reason",
    },
    PolicySetRolledBack = "policy-set:rolled-back" {
        set: i64 = "set",
        reason: String = "reason",
    },
    PolicySetFailed = "policy-set:failed" {
        set: u64 = "set",
        /// The set that keeps serving.
        serving: Option<u64> = "serving",
        error: String = "error",
    },
    OrphansSwept = "storage:orphans:swept" {
        blobs: u64 = "blobs",
        incoming: u64 = "incoming",
        bytes: u64 = "bytes",
    },
}
