//! The proof in the body of a call: a person's password and second factor, and the files they name.

mod long_bodies;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use model::limit::FILES_OF_RELEASE;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use storage::Secret;

use crate::body::Incoming;
use crate::problem::Problem;
use long_bodies::LongBody;

/// Largest body of these calls, in bytes: a stranger can make the server hold this much for one
/// request. It has room for a release of two thousand files, since every file must be named.
pub(crate) const MAX_BODY_BYTES: usize = model::limit::RELEASE_BODY_BYTES.length();

/// The content of one of these calls.
#[derive(Default)]
pub(crate) struct Sent {
    /// None if another credential identifies the caller.
    pub(crate) proof: Option<Proof>,
    /// The files that are named; none if the body does not name any.
    pub(crate) files: Option<ExpectedFiles>,
    /// The place that a long body holds while the proof is checked.
    pub(crate) place: Option<LongBody<'static>>,
}

/// A person's proof within the call.
pub(crate) struct Proof {
    pub(crate) user: String,
    pub(crate) password: Secret<String>,
    pub(crate) totp: Option<Secret<String>>,
    pub(crate) device: Option<Secret<String>>,
    pub(crate) host: Option<String>,
}

/// File names and their SHA-256 in hex: the files that the person looked at and acts on.
pub(crate) type ExpectedFiles = BTreeMap<String, String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SentBody {
    user: Option<String>,
    password: Option<String>,
    totp: Option<String>,
    device: Option<String>,
    host: Option<String>,
    #[serde(default, deserialize_with = "few_files")]
    files: Option<ExpectedFiles>,
}

/// As many files as a release may have: a stranger's body is held while its password waits to be
/// checked.
fn few_files<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<ExpectedFiles>, D::Error> {
    struct Files;
    impl<'de> Visitor<'de> for Files {
        type Value = Option<ExpectedFiles>;

        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("names of files and their SHA-256")
        }

        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut files = ExpectedFiles::new();
            while let Some((name, sha256)) = map.next_entry()? {
                if files.len() >= FILES_OF_RELEASE.length() {
                    return Err(de::Error::custom("more files than a release may have"));
                }
                files.insert(name, sha256);
            }
            Ok(Some(files))
        }
    }
    deserializer.deserialize_any(Files)
}

/// Refuses any declared content type except `application/json`, whether or not there is a body:
/// pages of other sites can send forms on a person's behalf without asking.
pub(crate) fn refuse_forms(headers: &HeaderMap) -> Result<(), Problem> {
    let is_json = |value: &HeaderValue| {
        value.to_str().is_ok_and(|value| {
            value
                .split(';')
                .next()
                .unwrap_or("")
                .trim()
                .eq_ignore_ascii_case("application/json")
        })
    };
    if headers.get_all(CONTENT_TYPE).iter().all(is_json) {
        Ok(())
    } else {
        Err(not_json())
    }
}

fn not_json() -> Problem {
    let problem = Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "not-json",
        "The body must be JSON.",
    );
    problem.remedy("Send it with Content-Type: application/json.", None)
}

/// Reads `{"user": …, "password": …, "totp": …, "device": …, "host": …, "files": …}`, or the
/// files alone; nothing if the body is empty. Only as `application/json`.
pub(crate) async fn read_sent(
    headers: &HeaderMap,
    body: &Incoming,
    address: IpAddr,
) -> Result<Sent, Problem> {
    let (whole, place) = long_bodies::read(body, address).await?;
    if whole.is_empty() {
        return Ok(Sent::default());
    }
    if !headers.contains_key(CONTENT_TYPE) {
        return Err(not_json());
    }
    refuse_forms(headers)?;
    let whole = Secret::new(whole);
    // The parser's own text may quote the password.
    let SentBody {
        user,
        password,
        totp,
        device,
        host,
        files,
    } = serde_json::from_slice(whole.expose()).map_err(|_| malformed())?;
    let (password, totp, device) = (
        password.map(Secret::new),
        totp.map(Secret::new),
        device.map(Secret::new),
    );
    let proof = match (user, password) {
        (Some(user), Some(password)) => Some(Proof {
            user,
            password,
            totp,
            device,
            host,
        }),
        // The route says whether files must be named and whether a person must prove anything.
        (None, None) if totp.is_none() && device.is_none() && host.is_none() => None,
        _ => return Err(malformed()),
    };
    Ok(Sent {
        proof,
        files,
        place,
    })
}

fn malformed() -> Problem {
    let problem = Problem::new(
        StatusCode::BAD_REQUEST,
        "proof-malformed",
        "The body is no proof of a person.",
    );
    let remedy = r#"Send {"user": "...", "password": "...", "totp": "123456", "files": {"name": "sha256"}}."#;
    problem.remedy(remedy, Some(gate::Page::StagedReleases))
}

