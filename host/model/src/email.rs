//! Email addresses: which can receive mail, and which are the same.

use std::borrow::Cow;
use std::fmt;

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};

/// An address that mail can be sent to. The local part is as typed. The domain is in the one form
/// that mail servers use (A-labels, `xn--exmple-cua.org`), in lower case.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EmailAddress(Box<str>);

/// Why a text is not an address for mail. For people, without a full stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEmailAddress {
    #[error("this is not an email address; one looks like name@example.org")]
    Form,
    #[error(
        "before the @ an email address has letters from a to z, digits, full stops and a few signs, at most 64 in all"
    )]
    LocalPart,
    /// Mail servers pass such an address on only if every one on the way speaks SMTPUTF8 (RFC
    /// 6531), and it is not defined when two of them are the same.
    #[error(
        "many mail servers cannot send to letters other than a to z before the @; use another email address"
    )]
    LocalPartNotAscii,
    #[error(
        "mail cannot be sent to what follows the @; it is the name of a domain, for example example.org"
    )]
    Domain,
    #[error("the email address is longer than mail servers take")]
    Length,
}

impl EmailAddress {
    /// Longest address, in bytes, with its domain in A-labels (RFC 5321 4.5.3.1).
    pub const MAX_LENGTH: usize = 254;
    /// Longest local part, in bytes (RFC 5321 4.5.3.1).
    pub const MAX_LOCAL_PART: usize = 64;

    /// Checks as much as is possible without sending a mail: a local part that needs no quoting
    /// (RFC 5322 3.2.3) and a domain by UTS 46 (not transitional, the ASCII characters of host
    /// names only). Refuses anything that could reach into another header or address, that a relay
    /// takes for its own routing, or that is a machine's address.
    pub fn parse(text: &str) -> Result<Self, InvalidEmailAddress> {
        // The cost of converting grows with the text. This length fits letters of any script.
        if text.len() > 4 * Self::MAX_LENGTH {
            return Err(InvalidEmailAddress::Length);
        }
        let (local, domain) = text.rsplit_once('@').ok_or(InvalidEmailAddress::Form)?;
        if local.is_empty() || domain.is_empty() {
            return Err(InvalidEmailAddress::Form);
        }
        check_local_part(local)?;
        let domain = mail_domain(domain).ok_or(InvalidEmailAddress::Domain)?;
        let address = format!("{local}@{domain}");
        if address.len() > Self::MAX_LENGTH {
            return Err(InvalidEmailAddress::Length);
        }
        Ok(Self(address.into()))
    }

    /// The address as it is stored and used for mail.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "EmailAddress({})", self.0)
    }
}

/// A text in the form of [`EmailAddress::parse`], if possible: to find an address that was stored
/// under older, wider rules, and to write to it. A text without such a form stays unchanged.
pub fn comparable(text: &str) -> Cow<'_, str> {
    if text.len() > 4 * EmailAddress::MAX_LENGTH {
        return Cow::Borrowed(text);
    }
    match text
        .rsplit_once('@')
        .and_then(|(local, domain)| Some((local, mail_domain(domain)?)))
    {
        Some((local, domain)) => Cow::Owned(format!("{local}@{domain}")),
        None => Cow::Borrowed(text),
    }
}

/// Whether a text looks like an email address to other readers, in letters of any script, and even
/// if only a private network can reach it.
pub fn is_address(text: &str) -> bool {
    let is_atom = |atom: &str| {
        !atom.is_empty()
            && atom
                .chars()
                .all(|c| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c))
    };
    text.rsplit_once('@').is_some_and(|(local, domain)| {
        local.len() <= EmailAddress::MAX_LOCAL_PART
            && local.split('.').all(is_atom)
            && domain.contains('.')
            && mail_domain(domain).is_some()
    })
}

fn check_local_part(local: &str) -> Result<(), InvalidEmailAddress> {
    let is_plain = |c: char| c.is_alphanumeric() || "#$&'*+-/=?^_{}~".contains(c);
    if local.len() > EmailAddress::MAX_LOCAL_PART
        || !local
            .split('.')
            .all(|atom| !atom.is_empty() && atom.chars().all(is_plain))
    {
        return Err(InvalidEmailAddress::LocalPart);
    }
    if local.is_ascii() {
        Ok(())
    } else {
        Err(InvalidEmailAddress::LocalPartNotAscii)
    }
}

