//! The configuration: defaults < `portcullis.toml` < environment < flags.
//!
//! [`keys`] is the one closed list of keys. [`Layers`] collects raw values with their origins,
//! [`Values`] holds them parsed, and [`Configuration`] is the result, the only thing that the rest
//! of the program sees.

mod keys;
mod print;
mod services;
pub(crate) mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use toml::Value;

pub(crate) use keys::{Key, Values};
pub(crate) use print::{effective, template};
pub(crate) use value::{DatabaseUrl, LogFormat, PublicUrl, parse_span};

/// The file that is read if none is named and it exists.
pub(crate) const FILE: &str = "portcullis.toml";

/// The SQLite database within the data folder.
const SQLITE_FILE: &str = "portcullis.sqlite";

/// Variables with our prefix that are not keys: they answer prompts, or name the file.
const OTHER_VARIABLES: [&str; 5] = [
    "PORTCULLIS_CONFIG",
    "PORTCULLIS_PASSWORD",
    "PORTCULLIS_TOTP",
    CALLED_AS,
    CALLED_BY,
];

/// The command that people type for this registry, if it is not the program's own name: the package
/// sets it.
pub(crate) const CALLED_AS: &str = "PORTCULLIS_CALLED_AS";
/// The user who called the program before it became the service's user.
pub(crate) const CALLED_BY: &str = "PORTCULLIS_CALLED_BY";

/// Prefixes that are not ours: container platforms set such variables for a service called
/// `portcullis`, and so does the test suite.
const FOREIGN_VARIABLES: [&str; 3] = ["PORTCULLIS_SERVICE_", "PORTCULLIS_PORT", "PORTCULLIS_TEST_"];

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Default,
    File(PathBuf),
    Environment(String),
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => out.write_str("default"),
            Self::File(path) => write!(out, "{}", path.display()),
            Self::Environment(variable) => write!(out, "environment variable {variable}"),
            Self::Flag => out.write_str("command line"),
        }
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigurationError {
    #[error("cannot read the configuration file {path}: {cause}")]
    Unreadable {
        path: PathBuf,
        cause: std::io::Error,
    },
    #[error("{path} is not TOML: {cause}")]
    Syntax {
        path: PathBuf,
        cause: Box<toml::de::Error>,
    },
    #[error("{origin}: there is no key `{key}`; {}", nearest.map_or_else(|| "`portcullis config --template` lists all keys".to_owned(), |nearest| format!("did you mean `{nearest}`?")))]
    UnknownKey {
        key: String,
        origin: Origin,
        nearest: Option<&'static str>,
    },
    #[error("there is no configuration variable {variable}; {}", nearest.as_ref().map_or_else(|| "`portcullis config --template` lists all keys".to_owned(), |nearest| format!("did you mean {nearest}?")))]
    UnknownVariable {
        variable: String,
        nearest: Option<String>,
    },
    #[error("the environment variable {0} is not UTF-8")]
    NotText(String),
    #[error("{origin}: `{key}` {problem}")]
    Invalid {
        key: &'static str,
        origin: Origin,
        problem: String,
    },
    #[error(
        "refusing to listen on {listen} while public-url is {public_url}: passwords and tokens would travel in clear text. \
         Put a proxy with TLS in front and set public-url to its https:// address, listen on 127.0.0.1, \
         or give --insecure-http if this network is one you trust with every credential"
    )]
    ClearText {
        listen: SocketAddr,
        public_url: String,
    },
}

/// Raw values with their origins; a later layer replaces an earlier one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layers(BTreeMap<&'static str, (Value, Origin)>);

impl Layers {
    /// The value of the highest layer that has one.
    pub(crate) fn get(&self, key: Key) -> Option<(&Value, &Origin)> {
        self.0
            .get(key.name())
            .map(|(value, origin)| (value, origin))
    }

    /// Where a key's value comes from.
    pub(crate) fn origin(&self, key: Key) -> Origin {
        self.get(key)
            .map_or(Origin::Default, |(_, origin)| origin.clone())
    }

    fn set(&mut self, key: Key, value: Value, origin: Origin) {
        self.0.insert(key.name(), (value, origin));
    }

