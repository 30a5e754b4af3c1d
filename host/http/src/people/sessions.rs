//! Where somebody is logged in.

use askama::Template;
use identity::{EndSession, EndSessions, ListSessions};
use model::{Action, Factor, SessionId};

use super::Look;
use crate::exchange::Exchange;
use crate::form::Form;
use crate::pages::layout::{Layout, pages, time};
use crate::problem::Answer;

#[derive(Template)]
#[template(path = "people/sessions.html")]
struct SessionsPage {
    layout: Layout,
    /// The one that asks first.
    sessions: Vec<Session>,
}

pages!(SessionsPage);

struct Session {
    id: SessionId,
    current: bool,
    device: String,
    address: String,
    created: String,
    used: String,
    proof: &'static str,
}

/// `GET /account/sessions/`
pub(crate) async fn page(exchange: Exchange) -> Answer {
    let user = exchange.person()?.id;
    let permit = exchange.decide_page(ListSessions { user }, &Form::none()).await?;
    let listed = exchange.app.identity.list_sessions(permit).await.map_err(|error| exchange.unavailable(error))?;
    let session = |session: identity::ListedSession| Session {
        current: Some(session.id) == exchange.caller.session,
        id: session.id,
        device: session.device,
        address: session.remote_address,
        created: time(session.created_at),
        used: time(session.last_used_at),
        proof: proof(session.factor),
    };
    let mut sessions: Vec<Session> = listed.into_iter().map(session).collect();
    sessions.sort_by_key(|session| !session.current);
    exchange.render(&SessionsPage { layout: exchange.layout("Sessions"), sessions })
}

fn proof(factor: Option<Factor>) -> &'static str {
    match factor {
        None => "Password",
        Some(Factor::Totp) => "One-time password app",
        Some(Factor::Webauthn) => "Security key or passkey",
        Some(Factor::RecoveryCode) => "Recovery code",
    }
}

/// `POST /account/sessions/end`
pub(crate) async fn end(exchange: Exchange) -> Answer {
    let user = exchange.person()?.id;
    let form = exchange.form().await?;
    let _ = exchange.decide_page(Look(Action::SessionEnd), &form).await?;
    let Ok(session) = form.text("session").parse() else { return exchange.see_other("/account/sessions/") };
    let permit = exchange.decide_page(EndSession { user, session }, &form).await?;
    exchange.app.identity.end_session(permit).await.map_err(|error| exchange.unavailable(error))?;
    // One that had ended by itself is gone just the same.
    exchange.see_other("/account/sessions/?notice=session-ended-by-you")
}

/// `POST /account/sessions/end-others`
pub(crate) async fn end_others(exchange: Exchange) -> Answer {
    let user = exchange.person()?.id;
    let form = exchange.form().await?;
    let permit = exchange.decide_page(EndSessions { user, except: exchange.caller.session }, &form).await?;
    exchange.app.identity.end_sessions(permit).await.map_err(|error| exchange.unavailable(error))?;
    exchange.see_other("/account/sessions/?notice=sessions-ended")
}
