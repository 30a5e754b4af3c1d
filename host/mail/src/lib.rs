//! What people are told by mail, and the way out of the outbox.
//!
//! How to read this crate: a change enqueues a [`model::Mail`] in its own unit of work, so
//! there is a mail for every change and none without one. [`Mailer::run`] takes each from the
//! outbox, makes a [`letter`] of it, and hands it to an SMTP server or, without one, writes it
//! into a folder. A mail stays in the outbox until it has left or is given up.
//!
//! To add a mail: its kind and its words in `model::mail`, its sentences in `letter::words`.
//! Text and HTML are made of the same letter, so they cannot say different things.
//!
//! Invariants: the only crate that names lettre. Each mail is sent at least once, with the
//! same `Message-ID` each time. A link is never logged. Nothing that a mail is filled with
//! can add a header, a line or an element, and nothing that somebody chose becomes a link.

mod folder;
mod letter;
mod mailer;
mod message;
mod smtp;

pub use letter::{Letter, Link, Registry};
pub use mailer::{Delivery, InvalidConfig, MailConfig, Mailer, SendError, Transport, is_sender};
pub use smtp::{Encryption, InvalidSmtpUrl, SmtpServer};
