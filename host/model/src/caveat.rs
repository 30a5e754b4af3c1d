//! Caveats: the restrictions a token carries, in PyPI's format.
//!
//! A caveat is a JSON array, its tag first, or one of the legacy objects. Unknown tags and
//! malformed caveats do not parse, and a token with one is refused: a restriction that is not
//! understood cannot be enforced.

mod reach;

use serde_json::Value;
use uuid::Uuid;

use crate::caller::{Caller, CredentialKind, Principal};
use crate::time::Timestamp;

pub use reach::Reach;

/// One restriction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caveat {
    /// Tag 0: valid from `not_before` (inclusive) until `expires_at` (exclusive), in seconds.
    Expiration { expires_at: i64, not_before: i64 },
    /// Tag 1: only for these projects, by normalized name.
    ProjectNames(Vec<String>),
    /// Tag 2: only for these projects, by id.
    ProjectIds(Vec<String>),
    /// Tag 3: only while it belongs to this user.
    RequestUser(String),
    /// Tag 4: only for this trusted publisher, on projects it is registered for.
    Publisher { id: String },
    /// Legacy `{"version": 1, "permissions": "user"}`: the user the token belongs to.
    LegacyUser,
}

/// Why bytes are not a caveat that this registry understands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCaveat {
    /// Not JSON, or of an unknown shape.
    #[error("caveat is malformed")]
    Malformed,
    /// An array with an unknown tag.
    #[error("caveat has unknown tag: {0}")]
    UnknownTag(i64),
}

impl Caveat {
    /// Parses the bytes of one caveat exactly as they are in the token.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidCaveat> {
        let value: Value = serde_json::from_slice(bytes).map_err(|_| InvalidCaveat::Malformed)?;
        match &value {
            Value::Array(items) => Self::parse_tagged(items),
            Value::Object(fields) => Self::parse_legacy(fields),
            _ => Err(InvalidCaveat::Malformed),
        }
    }

    fn parse_tagged(items: &[Value]) -> Result<Self, InvalidCaveat> {
        let (tag, rest) = items.split_first().ok_or(InvalidCaveat::Malformed)?;
        let tag = tag.as_i64().ok_or(InvalidCaveat::Malformed)?;
        match (tag, rest) {
            (0, [expires_at, not_before]) => Ok(Self::Expiration {
                expires_at: integer(expires_at)?,
                not_before: integer(not_before)?,
            }),
            (1, [names]) => Ok(Self::ProjectNames(texts(names)?)),
            (2, [ids]) => Ok(Self::ProjectIds(texts(ids)?)),
            (3, [user]) => Ok(Self::RequestUser(text(user)?)),
            // The second field (claims) is deprecated: read and ignored, as PyPI does.
            (4, [publisher]) => Ok(Self::Publisher {
                id: text(publisher)?,
            }),
            (4, [publisher, Value::Object(_) | Value::Null]) => Ok(Self::Publisher {
                id: text(publisher)?,
            }),
            (0..=4, _) => Err(InvalidCaveat::Malformed),
            (unknown, _) => Err(InvalidCaveat::UnknownTag(unknown)),
        }
    }

    fn parse_legacy(fields: &serde_json::Map<String, Value>) -> Result<Self, InvalidCaveat> {
        let only = |names: &[&str]| {
            fields.len() == names.len() && names.iter().all(|name| fields.contains_key(*name))
        };
        if only(&["version", "permissions"]) {
            if fields["version"] != 1 {
                return Err(InvalidCaveat::Malformed);
            }
            return match &fields["permissions"] {
                Value::String(word) if word == "user" => Ok(Self::LegacyUser),
                Value::Object(inner) if inner.len() == 1 && inner.contains_key("projects") => {
                    Ok(Self::ProjectNames(texts(&inner["projects"])?))
                }
                _ => Err(InvalidCaveat::Malformed),
            };
        }
        if only(&["exp", "nbf"]) {
            return Ok(Self::Expiration {
                expires_at: integer(&fields["exp"])?,
                not_before: integer(&fields["nbf"])?,
            });
        }
        if only(&["project_ids"]) {
            return Ok(Self::ProjectIds(texts(&fields["project_ids"])?));
        }
        Err(InvalidCaveat::Malformed)
    }

    /// Whether it states a token's scope: the account, or some of its projects. Every token this
    /// registry minted has at least one that does.
    pub fn says_scope(&self) -> bool {
        !matches!(self, Self::Expiration { .. })
    }

    /// The compact JSON this registry writes, as PyPI writes it.
    pub fn to_json(&self) -> String {
        let value = match self {
            Self::Expiration {
                expires_at,
                not_before,
            } => serde_json::json!([0, expires_at, not_before]),
            Self::ProjectNames(names) => serde_json::json!([1, names]),
            Self::ProjectIds(ids) => serde_json::json!([2, ids]),
            Self::RequestUser(user) => serde_json::json!([3, user]),
            Self::Publisher { id } => serde_json::json!([4, id]),
            Self::LegacyUser => serde_json::json!({"version": 1, "permissions": "user"}),
        };
        value.to_string()
    }

    /// Checks this restriction against a request.
    pub fn check(&self, subject: &CaveatSubject<'_>) -> Result<(), CaveatFailure> {
        match self {
            Self::Expiration {
                expires_at,
                not_before,
            } => {
                let now = subject.now.seconds();
                if *not_before <= now && now < *expires_at {
                    Ok(())
                } else {
                    Err(CaveatFailure::Expired)
                }
            }
            Self::ProjectNames(names) => {
                let project = subject.project.ok_or(CaveatFailure::NoProject)?;
                if names.iter().any(|name| name == project.normalized) {
                    Ok(())
                } else {
                    Err(CaveatFailure::OtherProject(project.normalized.to_owned()))
                }
            }
            Self::ProjectIds(ids) => {
                let project = subject.project.ok_or(CaveatFailure::NoProject)?;
                let other = || CaveatFailure::OtherProject(project.normalized.to_owned());
                let id = project.id.ok_or_else(other)?.to_string();
                if ids.contains(&id) {
                    Ok(())
                } else {
                    Err(other())
                }
            }
            Self::RequestUser(wanted) => {
                let user = subject.caller.user().ok_or(CaveatFailure::NoUser)?;
                if subject.caller.credential != CredentialKind::ApiToken {
                    return Err(CaveatFailure::NotAToken);
                }
                if *wanted == user.id.to_string() {
                    Ok(())
                } else {
                    Err(CaveatFailure::OtherUser)
                }
            }
            Self::LegacyUser => subject
                .caller
                .user()
                .map(|_| ())
                .ok_or(CaveatFailure::NoUser),
            Self::Publisher { id } => {
                let Principal::Publisher { id: actual, .. } = &subject.caller.principal else {
                    return Err(CaveatFailure::NoPublisher);
                };
                if *id != actual.to_string() {
                    return Err(CaveatFailure::OtherPublisher);
                }
                let project = subject.project.ok_or(CaveatFailure::PublisherNoProject)?;
                if subject.publisher_registered {
                    Ok(())
                } else {
                    Err(CaveatFailure::PublisherOtherProject(
                        project.normalized.to_owned(),
                    ))
                }
            }
        }
    }
}

