//! The server beside pypiserver, on the same 2,000 files in one run: project pages, small
//! downloads, durable uploads; beside nginx, which serves the same pages and files from its disk;
//! what the gate takes of a page; memory.
//!
//! Every request is decided. Fails if a bound is violated.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks")]

use std::time::Duration;

use anyhow::{Context, ensure};
use bench::measure::print_table;
use bench::rig::{FILES, Nginx, PROJECTS, PypiServer, files_of, load, project_name, send_all};
use serde_json::json;
use tests::{Clients, Distribution, Package, Request, Server, Setup, basic_token, upload_request};

/// Seconds of each load.
const SECONDS: u64 = 6;
/// Files uploaded to measure the rate.
const UPLOADS: usize = 400;
/// Connections that upload at once.
const UPLOADERS: usize = 8;

/// Smallest allowed ratio to pypiserver.
const LEAST_PAGES: f64 = 15.0;
const LEAST_DOWNLOADS: f64 = 3.0;
const LEAST_UPLOADS: f64 = 3.0;
/// Share of what nginx serves.
const LEAST_OF_NGINX_PAGES: f64 = 0.35;
const LEAST_OF_NGINX_DOWNLOADS: f64 = 0.25;
const LEAST_OF_NGINX_LARGE: f64 = 0.5;
/// Share of a page's time that the gate may take, both at the median.
const MOST_GATE_SHARE: f64 = 0.6;
/// Bytes of the large file.
const LARGE: usize = 50 << 20;
/// Megabytes of an idle server, and after load.
const MOST_IDLE_MB: f64 = 120.0;
const MOST_LOADED_MB: f64 = 200.0;

