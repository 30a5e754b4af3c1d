//! Local commands: the same use cases as over HTTP, without policies, but recorded.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use gate::{Permit, Target};
use identity::Identity;
use model::audit::Actor;
use model::{Clock, SystemClock, Timestamp, UserName};
use policy_engine::Engine;
use registry::Registry;
use storage::Storage;
use storage::users::UserRow;
use toml::Value;

use crate::answer::printable;
use crate::configuration::value::Setting as _;
use crate::configuration::{self, Configuration, Key, Origin, PublicUrl};
use crate::data_folder::{self, DataFolder, noted_public_url};
use crate::wiring;

/// The parts that local commands work with.
pub(crate) struct CommandLine {
    pub(crate) configuration: Configuration,
    pub(crate) folder: DataFolder,
    /// Where links in mails lead.
    pub(crate) public_url: PublicUrl,
    /// Whether that address was configured or recorded by a server, and is not only a default.
    public_url_is_known: bool,
    pub(crate) storage: Storage,
    pub(crate) identity: Identity,
    pub(crate) registry: Registry,
    pub(crate) clock: Arc<dyn Clock>,
    /// The system user who runs the command.
    pub(crate) system_user: String,
}

impl CommandLine {
    /// Opens the database and migrates it to this version. Only a server and `migrate`
    /// (`may_create`) create one: an empty database in the wrong folder helps no one.
    pub(crate) async fn open(
        configuration: Configuration,
        may_create: bool,
    ) -> anyhow::Result<Self> {
        if let Some(file) = configuration.sqlite_file().filter(|_| !may_create) {
            expect_database(&file)?;
        }
        let folder = DataFolder::open(&configuration.values.data)?;
        let storage = wiring::open_storage(&configuration).await?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let known = known_public_url(&configuration);
        let public_url_is_known = known.is_some();
        let public_url =
            known.unwrap_or_else(|| configuration.public_url(configuration.values.listen));
        let identity =
            wiring::identity(&configuration, &public_url, storage.clone(), clock.clone())?;
        let registry = wiring::registry(
            &configuration,
            &public_url,
            &folder,
            storage.clone(),
            clock.clone(),
        )?;
        Ok(Self {
            configuration,
            folder,
            public_url,
            public_url_is_known,
            storage,
            identity,
            registry,
            clock,
            system_user: system_user(),
        })
    }

    /// Permits `target` without asking any policy, and records that.
    pub(crate) async fn permit<T: Target>(&self, target: T) -> anyhow::Result<Permit<T>> {
        gate::break_glass(&self.storage, &*self.clock, &self.system_user, target)
            .await
            .context("cannot record what is about to be done, so it is not done")
    }

