//! Packages like those in the wild: small ones that were built for a kind, and the results of build
//! backends, all from `tests/cases`.

use std::path::{Path, PathBuf};

use tests::server::repository;
use tests::{Clients, Distribution, Response, Server, Setup, basic_token};

/// Every distribution in a folder of `tests/cases`, by name.
fn cases(folder: &str) -> Vec<PathBuf> {
    let folder = repository().join("tests/cases").join(folder);
    let entries = std::fs::read_dir(&folder)
        .unwrap_or_else(|cause| panic!("cannot list {}: {cause}", folder.display()));
    let is_distribution = |path: &Path| {
        path.extension()
            .is_some_and(|extension| extension == "whl" || extension == "gz")
    };
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry can be read").path())
        .filter(|path| is_distribution(path))
        .collect();
    found.sort();
    assert!(
        !found.is_empty(),
        "{} holds no distribution",
        folder.display()
    );
    found
}

struct Registry {
    server: Server,
    token: String,
}

impl Registry {
    fn start() -> Self {
        let server = Setup::default().start();
        let alice = server.user("alice");
        let token = server.setup.token(&alice, &["--account"]);
        Self { server, token }
    }

    fn upload(&self, distribution: &Distribution) -> Response {
        self.server
            .upload(distribution, Some(&basic_token(&self.token)))
    }

    /// The file is accepted, listed, and comes back unchanged.
    #[track_caller]
    fn accepts(&self, path: &Path) {
        let distribution = Distribution::of_file(path);
        let answer = self.upload(&distribution);
        assert_eq!(
            answer.status, 200,
            "{}: {}",
            distribution.file_name, answer.reason
        );
        let read = self.server.get(&distribution.path());
        assert!(
            read.status == 200 && read.body == distribution.bytes,
            "{} does not come back",
            distribution.file_name
        );
    }
}

#[test]
fn what_says_the_same_thing_twice_or_is_unusual_is_accepted() {
    let registry = Registry::start();
    for path in cases("accepted") {
        registry.accepts(&path);
    }
}

/// Built by `cargo xtask corpus --build`; `versions.txt` lists the versions.
#[test]
fn what_every_current_build_backend_makes_is_accepted_and_installed() {
    let registry = Registry::start();
    let built = cases("built");
    let versions = std::fs::read_to_string(repository().join("tests/cases/built/versions.txt"))
        .expect("the versions are noted");
    let backends: Vec<&str> = versions
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some(line.split_once(' ')?.0))
        .collect();
    assert_eq!(
        (backends.len(), built.len()),
        (9, 18),
        "a wheel and an sdist of each"
    );
    for path in &built {
        registry.accepts(path);
    }
    let Some(clients) = Clients::find() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    for backend in backends {
        let requirement = format!("built-by-{}==1.0", backend.replace('_', "-"));
        crate::tools::pip_install(&clients, &registry.server, folder.path(), &requirement).ok();
    }
}

/// More entries than a plain ZIP archive can count.
#[test]
fn a_wheel_of_more_than_65535_files_is_accepted_and_comes_back() {
    let registry = Registry::start();
    let plain = tests::Package::new("crowd", "1.0").wheel();
    let files = (0..66_000).map(|number| (format!("crowd/{number}.txt"), Vec::new()));
    let dist_info = ["METADATA", "WHEEL", "RECORD"].map(|name| {
        let content = if name == "METADATA" {
            plain.metadata.clone().into_bytes()
        } else {
            b"Wheel-Version: 1.0\n".to_vec()
        };
        (format!("crowd-1.0.dist-info/{name}"), content)
    });
    let wheel = plain.with_bytes(tests::package::zip_of(
        &files.chain(dist_info).collect::<Vec<_>>(),
    ));
    let answer = registry.upload(&wheel);
    assert_eq!(answer.status, 200, "{}", answer.reason);
    assert!(registry.server.get(&wheel.path()).body == wheel.bytes);
}

/// The same packages, each with a contradiction where the other one agrees.
#[test]
fn their_twins_that_two_readers_could_read_differently_are_refused() {
    let registry = Registry::start();
    let whys = [
        (
            "case01_dup-1.0.tar.gz",
            "two entries named 'case01_dup-1.0/pyproject.toml' that differ",
        ),
        (
            "case02_plugins-1.0-py3-none-any.whl",
            "has the command 'theme/blog'",
        ),
        (
            "case04_zip64-1.0-py3-none-any.whl",
            "differ in the sizes or checksum",
        ),
        ("case14_encword-1.0-py3-none-any.whl", "has an encoded word"),
        (
            "case43_uv-0.2.0.tar.gz",
            "gives 'case43_uv-0.2.0/PKG-INFO' two different sizes",
        ),
    ];
    let twins = cases("refused");
    assert_eq!(
        twins
            .iter()
            .map(|path| path.file_name().unwrap_or_default().to_string_lossy())
            .collect::<Vec<_>>(),
        whys.map(|(name, _)| name)
    );
    for (path, (_, why)) in twins.iter().zip(whys) {
        // With the form of the good one, so that only the file contradicts itself.
        let good = Distribution::of_file(
            &repository()
                .join("tests/cases/accepted")
                .join(path.file_name().unwrap_or_default()),
        );
        let answer =
            registry.upload(&good.with_bytes(std::fs::read(path).expect("the twin can be read")));
        assert!(
            answer.status == 400 && answer.reason.contains(why),
            "{}: {} {}",
            path.display(),
            answer.status,
            answer.reason
        );
    }
}

/// The reference for our parsers matches the current `packaging`.
#[test]
fn the_verdicts_our_parsers_are_held_to_are_those_of_packaging() {
    let Some(clients) = Clients::find() else {
        return;
    };
    let folder = repository().join("tests/clients");
    let arguments = ["packaging_verdicts.py", "check", "packaging_verdicts.txt"].map(|name| {
        if name == "check" {
            name.to_owned()
        } else {
            folder.join(name).display().to_string()
        }
    });
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let elsewhere = tempfile::tempdir().expect("a temporary folder can be made");
    clients
        .run("python", elsewhere.path(), &arguments, &[])
        .ok();
}
