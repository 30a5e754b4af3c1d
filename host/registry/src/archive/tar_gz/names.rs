//! Every path of an archive and what is at it. No path has two meanings.
//!
//! Whether a hard link leads to a file, and whether a file is also a folder, is known only after
//! the whole archive was read, since entries can be in any order.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use model::limit::{ARCHIVE_NAMES, Bound};

use super::super::{ArchiveError, MAX_PATH_BYTES, check_no_file_is_a_folder, without_case};
use crate::metadata::checks::excerpt;

/// A node at a path that is not a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// A file, by the SHA-256 digest of its content.
    File([u8; 32]),
    /// A symbolic link and its target.
    SymbolicLink(String),
    /// A hard link and the path that it names.
    HardLink(String),
}

/// All paths so far.
#[derive(Debug, Default)]
pub(crate) struct Names {
    nodes: HashMap<String, Node>,
    folders: HashSet<String>,
    /// Bytes of all stored paths and targets.
    bytes: u64,
}

impl Names {
    /// Whether an entry has this path.
    pub(crate) fn contains(&self, path: &str) -> bool {
        self.nodes.contains_key(path) || self.folders.contains(path)
    }

    pub(super) fn add_folder(&mut self, path: &str) -> Result<(), ArchiveError> {
        if self.folders.insert(path.trim_end_matches('/').to_owned()) {
            self.keep(path)?;
        }
        Ok(())
    }

    /// Counts a stored text.
    fn keep(&mut self, text: &str) -> Result<(), ArchiveError> {
        self.bytes += text.len() as u64;
        match self.bytes <= ARCHIVE_NAMES.get() {
            true => Ok(()),
            false => Err(ArchiveError::archive(format!(
                "The names in the tar archive are longer than {} together.",
                Bound::from(ARCHIVE_NAMES)
            ))),
        }
    }

    /// Adds a node that is not a folder. Two nodes that are identical byte for byte are one file to
    /// every reader, whether it keeps the first or the last.
    pub(super) fn add(&mut self, path: &str, node: Node) -> Result<(), ArchiveError> {
        match self.nodes.get(path) {
            Some(before) if *before == node => Ok(()),
            Some(_) if matches!(&node, Node::HardLink(target) if *plain(target) == *path) => {
                Err(ArchiveError::archive(format!(
                    "The hard link '{}' leads to itself; installers fail on it.",
                    excerpt(path)
                )))
            }
            Some(_) => Err(ArchiveError::archive(format!(
                "The tar archive has two entries named '{}' that differ.",
                excerpt(path)
            ))),
            None => {
                if let Node::SymbolicLink(target) | Node::HardLink(target) = &node {
                    check_target(path, target)?;
                    self.keep(target)?;
                }
                if let Node::SymbolicLink(target) = &node {
                    check_symbolic_link(path, target)?;
                }
                self.keep(path)?;
                self.nodes.insert(path.to_owned(), node);
                Ok(())
            }
        }
    }

    /// The checks that need the whole archive.
    pub(super) fn check(&self) -> Result<(), ArchiveError> {
        if let Some(both) = self
            .folders
            .iter()
            .find(|folder| self.nodes.contains_key(folder.as_str()))
        {
            return Err(ArchiveError::archive(format!(
                "'{}' is a file and a folder.",
                excerpt(both)
            )));
        }
        let files: HashSet<&str> = self.nodes.keys().map(String::as_str).collect();
        check_no_file_is_a_folder(
            files
                .iter()
                .copied()
                .chain(self.folders.iter().map(String::as_str)),
            &files,
        )?;
        self.check_links_without_case()?;
        let mut followed = HashSet::new();
        for (path, node) in &self.nodes {
            if let Node::HardLink(target) = node {
                self.check_hard_link(path, target, &mut followed)?;
            }
        }
        Ok(())
    }

