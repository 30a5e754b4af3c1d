//! Passwords: argon2id, off the async threads, few at a time; and which ones are suitable.

mod form;
mod strength;

use std::hash::RandomState;
use std::net::IpAddr;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use model::UserName;
use model::limit::{HASH_WAIT, HASHES_AT_ONCE, HASHES_WAITING, HASHES_WAITING_OF_ONE};
use storage::Secret;
use turns::{Account, Asker, Bounds, Full, Place, Places, Waiting};
use zeroize::Zeroizing;

pub use form::is_same;
pub(crate) use form::normalized;

/// Minimum and maximum number of characters in a password.
pub const MIN_CHARACTERS: usize = 8;
pub const MAX_CHARACTERS: usize = model::limit::PASSWORD.length();
/// Maximum size in bytes of a password that is checked: [`MAX_CHARACTERS`] of any script. Longer
/// ones are never hashed.
pub(crate) const MAX_BYTES: usize = 4 * MAX_CHARACTERS;

/// How long a request waits for a hash.
const WAIT: Duration = Duration::from_millis(HASH_WAIT.milliseconds());

/// How costly passwords are to guess, and how many are processed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordHashing {
    /// Memory per hash, in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub iterations: u32,
    pub lanes: u32,
    /// Maximum number of hashes computed at once; each needs the memory above.
    pub at_once: usize,
    /// Maximum number of strangers' requests that wait for their turn, and of requests from
    /// accounts on devices that they know; others are asked to come back later.
    pub waiting: usize,
    /// The same limit for one address, or for one such account.
    pub waiting_of_one: usize,
}

impl Default for PasswordHashing {
    fn default() -> Self {
        Self {
            memory_kib: 19_456,
            iterations: 2,
            lanes: 1,
            at_once: HASHES_AT_ONCE.length(),
            waiting: HASHES_WAITING.length(),
            waiting_of_one: HASHES_WAITING_OF_ONE.length(),
        }
    }
}

/// Why a password is not accepted as a new one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsuitablePassword {
    #[error("your password must be {MIN_CHARACTERS} to {MAX_CHARACTERS} characters long")]
    Length,
    #[error("your password must not contain control characters")]
    ControlCharacter,
    #[error("your password must not be your user name; choose another one")]
    UserName,
    /// An attacker who knows common passwords finds it in few tries.
    #[error("{advice}")]
    TooGuessable {
        /// Why, and what would be better; full sentences, without the last full stop.
        advice: String,
    },
}

/// Whether a password may be set for a user.
pub fn check_suitable(
    password: &Secret<String>,
    name: &UserName,
) -> Result<(), UnsuitablePassword> {
    // The bytes first: processing a huge text is work, too.
    if password.expose().len() > MAX_BYTES {
        return Err(UnsuitablePassword::Length);
    }
    // In the compared form: an accented letter is one character, however it was typed.
    let form = normalized(password);
    let text = form.expose();
    if text.len() > MAX_BYTES || !(MIN_CHARACTERS..=MAX_CHARACTERS).contains(&text.chars().count())
    {
        return Err(UnsuitablePassword::Length);
    }
    if text.chars().any(char::is_control) {
        return Err(UnsuitablePassword::ControlCharacter);
    }
    if text.trim().eq_ignore_ascii_case(name.folded()) {
        return Err(UnsuitablePassword::UserName);
    }
    Ok(())
}

/// Why a password was not hashed.
#[derive(Debug)]
pub(crate) enum NotHashed {
    Unsuitable(UnsuitablePassword),
    Busy(Busy),
}

impl From<UnsuitablePassword> for NotHashed {
    fn from(unsuitable: UnsuitablePassword) -> Self {
        Self::Unsuitable(unsuitable)
    }
}

impl From<Busy> for NotHashed {
    fn from(busy: Busy) -> Self {
        Self::Busy(busy)
    }
}

/// More passwords are waiting to be checked than this server allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked; try again in a moment")]
pub struct Busy;

impl From<Full> for Busy {
    fn from(Full: Full) -> Self {
        Self
    }
}

/// The only place where passwords are hashed.
pub(crate) struct Hashing {
    hasher: Argon2<'static>,
    /// A hash that no password matches, as costly as a real one.
    dummy: Secret<String>,
    places: Places,
    /// Hashes account names into numbers for the queue.
    numbers: RandomState,
}

/// Whether a password is the one that was hashed, and in which form it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    No,
    /// In the form that passwords are hashed in now.
    Normalized,
    /// As it was typed: the hash was made before passwords had one form.
    AsTyped,
}

/// A request that waits for a hash.
#[must_use = "whoever is not awaited gives up"]
pub(crate) struct Queued<'a> {
    passwords: &'a Hashing,
    waiting: Waiting,
}

