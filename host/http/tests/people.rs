//! What people do in a browser that runs no script, from registering to deletion: pages,
//! redirects, cookies and texts, through the whole of HTTP with the policies that are shipped.

#[path = "people/browser.rs"]
mod browser;
#[path = "people/snapshots.rs"]
mod snapshots;
#[path = "people/shown.rs"]
mod shown;
#[path = "people/markup.rs"]
mod markup;
#[path = "people/becoming.rs"]
mod becoming;
#[path = "people/logging_in.rs"]
mod logging_in;
#[path = "people/account.rs"]
mod account;
#[path = "people/endings.rs"]
mod endings;
#[path = "pages/origins.rs"]
mod origins;
#[path = "pages/proving.rs"]
mod proving;
#[path = "pages/telling.rs"]
mod telling;
#[path = "pages/tokens.rs"]
mod tokens;
