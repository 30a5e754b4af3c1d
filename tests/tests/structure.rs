//! The rules of the design that a compiler does not check: which crate may depend on which, which
//! crate may name which outside technology, and what no source file may contain.
//!
//! A new dependency or a new place for a technology is a decision: it changes a table here, in the
//! commit that makes it.

#[path = "structure/circles.rs"]
mod circles;
#[path = "structure/long_files.rs"]
mod long_files;
#[path = "structure/places.rs"]
mod places;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Which crate may depend on which other crate of the workspace, outside of its tests:
/// server -> http -> {registry, identity} -> gate -> {policy-engine, storage, model},
/// storage -> model, {server, registry} -> blobs -> model; {registry, identity} -> turns -> model.
const ARROWS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("policy-engine", &[]),
    ("blobs", &["model"]),
    ("turns", &["model"]),
    ("storage", &["model"]),
    ("gate", &["policy-engine", "storage", "model"]),
    ("identity", &["gate", "storage", "turns", "model"]),
    ("registry", &["blobs", "gate", "storage", "turns", "model"]),
    ("mail", &["storage", "model"]),
    (
        "portcullis-http",
        &["registry", "identity", "gate", "storage", "model"],
    ),
    (
        "server",
        &[
            "portcullis-http",
            "mail",
            "registry",
            "identity",
            "gate",
            "policy-engine",
            "blobs",
            "storage",
            "model",
        ],
    ),
    // For tests alone; a test of its own holds that.
    ("testkit", &["gate", "policy-engine", "storage", "model"]),
    ("policy-sdk", &[]),
    ("restrict-routes", &["policy-sdk"]),
    ("require-second-factor", &["policy-sdk"]),
    ("owner-mandate", &["policy-sdk"]),
    ("staged-release", &["policy-sdk"]),
    ("refuse-breached-passwords", &["policy-sdk"]),
    ("require-recent-proof", &["policy-sdk"]),
    ("guests", &["policy-sdk"]),
    ("xtask", &[]),
];

/// Crates that test the others and may therefore name any of them, and any technology.
const PROOF: &[&str] = &["tests", "bench"];

/// Which crates may name which outside technology, outside of their tests.
const TECHNOLOGIES: &[(&str, &[&str])] = &[
    // All SQL is in one crate.
    ("sqlx", &["storage"]),
    // So is everything about sandboxes ...
    ("wasmtime", &["policy-engine"]),
    // (the build tool names it only for its features)
    ("wasmparser", &["policy-engine", "tests", "xtask"]),
    ("wit-bindgen", &["policy-sdk", "guests"]),
    // ... and serving HTTP. The program serves what the crate builds.
    ("axum", &["portcullis-http"]),
    ("tower", &["portcullis-http"]),
    ("tower-http", &["portcullis-http"]),
    ("hyper", &["portcullis-http", "server"]),
    ("hyper-util", &["portcullis-http", "server"]),
    // Credentials are verified in one place.
    ("argon2", &["identity"]),
    ("password-hash", &["identity"]),
    ("totp-rs", &["identity"]),
    ("webauthn-rs", &["identity"]),
    ("getrandom", &["identity"]),
    ("zxcvbn", &["identity"]),
    // Which spellings of a password, a file name and a domain are the same is defined once each.
    ("unicode-normalization", &["identity", "registry"]),
    ("idna", &["model"]),
    // Mail is sent from one place; pages and mails have templates.
    ("lettre", &["mail"]),
    ("askama", &["portcullis-http", "mail"]),
    // The name of a blob is computed where it is received.
    ("blake2", &["blobs"]),
    ("md-5", &["blobs"]),
    // Untrusted archives are opened in one place.
    ("zip", &["registry"]),
    ("tar", &["registry"]),
    ("flate2", &["registry"]),
    ("clap", &["server"]),
    ("reqwest", &["server", "identity"]),
    ("rustls", &["identity"]),
    ("sd-notify", &["server"]),
    // Never, in the server: a policy imports nothing, so there is nothing to provide.
    ("wasmtime-wasi", &[]),
    ("openssl", &[]),
    ("native-tls", &[]),
];

/// Generated sources; a separate test compares each with its origin.
const GENERATED: &[&str] = &["plugins/policy-sdk/src/bindings.rs"];

