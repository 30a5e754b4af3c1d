//! The credential that a client presents, parsed once from all its `Authorization` headers, or from
//! its session cookie if it sent none.

use data_encoding::BASE64;
use storage::Secret;
use zeroize::Zeroizing;

/// The user name that marks the password as an API token.
pub const TOKEN_USER: &str = "__token__";

/// Maximum length of the header, in bytes: a token of 8 KiB, in base64 again, and some more.
const MAX_HEADER_LENGTH: usize = model::limit::CREDENTIAL_BYTES.length();
/// Maximum length of user name and password, in bytes. A password has at most 1024 characters.
const MAX_USER_LENGTH: usize = 256;
const MAX_PASSWORD_LENGTH: usize = 4 * crate::passwords::MAX_CHARACTERS;

/// The presented credential, not verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presented {
    /// No `Authorization` header.
    None,
    /// An API token, whichever scheme carried it: `Basic` with user `__token__`, `token`,
    /// or `Bearer`.
    Token(Secret<String>),
    /// `Basic` with any other user name.
    Basic {
        user: String,
        password: Secret<String>,
    },
    /// The cookie of a browser session.
    Session(Secret<String>),
}

/// The `Authorization` header cannot be read. The text says what would be right, and never repeats
/// the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAuthorization {
    #[error("send one Authorization header, not several")]
    Several,
    #[error(
        "the Authorization header, the user name or the password is too long; use the user name `__token__` and an API token as password"
    )]
    TooLong,
    #[error(
        "the Authorization scheme is not supported; use Basic with the user name `__token__`, or Bearer, with an API token"
    )]
    UnknownScheme,
    #[error(
        "the Authorization header is malformed; use Basic with the base64 of `__token__:<API token>`"
    )]
    Malformed,
    #[error(
        "the credentials contain a control character; check the token or password for stray characters"
    )]
    ControlCharacter,
    #[error(
        "the API token is empty; check that the secret with the token is set where the upload runs"
    )]
    EmptyToken,
}

impl InvalidAuthorization {
    /// Stable code for programs and the audit log.
    pub fn code(self) -> &'static str {
        match self {
            Self::Several => "several-authorizations",
            Self::TooLong => "authorization-too-long",
            Self::UnknownScheme => "unknown-authorization-scheme",
            Self::Malformed => "malformed-authorization",
            Self::ControlCharacter => "control-character-in-authorization",
            Self::EmptyToken => "empty-token",
        }
    }
}

impl Presented {
    /// Parses the values of all `Authorization` headers of a request (RFC 9110 11.6.2,
    /// RFC 7617; the scheme's case does not matter).
    pub fn parse<'a>(
        values: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, InvalidAuthorization> {
        let mut values = values.into_iter();
        let Some(value) = values.next() else {
            return Ok(Self::None);
        };
        // With two headers, a proxy or another parser may use the other one.
        if values.next().is_some() {
            return Err(InvalidAuthorization::Several);
        }
        if value.len() > MAX_HEADER_LENGTH {
            return Err(InvalidAuthorization::TooLong);
        }
        let value = std::str::from_utf8(value)
            .map_err(|_| InvalidAuthorization::Malformed)?
            .trim_matches([' ', '\t']);
        let (scheme, credentials) = value
            .split_once([' ', '\t'])
            .ok_or(InvalidAuthorization::Malformed)?;
        let credentials = credentials.trim_matches([' ', '\t']);
        match scheme.to_ascii_lowercase().as_str() {
            "basic" => Self::parse_basic(credentials),
            "token" | "bearer" => Self::parse_token(credentials),
            _ => Err(InvalidAuthorization::UnknownScheme),
        }
    }

    /// The session cookie, if nothing else was presented: a client that also sends a header is a
    /// program, and must not act with more than it named.
    #[must_use]
    pub fn with_session_cookie(self, cookie: Option<&str>) -> Self {
        match (self, cookie) {
            // A cookie without the form of a secret is ignored.
            (Self::None, Some(cookie)) if cookie.len() == crate::opaque::LENGTH => {
                Self::Session(Secret::new(cookie.to_owned()))
            }
            (presented, _) => presented,
        }
    }

    fn parse_basic(credentials: &str) -> Result<Self, InvalidAuthorization> {
        let decoded = Zeroizing::new(
            BASE64
                .decode(credentials.as_bytes())
                .map_err(|_| InvalidAuthorization::Malformed)?,
        );
        let text = std::str::from_utf8(&decoded).map_err(|_| InvalidAuthorization::Malformed)?;
        let (user, password) = text
            .split_once(':')
            .ok_or(InvalidAuthorization::Malformed)?;
        if user == TOKEN_USER {
            return Self::parse_token(password);
        }
        if user.len() > MAX_USER_LENGTH || password.len() > MAX_PASSWORD_LENGTH {
            return Err(InvalidAuthorization::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidAuthorization::ControlCharacter);
        }
        Ok(Self::Basic {
            user: user.to_owned(),
            password: Secret::new(password.to_owned()),
        })
    }

