//! Lists that are changed step by step equal lists that are built at once.

use std::collections::BTreeMap;
use std::io::Read;

use proptest::prelude::*;

use super::page::ListPage;
use super::*;

const URLS: &str = "https://example.org/pypi";

fn entry(name: &str, serial: i64, status: ProjectStatus) -> IndexEntry {
    IndexEntry {
        normalized: model::name::normalize(name),
        written: name.to_owned(),
        status,
        last_serial: serial,
    }
}

fn list(entries: &BTreeMap<String, IndexEntry>, serial: i64, list_serial: i64) -> List {
    let entries: Vec<IndexEntry> = entries.values().cloned().collect();
    List::new(
        &Urls {
            public: URLS.to_owned(),
        },
        serial,
        list_serial,
    )
    .extended(&entries)
    .finished()
}

fn body(list: &Arc<List>, format: PageFormat, compressed: bool) -> Vec<u8> {
    let page = ListPage {
        list: list.clone(),
        format,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let mut parts = page.parts(compressed);
    let mut sent = Vec::new();
    while let Some(part) = runtime.block_on(parts.next()).unwrap() {
        sent.extend_from_slice(&part);
    }
    let mut body = Vec::new();
    match compressed {
        // A decoder for a single member, as in many clients.
        true => drop(
            flate2::read::GzDecoder::new(&*sent)
                .read_to_end(&mut body)
                .unwrap(),
        ),
        false => body = sent,
    }
    assert_eq!(body.len() as u64, page.length());
    body
}

/// The page in both formats, in HTML as text, however it is sent.
fn pages(list: List) -> (String, serde_json::Value) {
    let list = Arc::new(list);
    let [html, json] = [PageFormat::Html, PageFormat::Json].map(|format| {
        let plain = body(&list, format, false);
        assert_eq!(plain, body(&list, format, true));
        plain
    });
    (
        String::from_utf8(html).unwrap(),
        serde_json::from_slice(&json).unwrap(),
    )
}

/// Names that are close together and apart, some of them in another spelling.
fn name() -> impl Strategy<Value = String> {
    "[a-cA-C0-1]([a-c0-1._-]{0,4}[a-c0-1])?"
}

fn status() -> impl Strategy<Value = ProjectStatus> {
    prop_oneof![4 => Just(ProjectStatus::Active), 1 => Just(ProjectStatus::Quarantined)]
}

/// The result of searching every name by itself.
fn found(entries: &BTreeMap<String, IndexEntry>, text: &str) -> Vec<String> {
    let mut names: Vec<&String> = entries
        .iter()
        .filter(|(name, entry)| name.contains(text) && entry.status != ProjectStatus::Quarantined)
        .map(|(name, _)| name)
        .collect();
    names.sort_by_key(|name| (*name != text, !name.starts_with(text), *name));
    names.into_iter().cloned().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_list_that_was_changed_is_the_list_that_is_made_at_once(
        first in prop::collection::vec((name(), status()), 0..2500),
        changes in prop::collection::vec(prop::collection::vec((name(), prop::option::weighted(0.8, status())), 0..900), 1..4),
        texts in prop::collection::vec("[a-c0-1-]{1,4}", 8),
    ) {
        let mut serial = 1;
        let mut entries: BTreeMap<String, IndexEntry> = first.iter().map(|(name, status)| (model::name::normalize(name), entry(name, 7, *status))).collect();
        let mut changed = list(&entries, serial, 1);
        for step in changes {
            serial += 1;
            let mut applied = BTreeMap::new();
            for (name, status) in step {
                let normalized = model::name::normalize(&name);
                let change = match (status, entries.contains_key(&normalized)) {
                    (None, _) => Change::IsNot,
                    (Some(ProjectStatus::Active), true) => Change::Touched(serial),
                    (Some(status), _) => Change::Is(entry(&name, serial, status)),
                };
                match &change {
                    Change::IsNot => drop(entries.remove(&normalized)),
                    Change::Touched(serial) => entries.get_mut(&normalized).unwrap().last_serial = *serial,
                    Change::Is(entry) => drop(entries.insert(normalized.clone(), entry.clone())),
                }
                // One change of each name, as callers pass it.
                let change = match applied.contains_key(&normalized) {
                    true => entries.get(&normalized).map_or(Change::IsNot, |entry| Change::Is(entry.clone())),
                    false => change,
                };
                applied.insert(normalized, change);
            }
            changed = changed.with(&applied, serial, serial);
            prop_assert!(changed.chunks.iter().all(|chunk| !chunk.marks.is_empty() && chunk.marks.len() <= 2 * CHUNK));
        }
        for text in texts {
            let all = found(&entries, &text);
            prop_assert_eq!(changed.search(&text, 0, usize::MAX), &all[..]);
            prop_assert_eq!(changed.search(&text, 3, 5), &all[all.len().min(3)..all.len().min(8)]);
        }
        for name in entries.keys() {
            prop_assert!(changed.holds(name));
        }
        let expected = list(&entries, serial, serial);
        prop_assert_eq!((&changed.html.etag, &changed.json.etag), (&expected.html.etag, &expected.json.etag));
        prop_assert_eq!(pages(changed), pages(expected));
    }
}

#[test]
fn the_page_in_html_holds_names_and_that_in_json_their_serials() {
    let entries: BTreeMap<_, _> = [
        ("Foo.Bar", ProjectStatus::Active),
        ("hidden", ProjectStatus::Quarantined),
        ("zoo", ProjectStatus::Archived),
    ]
    .map(|(name, status)| (model::name::normalize(name), entry(name, 12, status)))
    .into();
    let before = list(&entries, 20, 10);
    let (html, json) = pages(list(&entries, 20, 10));
    assert!(
        html.contains("<body>\n    <a href=\"/pypi/simple/foo-bar/\">Foo.Bar</a><br />\n    <a href=\"/pypi/simple/zoo/\">zoo</a><br />\n  </body>"),
        "{html}"
    );
    assert!(html.ends_with("<!--SERIAL 10-->"));
    let expected = serde_json::json!({"meta": {"_last-serial": 20, "api-version": "1.4"},
        "projects": [{"_last-serial": 12, "name": "Foo.Bar"}, {"_last-serial": 12, "name": "zoo"}]});
    assert_eq!(json, expected);
    // A new file: the same page in HTML, another number in JSON.
    let touched = before.with(
        &BTreeMap::from([("zoo".to_owned(), Change::Touched(21))]),
        21,
        10,
    );
    assert_eq!(
        (&touched.html.etag, touched.html.length),
        (&before.html.etag, before.html.length)
    );
    assert_ne!(touched.json.etag, before.json.etag);
    let (html_after, json) = pages(touched);
    assert_eq!(
        (html_after, &json["projects"][1]["_last-serial"]),
        (html, &serde_json::json!(21))
    );
}

#[test]
fn a_change_leaves_all_chunks_but_its_own_alone() {
    let entries: BTreeMap<_, _> = (0..5000)
        .map(|number| format!("sample-{number:05}"))
        .map(|name| (name.clone(), entry(&name, 1, ProjectStatus::Active)))
        .collect();
    let before = list(&entries, 1, 1);
    let after = before.with(
        &BTreeMap::from([(
            "sample-02000-b".to_owned(),
            Change::Is(entry("sample-02000-b", 2, ProjectStatus::Active)),
        )]),
        2,
        2,
    );
    let shared = after
        .chunks
        .iter()
        .filter(|chunk| before.chunks.iter().any(|other| Arc::ptr_eq(chunk, other)))
        .count();
    assert_eq!(
        (before.chunks.len(), after.chunks.len(), shared),
        (10, 10, 9)
    );
}

#[test]
fn an_empty_list_is_a_page_too() {
    let empty = List::new(
        &Urls {
            public: URLS.to_owned(),
        },
        0,
        0,
    )
    .finished();
    assert_eq!((empty.holds("a"), empty.search("a", 0, 5)), (false, vec![]));
    let (html, json) = pages(empty);
    assert!(html.contains("<body>\n  </body>"));
    assert_eq!(json["projects"], serde_json::json!([]));
}
