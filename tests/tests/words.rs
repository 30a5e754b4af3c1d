//! What people read is plain English: pages, mails, refusals, histories, help texts, commands.
//!
//! Phrases that were found and that a native reader stumbles over, each with a replacement. If you
//! find another one, add it here.

use std::path::{Path, PathBuf};

/// Phrases to avoid, and their replacements.
const PHRASES: &[(&str, &str)] = &[
    ("any more", "no longer"),
    ("anymore", "no longer"),
    (
        "from then on",
        "say what stops or begins: will stop working",
    ),
    ("anew", "again"),
    ("once more", "again"),
    ("for good", "permanently"),
    ("look twice", "unusual"),
    ("with an end", "with an expiry date"),
    ("e-mail", "email"),
    ("whose it is", "its owner"),
    ("gives out", "returns, issues"),
    ("prove", "confirm"),
    ("as it was", "unchanged"),
    ("as it is", "unchanged"),
    ("switched off", "disabled"),
    ("somebody", "someone"),
    ("i have copied it: on to", "continue to"),
];

/// Text between quotation marks on a line, and documentation comments that are the help text of a
/// command, a key or a setting.
fn texts(line: &str, has_help: bool) -> Vec<&str> {
    let line = line.trim_start();
    match line.strip_prefix("///") {
        Some(help) => Vec::from_iter(has_help.then_some(help)),
        None if line.starts_with("//") || line.contains("tracing::") => Vec::new(),
        None => line.split('"').skip(1).step_by(2).collect(),
    }
}

/// Whether a text is for people: a single word, as in an address or a record, is not.
fn is_prose(text: &str) -> bool {
    text.trim().contains(' ')
}

fn found(text: &str) -> Option<&'static (&'static str, &'static str)> {
    let text = text.to_lowercase();
    let is_whole = |place: usize, phrase: &str| {
        let letter = |character: Option<char>| {
            character.is_some_and(|character| character.is_alphanumeric() || character == '-')
        };
        !letter(text[..place].chars().next_back())
            && !(phrase == "prove" && text[place..].starts_with("prove-"))
    };
    PHRASES.iter().find(|(phrase, _)| {
        text.match_indices(phrase)
            .any(|(place, _)| is_whole(place, phrase))
    })
}

fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder)
        .unwrap_or_else(|cause| panic!("cannot list {}: {cause}", folder.display()))
    {
        let path = entry.expect("a folder entry can be read").path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        match path.is_dir() {
            true if !["tests", "target"].contains(&&*name) => files(&path, extension, found),
            false
                if path.extension().is_some_and(|found| found == extension)
                    && name != "tests.rs" =>
            {
                found.push(path)
            }
            _ => {}
        }
    }
}

#[test]
fn a_phrase_is_found_in_prose_and_nowhere_else() {
    assert!(found("It works nowhere any more.").is_some() && found("Proven within").is_some());
    assert!(
        found("too-many-device-mails were sent").is_none()
            && found("It can be improved.").is_none()
    );
    assert_eq!(texts("    /// Told anew.", false), Vec::<&str>::new());
    assert_eq!(
        texts(r#"x("one two", y, "three") // "no""#, true)[..2],
        ["one two", "three"]
    );
}

#[test]
fn what_people_read_is_plain_english() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ is in the repository");
    let (mut templates, mut sources) = (Vec::new(), Vec::new());
    files(&top.join("host/http/templates"), "html", &mut templates);
    for folder in ["http", "identity", "mail", "server", "gate", "registry"] {
        files(
            &top.join("host").join(folder).join("src"),
            "rs",
            &mut sources,
        );
    }
    sources.push(top.join("host/model/src/action.rs"));
    files(&top.join("plugins"), "rs", &mut sources);
    assert!(
        templates.len() > 30 && sources.len() > 100,
        "{} and {}",
        templates.len(),
        sources.len()
    );

    let mut wrong = Vec::new();
    let mut look = |path: &Path, number: usize, text: &str| {
        if let Some((phrase, instead)) = found(text) {
            wrong.push(format!(
                "{}:{number}: “{phrase}”; write “{instead}”: {text}",
                path.strip_prefix(top)
                    .expect("found below the top")
                    .display()
            ));
        }
    };
    for path in &templates {
        let text = std::fs::read_to_string(path).expect("a template can be read");
        for (index, line) in text.lines().enumerate() {
            // Tags are for browsers, braces for the compiler.
            let shown: String = line
                .split(['<', '{'])
                .map(|part| part.rsplit(['>', '}']).next().unwrap_or(""))
                .collect::<Vec<_>>()
                .join(" ");
            look(path, index + 1, &shown);
        }
    }
    for path in &sources {
        let shown = path.display().to_string();
        let has_help = [
            "/server/src/commands",
            "/server/src/configuration/keys.rs",
            "/server/src/cli.rs",
        ]
        .iter()
        .any(|part| shown.contains(part));
        let text = std::fs::read_to_string(path).expect("a source file can be read");
        let product = text.split("#[cfg(test)]").next().unwrap_or_default();
        let mut is_setting = false;
        for (index, line) in product.lines().enumerate() {
            // Operators and owners read the comment of a setting.
            is_setting = (is_setting || line.starts_with("settings! {")) && line != "}";
            for text in texts(line, has_help || is_setting)
                .into_iter()
                .filter(|text| is_prose(text))
            {
                look(path, index + 1, text);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
