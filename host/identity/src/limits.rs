//! How often somebody may fail before being told to wait.
//!
//! Counted in the database, so that replicas count together. An attempt is counted before
//! it is looked at and taken back if it succeeds: however many are made at once, no more
//! than the limit are looked at.

use std::net::{IpAddr, Ipv6Addr};

use model::{Timestamp, UserName};
use storage::{Storage, StorageError};

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
    /// Failed passwords in all: who guesses from a thousand addresses for a thousand accounts.
    pub password_of_all: Vec<Limit>,
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
            password_of_all: vec![limit(1000, 300)],
            totp_per_user: vec![limit(5, 300), limit(20, 3600), limit(50, 86_400)],
            totp_per_address: vec![limit(10, 300), limit(50, 3600)],
            refused_per_address: vec![limit(100, 300)],
        }
    }
}

/// One thing that is counted, for one user or address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counter {
    key: String,
    limits: Vec<Limit>,
}

impl Limits {
    /// The longest window in seconds; attempts older than that count nowhere.
    fn longest_window_seconds(&self) -> u32 {
        let passwords = [&self.password_per_user, &self.password_per_address, &self.password_of_all];
        let all = passwords.into_iter().chain([&self.totp_per_user, &self.totp_per_address, &self.refused_per_address]);
        all.flatten().map(|limit| limit.window_seconds).max().unwrap_or(0)
    }

    pub(crate) fn password_of(&self, name: &UserName) -> Counter {
        Counter { key: format!("password:user:{}", name.folded()), limits: self.password_per_user.clone() }
    }

    pub(crate) fn password_from(&self, address: IpAddr) -> Counter {
        Counter { key: format!("password:address:{}", network_of(address)), limits: self.password_per_address.clone() }
    }

    pub(crate) fn password_of_all(&self) -> Counter {
        Counter { key: "password:all".to_owned(), limits: self.password_of_all.clone() }
    }

    pub(crate) fn totp_of(&self, name: &UserName) -> Counter {
        Counter { key: format!("totp:user:{}", name.folded()), limits: self.totp_per_user.clone() }
    }

    pub(crate) fn totp_from(&self, address: IpAddr) -> Counter {
        Counter { key: format!("totp:address:{}", network_of(address)), limits: self.totp_per_address.clone() }
    }

    pub(crate) fn refused_from(&self, address: IpAddr) -> Counter {
        Counter { key: format!("refused:address:{}", network_of(address)), limits: self.refused_per_address.clone() }
    }
}

impl crate::Identity {
    /// Forgets attempts that no limit looks at any more; how many. Housekeeping, for now
    /// and then.
    pub async fn forget_attempts(&self) -> Result<u64, StorageError> {
        let window_ms = i64::from(self.config().limits.longest_window_seconds()) * 1000;
        self.storage().forget_attempts(self.now().plus_ms(-window_ms)).await
    }
}

/// There were too many attempts; wait this many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany {
    pub(crate) retry_after_seconds: u64,
}

/// Attempts that were counted.
#[derive(Debug)]
#[must_use = "an attempt that succeeded must be given back"]
pub(crate) struct Taken {
    keys: Vec<String>,
    at: Timestamp,
}

/// Whether any limit is reached. Only to save work: [`take`] is what holds.
pub(crate) async fn check(storage: &Storage, counters: &[Counter], now: Timestamp) -> Result<Result<(), TooMany>, StorageError> {
    for (key, limit) in windows(counters) {
        let attempts = storage.attempts_since(&key, now.plus_ms(-limit.window_ms())).await?;
        if attempts.count >= u64::from(limit.attempts) {
            let free_at = attempts.oldest.unwrap_or(now).plus_ms(limit.window_ms());
            return Ok(Err(TooMany::until(free_at, now)));
        }
    }
    Ok(Ok(()))
}

/// Counts one attempt in every counter, or in none if a limit is reached.
pub(crate) async fn take(storage: &Storage, counters: &[Counter], now: Timestamp) -> Result<Result<Taken, TooMany>, StorageError> {
    let mut taken = Taken { keys: Vec::new(), at: now };
    for (key, limit) in windows(counters) {
        match storage.take_attempt(&key, now, limit.window_ms(), limit.attempts).await? {
            Ok(()) => taken.keys.push(key),
            Err(retry) => {
                taken.give_back(storage).await?;
                return Ok(Err(TooMany::until(retry.at, now)));
            }
        }
    }
    Ok(Ok(taken))
}

impl Taken {
    /// The attempt succeeded: it does not count.
    pub(crate) async fn give_back(self, storage: &Storage) -> Result<(), StorageError> {
        for key in &self.keys {
            storage.give_back_attempt(key, self.at).await?;
        }
        Ok(())
    }
}

impl TooMany {
    fn until(free_at: Timestamp, now: Timestamp) -> Self {
        let wait_ms = u64::try_from(free_at.0 - now.0).unwrap_or(0);
        Self { retry_after_seconds: wait_ms.div_ceil(1000).max(1) }
    }
}

impl Limit {
    fn window_ms(self) -> i64 {
        i64::from(self.window_seconds) * 1000
    }
}

/// Each window has a key of its own: an attempt may fit one and not another.
fn windows(counters: &[Counter]) -> impl Iterator<Item = (String, Limit)> + '_ {
    counters.iter().flat_map(|counter| counter.limits.iter().map(|limit| (format!("{}:{}", counter.key, limit.window_seconds), *limit)))
}

/// What one person easily has many of counts as one: an IPv6 network of 64 bits.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_ipv6_network_count_together_and_ipv4_addresses_do_not() {
        let network = |text: &str| network_of(text.parse().unwrap()).to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), network("2001:db8:1:2:ffff::1"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("::ffff:192.0.2.1"), "192.0.2.1");
    }

    #[test]
    fn names_that_differ_in_case_count_together() {
        let limits = Limits::default();
        let name = |text| UserName::parse(text).unwrap();
        assert_eq!(limits.password_of(&name("Ana")), limits.password_of(&name("ana")));
    }

    #[test]
    fn keys_fit_the_database_for_the_longest_names() {
        let limits = Limits::default();
        let name = UserName::parse(&"a".repeat(50)).unwrap();
        for (key, _) in windows(&[limits.password_of(&name), limits.totp_of(&name), limits.refused_from("2001:db8:1111:2222::".parse().unwrap())]) {
            assert!(key.len() <= 200, "{key}");
        }
    }

    #[test]
    fn the_wait_is_rounded_up_to_whole_seconds() {
        let until = |free_at| TooMany::until(Timestamp(free_at), Timestamp(10_000)).retry_after_seconds;
        assert_eq!((until(10_001), until(11_000), until(11_001), until(9_000)), (1, 1, 2, 1));
    }
}
