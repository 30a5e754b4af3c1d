//! A temporary PostgreSQL cluster for tests.
//!
//! [`new_database`] is all that a test needs. The first call of a process starts a cluster in a new
//! temporary folder, reached through a socket in that folder; it ends with the process, however
//! that ends. With `PORTCULLIS_TEST_POSTGRES=postgres://…` (a superuser's URL) that server is used
//! instead. Without PostgreSQL, tests are skipped with one line, except with `CI=true`, where they
//! fail.
//!
//! Only the standard library: crates that cannot depend on `tests` include this file.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A new, empty database.
pub struct TestDatabase {
    /// Its URL.
    pub url: String,
    /// The server to drop it from, if that outlives the test.
    drop_on: Option<&'static Server>,
    name: String,
    psql: PathBuf,
}

#[allow(dead_code, reason = "not all who include this file lock tables")]
/// A table that no one else can read or write, for as long as this lives.
pub struct LockedTable(Child);

impl Drop for LockedTable {
    fn drop(&mut self) {
        // The lock ends with the connection.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[allow(dead_code, reason = "not all who include this file lock tables")]
impl TestDatabase {
    /// Prevents everyone from reading or writing this table.
    ///
    /// # Panics
    /// If the table does not exist or cannot be locked.
    pub fn lock(&self, table: &str) -> LockedTable {
        let mut psql = Command::new(&self.psql)
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", &self.url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("psql runs");
        let statements =
            format!("BEGIN;\nLOCK TABLE {table} IN ACCESS EXCLUSIVE MODE;\n\\echo locked\n");
        let stdin = psql.stdin.as_mut().expect("it is piped");
        stdin
            .write_all(statements.as_bytes())
            .expect("psql reads its statements");
        let stdout = psql.stdout.as_mut().expect("it is piped");
        let mut said = String::new();
        BufReader::new(stdout)
            .read_line(&mut said)
            .expect("psql says something");
        assert_eq!(said.trim(), "locked", "{table}");
        LockedTable(psql)
    }
}

/// Creates a new, empty database; none if there is no PostgreSQL here.
///
/// # Panics
/// If PostgreSQL is there but does not work, or with `CI=true` if it is not there.
pub fn new_database() -> Option<TestDatabase> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let server = SERVER.get_or_init(find_server).as_ref()?;
    let name = format!(
        "test_{}_{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    );
    server.sql(&format!("CREATE DATABASE {name}"));
    Some(TestDatabase {
        url: server.url_of(&name),
        drop_on: server.cluster.is_none().then_some(server),
        name,
        psql: server.psql.clone(),
    })
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Some(server) = self.drop_on {
            server.sql(&format!(
                "DROP DATABASE IF EXISTS {} WITH (FORCE)",
                self.name
            ));
        }
    }
}

struct Server {
    /// URL of the database `postgres` or of the one that was named.
    url: String,
    psql: PathBuf,
    /// Present if the server is ours. Never read: its standard input is open as long as this
    /// process lives, and when it closes the guard stops the cluster.
    cluster: Option<Child>,
}

impl Server {
    fn sql(&self, statement: &str) {
        let output = Command::new(&self.psql)
            .args([
                "-X",
                "-q",
                "-v",
                "ON_ERROR_STOP=1",
                "-c",
                statement,
                &self.url,
            ])
            .output()
            .expect("psql runs");
        assert!(
            output.status.success(),
            "{statement}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn url_of(&self, database: &str) -> String {
        let (before, query) = self
            .url
            .split_once('?')
            .map_or((self.url.as_str(), String::new()), |(before, query)| {
                (before, format!("?{query}"))
            });
        let authority_end = before["postgres://".len()..]
            .find('/')
            .map_or(before.len(), |slash| slash + "postgres://".len());
        format!("{}/{database}{query}", &before[..authority_end])
    }
}

fn find_server() -> Option<Server> {
    if let Ok(url) = std::env::var("PORTCULLIS_TEST_POSTGRES") {
        let url = url.replacen("postgresql://", "postgres://", 1);
        assert!(
            url.starts_with("postgres://"),
            "PORTCULLIS_TEST_POSTGRES is not a postgres:// URL"
        );
        return Some(Server {
            url,
            psql: "psql".into(),
            cluster: None,
        });
    }
    match newest_installed() {
        Some(programs) => Some(start_cluster(&programs)),
        None if std::env::var("CI").is_ok_and(|ci| ci == "true") => {
            panic!("PostgreSQL is not installed, and CI=true asks for it")
        }
        None => {
            // Written past the test harness, which would show it only for failed tests.
            let _ = writeln!(
                std::io::stderr(),
                "skipped on PostgreSQL: it is not installed (apt-get install postgresql)"
            );
            None
        }
    }
}

/// The folder of the newest installed version's programs.
fn newest_installed() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let numbered = versions.filter_map(|entry| {
        Some((
            entry.file_name().to_str()?.parse::<u32>().ok()?,
            entry.path().join("bin"),
        ))
    });
    numbered
        .filter(|(_, programs)| programs.join("initdb").exists())
        .max()
        .map(|(_, programs)| programs)
}

fn start_cluster(programs: &Path) -> Server {
    let folder = std::env::temp_dir().join(format!("portcullis-postgres-{}", std::process::id()));
    // A leftover of a process with the same number is dead: its guard outlived it.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).expect("the temporary folder can be written");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).expect("the folder is ours");
    let as_root = fs::metadata(&folder)
        .expect("the folder was just made")
        .uid()
        == 0;
    if as_root {
        run(Command::new("chown").arg("postgres").arg(&folder));
    }
    let data = folder.join("data");
    // PostgreSQL refuses to run as root.
    let program = |name: &str| {
        let path = programs.join(name);
        if !as_root {
            return Command::new(path);
        }
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(path);
        command
    };
    // First the guard, so that everything is cleaned up if the rest fails.
    let mut stop = program("pg_ctl");
    stop.arg("-D")
        .arg(&data)
        .args(["-s", "-m", "immediate", "stop"]);
    let guard = start_guard(&stop, &folder);

    run(program("initdb").arg("-D").arg(&data).args([
        "-A",
        "trust",
        "-U",
        "postgres",
        "--no-sync",
        "-E",
        "UTF8",
        "--locale=C",
    ]));
    let socket = folder.to_str().expect("temporary folders have plain names");
    let options = format!(
        "-k {socket} -c listen_addresses= -c max_connections=300 -c fsync=off -c full_page_writes=off -c synchronous_commit=off -c shared_buffers=32MB"
    );
    run(program("pg_ctl")
        .arg("-D")
        .arg(&data)
        .args(["-w", "-s", "-l"])
        .arg(folder.join("log"))
        .arg("-o")
        .arg(options)
        .arg("start"));

    Server {
        url: format!("postgres://postgres@localhost/postgres?host={socket}"),
        psql: programs.join("psql"),
        cluster: Some(guard),
    }
}

/// A process that waits until this one is gone, whether it returned, panicked or was
/// killed, and then stops the cluster and removes its folder.
fn start_guard(stop: &Command, folder: &Path) -> Child {
    let script = r#"trap '' INT TERM HUP; cat; folder=$1; shift; "$@"; rm -rf "$folder""#;
    let mut guard = Command::new("sh");
    guard
        .args(["-c", script, "guard"])
        .arg(folder)
        .arg(stop.get_program())
        .args(stop.get_args());
    guard
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    guard.spawn().expect("sh runs")
}

fn run(command: &mut Command) {
    let output = command
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
