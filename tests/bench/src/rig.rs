//! The two indexes that are compared, filled with the same files, and the load on them.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tests::{Clients, Connection, Distribution, Package, Request};

/// Projects, and files of each: the 2,000 files.
pub const PROJECTS: usize = 200;
pub const FILES: usize = 10;

/// The files of one project, a few kilobytes each.
pub fn files_of(project: usize) -> impl Iterator<Item = Distribution> {
    (0..FILES).map(move |file| {
        Package::new(&project_name(project), &format!("1.{file}"))
            .with_payload(2_000 + (project * FILES + file) * 2)
            .wheel()
    })
}

/// Name of a project, normalized.
pub fn project_name(project: usize) -> String {
    format!("sample-{project:03}")
}

/// Does `requests` with this many connections at once; all must be answered 200. Returns
/// requests per second.
pub fn send_all(
    address: SocketAddr,
    connections: usize,
    requests: &[Request],
) -> anyhow::Result<f64> {
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..connections)
            .map(|_| {
                scope.spawn(|| -> anyhow::Result<()> {
                    let mut connection = Connection::to(address);
                    while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let answer = connection.send(request)?;
                        ensure!(
                            answer.status == 200,
                            "{} {}: {} {}",
                            request.method,
                            request.path,
                            answer.status,
                            answer.reason
                        );
                    }
                    Ok(())
                })
            })
            .collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().expect("a worker ends"))
    })?;
    Ok(requests.len() as f64 / start.elapsed().as_secs_f64())
}

/// Requests per second of `wrk` over these paths in turn, on a few connections.
pub fn load(
    address: SocketAddr,
    paths: &[String],
    headers: &[(&str, &str)],
    seconds: u64,
    folder: &Path,
) -> anyhow::Result<f64> {
    let script = folder.join("paths.lua");
    let mut text = String::from("local paths = {\n");
    for path in paths {
        text.push_str(&format!("  {path:?},\n"));
    }
    text.push_str("}\nlocal at = 0\nrequest = function()\n  at = at % #paths + 1\n  return wrk.format(\"GET\", paths[at])\nend\n");
    fs::write(&script, text)?;
    let mut command = Command::new("wrk");
    command
        .args(["-t1", "-c16", &format!("-d{seconds}s"), "-s"])
        .arg(&script);
    for (name, value) in headers {
        command.args(["-H", &format!("{name}: {value}")]);
    }
    let output = command
        .arg(format!("http://{address}"))
        .output()
        .context("wrk does not start")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "wrk failed: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    ensure!(
        !text.contains("Non-2xx"),
        "not every answer was 200:\n{text}"
    );
    let rate = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("Requests/sec:"))
        .with_context(|| format!("wrk told no rate:\n{text}"))?;
    Ok(rate.trim().parse()?)
}

/// pypiserver under gunicorn, with its cached back end: the fastest way its documentation
/// knows to run it.
pub struct PypiServer {
    process: Child,
    pub address: SocketAddr,
    pub packages: PathBuf,
}

impl PypiServer {
    /// Starts it on an empty folder.
    pub fn start(clients: &Clients, folder: &Path) -> anyhow::Result<Self> {
        let packages = folder.join("packages");
        fs::create_dir_all(&packages)?;
        // The port is free a moment later; nothing else here takes ports meanwhile.
        let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let application =
            format!("pypiserver:app(roots=[{packages:?}], authenticate=[], password_file=\".\")");
        let log = fs::File::create(folder.join("pypiserver.log"))?;
        let process = clients
            .command("gunicorn", folder)
            .args([
                "--workers",
                "4",
                "--keep-alive",
                "60",
                "--worker-class",
                "gthread",
                "--threads",
                "4",
                "--log-level",
                "warning",
                "--bind",
                &address.to_string(),
                &application,
            ])
            .stdout(log.try_clone()?)
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .context("gunicorn does not start")?;
        let server = Self {
            process,
            address,
            packages,
        };
        let deadline = Instant::now() + Duration::from_secs(30);
        while !Connection::to(address)
            .send(&Request::get("/simple/"))
            .is_ok_and(|answer| answer.status == 200)
        {
            if Instant::now() > deadline {
                bail!(
                    "pypiserver does not answer:\n{}",
                    fs::read_to_string(folder.join("pypiserver.log"))?
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(server)
    }

    /// Puts a file where it serves from, as an operator would.
    pub fn put(&self, distribution: &Distribution) -> anyhow::Result<()> {
        fs::File::create(self.packages.join(&distribution.file_name))?
            .write_all(&distribution.bytes)?;
        Ok(())
    }
}

impl Drop for PypiServer {
    fn drop(&mut self) {
        // The master ends its workers when it is asked to, not when it is killed.
        let _ = Command::new("kill")
            .arg(self.process.id().to_string())
            .status();
        let _ = self.process.wait();
    }
}