fn main() -> anyhow::Result<()> {
    let as_json = std::env::args().any(|argument| argument == "--json");
    let clients = Clients::find().context("the Python clients are not set up")?;
    let folder = tempfile::tempdir()?;

    let server = Setup::default()
        .flag("--trusted-proxies", "127.0.0.1")
        .start();
    let idle_mb = megabytes(&server);
    // No one may create hundreds of projects in an hour, so there are several owners.
    let owners: Vec<Owner> = (0..PROJECTS.div_ceil(PROJECTS_OF_ONE))
        .map(|number| Owner::new(&server, number))
        .collect();
    let theirs = PypiServer::start(&clients, folder.path())?;

    eprintln!("filling both with {} files", PROJECTS * FILES);
    let files: Vec<Distribution> = (0..PROJECTS).flat_map(files_of).collect();
    files.iter().try_for_each(|file| theirs.put(file))?;
    // The first file of each project creates it; the others follow once it exists.
    let numbered = || {
        files.iter().enumerate().map(|(number, file)| {
            (
                number,
                owners[number / FILES / PROJECTS_OF_ONE].upload(file),
            )
        })
    };
    let first: Vec<Request> = numbered()
        .filter(|(number, _)| number % FILES == 0)
        .map(|(_, request)| request)
        .collect();
    send_all(server.address, UPLOADERS, &first)?;
    let others: Vec<Request> = numbered()
        .filter(|(number, _)| number % FILES != 0)
        .map(|(_, request)| request)
        .collect();
    send_all(server.address, UPLOADERS, &others)?;
    drop((first, others));
    // Their cache has seen the new files once it lists the last one.
    let last = format!("/simple/{}/", project_name(PROJECTS - 1));
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while !tests::Connection::to(theirs.address)
        .send(&Request::get(&last))?
        .text()
        .contains(&files[files.len() - 1].file_name)
    {
        ensure!(
            std::time::Instant::now() < deadline,
            "pypiserver does not list what it was given"
        );
        std::thread::sleep(Duration::from_millis(200));
    }

    let pages: Vec<String> = (0..PROJECTS)
        .map(|project| format!("/simple/{}/", project_name(project)))
        .collect();
    let our_downloads: Vec<String> = files.iter().map(Distribution::path).collect();
    let their_downloads: Vec<String> = files
        .iter()
        .map(|file| format!("/packages/{}", file.file_name))
        .collect();
    let html = [("Accept", "text/html")];

    eprintln!("project pages, {SECONDS} s each");
    // Both warm: each page was requested once.
    for address in [server.address, theirs.address] {
        send_all(
            address,
            4,
            &pages
                .iter()
                .map(|path| Request::get(path))
                .collect::<Vec<_>>(),
        )?;
    }
    let their_pages = load(theirs.address, &pages, &html, SECONDS, folder.path())?;
    let log_before = server.log().len();
    let our_pages = load(server.address, &pages, &html, SECONDS, folder.path())?;
    let gate = GateTimes::read(&server, log_before)?;
    let nginx = Nginx::start(folder.path())?;
    nginx.copy(server.address, &pages, &html)?;
    let nginx_pages = load(nginx.address, &pages, &html, SECONDS, folder.path())?;

    eprintln!("downloads, {SECONDS} s each");
    let their_files = load(
        theirs.address,
        &their_downloads,
        &[],
        SECONDS,
        folder.path(),
    )?;
    let our_files = load(server.address, &our_downloads, &[], SECONDS, folder.path())?;
    nginx.copy(server.address, &our_downloads, &[])?;
    let nginx_files = load(nginx.address, &our_downloads, &[], SECONDS, folder.path())?;

    eprintln!("a file of {} MiB, {SECONDS} s each", LARGE >> 20);
    let large = Package::new(&project_name(0), "3.0")
        .with_payload(LARGE)
        .wheel();
    send_all(server.address, 1, &[owners[0].upload(&large)])?;
    let large = [large.path()];
    let our_large = load(server.address, &large, &[], SECONDS, folder.path())?;
    nginx.copy(server.address, &large, &[])?;
    let nginx_large = load(nginx.address, &large, &[], SECONDS, folder.path())?;
    drop(nginx);

    eprintln!("uploads, {UPLOADS} each over {UPLOADERS} connections");
    let new: Vec<Distribution> = (0..UPLOADS)
        .map(|number| {
            Package::new(
                &project_name(number % PROJECTS),
                &format!("2.{}", number / PROJECTS),
            )
            .with_payload(20_000 + number)
            .wheel()
        })
        .collect();
    let their_uploads = send_all(
        theirs.address,
        UPLOADERS,
        &new.iter().map(to_pypiserver).collect::<Vec<_>>(),
    )?;
    let our_uploads = send_all(
        server.address,
        UPLOADERS,
        &new.iter()
            .enumerate()
            .map(|(number, file)| owners[number % PROJECTS / PROJECTS_OF_ONE].upload(file))
            .collect::<Vec<_>>(),
    )?;
    let loaded_mb = megabytes(&server);

    let rows = [
        (
            "project pages (10 files) /s",
            our_pages,
            their_pages,
            LEAST_PAGES,
        ),
        (
            "small file downloads /s",
            our_files,
            their_files,
            LEAST_DOWNLOADS,
        ),
        (
            "durable uploads /s",
            our_uploads,
            their_uploads,
            LEAST_UPLOADS,
        ),
    ];
    let of_nginx = [
        (
            "project pages (10 files) /s",
            our_pages,
            nginx_pages,
            LEAST_OF_NGINX_PAGES,
        ),
        (
            "small file downloads /s",
            our_files,
            nginx_files,
            LEAST_OF_NGINX_DOWNLOADS,
        ),
        (
            "50 MiB downloads /s",
            our_large,
            nginx_large,
            LEAST_OF_NGINX_LARGE,
        ),
    ];
    let limits = [
        (
            "gate's share of a page's time (p50)",
            gate.deciding_us / gate.total_us,
            MOST_GATE_SHARE,
        ),
        ("memory idle, MB", idle_mb, MOST_IDLE_MB),
        ("memory after load, MB", loaded_mb, MOST_LOADED_MB),
    ];
    if as_json {
        let compared: Vec<_> = rows
            .iter()
            .map(|(what, ours, theirs, least)| json!({"what": what, "portcullis": ours, "pypiserver": theirs, "ratio": ours / theirs, "at_least": least}))
            .collect();
        let shares: Vec<_> = of_nginx
            .iter()
            .map(|(what, ours, theirs, least)| json!({"what": what, "portcullis": ours, "nginx": theirs, "share": ours / theirs, "at_least": least}))
            .collect();
        let bounded: Vec<_> = limits
            .iter()
            .map(|(what, value, most)| json!({"what": what, "value": value, "at_most": most}))
            .collect();
        println!(
            "{}",
            json!({
                "bench": "server",
                "files": files.len(),
                "compared": compared,
                "of_nginx": shares,
                "gate": {"deciding_us": gate.deciding_us, "total_us": gate.total_us},
                "bounded": bounded,
            })
        );
    } else {
        println!(
            "\nportcullis with policies/default beside pypiserver (gunicorn, 4 workers), {} files",
            files.len()
        );
        let mut table = vec![
            ["", "portcullis", "pypiserver", "ratio", "at least"]
                .map(str::to_owned)
                .to_vec(),
        ];
        table.extend(rows.iter().map(|(what, ours, theirs, least)| {
            vec![
                (*what).to_owned(),
                format!("{ours:.0}"),
                format!("{theirs:.0}"),
                format!("{:.1}", ours / theirs),
                format!("{least:.0}"),
            ]
        }));
        print_table(&table);
        println!("\nbeside nginx, which serves the same answers as files and decides nothing");
        let mut table = vec![
            ["", "portcullis", "nginx", "share", "at least"]
                .map(str::to_owned)
                .to_vec(),
        ];
        table.extend(of_nginx.iter().map(|(what, ours, theirs, least)| {
            vec![
                (*what).to_owned(),
                format!("{ours:.0}"),
                format!("{theirs:.0}"),
                format!("{:.0} %", 100.0 * ours / theirs),
                format!("{:.0} %", 100.0 * least),
            ]
        }));
        print_table(&table);
        println!(
            "\na page takes {:.0} µs within the server, of which deciding takes {:.1} µs (medians)",
            gate.total_us, gate.deciding_us
        );
        let mut table = vec![["", "measured", "at most"].map(str::to_owned).to_vec()];
        table.extend(limits.iter().map(|(what, value, most)| {
            vec![
                (*what).to_owned(),
                format!("{value:.2}"),
                format!("{most:.1}"),
            ]
        }));
        print_table(&table);
    }
    let mut broken: Vec<String> = rows
        .iter()
        .filter(|(_, ours, theirs, least)| ours / theirs < *least)
        .map(|(what, ours, theirs, least)| {
            format!("{what}: {:.1} times, not {least}", ours / theirs)
        })
        .collect();
    broken.extend(
        of_nginx
            .iter()
            .filter(|(_, ours, theirs, least)| ours / theirs < *least)
            .map(|(what, ours, theirs, least)| {
                format!(
                    "{what}: {:.0} % of nginx, not {:.0} %",
                    100.0 * ours / theirs,
                    100.0 * least
                )
            }),
    );
    broken.extend(
        limits
            .iter()
            .filter(|(_, value, most)| value > most)
            .map(|(what, value, most)| format!("{what}: {value:.1}, not below {most}")),
    );
    ensure!(broken.is_empty(), "{}", broken.join("; "));
    Ok(())
}

