//! A mail in sentences: what happened, when, from where, and what to do if it was not you.

mod foreign;
mod words;

use askama::Template;
use model::{Contact, Mail};

/// The registry, as its mails name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry {
    /// Its name for people, for example `packages.example.org`.
    pub name: String,
    /// Its address without a slash at the end. The pages that mails link to are below it.
    pub public_url: String,
    /// How to reach its operators, if that is known.
    pub contact: Option<Contact>,
}

/// An address to open, with the label of its button.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub label: String,
    pub address: String,
}

/// The content of a mail, before it becomes text or HTML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// One line without any secret: subjects are shown on locked screens.
    pub subject: String,
    greeting: String,
    /// What happened, a paragraph each.
    opening: Vec<String>,
    /// When, from where, and the like: a name and a value each.
    facts: Vec<(&'static str, String)>,
    /// The link that the mail asks to open; a secret.
    pub link: Option<Link>,
    /// How long the link is valid, and what to do if it was not you, a paragraph each.
    closing: Vec<String>,
    /// A page of the registry that helps. Its address is not secret.
    pub page: Option<Link>,
    registry: Registry,
}

#[derive(Template)]
#[template(path = "letter.txt", escape = "none")]
struct Text<'a> {
    letter: &'a Letter,
}

#[derive(Template)]
#[template(path = "letter.html")]
struct Html<'a> {
    letter: &'a Letter,
}

/// Longest line of the text part, in characters; addresses are never broken.
const LINE: usize = 72;

/// Our longest word, in characters: a link is the longest.
const MAX_WORD: usize = 500;

impl Letter {
    /// The letter for `mail`.
    pub fn new(mail: &Mail, registry: &Registry) -> Self {
        words::letter(mail, registry)
    }

    /// As plain text.
    pub fn text(&self) -> Result<String, askama::Error> {
        Text { letter: self }.render()
    }

    /// As HTML that loads nothing.
    pub fn html(&self) -> Result<String, askama::Error> {
        Html { letter: self }.render()
    }

    /// A paragraph wrapped into lines, for the text part.
    fn wrapped(&self, paragraph: &str) -> String {
        let mut text = String::with_capacity(paragraph.len() + 8);
        let mut length = 0;
        for word in paragraph.split(' ').filter(|word| !word.is_empty()) {
            let more = word.chars().count();
            match length {
                0 => {}
                length if length + 1 + more > LINE => text.push('\n'),
                _ => text.push(' '),
            }
            length = if text.is_empty() || text.ends_with('\n') {
                more
            } else {
                length + 1 + more
            };
            text.push_str(word);
        }
        text
    }

    /// A fact on one line, with its value in a separate column.
    fn fact_line(&self, fact: &(&'static str, String)) -> String {
        let width = self
            .facts
            .iter()
            .map(|(name, _)| name.chars().count())
            .max()
            .unwrap_or(0);
        format!("{:width$}  {}", fact.0, fact.1)
    }
}

/// One of our words on one line, so that it can add no line, header or paragraph to the mail. Text
/// that others chose goes through [`foreign`].
fn one_line(text: &str) -> String {
    text.chars()
        .take(MAX_WORD)
        .map(|c| {
            if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
                ' '
            } else {
                c
            }
        })
        .collect::<String>()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use model::{MailField, MailKind};

    use super::*;

    fn registry() -> Registry {
        Registry {
            name: "packages.example.org".to_owned(),
            public_url: "https://packages.example.org".to_owned(),
            contact: None,
        }
    }

