//! The pages on which people register, log in and manage their accounts. One file for each topic,
//! with the same parts in the same order: the template, what a `GET` shows, what a `POST` does.
//!
//! `GET` changes nothing, even when a mail scanner opens a link. `POST` makes the change and
//! answers with a redirect, or with the same page and what is wrong with it. No page shows an
//! anonymous visitor whether an account exists.

mod register;
mod login;
mod second_step;
mod passkeys;
mod devices;
mod password;
mod emails;
mod overview;
mod factors;
mod sessions;
mod history;
mod secure;
mod delete;
pub(crate) mod recovery;
pub(crate) mod step_up;
mod tokens;
mod qr_code;

use axum::http::StatusCode;
use gate::Target;
use identity::factors::KeyChallenge;
use identity::{Account, OwnSession, StartedSession};
use model::Action;
use serde_json::{Value, json};

use crate::cookies;
use crate::exchange::Exchange;
use crate::frame::fields::Fields;
use crate::problem::{Answer, Problem};
use crate::route::Route;

/// The routes of this room.
pub(crate) const ROUTES: &[Route] = &[
    // Registering, logging in and recovering an account.
    Route::page("/register", Action::AccountCreate, |exchange| {
        Box::pin(register::page(exchange))
    }),
    Route::form("/register", Action::AccountCreate, |exchange| {
        Box::pin(register::register(exchange))
    }),
    Route::page("/register/confirm", Action::AccountCreate, |exchange| {
        Box::pin(register::confirm_page(exchange))
    }),
    Route::form("/register/confirm", Action::AccountCreate, |exchange| {
        Box::pin(register::confirm(exchange))
    }),
    Route::page("/first-user", Action::AccountCreate, |exchange| {
        Box::pin(register::first_user_page(exchange))
    }),
    Route::form("/first-user", Action::AccountCreate, |exchange| {
        Box::pin(register::first_user(exchange))
    }),
    Route::page("/login", Action::SessionStart, |exchange| {
        Box::pin(login::page(exchange))
    }),
    Route::form("/login", Action::SessionStart, |exchange| {
        Box::pin(login::log_in(exchange))
    }),
    Route::page("/login/factor", Action::SessionStart, |exchange| {
        Box::pin(second_step::page(exchange))
    }),
    Route::form("/login/factor", Action::SessionStart, |exchange| {
        Box::pin(second_step::prove(exchange))
    }),
    Route::form("/login/factor/options", Action::SessionStart, |exchange| {
        Box::pin(second_step::options(exchange))
    }),
    Route::form("/login/passkey", Action::SessionStart, |exchange| {
        Box::pin(passkeys::log_in(exchange))
    }),
    Route::form("/login/passkey/options", Action::SessionStart, |exchange| {
        Box::pin(passkeys::options(exchange))
    }),
    Route::page("/login/device", Action::SessionStart, |exchange| {
        Box::pin(devices::page(exchange))
    }),
    Route::form("/login/device", Action::SessionStart, |exchange| {
        Box::pin(devices::confirm(exchange))
    }),
    Route::form("/login/device/again", Action::SessionStart, |exchange| {
        Box::pin(devices::mail_again(exchange))
    }),
    Route::form("/logout", Action::SessionEnd, |exchange| {
        Box::pin(login::log_out(exchange))
    }),
    Route::page("/password/forgot", Action::PasswordReset, |exchange| {
        Box::pin(password::forgot_page(exchange))
    }),
    Route::form("/password/forgot", Action::PasswordReset, |exchange| {
        Box::pin(password::forgot(exchange))
    }),
    Route::page("/password/reset", Action::PasswordReset, |exchange| {
        Box::pin(password::reset_page(exchange))
    }),
    Route::form("/password/reset", Action::PasswordReset, |exchange| {
        Box::pin(password::reset(exchange))
    }),
    Route::page("/email/confirm", Action::EmailVerify, |exchange| {
        Box::pin(emails::confirm_page(exchange))
    }),
    Route::form("/email/confirm", Action::EmailVerify, |exchange| {
        Box::pin(emails::confirm(exchange))
    }),
    Route::page("/recovery/cancel", Action::PasswordReset, |exchange| {
        Box::pin(recovery::stop_page(exchange))
    }),
    Route::form("/recovery/cancel", Action::PasswordReset, |exchange| {
        Box::pin(recovery::stop(exchange))
    }),
    // Managing one's own account.
    Route::page("/account/", Action::AccountRead, |exchange| {
        Box::pin(overview::page(exchange))
    }),
    Route::page("/account/emails/", Action::AccountRead, |exchange| {
        Box::pin(emails::page(exchange))
    }),
    Route::form("/account/emails/", Action::EmailAdd, |exchange| {
        Box::pin(emails::add(exchange))
    }),
    Route::form("/account/emails/verify", Action::EmailVerify, |exchange| {
        Box::pin(emails::send_link(exchange))
    }),
    Route::form(
        "/account/emails/promote",
        Action::EmailPromote,
        |exchange| Box::pin(emails::promote(exchange)),
    ),
    Route::form("/account/emails/remove", Action::EmailRemove, |exchange| {
        Box::pin(emails::remove(exchange))
    }),
    Route::page("/account/password", Action::PasswordChange, |exchange| {
        Box::pin(password::page(exchange))
    }),
    Route::form("/account/password", Action::PasswordChange, |exchange| {
        Box::pin(password::change(exchange))
    }),
    Route::page("/account/factors/", Action::AccountRead, |exchange| {
        Box::pin(factors::page(exchange))
    }),
    Route::page(
        "/account/factors/recovery-codes",
        Action::AccountRead,
        |exchange| Box::pin(factors::recovery_codes::page(exchange)),
    ),
    Route::form(
        "/account/factors/recovery-codes",
        Action::RecoveryCodesGenerate,
        |exchange| Box::pin(factors::recovery_codes::generate(exchange)),
    ),
    Route::form(
        "/account/factors/recovery-codes/confirm",
        Action::RecoveryCodesGenerate,
        |exchange| Box::pin(factors::recovery_codes::confirm(exchange)),
    ),
    Route::page("/account/factors/totp", Action::FactorEnroll, |exchange| {
        Box::pin(factors::totp::page(exchange))
    }),
    Route::form("/account/factors/totp", Action::FactorEnroll, |exchange| {
        Box::pin(factors::totp::enroll(exchange))
    }),
    Route::page(
        "/account/factors/totp/remove",
        Action::AccountRead,
        |exchange| Box::pin(factors::totp::removal(exchange)),
    ),
    Route::form(
        "/account/factors/totp/remove",
        Action::FactorRemove,
        |exchange| Box::pin(factors::totp::remove(exchange)),
    ),
    Route::form("/account/factors/keys", Action::FactorEnroll, |exchange| {
        Box::pin(factors::keys::enroll(exchange))
    }),
    Route::form(
        "/account/factors/keys/options",
        Action::FactorEnroll,
        |exchange| Box::pin(factors::keys::options(exchange)),
    ),
    Route::page(
        "/account/factors/keys/{key}/rename",
        Action::AccountRead,
        |exchange| Box::pin(factors::keys::rename_page(exchange)),
    ),
    Route::form(
        "/account/factors/keys/{key}/rename",
        Action::AccountUpdate,
        |exchange| Box::pin(factors::keys::rename(exchange)),
    ),
    Route::page(
        "/account/factors/keys/{key}/remove",
        Action::AccountRead,
        |exchange| Box::pin(factors::keys::removal(exchange)),
    ),
    Route::form(
        "/account/factors/keys/{key}/remove",
        Action::FactorRemove,
        |exchange| Box::pin(factors::keys::remove(exchange)),
    ),
    Route::page("/account/sessions/", Action::SessionList, |exchange| {
        Box::pin(sessions::page(exchange))
    }),
    Route::form("/account/sessions/end", Action::SessionEnd, |exchange| {
        Box::pin(sessions::end(exchange))
    }),
    Route::form(
        "/account/sessions/end-others",
        Action::SessionEnd,
        |exchange| Box::pin(sessions::end_others(exchange)),
    ),
    Route::form(
        "/account/sessions/forget-device",
        Action::SessionEnd,
        |exchange| Box::pin(sessions::forget_device(exchange)),
    ),
    Route::page("/account/history/", Action::AccountRead, |exchange| {
        Box::pin(history::page(exchange))
    }),
    Route::page(
        "/account/history/history.json",
        Action::AccountRead,
        |exchange| Box::pin(history::export(exchange)),
    ),
    Route::page("/account/secure", Action::AccountRead, |exchange| {
        Box::pin(secure::page(exchange))
    }),
    Route::form("/account/secure", Action::SessionEnd, |exchange| {
        Box::pin(secure::secure(exchange))
    }),
    Route::page("/account/recovery", Action::AccountRead, |exchange| {
        Box::pin(recovery::own(exchange))
    }),
    Route::form("/account/recovery", Action::AccountUpdate, |exchange| {
        Box::pin(recovery::stop_own(exchange))
    }),
    Route::page("/account/delete", Action::AccountRead, |exchange| {
        Box::pin(delete::page(exchange))
    }),
    Route::form("/account/delete", Action::AccountDelete, |exchange| {
        Box::pin(delete::delete(exchange))
    }),
    // API tokens.
    Route::page("/account/tokens/", Action::TokenList, |exchange| {
        Box::pin(tokens::list(exchange))
    }),
    Route::page("/account/tokens/create", Action::TokenCreate, |exchange| {
        Box::pin(tokens::new(exchange))
    }),
    Route::form("/account/tokens/create", Action::TokenCreate, |exchange| {
        Box::pin(tokens::create(exchange))
    }),
    Route::page(
        "/account/tokens/{token}/revoke",
        Action::TokenRevoke,
        |exchange| Box::pin(tokens::ask(exchange)),
    ),
    Route::form(
        "/account/tokens/{token}/revoke",
        Action::TokenRevoke,
        |exchange| Box::pin(tokens::revoke(exchange)),
    ),
    // Confirming one's identity again.
    Route::page("/account/step-up", Action::SessionStepUp, |exchange| {
        Box::pin(step_up::show(exchange))
    }),
    Route::form("/account/step-up", Action::SessionStepUp, |exchange| {
        Box::pin(step_up::prove(exchange))
    }),
    Route::form(
        "/account/step-up/options",
        Action::SessionStepUp,
        |exchange| Box::pin(step_up::options(exchange)),
    ),
];

