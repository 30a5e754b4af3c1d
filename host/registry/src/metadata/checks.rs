//! Row 8 of the checks of an upload: the form's metadata must be well-formed. The same applies to
//! the file's own metadata (row 30), which is stored and shown. The texts are PyPI's where clients
//! and people know them.

use model::Version;

use super::fields::{FIELDS, VERSIONS};
use super::requirement::{self, InvalidRequirement};
use super::{CoreMetadata, MetadataError, license};

/// Longest `Summary`, in characters.
const MAX_SUMMARY: usize = 512;

const SPECIFICATION: &str =
    "See https://packaging.python.org/specifications/core-metadata for more information.";

/// Checks every field. The error is one sentence for the person who uploads.
pub(crate) fn check(metadata: &CoreMetadata, older_files: bool) -> Result<(), String> {
    let version = check_metadata_version(metadata, older_files)?;
    check_introduction(metadata, version)?;
    check_release_version(metadata)?;
    check_summary(metadata)?;
    check_description_content_type(metadata)?;
    check_classifiers(metadata)?;
    check_requirements(metadata)?;
    check_urls(metadata)?;
    check_addresses(metadata)?;
    check_license(metadata)?;
    check_names(metadata)
}

fn check_metadata_version(metadata: &CoreMetadata, older_files: bool) -> Result<(u8, u8), String> {
    let text = metadata.one("metadata_version").ok_or_else(|| {
        format!(
            "Metadata is missing: {}. {SPECIFICATION}",
            MetadataError::Missing("Metadata-Version")
        )
    })?;
    VERSIONS
        .iter()
        .find(|(known, _)| *known == text)
        .map(|(_, version)| *version)
        // A draft of the later 2.1, which wheels were built with for years.
        .or((older_files && text == "2.0").then_some((2, 0)))
        .ok_or_else(|| {
            format!(
                "'{text}' is not a valid metadata version. {SPECIFICATION}",
                text = excerpt(text)
            )
        })
}

fn check_introduction(metadata: &CoreMetadata, version: (u8, u8)) -> Result<(), String> {
    // Tools send `requires_python`, `project_urls` and the like with any version; only fields that
    // change the meaning of others must match their version.
    const HELD: &[&str] = &[
        "license_expression",
        "import_name",
        "import_namespace",
        "dynamic",
    ];
    for field in FIELDS
        .iter()
        .filter(|field| HELD.contains(&field.form_names[0]))
    {
        if version < field.since && !metadata.all(field.form_names[0]).is_empty() {
            let header = field.header.to_ascii_lowercase();
            return Err(format!(
                "{header} introduced in metadata version {}.{}, not {}.{}. {SPECIFICATION}",
                field.since.0, field.since.1, version.0, version.1
            ));
        }
    }
    Ok(())
}

fn check_release_version(metadata: &CoreMetadata) -> Result<(), String> {
    let text = metadata.one("version").unwrap_or_default();
    let is_local = Version::parse(text).is_ok_and(|version| version.is_local());
    if is_local {
        return Err(format!(
            "The use of local versions in '{text}' is not allowed. See https://packaging.python.org/specifications/version-specifiers/#local-version-identifiers for more information."
        ));
    }
    Ok(())
}

fn check_summary(metadata: &CoreMetadata) -> Result<(), String> {
    let Some(summary) = metadata.one("summary") else {
        return Ok(());
    };
    if summary.chars().count() > MAX_SUMMARY {
        return Err(format!(
            "'summary' field must be {MAX_SUMMARY} characters or less."
        ));
    }
    if summary.contains(['\n', '\r']) {
        return Err("'summary' must be a single line.".to_owned());
    }
    Ok(())
}