/// Crates that know no I/O and no async runtime.
const PURE: &[&str] = &[
    "model",
    "policy-sdk",
    "restrict-routes",
    "require-second-factor",
    "owner-mandate",
    "staged-release",
    "refuse-breached-passwords",
    "require-recent-proof",
];
const RUNTIMES: &[&str] = &["tokio", "tokio-util", "futures-util", "reqwest", "hyper"];

/// One crate as its manifest describes it.
#[derive(Clone, Debug)]
struct Manifest {
    name: String,
    text: toml::Table,
}

impl Manifest {
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path)
            .unwrap_or_else(|cause| panic!("cannot read {}: {cause}", path.display()));
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Self {
        let text: toml::Table = text
            .parse()
            .unwrap_or_else(|cause| panic!("{}: {cause}", path.display()));
        let name = text["package"]["name"]
            .as_str()
            .expect("a package has a name")
            .to_owned();
        Self { name, text }
    }

    /// Dependencies of these kinds, including build targets, by package name (so that renaming a
    /// dependency hides nothing).
    fn dependencies(&self, kinds: &[&str]) -> Vec<(String, &toml::Value)> {
        let mut tables: Vec<&toml::Table> = vec![&self.text];
        if let Some(targets) = self.text.get("target").and_then(toml::Value::as_table) {
            tables.extend(targets.values().filter_map(toml::Value::as_table));
        }
        let mut found = Vec::new();
        for table in tables {
            for kind in kinds {
                let Some(dependencies) = table.get(*kind).and_then(toml::Value::as_table) else {
                    continue;
                };
                for (key, value) in dependencies {
                    let package = value
                        .get("package")
                        .and_then(toml::Value::as_str)
                        .unwrap_or(key);
                    found.push((package.to_owned(), value));
                }
            }
        }
        found
    }
}

/// Every violation of the rules about manifests, one sentence each.
fn manifest_violations(manifests: &[Manifest]) -> Vec<String> {
    let ours: BTreeSet<&str> = manifests
        .iter()
        .map(|manifest| manifest.name.as_str())
        .collect();
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let technologies: BTreeMap<&str, &[&str]> = TECHNOLOGIES.iter().copied().collect();
    let mut violations = Vec::new();

    for manifest in manifests {
        let name = manifest.name.as_str();
        if manifest
            .text
            .get("lints")
            .and_then(|lints| lints.get("workspace"))
            .and_then(toml::Value::as_bool)
            != Some(true)
        {
            violations.push(format!("{name} does not take the workspace's lints"));
        }
        for (dependency, value) in
            manifest.dependencies(&["dependencies", "dev-dependencies", "build-dependencies"])
        {
            let in_table = value.get("workspace").and_then(toml::Value::as_bool) == Some(true)
                || value.get("path").is_some();
            if !in_table {
                violations.push(format!("{name} gives {dependency} a version of its own; versions are in the workspace's table"));
            }
        }
        if PROOF.contains(&name) {
            continue;
        }
        let Some(allowed) = arrows.get(name) else {
            violations.push(format!(
                "{name} is in no row of ARROWS; say what it may depend on"
            ));
            continue;
        };
        for (dependency, _) in manifest.dependencies(&["dependencies", "build-dependencies"]) {
            if ours.contains(dependency.as_str()) && !allowed.contains(&dependency.as_str()) {
                violations.push(format!("{name} may not depend on {dependency}"));
            }
            if technologies
                .get(dependency.as_str())
                .is_some_and(|crates| !crates.contains(&name))
            {
                violations.push(format!("{name} may not name {dependency}"));
            }
            if PURE.contains(&name) && RUNTIMES.contains(&dependency.as_str()) {
                violations.push(format!("{name} is pure and may not name {dependency}"));
            }
        }
        // Host and plugins never depend on each other, not even in tests.
        for (dependency, _) in manifest.dependencies(&["dev-dependencies"]) {
            let is_plugin = |name: &str| {
                arrows
                    .get(name)
                    .is_some_and(|allowed| allowed.contains(&"policy-sdk"))
                    || name == "policy-sdk"
            };
            if ours.contains(dependency.as_str()) && is_plugin(name) != is_plugin(&dependency) {
                violations.push(format!(
                    "{name} may not depend on {dependency}, not even in its tests"
                ));
            }
        }
    }
    violations
}

