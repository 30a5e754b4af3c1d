//! The types of configuration values. Every type reads the same way from a TOML value (the file)
//! and from text (environment, flags), and its error says what would be right.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use model::ProjectName;
use portcullis_http::Network;
use toml::Value;

/// A type of configuration value.
pub(crate) trait Setting: Sized {
    /// Reads a value. The error says what would be right, without naming the key.
    fn read(value: &Value) -> Result<Self, String>;

    /// The value as TOML, without anything secret.
    fn show(&self) -> String;
}

pub(super) fn text(value: &Value) -> Result<&str, String> {
    value
        .as_str()
        .ok_or_else(|| format!("is {}, but a text in quotes is needed", value.type_str()))
}

pub(super) fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

impl Setting for String {
    fn read(value: &Value) -> Result<Self, String> {
        text(value).map(str::to_owned)
    }

    fn show(&self) -> String {
        quoted(self)
    }
}

impl Setting for PathBuf {
    fn read(value: &Value) -> Result<Self, String> {
        match text(value)? {
            "" => Err("is empty; name a folder, for example \"data\"".to_owned()),
            path => Ok(PathBuf::from(path)),
        }
    }

    fn show(&self) -> String {
        quoted(&self.display().to_string())
    }
}

impl Setting for bool {
    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::Boolean(value) => Ok(*value),
            Value::String(text) if text == "true" => Ok(true),
            Value::String(text) if text == "false" => Ok(false),
            other => Err(format!("is {other}; write true or false")),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// A whole number between `MINIMUM` and `MAXIMUM`, both allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number<const MINIMUM: u64, const MAXIMUM: u64>(pub(crate) u64);

impl<const MINIMUM: u64, const MAXIMUM: u64> Setting for Number<MINIMUM, MAXIMUM> {
    fn read(value: &Value) -> Result<Self, String> {
        let number = match value {
            Value::Integer(number) => u64::try_from(*number).ok(),
            Value::String(text) => text.replace('_', "").parse().ok(),
            _ => None,
        };
        match number {
            Some(number) if (MINIMUM..=MAXIMUM).contains(&number) => Ok(Self(number)),
            _ => Err(format!(
                "is {value}; write a whole number from {MINIMUM} to {MAXIMUM}"
            )),
        }
    }

    fn show(&self) -> String {
        self.0.to_string()
    }
}

/// A number of bytes: `100 MiB`, `2 GB`, or just a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ByteSize(pub(crate) u64);

const BYTE_UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

impl Setting for ByteSize {
    fn read(value: &Value) -> Result<Self, String> {
        let wrong = || {
            format!("is {value}; write a number of bytes, or a text like \"100 MiB\" or \"2 GB\"")
        };
        match value {
            Value::Integer(bytes) => u64::try_from(*bytes).map(Self).map_err(|_| wrong()),
            Value::String(text) => {
                let text = text.trim();
                let (number, unit) = BYTE_UNITS
                    .iter()
                    .find_map(|(unit, size)| text.strip_suffix(unit).map(|number| (number, *size)))
                    .unwrap_or((text, 1));
                number
                    .trim()
                    .parse::<u64>()
                    .ok()
                    .and_then(|number| number.checked_mul(unit))
                    .map(Self)
                    .ok_or_else(wrong)
            }
            _ => Err(wrong()),
        }
    }

    fn show(&self) -> String {
        let (unit, size) = BYTE_UNITS
            .iter()
            .filter(|(unit, _)| unit.len() != 2)
            .find(|(_, size)| self.0 > 0 && self.0.is_multiple_of(*size))
            .unwrap_or(&("B", 1));
        quoted(&format!("{} {unit}", self.0 / size))
    }
}

/// The size of a file that can be read: an entry of a tar archive cannot be larger, since readers
/// disagree on how a larger size is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileSize(pub(crate) u64);

impl FileSize {
    const LARGEST: u64 = 8 << 30;
}

impl Setting for FileSize {
    fn read(value: &Value) -> Result<Self, String> {
        let ByteSize(bytes) = ByteSize::read(value)?;
        if bytes > Self::LARGEST {
            return Err(format!(
                "is more than {}, the largest file that can be read",
                ByteSize(Self::LARGEST).show()
            ));
        }
        Ok(Self(bytes))
    }

