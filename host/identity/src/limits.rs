//! How often a caller may fail before having to wait, and which counters apply.
//!
//! Counted in the database (`counting`), so all replicas share the counts.

mod counting;

use std::net::IpAddr;

use data_encoding::HEXLOWER;
use model::address::{NETWORK_BITS, neighbourhood, network_of};
use model::limit::{self, Rate, Window};
use model::{Factor, SessionId, UserId, UserName};
use sha2::{Digest, Sha256};
use storage::{SecretHash, StorageError};

use crate::named::Login;

pub(crate) use counting::{Counter, Taken, TooMany, check, take};

/// So many attempts in so long a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    pub attempts: u32,
    pub window_seconds: u32,
}

/// One list of all limits.
macro_rules! limits {
    ($($(#[$documented:meta])* $name:ident,)*) => {
        /// How often a caller may fail, ask for a mail, or make the server work.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Limits {
            $($(#[$documented])* pub $name: Vec<Limit>,)*
        }

        impl Limits {
            /// The longest window of all, in seconds; no limit uses attempts older than that.
            fn longest_window_seconds(&self) -> u32 {
                [$(&self.$name),*].into_iter().flatten().map(|limit| limit.window_seconds).max().unwrap_or(0)
            }
        }
    };
}

limits! {
    /// Failed passwords for one account, from browsers that it does not know.
    password_per_user,
    /// Failed passwords from one browser or command line that the account knows, or within one
    /// session of it. Counted separately: failures elsewhere cannot lock an owner out there.
    password_per_known,
    /// Failed passwords from one address.
    password_per_address,
    /// Failed passwords in all: against guessing from a thousand addresses for a thousand accounts.
    /// Neither this nor the limits of addresses affects a browser that an account knows.
    password_of_all,
    /// Passwords checked for one name from one address, including right ones: each costs a hash,
    /// and a right one a session. As many from each browser, command line and session that the
    /// account knows, and four times as many from those together.
    password_checks,
    /// TOTP codes tried for one account from browsers that it does not know; as many from each
    /// that it knows, and within each session, and four times as many from those together.
    totp_per_user,
    /// TOTP codes tried from one address.
    totp_per_address,
    /// TOTP codes tried in all.
    totp_of_all,
    /// Failed answers of security keys and passkeys for one account.
    webauthn_per_user,
    /// The same from one address.
    webauthn_per_address,
    /// The same in all.
    webauthn_of_all,
    /// Recovery codes tried for one account.
    recovery_code_per_user,
    /// Recovery codes tried from one address.
    recovery_code_per_address,
    /// Recovery codes tried in all.
    recovery_code_of_all,
    /// Challenges for security keys and passkeys requested from one address, and, counted
    /// separately, within one session and in the logins of one user from one address.
    challenges_per_address,
    /// Registrations from one address.
    registrations_per_address,
    /// Links for a new password mailed for one account, known or not, each time that somebody asks.
    /// Above the limit, one is mailed only if no other is valid.
    resets_per_user,
    /// Links for a new password requested from one address.
    resets_per_address,
    /// Email addresses added from one address.
    added_emails_per_address,
    /// Mails that verify an address, requested by one user.
    verifications_per_user,
    /// Mails that ask a user to confirm one browser or command line.
    device_mails_per_device,
    /// The same for one user, requested from one address.
    device_mails_per_address,
    /// The same for one user, requested from anywhere.
    device_mails_per_user,
    /// Recoveries of one account that staff start over the network. Each mails a link to every
    /// verified address of its owner. Those mails must arrive, so they cannot be combined.
    recoveries_per_user,
    /// Recoveries that one member of the staff starts over the network, for any account.
    recoveries_per_staff,
    /// Credentials refused unread, and tokens that did not verify, from one address.
    refused_per_address,
}

impl Default for Limits {
    /// The defaults of the table ([`model::limit`]): pypi.org's if it has one; codes of each kind
    /// as for TOTP.
    fn default() -> Self {
        let of = |rate: Rate| {
            rate.windows()
                .iter()
                .map(
                    |&Window {
                         attempts,
                         window_seconds,
                     }| Limit {
                        attempts,
                        window_seconds,
                    },
                )
                .collect::<Vec<_>>()
        };
        Self {
            password_per_user: of(limit::PASSWORDS_PER_NAME),
            password_per_known: of(limit::PASSWORDS_PER_KNOWN),
            password_per_address: of(limit::PASSWORDS_PER_ADDRESS),
            password_of_all: of(limit::PASSWORDS_OF_ALL),
            password_checks: of(limit::PASSWORD_CHECKS),
            totp_per_user: of(limit::CODES_PER_ACCOUNT),
            totp_per_address: of(limit::CODES_PER_ADDRESS),
            totp_of_all: of(limit::CODES_OF_ALL),
            webauthn_per_user: of(limit::CODES_PER_ACCOUNT),
            webauthn_per_address: of(limit::CODES_PER_ADDRESS),
            webauthn_of_all: of(limit::CODES_OF_ALL),
            recovery_code_per_user: of(limit::CODES_PER_ACCOUNT),
            recovery_code_per_address: of(limit::CODES_PER_ADDRESS),
            recovery_code_of_all: of(limit::CODES_OF_ALL),
            challenges_per_address: of(limit::CHALLENGES),
            registrations_per_address: of(limit::REGISTRATIONS_PER_ADDRESS),
            resets_per_user: of(limit::RESETS_PER_ACCOUNT),
            resets_per_address: of(limit::RESETS_PER_ADDRESS),
            added_emails_per_address: of(limit::ADDED_EMAILS),
            verifications_per_user: of(limit::VERIFICATIONS),
            device_mails_per_device: of(limit::DEVICE_MAILS_PER_DEVICE),
            // Requests for one user from other addresses are counted separately: somebody who knows
            // a password and has a code must not keep its owner from confirming a browser.
            device_mails_per_address: of(limit::DEVICE_MAILS_PER_ADDRESS),
            device_mails_per_user: of(limit::DEVICE_MAILS_PER_ACCOUNT),
            recoveries_per_user: of(limit::RECOVERIES_PER_ACCOUNT),
            recoveries_per_staff: of(limit::RECOVERIES_PER_STAFF),
            refused_per_address: of(limit::REFUSED_CREDENTIALS),
        }
    }
}

/// An IPv6 network of 48 bits, which one customer can easily have, gets this multiple of an
/// address's limit.
const WIDER: u32 = limit::WIDER_NETWORK.get();
/// A mailbox gets this multiple of the mails that one address may cause.
const FROM_ALL: u32 = limit::MAILBOX_OF_ALL.get();
/// All known browsers and sessions of a user together get this multiple of one's limit.
const OF_KNOWN: u32 = limit::OF_KNOWN.get();

/// What distinguishes an attempt from a stranger's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// The secret of a browser or command line that was confirmed to be this very user's.
    Device(SecretHash),
    /// A live session of the user.
    Session(SessionId),
}

impl Limits {
    pub(crate) fn password_of(&self, name: &UserName) -> Counter {
        of_user("password", name, &self.password_per_user)
    }

    /// For a known device or session; replaces every other counter.
    pub(crate) fn password_known_by(&self, known: &Known, login: &Login<'_>) -> [Counter; 2] {
        known_by("password", known, &whose(login), &self.password_per_known)
    }

    /// The same for a code or key; replaces the counters that limit strangers.
    pub(crate) fn factor_known_by(
        &self,
        factor: Factor,
        known: &Known,
        name: &UserName,
    ) -> [Counter; 2] {
        let limits = match factor {
            Factor::Totp => &self.totp_per_user,
            Factor::Webauthn => &self.webauthn_per_user,
            Factor::RecoveryCode => &self.recovery_code_per_user,
        };
        known_by(factor.as_str(), known, &user_key(name), limits)
    }

    /// Attempts that had to wait, which are recorded once a minute.
    pub(crate) fn told_to_wait(&self, name: &UserName, factor: Factor) -> Counter {
        of_user(
            &format!("told-to-wait:{}", factor.as_str()),
            name,
            &[Limit {
                attempts: 1,
                window_seconds: 60,
            }],
        )
    }

    /// For an email address in place of a name, known or not. So an account has two kinds of
    /// counters, one for its name and one for each address; both are bounded.
    pub(crate) fn password_of_address(&self, email: &str) -> Counter {
        of_email("password", email, &self.password_per_user)
    }

    pub(crate) fn password_from(&self, address: IpAddr) -> Counter {
        from("password", address, &self.password_per_address)
    }

    pub(crate) fn password_of_all(&self) -> Counter {
        of_all("password", &self.password_of_all)
    }

    /// For a name, an address in place of one, or neither. Also counted by remote address: a
    /// stranger who knows a password cannot lock its owner out elsewhere.
    pub(crate) fn password_checks_of_from(&self, login: &Login<'_>, address: IpAddr) -> Counter {
        from(
            &format!("password-check:{}", whose(login)),
            address,
            &self.password_checks,
        )
    }

    /// The same for a known device or session, in place of the address: strangers who share that
    /// address with an owner cannot lock them out.
    pub(crate) fn password_checks_known_by(
        &self,
        known: &Known,
        login: &Login<'_>,
    ) -> [Counter; 2] {
        known_by(
            "password-check",
            known,
            &whose(login),
            &self.password_checks,
        )
    }

    pub(crate) fn totp_of(&self, name: &UserName) -> Counter {
        of_user("totp", name, &self.totp_per_user)
    }

    /// For codes entered on the server's own command line, where there are no strangers: attempts
    /// elsewhere cannot lock an operator out there.
    pub(crate) fn totp_of_on_server(&self, name: &UserName) -> Counter {
        of_user("totp-on-server", name, &self.totp_per_user)
    }

    pub(crate) fn totp_from(&self, address: IpAddr) -> Counter {
        from("totp", address, &self.totp_per_address)
    }

    pub(crate) fn totp_of_all(&self) -> Counter {
        of_all("totp", &self.totp_of_all)
    }

    pub(crate) fn webauthn_of(&self, name: &UserName) -> Counter {
        of_user("webauthn", name, &self.webauthn_per_user)
    }

    pub(crate) fn webauthn_from(&self, address: IpAddr) -> Counter {
        from("webauthn", address, &self.webauthn_per_address)
    }

    pub(crate) fn webauthn_of_all(&self) -> Counter {
        of_all("webauthn", &self.webauthn_of_all)
    }

    pub(crate) fn recovery_code_of(&self, name: &UserName) -> Counter {
        of_user("recovery-code", name, &self.recovery_code_per_user)
    }

    pub(crate) fn recovery_code_from(&self, address: IpAddr) -> Counter {
        from("recovery-code", address, &self.recovery_code_per_address)
    }

    pub(crate) fn recovery_code_of_all(&self) -> Counter {
        of_all("recovery-code", &self.recovery_code_of_all)
    }

    pub(crate) fn challenges_from(&self, address: IpAddr) -> Counter {
        from("challenge", address, &self.challenges_per_address)
    }

    /// Challenges in logins of one user that wait for their second step.
    pub(crate) fn challenges_of_from(&self, user: UserId, address: IpAddr) -> Counter {
        from(
            &format!("challenge:user:{user}"),
            address,
            &self.challenges_per_address,
        )
    }

    /// Challenges, and secrets for apps, within one session.
    pub(crate) fn challenges_within(&self, session: SessionId) -> Counter {
        Counter::new(
            &format!("challenge:session:{session}"),
            &self.challenges_per_address,
        )
    }

    /// Logins of one user that wait for their second step, started at one address.
    pub(crate) fn pending_of_from(&self, name: &UserName, address: IpAddr) -> Counter {
        from(
            &format!("pending:{}", user_key(name)),
            address,
            &self.challenges_per_address,
        )
    }

    pub(crate) fn registrations_from(&self, address: IpAddr) -> Counter {
        from("registration", address, &self.registrations_per_address)
    }

    /// For a mailed link with which somebody types a password: the one from the registration, or a
    /// new one.
    pub(crate) fn passwords_of_link(&self, link: &SecretHash) -> Counter {
        Counter::new(
            &format!("password:link:{}", HEXLOWER.encode(link)),
            &self.password_per_user,
        )
    }

    /// For invalid forms whose password is checked anyway.
    pub(crate) fn wrong_forms_from(&self, address: IpAddr) -> Counter {
        from("wrong-form", address, &self.challenges_per_address)
    }

    pub(crate) fn resets_of(&self, name: &UserName) -> Counter {
        of_user("reset", name, &self.resets_per_user)
    }

    /// For an email address in place of a name, known or not.
    pub(crate) fn resets_of_address(&self, email: &str) -> Counter {
        of_email("reset", email, &self.resets_per_user)
    }

    pub(crate) fn resets_from(&self, address: IpAddr) -> Counter {
        from("reset", address, &self.resets_per_address)
    }

    pub(crate) fn added_emails_from(&self, address: IpAddr) -> Counter {
        from("added-email", address, &self.added_emails_per_address)
    }

    pub(crate) fn verifications_of(&self, name: &UserName) -> Counter {
        of_user("verification", name, &self.verifications_per_user)
    }

    pub(crate) fn device_mails_for(&self, device: &SecretHash) -> Counter {
        Counter::new(
            &format!("device-mail:device:{}", HEXLOWER.encode(device)),
            &self.device_mails_per_device,
        )
    }

    pub(crate) fn device_mails_of_from(&self, name: &UserName, address: IpAddr) -> Counter {
        from(
            &format!("device-mail:{}", user_key(name)),
            address,
            &self.device_mails_per_address,
        )
    }

    pub(crate) fn device_mails_of(&self, name: &UserName) -> Counter {
        of_user("device-mail", name, &self.device_mails_per_user)
    }

    /// For the address being registered, which gets a mail each time. From one address, as few as
    /// for verification mails, counted separately so as not to reveal what the owner did. From all
    /// together, somewhat more: no one stranger can flood a mailbox or lock its owner out.
    pub(crate) fn registrations_of_address(&self, email: &str, address: IpAddr) -> [Counter; 2] {
        self.mails_to_from("registration", email, address)
    }

    /// The same for an address that people add to their accounts.
    pub(crate) fn verifications_of_address(&self, email: &str, address: IpAddr) -> [Counter; 2] {
        self.mails_to_from("verification", email, address)
    }

    fn mails_to_from(&self, what: &str, email: &str, address: IpAddr) -> [Counter; 2] {
        let limits = &self.verifications_per_user;
        [
            from(
                &format!("{what}:email:{}", hash_of_email(email)),
                address,
                limits,
            ),
            of_email(what, email, &times(limits, FROM_ALL)),
        ]
    }

    /// Recoveries of this account.
    pub(crate) fn recoveries_of(&self, name: &UserName) -> Counter {
        of_user("recovery", name, &self.recoveries_per_user)
    }

    /// Recoveries that this member of the staff starts.
    pub(crate) fn recoveries_by(&self, staff: &UserName) -> Counter {
        of_user("recovery-by", staff, &self.recoveries_per_staff)
    }

    pub(crate) fn refused_from(&self, address: IpAddr) -> Counter {
        from("refused", address, &self.refused_per_address)
    }
}

/// For one known browser or session of a user, and for all of them together: a user cannot fail in
/// a hundred browsers that they once confirmed.
fn known_by(what: &str, known: &Known, whose: &str, limits: &[Limit]) -> [Counter; 2] {
    let this = match known {
        Known::Device(device) => format!("device:{}", HEXLOWER.encode(device)),
        Known::Session(session) => format!("session:{session}"),
    };
    [
        Counter::new(&format!("{what}:{this}"), limits),
        Counter::new(&format!("{what}:known:{whose}"), &times(limits, OF_KNOWN)),
    ]
}

fn whose(login: &Login<'_>) -> String {
    match login {
        Login::Name(name) => user_key(name),
        Login::Email(email) => format!("email:{}", hash_of_email(email)),
        Login::Nobody => "nobody".to_owned(),
    }
}

fn times(limits: &[Limit], factor: u32) -> Vec<Limit> {
    limits
        .iter()
        .map(|limit| Limit {
            attempts: limit.attempts.saturating_mul(factor),
            ..*limit
        })
        .collect()
}

fn of_user(what: &str, name: &UserName, limits: &[Limit]) -> Counter {
    Counter::new(&format!("{what}:{}", user_key(name)), limits)
}

/// By its hash: some people type their password into the name field.
fn user_key(name: &UserName) -> String {
    format!("user:{}", hash_of(name.folded()))
}

/// By its hash: an address may be longer than a key.
fn of_email(what: &str, email: &str, limits: &[Limit]) -> Counter {
    Counter::new(&format!("{what}:email:{}", hash_of_email(email)), limits)
}

fn hash_of_email(email: &str) -> String {
    hash_of(&email.to_ascii_lowercase())
}

fn hash_of(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text.as_bytes()))
}