    /// Adds the contents of a configuration file.
    pub(crate) fn add_file(&mut self, path: &Path, text: &str) -> Result<(), ConfigurationError> {
        let table: toml::Table = text.parse().map_err(|cause| ConfigurationError::Syntax {
            path: path.to_owned(),
            cause: Box::new(cause),
        })?;
        for (name, value) in table {
            let origin = Origin::File(path.to_owned());
            let Some(key) = Key::ALL.iter().copied().find(|key| key.name() == name) else {
                let nearest = nearest(&name, Key::ALL.iter().map(|key| key.name()));
                return Err(ConfigurationError::UnknownKey {
                    key: name,
                    origin,
                    nearest,
                });
            };
            self.set(key, value, origin);
        }
        Ok(())
    }

    /// Adds our environment variables.
    pub(crate) fn add_environment(
        &mut self,
        variables: impl IntoIterator<Item = (std::ffi::OsString, std::ffi::OsString)>,
    ) -> Result<(), ConfigurationError> {
        for (variable, value) in variables {
            let Some(variable) = variable
                .to_str()
                .filter(|name| name.starts_with("PORTCULLIS_"))
            else {
                continue;
            };
            if OTHER_VARIABLES.contains(&variable)
                || FOREIGN_VARIABLES
                    .iter()
                    .any(|start| variable.starts_with(start))
            {
                continue;
            }
            let Some(key) = Key::ALL
                .iter()
                .copied()
                .find(|key| key.variable() == variable)
            else {
                let known: Vec<String> = Key::ALL.iter().map(|key| key.variable()).collect();
                let nearest =
                    nearest(variable, known.iter().map(String::as_str)).map(str::to_owned);
                return Err(ConfigurationError::UnknownVariable {
                    variable: variable.to_owned(),
                    nearest,
                });
            };
            let value = value
                .into_string()
                .map_err(|_| ConfigurationError::NotText(variable.to_owned()))?;
            self.set(
                key,
                Value::String(value),
                Origin::Environment(variable.to_owned()),
            );
        }
        Ok(())
    }

    /// Adds flags.
    pub(crate) fn add_flags(&mut self, flags: &[(Key, String)]) {
        for (key, value) in flags {
            self.set(*key, Value::String(value.clone()), Origin::Flag);
        }
    }
}

/// The effective configuration.
#[derive(Clone, Debug)]
pub(crate) struct Configuration {
    /// Every value, parsed.
    pub(crate) values: Values,
    /// The origin of each value.
    pub(crate) layers: Layers,
}

impl Configuration {
    /// Reads all layers. `file` is the file that was named; without it, `portcullis.toml` in the
    /// working folder is read if it exists.
    pub(crate) fn load(
        file: Option<&Path>,
        variables: impl IntoIterator<Item = (std::ffi::OsString, std::ffi::OsString)>,
        flags: &[(Key, String)],
    ) -> Result<Self, ConfigurationError> {
        let mut layers = Layers::default();
        let path = file.unwrap_or(Path::new(FILE));
        match std::fs::read_to_string(path) {
            Ok(text) => layers.add_file(path, &text)?,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound && file.is_none() => {}
            Err(cause) => {
                return Err(ConfigurationError::Unreadable {
                    path: path.to_owned(),
                    cause,
                });
            }
        }
        layers.add_environment(variables)?;
        layers.add_flags(flags);
        Self::from_layers(layers)
    }

    pub(crate) fn from_layers(layers: Layers) -> Result<Self, ConfigurationError> {
        Ok(Self {
            values: Values::read(&layers)?,
            layers,
        })
    }

    /// Refuses configurations that let credentials travel in clear text by accident. Called before
    /// listening.
    pub(crate) fn check_exposure(&self) -> Result<(), ConfigurationError> {
        let public_url = self.public_url(self.values.listen);
        if self.values.listen.ip().is_loopback()
            || !public_url.is_clear_text()
            || self.values.insecure_http
        {
            return Ok(());
        }
        Err(ConfigurationError::ClearText {
            listen: self.values.listen,
            public_url: public_url.0,
        })
    }

