//! Mails to people, and their delivery from the outbox.
//!
//! How to read this crate: a change enqueues a [`model::Mail`] in its own unit of work, so there is
//! a mail for every change and none without one. [`Mailer::run`] takes each from the outbox, turns
//! it into a [`letter`], and hands it to an SMTP server or, without one, writes it to a folder. A
//! mail stays in the outbox until it was sent or has failed.
//!
//! To add a mail: its kind and its words in `model::mail`, its sentences in `letter::words`. Text
//! and HTML are made from the same letter, so they cannot differ.
//!
//! Invariants: the only crate that names lettre. Each mail is sent at least once, with the same
//! `Message-ID` each time. A link is never logged. No value in a mail can add a header, a line or
//! an element, and no text from others becomes a link.

mod folder;
mod letter;
mod mailer;
mod message;
mod smtp;

pub use letter::{Letter, Link, Registry};
pub use mailer::{Delivery, InvalidConfig, MailConfig, Mailer, SendError, Transport, is_sender};
pub use smtp::{Encryption, InvalidSmtpUrl, SmtpServer};
