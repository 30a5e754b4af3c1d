//! Every limit, in one table: the most that one request, credential, account or stranger can make
//! the registry store and do.
//!
//! A limit is a constant of this file, and only this file can make one (the fields are private), so
//! code that takes a [`Bytes`], a [`Count`] or a [`Rate`] cannot use a number that is not in the
//! table. The section "Limits" of `docs/operators.md` is generated from it, and a test exceeds the
//! bound of each row (`tests/tests/server/limits.rs`).
//!
//! Bounds of a file format or a protocol (the longest header of an archive, the depth of a
//! requirement) are not limits of this kind and stay with their parsers.

use std::fmt;

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(u64);

impl Bytes {
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The same for a length in memory.
    pub const fn length(self) -> usize {
        self.0 as usize
    }
}

/// A number of things, or of characters of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(u32);

impl Count {
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The same for a length in memory.
    pub const fn length(self) -> usize {
        self.0 as usize
    }
}

/// A number of attempts in a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Number of attempts.
    pub attempts: u32,
    /// Length of the window in seconds.
    pub window_seconds: u32,
}

/// A rate: several windows, all of which hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(&'static [Window]);

impl Rate {
    pub const fn windows(self) -> &'static [Window] {
        self.0
    }

    /// The number of attempts in one of its windows; 0 for a window that it does not have, so that
    /// a mistake is noticed.
    pub const fn in_window(self, window_seconds: u32) -> u32 {
        let mut at = 0;
        while at < self.0.len() {
            if self.0[at].window_seconds == window_seconds {
                return self.0[at].attempts;
            }
            at += 1;
        }
        0
    }
}

/// A span of time in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(u64);

impl Span {
    pub const fn milliseconds(self) -> u64 {
        self.0
    }
}

/// The bound of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    Bytes(Bytes),
    Count(Count),
    Rate(Rate),
    Span(Span),
}

impl From<Bytes> for Bound {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<Count> for Bound {
    fn from(count: Count) -> Self {
        Self::Count(count)
    }
}

impl From<Rate> for Bound {
    fn from(rate: Rate) -> Self {
        Self::Rate(rate)
    }
}

impl From<Span> for Bound {
    fn from(span: Span) -> Self {
        Self::Span(span)
    }
}

/// A number of bytes in the words of limits: `100 MiB`.
pub fn bytes_in_words(bytes: u64) -> String {
    Bound::Bytes(Bytes(bytes)).to_string()
}

impl fmt::Display for Bound {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(Bytes(bytes)) => {
                let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
                match units
                    .into_iter()
                    .find(|(size, _)| *bytes >= *size && bytes % size == 0)
                {
                    Some((size, unit)) => write!(out, "{} {unit}", bytes / size),
                    None => write!(out, "{bytes} bytes"),
                }
            }
            Self::Count(Count(count)) => write!(out, "{count}"),
            Self::Rate(Rate(windows)) => {
                for (at, window) in windows.iter().enumerate() {
                    let comma = if at == 0 { "" } else { ", " };
                    write!(
                        out,
                        "{comma}{} in {}",
                        window.attempts,
                        span_in_words(u64::from(window.window_seconds) * 1000)
                    )?;
                }
                Ok(())
            }
            Self::Span(Span(milliseconds)) => match span_in_words(*milliseconds).strip_prefix("a ")
            {
                Some(unit) => write!(out, "1 {unit}"),
                None => out.write_str(&span_in_words(*milliseconds)),
            },
        }
    }
}

