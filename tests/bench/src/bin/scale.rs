//! The server's cost as the registry grows: the same requests to a registry of 1,000, of 100,000
//! and of 1,000,000 projects, on SQLite and on PostgreSQL.
//!
//! Everything except the list of projects and the search must cost the same at all sizes, the list
//! the same for each byte, and memory must stay below a limit. Fails otherwise. `--projects
//! 1000,20000` tries other sizes, `--database sqlite` one database.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks")]

use std::fmt::Write;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use bench::measure::print_table;
use serde_json::{Value, json};
use tests::{Clients, Connection, Package, Request, Setup, basic_token, postgres};

/// Largest allowed ratio to the cost at the first size.
const MOST: f64 = 1.5;
/// The same for the first page of a search.
const MOST_SEARCH: f64 = 3.0;
/// Megabytes of a server after all requests of this benchmark.
const MOST_MB: f64 = 300.0;

/// Projects written by one transaction.
const BATCH: usize = 10_000;
/// Starts of a server that are timed.
const STARTS: usize = 5;
/// Uploads of each kind. One user may create 20 projects in an hour.
const UPLOADS: usize = 15;
/// Requests of each quick kind.
const REQUESTS: usize = 200;
/// Times the whole list is fetched, each after an upload of a new project.
const LISTS: usize = 5;
/// Runs of the command that reads the decision log.
const COMMANDS: usize = 7;

/// Search texts: one that many names contain, one that some begin with, ones that few contain, one
/// that none contains, and short ones.
const SEARCHES: [&str; 6] = ["data", "py", "-x77", "parser-x", "qqqq", "x"];

const WORDS: [&str; 24] = [
    "async", "data", "flask", "django", "numpy", "torch", "parser", "client", "server", "python",
    "tools", "utils", "http", "json", "yaml", "graph", "image", "audio", "cloud", "test", "mock",
    "cache", "queue", "stats",
];

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse()?;
    let clients = Clients::find().context("the Python clients are not set up")?;
    let mut broken = Vec::new();
    let mut results = Vec::new();
    for database in &arguments.databases {
        let measured = measure(database, &arguments.sizes, &clients)?;
        broken.extend(judge(database, &measured));
        if !arguments.as_json {
            show(database, &measured);
        }
        results.extend(
            measured.iter().map(|(size, costs)| json!({ "database": database, "projects": size, "costs": Value::from_iter(costs.iter().map(Cost::to_json)) })),
        );
    }
    if arguments.as_json {
        println!(
            "{}",
            json!({ "bench": "scale", "at_most": { "others": MOST, "search": MOST_SEARCH, "memory_mb": MOST_MB }, "measured": results })
        );
    }
    ensure!(broken.is_empty(), "{}", broken.join("; "));
    Ok(())
}

struct Arguments {
    as_json: bool,
    sizes: Vec<usize>,
    databases: Vec<&'static str>,
}

impl Arguments {
    fn parse() -> anyhow::Result<Self> {
        let mut read = Self {
            as_json: false,
            sizes: vec![1_000, 100_000, 1_000_000],
            databases: vec!["sqlite", "postgres"],
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--json" => read.as_json = true,
                "--projects" => {
                    let sizes = arguments
                        .next()
                        .context("--projects needs sizes, as in 1000,20000")?;
                    read.sizes = sizes
                        .split(',')
                        .map(|size| size.parse().context("a size is a number"))
                        .collect::<anyhow::Result<_>>()?;
                    ensure!(
                        read.sizes.is_sorted() && read.sizes.first() > Some(&0),
                        "sizes grow, and none is 0"
                    );
                }
                "--database" => match arguments.next().as_deref() {
                    Some("sqlite") => read.databases = vec!["sqlite"],
                    Some("postgres") => read.databases = vec!["postgres"],
                    _ => bail!("--database needs sqlite or postgres"),
                },
                other => bail!("{other} is not known"),
            }
        }
        Ok(read)
    }
}

/// The cost of one operation at one size.
struct Cost {
    what: &'static str,
    unit: &'static str,
    value: f64,
    /// The largest allowed ratio of its cost at the last size to that at the first.
    most: Option<f64>,
}

impl Cost {
    fn to_json(&self) -> Value {
        json!({ "what": self.what, "unit": self.unit, "value": self.value, "at_most": self.most })
    }
}

type Measured = Vec<(usize, Vec<Cost>)>;