    /// On a case-insensitive file system, nothing may be written through a link: an entry with its
    /// name in other letters, or below it, may be written to the link's target.
    fn check_links_without_case<'a>(&'a self) -> Result<(), ArchiveError> {
        // Some archives have a file and a link to it whose names differ only in case.
        let is_itself = |path: &str, target: &str| {
            without_case(last_part(path)) == without_case(last_part(target))
        };
        let link = |(path, node): (&'a String, &'a Node)| match node {
            Node::SymbolicLink(target) | Node::HardLink(target) => {
                Some((path.as_str(), is_itself(path, target)))
            }
            Node::File(_) => None,
        };
        let links: Vec<(&str, bool)> = self.nodes.iter().filter_map(link).collect();
        if links.is_empty() {
            return Ok(());
        }
        let paths = self.nodes.keys().chain(&self.folders);
        let mut sorted: Vec<(String, &str)> = paths
            .map(|path| (without_case(path), path.as_str()))
            .collect();
        sorted.sort_unstable();
        for (link, is_itself) in links {
            let name = without_case(link);
            let from = |name: &str| sorted.partition_point(|(path, _)| path.as_str() < name);
            let same = sorted[from(&name)..]
                .iter()
                .take_while(|(path, _)| *path == name)
                .find(|(_, path)| *path != link && !is_itself);
            let behind = format!("{name}/");
            let behind = || {
                sorted[from(&behind)..]
                    .first()
                    .filter(|(path, _)| path.starts_with(&behind))
            };
            if let Some((_, path)) = same.or_else(behind) {
                let (path, link) = (excerpt(path), excerpt(link));
                return Err(ArchiveError::archive(format!(
                    "'{path}' is, but for the case of letters, the link '{link}' or behind it."
                )));
            }
        }
        Ok(())
    }

    /// A hard link is another name for a file of the archive. `followed` are the links that earlier
    /// calls followed successfully. So each link is followed once, however long the chains in an
    /// archive are.
    fn check_hard_link<'a>(
        &'a self,
        path: &'a str,
        target: &'a str,
        followed: &mut HashSet<&'a str>,
    ) -> Result<(), ArchiveError> {
        let (mut chain, mut at) = (vec![path], target);
        // A chain longer than the number of entries is a cycle.
        while chain.len() <= self.nodes.len() {
            match self.nodes.get_key_value(&*plain(at)) {
                Some((at_name, Node::HardLink(next))) if !followed.contains(at_name.as_str()) => {
                    chain.push(at_name);
                    at = next;
                }
                Some((_, Node::File(_) | Node::HardLink(_))) => {
                    followed.extend(chain);
                    return Ok(());
                }
                _ => break,
            }
        }
        let why = if target.starts_with('/') || leaves(target) {
            "leads out of the archive".to_owned()
        } else if target.split('/').any(|part| part == "..") {
            "has '..' in its target; name the file by its whole path".to_owned()
        } else {
            format!(
                "names '{}', which is no file of the archive",
                excerpt(target)
            )
        };
        Err(ArchiveError::archive(format!(
            "The hard link '{}' {why}.",
            excerpt(path)
        )))
    }
}

/// The path without empty parts: every reader takes `a/./b` and `a//b` for `a/b`.
fn plain(path: &str) -> Cow<'_, str> {
    let means_nothing = |part: &str| matches!(part, "" | ".");
    if path.starts_with('/') || !path.split('/').any(means_nothing) {
        return Cow::Borrowed(path);
    }
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !means_nothing(part))
        .collect();
    Cow::Owned(parts.join("/"))
}

/// Whether a path leads above the top of the archive.
fn leaves(path: &str) -> bool {
    let mut depth = 0_i32;
    plain(path).split('/').any(|part| {
        depth += if part == ".." { -1 } else { 1 };
        depth < 0
    })
}

fn last_part(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// A target that all systems interpret alike.
fn check_target(path: &str, target: &str) -> Result<(), ArchiveError> {
    let why = match target {
        "" => "has no target",
        target if target.len() > MAX_PATH_BYTES => {
            &format!("has a target longer than {MAX_PATH_BYTES} bytes")
        }
        target if target.contains('\\') => "has a backslash in its target",
        target if target.chars().any(char::is_control) => "has control characters in its target",
        _ => return Ok(()),
    };
    Err(ArchiveError::archive(format!(
        "The link '{}' {why}.",
        excerpt(path)
    )))
}

/// A symbolic link stays inside the archive's one folder. Since no entry is below a link, the
/// folders above it are real, so `..` from there is reliable. After a name it would not be: the
/// name may itself be a link.
fn check_symbolic_link(path: &str, target: &str) -> Result<(), ArchiveError> {
    let steps = || target.split('/').filter(|part| !matches!(*part, "" | "."));
    let up = steps().take_while(|part| *part == "..").count();
    // The archive's one folder, the first part of the path, must not be left.
    let folders = path.split('/').count() - 1;
    let why = if target.starts_with('/') || up >= folders {
        "leads out of the archive"
    } else if steps().skip(up).any(|part| part == "..") {
        "goes up behind a name, which may be a link itself"
    } else {
        return Ok(());
    };
    Err(ArchiveError::archive(format!(
        "The link '{}' {why}.",
        excerpt(path)
    )))
}
