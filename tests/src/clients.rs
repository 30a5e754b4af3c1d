//! The Python tools for uploading and installing, set up by `cargo xtask test`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::server::repository;

/// The folder of their programs.
#[derive(Clone, Debug)]
pub struct Clients(PathBuf);

/// A tool's output, and whether it succeeded.
#[derive(Clone, Debug)]
pub struct Printed {
    pub success: bool,
    /// Standard output and standard error, without colours, with words joined again that were
    /// broken over lines.
    pub text: String,
    /// The same, unchanged.
    pub raw: String,
}

impl Printed {
    /// The same, after checking that it succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.success, "{}", self.raw);
        self
    }

    /// The same, after checking that it failed.
    #[track_caller]
    pub fn refused(self) -> Self {
        assert!(!self.success, "this should have failed: {}", self.raw);
        self
    }

    /// Checks that the output contains this.
    #[track_caller]
    pub fn says(&self, wanted: &str) -> &Self {
        assert!(
            self.text.contains(&squeezed(wanted)),
            "expected `{wanted}` in:\n{}",
            self.raw
        );
        self
    }
}

impl Clients {
    /// The tools, or `None` if they were not set up. With `CI=true` they must be there.
    pub fn find() -> Option<Self> {
        let folder = std::env::var_os("PORTCULLIS_TEST_CLIENTS")
            .map_or_else(|| repository().join("target/clients/bin"), PathBuf::from);
        if folder.join("twine").exists() {
            return Some(Self(folder));
        }
        assert!(
            std::env::var("CI").is_err(),
            "{} holds no clients; `cargo xtask test` sets them up",
            folder.display()
        );
        eprintln!(
            "skipped: no Python clients in {}; `cargo xtask test` sets them up",
            folder.display()
        );
        None
    }

    /// A tool in this folder, without the caller's configuration.
    pub fn command(&self, tool: &str, folder: &Path) -> Command {
        let mut command = Command::new(self.0.join(tool));
        // Next to a project, not in it, because everything in it is packed.
        let home = match (folder.join("pyproject.toml").exists(), folder.file_name()) {
            (true, Some(name)) => {
                folder.with_file_name(format!(".home-of-{}", name.to_string_lossy()))
            }
            _ => folder.join(".home"),
        };
        std::fs::create_dir_all(&home).expect("the home folder can be made");
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if [
                "TWINE_",
                "UV_",
                "PIP_",
                "FLIT_",
                "HATCH_",
                "POETRY_",
                "PYTHON",
                "VIRTUAL_ENV",
                "PORTCULLIS_",
            ]
            .iter()
            .any(|start| name.starts_with(start))
            {
                command.env_remove(name);
            }
        }
        let path = format!(
            "{}:{}",
            self.0.display(),
            std::env::var("PATH").unwrap_or_default()
        );
        command
            .current_dir(folder)
            .env("PATH", path)
            .env("HOME", &home)
            .env("XDG_CONFIG_HOME", home.join("config"))
            .env("XDG_CACHE_HOME", home.join("cache"))
            .env("XDG_DATA_HOME", home.join("data"))
            // Wide enough that no tool breaks a sentence over lines, and without colours.
            .env("COLUMNS", "1000")
            .env("NO_COLOR", "1")
            .env("TERM", "dumb")
            .env("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
            .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
            .stdin(std::process::Stdio::null());
        command
    }

    /// Runs a tool to its end.
    pub fn run(
        &self,
        tool: &str,
        folder: &Path,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Printed {
        let output = self
            .command(tool, folder)
            .args(arguments)
            .envs(variables.iter().copied())
            .output()
            .unwrap_or_else(|cause| panic!("{tool} does not start: {cause}"));
        let raw = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Printed {
            success: output.status.success(),
            text: squeezed(&raw),
            raw,
        }
    }

    /// Runs a Python script to its end.
    pub fn python(&self, folder: &Path, script: &str, arguments: &[&str]) -> Printed {
        let all: Vec<&str> = ["-c", script]
            .into_iter()
            .chain(arguments.iter().copied())
            .collect();
        self.run("python", folder, &all, &[])
    }
}

/// Text with every run of white space replaced by one blank: tools break and indent differently.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
