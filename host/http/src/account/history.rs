//! The history of an account, for its owner.

use askama::Template;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_DISPOSITION;
use identity::{Account, DoneBy, HistoryEntry, ReadHistory};
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::exchange::{Exchange, json};
use crate::frame::form::Form;
use crate::frame::layout::Layout;
use crate::frame::markup::time;
use crate::frame::page::pages;
use crate::problem::{Answer, Problem};

/// Entries on one page.
const LISTED: usize = 25;
/// Entries read at once while searching for those to show.
const READ: u32 = 1_000;
/// Most entries examined for one page; the page then says that there are more.
const LOOKED_AT: usize = 2_000;
/// Events of an export read at once.
const EXPORTED_AT_ONCE: u32 = 200;
/// Bytes of events after which an export continues in another answer.
const EXPORTED_BYTES: usize = model::limit::EXPORT_BYTES.length();

#[derive(Template)]
#[template(path = "account/history.html")]
struct HistoryPage {
    layout: Layout,
    choices: Vec<Choice>,
    caption: &'static str,
    nothing: &'static str,
    entries: Vec<Entry>,
    /// Query of the page with older entries.
    older: Option<String>,
    /// Query of the first page; none on that page.
    newest: Option<String>,
}

pages!(HistoryPage);

struct Choice {
    text: &'static str,
    query: String,
    current: bool,
}

struct Entry {
    at: String,
    sentence: String,
    /// What the next field holds: an address, or who did it.
    origin: &'static str,
    address: String,
    device: String,
    alarming: bool,
}

/// Which entries are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filter {
    All,
    LogIns,
    Refusals,
    Changes,
}

impl Filter {
    const ALL: [Filter; 4] = [
        Filter::All,
        Filter::LogIns,
        Filter::Refusals,
        Filter::Changes,
    ];

    fn of(word: &str) -> Self {
        Self::ALL
            .into_iter()
            .find(|filter| filter.word() == word)
            .unwrap_or(Self::All)
    }

    /// Its word in a URL; empty for everything.
    fn word(self) -> &'static str {
        match self {
            Self::All => "",
            Self::LogIns => "log-ins",
            Self::Refusals => "refusals",
            Self::Changes => "changes",
        }
    }

    /// Its texts on the page: the choice, the caption, and the text for an empty list.
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::All => (
                "Everything",
                "Everything that happened",
                "Nothing has happened yet.",
            ),
            Self::LogIns => (
                "Log-ins",
                "Log-ins, failed ones included",
                "There are no log-ins here.",
            ),
            Self::Refusals => ("Refusals", "What was refused", "Nothing was refused."),
            Self::Changes => ("Changes", "What was changed", "Nothing was changed."),
        }
    }

    /// Whether an event of this kind is shown. Every event is a login, a refusal or a change; a
    /// failed login is both a login and a refusal.
    fn shows(self, kind: &str) -> bool {
        let log_in = kind.starts_with("session:")
            || kind.starts_with("authentication:")
            || kind.starts_with("account:device:");
        let refusal = kind == "authentication:failed" || kind.starts_with("request:");
        match self {
            Self::All => true,
            Self::LogIns => log_in,
            Self::Refusals => refusal,
            Self::Changes => !log_in && !refusal,
        }
    }

    fn query(self, before: Option<i64>) -> String {
        let before = before.map(|before| format!("before={before}"));
        let show = (self != Self::All).then(|| format!("show={}", self.word()));
        let parts: Vec<String> = show.into_iter().chain(before).collect();
        if parts.is_empty() {
            String::new()
        } else {
            format!("?{}", parts.join("&"))
        }
    }
}

/// `GET /account/history/`
pub(crate) async fn page(exchange: Exchange) -> Answer {
    let account = exchange.account()?;
    let filter = Filter::of(&exchange.query("show"));
    let before: Option<i64> = exchange.query("before").parse().ok();
    let (found, next) = read(&exchange, account, before, |entry| {
        entry.kinds.iter().any(|kind| filter.shows(kind))
    })
    .await?;
    let entry = |entry: HistoryEntry| Entry {
        at: time(entry.at),
        sentence: entry.sentence,
        origin: if entry.by == DoneBy::Person {
            "IP address"
        } else {
            "By"
        },
        address: entry
            .remote_address
            .unwrap_or_else(|| by_whom(entry.by).to_owned()),
        device: entry.device.unwrap_or_default(),
        alarming: entry.alarming,
    };
    let choice = |choice: Filter| Choice {
        text: choice.words().0,
        query: choice.query(None),
        current: choice == filter,
    };
    let (_, caption, nothing) = filter.words();
    let page = HistoryPage {
        layout: exchange.layout("Security history"),
        choices: Filter::ALL.into_iter().map(choice).collect(),
        caption,
        nothing: if next.is_some() {
            "Nothing of this kind among the newest; there may be more among the older."
        } else {
            nothing
        },
        entries: found.into_iter().map(entry).collect(),
        older: next.map(|next| filter.query(Some(next))),
        newest: before.map(|_| filter.query(None)),
    };
    exchange.render(&page)
}

