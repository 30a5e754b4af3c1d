//! The nouns of the registry as plain data.
//!
//! Pure: no I/O, no async, no clock of its own. Everything here can be built in a test in one line.
//! Read in the order of the `mod` lines: the attempt ([`action`]), who makes it ([`caller`]), its
//! subject ([`project`], [`release`], [`file`]), the stored event ([`audit`]) and the mails to
//! people ([`mail`]).
//!
//! To add a noun: one file, its parsing at the edge (`parse` returns a typed error whose text says
//! what is allowed), no table or wire format derived on it.

pub mod action;
pub mod address;
pub mod audit;
pub mod caller;
pub mod caveat;
pub mod ceremony;
pub mod contact;
pub mod device;
pub mod email;
pub mod file;
pub mod id;
pub mod kept;
pub mod limit;
pub mod link;
pub mod mail;
pub mod name;
pub mod password;
pub mod project;
pub mod release;
pub mod text;
pub mod time;
pub mod version;

pub use action::Action;
pub use caller::{
    Assurance, Caller, CredentialKind, Factor, FactorUse, Factors, PasswordState, Principal,
    TokenFacts, UserFacts,
};
pub use caveat::{Caveat, CaveatFailure};
pub use ceremony::CeremonyKind;
pub use contact::Contact;
pub use device::{DeviceKind, KeyKind};
pub use email::{EmailAddress, InvalidEmailAddress};
pub use file::{Digests, FileKind};
pub use id::{
    DecisionId, FileId, KeyId, MailId, ModuleDigest, ProjectId, RecoveryId, ReleaseId, ServerId,
    SessionId, TokenId, UserId,
};
pub use link::LinkPurpose;
pub use mail::{Mail, MailField, MailKind};
pub use name::{ProjectName, UserName};
pub use password::PasswordDisabled;
pub use project::{ProjectStatus, Role};
pub use release::ReleaseState;
pub use time::{Clock, SystemClock, Timestamp};
pub use version::Version;
