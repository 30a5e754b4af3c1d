//! The front page: what this registry is, how to point tools at it, and the latest changes.

use askama::Template;

use super::projects::Line;
use super::reading::read_list;
use crate::exchange::Exchange;
use crate::frame::layout::Layout;
use crate::frame::page::pages;
use crate::problem::Answer;

#[derive(Template)]
#[template(path = "index/front.html")]
struct Front {
    layout: Layout,
    /// Their number; empty for none.
    projects: String,
    newest: Vec<Line>,
}

pages!(Front);

/// `GET /`
pub(crate) async fn front(exchange: Exchange) -> Answer {
    let app = &exchange.app;
    let permit = read_list(&exchange).await?;
    let overview = app
        .registry
        .overview(&permit)
        .await
        .map_err(|error| exchange.unavailable(error))?;
    let projects = match overview.count {
        0 => String::new(),
        1 => "1 project".to_owned(),
        count => format!("{count} projects"),
    };
    let newest = overview.newest.iter().cloned().map(Line::from).collect();
    exchange.render(&Front {
        layout: exchange.layout("Python packages").with_copying(),
        projects,
        newest,
    })
}
