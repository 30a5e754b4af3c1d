//! Files that need each other in a circle are one thing in several places: they cannot be read,
//! moved or tested separately. This computes the circles from the paths that files name, and limits
//! the largest one of each crate. A file and its children are one noun and count once.

use std::collections::{BTreeMap, BTreeSet};

use super::{files, top};

/// The most files of a circle that are not children of another file in it.
const MOST: usize = 5;

/// Crates with a larger one. A row may shrink and disappear; it must not grow.
const LARGER: &[(&str, usize)] = &[
    ("registry", 8),
    // The unit of work writes mails and decisions with its changes.
    ("storage", 7),
];

/// Modules of a crate, by their path (`index::page`), each with the paths that it names.
type Modules = BTreeMap<String, BTreeSet<String>>;

/// Paths within the crate that a source names outside its tests, as `crate::…`.
fn named(module: &str, text: &str) -> BTreeSet<String> {
    let product = text.split("\n#[cfg(test)]").next().unwrap_or_default();
    let code: String = product
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join(" ");
    let mut paths = BTreeSet::new();
    for (start, base) in [("crate::", ""), ("super::", parent(module))] {
        for (at, _) in code.match_indices(start) {
            let is_word = code[..at]
                .chars()
                .next_back()
                .is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':');
            if is_word {
                continue;
            }
            let (mut rest, mut base) = (&code[at + start.len()..], base);
            while let Some(further) = rest.strip_prefix("super::") {
                (rest, base) = (further, parent(base));
            }
            expand(base, rest, &mut paths);
        }
    }
    paths
}

fn parent(module: &str) -> &str {
    module.rsplit_once("::").map_or("", |(parent, _)| parent)
}

fn joined(base: &str, name: &str) -> String {
    match base {
        "" => name.to_owned(),
        base => format!("{base}::{name}"),
    }
}

/// The paths of `a::{b, c::D}` and of `a::b`.
fn expand(base: &str, text: &str, paths: &mut BTreeSet<String>) {
    let text = text.trim_start();
    if let Some(group) = text.strip_prefix('{') {
        let (mut depth, mut begin) = (0, 0);
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => return expand(base, &group[begin..at], paths),
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    expand(base, &group[begin..at], paths);
                    begin = at + 1;
                }
                _ => {}
            }
        }
        return;
    }
    let end = text
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(text.len());
    if end == 0 {
        return;
    }
    let (name, rest) = text.split_at(end);
    let path = joined(base, name);
    match rest.strip_prefix("::") {
        Some(rest) => expand(&path, rest, paths),
        None => drop(paths.insert(path)),
    }
}

/// The modules of a crate, by its folder below `host`. Re-exports of its root lead to their origin.
fn modules(host: &str) -> Modules {
    let source = top().join("host").join(host).join("src");
    let mut paths = Vec::new();
    files(&source, "rs", &mut paths);
    let mut texts = BTreeMap::new();
    for path in paths {
        let name = path.strip_prefix(&source).expect("found below it");
        let name = name.with_extension("").display().to_string();
        let module = name.replace('/', "::");
        let is_of_tests = module.split("::").any(|part| part == "tests");
        if !is_of_tests {
            let text = std::fs::read_to_string(&path).expect("it can be read");
            texts.insert(module, text);
        }
    }
    let root = texts.remove("lib").unwrap_or_default();
    let mut exported = BTreeMap::new();
    for statement in root.split("pub use ").skip(1) {
        let mut found = BTreeSet::new();
        expand(
            "",
            statement.split(';').next().unwrap_or_default(),
            &mut found,
        );
        exported.extend(found.into_iter().filter_map(|path| {
            let (_, name) = path.rsplit_once("::")?;
            Some((name.to_owned(), path.clone()))
        }));
    }
    let module_of = |path: &str| -> Option<String> {
        let first = path.split("::").next().unwrap_or_default();
        let mut path = exported.get(first).map_or(path, String::as_str);
        while !texts.contains_key(path) {
            path = path.rsplit_once("::")?.0;
        }
        Some(path.to_owned())
    };
    texts
        .iter()
        .map(|(module, text)| {
            let named = named(module, text);
            let others = named.iter().filter_map(|path| module_of(path));
            (
                module.clone(),
                others.filter(|other| other != module).collect(),
            )
        })
        .collect()
}

/// The circles, without children of files in them.
fn circles(modules: &Modules) -> Vec<BTreeSet<String>> {
    let reaches = |from: &str| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from.to_owned()]);
        while let Some(module) = next.pop() {
            for other in &modules[&module] {
                if seen.insert(other.clone()) {
                    next.push(other.clone());
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&String, BTreeSet<String>> = modules
        .keys()
        .map(|module| (module, reaches(module)))
        .collect();
    let mut circles: BTreeSet<BTreeSet<String>> = BTreeSet::new();
    for (module, others) in &reached {
        let circle: BTreeSet<String> = others
            .iter()
            .filter(|other| reached[other].contains(*module))
            .cloned()
            .collect();
        if circle.len() > 1 {
            circles.insert(circle);
        }
    }
    let without_children = |circle: &BTreeSet<String>| {
        let is_child = |module: &String| {
            let mut at = parent(module);
            while !at.is_empty() {
                if circle.contains(at) {
                    return true;
                }
                at = parent(at);
            }
            false
        };
        circle
            .iter()
            .filter(|module| !is_child(module))
            .cloned()
            .collect()
    };
    circles.iter().map(without_children).collect()
}

#[test]
fn circles_of_files_are_small() {
    let mut wrong = Vec::new();
    for host in [
        "model",
        "policy-engine",
        "blobs",
        "storage",
        "gate",
        "identity",
        "registry",
        "mail",
        "http",
        "server",
    ] {
        let circles = circles(&modules(host));
        let largest = circles.iter().max_by_key(|circle| circle.len());
        let size = largest.map_or(0, BTreeSet::len);
        let most = LARGER.iter().find(|(crate_name, _)| *crate_name == host);
        match most {
            None if size > MOST => wrong.push(format!("{host} has {size}: {largest:?}")),
            Some((_, most)) if size != *most => {
                wrong.push(format!(
                    "{host} has {size}, and its row says {most}: {largest:?}"
                ));
            }
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_circle_is_seen_through_groups_parents_and_re_exports() {
    let paths = named(
        "a::b",
        "use crate::c::{D, e::{F, self}};\nuse super::{g};\nuse super::super::h;\nfn f() { crate::i::j(); }\n// crate::k\n#[cfg(test)]\nuse crate::l;",
    );
    let expected = ["a::g", "c::D", "c::e::F", "c::e::self", "h", "i::j"];
    assert_eq!(
        paths.iter().collect::<Vec<_>>(),
        expected.iter().collect::<Vec<_>>()
    );
    let modules = |edges: &[(&str, &[&str])]| -> Modules {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        edges
            .iter()
            .map(|(module, others)| ((*module).to_owned(), owned(others)))
            .collect()
    };
    let found = circles(&modules(&[
        ("a", &["a::b"]),
        ("a::b", &["c"]),
        ("c", &["a"]),
        ("d", &["a"]),
    ]));
    assert_eq!(found, [BTreeSet::from(["a".to_owned(), "c".to_owned()])]);
}
