//! Where somebody is logged in, and their known browsers and command lines.

use askama::Template;
use identity::{EndSession, EndSessions, ForgetDevice, ListDevices, ListSessions};
use model::{Factor, SessionId};

use crate::exchange::Exchange;
use crate::frame::form::Form;
use crate::frame::layout::Layout;
use crate::frame::markup::time;
use crate::frame::page::pages;
use crate::problem::Answer;

#[derive(Template)]
#[template(path = "account/sessions.html")]
struct SessionsPage {
    layout: Layout,
    /// The one of this request first.
    sessions: Vec<Session>,
    /// The one of this request first.
    devices: Vec<Device>,
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

struct Device {
    mark: String,
    current: bool,
    device: String,
    address: String,
    confirmed: String,
    used: String,
}

/// `GET /account/sessions/`
pub(crate) async fn page(exchange: Exchange) -> Answer {
    let account = exchange.account()?;
    let permit = exchange
        .decide_page(ListSessions { account }, &Form::none())
        .await?;
    let listed = exchange
        .app
        .identity
        .sessions()
        .list(permit)
        .await
        .map_err(|error| exchange.unavailable(error))?;
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
    let permit = exchange
        .decide_page(ListDevices { account }, &Form::none())
        .await?;
    let listed = exchange
        .app
        .identity
        .devices()
        .list(permit, exchange.browser.device())
        .await
        .map_err(|error| exchange.unavailable(error))?;
    let device = |device: identity::ListedDevice| Device {
        mark: device.mark,
        current: device.current,
        device: device.device,
        address: device.remote_address,
        confirmed: time(device.confirmed_at),
        used: time(device.last_used_at),
    };
    let mut devices: Vec<Device> = listed.into_iter().map(device).collect();
    devices.sort_by_key(|device| !device.current);
    exchange.render(&SessionsPage {
        layout: exchange.layout("Sessions"),
        sessions,
        devices,
    })
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
    let account = exchange.account()?;
    let form = exchange.form().await?;
    let Ok(session) = form.text("session").parse() else {
        let any = EndSessions {
            account,
            except: exchange.caller.session,
        };
        exchange.refuse_page(any, &form).await?;
        return exchange.see_other("/account/sessions/");
    };
    let permit = exchange
        .decide_page(EndSession { account, session }, &form)
        .await?;
    exchange
        .app
        .identity
        .sessions()
        .end(permit)
        .await
        .map_err(|error| exchange.unavailable(error))?;
    // A session that had already ended is gone as well.
    exchange.see_other("/account/sessions/?notice=session-ended-by-you")
}

/// `POST /account/sessions/end-others`
pub(crate) async fn end_others(exchange: Exchange) -> Answer {
    let account = exchange.account()?;
    let form = exchange.form().await?;
    let permit = exchange
        .decide_page(
            EndSessions {
                account,
                except: exchange.caller.session,
            },
            &form,
        )
        .await?;
    exchange
        .app
        .identity
        .sessions()
        .end_all(permit)
        .await
        .map_err(|error| exchange.unavailable(error))?;
    exchange.see_other("/account/sessions/?notice=sessions-ended")
}

/// `POST /account/sessions/forget-device`
pub(crate) async fn forget_device(exchange: Exchange) -> Answer {
    let account = exchange.account()?;
    let form = exchange.form().await?;
    let Some(target) = ForgetDevice::new(account, form.text("device")) else {
        let any = EndSessions {
            account,
            except: exchange.caller.session,
        };
        exchange.refuse_page(any, &form).await?;
        return exchange.see_other("/account/sessions/");
    };
    let permit = exchange.decide_page(target, &form).await?;
    exchange
        .app
        .identity
        .devices()
        .forget(permit)
        .await
        .map_err(|error| exchange.unavailable(error))?;
    // A device that was already forgotten is unknown as well.
    exchange.see_other("/account/sessions/?notice=device-forgotten")
}
