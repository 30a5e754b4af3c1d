//! The whole server, from outside: a real process on a loopback port, real clients, its real
//! command line. One module for each promise.

#![allow(clippy::disallowed_methods, reason = "tests see the machine's clock")]

mod durability;
mod hostile;
mod index;
mod limits;
mod mail;
mod operations;
mod packages;
mod pages;
mod people;
mod publishing;
mod quotas;
mod reading;
mod refusals;
mod removal;
mod replays;
mod replicas;
mod routes;
mod spellings;
mod staging;
mod swapping;
mod tokens;
mod unseen;
mod uploads;
mod watching;

mod tools;
