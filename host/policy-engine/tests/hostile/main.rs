//! The engine against modules that behave badly (`tests/guests`), and against one that
//! behaves well.
//!
//! `fixture` gets modules, sets and contexts; the other files hold the facts: what is
//! refused when it is loaded (`load`), what becomes of a policy that misbehaves in a
//! decision (`decide`), what crosses the border (`contract`), settings and sets
//! (`settings`), the compiler process and the cache (`compile`).

mod compile;
mod contract;
mod decide;
mod fixture;
mod load;
mod settings;