/// The forms of these pages.
pub(crate) const FORMS: &[Fields] = &[
    login::LoginFields::FORM,
    factors::keys::RenameFields::FORM,
    factors::KeyFields::FORM,
    register::RegisterFields::FORM,
    register::FinishFields::FORM,
    password::PasswordFields::FORM,
    password::ForgotFields::FORM,
    password::ResetFields::FORM,
    second_step::SecondStepFields::FORM,
    step_up::StepUpFields::FORM,
    delete::DeleteFields::FORM,
    factors::totp::AppFields::FORM,
    tokens::TokenFields::FORM,
    factors::recovery_codes::RecoveryCodeFields::FORM,
    emails::EmailFields::FORM,
];

/// The session of a person. Policies usually refuse callers with another credential; if they do
/// not, those callers still cannot go on. `without` is the target to decide about for them.
async fn own_session<T: Target>(
    exchange: &Exchange,
    without: impl FnOnce(Account) -> T,
) -> Result<OwnSession, Problem> {
    if let Some(session) = OwnSession::of(&exchange.caller) {
        return Ok(session);
    }
    let target = without(exchange.account()?);
    exchange.decide(target).await.map(drop)?;
    let problem = Problem::new(
        StatusCode::FORBIDDEN,
        "session-required",
        "This is done in a browser that is logged in.",
    );
    Err(problem.remedy("Log in with a browser.", None))
}

/// Redirects to another page, with the cookie of a session that got a new secret.
fn renewed(exchange: &Exchange, session: Option<StartedSession>, path: &str) -> Answer {
    let mut response = exchange.see_other(path)?;
    if let Some(session) = session {
        cookies::set_session(&exchange.app, &mut response, &session);
    }
    Ok(response)
}

/// The answer to the script for security keys.
fn challenge(challenge: &KeyChallenge) -> Value {
    json!({ "ceremony": challenge.ceremony.expose(), "options": challenge.options })
}