    fn show(&self) -> String {
        ByteSize(self.0).show()
    }
}

/// Parses a span of time: `90d`, `12h`, `15m`, `30s`, or a sum like `1d12h`. Whole units
/// only, at least one second.
pub(crate) fn parse_span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no span of time; write for example 90d, 12h, 15m or 30s");
    let mut rest = text.trim();
    let mut seconds: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        let unit = match rest[digits..].chars().next() {
            Some('d') => 86_400,
            Some('h') => 3_600,
            Some('m') => 60,
            Some('s') => 1,
            _ => return Err(wrong()),
        };
        seconds = number
            .checked_mul(unit)
            .and_then(|more| seconds.checked_add(more))
            .ok_or_else(wrong)?;
        rest = &rest[digits + 1..];
    }
    // A hundred years: more is a typing error, and would overflow times in milliseconds.
    if seconds == 0 || seconds > 36_525 * 86_400 {
        return Err(wrong());
    }
    Ok(Duration::from_secs(seconds))
}

impl Setting for Duration {
    fn read(value: &Value) -> Result<Self, String> {
        let Value::String(text) = value else {
            return Err(format!(
                "is {value}; write a span of time in quotes, for example \"90d\", \"12h\", \"15m\" or \"30s\""
            ));
        };
        parse_span(text).map_err(|problem| format!("is wrong: {problem}"))
    }

    fn show(&self) -> String {
        let seconds = self.as_secs();
        let (unit, size) = [("d", 86_400), ("h", 3_600), ("m", 60)]
            .into_iter()
            .find(|(_, size)| seconds.is_multiple_of(*size))
            .unwrap_or(("s", 1));
        quoted(&format!("{}{unit}", seconds / size))
    }
}

impl Setting for SocketAddr {
    fn read(value: &Value) -> Result<Self, String> {
        text(value)?.parse().map_err(|_| format!("is {value}; write an address and a port, for example \"127.0.0.1:8080\" or \"[::1]:8080\""))
    }

    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

/// An optional value; empty text means none.
impl<T: Setting> Setting for Option<T> {
    fn read(value: &Value) -> Result<Self, String> {
        if value.as_str() == Some("") {
            Ok(None)
        } else {
            T::read(value).map(Some)
        }
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(|| quoted(""), T::show)
    }
}

/// The address that clients use to reach the registry: scheme, host and optionally a port, no path,
/// no slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PublicUrl(pub(crate) String);

impl PublicUrl {
    /// Whether requests to it travel in clear text.
    pub(crate) fn is_clear_text(&self) -> bool {
        self.0.starts_with("http://")
    }
}

impl Setting for PublicUrl {
    fn read(value: &Value) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!(
                "is {value}, {why}; write scheme and host, for example \"https://packages.example.org\""
            )
        };
        let url = reqwest::Url::parse(text(value)?).map_err(|_| wrong("which is no URL"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("which is neither http nor https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("which names a user"));
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong(
                "which has a path; the registry lives at the root of its host",
            ));
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }

    fn show(&self) -> String {
        quoted(&self.0)
    }
}

/// Where the database is. May hold a password, which is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct DatabaseUrl(String);

impl DatabaseUrl {
    /// The URL with its password. Do not log what this returns.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// The URL of a SQLite database in the file at `path`.
    pub(crate) fn sqlite(path: &std::path::Path) -> Self {
        Self(format!("sqlite:{}", path.display()))
    }
}

impl Setting for DatabaseUrl {
    fn read(value: &Value) -> Result<Self, String> {
        let url = text(value)?;
        if url.starts_with("sqlite:")
            || url.starts_with("postgres://")
            || url.starts_with("postgresql://")
        {
            return Ok(Self(url.to_owned()));
        }
        // The value is not repeated: it may hold a password.
        Err("is neither SQLite nor PostgreSQL; write \"sqlite:<file>\" or \"postgres://<user>@<host>/<database>\"".to_owned())
    }

