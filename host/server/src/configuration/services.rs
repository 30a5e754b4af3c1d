//! Values that name other services: the SMTP server, the sender of mails, and the service that
//! knows breached passwords.

use toml::Value;

use super::value::{Setting, quoted, text};

/// The SMTP server. May hold a password, which is never shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SmtpUrl(pub(crate) mail::SmtpServer);

impl Setting for SmtpUrl {
    fn read(value: &Value) -> Result<Self, String> {
        // The value is not repeated: it may hold a password.
        let server = mail::SmtpServer::parse(text(value)?);
        server.map(Self).map_err(|problem| format!("{problem}; write \"smtp://<user>:<password>@<host>:587\" or \"smtps://<user>:<password>@<host>:465\""))
    }

    fn show(&self) -> String {
        quoted(&self.0.to_string())
    }
}

/// The sender of mails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sender(pub(crate) String);

impl Setting for Sender {
    fn read(value: &Value) -> Result<Self, String> {
        match text(value)? {
            sender if mail::is_sender(sender) => Ok(Self(sender.to_owned())),
            _ => Err(format!(
                "is {value}; write an address, or a name and an address: \"Packages <noreply@packages.example.org>\""
            )),
        }
    }

    fn show(&self) -> String {
        quoted(&self.0)
    }
}

/// The name of the registry for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RegistryName(pub(crate) String);

impl RegistryName {
    /// In characters; a mail's subject contains it and a sentence.
    const MAX_LENGTH: usize = 60;
}

impl Setting for RegistryName {
    fn read(value: &Value) -> Result<Self, String> {
        let name = text(value)?;
        // A bracket would end it in a subject, an angle bracket in a sender.
        let is_fit = name.chars().count() <= Self::MAX_LENGTH
            && model::text::is_plain_line(name)
            && !name.contains(['[', ']', '<', '>'])
            && name.trim() == name;
        if !is_fit {
            let most = Self::MAX_LENGTH;
            return Err(format!(
                "is {value}; write up to {most} characters in one line, without brackets, and no space at either end: \"Example packages\""
            ));
        }
        Ok(Self(name.to_owned()))
    }

    fn show(&self) -> String {
        quoted(&self.0)
    }
}

/// Where people reach the operators of the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OperatorContact(pub(crate) model::Contact);

impl Setting for OperatorContact {
    fn read(value: &Value) -> Result<Self, String> {
        model::Contact::parse(text(value)?)
            .map(Self)
            .map_err(|invalid| format!("is {value}; {invalid}"))
    }

    fn show(&self) -> String {
        quoted(&self.0.to_string())
    }
}

/// A service with the range protocol of Have I Been Pwned, without a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BreachUrl(pub(crate) String);

impl Setting for BreachUrl {
    fn read(value: &Value) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!("is {value}, {why}; write for example \"https://api.pwnedpasswords.com\"")
        };
        let url = reqwest::Url::parse(text(value)?).map_err(|_| wrong("which is no URL"))?;
        let host = url
            .host_str()
            .ok_or_else(|| wrong("which has no host"))?
            .trim_matches(['[', ']']);
        // Anyone who can change the answer decides which passwords are treated as breached.
        let is_here = host == "localhost"
            || host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback());
        match url.scheme() {
            "https" => {}
            "http" if is_here => {}
            _ => {
                return Err(wrong(
                    "which is not https (http is for a service on this machine only)",
                ));
            }
        }
        if !url.username().is_empty()
            || url.password().is_some()
            || url.query().is_some()
            || url.fragment().is_some()
        {
            return Err(wrong("which is more than scheme, host and path"));
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }

    fn show(&self) -> String {
        quoted(&self.0)
    }
}

/// What happens to a login while the check for breached passwords is unavailable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreachable(pub(crate) identity::Unreachable);

impl Setting for Unreachable {
    fn read(value: &Value) -> Result<Self, String> {
        match text(value)? {
            "allow" => Ok(Self(identity::Unreachable::Allow)),
            "refuse" => Ok(Self(identity::Unreachable::Refuse)),
            _ => Err(format!("is {value}; write \"allow\" or \"refuse\"")),
        }
    }

    fn show(&self) -> String {
        quoted(match self.0 {
            identity::Unreachable::Allow => "allow",
            identity::Unreachable::Refuse => "refuse",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_text<T: Setting>(text: &str) -> Result<T, String> {
        T::read(&Value::String(text.to_owned()))
    }

    #[test]
    fn a_mail_password_is_never_shown_and_never_repeated() {
        let url = from_text::<SmtpUrl>("smtp://robot:hunter2@mail.example.org").unwrap();
        assert_eq!(url.show(), "\"smtp://***:***@mail.example.org:587\"");
        assert!(!format!("{url:?}").contains("hunter2"));
        for wrong in [
            "imap://robot:hunter2@host",
            "smtp://robot:hunter2@host/x",
            "smtp://hunter2@host",
            "robot:hunter2",
        ] {
            let problem = from_text::<SmtpUrl>(wrong).unwrap_err();
            assert!(
                !problem.contains("hunter2") && problem.contains("smtps://"),
                "{problem}"
            );
        }
    }

    #[test]
    fn a_sender_is_one_address() {
        for sender in [
            "noreply@packages.example.org",
            "Packages <noreply@packages.example.org>",
            "noreply@localhost",
        ] {
            assert_eq!(from_text::<Sender>(sender), Ok(Sender(sender.to_owned())));
        }
        for wrong in ["packages", "a@b, c@d", "Packages <a@b>\r\nBcc: <c@d>"] {
            assert!(
                from_text::<Sender>(wrong).unwrap_err().contains("noreply@"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn the_name_of_a_registry_is_one_plain_line() {
        for name in ["Example packages", "Müller & Söhne: Pakete", "例"] {
            assert_eq!(
                from_text::<RegistryName>(name),
                Ok(RegistryName(name.to_owned()))
            );
        }
        for wrong in [
            " a",
            "a ",
            "a\nb",
            "a\u{202e}b",
            "[a",
            "a <b@c>",
            &"a".repeat(61),
        ] {
            assert!(
                from_text::<RegistryName>(wrong)
                    .unwrap_err()
                    .contains("up to 60 characters"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn breaches_are_asked_about_over_tls_or_on_this_machine() {
        assert_eq!(
            from_text::<BreachUrl>("https://api.pwnedpasswords.com/"),
            Ok(BreachUrl("https://api.pwnedpasswords.com".to_owned()))
        );
        assert_eq!(
            from_text::<BreachUrl>("http://127.0.0.1:8081/mirror/"),
            Ok(BreachUrl("http://127.0.0.1:8081/mirror".to_owned()))
        );
        from_text::<BreachUrl>("http://[::1]:8081").unwrap();
        for wrong in [
            "http://mirror.example.org",
            "http://localhost.example.org",
            "ftp://127.0.0.1",
            "api.pwnedpasswords.com",
            "https://a:b@host",
            "https://host?q",
            "https://host#x",
        ] {
            assert!(
                from_text::<BreachUrl>(wrong)
                    .unwrap_err()
                    .contains("api.pwnedpasswords.com"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn what_happens_without_an_answer_is_one_of_two_words() {
        assert_eq!(
            from_text::<Unreachable>("allow").unwrap().0,
            identity::Unreachable::Allow
        );
        assert_eq!(
            from_text::<Unreachable>("refuse").unwrap().show(),
            "\"refuse\""
        );
        assert!(from_text::<Unreachable>("ignore").is_err());
    }
}