/// What is shown instead of an address.
fn by_whom(by: DoneBy) -> &'static str {
    match by {
        DoneBy::Person => "Unknown",
        DoneBy::AnotherUser => "Another person",
        DoneBy::Publisher => "A trusted publisher",
        DoneBy::Operator => "An operator, at the server",
        DoneBy::Registry => "The registry itself",
    }
}

/// `GET /account/history/history.json`: each event with its detail. An answer holds as many as fit
/// and says where the next one begins.
pub(crate) async fn export(exchange: Exchange) -> Answer {
    let person = exchange.person()?.clone();
    let account = exchange.account()?;
    let mut before = exchange.query("before").parse().ok();
    let (mut events, mut bytes) = (Vec::new(), 0);
    let next = 'export: loop {
        // A permit is for one read. Each read is decided alike, as of this request.
        let permit = exchange
            .decide_page(ReadHistory { account }, &Form::none())
            .await?;
        let history = exchange
            .app
            .identity
            .histories()
            .events(permit, before, EXPORTED_AT_ONCE)
            .await
            .map_err(|error| exchange.unavailable(error))?;
        for entry in history.entries {
            let sequence = entry.sequence;
            let event = exported(entry);
            bytes += event.get().len();
            events.push(event);
            if bytes >= EXPORTED_BYTES {
                break 'export Some(sequence);
            }
        }
        match history.next {
            Some(next) => before = Some(next),
            None => break None,
        }
    };
    let next = next.map(|next| {
        format!(
            "{}/account/history/history.json?before={next}",
            exchange.app.public_url()
        )
    });
    let mut response = json(&Export {
        user: person.name.as_written(),
        at: exchange.attempt.at.to_string(),
        events,
        next,
    })?;
    response.headers_mut().insert(
        CONTENT_DISPOSITION,
        HeaderValue::from_static("attachment; filename=\"history.json\""),
    );
    Ok(response)
}

/// The answer of an export.
#[derive(Serialize)]
struct Export<'a> {
    user: &'a str,
    at: String,
    events: Vec<Box<RawValue>>,
    /// Where the next answer begins; none if this is the last one.
    next: Option<String>,
}

fn exported(entry: HistoryEntry) -> Box<RawValue> {
    let value = json!({
        "sequence": entry.sequence, "at": entry.at.to_string(), "kind": entry.kind, "sentence": entry.sentence,
        "remote-address": entry.remote_address, "device": entry.device, "alarming": entry.alarming, "detail": entry.detail,
    });
    serde_json::value::to_raw_value(&value).expect("a value is written as JSON")
}

/// The matching entries, newest first, and the entry before which the rest begins.
async fn read(
    exchange: &Exchange,
    account: Account,
    mut before: Option<i64>,
    wants: impl Fn(&HistoryEntry) -> bool,
) -> Result<(Vec<HistoryEntry>, Option<i64>), Problem> {
    let (mut found, mut seen) = (Vec::new(), 0);
    loop {
        // A permit is for one read. Each read is decided alike, as of this request.
        let permit = exchange
            .decide_page(ReadHistory { account }, &Form::none())
            .await?;
        let history = exchange
            .app
            .identity
            .histories()
            .of(permit, before, READ)
            .await
            .map_err(|error| exchange.unavailable(error))?;
        for entry in history.entries {
            seen += 1;
            before = Some(entry.sequence);
            if wants(&entry) {
                found.push(entry);
            }
            if found.len() == LISTED {
                return Ok((found, before));
            }
        }
        let Some(next) = history.next else {
            return Ok((found, None));
        };
        before = Some(next);
        if seen >= LOOKED_AT {
            return Ok((found, before));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::audit::EventKind;

    #[test]
    fn every_event_is_a_log_in_a_refusal_or_a_change() {
        for kind in EventKind::ALL {
            let shown = [Filter::LogIns, Filter::Refusals, Filter::Changes]
                .iter()
                .filter(|filter| filter.shows(kind.as_str()))
                .count();
            let failed = *kind == EventKind::AuthenticationFailed;
            assert_eq!(shown, if failed { 2 } else { 1 }, "{kind}");
            assert!(Filter::All.shows(kind.as_str()));
        }
    }

    #[test]
    fn an_unknown_filter_shows_everything() {
        assert_eq!(Filter::of("\"><script>"), Filter::All);
        assert_eq!(Filter::of("refusals"), Filter::Refusals);
    }

    #[test]
    fn a_query_keeps_filter_and_place() {
        assert_eq!(Filter::All.query(None), "");
        assert_eq!(Filter::All.query(Some(7)), "?before=7");
        assert_eq!(Filter::LogIns.query(Some(7)), "?show=log-ins&before=7");
    }
}
