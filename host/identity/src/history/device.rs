//! Browsers and programs in words.

/// Shown for a header without anything that we know.
const UNKNOWN_PROGRAM: &str = "an unknown program";

/// Browsers by their mark in `User-Agent`, in the order of the search: each of them also claims to
/// be some of the following ones.
const BROWSERS: [(&str, &str); 11] = [
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];

/// Systems, in the same way.
const SYSTEMS: [(&str, &str); 8] = [
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Macintosh", "macOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
];

/// Programs that talk to registries: the name in the header, and the name for people.
const PROGRAMS: [(&str, &str); 15] = [
    ("twine", "twine"),
    ("uv", "uv"),
    ("flit", "flit"),
    ("hatch", "Hatch"),
    ("poetry", "Poetry"),
    ("pdm", "PDM"),
    ("pip", "pip"),
    ("maturin", "maturin"),
    ("setuptools", "setuptools"),
    ("python-requests", "Python requests"),
    ("python-httpx", "Python HTTPX"),
    ("python-urllib", "Python urllib"),
    ("curl", "curl"),
    ("wget", "Wget"),
    ("portcullis", "Portcullis"),
];

/// Maximum length of a version that is shown, in characters.
const MAX_VERSION: usize = 20;
/// Maximum count of its numbers.
const MAX_NUMBERS: usize = 3;

/// The browser or program in a `User-Agent` header, for people: "Firefox on Linux", "twine 7.0.0",
/// "an unknown program". Contains only our own words and digits: the author of a header must not be
/// able to write to the owner of an account.
pub fn device_in_words(user_agent: &str) -> String {
    if let Some(claims) = user_agent.strip_prefix("Mozilla/") {
        let find = |known: &[(&str, &'static str)]| {
            known
                .iter()
                .find(|(mark, _)| claims.contains(mark))
                .map(|(_, name)| *name)
        };
        let browser = find(&BROWSERS).unwrap_or("an unknown browser");
        return match find(&SYSTEMS) {
            Some(system) => format!("{browser} on {system}"),
            None => browser.to_owned(),
        };
    }
    let product = user_agent.split([' ', '\t']).next().unwrap_or_default();
    let (name, version) = product.split_once('/').unwrap_or((product, ""));
    let Some((_, name)) = PROGRAMS
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
    else {
        return UNKNOWN_PROGRAM.to_owned();
    };
    let version: String = version
        .chars()
        .take_while(|character| character.is_ascii_digit() || *character == '.')
        .take(MAX_VERSION)
        .collect();
    // Three numbers at most: four could be an address.
    let version = version
        .split('.')
        .filter(|number| !number.is_empty())
        .take(MAX_NUMBERS)
        .collect::<Vec<_>>()
        .join(".");
    if version.is_empty() {
        (*name).to_owned()
    } else {
        format!("{name} {version}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn browsers_and_upload_tools_are_named_as_people_name_them() {
        for (user_agent, words) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                "Firefox on Linux",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
                "Firefox on Windows",
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/140.0.0.0 Safari/537.36",
                "Chrome on Linux",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36 Edg/140.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
                "Safari on macOS",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
                "Safari on iPhone",
            ),
            (
                "Mozilla/5.0 (Linux; Android 16; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Mobile Safari/537.36",
                "Chrome on Android",
            ),
            (
                "Mozilla/5.0 (Android 16; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0",
                "Firefox on Android",
            ),
            (
                "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36",
                "Chrome on ChromeOS",
            ),
            ("Mozilla/5.0 Firefox/140.0", "Firefox"),
            ("Mozilla/5.0 (compatible)", "an unknown browser"),
            ("twine/7.0.0 (keyring/25.6.0) CPython/3.13.5", "twine 7.0.0"),
            ("uv/0.9.13 {\"installer\":{\"name\":\"uv\"}}", "uv 0.9.13"),
            ("Poetry/2.1.2 (Linux) Python/3.12", "Poetry 2.1.2"),
            ("python-requests/2.32.4", "Python requests 2.32.4"),
            ("curl/8.14.1", "curl 8.14.1"),
            ("curl/203.0.113.9", "curl 203.0.113"),
            ("curl/..1..2..", "curl 1.2"),
            ("pip", "pip"),
            ("twine/dev", "twine"),
            ("twine/1.evil.example", "twine 1"),
            ("", "an unknown program"),
            ("Open-https://evil.example/now", "an unknown program"),
        ] {
            assert_eq!(device_in_words(user_agent), words, "{user_agent}");
        }
    }

    proptest! {
        #[test]
        fn whoever_writes_the_header_does_not_write_the_words(user_agent in "(Mozilla/|twine/|)\\PC{0,80}") {
            let words = device_in_words(&user_agent);
            prop_assert!(words.len() <= 60, "{}", words);
            let is_ours = |word: &str| {
                word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
                    || BROWSERS.iter().chain(&SYSTEMS).chain(&PROGRAMS).any(|(_, name)| name.split(' ').any(|part| part == word))
                    || ["an", "unknown", "browser", "program", "on"].contains(&word)
            };
            prop_assert!(words.split(' ').all(is_ours), "{}", words);
        }
    }
}
