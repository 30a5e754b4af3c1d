//! What all pages have: the frame around them, their forms, and their answers other than content.
//!
//! How to add a page: a template in the room's folder of `templates/` that extends
//! `frame/layout.html` and fills its block `main`; a struct with `layout: Layout` and the values
//! the template shows, named in [`page::pages!`]; a handler that decides, makes the frame with
//! `exchange.layout("Title")` and ends with `exchange.render(&page)`; a row `Route::page(path,
//! action, handler)` in the `ROUTES` of its room, and its line in `docs/http-api.md`.
//!
//! How to add a form: [`fields::fields!`] names its fields, and `FORMS` of the room lists it; the
//! macros of `templates/frame/forms.html` draw them with the errors next to each;
//! `Route::form(path, action, handler)` is where it is sent. The handler reads `exchange.form()`,
//! checks, decides with `exchange.decide_page(target, &form)`, which asks the person for missing
//! proofs and sends the form again after that (except passwords and codes: also decide about a form
//! with secrets before it is shown), and ends with `exchange.see_other("/path/?notice=saved")`, or
//! with `exchange.render_with(StatusCode::UNPROCESSABLE_ENTITY, &page)` and `Errors` when fields
//! are wrong. `exchange.person()?` comes first if the page needs a logged-in person.
//!
//! Everything is escaped by the templates; `|safe` is for markup made here, such as
//! [`markup::time`]. Text that somebody else wrote goes through [`markup::foreign`], which isolates
//! it. No page has inline style or script: its content security policy forbids both.

pub(crate) mod layout;
pub(crate) mod page;
pub(crate) mod form;
pub(crate) mod fields;
pub(crate) mod settings;
pub(crate) mod answers;
pub(crate) mod problem_page;
pub(crate) mod viewer;
pub(crate) mod menu;
pub(crate) mod notices;
pub(crate) mod link;
pub(crate) mod markup;
