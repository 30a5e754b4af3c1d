//! Time-based one-time passwords (RFC 6238): SHA-1, six digits, steps of 30 seconds, a secret of
//! 160 bits, which is the form that every authenticator app supports.
//!
//! A code is valid for the current step and its two neighbours. The caller must store which step
//! matched: a code is accepted once, and afterwards none of an earlier step.

use model::{Timestamp, UserName};
use storage::Secret;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use totp_rs::{Builder, Totp};

/// Seconds in a step.
pub const STEP_SECONDS: i64 = 30;
/// Steps before and after the current one that are accepted.
const SKEW: i64 = 1;
/// Maximum length of a text that is checked as a code: six digits and the spaces people type.
const MAX_CODE_LENGTH: usize = 32;
/// Shortest and longest secret, in bytes.
const SECRET_LENGTH: std::ops::RangeInclusive<usize> = 20..=64;

/// A TOTP secret in the two forms that apps accept.
#[derive(Clone, Debug)]
pub struct EnrolledTotp {
    /// Base32 without padding.
    pub secret: Secret<String>,
    /// `otpauth://totp/…`, for a QR code.
    pub url: Secret<String>,
}

/// The text is no TOTP secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the TOTP secret is not base32 of 20 to 64 bytes; let the registry make one")]
pub struct InvalidSecret;

/// A fresh secret.
pub fn generate_secret() -> Secret<String> {
    let mut bytes = zeroize::Zeroizing::new([0_u8; 20]);
    crate::random::fill(&mut *bytes);
    Secret::new(data_encoding::BASE32_NOPAD.encode(&*bytes))
}

/// The secret with the URL by which apps add it.
pub fn describe(
    secret: &Secret<String>,
    issuer: &str,
    name: &UserName,
) -> Result<EnrolledTotp, InvalidSecret> {
    let bytes = decode(secret)?;
    let totp = Builder::new()
        .with_secret(bytes)
        .with_issuer(Some(issuer))
        .with_account_name(name.as_written())
        .build()
        .map_err(|_| InvalidSecret)?;
    let url = totp.to_url().map_err(|_| InvalidSecret)?;
    Ok(EnrolledTotp {
        secret: secret.clone(),
        url: Secret::new(url),
    })
}

/// The step that a code belongs to, among those accepted at `now`. White space within the
/// code is ignored. Takes the same time whether or not a step matches.
pub fn matched_step(
    secret: &Secret<String>,
    code: &str,
    now: Timestamp,
) -> Result<Option<i64>, InvalidSecret> {
    let totp = totp(secret)?;
    let code = six_digits(code);
    let current = now.seconds().div_euclid(STEP_SECONDS);
    let mut matched = -1_i64;
    for step in current - SKEW..=current + SKEW {
        let expected = generate(&totp, step);
        let given = code.as_deref().unwrap_or("      ");
        let is_equal: Choice = expected.as_bytes().ct_eq(given.as_bytes());
        matched.conditional_assign(&step, is_equal & Choice::from(u8::from(step >= 0)));
    }
    Ok((matched >= 0).then_some(matched))
}

fn totp(secret: &Secret<String>) -> Result<Totp, InvalidSecret> {
    Builder::new()
        .with_secret(decode(secret)?)
        .with_account_name("-")
        .build()
        .map_err(|_| InvalidSecret)
}

fn generate(totp: &Totp, step: i64) -> String {
    totp.generate(u64::try_from(step * STEP_SECONDS).unwrap_or(0))
        .to_string()
}

fn decode(secret: &Secret<String>) -> Result<Vec<u8>, InvalidSecret> {
    let bytes = data_encoding::BASE32_NOPAD
        .decode(secret.expose().as_bytes())
        .map_err(|_| InvalidSecret)?;
    if SECRET_LENGTH.contains(&bytes.len()) {
        Ok(bytes)
    } else {
        Err(InvalidSecret)
    }
}

/// Apps show codes as `123 456`, and people type them that way.
fn six_digits(code: &str) -> Option<String> {
    if code.len() > MAX_CODE_LENGTH {
        return None;
    }
    let digits: String = code
        .chars()
        .filter(|character| !character.is_whitespace())
        .collect();
    (digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 6238's secret `12345678901234567890`.
    fn secret() -> Secret<String> {
        Secret::new("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".to_owned())
    }

    fn step(code: &str, seconds: i64) -> Option<i64> {
        matched_step(&secret(), code, Timestamp::from_seconds(seconds)).unwrap()
    }

    /// Appendix B, the last six of its eight digits.
    #[test]
    fn the_codes_of_the_rfc_match() {
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
        ] {
            assert_eq!(step(code, seconds), Some(seconds / 30), "{code}");
        }
    }

    #[test]
    fn a_code_counts_one_step_early_and_one_step_late_and_no_longer() {
        let start = 1_234_567_890;
        for (seconds, expected) in [
            (start - 31, None),
            (start - 30, Some(start / 30)),
            (start + 59, Some(start / 30)),
            (start + 60, None),
        ] {
            assert_eq!(step("005924", seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn spaces_are_ignored_and_anything_else_is_no_code() {
        let now = 1_234_567_890;
        for code in ["005 924", " 0 0 5 9 2 4 ", "005\u{a0}924", "\t005924\n"] {
            assert!(step(code, now).is_some(), "{code:?}");
        }
        for code in [
            "",
            "5924",
            "0005924",
            "005-924",
            "00592４",
            "+05924",
            "      ",
            &" ".repeat(40),
        ] {
            assert!(step(code, now).is_none(), "{code:?}");
        }
    }

    #[test]
    fn there_is_no_step_before_the_epoch() {
        let first = generate(&totp(&secret()).unwrap(), 0);
        assert_eq!(step(&first, 0), Some(0));
        assert_eq!(step(&first, -30), Some(0));
        assert_eq!(step(&first, -90), None);
    }

    #[test]
    fn a_secret_too_short_or_not_in_base32_is_refused() {
        for text in [
            "",
            "GEZDGNBV",
            "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJ1",
            "gezdgnbvgy3tqojqgezdgnbvgy3tqojq",
        ] {
            assert!(
                matched_step(&Secret::new(text.to_owned()), "000000", Timestamp(0)).is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn a_fresh_secret_is_described_to_apps() {
        let secret = generate_secret();
        assert_ne!(secret, generate_secret());
        let enrolled = describe(
            &secret,
            "pypi.example.org",
            &UserName::parse("alice").unwrap(),
        )
        .unwrap();
        let url = enrolled.url.expose();
        assert!(
            url.starts_with("otpauth://totp/")
                && url.contains("alice")
                && url.contains(secret.expose())
                && url.contains("issuer=pypi.example.org"),
            "{url}"
        );
    }

    proptest! {
        #[test]
        fn no_code_panics(code in any::<String>(), seconds in -100_i64..100_000_000_000) {
            let _ = step(&code, seconds);
        }

        #[test]
        fn the_code_of_a_step_matches_within_the_window_alone(step_number in 2_i64..100_000_000, offset in -5_i64..=5, second in 0_i64..30) {
            let code = generate(&totp(&secret()).unwrap(), step_number);
            let matched = step(&code, (step_number + offset) * 30 + second);
            if offset.abs() <= 1 {
                prop_assert!(matched.is_some());
            } else {
                // Six digits sometimes repeat: a match is of another step, never this one.
                prop_assert_ne!(matched, Some(step_number));
            }
        }
    }
}