    fn value(field: MailField) -> &'static str {
        match field {
            MailField::UserName => "ana",
            MailField::Address => "ana@example.org",
            MailField::OtherAddress => "ana@elsewhere.example",
            MailField::Link => {
                "https://packages.example.org/x?link=AAAABBBBCCCCDDDD-_0123456789AAAABBBBCCCCDDD&y=1"
            }
            MailField::LinkLifetime => "6 hours",
            MailField::RemoteAddress => "192.0.2.7",
            MailField::Device => "Firefox on Linux",
            MailField::At => "2026-01-05T12:00:00Z",
            MailField::Factor => "security key",
            MailField::Name => "blue key",
            MailField::Scope => "the project sample",
            MailField::Left => "2",
            MailField::Reason => "Lost the phone, identity was checked in a call",
            MailField::EffectiveAt => "2026-01-08T12:00:00Z",
            MailField::Project => "sample",
            MailField::Version => "1.0",
            MailField::What => "release 2 was deleted",
            MailField::Role => "maintainer",
            MailField::Listed => {
                r#"[{"kind":"content-removed","project":"sample","what":"it was deleted","reason":"malware"}]"#
            }
            MailField::Actor => "bert",
            MailField::Changes => "token-created=10 email-removed=2",
        }
    }

    fn mail(kind: MailKind) -> Mail {
        Mail {
            kind,
            fields: kind
                .fields()
                .iter()
                .map(|field| (*field, value(*field).to_owned()))
                .collect(),
        }
    }

    /// A word as the reader sees it.
    fn shown(field: MailField) -> String {
        match field {
            MailField::At | MailField::EffectiveAt => {
                value(field).replace('T', " ").replace('Z', " UTC")
            }
            MailField::Address | MailField::OtherAddress => {
                value(field).replace('.', "[.]").replace('@', "[@]")
            }
            MailField::Changes => "API tokens created".to_owned(),
            MailField::Listed => "sample: it was deleted. Reason: malware".to_owned(),
            MailField::Version => "1[.]0".to_owned(),
            _ => value(field).to_owned(),
        }
    }

    fn flat(text: &str) -> String {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// What people read, mail by mail. To accept what has changed, run it with
    /// `INSTA_UPDATE=always` and read the difference; where `CI` is set nothing is accepted.
    #[test]
    fn every_mail_reads_as_its_snapshot() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/letter/snapshots");
        let is_ci = std::env::var_os("CI").is_some();
        let update = std::env::var("INSTA_UPDATE").unwrap_or_else(|_| "no".to_owned());
        assert!(
            !is_ci || update == "no" && std::env::var_os("INSTA_FORCE_PASS").is_none(),
            "nothing is accepted where CI is set"
        );
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(&folder);
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| {
            for &kind in MailKind::ALL {
                let letter = Letter::new(&mail(kind), &registry());
                let text = format!("{}\n\n{}", letter.subject, letter.text().unwrap());
                insta::assert_snapshot!(kind.as_str(), text);
            }
        });
        let kept = std::fs::read_dir(&folder).unwrap();
        assert_eq!(
            kept.count(),
            MailKind::ALL.len(),
            "a snapshot of no mail is kept"
        );
    }

    #[test]
    fn every_mail_says_each_of_its_words_in_text_and_in_html() {
        for &kind in MailKind::ALL {
            let letter = Letter::new(&mail(kind), &registry());
            let (text, html) = (flat(&letter.text().unwrap()), flat(&letter.html().unwrap()));
            for &field in kind.fields() {
                assert!(
                    text.contains(&shown(field)),
                    "{kind} says no {field}: {text}"
                );
                assert!(
                    html.contains(&shown(field).replace('&', "&#38;")),
                    "{kind} shows no {field}: {html}"
                );
            }
        }
    }

    #[test]
    fn text_and_html_say_the_same_sentences_and_the_same_link() {
        for &kind in MailKind::ALL {
            let letter = Letter::new(&mail(kind), &registry());
            let (text, html) = (flat(&letter.text().unwrap()), flat(&letter.html().unwrap()));
            for sentence in letter.opening.iter().chain(&letter.closing) {
                assert!(
                    text.contains(sentence)
                        && html.contains(&sentence.replace('&', "&#38;").replace('\'', "&#39;")),
                    "{kind}: {sentence}"
                );
            }
            assert_eq!(
                letter.link.is_some(),
                kind.fields().contains(&MailField::Link),
                "{kind}"
            );
            for link in letter.link.iter().chain(&letter.page) {
                assert!(text.contains(&link.address), "{kind}: {text}");
                assert!(
                    html.contains(&format!("href=\"{}\"", link.address.replace('&', "&#38;"))),
                    "{kind}: {html}"
                );
            }
        }
    }

    #[test]
    fn a_subject_is_one_line_names_the_registry_and_holds_no_secret() {
        let mut subjects = Vec::new();
        for &kind in MailKind::ALL {
            let subject = Letter::new(&mail(kind), &registry()).subject;
            assert!(
                subject.contains("packages.example.org")
                    && !subject.contains("http")
                    && !subject.contains('\n'),
                "{kind}: {subject}"
            );
            subjects.push(subject);
        }
        subjects.sort();
        subjects.dedup();
        assert_eq!(
            subjects.len(),
            MailKind::ALL.len(),
            "two mails look alike in a list: {subjects:?}"
        );
    }

    #[test]
    fn html_loads_nothing_and_runs_nothing() {
        for &kind in MailKind::ALL {
            let html = Letter::new(&mail(kind), &registry()).html().unwrap();
            for forbidden in [
                "<img", "<script", "src=", "url(", "@import", "<link", "<form", "onclick",
            ] {
                assert!(!html.contains(forbidden), "{kind} contains {forbidden}");
            }
            assert!(
                html.contains("prefers-color-scheme: dark") && html.contains("lang=\"en\""),
                "{kind}"
            );
        }
    }

    #[test]
    fn what_others_wrote_stays_one_word_of_the_mail() {
        for &kind in MailKind::ALL {
            let hostile = "x\r\nBcc: all@example.org\r\n\r\n<b>y</b>\u{2028}z";
            let fields = kind
                .fields()
                .iter()
                .map(|field| (*field, hostile.to_owned()))
                .collect();
            let letter = Letter::new(&Mail { kind, fields }, &registry());
            assert!(!letter.subject.contains(['\r', '\n']), "{kind}");
            assert!(
                !letter
                    .text()
                    .unwrap()
                    .split("\n\n")
                    .any(|paragraph| paragraph.starts_with("Bcc:") || paragraph.starts_with("<b>")),
                "{kind}"
            );
            assert!(!letter.html().unwrap().contains("<b>"), "{kind}");
        }
    }

    #[test]
    fn lines_are_short_but_for_addresses() {
        for &kind in MailKind::ALL {
            let text = Letter::new(&mail(kind), &registry()).text().unwrap();
            assert!(
                text.lines()
                    .all(|line| line.chars().count() <= LINE || line.starts_with("https://")),
                "{kind}: {text}"
            );
            assert!(
                !text.contains("\n\n\n") && text.lines().all(|line| line == line.trim_end()),
                "{kind}: {text:?}"
            );
            assert!(text.is_ascii(), "{kind}: {text}");
        }
    }

    #[test]
    fn a_link_is_whole_on_a_line_of_its_own() {
        let letter = Letter::new(&mail(MailKind::PasswordResetLink), &registry());
        assert!(
            letter
                .text()
                .unwrap()
                .lines()
                .any(|line| line == value(MailField::Link))
        );
    }
}