fn span_in_words(milliseconds: u64) -> String {
    let units = [
        (86_400_000, "day"),
        (3_600_000, "hour"),
        (60_000, "minute"),
        (1000, "second"),
    ];
    match units
        .into_iter()
        .find(|(size, _)| milliseconds >= *size && milliseconds.is_multiple_of(*size))
    {
        Some((size, unit)) if milliseconds == size => {
            format!("{} {unit}", if unit == "hour" { "an" } else { "a" })
        }
        Some((size, unit)) => format!("{} {unit}s", milliseconds / size),
        None => format!("{milliseconds} ms"),
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub name: Name,
    pub group: Group,
    /// What is bounded, and for whom.
    pub what: &'static str,
    pub bound: Bound,
    /// What happens beyond the bound.
    pub beyond: &'static str,
    /// The configuration key that changes it; the bound here is its default.
    pub key: Option<&'static str>,
}

macro_rules! table {
    ($($group:ident $title:literal { $($name:ident: $kind:ident = $value:expr, $what:literal, beyond $beyond:literal $(, key $key:literal)?;)* })*) => {
        /// Rows that belong together.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Group { $($group),* }

        impl Group {
            pub const ALL: &'static [Group] = &[$(Group::$group),*];

            /// The heading above its rows.
            pub fn title(self) -> &'static str {
                match self { $(Group::$group => $title),* }
            }
        }

        /// The name of a row, for tests that must cover every one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(non_camel_case_types)]
        pub enum Name { $($($name),*),* }

        $($(#[doc = $what] pub const $name: $kind = $kind($value);)*)*

        /// Every row, in the order of the documentation.
        pub fn table() -> Vec<Row> {
            vec![$($(Row {
                name: Name::$name,
                group: Group::$group,
                what: $what,
                bound: $name.into(),
                beyond: $beyond,
                key: None$(.or(Some($key)))?,
            }),*),*]
        }
    };
}

const MINUTE: u32 = 60;
const FIVE_MINUTES: u32 = 300;
const HOUR: u32 = 3600;
const DAY: u32 = 86_400;

/// A window, short enough for the table.
const fn per(window_seconds: u32, attempts: u32) -> Window {
    Window {
        attempts,
        window_seconds,
    }
}

table! {
    Records "What a request leaves in the records" {
        RECORD_BYTES: Bytes = 16 << 10, "the record of one decision: context, verdicts, settings", beyond "the longest parts are left out, and their size and SHA-256 are kept instead";
        SECTION_BYTES: Bytes = 2 << 10, "one section of a context in a record (only sections that some policy asked for are kept)", beyond "long texts and lists are cut, and the size and SHA-256 of the whole section are kept";
        CUT_SECTION_BYTES: Bytes = 512, "the same in a record that would be too long otherwise", beyond "only the size and SHA-256 of the section are kept";
        EVENT_DETAIL_BYTES: Bytes = 4 << 10, "the detail of one audit event", beyond "long texts and lists are cut, and the size and SHA-256 of the whole are kept";
        LOGGED_TEXT: Count = 500, "characters of an address, a user agent or another text of a client in a record, event or session", beyond "the rest is cut";
        RECORDED_READS: Rate = &[per(1, 20)], "permitted reads by anonymous callers that are recorded, all callers together", beyond "counted (`portcullis_reads_not_recorded_total`)", key "recorded-reads-per-second";
        RECORDED_REFUSALS: Rate = &[per(MINUTE, 120), per(DAY, 10_000)], "refusals of one user or address that are recorded one by one, each with an audit event; strangers and users are counted separately", beyond "counted, and the count is audited", key "recorded-refusals-per-minute";
        RECORDED_SUCCESSES: Rate = &[per(MINUTE, 120), per(DAY, 10_000)], "permitted decisions about one user that are recorded one by one, reads and changes counted separately", beyond "counted, and the count is audited; the first of each action in an hour is recorded anyway, and so is every change that is made";
        RECORDED_AUTHENTICATIONS: Rate = &[per(MINUTE, 60), per(DAY, 2000)], "accepted credentials of one user that are audited one by one", beyond "counted, and the count is audited; the first in an hour for each action is audited anyway";
        CHANGES: Rate = &[per(MINUTE, 120), per(DAY, 2000)], "changes of one kind to one account, each with its audit events (a form that is decided twice counts twice); uploads are bounded by their bytes, and ending sessions, revoking tokens and removing factors and addresses is always possible", beyond "429";
        RECORDED_OF_ALL: Count = 20, "times the allowance of one user or address that all of them together may record", beyond "counted, and the count is audited; of each account the first of each action in an hour, with each token and in each session, is recorded anyway";
        RECORDED_FIRSTS: Rate = &[per(HOUR, 200)], "such first actions of one account, for each of refusals, reads, changes and accepted credentials", beyond "counted, and the count is audited";
        NAMED_FAILURES: Rate = &[per(MINUTE, 20), per(DAY, 1000)], "failed log-ins and proofs that name one account, of each kind, audited however many other refusals there are; for all accounts together, 20 times the daily number", beyond "counted, and the count is audited";
        NAMED_WAITS: Rate = &[per(MINUTE, 1), per(DAY, 250)], "the same for attempts that had to wait", beyond "counted, and the count is audited";
        READERS: Rate = &[per(HOUR, 1)], "audit events about one credential that is sent with reads, for each action: that it reads, or that reads continue without it", beyond "left out; the decisions are recorded at the rates above";
        READERS_OF_ALL: Count = 10_000, "the same for all credentials, and for all addresses with anonymous ones, in an hour", beyond "left out";
    }
    Kept "What an account can keep" {
        SESSIONS: Count = 100, "sessions of one account", beyond "the oldest ends";
        DEVICES: Count = 200, "browsers and command lines that one account is known by", beyond "the least recently used one is forgotten";
        EMAILS: Count = 10, "email addresses of one account", beyond "refused";
        SECURITY_KEYS: Count = 20, "security keys and passkeys of one account", beyond "refused";
        TOKENS: Count = 100, "API tokens of one account that are not revoked", beyond "refused";
        TOKEN_PROJECTS: Count = 100, "projects that one token is limited to", beyond "refused";
        DESCRIPTION: Count = 100, "characters of a token's description", beyond "refused";
        REASON: Count = 300, "characters of the reason given for an action", beyond "refused";
        CEREMONY_BYTES: Bytes = 64 << 10, "data of a started log-in, challenge or set-up, kept until it ends some minutes later", beyond "refused";
        LINK_BYTES: Bytes = 16 << 10, "data of a mailed link, kept until it ends", beyond "refused";
        MAIL_BYTES: Bytes = 64 << 10, "the text of one mail that waits to be sent", beyond "refused";
        POLICY_MODULE_BYTES: Bytes = 8 << 20, "a policy module", beyond "refused";
    }
    Requests "What a request may cost" {
        CONNECTIONS: Count = 4096, "connections", beyond "wait in the system's queue";
        CONNECTIONS_PER_ADDRESS: Count = 256, "connections from one address that is not a trusted proxy", beyond "closed at once";
        HEADER_BYTES: Bytes = 32 << 10, "request line and headers", beyond "answered with 431";
        HEADER_TIME: Span = 30_000, "the headers of a request, and the silence before the next one", beyond "the connection ends";
        BODY_SILENCE: Span = 30_000, "silence within the body of a request, or of a client that does not read its answer", beyond "the connection ends";
        BODY_TIME: Span = 15 * 60_000, "the body of a request; for large files, plus the time that the bytes take at 64 KiB a second", beyond "the connection ends";
        CREDENTIAL_BYTES: Bytes = 16 << 10, "an `Authorization` header", beyond "refused";
        TOKEN_BYTES: Bytes = 8 << 10, "an API token, with everything that its holder added", beyond "refused";
        SMALL_BODY_BYTES: Bytes = 64 << 10, "the body of a form or of a JSON request", beyond "refused";
        RELEASE_BODY_BYTES: Bytes = 512 << 10, "the body of a request that publishes or rejects a release and names its files", beyond "refused";
        EXPORT_BYTES: Bytes = 1 << 20, "events of one account in one answer", beyond "the answer says where the next one begins";
        FORM_FIELDS: Count = 100, "fields of a form", beyond "refused";
        REST_OF_STRANGERS: Bytes = 1 << 20, "bytes of a stranger's body that are read after the answer is decided, so that the client sees the answer", beyond "the connection ends";
        REST_TIME_OF_STRANGERS: Span = 10_000, "how long that takes", beyond "the connection ends";
        REST_OF_CALLERS: Bytes = 32 << 20, "the same for a caller with a valid credential", beyond "the connection ends";
        REST_TIME_OF_CALLERS: Span = 60_000, "how long that takes", beyond "the connection ends";
        PASSWORD: Count = 1024, "characters of a password", beyond "refused";
    }
    Uploads "What uploads may cost" {
        FILE_BYTES: Bytes = 100 << 20, "one file", beyond "refused", key "max-file-size";
        PROJECT_BYTES: Bytes = 10 << 30, "all files of one project and their metadata, staged ones included", beyond "refused", key "max-project-size";
        STAGED_BYTES: Bytes = 2 << 30, "the files of one project that wait to be published", beyond "refused", key "max-staged-size";
        STAGED_FILES: Count = 5000, "files of one project that wait to be published", beyond "refused";
        UPLOADED_BYTES_PER_DAY: Bytes = 50 << 30, "accepted uploads of one user in 24 hours, in all projects together", beyond "429", key "max-upload-per-day";
        LEAST_UPLOADED: Bytes = 1 << 20, "the least that each upload counts for there", beyond "its true size counts";
        NEW_PROJECTS_PER_USER: Rate = &[per(HOUR, 20)], "projects that one user creates", beyond "429", key "new-projects-per-user";
        NEW_PROJECTS_PER_ADDRESS: Rate = &[per(HOUR, 40)], "projects that are created from one address", beyond "429", key "new-projects-per-address";
        UNPUBLISHED_PROJECTS: Count = 100, "projects that one user owns and that never published anything", beyond "refused";
        FILES_OF_RELEASE: Count = 1000, "files of one release", beyond "refused";
        FILES_OF_PROJECT: Count = 50_000, "files of one project", beyond "refused";
        RELEASES_OF_PROJECT: Count = 20_000, "releases of one project", beyond "refused";
        RELEASE_AGE_DAYS: Count = 14, "days after which a published release takes no more files, staged ones included", beyond "refused", key "release-age-limit-days";
        METADATA_BYTES: Bytes = 4 << 20, "the metadata of one file", beyond "refused";
        UPLOADS_AT_A_TIME: Count = 8, "uploads of one user at a time", beyond "wait 30 seconds, then 429";
        ENDED_CREDENTIAL: Span = 10_000, "how long an upload whose token is revoked, or whose user is disabled, goes on", beyond "refused, and its slot is freed";
        SPARED_UPLOAD: Bytes = 32 << 10, "bytes in a second, for each of its first three minutes, with which an upload keeps its slot while a user without one waits, unless its uploader has more slots", beyond "gives its slot to a waiting upload";
        SPARED_TIME: Span = 20_000, "how long an upload keeps its slot however little it sends", beyond "gives its slot to a waiting upload";
        SLOWEST_UPLOAD: Bytes = 4 << 10, "bytes in a second that a body must arrive with on average, after its first minute", beyond "closed";
        REQUIRES_PYTHON: Count = 512, "characters of `Requires-Python`, which appears next to every file on the pages for installers", beyond "refused";
        METADATA_FIELDS: Count = 20_000, "fields in the metadata of one file", beyond "refused";
        WHEEL_RECORD_BYTES: Bytes = 32 << 20, "the `RECORD` of a wheel", beyond "refused";
        FORM_PARTS: Count = 8192, "parts of an upload form", beyond "refused";
        FORM_FIELD_BYTES: Bytes = 2 << 20, "one text field of an upload form", beyond "refused";
        FORM_TEXT_BYTES: Bytes = 4 << 20, "all text fields of an upload form", beyond "refused";
        ARCHIVE_ENTRIES: Count = 100_000, "entries of an archive", beyond "refused";
        ARCHIVE_NAMES: Bytes = 32 << 20, "paths of an archive, and targets of its links, together", beyond "refused";
        ARCHIVE_FREE: Bytes = 64 << 20, "size that an archive may unpack to, however small it is", beyond "the next row";
        ARCHIVE_RATIO: Count = 50, "times that a larger one may grow when it is unpacked", beyond "refused";
    }
    Policies "What a policy may cost" {
        POLICY_TIME: Span = 10, "one evaluation of one policy", beyond "the decision fails with 503", key "policy-time-ms";
        POLICY_FUEL: Count = 20_000_000, "units of fuel of one evaluation, about one for each instruction", beyond "the decision fails with 503", key "policy-fuel";
        POLICY_MEMORY: Bytes = 16 << 20, "memory of one evaluation", beyond "the decision fails with 503", key "policy-memory";
    }
    AtOnce "What one server does and keeps waiting at once" {
        HASHES_AT_ONCE: Count = 2, "passwords that are verified", beyond "wait";
        HASHES_WAITING: Count = 1024, "passwords that wait to be verified, where addresses take turns; and as many of accounts on devices that they know, which have turns of their own", beyond "503, first for addresses with the most waiting";
        HASHES_WAITING_OF_ONE: Count = 16, "the same for one address, or for one such account", beyond "503";
        HASH_WAIT: Span = 30_000, "how long each of them waits", beyond "503";
        PAGES_AT_ONCE: Count = 4, "project pages that are built, half of them for the JSON API and for people, and as many that are compressed", beyond "wait";
        SMALL_PROJECT: Count = 200, "files of a small project, whose pages are built in as many further slots", beyond "its pages wait with larger ones";
        PAGE_WAIT: Span = 20_000, "how long each of them waits, also for another request that builds the same page", beyond "503; a page is sent uncompressed";
        PAGES_WAITED_FOR: Count = 16, "pages of the JSON API and for people that one address waits for while they are built", beyond "503";
        PAGE_IN_MEMORY: Bytes = 256 << 10, "one page of a project, built once for all its readers, that is sent from memory", beyond "sent from a temporary file";
        LARGE_PAGES_BYTES: Bytes = 1 << 30, "all such files of pages for installers together, however slowly they are read", beyond "503; files can still be downloaded";
        LARGE_RELEASE_PAGES_BYTES: Bytes = 512 << 20, "the same for pages of the JSON API and for people", beyond "503";
        LARGE_PAGES_PER_ADDRESS: Bytes = 128 << 20, "the same for one address, counting a page each time it is read", beyond "503";
        UPLOAD_WAIT: Span = 30_000, "how long an upload waits for a slot of its uploader, and then for one of the server", beyond "429, or 503";
        UPLOADS_WAITING: Count = 32, "uploads of one user that wait for a slot", beyond "429";
        SEARCHES_AT_ONCE: Count = 4, "searches", beyond "wait, addresses take turns";
        SEARCH_WAIT: Span = 3_000, "how long each of them waits", beyond "503";
        SMALL_BODIES_PER_ADDRESS: Count = 64, "forms and calls of one address whose bodies are still arriving", beyond "503";
        SMALL_BODY_TIME: Span = 30_000, "how long such a body may take to arrive", beyond "408, and the connection ends";
        LONG_BODIES_AT_ONCE: Count = 64, "bodies of more than 64 KiB that publish or reject a release", beyond "wait";
        LONG_BODIES_PER_ADDRESS: Count = 4, "the same from one address, including those that wait", beyond "503";
        LONG_BODY_WAIT: Span = 20_000, "how long such a body waits", beyond "503";
        LONG_BODY_TIME: Span = 10_000, "how long one may take to arrive", beyond "the connection ends";
        UPLOADS_OF_ALL: Count = 64, "uploads of all users together; while few slots are left, one user may take fewer of them, and an upload that sends little gives its slot to a waiting one", beyond "wait 30 seconds, then 503";
        INSPECTIONS_PER_UPLOADER: Count = 1, "archives of one user that are inspected; for all users together, two for each processor", beyond "wait";
        INSPECTION_WAIT: Span = 60_000, "how long an archive waits to be inspected", beyond "503";
        DRAINS_AT_ONCE: Count = 1024, "bodies that are read after the answer", beyond "the connection ends";
        RECORDS_WAITING: Count = 4096, "records and events that wait to be written", beyond "refusals wait, permitted reads are counted";
    }
    Guesses "Failed attempts" {
        PASSWORDS_PER_NAME: Rate = &[per(FIVE_MINUTES, 10)], "failed passwords for one name or email address that is typed, whether an account has it or not", beyond "429; browsers and command lines that the account knows are not affected";
        PASSWORDS_PER_KNOWN: Rate = &[per(FIVE_MINUTES, 10)], "failed passwords from one browser or command line that the account knows, or within one session", beyond "429";
        PASSWORDS_PER_ADDRESS: Rate = &[per(FIVE_MINUTES, 10)], "failed passwords from one address", beyond "429; browsers and command lines that an account knows are not affected";
        PASSWORDS_OF_ALL: Rate = &[per(FIVE_MINUTES, 5000)], "failed passwords of all callers together", beyond "429; browsers and command lines that an account knows are not affected";
        PASSWORD_CHECKS: Rate = &[per(FIVE_MINUTES, 60)], "passwords verified for one name from one address, including right ones", beyond "429";
        CODES_PER_ACCOUNT: Rate = &[per(FIVE_MINUTES, 5), per(HOUR, 20), per(DAY, 50)], "one-time codes, recovery codes and keys tried for one account, of each kind; as many from each browser or command line that it knows", beyond "429";
        CODES_PER_ADDRESS: Rate = &[per(FIVE_MINUTES, 10), per(HOUR, 50)], "one-time codes, recovery codes and keys tried from one address, of each kind", beyond "429";
        CODES_OF_ALL: Rate = &[per(FIVE_MINUTES, 5000)], "one-time codes, recovery codes and keys tried by all callers together, of each kind", beyond "429";
        OF_KNOWN: Count = 4, "times the failures of one that all browsers, command lines and sessions known to one account may have together", beyond "429";
        CHALLENGES: Rate = &[per(FIVE_MINUTES, 60)], "challenges for keys and passkeys, log-ins that wait for their second step, and forms that are filled in wrongly, from one address; counted separately in one session and for one user from one address", beyond "429";
        REFUSED_CREDENTIALS: Rate = &[per(FIVE_MINUTES, 100)], "credentials from one address that are refused", beyond "429; a valid token is still accepted";
        WIDER_NETWORK: Count = 5, "times the allowance of one address (an IPv6 network of 64 bits) that an IPv6 network of 48 bits has", beyond "429";
    }
    Mails "Mails that a caller can cause" {
        REGISTRATIONS_PER_ADDRESS: Rate = &[per(HOUR, 10), per(DAY, 50)], "registrations from one address", beyond "429";
        RESETS_PER_ACCOUNT: Rate = &[per(HOUR, 3), per(DAY, 10)], "links for a new password that are mailed for one account", beyond "one is mailed only while no other is valid";
        RESETS_PER_ADDRESS: Rate = &[per(HOUR, 10), per(DAY, 50)], "links for a new password that are requested from one address", beyond "429";
        ADDED_EMAILS: Rate = &[per(HOUR, 10)], "email addresses that are added from one address", beyond "429";
        VERIFICATIONS: Rate = &[per(6 * HOUR, 3)], "mails that verify an address, requested by one account, or for one mailbox from one address", beyond "429";
        MAILBOX_OF_ALL: Count = 5, "times the mails that one address may cause that one mailbox may get from strangers", beyond "429";
        DEVICE_MAILS_PER_DEVICE: Rate = &[per(120, 1), per(HOUR, 4)], "mails that ask whether one browser or command line is the account's", beyond "none is sent, and the answer says so";
        DEVICE_MAILS_PER_ADDRESS: Rate = &[per(HOUR, 4), per(DAY, 10)], "the same for one account, requested from one address", beyond "429";
        DEVICE_MAILS_PER_ACCOUNT: Rate = &[per(HOUR, 30), per(DAY, 100)], "the same for one account from everywhere", beyond "429";
        CHANGE_MAILS: Rate = &[per(HOUR, 5)], "mails about changes to one account that go to one address at once, and the first of each kind", beyond "counted in one mail every 15 minutes";
        PROJECT_MAILS: Rate = &[per(HOUR, 30)], "mails about releases that wait to be published, and separately about removals by operators, that go to one address at once", beyond "listed in that mail";
        LISTED_CHANGES: Count = 50, "changes to projects that such a mail lists", beyond "counted";
        RECOVERIES_PER_ACCOUNT: Rate = &[per(DAY, 3)], "recoveries of one account that staff start in the browser", beyond "429";
        RECOVERIES_PER_STAFF: Rate = &[per(HOUR, 20)], "recoveries that one member of staff starts in the browser", beyond "429";
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn bounds_read_as_people_say_them() {
        let said = |bound: Bound| bound.to_string();
        assert_eq!(said(Bytes(100 << 20).into()), "100 MiB");
        assert_eq!(said(Bytes(1500).into()), "1500 bytes");
        const SEVERAL: &[Window] = &[
            per(MINUTE, 120),
            per(DAY, 10_000),
            per(6 * HOUR, 3),
            per(FIVE_MINUTES, 10),
        ];
        const ONE: &[Window] = &[per(HOUR, 4)];
        assert_eq!(
            said(Rate(SEVERAL).into()),
            "120 in a minute, 10000 in a day, 3 in 6 hours, 10 in 5 minutes"
        );
        assert_eq!(said(Rate(ONE).into()), "4 in an hour");
        assert_eq!(said(Span(10).into()), "10 ms");
        assert_eq!(said(Span(60_000).into()), "1 minute");
        assert_eq!(said(Span(70 * 60_000).into()), "70 minutes");
    }

    #[test]
    fn each_row_says_what_happens_beyond_it() {
        let rows = table();
        assert_eq!(
            rows.iter()
                .map(|row| row.name)
                .collect::<HashSet<_>>()
                .len(),
            rows.len()
        );
        for row in rows {
            assert!(
                !row.what.is_empty() && !row.beyond.is_empty() && !row.what.contains('|'),
                "{:?}",
                row.name
            );
        }
    }
}
