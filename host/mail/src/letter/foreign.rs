//! Text that someone else chose, in a letter to a person: user names, addresses, names of projects,
//! tokens and keys, reasons. The author of such text must not be able to write to the reader.
//!
//! Mail programs turn anything that looks like a web address into a link, in text and in HTML,
//! inside an element or not. A stranger may be called `www.evil.example`, but must not get a link
//! in our mail that way. So each punctuation mark that such an address needs is put in brackets:
//! `www[.]evil[.]example`, `ana[@]example[.]org`, `https[:]//…`. This is the usual way to write
//! addresses that must not be opened; it is visible, it survives copying, and it is ASCII. A
//! zero-width character instead would not do: programs pass it on, and browsers drop it from host
//! names (UTS 46), so the link would work.
//!
//! Invariant: every word of a mail that is not ours goes through [`spoken`].

use model::mail::{Mail, MailField};
use model::text::is_plain;
use model::{EmailAddress, ProjectName, UserName};

use super::one_line;

/// The end of a letter with such a word.
pub(super) const NOTE: &str = "Characters in brackets, as in [.], are part of names and addresses that people chose. \
    The brackets keep mail programs from turning them into links.";

/// Longest name of a token or key, in characters; longer ones were stored by another version.
const MAX_NAME: usize = 100;
/// Longest list of what a token is for, and longest text about something that was removed. Its
/// owner sees all of it on the page of the tokens.
const MAX_SCOPE: usize = 300;
/// Longest reason.
const MAX_REASON: usize = 300;

/// Most characters of a word that people choose; none for one of our words.
fn most_characters(field: MailField) -> Option<usize> {
    match field {
        MailField::UserName | MailField::Actor => Some(UserName::MAX_LENGTH),
        MailField::Address | MailField::OtherAddress => Some(EmailAddress::MAX_LENGTH),
        MailField::Name => Some(MAX_NAME),
        MailField::Scope => Some(MAX_SCOPE),
        MailField::Reason => Some(MAX_REASON),
        MailField::Project => Some(ProjectName::MAX_LENGTH),
        MailField::Version => Some(MAX_NAME),
        // It contains a file name.
        MailField::What => Some(MAX_SCOPE),
        MailField::Link
        | MailField::LinkLifetime
        | MailField::RemoteAddress
        | MailField::Device
        | MailField::At
        | MailField::Factor
        | MailField::Left
        | MailField::EffectiveAt
        | MailField::Role
        | MailField::Changes
        | MailField::Listed => None,
    }
}

/// A word of a mail as its letter shows it.
pub(super) fn spoken(mail: &Mail, field: MailField) -> String {
    // "An operator of the registry" can replace an actor as well, and fits.
    match most_characters(field) {
        Some(most) => without_links(&shortened(mail.field(field), most)),
        None => one_line(mail.field(field)),
    }
}

/// Whether brackets were added to a word.
pub(super) fn is_marked(field: MailField, text: &str) -> bool {
    most_characters(field).is_some_and(|most| {
        let short = shortened(text, most);
        without_links(&short) != short
    })
}

/// On one line, without characters that are invisible or change the direction of the text.
fn shortened(text: &str, most: usize) -> String {
    let seen = text.chars().filter_map(|c| match c {
        '\u{2028}' | '\u{2029}' => Some(' '),
        c if c.is_control() => Some(' '),
        c => is_plain(c).then_some(c),
    });
    let mut characters = seen.skip_while(|c| c.is_whitespace());
    let start: String = characters.by_ref().take(most).collect();
    let start = start.trim_end();
    if characters.any(|c| !c.is_whitespace()) {
        format!("{start} (shortened)")
    } else {
        start.to_owned()
    }
}

