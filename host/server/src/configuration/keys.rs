//! The closed list of configuration keys. Flags, environment variables, the template and the
//! printed configuration are all derived from it; to add a key, add it here.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use model::ProjectName;
use portcullis_http::Network;
use toml::Value;

use super::services::{BreachUrl, OperatorContact, RegistryName, Sender, SmtpUrl, Unreachable};
use super::value::{
    ByteSize, DatabaseUrl, FileSize, LogFilter, LogFormat, Number, PublicUrl, Setting, TokenPrefix,
};
use super::{ConfigurationError, Layers, Origin};

macro_rules! keys {
    ($($(#[doc = $doc:literal])+ $field:ident ($name:literal): $type:ty = $default:literal;)*) => {
        /// The name of one value.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(non_camel_case_types)]
        pub(crate) enum Key { $($field),* }

        impl Key {
            /// Every key, in the order in which they are explained.
            pub(crate) const ALL: &'static [Key] = &[$(Key::$field),*];

            /// The key in `portcullis.toml`; with two hyphens before it, the flag.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Key::$field => $name),* }
            }

            /// What it does, one line of text per line.
            pub(crate) fn explanation(self) -> &'static str {
                match self { $(Key::$field => concat!($($doc, "\n"),+)),* }
            }

            /// The default as text.
            pub(crate) fn default(self) -> &'static str {
                match self { $(Key::$field => $default),* }
            }
        }

        /// Every value, each valid by itself.
        #[derive(Clone, Debug)]
        pub(crate) struct Values { $($(#[doc = $doc])+ pub(crate) $field: $type),* }

        impl Values {
            /// Reads every key from the highest layer that has it.
            pub(crate) fn read(layers: &Layers) -> Result<Self, ConfigurationError> {
                Ok(Self { $($field: read_one::<$type>(Key::$field, layers)?),* })
            }

            /// One value as TOML, without anything secret.
            pub(crate) fn show(&self, key: Key) -> String {
                match key { $(Key::$field => self.$field.show()),* }
            }
        }
    };
}

fn read_one<T: Setting>(key: Key, layers: &Layers) -> Result<T, ConfigurationError> {
    let fallback;
    let (value, origin) = match layers.get(key) {
        Some((value, origin)) => (value, origin),
        None => {
            fallback = Value::String(key.default().to_owned());
            (&fallback, &Origin::Default)
        }
    };
    T::read(value).map_err(|problem| ConfigurationError::Invalid {
        key: key.name(),
        origin: origin.clone(),
        problem,
    })
}

impl Key {
    /// The environment variable that sets it.
    pub(crate) fn variable(self) -> String {
        format!(
            "PORTCULLIS_{}",
            self.name().to_ascii_uppercase().replace('-', "_")
        )
    }
}

keys! {
    /// Folder for everything that this server stores: the SQLite database, the files, keys and
    /// compiled policy modules. Created on first start, readable by its owner only.
    data ("data"): PathBuf = "data";
    /// Address and port to listen on. Port 0 takes a free one.
    listen ("listen"): SocketAddr = "127.0.0.1:8080";
    /// Address that clients use to reach the registry. It appears in pages, refusals and file
    /// links. Browsers keep people's sessions, security keys and passkeys for this address only.
    /// Empty: http:// and the address listened on, or http://localhost and its port if that is
    /// 127.0.0.1 or ::1, because security keys do not work with numeric addresses.
    public_url ("public-url"): Option<PublicUrl> = "";
    /// Name of this registry for people, for example the name of your company and "packages". It
    /// appears on the front page, in the title of every page, in mails and their subjects, and in
    /// authenticator apps. Empty: the host of public-url.
    registry_name ("registry-name"): Option<RegistryName> = "";
    /// Where people reach you: a mail address or the address of a page. It is shown in the help, in
    /// refusals, and at the foot of pages and mails. Empty: nothing is shown, and people are asked
    /// to contact the person who gave them the address of this registry.
    contact ("contact"): Option<OperatorContact> = "";
    /// Listen on non-local addresses although public-url is http://. Passwords and tokens then
    /// travel in clear text, readable by everyone on the way.
    insecure_http ("insecure-http"): bool = "false";
    /// Proxies in front of the server whose X-Forwarded-For is trusted.
    trusted_proxies ("trusted-proxies"): Vec<Network> = "";
    /// Who may read /metrics.
    metrics_allow ("metrics-allow"): Vec<Network> = "127.0.0.1, ::1";
    /// Where the database is: "sqlite:<file>" or "postgres://<user>@<host>/<database>".
    /// Empty: SQLite in the data folder.
    database ("database"): Option<DatabaseUrl> = "";
    /// Prefix of API tokens. Most clients and secret scanners recognize "pypi". Tokens created with
    /// another prefix are no longer accepted.
    token_prefix ("token-prefix"): TokenPrefix = "pypi";
    /// Sender of mails: an address, or a name and an address. Empty: noreply at the host of
    /// public-url, or at localhost if that is a numeric address.
    mail_from ("mail-from"): Option<Sender> = "";
    /// SMTP server that takes mails: "smtp://<user>:<password>@<host>:587" (always with STARTTLS,
    /// except for localhost) or "smtps://<user>:<password>@<host>:465" (TLS from the start); user
    /// and password percent-encoded, or left out. Empty: mails are written as files to the folder
    /// outbox in the data folder.
    smtp_url ("smtp-url"): Option<SmtpUrl> = "";
    /// Pause before a failed mail is tried again. The pauses after that are 5, 15 and then always
    /// 60 times as long.
    mail_retry ("mail-retry"): Duration = "1m";
    /// How long a mail is tried. After that it is given up, which is audited.
    mail_give_up ("mail-give-up"): Duration = "3d";
    /// Service that knows breached passwords, with the range protocol of Have I Been Pwned:
    /// "https://api.pwnedpasswords.com" or a mirror. Only the first five of forty characters of a
    /// password's SHA-1 leave this machine. Empty: no check.
    breach_check_url ("breach-check-url"): Option<BreachUrl> = "";
    /// What happens to a login while that service is unreachable: "allow" lets the person in and
    /// checks at the next login, "refuse" asks the person to come back later.
    breach_check_unreachable ("breach-check-unreachable"): Unreachable = "allow";
    /// How long a person stays logged in without doing anything.
    session_idle ("session-idle"): Duration = "12h";
    /// How long a person stays logged in at most.
    session_lifetime ("session-lifetime"): Duration = "30d";
    /// How long the recovery of an account by staff waits, so that the account's owner, who gets a
    /// mail, can stop it.
    recovery_wait ("recovery-wait"): Duration = "3d";
    /// Largest file that may be uploaded, at most 8 GiB.
    max_file_size ("max-file-size"): FileSize = "100 MiB";
    /// Largest total size of the files of one project, each with its stored core metadata.
    max_project_size ("max-project-size"): ByteSize = "10 GiB";
    /// Largest total size of the files of one project that wait to be published.
    max_staged_size ("max-staged-size"): ByteSize = "2 GiB";
    /// Bytes that one user may upload in 24 hours, to all projects together. Each upload counts for
    /// at least 1 MiB.
    max_upload_per_day ("max-upload-per-day"): ByteSize = "50 GiB";
    /// Projects that one user may create in an hour.
    new_projects_per_user ("new-projects-per-user"): Number<1, 1_000_000> = "20";
    /// Projects that may be created from one address in an hour; for IPv6, from one network of 64
    /// bits.
    new_projects_per_address ("new-projects-per-address"): Number<1, 1_000_000> = "40";
    /// Names that no new project may take, including names that look like them (0 for o, 1 for l or
    /// i, other separators). Existing projects are not affected, and `portcullis project create`
    /// can still create one. Add your own: names of packages that you use from elsewhere, or that
    /// belong to you. An empty list reserves none.
    reserved_names ("reserved-names"): Vec<ProjectName> =
        "pip, setuptools, wheel, distribute, easy-install, pkg-resources, python, python2, python3, requirements.txt, rrequirements.txt, requirements-dev.txt, dev-requirements.txt, requirements, unknown";
    /// Whether files that follow conventions from before 2025 are accepted, for a registry that
    /// takes existing packages: names with the project's own spelling ("PyJWT-1.7.1.tar.gz",
    /// "backports.tarfile-1.2.0-py3-none-any.whl") and core metadata 2.0. pypi.org serves them but
    /// takes no new ones.
    accept_older_files ("accept-older-files"): bool = "false";
    /// Days after which a published release takes no more files; 0 for never.
    release_age_limit_days ("release-age-limit-days"): Number<0, 36_500> = "14";
    /// Memory for cached page data of projects, about 2.5 KiB for each file: cached pages are
    /// served without the database. All of a registry with 500,000 files fits into 512 MiB.
    page_cache ("page-cache"): ByteSize = "64 MiB";
    /// Wall-clock time for one evaluation of one policy, in milliseconds. A policy that needs more
    /// fails, and the request with it.
    policy_time_ms ("policy-time-ms"): Number<1, 1_000> = "10";
    /// Fuel for one evaluation of one policy, about one unit per instruction; 0 disables fuel and
    /// leaves time as the only limit.
    policy_fuel ("policy-fuel"): Number<0, 1_000_000_000> = "20000000";
    /// Memory of one policy's sandbox.
    policy_memory ("policy-memory"): ByteSize = "16 MiB";
    /// Permitted reads (pages, downloads) written to the decision log per second at most.
    /// More are counted but not recorded.
    recorded_reads_per_second ("recorded-reads-per-second"): Number<0, 100_000> = "20";
    /// Refusals of one address or one user that are recorded one by one per minute, and twenty
    /// times as many of all together. More are counted, and the count is audited, so that a flood
    /// of refused requests cannot fill the disk.
    recorded_refusals_per_minute ("recorded-refusals-per-minute"): Number<1, 1_000_000> = "120";
    /// How long decisions are kept. Audit events are kept permanently.
    decision_retention ("decision-retention"): Duration = "90d";
    /// Threads that serve requests; 0 for one per processor.
    worker_threads ("worker-threads"): Number<0, 256> = "0";
    /// How long requests in flight may take to finish when the server is told to stop.
    shutdown_deadline ("shutdown-deadline"): Duration = "20s";
    /// How log lines are written: "text" or "json".
    log_format ("log-format"): LogFormat = "text";
    /// Which log lines are written: a level, or a list like "info,request=warn". The database
    /// driver (sqlx) logs from level warn, unless the list names it.
    log ("log"): LogFilter = "info";
}