fn integer(value: &Value) -> Result<i64, InvalidCaveat> {
    value.as_i64().ok_or(InvalidCaveat::Malformed)
}

fn text(value: &Value) -> Result<String, InvalidCaveat> {
    value
        .as_str()
        .map(str::to_owned)
        .ok_or(InvalidCaveat::Malformed)
}

fn texts(value: &Value) -> Result<Vec<String>, InvalidCaveat> {
    value
        .as_array()
        .ok_or(InvalidCaveat::Malformed)?
        .iter()
        .map(text)
        .collect()
}

/// The facts about a request's project that caveats need.
#[derive(Clone, Copy, Debug)]
pub struct CaveatProject<'a> {
    /// Normalized name.
    pub normalized: &'a str,
    /// Identifier; none while the project does not exist.
    pub id: Option<Uuid>,
}

/// The facts that a caveat is checked against.
#[derive(Clone, Copy, Debug)]
pub struct CaveatSubject<'a> {
    /// The moment of the request.
    pub now: Timestamp,
    /// The caller.
    pub caller: &'a Caller,
    /// The project, if the request is about one.
    pub project: Option<CaveatProject<'a>>,
    /// Whether the calling publisher is registered for that project.
    pub publisher_registered: bool,
}

/// Why a caveat does not hold. The texts are those of PyPI, which clients and people know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaveatFailure {
    #[error("token is expired")]
    Expired,
    #[error("project-scoped token used outside of a project context")]
    NoProject,
    #[error("project-scoped token is not valid for project: '{0}'")]
    OtherProject(String),
    #[error("token with user restriction without a user")]
    NoUser,
    #[error("token with user restriction without a macaroon")]
    NotAToken,
    #[error("current user does not match user restriction in token")]
    OtherUser,
    #[error("OIDC scoped token used outside of an OIDC identified request")]
    NoPublisher,
    #[error("current OIDC publisher does not match publisher restriction in token")]
    OtherPublisher,
    #[error("OIDC scoped token used outside of a project context")]
    PublisherNoProject,
    #[error("OIDC scoped token is not valid for project '{0}'")]
    PublisherOtherProject(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_forms_that_pypi_rejects_do_not_parse() {
        for text in [
            r#"{"version":1}"#,
            r#"{"version":1,"permissions":[]}"#,
            r#"{"exp":1}"#,
            r#"{"nbf":1}"#,
            r#"[0,"50",10]"#,
            "[0,5]",
            r#""foo""#,
            "null",
            "[]",
            "[9999999]",
            "[0,1.5,1]",
            r#"[1,"name"]"#,
            "[3]",
            "[true]",
        ] {
            assert!(Caveat::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn the_legacy_objects_mean_what_they_meant() {
        assert_eq!(
            Caveat::parse(br#"{"version": 1, "permissions": "user"}"#),
            Ok(Caveat::LegacyUser)
        );
        assert_eq!(
            Caveat::parse(br#"{"version":1,"permissions":{"projects":["a"]}}"#),
            Ok(Caveat::ProjectNames(vec!["a".into()]))
        );
        assert_eq!(
            Caveat::parse(br#"{"exp":9,"nbf":1}"#),
            Ok(Caveat::Expiration {
                expires_at: 9,
                not_before: 1
            })
        );
        assert_eq!(
            Caveat::parse(br#"{"project_ids":["x"]}"#),
            Ok(Caveat::ProjectIds(vec!["x".into()]))
        );
    }

    #[test]
    fn several_project_caveats_leave_only_what_all_of_them_allow() {
        let names = |names: &[&str]| {
            Caveat::ProjectNames(names.iter().map(|name| (*name).to_owned()).collect())
        };
        let expiry = |expires_at| Caveat::Expiration {
            expires_at,
            not_before: 0,
        };
        let reach = Reach::of(&[
            names(&["a", "b"]),
            expiry(50),
            names(&["b", "c"]),
            Caveat::ProjectIds(vec![]),
            expiry(40),
            expiry(60),
        ]);
        assert_eq!(
            reach,
            Reach {
                projects: Some(vec!["b".into()]),
                names: Some(vec!["b".into()]),
                ids: Some(vec![]),
                publishers: vec![],
                expires_at: Some(40)
            }
        );
        assert_eq!(
            Reach::of(&[Caveat::RequestUser("u".into()), Caveat::LegacyUser]),
            Reach::default()
        );
        assert_eq!(
            Reach::of(&[Caveat::ProjectIds(vec!["id".into()])]).projects,
            Some(vec![]),
            "a restriction, though not to a name"
        );
    }

    #[test]
    fn an_expiry_holds_from_its_start_until_just_before_its_end() {
        let caveat = Caveat::Expiration {
            expires_at: 20,
            not_before: 10,
        };
        let caller = Caller::anonymous();
        let at = |seconds| {
            caveat.check(&CaveatSubject {
                now: Timestamp::from_seconds(seconds),
                caller: &caller,
                project: None,
                publisher_registered: false,
            })
        };
        assert_eq!(at(9), Err(CaveatFailure::Expired));
        assert_eq!(at(10), Ok(()));
        assert_eq!(at(19), Ok(()));
        assert_eq!(at(20), Err(CaveatFailure::Expired));
    }

    fn any_caveat() -> impl Strategy<Value = Caveat> {
        let names = || proptest::collection::vec("[ab]", 0..3);
        prop_oneof![
            (any::<i64>(), any::<i64>()).prop_map(|(expires_at, not_before)| Caveat::Expiration {
                expires_at,
                not_before
            }),
            names().prop_map(Caveat::ProjectNames),
            names().prop_map(Caveat::ProjectIds),
            "[ab]".prop_map(Caveat::RequestUser),
            "[ab]".prop_map(|id| Caveat::Publisher { id }),
            Just(Caveat::LegacyUser),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(expires_at: i64, not_before: i64, names in proptest::collection::vec("[a-z-]{1,12}", 0..4)) {
            for caveat in [Caveat::Expiration { expires_at, not_before }, Caveat::ProjectNames(names.clone()), Caveat::ProjectIds(names)] {
                prop_assert_eq!(Caveat::parse(caveat.to_json().as_bytes()), Ok(caveat));
            }
        }

        #[test]
        fn another_caveat_never_widens_what_the_others_leave(before in proptest::collection::vec(any_caveat(), 0..5), added in any_caveat()) {
            let (whole, narrowed) = (Reach::of(&before), Reach::of(before.iter().chain([&added])));
            if let Some(projects) = whole.projects {
                prop_assert!(narrowed.projects.is_some_and(|left| left.iter().all(|name| projects.contains(name))));
            }
            if let Some(at) = whole.expires_at {
                prop_assert!(narrowed.expires_at.is_some_and(|sooner| sooner <= at));
            }
        }

        #[test]
        fn no_bytes_panic_the_parser(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Caveat::parse(&bytes);
        }
    }
}
