//! The paths for browsers: which are pages, and which are forms of pages.
//!
//! It is part of the shared state, so that code which redirects a browser can ask it and does not
//! need the handlers.

/// The paths of the table that people use.
#[derive(Clone, Debug, Default)]
pub(crate) struct SiteMap {
    /// Paths with `{parameters}`.
    pages: Vec<&'static str>,
    forms: Vec<&'static str>,
}

/// Longest path and query that a browser is sent to, in bytes.
const MAX_TARGET_BYTES: usize = 1000;

impl SiteMap {
    pub(crate) fn new(pages: Vec<&'static str>, forms: Vec<&'static str>) -> Self {
        Self { pages, forms }
    }

    /// Whether a page for people is at this path, with or without a query: a browser may be sent
    /// there.
    pub(crate) fn has_page(&self, path_and_query: &str) -> bool {
        is_among(&self.pages, path_and_query)
    }

    /// Whether the form of a page is sent to this path.
    pub(crate) fn has_form(&self, path_and_query: &str) -> bool {
        is_among(&self.forms, path_and_query)
    }

    /// The path of the page, if this one has a missing or an extra slash.
    pub(crate) fn page_elsewhere(&self, path: &str, query: Option<&str>) -> Option<String> {
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        let other = path.strip_suffix('/').map_or_else(
            || format!("{path}/{query}"),
            |shorter| format!("{shorter}{query}"),
        );
        self.has_page(&other).then_some(other)
    }
}

fn is_among(patterns: &[&str], path_and_query: &str) -> bool {
    // Browsers take a backslash for a slash, drop tabs and ends of lines, and take a path that
    // begins with two slashes for another site.
    let is_plain = path_and_query
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#' | b'"' | b'<' | b'>'));
    if !is_plain
        || path_and_query.len() > MAX_TARGET_BYTES
        || !path_and_query.starts_with('/')
        || path_and_query.starts_with("//")
    {
        return false;
    }
    let path = path_and_query.split('?').next().unwrap_or("");
    patterns.iter().any(|pattern| matches(pattern, path))
}

/// Whether a path matches the pattern of a row. Segments `.` and `..`, which browsers resolve
/// before they ask, match no parameter.
fn matches(pattern: &str, path: &str) -> bool {
    let (mut patterns, mut segments) = (pattern.split('/'), path.split('/'));
    loop {
        match (patterns.next(), segments.next()) {
            (None, None) => return true,
            (Some(pattern), Some(segment)) if pattern.starts_with('{') => {
                let lower = segment.to_ascii_lowercase().replace("%2e", ".");
                if segment.is_empty() || lower == "." || lower == ".." {
                    return false;
                }
            }
            (Some(pattern), Some(segment)) if pattern == segment => {}
            _ => return false,
        }
    }
}