/// With the punctuation of links in brackets, unless it ends a word.
fn without_links(text: &str) -> String {
    let mut inert = String::with_capacity(text.len() + 16);
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        let ends_word = rest.peek().is_none_or(|next| next.is_whitespace());
        let links = match character {
            // Full stops, and characters that browsers treat as one in a host name.
            '.' | '\u{2024}' | '\u{3002}' | '\u{fe52}' | '\u{ff0e}' | '\u{ff61}' => !ends_word,
            // In a web address, or after a scheme such as `tel:`.
            ':' | '\u{fe55}' | '\u{ff1a}' => !ends_word,
            '@' | '\u{fe6b}' | '\u{ff20}' => true,
            // `\\host\folder`.
            '\\' => true,
            _ => false,
        };
        match links {
            true => inert.extend(['[', character, ']']),
            false => inert.push(character),
        }
    }
    inert
}

#[cfg(test)]
mod tests {
    use model::mail::MailKind;

    use super::super::{Letter, Registry};
    use super::*;

    #[test]
    fn what_looks_like_an_address_is_in_brackets() {
        for (text, inert) in [
            ("ana", "ana"),
            ("laptop no. 2: blue", "laptop no. 2: blue"),
            ("www.evil-site.example", "www[.]evil-site[.]example"),
            ("evil.example/login", "evil[.]example/login"),
            (
                "https://evil.example:8443/?a=b",
                "https[:]//evil[.]example[:]8443/?a=b",
            ),
            ("mail ana@example.org.", "mail ana[@]example[.]org."),
            ("tel:+441632960000", "tel[:]+441632960000"),
            ("\\\\evil\\share", "[\\][\\]evil[\\]share"),
            ("evil\u{3002}example", "evil[\u{3002}]example"),
            ("evil\u{ff0e}example", "evil[\u{ff0e}]example"),
        ] {
            assert_eq!(without_links(text), inert);
        }
    }

    #[test]
    fn what_is_not_seen_is_gone_and_what_is_long_is_short() {
        assert_eq!(
            shortened(" a\u{202e}b\u{2066}\u{200b}\r\nc\u{2028}d\u{0} ", 50),
            "ab  c d"
        );
        assert_eq!(
            shortened(&"a".repeat(51), 50),
            format!("{} (shortened)", "a".repeat(50))
        );
        assert_eq!(
            shortened(&format!("{}   ", "a".repeat(50)), 50),
            "a".repeat(50)
        );
        assert_eq!(shortened("e\u{301}\u{5d0}", 50), "e\u{301}\u{5d0}");
    }

    /// One mail of each kind that is listed in another mail.
    fn listed(hostile: &str) -> Vec<Mail> {
        let word = |field: &MailField| match field {
            MailField::Role => "owner".to_owned(),
            MailField::At => "2026-01-05T12:00:00Z".to_owned(),
            _ => hostile.to_owned(),
        };
        let mail = |kind: &MailKind| Mail {
            kind: *kind,
            fields: kind
                .fields()
                .iter()
                .map(|field| (*field, word(field)))
                .collect(),
        };
        let kinds = MailKind::ALL.iter().filter(|kind| kind.is_listed());
        kinds.map(mail).collect()
    }

    fn letter(kind: MailKind, hostile: &str) -> Letter {
        let registry = Registry {
            name: "packages.example.org".to_owned(),
            public_url: "https://packages.example.org".to_owned(),
            contact: None,
        };
        let word = |field: &MailField| match field {
            MailField::Link => "https://packages.example.org/x?link=AAAA".to_owned(),
            MailField::At | MailField::EffectiveAt => "2026-01-05T12:00:00Z".to_owned(),
            MailField::Changes => "token-created=10 email-removed=2".to_owned(),
            MailField::Listed => Mail::as_listed(&listed(hostile)),
            field if most_characters(*field).is_some() => hostile.to_owned(),
            _ => "ours".to_owned(),
        };
        Letter::new(
            &Mail {
                kind,
                fields: kind
                    .fields()
                    .iter()
                    .map(|field| (*field, word(field)))
                    .collect(),
            },
            &registry,
        )
    }

