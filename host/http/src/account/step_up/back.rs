//! Where somebody goes on after the proof: to a page, or to a form that is sent again.

use crate::exchange::Exchange;
use crate::frame::form::Form;

/// Where the forms of the page that asks are sent; no browser is sent back there.
const PATH: &str = "/account/step-up";

/// What follows after the proof.
#[derive(Clone, Debug)]
pub(super) struct Return {
    /// Path and query, of a page or of a form.
    pub(super) to: String,
    pub(super) is_form: bool,
    /// The fields of the form.
    pub(super) kept: Vec<(String, String)>,
}

impl Return {
    /// Back to a page.
    pub(super) fn page(to: &str) -> Self {
        Self {
            to: to.to_owned(),
            is_form: false,
            kept: Vec::new(),
        }
    }

    /// Back to what this request asked for.
    pub(super) fn of(exchange: &Exchange, form: &Form) -> Self {
        let path = exchange
            .request
            .uri
            .path_and_query()
            .map_or("", |path| path.as_str());
        if exchange.body.is_none() {
            return Self::page(exchange.next(path));
        }
        if !exchange.app.site_map.has_form(path) {
            return Self::page("/account/");
        }
        Self {
            to: path.to_owned(),
            is_form: true,
            kept: owned(form.kept()),
        }
    }

    /// As the step-up page's own form carries it. An address outside the registry is ignored, so
    /// that no browser is sent elsewhere.
    pub(super) fn parse(exchange: &Exchange, form: &Form) -> Self {
        let to = form.text("step-up-to");
        if form.text("step-up-method") == "post"
            && exchange.app.site_map.has_form(to)
            && to.split('?').next() != Some(PATH)
        {
            return Self {
                to: to.to_owned(),
                is_form: true,
                kept: owned(form.kept()),
            };
        }
        Self::page(if to.is_empty() {
            "/account/?notice=proven"
        } else {
            exchange.next(to)
        })
    }

    pub(super) fn method(&self) -> &'static str {
        if self.is_form { "post" } else { "get" }
    }
}

fn owned(fields: Vec<(&str, &str)>) -> Vec<(String, String)> {
    fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
