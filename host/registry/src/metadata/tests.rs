use proptest::prelude::*;

use super::*;

const SMALLEST: &str = "Metadata-Version: 2.1\nName: sample\nVersion: 1.0\n";

#[test]
fn fields_are_bounded() {
    let parse = |count: usize| {
        CoreMetadata::parse(format!("{SMALLEST}{}", "Classifier: x\n".repeat(count - 3)).as_bytes())
    };
    assert!(parse(20_000).is_ok());
    assert!(matches!(parse(20_001), Err(MetadataError::TooManyFields)));
}

#[test]
fn a_million_beginnings_of_encoded_words_are_read_at_once() {
    // Searching for each up to the end of the text would take hours.
    let text = "=?a?b? ".repeat(500_000);
    assert!(!has_encoded_word(&text) && has_encoded_word(&format!("{text}?=")));
}

#[test]
fn every_field_is_kept() {
    for field in FIELDS
        .iter()
        .filter(|field| !["Metadata-Version", "Name", "Version"].contains(&field.header))
    {
        let metadata =
            CoreMetadata::parse(format!("{SMALLEST}{}: some value\n", field.header).as_bytes())
                .unwrap();
        assert_eq!(
            metadata.all(field.form_names[0]),
            ["some value"],
            "{}",
            field.header
        );
    }
}

#[test]
fn the_body_is_the_description() {
    let metadata =
        CoreMetadata::parse(format!("{SMALLEST}\n# Title\n\nText: with colon\n").as_bytes())
            .unwrap();
    assert_eq!(
        metadata.one("description"),
        Some("# Title\n\nText: with colon\n")
    );
}

#[test]
fn a_folded_description_loses_its_marks() {
    let metadata = CoreMetadata::parse(
        format!("{SMALLEST}Description: One\n        two\n       |  three\n").as_bytes(),
    )
    .unwrap();
    assert_eq!(metadata.one("description"), Some("One\ntwo\n  three"));
}

/// Pip, which takes the first, reads each of them differently from policies and pages.
#[test]
fn what_installers_go_by_is_never_left_out_for_what_it_says() {
    let parse = |headers: &str| CoreMetadata::parse(headers.as_bytes());
    let start = "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n";
    let hidden = parse(&format!(
        "{start}Requires-Dist: UNKNOWN\nRequires-Python: UNKNOWN\n"
    ));
    let hidden = hidden.unwrap();
    assert_eq!(hidden.facts().requires, ["UNKNOWN"]);
    assert_eq!(hidden.one("requires_python"), Some("UNKNOWN"));
    for (first, field) in [
        ("Name: UNKNOWN\n", "Name"),
        ("Name:\n", "Name"),
        ("Version: UNKNOWN\n", "Version"),
        ("Metadata-Version: UNKNOWN\n", "Metadata-Version"),
    ] {
        let twice = parse(&format!("{first}{start}"));
        assert_eq!(twice, Err(MetadataError::Repeated(field)), "{first}");
    }
    let python = parse(&format!(
        "{start}Requires-Python:\nRequires-Python: >=3.9\n"
    ));
    assert_eq!(python, Err(MetadataError::Repeated("Requires-Python")));
    // Old tools write these, and installers do not use them.
    let old = parse(&format!(
        "{start}License: UNKNOWN\nLicense: MIT\nPlatform: UNKNOWN\n"
    ));
    let old = old.unwrap();
    assert_eq!(
        (old.one("license"), old.all("platform").len()),
        (Some("MIT"), 0)
    );
    assert_eq!(
        parse(&format!("{start}Requires-Python:\n"))
            .unwrap()
            .one("requires_python"),
        None
    );
}

#[test]
fn what_installers_go_by_has_a_value_where_it_stands() {
    for header in [
        "Requires-Dist",
        "Provides-Extra",
        "License-File",
        "License-Expression",
        "Description-Content-Type",
        "Dynamic",
    ] {
        for empty in ["", " ", " \n  "] {
            let text = format!("{SMALLEST}{header}:{empty}\nSummary: x\n");
            let refused = CoreMetadata::parse(text.as_bytes()).unwrap_err();
            let said = format!("line 4 of the metadata has '{header}' without a value");
            assert_eq!(refused.to_string(), said, "{empty:?}");
        }
    }
    // `packaging` reads these.
    for header in [
        "Requires-Python",
        "Classifier",
        "Project-URL",
        "Summary",
        "Keywords",
    ] {
        let text = format!("{SMALLEST}{header}:\n");
        assert!(CoreMetadata::parse(text.as_bytes()).is_ok(), "{header}");
    }
}