/// Every violation of the rules about source text, one sentence each. `in_product` is
/// false for tests and tools.
fn source_violations(path: &str, text: &str, in_product: bool) -> Vec<String> {
    let mut violations = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        let number = index + 1;
        let code = line.split("//").next().unwrap_or_default();
        for unfinished in ["todo!(", "unimplemented!(", "dbg!("] {
            if code.contains(unfinished) {
                violations.push(format!("{path}:{number} contains {unfinished})"));
            }
        }
        if code.trim_start().starts_with("#[ignore") {
            violations.push(format!("{path}:{number} ignores a test"));
        }
        let is_unsafe = code.contains("unsafe {")
            || code.contains("unsafe fn")
            || code.contains("unsafe impl")
            || code.contains("unsafe extern");
        if is_unsafe && in_product {
            let explained = lines[index.saturating_sub(8)..=index]
                .iter()
                .any(|line| line.contains("SAFETY"));
            if !explained {
                violations.push(format!(
                    "{path}:{number} is unsafe and does not say why it is sound (// SAFETY: ...)"
                ));
            }
        }
    }
    violations
}

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ is in the repository")
}

/// Every file below `folder` with this extension, except build output.
fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder)
        .unwrap_or_else(|cause| panic!("cannot list {}: {cause}", folder.display()));
    for entry in entries {
        let path = entry.expect("a folder entry can be read").path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            if name != "target" && name != "data" && !name.starts_with('.') {
                files(&path, extension, found);
            }
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
}

fn manifests() -> Vec<Manifest> {
    let mut paths = Vec::new();
    files(top(), "toml", &mut paths);
    paths.retain(|path| {
        path.file_name().is_some_and(|name| name == "Cargo.toml")
            && *path != top().join("Cargo.toml")
    });
    paths.iter().map(|path| Manifest::read(path)).collect()
}

#[test]
fn crates_depend_on_each_other_and_on_the_outside_only_as_designed() {
    let manifests = manifests();
    assert!(
        manifests.len() >= ARROWS.len(),
        "found only {} manifests",
        manifests.len()
    );
    let violations = manifest_violations(&manifests);
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

/// What tests begin with has no place in what is shipped: it makes callers and permits of nothing.
#[test]
fn nothing_but_tests_depends_on_the_testkit() {
    let manifests = manifests();
    let depend_on_it = |kinds: &[&str]| -> Vec<&str> {
        manifests
            .iter()
            .filter(|manifest| {
                let dependencies = manifest.dependencies(kinds);
                dependencies.iter().any(|(name, _)| name == "testkit")
            })
            .map(|manifest| manifest.name.as_str())
            .collect()
    };
    let product = depend_on_it(&["dependencies", "build-dependencies"]);
    assert!(product.is_empty(), "{product:?} depend on the testkit");
    assert!(!depend_on_it(&["dev-dependencies"]).is_empty());
}

#[test]
fn every_row_of_the_tables_speaks_of_a_crate_that_exists() {
    let names: BTreeSet<String> = manifests()
        .into_iter()
        .map(|manifest| manifest.name)
        .collect();
    for (name, allowed) in ARROWS {
        for name in std::iter::once(name).chain(*allowed) {
            assert!(names.contains(*name), "{name} is no crate of the workspace");
        }
    }
    for (technology, crates) in TECHNOLOGIES {
        for name in *crates {
            assert!(
                names.contains(*name),
                "{name}, which may name {technology}, is no crate of the workspace"
            );
        }
    }
}

#[test]
fn sources_are_finished_run_all_their_tests_and_explain_what_is_unsafe() {
    let mut paths = Vec::new();
    files(top(), "rs", &mut paths);
    assert!(paths.len() > 50, "found only {} source files", paths.len());
    let mut violations = Vec::new();
    for path in paths {
        let shown = path
            .strip_prefix(top())
            .expect("found below the top")
            .display()
            .to_string();
        if shown == "tests/tests/structure.rs" || GENERATED.contains(&shown.as_str()) {
            continue;
        }
        let in_product = shown.starts_with("host/") || shown.starts_with("plugins/");
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|cause| panic!("cannot read {shown}: {cause}"));
        violations.extend(source_violations(&shown, &text, in_product));
    }
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

/// Functions that name an account without its owner, or permit without a policy, are only for the
/// server's command line.
/// command line.
#[test]
fn nothing_that_answers_requests_acts_for_an_operator() {
    let mut paths = Vec::new();
    files(&top().join("host/http/src"), "rs", &mut paths);
    assert!(!paths.is_empty());
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        for named in ["at_the_server", "break_glass"] {
            assert!(!text.contains(named), "{} names {named}", path.display());
        }
    }
}

