//! Only `blobs` knows where the registry's bytes are stored; its users name no path.

use super::{files, top};

/// Signs that a source knows a path, or opens one.
const PATHS: &[&str] = &[
    "PathBuf",
    "path::Path",
    "File::open",
    "File::create",
    "File::options",
    "OpenOptions",
    "create_dir",
    "fs::metadata",
    "fs::read",
    "fs::remove",
    "fs::rename",
    "fs::write",
    "tempfile",
];

/// Sources of `registry` and `http` that read something else: data from the kernel.
const OTHERS: &[(&str, &str)] = &[
    ("host/http/src/listener.rs", "/proc/self/limits"),
    ("host/http/src/metrics.rs", "/proc/self/status"),
];

/// Lines outside the tests that name a path.
fn naming<'a>(name: &str, text: &'a str) -> Vec<&'a str> {
    let product = text.split("#[cfg(test)]").next().unwrap_or_default();
    product
        .lines()
        .filter(|line| {
            let code = line.split("//").next().unwrap_or_default();
            PATHS.iter().any(|word| code.contains(word))
                && !OTHERS
                    .iter()
                    .any(|(file, read)| *file == name && code.contains(read))
        })
        .collect()
}

#[test]
fn only_blobs_knows_where_bytes_lie() {
    assert_eq!(naming("a.rs", "    path: PathBuf,"), ["    path: PathBuf,"]);
    assert_eq!(naming("a.rs", "use std::path::Path;").len(), 1);
    assert!(naming("a.rs", "use std::fs::File;").is_empty());
    assert_eq!(naming("a.rs", "let a = std::fs::read(b)?;").len(), 1);
    assert!(naming("a.rs", "let a = request.uri.path();").is_empty());

    let mut found = Vec::new();
    for host in ["registry", "http"] {
        let mut paths = Vec::new();
        files(&top().join("host").join(host).join("src"), "rs", &mut paths);
        for path in paths {
            let name = path.strip_prefix(top()).expect("found below the top");
            let name = name.display().to_string();
            if name.contains("/tests") || name.ends_with("/samples.rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a source can be read");
            for line in naming(&name, &text) {
                found.push(format!("{name}: {}", line.trim()));
            }
        }
    }
    assert!(
        found.is_empty(),
        "bytes lie where the crate blobs knows, and nobody else names a path:\n{}",
        found.join("\n")
    );
}
