//! The secret by which a registry knows this command line: 256 bits that the registry created, in a
//! separate file for each registry and user.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use identity::Secret;
use model::UserName;
use reqwest::Url;

/// Characters of the secret: 32 bytes in base64url.
const LENGTH: usize = 43;

/// The file, whether it exists or not.
pub(crate) struct DeviceFile(PathBuf);

impl DeviceFile {
    /// The file for this registry and user, in the folder of the system user's configuration.
    pub(crate) fn of(registry: &Url, user: &UserName) -> anyhow::Result<Self> {
        let variable = |name: &str| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let folder = variable("XDG_CONFIG_HOME")
            .or_else(|| variable("HOME").map(|home| home.join(".config")));
        let folder = folder.context("there is no place to keep what the registry knows this command line by; set HOME or XDG_CONFIG_HOME")?;
        Ok(Self(
            folder.join("portcullis").join(file_name(registry, user)),
        ))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The secret; none until the registry has created one.
    pub(crate) fn read(&self) -> anyhow::Result<Option<Secret<String>>> {
        let path = self.0.display();
        let file = match fs::File::open(&self.0) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {path}")),
        };
        let mode = file.metadata()?.permissions().mode() & 0o777;
        ensure!(
            mode & 0o077 == 0,
            "{path} is readable by other users (mode {mode:o}); remove it, and the registry asks by mail for a new one"
        );
        let mut text = String::new();
        file.take(LENGTH as u64 + 2)
            .read_to_string(&mut text)
            .with_context(|| format!("cannot read {path}"))?;
        Ok(Some(text.trim())
            .filter(|text| is_secret(text))
            .map(|text| Secret::new(text.to_owned())))
    }

    /// Stores the secret that the registry created.
    pub(crate) fn write(&self, secret: &str) -> anyhow::Result<()> {
        ensure!(
            is_secret(secret),
            "what the registry sent to know this command line by is damaged"
        );
        let cannot = || format!("cannot write {}", self.0.display());
        let folder = self.0.parent().with_context(cannot)?;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        // Renamed into place: another command that reads it at this moment sees a whole secret, and
        // an existing file of this name, which others might be able to read, is replaced and not
        // written to.
        let mut beside = self.0.clone().into_os_string();
        beside.push(format!(".{}", std::process::id()));
        let beside = PathBuf::from(beside);
        let _ = fs::remove_file(&beside);
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)
            .with_context(cannot)?;
        file.write_all(format!("{secret}\n").as_bytes())
            .with_context(cannot)?;
        file.sync_all().with_context(cannot)?;
        fs::rename(&beside, &self.0).with_context(cannot)
    }
}

/// A unique name for each registry and user: no host has a `:` except within brackets, so the
/// secret of one registry is never sent to another.
fn file_name(registry: &Url, user: &UserName) -> String {
    format!(
        "device-{}:{}-{}",
        registry.host_str().unwrap_or(""),
        registry.port_or_known_default().unwrap_or(0),
        user.folded()
    )
}

fn is_secret(text: &str) -> bool {
    text.len() == LENGTH
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_registry_made_is_never_sent_to_another_one() {
        let name = |url: &str, user: &str| {
            file_name(&Url::parse(url).unwrap(), &UserName::parse(user).unwrap())
        };
        let names = [
            name("https://a.example", "ana"),
            name("https://a.example:8443", "ana"),
            name("https://a.example", "ben"),
            name("https://b.example", "ana"),
            name("http://[::1]:443", "ana"),
            name("https://a.example", "443-ana"),
        ];
        for (place, one) in names.iter().enumerate() {
            assert!(
                !names[place + 1..].contains(one) && !one.contains('/'),
                "{one}"
            );
        }
        assert_eq!(name("https://A.example:443/", "Ana"), names[0]);
    }

    #[test]
    fn the_secret_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = DeviceFile(folder.path().join("portcullis/device"));
        assert!(file.read().unwrap().is_none());
        let secret = "A".repeat(LENGTH);
        file.write(&secret).unwrap();
        assert_eq!(file.read().unwrap().unwrap().expose(), &secret);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            (mode(file.path()), mode(&folder.path().join("portcullis"))),
            (0o600, 0o700)
        );
        assert_eq!(
            fs::read_dir(folder.path().join("portcullis"))
                .unwrap()
                .count(),
            1
        );
        for damaged in [
            "",
            "short",
            &"A".repeat(44),
            &format!("{}\n", "A".repeat(42)),
        ] {
            assert!(file.write(damaged).is_err());
        }
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o640)).unwrap();
        assert!(file.read().unwrap_err().to_string().contains("640"));
    }
}
