//! The list of projects, and the search by name.

use askama::Template;
use gate::Permit;
use registry::index::ListedProject;
use registry::targets::ReadList;

use crate::exchange::Exchange;
use crate::frame::layout::Layout;
use crate::frame::markup::day;
use crate::frame::page::pages;
use crate::index::reading::read_list;
use crate::problem::{Answer, Problem};
use crate::url::quoted;

/// Projects on one page.
const PER_PAGE: u32 = 50;
/// Most pages of a search; to find more, narrow the search.
const MAX_PAGES: u32 = 20;
/// Longest text that is searched for, in characters; names are shorter.
const MAX_TEXT: usize = 100;

/// A line of a list.
pub(crate) struct Line {
    pub(crate) normalized: String,
    pub(crate) written: String,
    /// Its status, if it is not the usual one.
    pub(crate) label: &'static str,
    /// Markup.
    pub(crate) changed: String,
}

impl From<ListedProject> for Line {
    fn from(project: ListedProject) -> Self {
        let label = if project.status == model::ProjectStatus::Active {
            ""
        } else {
            project.status.as_str()
        };
        let changed = project
            .changed_at
            .map(|at| format!("changed {}", day(at)))
            .unwrap_or_default();
        Self {
            normalized: project.normalized,
            written: project.written,
            label,
            changed,
        }
    }
}

#[derive(Template)]
#[template(path = "index/projects.html")]
struct Projects {
    layout: Layout,
    listed: Vec<Line>,
    /// Shown instead of an empty list.
    nothing: String,
    /// Which part of the list the page shows.
    place: String,
    /// Paths of other pages of the list; empty if there is none.
    first: String,
    previous: String,
    next: String,
}

pages!(Projects);

/// `GET /projects/`: all of them, or with `?q=` those with this text in their names.
pub(crate) async fn list(exchange: Exchange) -> Answer {
    let permit = read_list(&exchange).await?;
    let text: String = exchange.query("q").trim().chars().take(MAX_TEXT).collect();
    let page = if text.is_empty() {
        all(&exchange, permit).await?
    } else {
        found(&exchange, permit, text).await?
    };
    exchange.render(&page)
}

async fn all(exchange: &Exchange, permit: Permit<ReadList>) -> Result<Projects, Problem> {
    let registry = &exchange.app.registry;
    let after: String = exchange.query("after").chars().take(MAX_TEXT).collect();
    let mut listed = registry
        .projects_after(&permit, &after, PER_PAGE + 1)
        .await
        .map_err(|error| exchange.unavailable(error))?;
    let next = next_of(&mut listed, |last| {
        format!("/projects/?after={}", quoted(&last.normalized))
    });
    let count = registry
        .overview(&permit)
        .await
        .map_err(|error| exchange.unavailable(error))?
        .count;
    Ok(Projects {
        layout: exchange.layout("Projects"),
        nothing: if after.is_empty() {
            "Nothing is published yet."
        } else {
            "No project comes after this one."
        }
        .to_owned(),
        place: format!("{count} in all, in order of their names."),
        first: if after.is_empty() {
            String::new()
        } else {
            "/projects/".to_owned()
        },
        previous: String::new(),
        next,
        listed: listed.into_iter().map(Line::from).collect(),
    })
}

async fn found(
    exchange: &Exchange,
    permit: Permit<ReadList>,
    text: String,
) -> Result<Projects, Problem> {
    let page = exchange
        .query("page")
        .parse()
        .unwrap_or(1)
        .clamp(1, MAX_PAGES);
    let normalized = normalized(&text);
    let (skip, limit) = (
        (page - 1) as usize * PER_PAGE as usize,
        PER_PAGE as usize + 1,
    );
    let mut listed = exchange
        .app
        .registry
        .find_projects(permit, exchange.address(), &normalized, skip, limit)
        .await
        .map_err(|error| exchange.not_read(error))?;
    let address = |page: u32| format!("/projects/?q={}&page={page}", quoted(&text));
    let next = next_of(&mut listed, |_| {
        if page < MAX_PAGES {
            address(page + 1)
        } else {
            String::new()
        }
    });
    let mut place = match listed.len() {
        1 if page == 1 => "1 project found.".to_owned(),
        count if page == 1 && next.is_empty() => {
            format!("{count} projects found. The closest matches come first.")
        }
        _ => format!("Page {page}. The closest matches come first."),
    };
    if page == MAX_PAGES {
        place.push_str(" There are no further pages; search for more of the name.");
    }
    let mut layout = exchange.layout(&format!("“{text}” · Projects"));
    let (first, previous) = if page > 1 {
        (address(1), address(page - 1))
    } else {
        (String::new(), String::new())
    };
    let nothing = if page > 1 {
        "There are no more."
    } else {
        "No project has this in its name. Descriptions are not searched; try a shorter part of the name."
    };
    layout.search = text;
    Ok(Projects {
        layout,
        nothing: nothing.to_owned(),
        place,
        first,
        previous,
        next,
        listed: listed.into_iter().map(Line::from).collect(),
    })
}

/// Where the list continues; removes the extra line that only shows that it does.
fn next_of(
    listed: &mut Vec<ListedProject>,
    address: impl FnOnce(&ListedProject) -> String,
) -> String {
    if listed.len() <= PER_PAGE as usize {
        return String::new();
    }
    listed.truncate(PER_PAGE as usize);
    listed.last().map(address).unwrap_or_default()
}

/// Text in the form of normalized names (PEP 503): lower case, and a hyphen for each run of
/// separators; people put spaces there as well.
fn normalized(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '-' | '_' | '.' | ' ' if out.ends_with('-') => {}
            '-' | '_' | '.' | ' ' => out.push('-'),
            _ => out.extend(c.to_lowercase()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_finds_every_spelling_of_a_name() {
        for (text, expected) in [
            ("Demo", "demo"),
            ("My_.-Project", "my-project"),
            ("my  project", "my-project"),
            ("%", "%"),
            ("Ä", "ä"),
        ] {
            assert_eq!(normalized(text), expected);
        }
    }
}
