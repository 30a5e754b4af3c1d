//! A real `portcullis` process with its own data folder, and its command line.

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::{Authenticator, Connection, Distribution, Request, Response};

/// How long a server may take to start, to stop, or to reach a state that a test waits for. Far
/// more than it needs: a server that takes this long is broken, not slow.
pub const PATIENCE: Duration = Duration::from_secs(150);

/// The top of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ is in the repository")
}

/// One of the shipped policy sets.
pub fn shipped_set(name: &str) -> PathBuf {
    repository().join("policies").join(name)
}

/// The program under test.
pub fn program() -> PathBuf {
    let program = std::env::var_os("PORTCULLIS_TEST_PROGRAM").map_or_else(
        || repository().join("target/debug/portcullis"),
        PathBuf::from,
    );
    assert!(
        program.exists(),
        "{} is not built; run `cargo xtask test`, or `cargo build -p server` before a single test",
        program.display()
    );
    program
}

/// The program without any configuration in its environment, in a folder without a configuration
/// file.
pub fn command(folder: &Path) -> Command {
    let mut command = Command::new(program());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PORTCULLIS_") {
            command.env_remove(name);
        }
    }
    command.current_dir(folder);
    // Files that a command stores for its user.
    command.env("XDG_CONFIG_HOME", folder.join("config"));
    command
}

/// The settings of a server.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Folder of the policy set for the first start; if none, the flags name it.
    pub policies: Option<PathBuf>,
    /// `postgres://…`; SQLite in the data folder without it.
    pub database: Option<String>,
    /// More flags of `portcullis serve`.
    pub flags: Vec<String>,
    /// Environment variables of the server.
    pub variables: Vec<(String, String)>,
    /// The folder for everything; servers that share it see the same data.
    pub folder: Arc<TempDir>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            policies: Some(shipped_set("default")),
            database: None,
            flags: Vec::new(),
            variables: Vec::new(),
            folder: Arc::new(
                tempfile::Builder::new()
                    .prefix("portcullis-test-")
                    .tempdir()
                    .expect("a temporary folder can be made"),
            ),
        }
    }
}

impl Setup {
    /// A server with another policy set.
    pub fn policies(mut self, folder: impl Into<PathBuf>) -> Self {
        self.policies = Some(folder.into());
        self
    }

    /// A server that follows the set in this folder.
    pub fn watching(mut self, folder: &Path) -> Self {
        self.policies = None;
        self.flag("--watch-policies", &folder.display().to_string())
    }

    /// A server with one more flag.
    pub fn flag(mut self, name: &str, value: &str) -> Self {
        self.flags.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// A server with one more environment variable.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A server on this database.
    pub fn database(mut self, url: &str) -> Self {
        self.database = Some(url.to_owned());
        self
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts the server and waits until it serves.
    pub fn start(self) -> Server {
        Server::start(self)
    }

    fn configuration(&self) -> Vec<String> {
        let mut flags = vec!["--data".to_owned(), self.data().display().to_string()];
        if let Some(database) = &self.database {
            flags.extend(["--database".to_owned(), database.clone()]);
        }
        flags
    }

    /// Runs a subcommand on the server's data, with text on its standard input.
    pub fn command_line_with_input(
        &self,
        arguments: &[&str],
        input: &str,
        variables: &[(&str, &str)],
    ) -> Output {
        let mut child = command(self.folder.path())
            .args(arguments)
            .args(self.configuration())
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stdin = child.stdin.take().expect("standard input is piped");
        // It does not matter here whether a command reads its input.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().expect("the command ends");
        Output {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs a subcommand on the server's data.
    pub fn command_line(&self, arguments: &[&str]) -> Output {
        self.command_line_with_input(arguments, "", &[])
    }
}

/// The output of a subcommand.
#[derive(Clone, Debug)]
pub struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// The same, after checking that it succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(
            self.status.success(),
            "{}\n{}\n{}",
            self.status,
            self.stdout,
            self.stderr
        );
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|cause| panic!("not JSON ({cause}): {}\n{}", self.stdout, self.stderr))
    }

