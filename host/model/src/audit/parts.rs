//! Parts of details: closed lists, and fields that only make sense together.

use serde_json::{Map, Value};

use super::field::{Field, Fields, Word};
use crate::caller::Factor;
use crate::id::SessionId;
use crate::mail::MailKind;

crate::project::words! {
    /// The first step of a login.
    LoginMethod {
        Password = "password",
        Passkey = "passkey",
    }
}

crate::project::words! {
    /// Whether the browser of a login was already confirmed.
    LoginDevice {
        Known = "known",
        New = "new",
    }
}

crate::project::words! {
    /// What a refusal asks for.
    Demand {
        EnrolledSecondFactor = "enrolled-second-factor",
        SecondFactorWithin = "second-factor-within",
        PasswordWithin = "password-within",
        VerifiedEmail = "verified-email",
        ProjectToken = "project-token",
        TokenMadeWithSecondFactor = "token-made-with-second-factor",
    }
}

/// What was confirmed again in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfirmedBy {
    Password,
    Factor(Factor),
}

/// The second step of an authentication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecondStep {
    /// There was none.
    None,
    /// It was asked for.
    Pending,
    Proven(Word<Factor>),
}

impl From<Option<Factor>> for SecondStep {
    fn from(factor: Option<Factor>) -> Self {
        factor.map_or(Self::None, |factor| Self::Proven(factor.into()))
    }
}

impl Field for SecondStep {
    fn to_json(&self) -> Value {
        match self {
            Self::None => Value::Null,
            Self::Pending => Value::from("pending"),
            Self::Proven(factor) => factor.to_json(),
        }
    }

    fn from_json(stored: &Value) -> Option<Self> {
        match stored.as_str()? {
            "pending" => Some(Self::Pending),
            _ => Word::from_json(stored).map(Self::Proven),
        }
    }

    fn missing() -> Self {
        Self::None
    }
}

/// How an address became the primary one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Promotion {
    /// It was chosen, in place of `before` if that was verified.
    Chosen { before: Option<String> },
    /// A link mailed to it restored it.
    PutBackByLink,
}

impl Fields for Promotion {
    fn write(&self, fields: &mut Map<String, Value>) {
        match self {
            Self::Chosen { before } => fields.insert("before".to_owned(), before.to_json()),
            Self::PutBackByLink => fields.insert("put-back-by-link".to_owned(), true.to_json()),
        };
    }

    fn read(fields: &Value) -> Self {
        match bool::read(fields, "put-back-by-link") {
            true => Self::PutBackByLink,
            false => Self::Chosen {
                before: Field::read(fields, "before"),
            },
        }
    }
}

/// Which sessions ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndedSessions {
    One {
        session: Word<SessionId>,
        /// Whether it was ended from within.
        own: bool,
    },
    /// Its browser logged in again.
    Replaced {
        session: Word<SessionId>,
        by: Word<SessionId>,
    },
    AllBut {
        /// How many.
        sessions: u64,
        kept: Option<Word<SessionId>>,
    },
}

impl Fields for EndedSessions {
    fn write(&self, fields: &mut Map<String, Value>) {
        let parts = match self {
            Self::One { session, own } => [("session", session.to_json()), ("own", own.to_json())],
            Self::Replaced { session, by } => [
                ("session", session.to_json()),
                ("replaced-by", by.to_json()),
            ],
            Self::AllBut { sessions, kept } => {
                [("sessions", sessions.to_json()), ("kept", kept.to_json())]
            }
        };
        fields.extend(parts.map(|(key, value)| (key.to_owned(), value)));
    }

    fn read(fields: &Value) -> Self {
        let session = Field::read(fields, "session");
        match (
            Field::read(fields, "sessions"),
            Field::read(fields, "replaced-by"),
        ) {
            (Some(sessions), _) => Self::AllBut {
                sessions,
                kept: Field::read(fields, "kept"),
            },
            (None, Some(by)) => Self::Replaced { session, by },
            (None, None) => Self::One {
                session,
                own: Field::read(fields, "own"),
            },
        }
    }
}

/// Who may register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registration {
    /// A stranger, with this name and address, and the mail that was sent.
    Stranger {
        name: String,
        address: String,
        mail: Word<MailKind>,
    },
    /// The first user of the registry, who is its staff.
    FirstUser,
}

impl Fields for Registration {
    fn write(&self, fields: &mut Map<String, Value>) {
        match self {
            Self::Stranger {
                name,
                address,
                mail,
            } => fields.extend([
                ("name".to_owned(), name.to_json()),
                ("address".to_owned(), address.to_json()),
                ("mail".to_owned(), mail.to_json()),
            ]),
            Self::FirstUser => fields.extend([("first-user".to_owned(), true.to_json())]),
        }
    }

    fn read(fields: &Value) -> Self {
        match bool::read(fields, "first-user") {
            true => Self::FirstUser,
            false => Self::Stranger {
                name: Field::read(fields, "name"),
                address: Field::read(fields, "address"),
                mail: Field::read(fields, "mail"),
            },
        }
    }
}

/// A mail that somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestedMail {
    /// To an address of the user.
    To {
        mail: Word<MailKind>,
        address: String,
    },
    /// To the user, for a reason.
    Because {
        mail: Word<MailKind>,
        because: String,
    },
    /// A mail by an operator, to check whether mail arrives.
    Test { recipient: String },
    /// Postponed mails, to be sent at once.
    PutOff { because: String },
}

impl RequestedMail {
    /// The kind of mail, if there is only one.
    pub fn mail(&self) -> Option<MailKind> {
        match self {
            Self::To { mail, .. } | Self::Because { mail, .. } => mail.known(),
            Self::Test { .. } => Some(MailKind::Test),
            Self::PutOff { .. } => None,
        }
    }
}

impl Fields for RequestedMail {
    fn write(&self, fields: &mut Map<String, Value>) {
        if let Self::To { mail, .. } | Self::Because { mail, .. } = self {
            fields.insert("mail".to_owned(), mail.to_json());
        }
        match self {
            Self::To { address, .. } => fields.insert("address".to_owned(), address.to_json()),
            Self::Because { because, .. } | Self::PutOff { because } => {
                fields.insert("because".to_owned(), because.to_json())
            }
            Self::Test { recipient } => {
                fields.insert("mail".to_owned(), Word::from(MailKind::Test).to_json());
                fields.insert("recipient".to_owned(), recipient.to_json())
            }
        };
    }

    fn read(fields: &Value) -> Self {
        let mail: Option<Word<MailKind>> = Field::read(fields, "mail");
        match (mail, Field::read(fields, "because")) {
            (Some(mail), _) if mail == MailKind::Test => Self::Test {
                recipient: Field::read(fields, "recipient"),
            },
            (Some(mail), Some(because)) => Self::Because { mail, because },
            (None, Some(because)) => Self::PutOff { because },
            (mail, None) => Self::To {
                mail: mail.unwrap_or_else(Field::missing),
                address: Field::read(fields, "address"),
            },
        }
    }
}

/// What was removed for readers, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Normalized name.
    pub project: String,
    pub reason: String,
    /// Names of the removed files.
    pub files: Vec<String>,
}

impl Fields for Removal {
    fn write(&self, fields: &mut Map<String, Value>) {
        fields.extend([
            ("project".to_owned(), self.project.to_json()),
            ("reason".to_owned(), self.reason.to_json()),
            ("files".to_owned(), self.files.to_json()),
        ]);
    }

    fn read(fields: &Value) -> Self {
        Self {
            project: Field::read(fields, "project"),
            reason: Field::read(fields, "reason"),
            files: Field::read(fields, "files"),
        }
    }
}