    fn show(&self) -> String {
        let Some((scheme, rest)) = self.0.split_once("://") else {
            return quoted(&self.0);
        };
        // A query may hold `password=` too.
        let (rest, query) = rest
            .split_once('?')
            .map_or((rest, ""), |(rest, _)| (rest, "?***"));
        match rest.rsplit_once('@') {
            Some((user, host)) => match user.split_once(':') {
                Some((name, _)) => quoted(&format!("{scheme}://{name}:***@{host}{query}")),
                None => quoted(&format!("{scheme}://{user}@{host}{query}")),
            },
            None => quoted(&format!("{scheme}://{rest}{query}")),
        }
    }
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.show())
    }
}

/// The prefix of tokens; PyPI's is `pypi`. The rule is in `identity`; here the error names the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenPrefix(pub(crate) String);

impl Setting for TokenPrefix {
    fn read(value: &Value) -> Result<Self, String> {
        let prefix = text(value)?;
        if (1..=32).contains(&prefix.len())
            && prefix
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            return Ok(Self(prefix.to_owned()));
        }
        Err(format!(
            "is {value}; write 1 to 32 ASCII letters, digits or \"_\", for example \"pypi\""
        ))
    }

    fn show(&self) -> String {
        quoted(&self.0)
    }
}

/// A list of [`Network`]s; as text they are separated by commas.
impl Setting for Vec<Network> {
    fn read(value: &Value) -> Result<Self, String> {
        let parts = parts(value, "[\"10.0.0.0/8\"]")?;
        parts
            .into_iter()
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map_err(|problem: portcullis_http::InvalidNetwork| format!("is wrong: {problem}"))
    }

    fn show(&self) -> String {
        format!(
            "[{}]",
            self.iter()
                .map(|network| quoted(&network.to_string()))
                .collect::<Vec<_>>()
                .join(", ")
        )
    }
}

/// A list of names; as text they are separated by commas.
impl Setting for Vec<ProjectName> {
    fn read(value: &Value) -> Result<Self, String> {
        let names = parts(value, "[\"pip\", \"our-own-package\"]")?;
        names
            .into_iter()
            .map(|name| {
                ProjectName::parse(name).map_err(|problem| {
                    format!(
                        "holds {}, which is no project name: {problem}",
                        quoted(name)
                    )
                })
            })
            .collect()
    }

    fn show(&self) -> String {
        format!(
            "[{}]",
            self.iter()
                .map(|name| quoted(name.as_written()))
                .collect::<Vec<_>>()
                .join(", ")
        )
    }
}