    /// The whole output.
    pub fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// A user as a test knows them.
#[derive(Clone, Debug)]
pub struct User {
    pub name: String,
    pub password: String,
    /// Their app, if they have a second factor.
    pub authenticator: Option<Authenticator>,
}

/// A running server. Killed when dropped.
#[derive(Debug)]
pub struct Server {
    pub setup: Setup,
    pub address: SocketAddr,
    process: Child,
    log: PathBuf,
}

impl Server {
    fn start(setup: Setup) -> Self {
        // Servers that share a folder have separate logs.
        let log = (1..)
            .map(|number| setup.folder.path().join(format!("server-{number}.log")))
            .find(|path| !path.exists())
            .expect("there is a free name");
        let out = File::create(&log).expect("the log can be made");
        let policies = setup
            .policies
            .iter()
            .flat_map(|folder| ["--policies".into(), folder.clone().into_os_string()]);
        let process = command(setup.folder.path())
            .arg("serve")
            .args(["--listen", "127.0.0.1:0"])
            .args(policies)
            .args(setup.configuration())
            .args(&setup.flags)
            .envs(setup.variables.iter().cloned())
            .stdin(Stdio::null())
            .stdout(out.try_clone().expect("a file can be shared"))
            .stderr(out)
            .spawn()
            .expect("the server starts");
        let mut server = Self {
            setup,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            process,
            log,
        };
        server.address = server.wait_for("the address it listens on", |server| {
            let log = server.log();
            // The port is printed once it is bound.
            let rest = log.split("serving    http://localhost:").nth(1)?;
            let port: u16 = rest
                .chars()
                .take_while(char::is_ascii_digit)
                .collect::<String>()
                .parse()
                .ok()?;
            (port != 0).then(|| SocketAddr::from(([127, 0, 0, 1], port)))
        });
        server.wait_for("health", |server| {
            server
                .try_send(&Request::get("/health"))
                .ok()
                .filter(|answer| answer.status == 200)
        });
        server
    }

