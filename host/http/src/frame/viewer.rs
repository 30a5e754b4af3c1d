//! The viewer of a page.

use model::Caller;

/// The viewer of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Viewer {
    /// Not determined: the page is the same for all.
    Unknown,
    /// Somebody without a session.
    Nobody,
    /// Somebody with one.
    Person { name: String, staff: bool },
}

impl Viewer {
    /// The viewer for this caller. Only a session means a person with a browser: any other
    /// credential comes from a program, which has no use for a menu.
    pub(crate) fn of(caller: &Caller) -> Self {
        match caller.user().filter(|_| caller.session.is_some()) {
            Some(user) => Self::Person {
                name: user.name.as_written().to_owned(),
                staff: user.staff,
            },
            None => Self::Nobody,
        }
    }
}

/// Rewords a message about a user for that user.
pub(crate) fn to_the_person(viewer: &Viewer, message: &str) -> String {
    let rest = match viewer {
        Viewer::Person { name, .. } => message
            .strip_prefix("User '")
            .and_then(|rest| rest.strip_prefix(name.as_str())?.strip_prefix("' ")),
        Viewer::Unknown | Viewer::Nobody => None,
    };
    rest.map_or_else(|| message.to_owned(), |rest| format!("Your account {rest}"))
}