#[test]
fn statements_are_written_only_where_storage_is() {
    let mut paths = Vec::new();
    for host in [
        "gate",
        "identity",
        "registry",
        "blobs",
        "mail",
        "http",
        "server",
        "model",
        "policy-engine",
        "testkit",
    ] {
        files(&top().join("host").join(host), "rs", &mut paths);
    }
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("a source file can be read");
        for statement in ["\"SELECT ", "\"INSERT INTO ", "\"UPDATE ", "\"DELETE FROM "] {
            assert!(
                !text.contains(statement),
                "{} contains SQL ({statement}…); all SQL is in host/storage",
                path.display()
            );
        }
    }
}

/// The checker must detect what it is there for: each broken example causes exactly its own
/// violation.
mod the_checker {
    use super::*;

    fn check(name: &str, rest: &str) -> Vec<String> {
        let package = |name: &str, rest: &str| {
            let text = format!("[package]\nname = \"{name}\"\n[lints]\nworkspace = true\n{rest}");
            Manifest::parse(Path::new("Cargo.toml"), &text)
        };
        let mut manifests: Vec<Manifest> = ARROWS
            .iter()
            .filter(|(other, _)| *other != name)
            .map(|(other, _)| package(other, ""))
            .collect();
        manifests.push(package(name, rest));
        manifest_violations(&manifests)
    }

