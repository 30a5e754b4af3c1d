//! One-time passwords as an authenticator app shows them.

use std::time::{SystemTime, UNIX_EPOCH};

/// An authenticator app with one account.
#[derive(Clone, Debug)]
pub struct Authenticator {
    totp: totp_rs::Totp,
}

impl Authenticator {
    /// From the secret in base32, as a person would type it in.
    pub fn from_base32(secret: &str) -> Self {
        let secret = totp_rs::Secret::try_from_base32(secret.trim()).expect("the server prints the secret in base32");
        Self { totp: totp_rs::Builder::new().with_secret(secret).with_account_name("test").build_noncompliant() }
    }

    /// The code shown now.
    pub fn code(&self) -> String {
        self.code_steps_from_now(0)
    }

    /// The code shown `steps` times 30 seconds from now.
    pub fn code_steps_from_now(&self, steps: i64) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_secs();
        self.totp.generate(now.saturating_add_signed(steps * 30)).to_string()
    }
}
