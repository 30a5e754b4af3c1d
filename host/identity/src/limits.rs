//! How often somebody may fail before being told to wait.

/// So many in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Attempts.
    pub attempts: u32,
    /// Window in seconds.
    pub window_seconds: u32,
}

/// The limits on failed authentications.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Failed passwords for one account.
    pub password_per_user: Vec<Limit>,
    /// Failed passwords from one address.
    pub password_per_address: Vec<Limit>,
    /// TOTP codes tried for one account.
    pub totp_per_user: Vec<Limit>,
    /// TOTP codes tried from one address.
    pub totp_per_address: Vec<Limit>,
    /// Credentials refused without a look at them, and tokens that did not verify, from
    /// one address.
    pub refused_per_address: Vec<Limit>,
}

impl Default for Limits {
    fn default() -> Self {
        let limit = |attempts, window_seconds| Limit { attempts, window_seconds };
        Self {
            password_per_user: vec![limit(10, 300)],
            password_per_address: vec![limit(10, 300)],
            totp_per_user: vec![limit(5, 300), limit(20, 3600), limit(50, 86_400)],
            totp_per_address: vec![limit(10, 300), limit(50, 3600)],
            refused_per_address: vec![limit(100, 300)],
        }
    }
}
