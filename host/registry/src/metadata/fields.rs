//! Every field of core metadata to 2.5, once.

/// One field.
#[derive(Debug)]
pub(crate) struct Field {
    /// Name of the header in `METADATA` and `PKG-INFO`.
    pub(crate) header: &'static str,
    /// Names in the upload form; the first is the one used in the database and the JSON API.
    pub(crate) form_names: &'static [&'static str],
    /// Whether it may be repeated.
    pub(crate) many: bool,
    /// The metadata version that introduced it; earlier ones may not have it.
    pub(crate) since: (u8, u8),
}

const fn one(header: &'static str, form_names: &'static [&'static str], since: (u8, u8)) -> Field {
    Field {
        header,
        form_names,
        many: false,
        since,
    }
}

const fn many(header: &'static str, form_names: &'static [&'static str], since: (u8, u8)) -> Field {
    Field {
        header,
        form_names,
        many: true,
        since,
    }
}

/// Fields in which old tools write `UNKNOWN` for "nothing": prose and addresses, which installers
/// do not use. In any other field, installers take the word literally.
const OF_OLD_TOOLS: &[&str] = &[
    "Platform",
    "Summary",
    "Description",
    "Description-Content-Type",
    "Keywords",
    "Home-page",
    "Download-URL",
    "Author",
    "Author-email",
    "Maintainer",
    "Maintainer-email",
    "License",
];

/// Fields that installers read and that are invalid without a value: `packaging` then refuses the
/// whole metadata, and pip skips the release.
const NEVER_EMPTY: &[&str] = &[
    "Requires-Dist",
    "Provides-Extra",
    "License-File",
    "License-Expression",
    "Description-Content-Type",
    "Dynamic",
];

impl Field {
    /// Whether it must have a value if present.
    pub(crate) fn is_never_empty(&self) -> bool {
        NEVER_EMPTY.contains(&self.header)
    }

    /// Whether this value means "nothing", even next to another one.
    pub(crate) fn is_nothing(&self, value: &str) -> bool {
        (value.is_empty() || value == "UNKNOWN") && OF_OLD_TOOLS.contains(&self.header)
    }
}

/// Metadata versions that are accepted.
pub(crate) const VERSIONS: &[(&str, (u8, u8))] = &[
    ("1.0", (1, 0)),
    ("1.1", (1, 1)),
    ("1.2", (1, 2)),
    ("2.1", (2, 1)),
    ("2.2", (2, 2)),
    ("2.3", (2, 3)),
    ("2.4", (2, 4)),
    ("2.5", (2, 5)),
];

/// The table, in the order of the specification.
pub(crate) const FIELDS: &[Field] = &[
    one("Metadata-Version", &["metadata_version"], (1, 0)),
    one("Name", &["name"], (1, 0)),
    one("Version", &["version"], (1, 0)),
    many("Dynamic", &["dynamic"], (2, 2)),
    many("Platform", &["platform", "platforms"], (1, 0)),
    many(
        "Supported-Platform",
        &["supported_platform", "supported_platforms"],
        (1, 1),
    ),
    one("Summary", &["summary"], (1, 0)),
    one("Description", &["description"], (1, 0)),
    one(
        "Description-Content-Type",
        &["description_content_type"],
        (2, 1),
    ),
    one("Keywords", &["keywords"], (1, 0)),
    one("Home-page", &["home_page"], (1, 0)),
    one("Download-URL", &["download_url"], (1, 1)),
    one("Author", &["author"], (1, 0)),
    one("Author-email", &["author_email"], (1, 0)),
    one("Maintainer", &["maintainer"], (1, 2)),
    one("Maintainer-email", &["maintainer_email"], (1, 2)),
    one("License", &["license"], (1, 0)),
    one("License-Expression", &["license_expression"], (2, 4)),
    // No lower bound: setuptools wrote it for years before 2.4 made it official.
    many("License-File", &["license_file", "license_files"], (1, 0)),
    many("Classifier", &["classifiers", "classifier"], (1, 1)),
    many("Requires-Dist", &["requires_dist"], (1, 2)),
    one("Requires-Python", &["requires_python"], (1, 2)),
    many("Requires-External", &["requires_external"], (1, 2)),
    many("Project-URL", &["project_urls", "project_url"], (1, 2)),
    many(
        "Provides-Extra",
        &["provides_extra", "provides_extras"],
        (2, 1),
    ),
    many("Provides-Dist", &["provides_dist"], (1, 2)),
    many("Obsoletes-Dist", &["obsoletes_dist"], (1, 2)),
    many("Import-Name", &["import_name", "import_names"], (2, 5)),
    many(
        "Import-Namespace",
        &["import_namespace", "import_namespaces"],
        (2, 5),
    ),
    many("Requires", &["requires"], (1, 1)),
    many("Provides", &["provides"], (1, 1)),
    many("Obsoletes", &["obsoletes"], (1, 1)),
];
