//! What the server is compared with, filled with the same files, and the load on all of them.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
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

/// pypiserver under gunicorn, with its cached back end: the fastest setup in its documentation.
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
        // The master stops its workers when it is terminated, but not when it is killed.
        let _ = Command::new("kill")
            .arg(self.process.id().to_string())
            .status();
        let _ = self.process.wait();
    }
}

/// nginx that serves the answers of another server as files: the most that this machine can do
/// over HTTP. Nothing is written to a log, and open files are kept open.
pub struct Nginx {
    process: Child,
    pub address: SocketAddr,
    root: PathBuf,
}

impl Nginx {
    /// Starts it on an empty folder.
    pub fn start(folder: &Path) -> anyhow::Result<Self> {
        let folder = folder.join("nginx");
        let root = folder.join("root");
        fs::create_dir_all(&root)?;
        // Its workers change to a user of their own where root starts them.
        let user = match fs::metadata(&root)?.uid() {
            0 => "user root;",
            _ => "",
        };
        let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let place = folder.display();
        let configuration = folder.join("nginx.conf");
        fs::write(
            &configuration,
            format!(
                "{user} worker_processes auto; daemon off; pid {place}/pid; error_log {place}/log;
                events {{ worker_connections 1024; }}
                http {{
                    access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;
                    open_file_cache max=10000 inactive=10m; open_file_cache_valid 10m;
                    default_type application/octet-stream; types {{ text/html html; }}
                    client_body_temp_path {place}/body; proxy_temp_path {place}/proxy;
                    fastcgi_temp_path {place}/fastcgi; uwsgi_temp_path {place}/uwsgi;
                    scgi_temp_path {place}/scgi;
                    server {{ listen {address}; root {place}/root; }}
                }}"
            ),
        )?;
        let installed = Path::new("/usr/sbin/nginx");
        let process = Command::new(match installed.is_file() {
            true => installed,
            // Where other systems have it.
            false => Path::new("nginx"),
        })
        .arg("-c")
        .arg(&configuration)
        .arg("-e")
        .arg(folder.join("log"))
        .stdin(Stdio::null())
        .spawn()
        .context("nginx does not start")?;
        let nginx = Self {
            process,
            address,
            root,
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(address).is_err() {
            if Instant::now() > deadline {
                bail!(
                    "nginx does not answer:\n{}",
                    fs::read_to_string(folder.join("log")).unwrap_or_default()
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(nginx)
    }

    /// Keeps what the server at `from` answers at these paths, to serve the same bytes there.
    pub fn copy(
        &self,
        from: SocketAddr,
        paths: &[String],
        headers: &[(&str, &str)],
    ) -> anyhow::Result<()> {
        let mut connection = Connection::to(from);
        for path in paths {
            let request = headers
                .iter()
                .fold(Request::get(path), |request, (name, value)| {
                    request.header(name, value)
                });
            let answer = connection.send(&request)?;
            ensure!(answer.status == 200, "{path}: {}", answer.status);
            let mut place = self.root.join(path.trim_start_matches('/'));
            if path.ends_with('/') {
                place.push("index.html");
            }
            if let Some(parent) = place.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(place, &answer.body)?;
        }
        Ok(())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = Command::new("kill")
            .arg(self.process.id().to_string())
            .status();
        let _ = self.process.wait();
    }
}