fn measure(database: &str, sizes: &[usize], clients: &Clients) -> anyhow::Result<Measured> {
    let postgres = match database {
        "postgres" => Some(postgres::new_database().context("PostgreSQL is not installed")?),
        _ => None,
    };
    // Everything that is measured comes from one user and one address.
    let mut setup = Setup::default()
        .flag("--new-projects-per-user", "1000")
        .flag("--new-projects-per-address", "1000");
    if let Some(postgres) = &postgres {
        setup = setup.database(&postgres.url);
    }
    // The first start creates the tables.
    ensure!(
        setup.clone().start().stop().success(),
        "the server does not stop"
    );
    let mut measured = Vec::new();
    let mut size_before = 0;
    for (number, size) in sizes.iter().enumerate() {
        eprintln!("{database}: growing to {size} projects");
        grow(
            &setup,
            postgres.as_ref().map(|postgres| postgres.url.as_str()),
            clients,
            size_before,
            *size,
        )?;
        size_before = *size;
        eprintln!("{database}: measuring");
        measured.push((*size, measure_one(&setup, *size, number)?));
    }
    Ok(measured)
}

fn grow(
    setup: &Setup,
    postgres: Option<&str>,
    clients: &Clients,
    from: usize,
    to: usize,
) -> anyhow::Result<()> {
    let folder = setup.folder.path();
    let mut script = String::from(
        "CREATE TEMPORARY TABLE words (place BIGINT, word TEXT);\nCREATE TEMPORARY TABLE batch (n BIGINT, tail TEXT, name TEXT);\n",
    );
    for (place, word) in WORDS.iter().enumerate() {
        writeln!(script, "INSERT INTO words VALUES ({place}, '{word}');")?;
    }
    let bytes = if postgres.is_some() { "BYTEA" } else { "BLOB" };
    let filler = "a context as it is kept, ".repeat(16);
    for start in (from..to).step_by(BATCH) {
        let end = (start + BATCH).min(to) - 1;
        let text = include_str!("grow.sql")
            .replace("{from}", &start.to_string())
            .replace("{to}", &end.to_string());
        script.push_str(&text.replace("{bytes}", bytes).replace("{filler}", &filler));
    }
    script.push_str("ANALYZE;\n");
    let path = folder.join("grow.sql");
    fs::write(&path, script)?;
    let Some(url) = postgres else {
        let run = "import sqlite3, sys\nconnection = sqlite3.connect(sys.argv[1], isolation_level=None)\nconnection.execute('PRAGMA synchronous = OFF')\nconnection.executescript(open(sys.argv[2]).read())\n";
        let database = setup.data().join("portcullis.sqlite");
        ensure!(database.exists(), "{} is not there", database.display());
        clients
            .python(
                folder,
                run,
                &[&database.display().to_string(), &path.display().to_string()],
            )
            .ok();
        return Ok(());
    };
    let output = Command::new("psql")
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f"])
        .arg(&path)
        .arg(url)
        .stdin(Stdio::null())
        .output()
        .context("psql does not start")?;
    ensure!(
        output.status.success(),
        "psql: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

fn measure_one(setup: &Setup, size: usize, number: usize) -> anyhow::Result<Vec<Cost>> {
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let begin = Instant::now();
        let server = setup.clone().start();
        starts.push(milliseconds(begin));
        ensure!(server.stop().success(), "the server does not stop");
    }
    let server = setup.clone().start();
    let user = server.user(&format!("owner-{number}"));
    let authorization = basic_token(&server.setup.token(&user, &["--account"]));
    let upload = |name: &str, version: &str| -> anyhow::Result<f64> {
        let request =
            tests::upload_request(&Package::new(name, version).wheel(), Some(&authorization));
        let begin = Instant::now();
        let answer = server.try_send(&request)?;
        ensure!(
            answer.status == 200,
            "an upload: {} {}",
            answer.status,
            answer.text()
        );
        Ok(milliseconds(begin))
    };
    // So that no one-time cost is measured.
    upload(&format!("warm-up-{number}"), "1.0")?;
    let mut connection = Connection::to(server.address);
    let mut fetch = |path: &str| -> anyhow::Result<(f64, usize)> {
        // Browsers are redirected to the configured address; this one was already.
        let request = Request::get(path)
            .header("Accept", "text/html")
            .header("Cookie", "portcullis-moved=1");
        let begin = Instant::now();
        let answer = connection.send(&request)?;
        ensure!(answer.status == 200, "{path}: {}", answer.status);
        Ok((milliseconds(begin), answer.body.len()))
    };

    let (first_list, _) = fetch("/simple/")?;
    let mut lists = Vec::new();
    let mut list_bytes = 0;
    let mut creations = Vec::new();
    for upload_number in 0..UPLOADS {
        creations.push(upload(&format!("new-{number}-{upload_number}"), "1.0")?);
        if upload_number < LISTS {
            let (time, bytes) = fetch("/simple/")?;
            lists.push(time);
            list_bytes = bytes;
        }
    }
    let existing = (0..UPLOADS)
        .map(|version| upload(&format!("warm-up-{number}"), &format!("2.{version}")))
        .collect::<anyhow::Result<Vec<f64>>>()?;

    let mut times = |paths: &mut dyn Iterator<Item = String>| -> anyhow::Result<Vec<f64>> {
        paths.map(|path| Ok(fetch(&path)?.0)).collect()
    };
    // Each requested for the first time: read from the database.
    let mut pages = (0..REQUESTS).map(|request| {
        format!(
            "/simple/{}/",
            project_name(request * (size / REQUESTS).max(1) % size)
        )
    });
    let pages = times(&mut pages)?;
    let kept = times(&mut (0..REQUESTS).map(|_| format!("/simple/{}/", project_name(0))))?;
    let lists_for_people = times(&mut (0..REQUESTS).map(|request| match request % 2 {
        0 => "/projects/".to_owned(),
        _ => format!("/projects/?after={}", project_name(size / 2)),
    }))?;
    let mut searches = Vec::new();
    for text in SEARCHES {
        searches.push(median(times(
            &mut (0..REQUESTS / 4).map(|_| format!("/projects/?q={text}")),
        )?));
    }
    let searched = searches.into_iter().fold(0.0, f64::max);
    let mut commands = Vec::new();
    for filter in [
        &["--limit", "50"][..],
        &["--outcome", "denied"],
        &["--project", "data-data-x25"],
    ] {
        for _ in 0..COMMANDS {
            let begin = Instant::now();
            server.command_line(&[&["decisions"], filter].concat()).ok();
            commands.push(milliseconds(begin));
        }
    }
    let memory = server.memory() as f64 / 1e6;
    ensure!(server.stop().success(), "the server does not stop");

    let flat = |what, value| Cost {
        what,
        unit: "ms",
        value,
        most: Some(MOST),
    };
    Ok(vec![
        flat("start", median(starts)),
        flat("upload of a new project", median(creations)),
        flat("upload to a project that exists", median(existing)),
        flat("project page, from the database", median(pages)),
        flat("project page, from memory", median(kept)),
        flat("list of projects for people", median(lists_for_people)),
        Cost {
            what: "search, first page of the slowest",
            unit: "ms",
            value: searched,
            most: Some(MOST_SEARCH),
        },
        flat("decision log, by command", median(commands)),
        Cost {
            what: "/simple/ after an upload, a megabyte",
            unit: "ms",
            value: median(lists) / list_bytes as f64 * 1e6,
            most: Some(MOST),
        },
        Cost {
            what: "/simple/, the first after a start",
            unit: "ms",
            value: first_list,
            most: None,
        },
        Cost {
            what: "memory",
            unit: "MB",
            value: memory,
            most: None,
        },
    ])
}

/// As created by grow.sql.
fn project_name(number: usize) -> String {
    format!(
        "{}-{}-x{number}",
        WORDS[number % WORDS.len()],
        WORDS[number / WORDS.len() % WORDS.len()]
    )
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The violated bounds.
fn judge(database: &str, measured: &Measured) -> Vec<String> {
    let (Some((_, first)), Some((_, last))) = (measured.first(), measured.last()) else {
        return Vec::new();
    };
    let mut broken = Vec::new();
    for (before, after) in first.iter().zip(last) {
        let ratio = after.value / before.value;
        if after.most.is_some_and(|most| ratio > most) {
            broken.push(format!(
                "{database}: {}: {ratio:.2} times as much",
                after.what
            ));
        }
    }
    for (size, costs) in measured {
        for cost in costs
            .iter()
            .filter(|cost| cost.unit == "MB" && cost.value > MOST_MB)
        {
            broken.push(format!(
                "{database}: memory at {size} projects: {:.0} MB",
                cost.value
            ));
        }
    }
    broken
}

fn show(database: &str, measured: &Measured) {
    println!("\nportcullis on {database}, medians");
    let mut heading = vec![String::new()];
    heading.extend(measured.iter().map(|(size, _)| format!("{size} projects")));
    heading.extend(["ratio".to_owned(), "at most".to_owned()]);
    let mut rows = vec![heading];
    let count = measured.first().map_or(0, |(_, costs)| costs.len());
    for line in 0..count {
        let costs: Vec<&Cost> = measured.iter().map(|(_, costs)| &costs[line]).collect();
        let (first, last) = (costs[0], costs[costs.len() - 1]);
        let mut row = vec![format!("{}, {}", first.what, first.unit)];
        row.extend(costs.iter().map(|cost| format!("{:.2}", cost.value)));
        row.push(format!("{:.2}", last.value / first.value));
        row.push(first.most.map_or_else(
            || {
                if first.unit == "MB" {
                    format!("{MOST_MB:.0} MB")
                } else {
                    String::new()
                }
            },
            |most| most.to_string(),
        ));
        rows.push(row);
    }
    print_table(&rows);
}