/// The right to compute one hash now.
pub(crate) struct Turn<'a> {
    passwords: &'a Hashing,
    place: Place,
}

impl Hashing {
    /// The hash of a new password of a user with this name and these addresses, if it is suitable
    /// for a registry at this location.
    pub(crate) async fn hash_new(
        &self,
        asker: Asker,
        password: &Secret<String>,
        name: &UserName,
        addresses: &[&str],
        location: &str,
    ) -> Result<String, NotHashed> {
        check_suitable(password, name)?;
        let known = strength::known_words(name, addresses, location);
        Ok(self
            .turn(asker)
            .await?
            .hash_new(password.clone(), known)
            .await?)
    }

    /// Whether it would be accepted, without hashing it.
    pub(crate) async fn check_new(
        &self,
        asker: Asker,
        password: &Secret<String>,
        name: &UserName,
        addresses: &[&str],
        location: &str,
    ) -> Result<(), NotHashed> {
        check_suitable(password, name)?;
        let known = strength::known_words(name, addresses, location);
        let password = password.clone();
        Ok(self
            .turn(asker)
            .await?
            .run(move || strength::check(&normalized(&password), &known))
            .await?)
    }

    /// Fails when argon2 refuses the parameters.
    pub(crate) fn new(hashing: PasswordHashing) -> Result<Self, argon2::Error> {
        let params = Params::new(hashing.memory_kib, hashing.iterations, hashing.lanes, None)?;
        let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let mut password = Zeroizing::new([0_u8; 32]);
        crate::random::fill(&mut *password);
        let dummy = Secret::new(hash(&hasher, &*password));
        let bounds = Bounds {
            of_one: hashing.waiting_of_one,
            of_all: hashing.waiting,
        };
        Ok(Self {
            hasher,
            dummy,
            places: Places::with_bounds(hashing.at_once.max(1), bounds),
            numbers: RandomState::new(),
        })
    }

    /// Whether a stored hash is easier to guess than a new one: no cost is higher and one is lower,
    /// or the algorithm differs. So servers with different configurations do not undo each other's
    /// work.
    pub(crate) fn is_outdated(&self, stored: &Secret<String>) -> bool {
        let Ok(hash) = PasswordHash::new(stored.expose()) else {
            return false;
        };
        let Ok(params) = Params::try_from(&hash) else {
            return false;
        };
        if hash.algorithm.as_str() != Algorithm::Argon2id.as_str()
            || hash.version != Some(Version::V0x13.into())
        {
            return true;
        }
        let (then, now) = ([params.m_cost(), params.t_cost()], self.hasher.params());
        let now = [now.m_cost(), now.t_cost()];
        then != now && then.iter().zip(now).all(|(then, now)| *then <= now)
    }

    /// An unknown client at this address.
    pub(crate) fn stranger(&self, address: IpAddr) -> Asker {
        Asker::at(address, WAIT)
    }

    /// An account on a device that it knows, within its session, or with a link that was mailed to
    /// it. Strangers cannot delay it.
    pub(crate) fn known(&self, user: &UserName) -> Asker {
        Asker::known(Account::named(user.folded(), &self.numbers), WAIT)
    }

    /// Joins the queue, unless it is full.
    pub(crate) fn queue(&self, asker: Asker) -> Result<Queued<'_>, Busy> {
        Ok(Queued {
            passwords: self,
            waiting: self.places.queue(&asker)?,
        })
    }

    /// Waits for the right to compute a hash.
    pub(crate) async fn turn(&self, asker: Asker) -> Result<Turn<'_>, Busy> {
        self.queue(asker)?.turn().await
    }
}

impl<'a> Queued<'a> {
    /// The right to compute a hash, as soon as it is this request's turn.
    pub(crate) async fn turn(self) -> Result<Turn<'a>, Busy> {
        Ok(Turn {
            passwords: self.passwords,
            place: self.waiting.place().await?,
        })
    }
}

