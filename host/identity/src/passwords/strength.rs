//! How many tries an attacker needs who knows common passwords.

use std::panic::{AssertUnwindSafe, catch_unwind};

use model::UserName;
use storage::Secret;
use zxcvbn::{Score, zxcvbn};

use super::UnsuitablePassword;

/// Characters that are checked: the work grows faster than the text, and some texts of 100
/// characters take half a second.
const MOST_CHARACTERS: usize = 50;
/// Shorter words reveal nothing about a person.
const SHORTEST_WORD: usize = 3;

/// Words that an attacker tries first on this account: its name, its addresses, the registry.
pub(crate) fn known_words(name: &UserName, addresses: &[&str], host: &str) -> Vec<String> {
    let mut words = vec![name.folded().to_owned(), host.to_owned()];
    for address in addresses {
        words.push((*address).to_owned());
        words.extend(address.split('@').map(str::to_owned));
    }
    let labels = words
        .iter()
        .flat_map(|word| word.split(['.', ':', '+']))
        .map(str::to_owned)
        .collect::<Vec<_>>();
    let parts = labels
        .iter()
        .flat_map(|label| label.split(['-', '_']))
        .map(str::to_owned)
        .collect::<Vec<_>>();
    words.extend(labels);
    words.extend(parts);
    words.retain(|word| word.len() >= SHORTEST_WORD);
    words.sort_unstable();
    words.dedup();
    words
}

/// Refuses a password that is found in few tries. Runs on a blocking thread.
pub(super) fn check(password: &Secret<String>, known: &[String]) -> Result<(), UnsuitablePassword> {
    let text = password.expose();
    let start = text
        .char_indices()
        .nth(MOST_CHARACTERS)
        .map_or(&**text, |(end, _)| &text[..end]);
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    // The estimate for a long keyboard walk overflows, which panics in a build with checks.
    let Ok(estimate) = catch_unwind(AssertUnwindSafe(|| zxcvbn(start, &known))) else {
        return Err(UnsuitablePassword::TooGuessable {
            advice: "how easy the password is to guess could not be determined; choose another one"
                .to_owned(),
        });
    };
    if estimate.score() >= Score::Two {
        return Ok(());
    }
    // People read one reason and one suggestion, but not the whole list.
    let why = estimate
        .feedback()
        .and_then(|feedback| feedback.warning())
        .map(|warning| format!(": {}", clause(&warning.to_string())))
        .unwrap_or_default();
    let advice = format!(
        "the password is easy to guess{why}. Choose another one, or add two or three unrelated words"
    );
    Err(UnsuitablePassword::TooGuessable { advice })
}

/// A sentence turned into a clause.
fn clause(sentence: &str) -> String {
    let text = sentence.trim_end_matches('.');
    let mut characters = text.chars();
    characters
        .next()
        .map(|first| format!("{}{}", first.to_lowercase(), characters.as_str()))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_with(password: &str, name: &str, address: &str) -> Result<(), UnsuitablePassword> {
        let known = known_words(
            &UserName::parse(name).unwrap(),
            &[address],
            "pypi.example.org",
        );
        check(&Secret::new(password.to_owned()), &known)
    }

    #[test]
    fn what_people_choose_first_is_too_easy_to_guess() {
        for password in [
            "password",
            "12345678",
            "qwertyuiop",
            "iloveyou1",
            "aaaaaaaaaaaa",
            "Passw0rd",
        ] {
            let Err(UnsuitablePassword::TooGuessable { advice }) =
                check_with(password, "ana", "ana@example.org")
            else {
                panic!("{password}")
            };
            assert!(
                advice.starts_with("the password is easy to guess")
                    && advice
                        .ends_with(". Choose another one, or add two or three unrelated words"),
                "{advice}"
            );
            assert_eq!(advice.matches('.').count(), 1, "{advice}");
        }
        for password in ["correct horse", "x8#Kd02-pq", "Tür und Angel im Wind"] {
            assert_eq!(
                check_with(password, "ana", "ana@example.org"),
                Ok(()),
                "{password}"
            );
        }
    }

    #[test]
    fn name_address_and_registry_are_no_secrets() {
        assert_eq!(
            check_with("kwisatz-haderach", "ana", "ana@example.org"),
            Ok(())
        );
        for (name, address) in [
            ("kwisatz-haderach", "ana@example.org"),
            ("ana", "kwisatz-haderach@example.org"),
            ("ana", "ana@kwisatz-haderach.org"),
        ] {
            assert!(
                check_with("kwisatz-haderach", name, address).is_err(),
                "{name} {address}"
            );
        }
        assert!(check_with("pypi.example.org", "ana", "ana@mail.net").is_err());
    }

    /// The estimate for this one overflows.
    #[test]
    fn a_long_walk_over_the_keyboard_is_answered() {
        let walk = "qawsedrftgyhujikolp;".repeat(5);
        assert!(!matches!(
            check_with(&walk, "ana", "ana@example.org"),
            Err(UnsuitablePassword::Length)
        ));
    }

    #[test]
    fn a_long_password_is_looked_at_in_part() {
        let text = "ä".repeat(MOST_CHARACTERS) + &"correct horse battery staple".repeat(30);
        assert!(
            check_with(&text, "ana", "ana@example.org").is_err(),
            "the rest does not count"
        );
    }
}
