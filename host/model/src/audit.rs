//! What is remembered of a change or a refusal. One list of kinds; storage writes an
//! event in the same transaction as the change it tells of.

use crate::id::{DecisionId, ProjectId, TokenId, UserId};
use crate::time::Timestamp;

crate::project::words! {
    /// What happened.
    EventKind {
        AccountCreated = "account:created",
        AccountDisabled = "account:disabled",
        AccountEnabled = "account:enabled",
        PasswordSet = "account:password:set",
        PasswordRehashed = "account:password:rehashed",
        PasswordDisabled = "account:password:disabled",
        TotpEnrolled = "account:totp:enrolled",
        TotpRemoved = "account:totp:removed",
        EmailAdded = "account:email:added",
        EmailVerified = "account:email:verified",
        EmailPromoted = "account:email:promoted",
        EmailRemoved = "account:email:removed",
        EmailConverted = "account:email:converted",
        StaffGranted = "account:staff:granted",
        StaffRevoked = "account:staff:revoked",
        AccountDeleted = "account:deleted",
        AccountSecured = "account:secured",
        PasswordResetRequested = "account:password:reset-requested",
        PasswordReset = "account:password:reset",
        PasswordBreached = "account:password:breached",
        BreachCheckUnavailable = "account:password:breach-check-unavailable",
        RegistrationRequested = "account:registration-requested",
        RegistrationDiscarded = "account:registration-discarded",
        RecoveryCodesGenerated = "account:recovery-codes:generated",
        RecoveryCodesConfirmed = "account:recovery-codes:confirmed",
        RecoveryCodeUsed = "account:recovery-codes:used",
        KeyEnrolled = "account:key:enrolled",
        KeyRenamed = "account:key:renamed",
        KeyRemoved = "account:key:removed",
        DeviceUnrecognized = "account:device:unrecognized",
        DeviceConfirmed = "account:device:confirmed",
        DeviceForgotten = "account:device:forgotten",
        SessionStarted = "session:started",
        SessionSteppedUp = "session:stepped-up",
        SessionEnded = "session:ended",
        RecoveryStarted = "account:recovery:started",
        RecoveryCancelled = "account:recovery:cancelled",
        RecoveryCompleted = "account:recovery:completed",
        MailRequested = "mail:requested",
        MailFailed = "mail:failed",
        AuthenticationSucceeded = "authentication:succeeded",
        AuthenticationFailed = "authentication:failed",
        AuthenticationSetAside = "authentication:set-aside",
        TokenCreated = "token:created",
        TokenRevoked = "token:revoked",
        RoleGranted = "role:granted",
        RoleRevoked = "role:revoked",
        ProjectCreated = "project:created",
        ProjectConfigured = "project:configured",
        ProjectStatusChanged = "project:status:changed",
        FileUploaded = "file:uploaded",
        FileStaged = "file:staged",
        ReleasePublished = "release:published",
        ReleaseRejected = "release:rejected",
        ReleaseYanked = "release:yanked",
        ReleaseUnyanked = "release:unyanked",
        ReleaseDeleted = "release:deleted",
        FileDeleted = "file:deleted",
        ProjectDeleted = "project:deleted",
        RequestRefused = "request:refused",
        RefusalsCounted = "request:refusals:counted",
        DecisionsCounted = "request:decisions:counted",
        AuthenticationsCounted = "authentication:counted",
        PolicyModuleAdded = "policy-module:added",
        PolicySetAdded = "policy-set:added",
        PolicySetActivated = "policy-set:activated",
        PolicySetRolledBack = "policy-set:rolled-back",
        PolicySetFailed = "policy-set:failed",
        OrphansSwept = "storage:orphans:swept",
    }
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A caller over HTTP.
    Caller {
        user: Option<UserId>,
        token: Option<TokenId>,
        remote_address: String,
        user_agent: String,
    },
    /// Somebody with shell access on the server's host: the break-glass.
    CommandLine { system_user: String },
    /// The server by itself.
    System,
}

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEvent {
    pub at: Timestamp,
    pub kind: EventKind,
    pub actor: Actor,
    /// The user it is about.
    pub user: Option<UserId>,
    /// The project it is about.
    pub project: Option<ProjectId>,
    /// The decision that allowed or refused it.
    pub decision: Option<DecisionId>,
    /// More, as a JSON object. Never a secret.
    pub detail: serde_json::Value,
}