/// The parts of a list, or of a comma-separated text.
fn parts<'a>(value: &'a Value, example: &str) -> Result<Vec<&'a str>, String> {
    match value {
        Value::Array(items) => items.iter().map(text).collect(),
        Value::String(text) => Ok(text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .collect()),
        other => Err(format!("is {other}; write a list like {example}")),
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

impl Setting for LogFormat {
    fn read(value: &Value) -> Result<Self, String> {
        match text(value)? {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(format!("is {value}; write \"text\" or \"json\"")),
        }
    }

    fn show(&self) -> String {
        quoted(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// Which log lines are written, by the rules of `tracing`'s `EnvFilter`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogFilter(pub(crate) String);

impl Setting for LogFilter {
    fn read(value: &Value) -> Result<Self, String> {
        let filter = text(value)?;
        match tracing_subscriber::EnvFilter::try_new(filter) {
            Ok(_) => Ok(Self(filter.to_owned())),
            Err(problem) => Err(format!(
                "is {value} ({problem}); write a level (error, warn, info, debug, trace), or a list like \"info,request=warn\""
            )),
        }
    }

    fn show(&self) -> String {
        quoted(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_text<T: Setting>(text: &str) -> Result<T, String> {
        T::read(&Value::String(text.to_owned()))
    }

    #[test]
    fn spans_of_time_add_up_and_nonsense_is_refused() {
        assert_eq!(parse_span("90d"), Ok(Duration::from_secs(90 * 86_400)));
        assert_eq!(parse_span("1d12h"), Ok(Duration::from_secs(36 * 3_600)));
        assert_eq!(parse_span("15m"), Ok(Duration::from_secs(900)));
        for wrong in [
            "",
            "0s",
            "90",
            "d",
            "-1d",
            "1y",
            "1.5h",
            "99999999999999999999d",
            "200000d",
            "5 d",
        ] {
            assert!(parse_span(wrong).unwrap_err().contains("90d"), "{wrong:?}");
        }
    }

    #[test]
    fn a_span_of_time_is_shown_in_its_largest_whole_unit() {
        assert_eq!(Duration::from_secs(90 * 86_400).show(), "\"90d\"");
        assert_eq!(Duration::from_secs(90).show(), "\"90s\"");
    }

    #[test]
    fn sizes_read_with_and_without_units_and_show_what_they_read() {
        assert_eq!(from_text::<ByteSize>("100 MiB"), Ok(ByteSize(100 << 20)));
        assert_eq!(from_text::<ByteSize>("2GB"), Ok(ByteSize(2_000_000_000)));
        assert_eq!(ByteSize::read(&Value::Integer(17)), Ok(ByteSize(17)));
        assert_eq!(ByteSize(100 << 20).show(), "\"100 MiB\"");
        for size in [0, 1, 1000, 1024, 5 << 30] {
            assert_eq!(
                from_text::<ByteSize>(ByteSize(size).show().trim_matches('"')),
                Ok(ByteSize(size))
            );
        }
        assert!(from_text::<ByteSize>("99999999999 GiB").is_err());
        assert!(ByteSize::read(&Value::Integer(-1)).is_err());
    }

    #[test]
    fn no_file_may_be_larger_than_what_can_be_read() {
        assert_eq!(from_text::<FileSize>("8 GiB"), Ok(FileSize(8 << 30)));
        assert_eq!(
            from_text::<FileSize>("8589934593").unwrap_err(),
            "is more than \"8 GiB\", the largest file that can be read"
        );
    }

    #[test]
    fn a_database_password_is_never_shown() {
        for url in [
            "postgres://me:hunter2@host/db",
            "postgres://me@host/db?password=hunter2",
            "postgresql://me:hun@ter2@host/db?sslmode=require",
        ] {
            let shown = from_text::<DatabaseUrl>(url).unwrap().show();
            assert!(!shown.contains("ter2"), "{shown}");
            assert!(shown.contains("me") && shown.contains("host/db"), "{shown}");
        }
        assert!(
            !from_text::<DatabaseUrl>("mysql://me:hunter2@host/db")
                .unwrap_err()
                .contains("hunter2")
        );
    }

    #[test]
    fn a_public_url_is_a_root() {
        assert_eq!(
            from_text::<PublicUrl>("https://packages.example.org/"),
            Ok(PublicUrl("https://packages.example.org".to_owned()))
        );
        for wrong in [
            "packages.example.org",
            "ftp://host",
            "https://host/path",
            "https://me@host",
            "https://host/?q",
            "https://host/#x",
        ] {
            assert!(
                from_text::<PublicUrl>(wrong)
                    .unwrap_err()
                    .contains("https://packages.example.org"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn networks_read_from_lists_and_from_text() {
        let networks = from_text::<Vec<Network>>("10.0.0.0/8, ::1").unwrap();
        assert_eq!(networks.show(), "[\"10.0.0.0/8\", \"::1/128\"]");
        for wrong in ["10.0.0.0/33", "10.0.0/8", "host", "::1/129"] {
            assert!(from_text::<Vec<Network>>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_read_from_lists_and_from_text() {
        let names = from_text::<Vec<ProjectName>>("pip, Our.Package").unwrap();
        assert_eq!(names.show(), "[\"pip\", \"Our.Package\"]");
        assert_eq!(from_text::<Vec<ProjectName>>(""), Ok(Vec::new()));
        assert!(
            from_text::<Vec<ProjectName>>("pip, -x")
                .unwrap_err()
                .contains("\"-x\", which is no project name")
        );
        assert!(Vec::<ProjectName>::read(&Value::Integer(1)).is_err());
    }

    #[test]
    fn a_number_outside_its_range_is_refused_with_the_range() {
        assert!(
            from_text::<Number<1, 64>>("0")
                .unwrap_err()
                .contains("from 1 to 64")
        );
        assert!(Number::<1, 64>::read(&Value::Integer(65)).is_err());
        assert_eq!(from_text::<Number<1, 64>>("64"), Ok(Number(64)));
    }
}