    /// The address that clients use to reach the registry; `listening` is the actual address, which
    /// differs from the configured one if that has port 0.
    pub(crate) fn public_url(&self, listening: SocketAddr) -> PublicUrl {
        self.values
            .public_url
            .clone()
            .unwrap_or_else(|| match listening.ip() {
                IpAddr::V4(Ipv4Addr::LOCALHOST) | IpAddr::V6(Ipv6Addr::LOCALHOST) => {
                    PublicUrl(format!("http://localhost:{}", listening.port()))
                }
                _ => PublicUrl(format!("http://{listening}")),
            })
    }

    /// Where the database is.
    pub(crate) fn database(&self) -> DatabaseUrl {
        self.values
            .database
            .clone()
            .unwrap_or_else(|| DatabaseUrl::sqlite(&self.values.data.join(SQLITE_FILE)))
    }

    /// The SQLite database file in the data folder; none if another database was chosen.
    pub(crate) fn sqlite_file(&self) -> Option<PathBuf> {
        self.values
            .database
            .is_none()
            .then(|| self.values.data.join(SQLITE_FILE))
    }

    /// Threads that serve requests.
    pub(crate) fn worker_threads(&self) -> usize {
        match self.values.worker_threads.0 {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => usize::try_from(threads).unwrap_or(usize::MAX),
        }
    }
}

/// The candidate that differs least from `text`, if it is close enough to be the intended one.
fn nearest<'a>(text: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let (distance, candidate) = candidates
        .map(|candidate| (distance(text, candidate), candidate))
        .min_by_key(|(distance, _)| *distance)?;
    (distance <= candidate.len() / 3 + 1).then_some(candidate)
}

