//! How much is stored of a value that strangers influenced: all of it, or as much as fits, with the
//! size and the SHA-256 of the whole. So a part is never mistaken for the whole, and somebody who
//! has the whole can prove it.

use data_encoding::HEXLOWER;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::limit::Bytes;

/// The key that marks a value as only a part.
pub const LEFT_OUT: &str = "left-out";

/// How texts (characters) and lists (items) are cut, from the mildest to the hardest.
const CUTS: [(usize, usize); 4] = [(300, 16), (100, 8), (40, 4), (16, 2)];

/// The value itself if its JSON text fits into `bytes`; otherwise a part of it that fits, as an
/// object with [`LEFT_OUT`]: `{"bytes": …, "sha256": …}` of the whole value's JSON text.
///
/// Never longer than `bytes`, as long as `bytes` is at least 128.
pub fn within(value: Value, bytes: Bytes) -> Value {
    let whole = value.to_string();
    if whole.len() <= bytes.length() {
        return value;
    }
    let left_out = json!({ "bytes": whole.len(), "sha256": HEXLOWER.encode(&Sha256::digest(whole.as_bytes())) });
    drop(whole);
    for (texts, items) in CUTS {
        let mut part = match cut(&value, texts, items) {
            Value::Object(fields) => fields,
            other => Map::from_iter([("part".to_owned(), other)]),
        };
        part.insert(LEFT_OUT.to_owned(), left_out.clone());
        let part = Value::Object(part);
        if part.to_string().len() <= bytes.length() {
            return part;
        }
    }
    json!({ LEFT_OUT: left_out })
}

/// The value with long texts and lists cut; a cut list says how many items are missing.
fn cut(value: &Value, texts: usize, items: usize) -> Value {
    match value {
        Value::String(text) => match text.char_indices().nth(texts) {
            Some((end, _)) => Value::String(format!("{}…", &text[..end])),
            None => value.clone(),
        },
        Value::Array(list) => {
            let mut part: Vec<Value> = list
                .iter()
                .take(items)
                .map(|item| cut(item, texts, items))
                .collect();
            if list.len() > items {
                part.push(Value::String(format!("… and {} more", list.len() - items)));
            }
            Value::Array(part)
        }
        Value::Object(fields) => {
            let mut part: Map<String, Value> = fields
                .iter()
                .take(2 * items)
                .map(|(name, value)| (shortened(name, texts), cut(value, texts, items)))
                .collect();
            if fields.len() > 2 * items {
                part.insert(
                    "…".to_owned(),
                    Value::String(format!("… and {} more", fields.len() - 2 * items)),
                );
            }
            Value::Object(part)
        }
        other => other.clone(),
    }
}

fn shortened(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limit::{EVENT_DETAIL_BYTES, SECTION_BYTES};

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,600}".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 400, 40, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..40).prop_map(Value::from),
                prop::collection::btree_map("\\PC{0,80}", inner, 0..40)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_kept_always_fits_and_says_when_it_is_not_all(value in any_json()) {
            for bound in [SECTION_BYTES, EVENT_DETAIL_BYTES] {
                let fits = value.to_string().len() <= bound.length();
                let kept = within(value.clone(), bound);
                prop_assert!(kept.to_string().len() <= bound.length());
                prop_assert_eq!(kept == value, fits);
                prop_assert_eq!(kept.get(LEFT_OUT).is_some(), !fits);
            }
        }
    }

    #[test]
    fn a_long_list_keeps_its_beginning_its_length_and_its_digest() {
        let requires: Vec<String> = (0..19_000)
            .map(|number| {
                format!("dependency-{number}>=1.0; python_version < '3.9' and extra == 'a'")
            })
            .collect();
        let kept = within(
            json!({ "requires": requires, "summary": "s" }),
            SECTION_BYTES,
        );
        assert_eq!(kept["summary"], "s");
        assert_eq!(
            kept["requires"][0],
            "dependency-0>=1.0; python_version < '3.9' and extra == 'a'"
        );
        assert!(
            kept["requires"]
                .as_array()
                .unwrap()
                .last()
                .unwrap()
                .as_str()
                .unwrap()
                .ends_with("more"),
            "{kept}"
        );
        assert_eq!(kept[LEFT_OUT]["sha256"].as_str().unwrap().len(), 64);
    }
}