    #[test]
    fn accepts_an_arrow_of_the_design() {
        assert_eq!(
            check("gate", "[dependencies]\nstorage.workspace = true\n"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn sees_an_arrow_that_points_up() {
        assert_eq!(
            check("storage", "[dependencies]\ngate.workspace = true\n"),
            ["storage may not depend on gate"]
        );
    }

    #[test]
    fn sees_a_plugin_that_reaches_into_the_host_even_in_tests() {
        assert_eq!(
            check(
                "owner-mandate",
                "[dev-dependencies]\nmodel.workspace = true\n"
            ),
            ["owner-mandate may not depend on model, not even in its tests"]
        );
        assert_eq!(
            check(
                "gate",
                "[dev-dependencies]\nowner-mandate.workspace = true\n"
            ),
            ["gate may not depend on owner-mandate, not even in its tests"]
        );
    }

    #[test]
    fn sees_a_technology_outside_of_its_crate() {
        assert_eq!(
            check("registry", "[dependencies]\nsqlx.workspace = true\n"),
            ["registry may not name sqlx"]
        );
        assert_eq!(
            check("server", "[dependencies]\nwasmtime-wasi.workspace = true\n"),
            ["server may not name wasmtime-wasi"]
        );
    }

    #[test]
    fn sees_a_technology_under_another_name_or_for_one_platform() {
        assert_eq!(
            check(
                "gate",
                "[dependencies]\ndatabase = { workspace = true, package = \"sqlx\" }\n"
            ),
            ["gate may not name sqlx"]
        );
        assert_eq!(
            check(
                "gate",
                "[target.'cfg(unix)'.dependencies]\naxum.workspace = true\n"
            ),
            ["gate may not name axum"]
        );
    }

    #[test]
    fn sees_a_runtime_in_a_pure_crate() {
        assert_eq!(
            check("model", "[dependencies]\ntokio.workspace = true\n"),
            ["model is pure and may not name tokio"]
        );
    }

    #[test]
    fn sees_a_version_outside_of_the_table() {
        let violations = check("gate", "[dependencies]\nserde = \"1\"\n");
        assert_eq!(
            violations,
            ["gate gives serde a version of its own; versions are in the workspace's table"]
        );
    }

    #[test]
    fn sees_a_crate_that_no_row_names() {
        assert_eq!(
            check("newcomer", ""),
            ["newcomer is in no row of ARROWS; say what it may depend on"]
        );
    }

    #[test]
    fn sees_what_is_unfinished_ignored_or_unexplained() {
        assert_eq!(
            source_violations("a.rs", "fn a() { todo!() }", true),
            ["a.rs:1 contains todo!()"]
        );
        assert_eq!(
            source_violations("a.rs", "#[test]\n#[ignore]\nfn a() {}", true),
            ["a.rs:2 ignores a test"]
        );
        assert_eq!(
            source_violations("a.rs", "let a = unsafe { b() };", true).len(),
            1
        );
        assert_eq!(
            source_violations(
                "a.rs",
                "// SAFETY: b is sound here.\nlet a = unsafe { b() };",
                true
            ),
            Vec::<String>::new()
        );
    }
}

/// Folders whose constants limit things that no credential can multiply: formats and protocols are
/// next to their parsers, the words of a page in the page, an engine that depends on no other crate
/// in the engine. The limits of strangers, accounts and tokens are in the table.
const FORMATS: &[(&str, &[&str])] = &[
    ("host/gate/src/package.rs", &["TEXT_LIMIT"]),
    ("host/http/src/shared.rs", &["USUAL_BYTES_PER_SECOND"]),
    ("host/http/src/client_address.rs", &["MAX_HOPS"]),
    ("host/http/src/cookies.rs", &["MAX_VALUE_BYTES"]),
    ("host/http/src/listener.rs", &["MAX_BUFFER_BYTES"]),
    (
        "host/http/src/index/projects.rs",
        &["PER_PAGE", "MAX_PAGES", "MAX_TEXT"],
    ),
    ("host/http/src/request_log.rs", &["MAX_LOGGED_PATH"]),
    ("host/http/src/frame/problem_page.rs", &["MAX_REPEATED"]),
    ("host/http/src/reason_phrase.rs", &["MAX_BYTES"]),
    ("host/http/src/site_map.rs", &["MAX_TARGET_BYTES"]),
    (
        "host/http/src/account/step_up.rs",
        &["MAX_ANSWER_BYTES", "MAX_REASONS", "MAX_REASON"],
    ),
    ("host/http/src/upload/places.rs", &["MOST_MINUTES"]),
    ("host/identity/src/breaches.rs", &["MAX_ANSWER", "MAX_KEPT"]),
    ("host/identity/src/devices.rs", &["MAX_HOST"]),
    (
        "host/identity/src/factors/ceremonies.rs",
        &["MAX_ANSWER", "MAX_CREDENTIAL"],
    ),
    ("host/identity/src/factors/keys.rs", &["MAX_NAME"]),
    ("host/identity/src/factors/recovery_codes.rs", &["MAX_TEXT"]),
    ("host/identity/src/history.rs", &["MAX_ENTRIES"]),
    (
        "host/identity/src/history/device.rs",
        &["MAX_NUMBERS", "MAX_VERSION"],
    ),
    ("host/identity/src/passwords.rs", &["MAX_BYTES"]),
    ("host/identity/src/passwords/form.rs", &["MOST_GROWTH"]),
    (
        "host/identity/src/passwords/strength.rs",
        &["MOST_CHARACTERS"],
    ),
    (
        "host/identity/src/presented.rs",
        &["MAX_USER_LENGTH", "MAX_PASSWORD_LENGTH"],
    ),
    ("host/identity/src/totp.rs", &["MAX_CODE_LENGTH"]),
    ("host/mail/src/letter.rs", &["MAX_WORD"]),
    (
        "host/mail/src/letter/foreign.rs",
        &["MAX_NAME", "MAX_SCOPE", "MAX_REASON"],
    ),
    ("host/mail/src/mailer.rs", &["LONGEST_REST"]),
    ("host/mail/src/message.rs", &["MAX_LINE"]),
    ("host/model/src/contact.rs", &["MAX_BYTES"]),
    ("host/model/src/email.rs", &["MAX_LENGTH", "MAX_LOCAL_PART"]),
    ("host/model/src/name.rs", &["MAX_LENGTH"]),
    ("host/model/src/version.rs", &["MAX_LENGTH"]),
    ("host/registry/src/archive.rs", &["MAX_PATH_BYTES"]),
    (
        "host/registry/src/archive/tar_gz.rs",
        &["MAX_EXTENSION_BYTES"],
    ),
    ("host/registry/src/archive/wheel.rs", &["MAX_SMALL_BYTES"]),
    (
        "host/registry/src/archive/zip_frame.rs",
        &["MAX_DIRECTORY_BYTES"],
    ),
    ("host/registry/src/filename.rs", &["MAX_BYTES"]),
    ("host/registry/src/index/follow.rs", &["MAX_FOLLOWED"]),
    ("host/registry/src/index/list/current.rs", &["MAX_BEHIND"]),
    ("host/registry/src/metadata/checks.rs", &["MAX_SUMMARY"]),
    ("host/registry/src/metadata/requirement.rs", &["MAX_BYTES"]),
    (
        "host/registry/src/metadata/requirement/marker.rs",
        &["MAX_DEPTH"],
    ),
    ("host/registry/src/targets.rs", &["SECONDS_PER_DAY"]),
    ("host/registry/src/upload.rs", &["MAX_TRIES"]),
    ("host/registry/src/upload/error.rs", &["MAX_MESSAGE"]),
    ("host/server/src/configuration/services.rs", &["MAX_LENGTH"]),
    ("host/server/src/commands/release/remote.rs", &["MAX_HOST"]),
    ("host/server/src/remote.rs", &["LONGEST_ANSWER"]),
    ("host/server/src/configuration/value.rs", &["LARGEST"]),
    ("host/server/src/commands/policy/modules.rs", &["LARGEST"]),
    (
        "host/server/src/serve/housekeeping.rs",
        &[
            "ATTEMPTS_KEPT_MS",
            "SERVERS_KEPT_MS",
            "MAILS_KEPT_MS",
            "DEVICES_KEPT_MS",
        ],
    ),
    ("host/server/src/terminal.rs", &["LONGEST"]),
    ("host/storage/src/attempts.rs", &["MAX_KEY"]),
    ("host/storage/src/decisions.rs", &["MAX_NAME"]),
    (
        "host/storage/src/keys.rs",
        &["MAX_NAME", "MAX_CREDENTIAL_ID", "MAX_CREDENTIAL"],
    ),
    ("host/storage/src/outbox.rs", &["MAX_ERROR"]),
    ("host/storage/src/policies.rs", &["MAX_ERROR"]),
    ("host/storage/src/recoveries.rs", &["MAX_TEXT"]),
    ("host/storage/src/recovery_codes.rs", &["MAX_CODES"]),
];

/// Words in the names of constants that limit something.
const BOUNDING: &[&str] = &[
    "MAX", "MOST", "LONGEST", "LARGEST", "LIMIT", "PER", "KEPT", "DRAINED", "WIDER", "SLOWEST",
];

/// The name of a constant that is limited by a number on this line.
fn literal_bound(line: &str) -> Option<&str> {
    let rest = line.trim_start();
    let rest = rest.strip_prefix("pub").map_or(rest, |rest| {
        rest.split_once(' ').map_or("", |(_, rest)| rest)
    });
    let (name, value) = rest.strip_prefix("const ")?.split_once(':')?;
    let value = value.split_once(" = ")?.1;
    let number = value
        .strip_prefix("Duration::from_")
        .and_then(|rest| rest.split_once('('))
        .map_or(value, |(_, number)| number);
    let is_number = number.starts_with(|c: char| c.is_ascii_digit());
    (is_number && name.split('_').any(|word| BOUNDING.contains(&word))).then_some(name)
}

#[test]
fn no_limit_is_a_number_outside_of_the_table() {
    assert_eq!(
        literal_bound("    pub(crate) const MAX_MAILS: u32 = 60;"),
        Some("MAX_MAILS")
    );
    assert_eq!(
        literal_bound("const MAX_MAILS: u32 = limit::MAILS.get();"),
        None
    );
    assert_eq!(
        literal_bound("const LONGEST: Duration = Duration::from_secs(15 * 60);"),
        Some("LONGEST")
    );
    assert_eq!(
        literal_bound(
            "const LONGEST: Duration = Duration::from_millis(limit::BODY_TIME.milliseconds());"
        ),
        None
    );
    let mut outside = Vec::new();
    let mut listed = BTreeSet::new();
    let mut paths = Vec::new();
    files(&top().join("host"), "rs", &mut paths);
    for path in paths {
        let name = path
            .strip_prefix(top())
            .expect("found below the top")
            .display()
            .to_string();
        if name.starts_with("host/policy-engine/")
            || name.contains("/tests")
            || name == "host/model/src/limit.rs"
        {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let product = text.split("#[cfg(test)]").next().unwrap_or_default();
        // A value may be on the line below its name.
        let product = product.replace("=\n", "=");
        for constant in product.lines().filter_map(literal_bound) {
            let known = FORMATS
                .iter()
                .any(|(file, constants)| *file == name && constants.contains(&constant));
            if known {
                listed.insert((name.clone(), constant.to_owned()));
            } else {
                outside.push(format!("{name}: {constant}"));
            }
        }
    }
    assert!(
        outside.is_empty(),
        "these belong into host/model/src/limit.rs: {outside:#?}"
    );
    for (file, constants) in FORMATS {
        for constant in *constants {
            assert!(
                listed.contains(&((*file).to_owned(), (*constant).to_owned())),
                "{file} has no {constant} any more"
            );
        }
    }
}