    /// Waits until `look` finds something.
    #[track_caller]
    pub fn wait_for<T>(&mut self, what: &str, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            if let Ok(Some(status)) = self.process.try_wait() {
                panic!(
                    "the server ended ({status}) while waiting for {what}:\n{}",
                    self.log()
                );
            }
            assert!(
                Instant::now() < deadline,
                "waited in vain for {what}:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Everything the server has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The log with the lines of every request answered before. The server writes its log after its
    /// answers and in their order, so this requests a page of its own and waits until that is in
    /// the log. Use this to check that something is *not* logged.
    #[track_caller]
    pub fn settled_log(&self) -> String {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let mark = format!("/mark-{}-of-the-log", ASKED.fetch_add(1, Ordering::Relaxed));
        assert_eq!(self.get(&mark).status, 404);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = self.log();
            if log.contains(&mark) {
                return log;
            }
            assert!(
                Instant::now() < deadline,
                "waited in vain for {mark}:\n{log}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The same, starting at this length of a settled log.
    #[track_caller]
    pub fn settled_log_since(&self, length: usize) -> String {
        self.settled_log().split_off(length)
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The server's address in clients' form, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sends one request over a separate connection.
    #[track_caller]
    pub fn send(&self, request: &Request) -> Response {
        self.try_send(request).unwrap_or_else(|cause| {
            panic!(
                "{} {}: {cause}\n{}",
                request.method,
                request.path,
                self.log()
            )
        })
    }

    /// The same, for tests that stop servers.
    pub fn try_send(&self, request: &Request) -> std::io::Result<Response> {
        Connection::to(self.address).send(&request.clone().header("Connection", "close"))
    }

    /// `GET path` without any credential.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        self.send(&Request::get(path))
    }

    /// Uploads a file as a client would.
    #[track_caller]
    pub fn upload(&self, distribution: &Distribution, authorization: Option<&str>) -> Response {
        self.send(&upload_request(distribution, authorization))
    }

    /// Runs a subcommand on the server's data.
    pub fn command_line(&self, arguments: &[&str]) -> Output {
        self.setup.command_line(arguments)
    }

    /// Creates a user with a verified address and a second factor.
    pub fn user(&self, name: &str) -> User {
        self.setup.user(name)
    }

    /// Follows the link in the next mail that asks whether a command line is this user's; `cause`
    /// makes the registry send it and is called once.
    #[track_caller]
    pub fn confirm_command_line<T>(&self, user: &User, cause: impl FnOnce() -> T) -> T {
        let outbox = self.setup.data().join("outbox");
        let mails = || -> Vec<PathBuf> {
            let files = std::fs::read_dir(&outbox)
                .into_iter()
                .flatten()
                .filter_map(Result::ok)
                .map(|entry| entry.path());
            files
                .filter(|file| file.to_string_lossy().contains("-command-line-confirm-"))
                .collect()
        };
        let before = mails();
        let caused = cause();
        let deadline = Instant::now() + PATIENCE;
        let link = loop {
            let new = mails()
                .into_iter()
                .filter(|file| !before.contains(file))
                .filter_map(|file| std::fs::read_to_string(file).ok());
            let of_user =
                new.filter(|mail| mail.contains(&format!("To: {}@example.org", user.name)));
            let found = of_user
                .filter_map(|mail| {
                    mail.lines().find_map(|line| {
                        Some(line.split_once("/login/device?link=")?.1.trim().to_owned())
                    })
                })
                .next();
            if let Some(link) = found {
                break link;
            }
            assert!(
                Instant::now() < deadline,
                "waited in vain for the mail about a command line:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        };
        let origin = format!("http://localhost:{}", self.address.port());
        let request = Request::new("POST", "/login/device")
            .header("Origin", &origin)
            .header("Accept", "text/html");
        let answer = self.send(&request.body(
            "application/x-www-form-urlencoded",
            format!("link={link}").into_bytes(),
        ));
        assert!(
            answer.status == 200 && answer.text().contains("The command line is confirmed"),
            "{}",
            answer.text()
        );
        caused
    }

    /// The secret of a confirmed command line of the user. Uses up none of their codes.
    #[track_caller]
    pub fn known_command_line(&self, user: &User) -> String {
        let code = user.authenticator.as_ref().map(Authenticator::code);
        let proof =
            serde_json::json!({ "user": user.name, "password": user.password, "totp": code });
        let request = Request::new("POST", "/api/projects/nothing/staged")
            .header("Accept", "application/json");
        let refused = self.confirm_command_line(user, || {
            self.send(&request.body("application/json", proof.to_string().into_bytes()))
        });
        assert_eq!(
            refused.json()["reasons"][0]["code"],
            "device-unknown",
            "{}",
            refused.text()
        );
        refused.json()["device"]
            .as_str()
            .expect("the secret of the command line")
            .to_owned()
    }

    /// Makes the command line of this test, with the server's address as given to it, known as the
    /// user's.
    #[track_caller]
    pub fn know_own_command_line(&self, user: &User, url: &str) {
        let code = user
            .authenticator
            .as_ref()
            .map(Authenticator::code)
            .unwrap_or_default();
        let file = format!("nothing={}", "0".repeat(64));
        let arguments = [
            "release", "publish", "nothing", "1.0", "--user", &user.name, "--url", url, "--file",
            &file,
        ];
        let variables = [
            ("PORTCULLIS_PASSWORD", user.password.as_str()),
            ("PORTCULLIS_TOTP", &code),
        ];
        let refused = self.confirm_command_line(user, || {
            self.setup
                .command_line_with_input(&arguments, "", &variables)
        });
        assert!(
            !refused.status.success() && refused.all().contains("Open the link in your mail"),
            "{}",
            refused.all()
        );
    }

    /// Stops the server as an operator would, and returns its exit status.
    pub fn stop(mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.pid().to_string())
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "the server is there to be signalled"
        );
    }

    /// Kills the server, as a power failure would.
    pub fn kill(&mut self) {
        self.process
            .kill()
            .expect("the server is there to be killed");
        self.process.wait().expect("a killed process ends");
    }

    /// Waits until the process has ended.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.try_wait().expect("the server is our child") {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "the server does not stop:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Resident memory in bytes.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))
            .expect("the server runs");
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .expect("Linux tells the resident size");
        let kilobytes: u64 = line
            .split_whitespace()
            .nth(1)
            .and_then(|number| number.parse().ok())
            .expect("the size is a number");
        kilobytes * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("---- the server said:\n{}", self.log());
        }
    }
}

impl Setup {
    /// Creates a user with a verified address and a second factor.
    pub fn user(&self, name: &str) -> User {
        let mut user = self.user_without_factor(name);
        let enrolled = self
            .command_line(&["user", "totp", "enroll", name, "--json"])
            .ok()
            .json();
        user.authenticator = Some(Authenticator::from_base32(
            enrolled["secret"].as_str().expect("the secret is told"),
        ));
        user
    }

    /// Creates a user with a verified address and no second factor.
    pub fn user_without_factor(&self, name: &str) -> User {
        let password = format!("correct horse {name} battery");
        let email = format!("{name}@example.org");
        self.command_line_with_input(
            &[
                "user",
                "create",
                name,
                "--email",
                &email,
                "--verified",
                "--password-stdin",
            ],
            &format!("{password}\n"),
            &[],
        )
        .ok();
        User {
            name: name.to_owned(),
            password,
            authenticator: None,
        }
    }

    /// Creates a token; `scope` are the flags `--account` or `--project p …`.
    pub fn token(&self, user: &User, scope: &[&str]) -> String {
        self.token_with_id(user, scope).0
    }

    /// Creates a token and also returns its identifier.
    pub fn token_with_id(&self, user: &User, scope: &[&str]) -> (String, String) {
        // Descriptions are unique for each user; the current time makes them so.
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .expect("the clock is past 1970")
            .as_nanos();
        let description = format!("test {now}");
        let arguments: Vec<&str> = [
            "token",
            "create",
            &user.name,
            "--description",
            &description,
            "--json",
        ]
        .into_iter()
        .chain(scope.iter().copied())
        .collect();
        let created = self.command_line(&arguments).ok().json();
        (
            created["token"]
                .as_str()
                .expect("the token is told")
                .to_owned(),
            created["id"].as_str().expect("its id is told").to_owned(),
        )
    }
}

/// The request that uploads a file.
pub fn upload_request(distribution: &Distribution, authorization: Option<&str>) -> Request {
    let (content_type, body) = distribution.multipart();
    Request::new("POST", "/legacy/")
        .authorization(authorization)
        .body(&content_type, body)
}

/// The `Authorization` value by which clients send a token: `Basic` with the user `__token__`.
pub fn basic_token(token: &str) -> String {
    basic("__token__", token)
}

/// The `Authorization` value for a user name and a password.
pub fn basic(user: &str, password: &str) -> String {
    format!(
        "Basic {}",
        data_encoding::BASE64.encode(format!("{user}:{password}").as_bytes())
    )
}