#[test]
fn a_single_field_with_two_values_is_refused() {
    assert_eq!(
        CoreMetadata::parse(format!("{SMALLEST}Name: other\n").as_bytes()),
        Err(MetadataError::Repeated("Name"))
    );
    assert_eq!(
        CoreMetadata::parse(format!("{SMALLEST}name: other\n").as_bytes()),
        Err(MetadataError::Repeated("Name"))
    );
    let same =
        CoreMetadata::parse(format!("{SMALLEST}name: sample\nSummary: a\nSummary: a\n").as_bytes())
            .unwrap();
    assert_eq!(
        (same.all("name"), same.all("summary")),
        (
            ["sample".to_owned()].as_slice(),
            ["a".to_owned()].as_slice()
        )
    );
}

#[test]
fn name_version_and_metadata_version_must_be_there() {
    assert_eq!(
        CoreMetadata::parse(b"Metadata-Version: 2.1\nName: a\n"),
        Err(MetadataError::Missing("Version"))
    );
    assert_eq!(
        CoreMetadata::parse(b""),
        Err(MetadataError::Missing("Metadata-Version"))
    );
}

#[test]
fn a_line_that_is_no_header_is_named() {
    assert_eq!(
        CoreMetadata::parse(format!("{SMALLEST}what is this\n").as_bytes()),
        Err(MetadataError::Malformed { line: 4 })
    );
}

/// Python's parser ends a line at a carriage return, whatever follows.
#[test]
fn no_field_hides_behind_a_carriage_return() {
    for hidden in [
        "Summary: x\rRequires-Dist: evil @ https://example.org/e.whl\n",
        "Summary: x\r\r\nRequires-Dist: evil\n",
        "Unknown: x\ry\n",
        "\r",
    ] {
        let parsed = CoreMetadata::parse(format!("{SMALLEST}{hidden}").as_bytes());
        assert!(
            matches!(parsed, Err(MetadataError::Characters { line: 4.., .. })),
            "{hidden:?}: {parsed:?}"
        );
    }
    let crlf = CoreMetadata::parse(SMALLEST.replace('\n', "\r\n").as_bytes()).unwrap();
    assert_eq!(crlf.one("version"), Some("1.0"));
}

#[test]
fn what_only_some_readers_decode_is_refused() {
    for line in [
        "Requires-Dist: a; os_name == \"=?utf-8?q?x?=\"",
        "Requires-Python: ===1=?utf-8?q?x?=",
        "Project-URL: Search, https://example.org/find?q=?a&b=?utf-8?Q?a b?=",
        "Project-URL: Search, https://example.org/??=?=?b?B?c??=",
        "Summary: a\u{b}b",
        "Requires-Dist: a\0",
        "Author: a\u{85}b",
    ] {
        let parsed = CoreMetadata::parse(format!("{SMALLEST}{line}\n").as_bytes());
        assert!(
            matches!(parsed, Err(MetadataError::Characters { line: 4, .. })),
            "{line:?}: {parsed:?}"
        );
    }
    // These have a valid beginning, or more, but are not well-formed.
    for line in [
        "Project-URL: Search, https://example.org/find?q=?a&b=?c",
        "Home-page: https://example.org/?a=?utf-8?x?b?=",
        "Home-page: https://example.org/?=?q?b",
    ] {
        CoreMetadata::parse(format!("{SMALLEST}{line}\n").as_bytes()).unwrap();
    }
    // Licenses have page breaks, people's names encoded words.
    CoreMetadata::parse(
        format!("{SMALLEST}License: GPL\n        one\u{c}\n        two\nAuthor: =?utf-8?q?x?=\n")
            .as_bytes(),
    )
    .unwrap();
}

#[test]
fn a_folded_field_is_one_value() {
    let metadata = CoreMetadata::parse(
        format!("{SMALLEST}Requires-Dist: a\n\t>=1\nSummary: b\n \nKeywords: c\n").as_bytes(),
    )
    .unwrap();
    assert_eq!(
        (
            metadata.all("requires_dist"),
            metadata.one("summary"),
            metadata.one("keywords")
        ),
        (["a >=1".to_owned()].as_slice(), Some("b"), Some("c"))
    );
    assert!(CoreMetadata::parse(format!(" x\n{SMALLEST}").as_bytes()).is_err());
    assert!(CoreMetadata::parse(format!("{SMALLEST}Name : x\n").as_bytes()).is_err());
    assert!(CoreMetadata::parse(format!("\u{feff}{SMALLEST}").as_bytes()).is_err());
}

#[test]
fn bytes_that_are_not_utf8_are_refused() {
    assert_eq!(
        CoreMetadata::parse(b"Name: \xff\n"),
        Err(MetadataError::NotUtf8)
    );
}

proptest! {
    #[test]
    fn no_bytes_panic_the_parser(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = CoreMetadata::parse(&bytes);
    }

    #[test]
    fn no_text_panics_the_parser(text in "(Name|Version|Description|License|:| |\n|\r|\t|a|é){0,60}") {
        let _ = CoreMetadata::parse(text.as_bytes());
    }
}