/// Whether the files are exactly the named ones: pairs of name and SHA-256.
pub(crate) fn are_expected(staged: &[(&str, &str)], expected: &ExpectedFiles) -> bool {
    staged.len() == expected.len()
        && staged.iter().all(|(name, sha256)| {
            expected
                .get(*name)
                .is_some_and(|expected| expected.eq_ignore_ascii_case(sha256))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::BodyLimits;
    use axum::body::Body;

    async fn check(content_type: &'static str, body: &'static str) -> Result<Sent, Problem> {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, content_type.parse().unwrap())]);
        read_sent(
            &headers,
            &Incoming::new(Body::from(body), BodyLimits::OF_TESTS),
            std::net::Ipv4Addr::LOCALHOST.into(),
        )
        .await
    }

    #[tokio::test]
    async fn a_person_proves_password_and_second_factor_in_the_body() {
        let body = r#"{"user":"ada","password":"secret","totp":"123456","device":"known","host":"laptop"}"#;
        let proof = check("application/json; charset=utf-8", body)
            .await
            .ok()
            .unwrap()
            .proof
            .unwrap();
        assert_eq!(
            (proof.user.as_str(), proof.password.expose().as_str()),
            ("ada", "secret")
        );
        assert_eq!(
            (
                proof.totp.unwrap().expose().as_str(),
                proof.device.unwrap().expose().as_str()
            ),
            ("123456", "known")
        );
        assert_eq!(proof.host.as_deref(), Some("laptop"));
        let proof = check("application/json", r#"{"user":"ada","password":"secret"}"#)
            .await
            .ok()
            .unwrap()
            .proof
            .unwrap();
        assert!(proof.totp.is_none() && proof.device.is_none());
    }

    #[tokio::test]
    async fn files_alone_are_for_who_proves_it_elsewhere() {
        let sent = check("application/json", r#"{"files":{"a.whl":"AB"}}"#)
            .await
            .ok()
            .unwrap();
        assert!(sent.proof.is_none() && sent.files.is_some());
    }

    #[tokio::test]
    async fn a_proof_may_say_which_files_it_speaks_of() {
        let body = r#"{"user":"ada","password":"secret","files":{"a.whl":"AB","b.whl":"cd"}}"#;
        let expected = check("application/json", body)
            .await
            .ok()
            .unwrap()
            .files
            .unwrap();
        assert!(are_expected(&[("a.whl", "ab"), ("b.whl", "cd")], &expected));
        for staged in [
            &[("a.whl", "ab")][..],
            &[("a.whl", "ab"), ("b.whl", "ce")],
            &[("a.whl", "ab"), ("c.whl", "cd")],
            &[("a.whl", "ab"), ("b.whl", "cd"), ("c.whl", "ef")],
        ] {
            assert!(!are_expected(staged, &expected), "{staged:?}");
        }
    }

    #[tokio::test]
    async fn nobody_names_more_files_than_a_release_may_have() {
        let body = |files: u32| {
            let files: Vec<String> = (0..files)
                .map(|number| format!("\"{number}\":\"ab\""))
                .collect();
            format!(
                "{{\"user\":\"ada\",\"password\":\"secret\",\"files\":{{{}}}}}",
                files.join(",")
            )
        };
        let most = model::limit::FILES_OF_RELEASE.get();
        let read =
            async |files| check("application/json", Box::leak(body(files).into_boxed_str())).await;
        assert_eq!(
            read(most)
                .await
                .ok()
                .and_then(|sent| sent.files)
                .map(|files| files.len()),
            Some(most as usize)
        );
        assert!(read(most + 1).await.is_err());
    }

    #[tokio::test]
    async fn an_empty_body_proves_nothing() {
        for body in ["", "{}"] {
            assert!(
                matches!(
                    check("application/json", body).await,
                    Ok(Sent {
                        proof: None,
                        files: None,
                        ..
                    })
                ),
                "{body}"
            );
        }
    }

    #[tokio::test]
    async fn a_form_of_another_site_proves_nothing() {
        let body = r#"{"user":"ada","password":"secret"}"#;
        for content_type in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
        ] {
            assert!(check(content_type, body).await.is_err(), "{content_type}");
        }
    }

    #[tokio::test]
    async fn a_malformed_proof_is_refused_without_repeating_it() {
        for body in [
            "{",
            "[]",
            r#"{"user":"ada"}"#,
            r#"{"password":"s3cret","files":{}}"#,
            r#"{"device":"s3cret","files":{}}"#,
            r#"{"user":"ada","password":"s3cret","admin":true}"#,
            r#"{"user":1,"password":"s3cret"}"#,
        ] {
            let problem = check("application/json", body)
                .await
                .err()
                .unwrap_or_else(|| panic!("{body}"));
            assert!(!format!("{problem:?}").contains("s3cret"), "{body}");
        }
    }
}