/// `text/plain`, `text/x-rst` or `text/markdown`, UTF-8, and for Markdown a known variant.
fn check_description_content_type(metadata: &CoreMetadata) -> Result<(), String> {
    let Some(text) = metadata.one("description_content_type") else {
        return Ok(());
    };
    let invalid = |why: &str| {
        format!(
            "'{text}' is an invalid value for Description-Content-Type. Error: {why}. {SPECIFICATION}",
            text = excerpt(text)
        )
    };
    let mut parts = text.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
    if !matches!(kind.as_str(), "text/plain" | "text/x-rst" | "text/markdown") {
        return Err(invalid("Use text/plain, text/x-rst or text/markdown"));
    }
    for parameter in parts.filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "charset" if !value.eq_ignore_ascii_case("utf-8") => {
                return Err(invalid("Use the charset UTF-8"));
            }
            "variant" if kind == "text/markdown" && !matches!(value, "GFM" | "CommonMark") => {
                return Err(invalid("Use the variant GFM or CommonMark"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Every classifier of <https://pypi.org/classifiers>, one a line, sorted.
const CLASSIFIERS: &str = include_str!("classifiers.txt");

fn check_classifiers(metadata: &CoreMetadata) -> Result<(), String> {
    static KNOWN: std::sync::LazyLock<std::collections::HashSet<&'static str>> =
        std::sync::LazyLock::new(|| CLASSIFIERS.lines().collect());
    for classifier in metadata.all("classifiers") {
        // `Private :: …` marks a project as not meant for pypi.org; a private registry is the right
        // place for it. A policy may refuse it.
        if !KNOWN.contains(classifier.as_str()) && !classifier.starts_with("Private :: ") {
            return Err(format!(
                "'{}' is not a valid classifier. See https://pypi.org/classifiers for the list.",
                excerpt(classifier)
            ));
        }
    }
    Ok(())
}

fn check_requirements(metadata: &CoreMetadata) -> Result<(), String> {
    for (name, header) in [
        ("requires_dist", "Requires-Dist"),
        ("provides_dist", "Provides-Dist"),
        ("obsoletes_dist", "Obsoletes-Dist"),
    ] {
        for text in metadata.all(name) {
            requirement::check(text).map_err(|cause| match cause {
                InvalidRequirement::Direct => format!(
                    "Can't have direct dependency: {}. Name a project and versions instead.",
                    excerpt(text)
                ),
                cause => format!(
                    "'{}' is an invalid value for {header}. Error: {cause}. {SPECIFICATION}",
                    excerpt(text)
                ),
            })?;
        }
    }
    if let Some(text) = metadata.one("requires_python") {
        let most = model::limit::REQUIRES_PYTHON.length();
        if text.chars().count() > most {
            return Err(format!(
                "'{}' is an invalid value for Requires-Python. Error: Use at most {most} characters. {SPECIFICATION}",
                excerpt(text)
            ));
        }
        requirement::specifiers(text).map_err(|cause| {
            format!(
                "'{}' is an invalid value for Requires-Python. Error: {cause}. {SPECIFICATION}",
                excerpt(text)
            )
        })?;
    }
    Ok(())
}

fn check_urls(metadata: &CoreMetadata) -> Result<(), String> {
    for (name, header) in [("home_page", "Home-Page"), ("download_url", "Download-URL")] {
        if let Some(text) = metadata.one(name) {
            check_url(text).map_err(|why| {
                format!(
                    "'{}' is an invalid value for {header}. Error: {why}. {SPECIFICATION}",
                    excerpt(text)
                )
            })?;
        }
    }
    let mut labels = std::collections::HashMap::new();
    for text in metadata.all("project_urls") {
        let invalid = |why: &str| {
            format!(
                "'{}' is an invalid value for Project-URL. Error: {why}. {SPECIFICATION}",
                excerpt(text)
            )
        };
        let (label, url) = text
            .split_once(',')
            .ok_or_else(|| invalid("Use a label, a comma and an address"))?;
        let label = label.trim();
        if label.is_empty() || label.chars().count() > 32 {
            return Err(invalid("Use a label of 1 to 32 characters"));
        }
        let url = url.trim();
        check_url(url).map_err(|why| invalid(&why))?;
        // Of two addresses with one label, some readers keep the first and others the last.
        if labels
            .insert(label, url)
            .is_some_and(|before| before != url)
        {
            return Err(invalid("Use each label once"));
        }
    }
    Ok(())
}

/// Only addresses that a page may link to: no `javascript:`, no blanks.
fn check_url(url: &str) -> Result<(), String> {
    let rest = ["https://", "http://", "ftp://"].iter().find_map(|scheme| {
        url.get(..scheme.len())
            .filter(|start| start.eq_ignore_ascii_case(scheme))
            .map(|_| &url[scheme.len()..])
    });
    match rest {
        Some(rest)
            if !rest.is_empty()
                && !url.chars().any(|c| {
                    c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"')
                }) =>
        {
            Ok(())
        }
        _ => Err("Use an address that starts with https:// or http://".to_owned()),
    }
}

/// Contact addresses. A list of several is only for people to read.
fn check_addresses(metadata: &CoreMetadata) -> Result<(), String> {
    for (name, header) in [
        ("author_email", "Author-Email"),
        ("maintainer_email", "Maintainer-Email"),
    ] {
        let Some(text) = metadata.one(name) else {
            continue;
        };
        let Some(address) = only_address(text) else {
            continue;
        };
        if !model::email::is_address(address) {
            return Err(format!(
                "'{}' is an invalid value for {header}. Error: Use an email address as name@example.org or Name <name@example.org>. {SPECIFICATION}",
                excerpt(text)
            ));
        }
    }
    Ok(())
}

/// The address of `Name <address>`, or the text itself; none for a list, or if there is none.
fn only_address(text: &str) -> Option<&str> {
    let (mut quoted, mut start, mut end) = (false, None, text.len());
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ',' | ';' if !quoted => return None,
            '<' if !quoted => start = Some(at + 1),
            '>' if !quoted && start.is_some() => end = at,
            _ => {}
        }
    }
    let address = text.get(start.unwrap_or(0)..end).unwrap_or_default().trim();
    (!address.is_empty()).then_some(address)
}

fn check_license(metadata: &CoreMetadata) -> Result<(), String> {
    for path in metadata.promised_license_files() {
        let is_plain = !path.starts_with('/')
            && !path.contains(['\\', '*'])
            && path.split('/').all(|part| part != "..");
        if !is_plain {
            return Err(format!(
                "'{}' is an invalid value for License-File. Error: Use a path below the distribution, with '/'. {SPECIFICATION}",
                excerpt(path)
            ));
        }
    }
    let Some(expression) = metadata.one("license_expression") else {
        return Ok(());
    };
    // A license classifier next to it is redundant: the expression applies (PEP 639).
    if metadata.one("license").is_some() {
        return Err(format!(
            "License is deprecated when License-Expression is present. Only License-Expression should be present. {SPECIFICATION}"
        ));
    }
    license::check(expression).map_err(|why| {
        format!(
            "'{}' is an invalid value for License-Expression. Error: {why}. {SPECIFICATION}",
            excerpt(expression)
        )
    })
}

fn check_names(metadata: &CoreMetadata) -> Result<(), String> {
    for extra in metadata.all("provides_extra") {
        if model::ProjectName::parse(extra).is_err() {
            return Err(format!(
                "'{}' is an invalid value for Provides-Extra. Error: Use a name of letters, digits, '.', '_' and '-'. {SPECIFICATION}",
                excerpt(extra)
            ));
        }
    }
    for name in metadata.all("dynamic") {
        let is_field = FIELDS
            .iter()
            .any(|field| field.header.eq_ignore_ascii_case(name))
            && !["name", "version", "metadata-version"]
                .contains(&name.to_ascii_lowercase().as_str());
        if !is_field {
            return Err(format!(
                "'{}' is an invalid value for Dynamic. Error: Name a field other than Name, Version and Metadata-Version. {SPECIFICATION}",
                excerpt(name)
            ));
        }
    }
    Ok(())
}

/// The beginning of a value, safe for a sentence and for a header line.
pub(crate) fn excerpt(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(120)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(lines: &str) -> String {
        let text = format!("Metadata-Version: 2.4\nName: sample\nVersion: 1.0\n{lines}\n");
        check(&CoreMetadata::parse(text.as_bytes()).unwrap(), false)
            .err()
            .unwrap_or_default()
    }

    #[test]
    fn what_real_projects_write_is_accepted() {
        let lines = "Summary: A sample\nClassifier: Programming Language :: Python :: 3\nClassifier: Private :: Do Not Upload\nRequires-Python: >=3.8\n\
                     Requires-Dist: requests>=2\nProject-URL: Source, https://example.org/x\nLicense-Expression: MIT OR Apache-2.0\nLicense-File: LICENSE\n\
                     Classifier: License :: OSI Approved :: MIT License\nAuthor-email: \"Doe, A.\" <a@example.org>\nMaintainer-email: a@x.org, b\n\
                     Project-URL: Source, https://example.org/x\n\
                     Description-Content-Type: text/markdown; charset=UTF-8; variant=GFM\nProvides-Extra: test\nDynamic: Requires-Dist";
        assert_eq!(message(lines), "");
    }

    #[test]
    fn each_field_is_held_to_its_form() {
        for (line, part) in [
            (
                format!("Summary: {}", "a".repeat(513)),
                "'summary' field must be 512 characters or less.",
            ),
            (
                "Classifier: Made :: Up".to_owned(),
                "'Made :: Up' is not a valid classifier.",
            ),
            (
                "Requires-Dist: a @ https://example.org/a.whl".to_owned(),
                "Can't have direct dependency: a @ https://example.org/a.whl",
            ),
            (
                "Requires-Dist: a >=".to_owned(),
                "invalid value for Requires-Dist",
            ),
            (
                "Requires-Python: three".to_owned(),
                "invalid value for Requires-Python",
            ),
            (
                "Home-page: javascript:alert(1)".to_owned(),
                "invalid value for Home-Page",
            ),
            (
                "Project-URL: https://example.org".to_owned(),
                "invalid value for Project-URL",
            ),
            (
                "License-Expression: MIT\nLicense: MIT".to_owned(),
                "License is deprecated when License-Expression is present",
            ),
            (
                "License-Expression: Apache 2.0".to_owned(),
                "'apache' is no license of the SPDX list",
            ),
            (
                "License-File: ../LICENSE".to_owned(),
                "invalid value for License-File",
            ),
            (
                "Author-email: nobody".to_owned(),
                "'nobody' is an invalid value for Author-Email",
            ),
            (
                "Maintainer-email: Some Body".to_owned(),
                "invalid value for Maintainer-Email",
            ),
            (
                "Author-email: Ana <ana at example.org>".to_owned(),
                "invalid value for Author-Email",
            ),
            (
                "Project-URL: A, https://example.org/1\nProject-URL: A, https://example.org/2"
                    .to_owned(),
                "Use each label once",
            ),
            (
                "Description-Content-Type: text/html".to_owned(),
                "invalid value for Description-Content-Type",
            ),
            (
                "Description-Content-Type: text/markdown; charset=latin-1".to_owned(),
                "Use the charset UTF-8",
            ),
            ("Dynamic: Name".to_owned(), "invalid value for Dynamic"),
            (
                "Provides-Extra: -".to_owned(),
                "invalid value for Provides-Extra",
            ),
            (
                "Import-Name: sample".to_owned(),
                "import-name introduced in metadata version 2.5, not 2.4",
            ),
        ] {
            assert!(message(&line).contains(part), "{line}: {}", message(&line));
        }
    }

    #[test]
    fn what_stands_beside_every_file_is_short() {
        let of =
            |length: usize| message(&format!("Requires-Python: >=3{}", ",".repeat(length - 3)));
        assert_eq!(of(512), "");
        assert!(of(513).contains("Use at most 512 characters"));
    }

    #[test]
    fn local_versions_and_unknown_metadata_versions_are_refused() {
        let check_text =
            |text: &str| check(&CoreMetadata::parse(text.as_bytes()).unwrap(), false).unwrap_err();
        assert!(
            check_text("Metadata-Version: 2.1\nName: a\nVersion: 1.0+local\n")
                .starts_with("The use of local versions in '1.0+local' is not allowed.")
        );
        assert!(
            check_text("Metadata-Version: 9.9\nName: a\nVersion: 1.0\n")
                .starts_with("'9.9' is not a valid metadata version")
        );
        let draft = "Metadata-Version: 2.0\nName: a\nVersion: 1.0\nRequires-Python: >=2.7\n";
        assert!(check_text(draft).starts_with("'2.0' is not a valid metadata version"));
        assert_eq!(
            check(&CoreMetadata::parse(draft.as_bytes()).unwrap(), true),
            Ok(())
        );
    }
}
