//! One-time passwords, as in an authenticator app.

use std::time::{SystemTime, UNIX_EPOCH};

/// An authenticator app with one account.
#[derive(Clone, Debug)]
pub struct Authenticator {
    totp: totp_rs::Totp,
}

impl Authenticator {
    /// From the secret in base32, as a person would type it in.
    pub fn from_base32(secret: &str) -> Self {
        let secret = totp_rs::Secret::try_from_base32(secret.trim())
            .expect("the server prints the secret in base32");
        Self {
            totp: totp_rs::Builder::new()
                .with_secret(secret)
                .with_account_name("test")
                .build_noncompliant(),
        }
    }

    /// The code shown now.
    pub fn code(&self) -> String {
        self.code_steps_from_now(0)
    }

    /// The code shown `steps` times 30 seconds from now.
    pub fn code_steps_from_now(&self, steps: i64) -> String {
        self.codes_from_now([steps].into_iter()).remove(0)
    }

    /// The same for several steps, all counted from the same time.
    pub fn codes_from_now(&self, steps: impl Iterator<Item = i64>) -> Vec<String> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("the clock is past 1970")
            .as_secs();
        steps
            .map(|steps| {
                self.totp
                    .generate(now.saturating_add_signed(steps * 30))
                    .to_string()
            })
            .collect()
    }

    /// Six digits that are not a valid code in these minutes.
    pub fn wrong_code(&self) -> String {
        let near = self.codes_from_now(-3..=3);
        (0..=9)
            .map(|digit| digit.to_string().repeat(6))
            .find(|code| !near.contains(code))
            .expect("seven steps have at most seven codes")
    }
}
