//! The whole server, from outside: a real process on a loopback port, real clients, its
//! real command line. One module for each thing that must hold.

mod durability;
mod hostile;
mod index;
mod limits;
mod mail;
mod operations;
mod pages;
mod people;
mod publishing;
mod quotas;
mod refusals;
mod replays;
mod replicas;
mod routes;
mod spellings;
mod staging;
mod swapping;
mod tokens;
mod unseen;
mod uploads;

mod tools;