/// A domain in A-labels; none if mail cannot be sent to it. The only name with one label is
/// `localhost`, for trying out a registry. The last label must not be all digits, as in an IP
/// address. Hyphens in the third and fourth place are allowed: some real domains have them.
fn mail_domain(domain: &str) -> Option<String> {
    let ascii = Uts46::new()
        .to_ascii(
            domain.as_bytes(),
            AsciiDenyList::STD3,
            Hyphens::CheckFirstLast,
            DnsLength::Verify,
        )
        .ok()?;
    let is_name = match ascii.rsplit_once('.') {
        Some((_, last)) => !last.bytes().all(|byte| byte.is_ascii_digit()),
        None => ascii == "localhost",
    };
    is_name.then(|| ascii.into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<String, InvalidEmailAddress> {
        EmailAddress::parse(text).map(|address| address.as_str().to_owned())
    }

    #[test]
    fn a_domain_has_one_form_and_the_local_part_stays() {
        for (typed, address) in [
            ("ana@example.org", "ana@example.org"),
            ("Ana.B+c@Example.ORG", "Ana.B+c@example.org"),
            ("o'neil@example.co.uk", "o'neil@example.co.uk"),
            ("a.b+c@localhost", "a.b+c@localhost"),
            ("ana@ex\u{e4}mple.org", "ana@xn--exmple-cua.org"),
            ("ana@exa\u{308}mple.org", "ana@xn--exmple-cua.org"),
            ("ana@EX\u{c4}MPLE\u{3002}org", "ana@xn--exmple-cua.org"),
            ("ana@XN--exmple-CUA.org", "ana@xn--exmple-cua.org"),
            ("ana@\u{ff45}xample.org", "ana@example.org"),
            // Not transitional: these are two domains.
            ("ana@fa\u{df}.de", "ana@xn--fa-hia.de"),
            ("ana@fass.de", "ana@fass.de"),
            ("ana@r3---sn.example", "ana@r3---sn.example"),
        ] {
            assert_eq!(parse(typed).as_deref(), Ok(address), "{typed}");
            assert_eq!(comparable(typed), address, "{typed}");
        }
    }

    #[test]
    fn an_address_to_read_may_be_of_any_script_and_network() {
        for text in [
            "ana@example.org",
            "an\u{e1}@ex\u{e4}mple.org",
            "50%off!@example.org",
            "dev@build.local",
        ] {
            assert!(is_address(text), "{text}");
        }
        for text in [
            "nobody",
            "ana@",
            "@example.org",
            "ana@host",
            "a b@example.org",
            "ana@example.org>",
            "a..b@example.org",
            "ana@1.2.3.4",
        ] {
            assert!(!is_address(text), "{text}");
        }
    }

    #[test]
    fn what_mail_cannot_be_sent_to_is_refused_with_the_reason() {
        use InvalidEmailAddress::*;
        let long = format!("{}@example.org", "a".repeat(65));
        let far = format!("ana@{}.org", "a".repeat(64));
        let whole = format!("ana@{}org", "abcdefghi.".repeat(25));
        let converted = format!(
            "ana@{}org",
            "\u{e4}\u{f6}\u{fc}\u{e4}\u{f6}\u{fc}.".repeat(20)
        );
        let huge = format!("ana@{}", "\u{e4}".repeat(100_000));
        for (text, why) in [
            ("", Form),
            ("ana", Form),
            ("@example.org", Form),
            ("ana@", Form),
            ("a@b@c.org", LocalPart),
            ("a b@example.org", LocalPart),
            ("<ana@example.org>", LocalPart),
            ("ana%example.net@example.org", LocalPart),
            ("example.net!ana@example.org", LocalPart),
            ("ana|ben@example.org", LocalPart),
            ("\"ana ben\"@example.org", LocalPart),
            (".ana@example.org", LocalPart),
            ("ana.@example.org", LocalPart),
            ("a..b@example.org", LocalPart),
            ("ana\r\nBcc: x@example.org", LocalPart),
            (&long, LocalPart),
            ("\u{e4}na@example.org", LocalPartNotAscii),
            ("\u{430}na@example.org", LocalPartNotAscii),
            ("ana@example..org", Domain),
            ("ana@.org", Domain),
            ("ana@example.org.", Domain),
            ("ana@intranet", Domain),
            ("ana@-example.org", Domain),
            ("ana@example-.org", Domain),
            ("ana@exa_mple.org", Domain),
            ("ana@example.org\0", Domain),
            ("ana@example.org\r\nBcc: x.org", Domain),
            ("ana@example.org\u{2028}Bcc: x.y", Domain),
            ("ana@exam\u{202e}ple.org", Domain),
            ("ana@example.org,ben", Domain),
            ("ana@example.org>", Domain),
            ("ana@192.0.2.1", Domain),
            ("ana@[192.0.2.1]", Domain),
            ("ana@[IPv6:2001:db8::1]", Domain),
            ("ana@xn--a.org", Domain),
            ("ana@xn--example.org", Domain),
            (&far, Domain),
            (&whole, Length),
            (&converted, Domain),
            (&huge, Length),
        ] {
            assert_eq!(parse(text), Err(why), "{text:.60}");
        }
        let local = "a".repeat(64);
        let just_too_long = format!("{local}@{}org", "abcdefghi.".repeat(19));
        assert_eq!(parse(&just_too_long), Err(Length));
        assert!(parse(&format!("{local}@{}abc.org", "abcdefghi.".repeat(18))).is_ok());
    }

    #[test]
    fn what_was_accepted_before_is_found_as_it_is_stored_now() {
        assert_eq!(
            comparable("\u{e4}na@ex\u{e4}mple.org"),
            "\u{e4}na@xn--exmple-cua.org"
        );
        for text in ["ana@intranet", "ana@xn--a.org", "ana", "", "ana@a..b"] {
            assert_eq!(comparable(text), text);
        }
    }

    proptest! {
        #[test]
        fn the_form_of_a_form_is_itself(text in "[a-z]{1,4}@(\\PC{1,8}|[a-zA-Z\u{e0}-\u{17f}\u{4e00}-\u{4e20}]{1,8})\\.[a-z\u{e0}-\u{ff}]{2,5}") {
            let once = comparable(&text).into_owned();
            prop_assert_eq!(comparable(&once), once.as_str());
            if let Ok(address) = parse(&text) {
                prop_assert!(address.is_ascii());
                prop_assert_eq!(&address, &once);
                prop_assert_eq!(parse(&address).unwrap(), once);
            }
        }
    }
}