    /// In every mail, whatever its words are.
    #[test]
    fn a_stranger_gets_no_link_into_any_part_of_any_mail() {
        for hostile in [
            "www.evil-site.example",
            "https://evil.example/login",
            "ana@evil.example",
            "\u{202e}evil.example\u{200b}/x",
            "\\\\evil.example\\x",
        ] {
            for &kind in MailKind::ALL {
                let letter = letter(kind, hostile);
                assert!(
                    !letter.subject.contains("evil"),
                    "{kind}: {}",
                    letter.subject
                );
                for part in [letter.text().unwrap(), letter.html().unwrap()] {
                    let has_word = kind
                        .fields()
                        .iter()
                        .any(|field| most_characters(*field).is_some())
                        || kind == MailKind::ChangesGathered;
                    assert_eq!(part.contains("evil"), has_word, "{kind}: {part}");
                    assert_eq!(part.contains("in brackets"), has_word, "{kind}: {part}");
                    for forbidden in [
                        "evil.",
                        ".evil",
                        "evil-site.",
                        "://evil",
                        "@evil",
                        "\\evil",
                        "\u{202e}",
                        "\u{200b}",
                    ] {
                        assert!(!part.contains(forbidden), "{kind} has {forbidden}: {part}");
                    }
                    // Every link leads to the registry.
                    for place in part.match_indices("://").map(|(place, _)| place) {
                        assert!(
                            part[place..].starts_with("://packages.example.org"),
                            "{kind}: {}",
                            &part[place..]
                        );
                    }
                    for (place, _) in part.match_indices("href=\"") {
                        assert!(
                            part[place..].starts_with("href=\"https://packages.example.org/"),
                            "{kind}: {part}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn the_mail_that_a_strangers_name_is_in() {
        let expected = "Hello www[.]evil-site[.]example,\n\nSomeone (we hope it was you) asked to create the account\nwww[.]evil-site[.]example at packages.example.org with this email\naddress.\n\n\
            From  ours\n\nFinish the registration:\nhttps://packages.example.org/x?link=AAAA\n\n\
            The link works once, within ours.\n\nThe page asks for the password that was chosen then, so that no one else\ncan register with your address.\n\n\
            If this wasn't you, do nothing: without that password no account is\ncreated. On the same page you can discard the registration.\n\n\
            Characters in brackets, as in [.], are part of names and addresses that\npeople chose. The brackets keep mail programs from turning them into\nlinks.\n\n\
            --\npackages.example.org\nhttps://packages.example.org/";
        assert_eq!(
            letter(MailKind::RegistrationConfirm, "www.evil-site.example")
                .text()
                .unwrap()
                .trim_end(),
            expected
        );
    }

    #[test]
    fn the_mail_about_many_changes() {
        let expected = "Hello,\n\nThere were 12 more changes to your account or to projects that you own,\nafter the mails that you just received. They are summed up in this one\nmail, so that none is lost among many.\n\n\
            Since                    2026-01-05 12:00:00 UTC\nAPI tokens created       10\nEmail addresses removed  2\n\
            Your role                demo: owner, by demo\nRole                     demo: demo is owner, by demo\nWaits                    demo demo, uploaded by demo\nBy an operator           demo: demo. Reason: demo\n\n\
            To publish a release once all its files are there, run this command. It\nshows each file and who uploaded it before it asks you:\n\nportcullis release publish PROJECT VERSION --url\nhttps://packages.example.org\n\n\
            If you did not expect the release, reject it: the same command with\n`reject` in place of `publish`. Then revoke the token it was uploaded\nwith.\n\n\
            The history of your account shows each change to the account: when, from\nwhere, and with what.\n\n\
            If something there wasn't you, secure your account: that page has a link\nfor it.\n\n\
            History of your account:\nhttps://packages.example.org/account/history/\n\n--\npackages.example.org\nhttps://packages.example.org/";
        assert_eq!(
            letter(MailKind::ChangesGathered, "demo")
                .text()
                .unwrap()
                .trim_end(),
            expected
        );
    }
}
