//! The messages of a new registry at its start: how to create the first member of staff, and the
//! next steps.

use std::fmt::Write as _;
use std::path::Path;

use identity::Secret;

use crate::command_line::is_one_word;
use crate::configuration::{CALLED_AS, Configuration, Key, Origin, PublicUrl};

/// The steps from nothing to a first upload, with and without a browser. `link` is the secret of
/// the first user's link: anyone who reads this output may become staff. Without it, where the
/// policies close registration, only the command line remains.
pub(super) fn in_words(
    configuration: &Configuration,
    public_url: &PublicUrl,
    link: Option<&Secret<String>>,
    outbox: &Path,
) -> String {
    let called = std::env::var(CALLED_AS)
        .ok()
        .filter(|called| is_one_word(called))
        .map(Into::into);
    let mut portcullis = called.or_else(|| std::env::args_os().next()).map_or_else(
        || "portcullis".to_owned(),
        |program: std::ffi::OsString| shell_word(&program.to_string_lossy()),
    );
    // Options of this command line must be repeated on those, too.
    for key in Key::ALL
        .iter()
        .copied()
        .filter(|key| matches!(key, Key::data | Key::database | Key::token_prefix))
    {
        if configuration.layers.origin(key) == Origin::Flag {
            let value = match configuration.layers.get(key) {
                Some((toml::Value::String(value), _)) if key != Key::database => shell_word(value),
                _ => "<database>".to_owned(),
            };
            let _ = write!(portcullis, " --{} {value}", key.name());
        }
    }
    let url = &public_url.0;
    let commands = format!(
        "\x20 {portcullis} user create alice --email alice@example.org --verified --staff\n\
         \x20 {portcullis} user totp enroll alice\n\
         \x20 {portcullis} token create alice --description laptop --account\n"
    );
    let Some(link) = link else {
        return format!(
            "\nThis registry has no staff yet, and its policies let nobody register. In another terminal:\n{commands}"
        );
    };
    let link = format!("{url}/first-user?link={}", link.expose());
    let mails = match &configuration.values.smtp_url {
        Some(_) => "Confirm the address with the link that is mailed to it".to_owned(),
        None => format!(
            "Confirm the address with the link in the mail, a file in {}",
            shell_word(&outbox.display().to_string())
        ),
    };
    format!(
        "\nThis registry has no staff yet. The first person to fill in the form at this address gets the\n\
         first staff account (the link is valid for a day, and each start prints a new one; people who\n\
         register in another way are ordinary users):\n\
         \x20 {link}\n\
         {mails},\n\
         then the account's pages lead to recovery codes, a second factor and an API token. With the token:\n\
         \x20 TWINE_USERNAME=__token__ TWINE_PASSWORD=<token> twine upload --repository-url {url}/legacy/ dist/*\n\
         \x20 pip install --index-url {url}/simple/ <project>\n\
         \nThe same without a browser, in another terminal:\n{commands}"
    )
}

/// Quoted as one word for a shell.
fn shell_word(text: &str) -> String {
    let plain = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | '=' | ':' | '@' | '+')
    };
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_for_the_shell_stays_one_word() {
        assert_eq!(
            shell_word("target/debug/portcullis"),
            "target/debug/portcullis"
        );
        assert_eq!(shell_word("my data"), "'my data'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!(shell_word(""), "''");
    }
}