    /// The actor, for the audit.
    pub(crate) fn actor(&self) -> Actor {
        Actor::CommandLine {
            system_user: self.system_user.clone(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// How to call this program for the same registry, for hints that people copy.
    pub(crate) fn program(&self) -> String {
        if let Some(called) = std::env::var(configuration::CALLED_AS)
            .ok()
            .filter(|called| is_one_word(called))
        {
            return called;
        }
        let data = (self.configuration.layers.origin(Key::data) == Origin::Flag)
            .then(|| self.configuration.values.data.display().to_string());
        let mut files =
            Key::ALL
                .iter()
                .filter_map(|key| match self.configuration.layers.origin(*key) {
                    Origin::File(file) if file != Path::new(configuration::FILE) => {
                        Some(file.display().to_string())
                    }
                    _ => None,
                });
        program_with(files.next_back().as_deref(), data.as_deref())
    }

    /// The remark after a command that mails links, if it is unknown whether they lead to the
    /// server; otherwise empty.
    pub(crate) fn remark_on_links(&self) -> String {
        if self.public_url_is_known {
            return String::new();
        }
        format!(
            "Links begin with {}; if the server runs under another address, say so with --public-url.\n",
            self.public_url.0
        )
    }

    /// A policy engine to check sets with, like the servers' except for its size.
    pub(crate) fn engine(&self) -> anyhow::Result<Engine> {
        wiring::engine(&self.configuration, &self.folder, 1)
    }

    /// The user with this name.
    pub(crate) async fn user(&self, name: &UserName) -> anyhow::Result<UserRow> {
        self.storage.user_by_name(name).await?.with_context(|| {
            format!("there is no user `{name}`; `portcullis user list` shows them all")
        })
    }
}

/// Explains what is wrong with a database that a command needs.
fn expect_database(file: &Path) -> anyhow::Result<()> {
    match file.try_exists() {
        Ok(true) => Ok(()),
        Ok(false) => {
            bail!(
                "there is no database {}; name the server's data folder with --data (`portcullis serve` makes it at its first start)",
                file.display()
            )
        }
        // Whether there is one is unknown.
        Err(error) => Err(error).with_context(|| {
            format!(
                "cannot look for the database {}; {}",
                file.display(),
                data_folder::WHOSE_IT_IS
            )
        }),
    }
}

/// The configured address, or else the one that the last server of the data folder recorded. Does
/// not create a missing folder.
pub(crate) fn known_public_url(configuration: &Configuration) -> Option<PublicUrl> {
    let noted = || {
        noted_public_url(&configuration.values.data)
            .and_then(|url| PublicUrl::read(&Value::String(url)).ok())
    };
    configuration.values.public_url.clone().or_else(noted)
}

fn program_with(file: Option<&str>, data: Option<&str>) -> String {
    let mut program = "portcullis".to_owned();
    for (flag, value) in [("--config", file), ("--data", data)] {
        if let Some(value) = value {
            program.push_str(&format!(" {flag} {}", quoted(value)));
        }
    }
    program
}

/// Quoted as one word for a shell.
pub(crate) fn quoted(text: &str) -> String {
    let is_plain = !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_alphanumeric() || "/._-+:@".contains(c));
    if is_plain {
        text.to_owned()
    } else {
        format!("'{}'", printable(text).replace('\'', "'\\''"))
    }
}

/// Name of the system user who runs this process, taken from the owner of the process and not from
/// the environment, which anyone can set.
pub(crate) fn system_user() -> String {
    let Ok(uid) = fs::metadata("/proc/self").map(|process| process.uid()) else {
        return "unknown".to_owned();
    };
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = name_of(uid, &accounts).unwrap_or_else(|| format!("uid {uid}"));
    // Anyone who runs as that user can claim anything here, but can also write to the database.
    match std::env::var(configuration::CALLED_BY)
        .ok()
        .filter(|caller| is_one_word(caller))
    {
        Some(caller) => format!("{caller} as {user}"),
        None => user,
    }
}

/// Whether a text is one plain word, such as the name of a program or a user.
pub(crate) fn is_one_word(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// The first account of `/etc/passwd` with this number.
fn name_of(uid: u32, accounts: &str) -> Option<String> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let number = fields.nth(1)?;
        (number.parse() == Ok(uid) && !name.is_empty()).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_names_the_same_registry_and_is_safe_to_copy() {
        assert!(["portcullisctl", "alice-2"].into_iter().all(is_one_word));
        assert!(
            !["", "two words", "a;b", "a\nb"]
                .into_iter()
                .any(is_one_word)
        );
        assert_eq!(program_with(None, None), "portcullis");
        assert_eq!(
            program_with(Some("/etc/p.toml"), Some("my data")),
            "portcullis --config /etc/p.toml --data 'my data'"
        );
        assert_eq!(
            quoted("o'neil`id`@example.org"),
            r"'o'\''neil`id`@example.org'"
        );
        assert_eq!(quoted("alice+x@example.org"), "alice+x@example.org");
    }

    #[test]
    fn a_database_that_cannot_be_looked_for_is_not_said_to_be_missing() {
        let folder = tempfile::tempdir().unwrap();
        let said = |path: &str| {
            format!(
                "{:#}",
                expect_database(&folder.path().join(path)).unwrap_err()
            )
        };
        assert!(
            said("registry.sqlite").starts_with("there is no database"),
            "{}",
            said("registry.sqlite")
        );
        // A file in place of the folder stands for an unreadable folder: root could read a folder.
        fs::write(folder.path().join("file"), "").unwrap();
        let unknown = said("file/registry.sqlite");
        assert!(
            unknown.starts_with("cannot look for the database") && unknown.contains("the user"),
            "{unknown}"
        );
    }

    #[test]
    fn the_system_user_is_the_owner_of_the_process() {
        let accounts =
            "root:x:0:0::/root:/bin/sh\n\nbroken\nalice:x:1000:1000::/home/alice:/bin/sh\n";
        assert_eq!(name_of(1000, accounts), Some("alice".to_owned()));
        assert_eq!(name_of(7, accounts), None);
    }
}