    /// White space around a token is stripped, as PyPI does: secrets are often stored with their
    /// line ending.
    fn parse_token(text: &str) -> Result<Self, InvalidAuthorization> {
        let token = text.trim();
        if token.is_empty() {
            return Err(InvalidAuthorization::EmptyToken);
        }
        if token.len() > crate::tokens::MAX_LENGTH {
            return Err(InvalidAuthorization::TooLong);
        }
        if token.chars().any(char::is_control) {
            return Err(InvalidAuthorization::ControlCharacter);
        }
        Ok(Self::Token(Secret::new(token.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(value: &str) -> Result<Presented, InvalidAuthorization> {
        Presented::parse([value.as_bytes()])
    }

    fn basic(text: &str) -> String {
        format!("Basic {}", BASE64.encode(text.as_bytes()))
    }

    fn token(text: &str) -> Result<Presented, InvalidAuthorization> {
        Ok(Presented::Token(Secret::new(text.to_owned())))
    }

    #[test]
    fn no_header_presents_nothing() {
        assert_eq!(Presented::parse([]), Ok(Presented::None));
    }

    #[test]
    fn a_session_cookie_counts_where_nothing_else_was_presented() {
        let cookie = "A".repeat(43);
        let session = Presented::Session(Secret::new(cookie.clone()));
        assert_eq!(Presented::None.with_session_cookie(Some(&cookie)), session);
        for (presented, cookie) in [
            (Presented::None, None),
            (Presented::None, Some("")),
            (Presented::None, Some("A")),
            (parse("Bearer pypi-AgE").unwrap(), Some(&*cookie)),
            (parse(&basic("ana:pw")).unwrap(), Some(&*cookie)),
        ] {
            assert_eq!(presented.clone().with_session_cookie(cookie), presented);
        }
    }

    #[test]
    fn every_form_of_a_token_is_the_same_token() {
        for value in [
            "token pypi-AgE",
            "Token  pypi-AgE ",
            "Bearer pypi-AgE",
            "bEARER pypi-AgE",
            &basic("__token__:pypi-AgE"),
            &basic("__token__: pypi-AgE\n"),
            &basic("__token__:\tpypi-AgE\r\n").replace("Basic", "bAsIC"),
        ] {
            assert_eq!(parse(value), token("pypi-AgE"), "{value}");
        }
    }

    #[test]
    fn any_other_user_name_presents_a_password() {
        for (user, password) in [
            ("alice", "a:b"),
            ("", ""),
            ("__TOKEN__", "pypi-AgE"),
            ("__token__ ", "x"),
            ("ä", "ö"),
        ] {
            let expected = Presented::Basic {
                user: user.to_owned(),
                password: Secret::new(password.to_owned()),
            };
            assert_eq!(parse(&basic(&format!("{user}:{password}"))), Ok(expected));
        }
    }

    #[test]
    fn several_headers_are_refused_even_when_they_agree() {
        assert_eq!(
            Presented::parse([&b"Bearer a"[..], b"Bearer a"]),
            Err(InvalidAuthorization::Several)
        );
        assert_eq!(
            Presented::parse([&b""[..], b"Bearer a"]),
            Err(InvalidAuthorization::Several)
        );
    }

    #[test]
    fn what_cannot_be_read_says_what_would_be_right() {
        use InvalidAuthorization::*;
        let long = "a".repeat(MAX_USER_LENGTH + 1);
        for (value, error) in [
            ("", Malformed),
            ("Basic", Malformed),
            ("Basic !!!", Malformed),
            ("Basic YWxpY2U6cHc", Malformed),
            ("Basic YWxpY2U6cHd=", Malformed),
            ("Basic YWxpY2U=", Malformed),
            ("Basic /////w==", Malformed),
            ("Digest username=a", UnknownScheme),
            ("Bearer a\u{1}b", ControlCharacter),
            (&basic("alice:p\0w"), ControlCharacter),
            (&basic("al\nice:pw"), ControlCharacter),
            (&basic("__token__:py\0pi"), ControlCharacter),
            (&basic("__token__:"), EmptyToken),
            (&basic("__token__: \n"), EmptyToken),
            (&basic(&format!("{long}:pw")), TooLong),
            (
                &format!("Bearer {}", "a".repeat(crate::tokens::MAX_LENGTH + 1)),
                TooLong,
            ),
            (
                &format!("Bearer {}", "a".repeat(MAX_HEADER_LENGTH)),
                TooLong,
            ),
        ] {
            assert_eq!(parse(value), Err(error), "{value}");
        }
        assert_eq!(Presented::parse([&b"Bearer \xff"[..]]), Err(Malformed));
    }

    #[test]
    fn debug_shows_neither_token_nor_password() {
        for value in ["Bearer hush-hush", &basic("alice:hush-hush")] {
            assert!(!format!("{:?}", parse(value)).contains("hush"), "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_header_panics_the_parser(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Presented::parse([&value[..]]);
        }

        #[test]
        fn no_basic_credentials_panic_the_parser(text in any::<String>()) {
            let _ = parse(&basic(&text));
        }
    }
}