impl Turn<'_> {
    /// The hash of a password in its one form, as a PHC string.
    pub(crate) async fn hash(self, password: Secret<String>) -> String {
        let hasher = self.passwords.hasher.clone();
        self.run(move || hash(&hasher, normalized(&password).expose().as_bytes()))
            .await
    }

    /// The hash of a new password, unless it is easy to guess for someone who knows these words.
    pub(crate) async fn hash_new(
        self,
        password: Secret<String>,
        known: Vec<String>,
    ) -> Result<String, UnsuitablePassword> {
        let hasher = self.passwords.hasher.clone();
        self.run(move || {
            let password = normalized(&password);
            strength::check(&password, &known)?;
            Ok(hash(&hasher, password.expose().as_bytes()))
        })
        .await
    }

    /// Whether the password is the one that was hashed. Without a hash the answer is no, after the
    /// same work.
    ///
    /// Older hashes are of the text as typed, before passwords had one form. So if that differs, it
    /// is checked too: one more hash, whatever the result of the first and even without a hash to
    /// compare with. The time reveals how the password was typed, and nothing about the account.
    pub(crate) async fn verify(
        self,
        password: Secret<String>,
        expected: Option<Secret<String>>,
    ) -> Match {
        let exists = expected.is_some();
        let expected = expected.unwrap_or_else(|| self.passwords.dummy.clone());
        let hasher = self.passwords.hasher.clone();
        let matched = self.run(move || {
            let form = normalized(&password);
            let is_form = verify(&hasher, form.expose().as_bytes(), expected.expose());
            let is_as_typed = form != password
                && verify(&hasher, password.expose().as_bytes(), expected.expose());
            match (is_form, is_as_typed) {
                (true, _) => Match::Normalized,
                (false, true) => Match::AsTyped,
                (false, false) => Match::No,
            }
        });
        let matched = matched.await;
        if exists { matched } else { Match::No }
    }

    /// The turn moves into the task, so that an abandoned request does not make room for another
    /// hash while its own is still being computed.
    async fn run<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let place = self.place;
        let work = move || {
            let _place = place;
            work()
        };
        tokio::task::spawn_blocking(work)
            .await
            .expect("hashing does not panic")
    }
}

fn hash(hasher: &Argon2<'_>, password: &[u8]) -> String {
    let hash: PasswordHash = hasher
        .hash_password(password)
        .expect("argon2 hashes any password within the limits");
    hash.to_string()
}