fn from(what: &str, address: IpAddr, limits: &[Limit]) -> Counter {
    let address = address.to_canonical();
    let mut counter = Counter::new(
        &format!("{what}:address:{}", neighbourhood(address)),
        limits,
    );
    if address.is_ipv6() {
        counter.windows.extend(
            Counter::new(
                &format!("{what}:network:{}", network_of(address, NETWORK_BITS)),
                &times(limits, WIDER),
            )
            .windows,
        );
    }
    counter
}

fn of_all(what: &str, limits: &[Limit]) -> Counter {
    Counter::new(&format!("{what}:all"), limits)
}

impl crate::Identity {
    /// Deletes attempts that no limit uses any more; returns how many. Housekeeping, to run
    /// periodically.
    pub async fn forget_attempts(&self) -> Result<u64, StorageError> {
        let window_ms = i64::from(self.config().limits.longest_window_seconds()) * 1000;
        self.storage()
            .forget_attempts(self.now().plus_ms(-window_ms))
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::counting::windows;
    use super::*;

    #[test]
    fn a_wider_ipv6_network_has_a_limit_of_its_own_and_an_ipv4_address_has_one() {
        let counter = |text: &str| {
            from(
                "x",
                text.parse().unwrap(),
                &[Limit {
                    attempts: 10,
                    window_seconds: 60,
                }],
            )
            .windows
        };
        let [one, other] = [counter("2001:db8:1:2::1"), counter("2001:db8:1:3::1")];
        assert_ne!(one[0], other[0]);
        assert_eq!((one.len(), &one[1], one[1].1.attempts), (2, &other[1], 50));
        assert_eq!(counter("192.0.2.1").len(), 1);
        assert_eq!(counter("::ffff:192.0.2.1"), counter("192.0.2.1"));
    }

    #[test]
    fn names_that_differ_in_case_count_together() {
        let limits = Limits::default();
        let name = |text| UserName::parse(text).unwrap();
        assert_eq!(
            limits.password_of(&name("Ana")),
            limits.password_of(&name("ana"))
        );
    }

    #[test]
    fn what_was_typed_as_a_name_is_in_no_key() {
        let limits = Limits::default();
        let name = UserName::parse("my-secret-password").unwrap();
        let address = "192.0.2.1".parse().unwrap();
        let login = Login::parse("my-secret-password");
        let mut counters = vec![
            limits.password_of(&name),
            limits.password_checks_of_from(&login, address),
            limits.totp_of(&name),
            limits.resets_of(&name),
            limits.pending_of_from(&name, address),
            limits.device_mails_of_from(&name, address),
            limits.told_to_wait(&name, Factor::Totp),
        ];
        let known = Known::Session(SessionId::new());
        counters.extend(limits.password_known_by(&known, &login));
        counters.extend(limits.factor_known_by(Factor::Totp, &known, &name));
        for (key, _) in windows(&counters) {
            assert!(!key.contains("secret"), "{key}");
        }
    }

    #[test]
    fn keys_fit_the_database_for_the_longest_names() {
        let limits = Limits::default();
        let name = UserName::parse(&"a".repeat(50)).unwrap();
        let (email, address) = ("a".repeat(254), "2001:db8:1111:2222::".parse().unwrap());
        let mut counters = vec![
            limits.password_of(&name),
            limits.recovery_code_of(&name),
            limits.resets_of_address(&email),
            limits.recovery_code_from(address),
            limits.password_checks_of_from(&Login::Name(name), address),
            limits.password_checks_of_from(&Login::Email(email.as_str().into()), address),
            limits.challenges_of_from(UserId::new(), address),
            limits.challenges_within(SessionId::new()),
            limits.passwords_of_link(&[0; 32]),
        ];
        counters.extend(limits.registrations_of_address(&email, address));
        for (key, _) in windows(&counters) {
            assert!(key.len() <= 200, "{key}");
        }
    }
}