/// Projects that one owner creates; the registry allows 20 in an hour.
const PROJECTS_OF_ONE: usize = 16;

/// An uploader with an address of their own.
struct Owner {
    authorization: String,
    address: String,
}

impl Owner {
    fn new(server: &Server, number: usize) -> Self {
        let user = server.user(&format!("owner-{number}"));
        Self {
            authorization: basic_token(&server.setup.token(&user, &["--account"])),
            address: format!("10.0.0.{}", number + 1),
        }
    }

    fn upload(&self, file: &Distribution) -> Request {
        upload_request(file, Some(&self.authorization)).header("X-Forwarded-For", &self.address)
    }
}

fn megabytes(server: &Server) -> f64 {
    server.memory() as f64 / 1e6
}

/// Medians of what pages took, in microseconds, as the server's log says of each it served.
struct GateTimes {
    deciding_us: f64,
    total_us: f64,
}

impl GateTimes {
    fn read(server: &Server, log_before: usize) -> anyhow::Result<Self> {
        let log = server.settled_log_since(log_before);
        let median = |field: &str| {
            let mut found: Vec<f64> = log
                .lines()
                .filter(|line| line.contains("/simple/sample-"))
                .filter_map(|line| {
                    let value = line.split(field).nth(1)?;
                    value.split_whitespace().next()?.parse().ok()
                })
                .collect();
            ensure!(
                found.len() > 1000,
                "the log shows only {} pages",
                found.len()
            );
            found.sort_by(f64::total_cmp);
            Ok(found[found.len() / 2])
        };
        Ok(Self {
            deciding_us: median("deciding_us=")?,
            total_us: median("total_us=")?,
        })
    }
}

/// The same upload for pypiserver, which takes it at its root without a credential.
fn to_pypiserver(file: &Distribution) -> Request {
    let (content_type, body) = file.multipart();
    Request::new("POST", "/").body(&content_type, body)
}
