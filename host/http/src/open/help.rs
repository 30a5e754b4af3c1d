//! The help page, to which refusals link.

use std::collections::HashMap;

use askama::Template;
use axum::http::Uri;
use bytes::Bytes;

use crate::config::AppConfig;
use crate::frame::layout::Layout;
use crate::frame::viewer::Viewer;

/// The page with a section for each anchor that refusals link to.
#[derive(Template)]
#[template(path = "open/help.html")]
struct Help {
    layout: Layout,
}

/// The help page in each variant, rendered once the public address is known.
pub(crate) struct HelpPages {
    pages: HashMap<HelpFor, Bytes>,
}

/// The facts on which the help page depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct HelpFor {
    pub(crate) has_session: bool,
    pub(crate) can_register: bool,
    pub(crate) is_open: bool,
}

impl HelpFor {
    fn all() -> impl Iterator<Item = Self> {
        let bit = |number: u8, bit: u8| number & bit != 0;
        (0..8).map(move |number| Self {
            has_session: bit(number, 1),
            can_register: bit(number, 2),
            is_open: bit(number, 4),
        })
    }
}

impl HelpPages {
    pub(crate) fn new(config: &AppConfig) -> Self {
        let help = |it: HelpFor| {
            let frame =
                Layout::of_request(config, &Uri::from_static("/help/"), true).with_copying();
            let viewer = if it.has_session {
                Viewer::Unknown
            } else {
                Viewer::Nobody
            };
            let layout = Layout {
                title: "Help".to_owned(),
                viewer,
                can_register: it.can_register,
                is_open: it.is_open,
                ..frame
            };
            (
                it,
                Help { layout }
                    .render()
                    .expect("the help page has no parts that could fail")
                    .into(),
            )
        };
        Self {
            pages: HelpFor::all().map(help).collect(),
        }
    }

    pub(crate) fn get(&self, wanted: HelpFor) -> Bytes {
        self.pages[&wanted].clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate::Page;
    use model::Contact;

    fn config() -> AppConfig {
        AppConfig::new("https://pypi.example.org").unwrap()
    }

    /// The page for a viewer with a session, in an open registry.
    fn help_with(config: &AppConfig) -> String {
        let wanted = HelpFor {
            has_session: true,
            can_register: true,
            is_open: true,
        };
        String::from_utf8(HelpPages::new(config).get(wanted).to_vec()).unwrap()
    }

    fn help() -> String {
        help_with(&config())
    }

    #[test]
    fn where_nobody_can_register_no_page_leads_there() {
        let help = |is_open| {
            let wanted = HelpFor {
                has_session: false,
                can_register: is_open,
                is_open,
            };
            String::from_utf8(HelpPages::new(&config()).get(wanted).to_vec()).unwrap()
        };
        assert!(
            help(true).contains("example.org/register\"")
                && help(true).contains(">Simple index</a>")
        );
        assert!(
            !help(false).contains("/register")
                && help(false).contains("Ask the operators of the registry for an invitation")
        );
        assert!(
            !help(false).contains(">Simple index</a>"),
            "it is closed, and a browser would ask for a password"
        );
        assert!(
            help(false).contains("machine pypi.example.org login __token__")
                && !help(false).contains("You don’t need an account")
        );
        assert!(help(true).contains("You don’t need an account") && !help(true).contains("netrc"));
    }

    #[test]
    fn the_help_says_how_to_reach_the_operators_or_that_it_does_not_know() {
        let contact = Contact::parse("help@example.org").unwrap();
        let help_of = |contact| {
            help_with(&AppConfig {
                contact,
                ..config()
            })
        };
        assert!(
            help_of(Some(contact))
                .contains("href=\"mailto:help@example.org\">help@example.org</a>")
        );
        assert!(
            help_of(None).contains("No contact details are published for it")
                && !help_of(None).contains("mailto:")
        );
    }

    #[test]
    fn a_registry_with_a_name_goes_by_it() {
        let help_of = |name| help_with(&AppConfig { name, ..config() });
        let named = help_of(Some("Müller & Söhne".to_owned()));
        assert!(
            named.contains("<title>Help · Müller &#38; Söhne</title>")
                && named.contains("</svg><span>Müller &#38; Söhne</span>"),
            "{named}"
        );
        let unnamed = help_of(None);
        assert!(
            unnamed.contains("<title>Help · pypi.example.org</title>")
                && unnamed.contains("</svg><span>Portcullis</span>"),
            "{unnamed}"
        );
    }

    #[test]
    fn every_page_that_a_refusal_can_name_has_a_section() {
        for page in Page::ALL {
            assert!(help().contains(&format!("id=\"{page}\"")), "{page}");
        }
    }

    #[test]
    fn pages_name_the_public_address_and_leave_no_hole() {
        let help = help();
        assert!(help.contains("https://pypi.example.org/legacy/") && !help.contains("{{"));
    }
}
