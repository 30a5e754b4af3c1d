//! The pages on which the registry's staff act for others.

mod recoveries;

use model::Action;

use crate::frame::fields::Fields;
use crate::route::Route;

/// The routes of this room.
pub(crate) const ROUTES: &[Route] = &[
    Route::page("/staff/recoveries/", Action::AccountRecover, |exchange| {
        Box::pin(recoveries::page(exchange))
    }),
    Route::form(
        "/staff/recoveries/start",
        Action::AccountRecover,
        |exchange| Box::pin(recoveries::start(exchange)),
    ),
    Route::form(
        "/staff/recoveries/cancel",
        Action::AccountRecover,
        |exchange| Box::pin(recoveries::cancel(exchange)),
    ),
];

/// The forms of these pages.
pub(crate) const FORMS: &[Fields] = &[recoveries::RecoveryFields::FORM];
