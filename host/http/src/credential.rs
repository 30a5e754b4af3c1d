//! Who asks: the credential of a request, checked if its route demands that.

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue};
use gate::Attempt;
use identity::{
    InvalidAuthorization, PersonalProof, Presented, RequestContext, Unaccepted, UnspentCode,
};
use model::{Action, Caller};

use crate::body::Incoming;
use crate::cookies::Browser;
use crate::exchange::Exchange;
use crate::frame::form;
use crate::problem::Problem;
use crate::proof;
use crate::proof::{ExpectedFiles, Proof, Sent};
use crate::route::{Access, Credentials, Route};
use crate::shared::Shared;
use crate::small_bodies;

/// Who asks, and what came with the credential.
pub(crate) struct Authenticated {
    /// The attempt to decide with: renewed if a body had to be read first.
    pub(crate) attempt: Attempt,
    pub(crate) caller: Caller,
    /// A credential that came with a read and was not accepted.
    pub(crate) unaccepted: Option<Unaccepted>,
    /// The code that the decision spends.
    pub(crate) code: Option<UnspentCode>,
    /// The files that a person says they looked at.
    pub(crate) expected_files: Option<ExpectedFiles>,
}

impl Authenticated {
    fn new(attempt: Attempt, caller: Caller) -> Self {
        Self {
            attempt,
            caller,
            unaccepted: None,
            code: None,
            expected_files: None,
        }
    }
}

/// Finds out who asks. Credentials are checked only here and in [`authenticate_again`].
pub(crate) async fn authenticate(
    app: &Shared,
    route: &Route,
    attempt: Attempt,
    headers: &HeaderMap,
    browser: &Browser,
    body: Option<&Incoming>,
) -> Result<Authenticated, Problem> {
    let Access::Decided(action) = route.access else {
        return Ok(Authenticated::new(attempt, Caller::anonymous()));
    };
    let presented = presented(headers, browser);
    if action.is_read() {
        let (caller, unaccepted) = app
            .identity
            .readers()
            .authenticate(&attempt, presented, action)
            .await;
        return Ok(Authenticated {
            unaccepted,
            ..Authenticated::new(attempt, caller)
        });
    }
    let presented = match presented {
        Ok(presented) => presented,
        Err(invalid) => {
            return Err(app
                .identity
                .refuse_authorization(RequestContext::new(&app.gate, &attempt), action, invalid)
                .await
                .into());
        }
    };
    if let (Credentials::HeadersOrPerson, Some(body)) = (route.credentials, body) {
        body.limit_to(proof::MAX_BODY_BYTES as u64);
        proof::refuse_forms(headers)?;
        let Sent {
            proof,
            files,
            place: _place,
        } = proof::read_sent(headers, body, attempt.remote_address).await?;
        let attempt = app.gate.renew(&attempt);
        if let (Presented::None, Some(proof)) = (&presented, &proof) {
            return prove_person(app, attempt, action, proof, files).await;
        }
        let caller = app
            .identity
            .authenticate(RequestContext::new(&app.gate, &attempt), presented, action)
            .await?;
        return Ok(Authenticated {
            expected_files: files,
            ..Authenticated::new(attempt, caller)
        });
    }
    // The credential must still be valid once the form is here, however long that takes: a session
    // that ends meanwhile decides nothing.
    let attempt = match (route.credentials, body) {
        (Credentials::Form, Some(body)) => {
            body.limit_to(form::MAX_BYTES as u64);
            small_bodies::read(attempt.remote_address, body.gather(form::MAX_BYTES)).await?;
            app.gate.renew(&attempt)
        }
        _ => attempt,
    };
    let caller = app
        .identity
        .authenticate(RequestContext::new(&app.gate, &attempt), presented, action)
        .await?;
    Ok(Authenticated::new(attempt, caller))
}

/// Checks the credential again, now that the body is in: the client may have taken hours to send
/// it, and the credential may have been revoked or have expired. Later decisions are about the
/// caller and the time of this check.
pub(crate) async fn authenticate_again(
    exchange: &mut Exchange,
    action: Action,
) -> Result<(), Problem> {
    let Exchange {
        app,
        attempt,
        request,
        browser,
        ..
    } = &*exchange;
    let attempt = app.gate.renew(attempt);
    let caller = match presented(&request.headers, browser) {
        Ok(presented) => {
            app.identity
                .authenticate_again(RequestContext::new(&app.gate, &attempt), presented, action)
                .await?
        }
        Err(invalid) => {
            return Err(app
                .identity
                .refuse_authorization(RequestContext::new(&app.gate, &attempt), action, invalid)
                .await
                .into());
        }
    };
    (exchange.attempt, exchange.caller) = (attempt, caller);
    Ok(())
}

/// The presented credential: that of the header, or else the browser's session.
pub(crate) fn presented(
    headers: &HeaderMap,
    browser: &Browser,
) -> Result<Presented, InvalidAuthorization> {
    let presented = Presented::parse(
        headers
            .get_all(AUTHORIZATION)
            .iter()
            .map(HeaderValue::as_bytes),
    )?;
    Ok(presented.with_session_cookie(browser.session()))
}

/// A person who proves password and second factor in the body of this very call.
async fn prove_person(
    app: &Shared,
    attempt: Attempt,
    action: Action,
    proof: &Proof,
    files: Option<ExpectedFiles>,
) -> Result<Authenticated, Problem> {
    let sent = PersonalProof {
        user_name: &proof.user,
        password: &proof.password,
        totp_code: proof.totp.as_ref().map(|code| code.expose().as_str()),
        device: proof.device.as_ref().map(|device| device.expose().as_str()),
        host: proof.host.as_deref(),
    };
    let (caller, code) = app
        .identity
        .proofs()
        .prove_person(RequestContext::new(&app.gate, &attempt), action, sent)
        .await?;
    Ok(Authenticated {
        code,
        expected_files: files,
        ..Authenticated::new(attempt, caller)
    })
}
