//! A real browser on the pages: each journey is a script of `tests/browser`, run by Node with
//! Chromium, both set up by `cargo xtask test`.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::server::{Server, program, repository};

/// Node with the packages of `tests/browser/package.json`, and Chromium.
#[derive(Clone, Debug)]
pub struct Browser {
    packages: PathBuf,
    chromium: PathBuf,
}

impl Browser {
    /// The browser, or `None` if it was not set up. With `CI=true` it must be there.
    pub fn find() -> Option<Self> {
        let packages = repository().join("target/browser");
        let chromium = std::env::var_os("PORTCULLIS_TEST_CHROMIUM")
            .map_or_else(|| PathBuf::from("/usr/bin/chromium"), PathBuf::from);
        if packages.join("installed.json").exists() && chromium.exists() {
            return Some(Self { packages, chromium });
        }
        let missing = format!(
            "no packages in {} or no {}; `cargo xtask test` sets them up",
            packages.display(),
            chromium.display()
        );
        assert!(std::env::var("CI").is_err(), "{missing}");
        eprintln!("skipped: {missing}");
        None
    }

    /// Runs a journey on a server to its end; a failure shows its whole output.
    #[track_caller]
    pub fn walk(&self, journey: &str, server: &Server, variables: &[(&str, &str)]) {
        let folder = server.setup.folder.path().join("browser");
        std::fs::create_dir_all(&folder).expect("a folder for the browser can be made");
        let output = self
            .node(&format!("{journey}.mjs"))
            .env("JOURNEY", journey)
            .env(
                "SERVER",
                format!("http://localhost:{}", server.address.port()),
            )
            .env("OUTBOX", server.setup.data().join("outbox"))
            .env("DATA", server.setup.data())
            .env("PROGRAM", program())
            .env("HOME", &folder)
            .env("TMPDIR", &folder)
            .envs(variables.iter().copied())
            .output()
            .expect("node starts");
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(
            output.status.success(),
            "{journey}: {}\n{said}",
            output.status
        );
        // The visited pages help to understand the screenshots.
        println!("{said}");
    }

    fn node(&self, script: &str) -> Command {
        let mut command = Command::new("node");
        command
            .arg(repository().join("tests/browser").join(script))
            .env("PACKAGES", &self.packages)
            .env("CHROMIUM", &self.chromium)
            .env(
                "SCREENSHOTS",
                std::env::var_os("PORTCULLIS_TEST_SCREENSHOTS")
                    .map_or_else(|| repository().join("target/screenshots"), PathBuf::from),
            )
            .stdin(Stdio::null());
        command
    }

    /// Starts a server of breached passwords, which records its requests.
    pub fn breaches(&self) -> Breaches {
        let mut process = self
            .node("breaches.mjs")
            .stdout(Stdio::piped())
            .spawn()
            .expect("node starts");
        let mut line = String::new();
        let out = process.stdout.take().expect("standard output is piped");
        BufReader::new(out)
            .read_line(&mut line)
            .expect("the server says where it listens");
        Breaches {
            process,
            url: line.trim().to_owned(),
        }
    }
}

/// A server that speaks the range protocol of Have I Been Pwned. Ended when dropped.
#[derive(Debug)]
pub struct Breaches {
    process: Child,
    pub url: String,
}

impl Drop for Breaches {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