/// An unreadable hash matches nothing.
fn verify(hasher: &Argon2<'_>, password: &[u8], expected: &str) -> bool {
    match PasswordHash::new(expected) {
        Ok(hash) => hasher.verify_password(password, &hash).is_ok(),
        Err(_) => {
            tracing::error!("a stored password hash is unreadable; set the password again");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    fn stranger(number: u8) -> Asker {
        Asker::at([192, 0, 2, number].into(), WAIT)
    }

    fn cheap(at_once: usize, waiting: usize) -> Hashing {
        Hashing::new(PasswordHashing {
            memory_kib: 8,
            iterations: 1,
            lanes: 1,
            at_once,
            waiting,
            waiting_of_one: waiting,
        })
        .unwrap()
    }

    #[tokio::test]
    async fn a_password_verifies_against_its_own_hash_alone() {
        let passwords = cheap(1, 8);
        let hash = passwords
            .turn(stranger(1))
            .await
            .unwrap()
            .hash(secret("correct horse"))
            .await;
        assert!(hash.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{hash}");
        let verify = async |password: &str, hash: Option<&str>| {
            passwords
                .turn(stranger(1))
                .await
                .unwrap()
                .verify(secret(password), hash.map(secret))
                .await
                == Match::Normalized
        };
        assert!(verify("correct horse", Some(&hash)).await);
        assert!(!verify("correct Horse", Some(&hash)).await);
        assert!(!verify("", Some(&hash)).await);
        assert!(!verify("correct horse", None).await);
        assert!(!verify("correct horse", Some("garbage")).await);
        assert!(!verify("correct horse", Some("")).await);
    }

    #[tokio::test]
    async fn a_hash_from_before_passwords_had_one_form_matches_what_was_typed() {
        let passwords = cheap(1, 8);
        let (decomposed, composed) = ("cafe\u{301} cre\u{300}me", "caf\u{e9} cr\u{e8}me");
        let verify = async |password: &str, hash: &str| {
            passwords
                .turn(stranger(1))
                .await
                .unwrap()
                .verify(secret(password), Some(secret(hash)))
                .await
        };
        let before = hash(&passwords.hasher, decomposed.as_bytes());
        assert_eq!(
            (
                verify(decomposed, &before).await,
                verify(composed, &before).await
            ),
            (Match::AsTyped, Match::No)
        );
        let today = passwords
            .turn(stranger(1))
            .await
            .unwrap()
            .hash(secret(decomposed))
            .await;
        assert_eq!(
            (
                verify(decomposed, &today).await,
                verify(composed, &today).await
            ),
            (Match::Normalized, Match::Normalized)
        );
        assert_eq!(verify("cafe cr\u{e8}me", &today).await, Match::No);
        let nobody = passwords
            .turn(stranger(1))
            .await
            .unwrap()
            .verify(secret(decomposed), None)
            .await;
        assert_eq!(nobody, Match::No);
    }

    #[tokio::test]
    async fn only_a_hash_that_is_cheaper_in_every_way_is_outdated() {
        let of = |memory_kib, iterations| {
            Hashing::new(PasswordHashing {
                memory_kib,
                iterations,
                lanes: 1,
                at_once: 1,
                waiting: 8,
                waiting_of_one: 8,
            })
            .unwrap()
        };
        let stored = Secret::new(
            of(16, 2)
                .turn(stranger(1))
                .await
                .unwrap()
                .hash(secret("correct horse"))
                .await,
        );
        for (memory_kib, iterations, expected) in [
            (16, 2, false),
            (32, 2, true),
            (16, 3, true),
            (32, 3, true),
            (8, 2, false),
            (32, 1, false),
            (8, 3, false),
        ] {
            assert_eq!(
                of(memory_kib, iterations).is_outdated(&stored),
                expected,
                "{memory_kib} {iterations}"
            );
        }
        let weaker_algorithm = secret(&stored.expose().replace("argon2id", "argon2i"));
        assert!(of(16, 2).is_outdated(&weaker_algorithm));
        assert!(
            !of(16, 2).is_outdated(&secret("garbage")),
            "nothing verifies against it anyway"
        );
    }

    #[tokio::test]
    async fn the_same_password_never_hashes_to_the_same_text() {
        let passwords = cheap(1, 8);
        let one = passwords
            .turn(stranger(1))
            .await
            .unwrap()
            .hash(secret("correct horse"))
            .await;
        assert_ne!(
            one,
            passwords
                .turn(stranger(1))
                .await
                .unwrap()
                .hash(secret("correct horse"))
                .await
        );
    }

    #[tokio::test]
    async fn more_than_may_wait_are_sent_away() {
        let passwords = Hashing::new(PasswordHashing {
            memory_kib: 8,
            iterations: 1,
            lanes: 1,
            at_once: 1,
            waiting: 3,
            waiting_of_one: 2,
        })
        .unwrap();
        let held = passwords.turn(stranger(1)).await.unwrap();
        let queue = |number| passwords.queue(stranger(number));
        let mut waiting = vec![queue(1).unwrap(), queue(1).unwrap()];
        assert!(queue(1).is_err(), "one address has so many");
        waiting.push(queue(2).unwrap());
        // One more replaces the last request of the asker with the most.
        waiting.push(queue(3).unwrap());
        assert!(matches!(waiting.remove(1).turn().await, Err(Busy)));
        assert!(queue(4).is_err(), "all have so many, and each has one");
        let known = passwords.known(&UserName::parse("ana").unwrap());
        let mut at_home = vec![
            passwords.queue(known).unwrap(),
            passwords.queue(known).unwrap(),
        ];
        assert!(passwords.queue(known).is_err());
        drop(held);
        // It gets its turn before all strangers.
        assert!(at_home.remove(0).turn().await.is_ok());
        waiting.clear();
        assert!(queue(1).is_ok(), "those who gave up wait no longer");
    }

    #[tokio::test(start_paused = true)]
    async fn a_hash_is_waited_for_as_long_as_the_table_says() {
        let passwords = cheap(1, 1);
        let _held = passwords.turn(stranger(1)).await.unwrap();
        let start = tokio::time::Instant::now();
        assert!(matches!(passwords.turn(stranger(2)).await, Err(Busy)));
        assert_eq!(
            start.elapsed().as_millis(),
            u128::from(HASH_WAIT.milliseconds())
        );
    }

    #[test]
    fn parameters_that_argon2_refuses_are_refused() {
        assert!(
            Hashing::new(PasswordHashing {
                memory_kib: 1,
                ..PasswordHashing::default()
            })
            .is_err()
        );
    }

    #[test]
    fn a_new_password_has_8_to_1024_characters_and_is_not_the_user_name() {
        let name = UserName::parse("Alice-Smith").unwrap();
        let check = |text: &str| check_suitable(&secret(text), &name);
        assert_eq!(check("1234567"), Err(UnsuitablePassword::Length));
        assert_eq!(check("12345678"), Ok(()));
        assert_eq!(check(&"ä".repeat(1024)), Ok(()));
        assert_eq!(check(&"ä".repeat(1025)), Err(UnsuitablePassword::Length));
        assert_eq!(check(&"a".repeat(100_000)), Err(UnsuitablePassword::Length));
        assert_eq!(
            check("1234\n5678"),
            Err(UnsuitablePassword::ControlCharacter)
        );
        assert_eq!(check("ALICE-smith"), Err(UnsuitablePassword::UserName));
        assert_eq!(check(" alice-smith "), Err(UnsuitablePassword::UserName));
        assert_eq!(
            check("\u{3000}alice-smith\u{a0}"),
            Err(UnsuitablePassword::UserName)
        );
        assert_eq!(
            check(&"a\u{308}".repeat(7)),
            Err(UnsuitablePassword::Length),
            "an accent is no character of its own"
        );
        assert_eq!(check(&"a\u{308}".repeat(1024)), Ok(()));
    }
}