/// How many characters must be inserted, removed or replaced to turn one text into the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, left) in from.chars().enumerate() {
        let mut diagonal = line;
        row[0] = line + 1;
        for (column, right) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(left != *right);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Vec<(std::ffi::OsString, std::ffi::OsString)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect()
    }

    fn load(
        file: &str,
        environment: &[(&str, &str)],
        flags: &[(Key, &str)],
    ) -> Result<Configuration, ConfigurationError> {
        let mut layers = Layers::default();
        layers.add_file(Path::new("portcullis.toml"), file)?;
        layers.add_environment(variables(environment))?;
        layers.add_flags(
            &flags
                .iter()
                .map(|(key, value)| (*key, (*value).to_owned()))
                .collect::<Vec<_>>(),
        );
        Configuration::from_layers(layers)
    }

    #[test]
    fn every_default_is_valid() {
        let configuration = load("", &[], &[]).unwrap();
        assert_eq!(
            configuration.values.listen,
            "127.0.0.1:8080".parse().unwrap()
        );
        assert_eq!(
            configuration.public_url(configuration.values.listen).0,
            "http://localhost:8080"
        );
        assert_eq!(
            configuration.public_url("[::1]:9000".parse().unwrap()).0,
            "http://localhost:9000"
        );
        assert_eq!(
            configuration
                .public_url("127.0.0.2:9000".parse().unwrap())
                .0,
            "http://127.0.0.2:9000"
        );
        assert_eq!(
            configuration.database().expose(),
            "sqlite:data/portcullis.sqlite"
        );
        assert!(configuration.worker_threads() >= 1);
        let reserved: Vec<&str> = configuration
            .values
            .reserved_names
            .iter()
            .map(|name| name.as_written())
            .collect();
        assert_eq!(reserved, registry::RESERVED_NAMES);
    }

    #[test]
    fn a_later_layer_replaces_an_earlier_one_and_says_so() {
        let file = "listen = '127.0.0.1:1'\ntoken-prefix = 'file'\nlog = 'warn'";
        let environment = [
            ("PORTCULLIS_LISTEN", "127.0.0.1:2"),
            ("PORTCULLIS_TOKEN_PREFIX", "env"),
            ("HOME", "/"),
        ];
        let configuration = load(file, &environment, &[(Key::listen, "127.0.0.1:3")]).unwrap();
        assert_eq!(configuration.values.listen.port(), 3);
        assert_eq!(configuration.layers.origin(Key::listen), Origin::Flag);
        assert_eq!(configuration.values.token_prefix.0, "env");
        assert_eq!(
            configuration.layers.origin(Key::token_prefix),
            Origin::Environment("PORTCULLIS_TOKEN_PREFIX".to_owned())
        );
        assert_eq!(
            configuration.layers.origin(Key::log),
            Origin::File("portcullis.toml".into())
        );
        assert_eq!(configuration.layers.origin(Key::data), Origin::Default);
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_one() {
        let text = load("public_url = 'https://host'", &[], &[])
            .unwrap_err()
            .to_string();
        assert!(
            text.contains("`public_url`") && text.contains("did you mean `public-url`?"),
            "{text}"
        );
        let text = load("", &[("PORTCULLIS_LISTENS", "x")], &[])
            .unwrap_err()
            .to_string();
        assert!(text.contains("did you mean PORTCULLIS_LISTEN?"), "{text}");
        let text = load("completely-different = 1", &[], &[])
            .unwrap_err()
            .to_string();
        assert!(text.contains("--template"), "{text}");
    }

    #[test]
    fn variables_of_container_platforms_and_prompts_are_no_keys() {
        let environment = [
            ("PORTCULLIS_SERVICE_HOST", "10.0.0.1"),
            ("PORTCULLIS_PORT_8080_TCP", "x"),
            ("PORTCULLIS_PASSWORD", "secret"),
        ];
        load("", &environment, &[]).unwrap();
    }

    #[test]
    fn an_invalid_value_names_its_key_and_origin_and_what_would_be_right() {
        let text = load("", &[("PORTCULLIS_LISTEN", "8080")], &[])
            .unwrap_err()
            .to_string();
        assert!(
            text.contains("PORTCULLIS_LISTEN")
                && text.contains("`listen`")
                && text.contains("127.0.0.1:8080"),
            "{text}"
        );
        let text = load("max-file-size = true", &[], &[])
            .unwrap_err()
            .to_string();
        assert!(
            text.contains("portcullis.toml") && text.contains("100 MiB"),
            "{text}"
        );
    }

    #[test]
    fn credentials_do_not_travel_in_clear_text_by_accident() {
        let check = |file: &str| load(file, &[], &[]).unwrap().check_exposure();
        assert!(
            check("listen = '0.0.0.0:80'")
                .unwrap_err()
                .to_string()
                .contains("--insecure-http")
        );
        assert!(check("listen = '[::]:80'\npublic-url = 'http://packages.example.org'").is_err());
        check("listen = '0.0.0.0:80'\npublic-url = 'https://packages.example.org'").unwrap();
        check("listen = '0.0.0.0:80'\ninsecure-http = true").unwrap();
        check("listen = '[::1]:80'").unwrap();
    }

    #[test]
    fn the_template_is_a_valid_file_that_changes_nothing() {
        let defaults = load("", &[], &[]).unwrap();
        let commented = load(&template(), &[], &[]).unwrap();
        assert_eq!(
            format!("{:?}", commented.values),
            format!("{:?}", defaults.values)
        );
        let uncommented: String = template()
            .lines()
            .map(|line| {
                line.strip_prefix("#")
                    .filter(|rest| !rest.starts_with(' '))
                    .unwrap_or(line)
                    .to_owned()
                    + "\n"
            })
            .collect();
        let set = load(&uncommented, &[], &[]).unwrap();
        assert_eq!(
            format!("{:?}", set.values),
            format!("{:?}", defaults.values)
        );
        assert!(
            Key::ALL
                .iter()
                .all(|key| matches!(set.layers.origin(*key), Origin::File(_)))
        );
    }

    #[test]
    fn the_printed_configuration_reads_back_and_names_origins() {
        let configuration = load(
            "listen = '127.0.0.1:1'",
            &[("PORTCULLIS_DATABASE", "postgres://me:hunter2@host/db")],
            &[],
        )
        .unwrap();
        let printed = effective(&configuration);
        assert!(
            printed.contains("listen = \"127.0.0.1:1\"") && printed.contains("# portcullis.toml"),
            "{printed}"
        );
        assert!(
            printed.contains("PORTCULLIS_DATABASE") && !printed.contains("hunter2"),
            "{printed}"
        );
        load(&printed, &[], &[]).unwrap();
    }
}
