//! The account at a glance, and the steps left before the first upload.

use askama::Template;
use identity::ListTokens;
use identity::factors::FactorsOverview;
use model::{Factor, Role, UserFacts};
use storage::projects::ProjectRow;

use crate::exchange::Exchange;
use crate::frame::form::Form;
use crate::frame::layout::Layout;
use crate::frame::link::Link;
use crate::frame::notices::{Notice, NoticeKind};
use crate::frame::page::pages;
use crate::problem::Answer;
use crate::words;

#[derive(Template)]
#[template(path = "account/overview.html")]
struct OverviewPage<'a> {
    layout: Layout,
    user: &'a str,
    staff: bool,
    steps: Vec<Step>,
    /// Whether nothing is left to do.
    is_ready: bool,
    projects: Vec<Project>,
    /// How many of them are not listed.
    more_projects: usize,
    emails: String,
    factors: String,
    tokens: String,
}

/// A project that the person has a role on.
struct Project {
    normalized: String,
    written: String,
    /// Whether it has a page: a project without a published file has none.
    is_public: bool,
}

/// Projects on the page.
const LISTED_PROJECTS: usize = 50;

pages!(OverviewPage<'_>);

/// One step from a new account to an upload.
struct Step {
    done: bool,
    text: &'static str,
    why: &'static str,
    path: &'static str,
}

/// `GET /account/`
pub(crate) async fn page(exchange: Exchange) -> Answer {
    let person = exchange.person()?.clone();
    let account = exchange.account()?;
    let view = exchange.read_account().await?;
    let identity = &exchange.app.identity;
    let overview = identity
        .factors()
        .of(view)
        .await
        .map_err(|error| exchange.unavailable(error))?;
    let emails = identity
        .emails()
        .of(view)
        .await
        .map_err(|error| exchange.unavailable(error))?;
    let permit = exchange
        .decide_page(ListTokens { account }, &Form::none())
        .await?;
    let tokens = identity
        .tokens()
        .list(permit)
        .await
        .map_err(|error| exchange.unavailable(error))?
        .len();
    let owned = identity
        .tokens()
        .projects_of(view)
        .await
        .map_err(|error| exchange.unavailable(error))?;
    let project = |(project, _): &(ProjectRow, Role)| Project {
        normalized: project.name.normalized().to_owned(),
        written: project.name.as_written().to_owned(),
        is_public: project.published_at.is_some(),
    };
    let steps = steps(&person, &overview, tokens);
    let mut layout = exchange.layout("Your account").with_copying();
    if exchange
        .caller
        .assurance
        .second_factor
        .is_some_and(|used| used.factor == Factor::RecoveryCode)
    {
        let text = format!(
            "You logged in with a recovery code; {} are left. If you lost a device, remove it.",
            overview.recovery.unused
        );
        layout.notices.push(Notice {
            link: Some(Link::new(
                "/account/factors/",
                "Look through your second factors",
            )),
            ..Notice::new(NoticeKind::Note, text)
        });
    }
    let page = OverviewPage {
        layout,
        user: person.name.as_written(),
        staff: person.staff,
        is_ready: steps.iter().all(|step| step.done),
        steps,
        projects: owned.iter().take(LISTED_PROJECTS).map(project).collect(),
        more_projects: owned.len().saturating_sub(LISTED_PROJECTS),
        emails: match emails.iter().find(|email| email.primary) {
            Some(email) if email.verified_at.is_some() => {
                format!("{} is the primary one.", email.address)
            }
            Some(email) => format!(
                "{} is the primary one, and not verified yet.",
                email.address
            ),
            None => "None yet.".to_owned(),
        },
        factors: in_words(&overview),
        tokens: match tokens {
            0 => "None yet.".to_owned(),
            1 => "One.".to_owned(),
            count => format!("{count}."),
        },
    };
    exchange.render(&page)
}

fn steps(person: &UserFacts, overview: &FactorsOverview, tokens: usize) -> Vec<Step> {
    let step = |done, text, why, path| Step {
        done,
        text,
        why,
        path,
    };
    vec![
        step(
            person.email_verified,
            "Verify your primary email address",
            "Open the link that we sent, or send another one.",
            "/account/emails/",
        ),
        step(
            overview.recovery.confirmed_at.is_some(),
            "Keep recovery codes",
            "They let you in if you lose your other second factors.",
            if overview.recovery.total == 0 {
                "/account/factors/"
            } else {
                "/account/factors/recovery-codes"
            },
        ),
        step(
            person.factors.any(),
            "Add a second factor",
            "An app on your phone, a security key or a passkey.",
            "/account/factors/",
        ),
        step(
            tokens > 0,
            "Create an API token",
            "It stands in for your password when a program uploads.",
            "/account/tokens/",
        ),
    ]
}

fn in_words(overview: &FactorsOverview) -> String {
    let app = overview.totp.map(|_| "a one-time password app".to_owned());
    let keys = match overview.keys.len() {
        0 => None,
        1 => Some("one key".to_owned()),
        count => Some(format!("{count} keys")),
    };
    let all: Vec<String> = app.into_iter().chain(keys).collect();
    if all.is_empty() {
        return "None yet.".to_owned();
    }
    format!(
        "{}; {} of {} recovery codes unused.",
        words::sentence(&all.join(" and ")),
        overview.recovery.unused,
        overview.recovery.total
    )
}
