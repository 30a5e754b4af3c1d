//! Whom a page is shown to.

use model::Caller;

/// Whom a page is shown to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Viewer {
    /// Nobody looked: the page is the same for all.
    Unknown,
    /// Somebody without a session.
    Nobody,
    /// Somebody with one.
    Person { name: String, staff: bool },
}

impl Viewer {
    /// Whoever asks with this. Only a session makes a person of a browser: who presents
    /// anything else is a program, and has no use for a menu.
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

/// What is told to everybody about a user, told to that user.
pub(crate) fn to_the_person(viewer: &Viewer, message: &str) -> String {
    let rest = match viewer {
        Viewer::Person { name, .. } => message
            .strip_prefix("User '")
            .and_then(|rest| rest.strip_prefix(name.as_str())?.strip_prefix("' ")),
        Viewer::Unknown | Viewer::Nobody => None,
    };
    rest.map_or_else(|| message.to_owned(), |rest| format!("Your account {rest}"))
}
