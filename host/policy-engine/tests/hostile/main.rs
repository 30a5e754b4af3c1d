//! The engine with misbehaving modules (`tests/guests`), and with one that behaves well.
//!
//! `fixture` provides modules, sets and contexts; the other files hold the facts: refusals at load
//! time (`load`), policies that misbehave in a decision (`decide`), values that cross the border
//! (`contract`), settings and sets (`settings`), the compiler process and the cache (`compile`).

mod compile;
mod contract;
mod decide;
mod fixture;
mod load;
mod settings;
