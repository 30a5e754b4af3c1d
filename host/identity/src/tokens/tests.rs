use model::caveat::InvalidCaveat;
use proptest::prelude::*;

use super::*;

const ID: &str = "00000000-0000-4000-8000-000000000001";

// Made with pymacaroons 0.13.0 and pypitoken 7.1.1 for key 00..1f and location `pypi.org`.
const USER: &str = "pypi-AgEIcHlwaS5vcmcCJDAwMDAwMDAwLTAwMDAtNDAwMC04MDAwLTAwMDAwMDAwMDAwMQACKlszLCIxMTExMTExMS0xMTExLTQxMTEtODExMS0xMTExMTExMTExMTEiXQAABiAKgC8E_jT3wm8OWuIKZaX_zWrP_IcX5M06f_a8MN_y-w";
const PROJECT: &str = "pypi-AgEIcHlwaS5vcmcCJDAwMDAwMDAwLTAwMDAtNDAwMC04MDAwLTAwMDAwMDAwMDAwMQACD1sxLFsiZm9vLWJhciJdXQACLFsyLFsiMjIyMjIyMjItMjIyMi00MjIyLTgyMjItMjIyMjIyMjIyMjIyIl1dAAAGIBjOn7hXknxSKNv7hw8ctfnJ3zhG-ewTZW5pGG2Z544k";
const ATTENUATED: &str = "pypi-AgEIcHlwaS5vcmcCJDAwMDAwMDAwLTAwMDAtNDAwMC04MDAwLTAwMDAwMDAwMDAwMQACKlszLCIxMTExMTExMS0xMTExLTQxMTEtODExMS0xMTExMTExMTExMTEiXQACF1sxLCBbImZvby1iYXIiLCAiYmF6Il1dAAIbWzAsIDIwMDAwMDAwMDAsIDEwMDAwMDAwMDBdAAAGINjkfiEy69jFmYCFtRpU3NzUDnLu9_BQ6_yPk3x9knOj";
const EXPIRING: &str = "pypi-AgEIcHlwaS5vcmcCJDAwMDAwMDAwLTAwMDAtNDAwMC04MDAwLTAwMDAwMDAwMDAwMQACGVswLDIwMDAwMDAwMDAsMTAwMDAwMDAwMF0AAg9bMSxbImZvby1iYXIiXV0AAAYg8MmEMyp8GrL4H51HybLz8KyiHWns3SXJggMe8DQ6D84";
const VECTORS: [&str; 4] = [USER, PROJECT, ATTENUATED, EXPIRING];

fn key() -> Secret<[u8; 32]> {
    Secret::new(std::array::from_fn(|index| index as u8))
}

fn verify(text: &str) -> Option<VerifiedToken> {
    read("pypi", text).ok()?.verify(&key()).ok()
}

/// Every caveat, the registry's first.
fn all(token: &VerifiedToken, stored: &[String]) -> Result<Vec<Caveat>, InvalidCaveat> {
    token
        .caveats(stored)
        .map(|TokenCaveats { minted, added }| [minted, added].concat())
}

fn names(names: &[&str]) -> Caveat {
    Caveat::ProjectNames(names.iter().map(|name| name.to_string()).collect())
}

fn user() -> Caveat {
    Caveat::RequestUser("11111111-1111-4111-8111-111111111111".into())
}

fn packet(text: &str) -> Vec<u8> {
    BASE64URL_NOPAD
        .decode(text.strip_prefix("pypi-").unwrap().as_bytes())
        .unwrap()
}

fn text(packet: &[u8]) -> String {
    format!("pypi-{}", BASE64URL_NOPAD.encode(packet))
}

/// A holder's offline attenuation: cuts the signature off, adds a caveat, signs with the old
/// signature as key.
fn attenuate(token: &str, caveat: &str) -> String {
    let mut packet = packet(token);
    let old = packet.split_off(packet.len() - 32);
    packet.truncate(packet.len() - 3);
    write_field(&mut packet, IDENTIFIER, caveat.as_bytes());
    packet.extend([END, END]);
    write_field(&mut packet, SIGNATURE, &link(&old, caveat.as_bytes()));
    text(&packet)
}

#[test]
fn tokens_of_other_implementations_verify() {
    let expiry = Caveat::Expiration {
        expires_at: 2_000_000_000,
        not_before: 1_000_000_000,
    };
    let id = Caveat::ProjectIds(vec!["22222222-2222-4222-8222-222222222222".into()]);
    for (token, caveats) in [
        (USER, vec![user()]),
        (PROJECT, vec![names(&["foo-bar"]), id]),
        (
            ATTENUATED,
            vec![user(), names(&["foo-bar", "baz"]), expiry.clone()],
        ),
        (EXPIRING, vec![expiry, names(&["foo-bar"])]),
    ] {
        let verified = verify(token).unwrap();
        assert_eq!(verified.id().to_string(), ID);
        assert_eq!(all(&verified, &[]), Ok(caveats));
    }
}

#[test]
fn a_token_we_write_is_the_one_others_write() {
    let id = ID.parse().unwrap();
    assert_eq!(
        mint("pypi", "pypi.org", id, &key(), &[user().to_json()]).expose(),
        USER
    );
    let caveats = [
        r#"[1,["foo-bar"]]"#,
        r#"[2,["22222222-2222-4222-8222-222222222222"]]"#,
    ]
    .map(str::to_owned);
    assert_eq!(
        mint("pypi", "pypi.org", id, &key(), &caveats).expose(),
        PROJECT
    );
}

#[test]
fn a_token_attenuated_offline_in_any_spacing_verifies() {
    let once = attenuate(USER, r#"[1, ["foo-bar", "baz"]]"#);
    assert_eq!(attenuate(&once, "[0, 2000000000, 1000000000]"), ATTENUATED);
    let odd = attenuate(USER, "  [ 1 ,\n[ \"a\"\t] ]  ");
    assert_eq!(
        all(&verify(&odd).unwrap(), &[]),
        Ok(vec![user(), names(&["a"])])
    );
}

#[test]
fn what_was_stored_is_what_was_minted_and_the_rest_of_the_text_is_the_holders() {
    let stored = [user().to_json()];
    let told = |text: &str, stored: &[String]| verify(text).unwrap().caveats(stored).unwrap();
    assert_eq!(
        told(USER, &stored),
        TokenCaveats {
            minted: vec![user()],
            added: vec![]
        }
    );
    let narrowed = attenuate(USER, r#"[1, ["foo-bar"]]"#);
    assert_eq!(
        told(&narrowed, &stored),
        TokenCaveats {
            minted: vec![user()],
            added: vec![names(&["foo-bar"])]
        }
    );
    // The registry may restrict a token later; then that is its own caveat, too.
    let restricted = [user().to_json(), names(&["other"]).to_json()];
    assert_eq!(
        told(&narrowed, &restricted),
        TokenCaveats {
            minted: vec![user(), names(&["other"])],
            added: vec![names(&["foo-bar"])]
        }
    );
    // Also for a token whose text has none of its minted caveats.
    let bare = mint("pypi", "pypi.org", ID.parse().unwrap(), &key(), &[]);
    let bare = attenuate(bare.expose(), r#"[1, ["foo-bar"]]"#);
    assert_eq!(
        told(&bare, &stored),
        TokenCaveats {
            minted: vec![user()],
            added: vec![names(&["foo-bar"])]
        }
    );
}

#[test]
fn a_row_without_a_record_is_what_the_text_says_first() {
    let told = |text: &str, stored: &[&str]| {
        let stored: Vec<String> = stored.iter().map(|text| (*text).to_owned()).collect();
        let TokenCaveats { minted, added } = verify(text).unwrap().caveats(&stored).unwrap();
        (minted, added)
    };
    let expiry = Caveat::Expiration {
        expires_at: 2_000_000_000,
        not_before: 1_000_000_000,
    };
    let id = Caveat::ProjectIds(vec!["22222222-2222-4222-8222-222222222222".into()]);
    assert_eq!(told(USER, &[]), (vec![user()], vec![]));
    assert_eq!(
        told(ATTENUATED, &[]),
        (
            vec![user()],
            vec![names(&["foo-bar", "baz"]), expiry.clone()]
        ),
        "an account token stays one"
    );
    assert_eq!(
        told(PROJECT, &[]),
        (vec![names(&["foo-bar"])], vec![id]),
        "a project token stays one"
    );
    let narrowed = attenuate(EXPIRING, r#"[1, ["baz"]]"#);
    assert_eq!(
        told(&narrowed, &[]),
        (
            vec![expiry.clone(), names(&["foo-bar"])],
            vec![names(&["baz"])]
        )
    );
    // Restricted later, with and without a record of the scope.
    let later = Caveat::Expiration {
        expires_at: 9,
        not_before: 1,
    };
    assert_eq!(
        told(&narrowed, &["[0,9,1]"]),
        (
            vec![expiry, names(&["foo-bar"]), later],
            vec![names(&["baz"])]
        )
    );
    assert_eq!(told(ATTENUATED, &[r#"[1,["baz"]]"#]).0, [names(&["baz"])]);
}

#[test]
fn a_caveat_that_is_not_understood_refuses_the_token() {
    let caveats = |caveat| all(&verify(&attenuate(USER, caveat)).unwrap(), &[]);
    assert_eq!(
        caveats("[9999999]"),
        Err(InvalidCaveat::UnknownTag(9_999_999))
    );
    for malformed in ["", "[]", "null", "\"foo\"", "[0,5]", "{\"exp\":1}", "\u{1}"] {
        assert_eq!(
            caveats(malformed),
            Err(InvalidCaveat::Malformed),
            "{malformed}"
        );
    }
    assert_eq!(
        all(&verify(USER).unwrap(), &["[]".to_owned()]),
        Err(InvalidCaveat::Malformed)
    );
}

#[test]
fn another_key_does_not_verify() {
    let mut other = *key().expose();
    other[31] ^= 1;
    assert_eq!(
        read("pypi", USER).unwrap().verify(&Secret::new(other)),
        Err(WrongSignature)
    );
}

#[test]
fn another_prefix_is_another_registry() {
    assert!(read("mine", USER).is_err());
    assert!(read("pyp", USER).is_err());
    assert!(read("pypi", USER.strip_prefix("pypi-").unwrap()).is_err());
    let own = USER.replacen("pypi-", "my_registry-", 1);
    assert!(read("my_registry", &own).unwrap().verify(&key()).is_ok());
}

/// Each of these verifies with pymacaroons 0.13.0.
#[test]
fn a_token_has_one_text() {
    assert!(USER.ends_with('w'));
    for last in "xyz0123456789-_".chars() {
        let changed = format!("{}{last}", &USER[..USER.len() - 1]);
        assert!(read("pypi", &changed).is_err(), "unused bits: {last}");
    }
    for token in VECTORS {
        for ending in ["=", "==", "A", "AAAA", "\n", " "] {
            assert!(
                read("pypi", &format!("{token}{ending}")).is_err(),
                "{ending:?}"
            );
        }
        let mut longer = packet(token);
        longer.push(0);
        assert!(
            read("pypi", &text(&longer)).is_err(),
            "a byte after the signature"
        );
    }
    let standard = PROJECT.replacen('-', "+", 2).replacen('+', "-", 1);
    assert_ne!(standard, PROJECT);
    assert!(read("pypi", &standard).is_err(), "the standard alphabet");
    assert!(
        read("pypi", &USER.replacen('_', "/", 1)).is_err(),
        "the standard alphabet"
    );
}

#[test]
fn other_formats_are_refused_before_anything_parses_them() {
    // V1: a packet is four hex digits of length, name, space, value, line feed. Its reader
    // recurses once per packet, so many small ones would end the process.
    let v1 = "000flocation x\n".repeat(10_000);
    assert!(read("pypi", &text(v1.as_bytes())).is_err());
    assert!(read("pypi", &text(&v1.as_bytes()[..3000])).is_err());
    assert!(read("pypi", &text(br#"{"v":2,"i":"a","s64":"AAAA"}"#)).is_err());
    assert!(read("pypi", r#"pypi-{"v":2,"i":"a"}"#).is_err());
    for token in [
        "", "pypi", "pypi-", "pypi--", "pypi-A", "pypi-Ag", "-", "pypi-AgE",
    ] {
        assert!(read("pypi", token).is_err(), "{token}");
    }
}

/// A length can be written with more groups of bits than it needs, which gives another text.
#[test]
fn a_length_has_one_spelling() {
    let packet = packet(USER);
    let at = location_of(&packet).start - 1;
    let spelled = |length: &[u8]| text(&[&packet[..at], length, &packet[at + 1..]].concat());
    let length = packet[at];
    assert_eq!(spelled(&[length]), USER);
    for padded in [
        &[length | 128, 0][..],
        &[length | 128, 128, 0],
        &[length | 128, 128, 128, 128, 128, 128, 128, 128, 128, 0],
        &[255; 12],
    ] {
        assert!(read("pypi", &spelled(padded)).is_err(), "{padded:?}");
    }
    let long = mint("pypi", "x", TokenId::new(), &key(), &["b".repeat(200)]);
    assert!(verify(long.expose()).is_some(), "a length of two groups");
}

#[test]
fn a_token_beyond_the_length_limit_is_refused() {
    let caveat = |length| format!("[1,[\"{}\"]]", "a".repeat(length));
    let token = mint("pypi", "x", TokenId::new(), &key(), &[caveat(7000)]);
    assert!(token.expose().len() > MAX_LENGTH && read("pypi", token.expose()).is_err());
    let token = mint("pypi", "x", TokenId::new(), &key(), &[caveat(5000)]);
    assert!(
        verify(token.expose()).is_some(),
        "fields of more than 127 bytes are read back"
    );
}

#[test]
fn third_party_caveats_and_caveats_with_a_location_are_refused() {
    let head = |rest: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = vec![VERSION];
        write_field(&mut bytes, IDENTIFIER, ID.as_bytes());
        bytes.push(END);
        rest(&mut bytes);
        bytes.extend([END, END]);
        let signature = sign(&key(), ID.as_bytes(), std::iter::once(&b"[]"[..]));
        write_field(&mut bytes, SIGNATURE, &signature);
        text(&bytes)
    };
    let first_party = head(&|bytes| write_field(bytes, IDENTIFIER, b"[]"));
    assert!(
        verify(&first_party).is_some(),
        "the location of the token itself is optional"
    );
    let with_location = head(&|bytes| {
        write_field(bytes, LOCATION, b"x");
        write_field(bytes, IDENTIFIER, b"[]");
    });
    assert!(read("pypi", &with_location).is_err());
    let third_party = head(&|bytes| {
        write_field(bytes, LOCATION, b"x");
        write_field(bytes, IDENTIFIER, b"[]");
        write_field(bytes, 4, b"verifier");
    });
    assert!(read("pypi", &third_party).is_err());
}

#[test]
fn an_identifier_that_is_not_the_canonical_text_of_a_token_is_refused() {
    for identifier in [
        &b"alice"[..],
        b"00000000000040008000000000000001",
        b"{00000000-0000-4000-8000-000000000001}",
        b"\xff\xfe",
    ] {
        let mut bytes = vec![VERSION];
        write_field(&mut bytes, IDENTIFIER, identifier);
        bytes.extend([END, END]);
        write_field(
            &mut bytes,
            SIGNATURE,
            &sign(&key(), identifier, std::iter::empty()),
        );
        assert!(read("pypi", &text(&bytes)).is_err());
    }
}

#[test]
fn debug_shows_no_signature_and_no_key() {
    let token = read("pypi", USER).unwrap();
    let signature = format!("{:?}", token.signature);
    assert!(
        !signature.contains("128") && !format!("{:?}", key()).contains("31"),
        "{signature}"
    );
}

/// The bytes of the location, the only ones that no signature covers.
fn location_of(packet: &[u8]) -> std::ops::Range<usize> {
    3..3 + usize::from(packet[2])
}

fn holders_caveat() -> impl Strategy<Value = Caveat> {
    let names = || proptest::collection::vec("foo-bar|baz|[ab]", 0..3);
    prop_oneof![
        (any::<i64>(), any::<i64>()).prop_map(|(expires_at, not_before)| Caveat::Expiration {
            expires_at,
            not_before
        }),
        names().prop_map(Caveat::ProjectNames),
        names().prop_map(Caveat::ProjectIds),
        Just(user()),
        Just(Caveat::LegacyUser),
        "[ab]".prop_map(|id| Caveat::Publisher { id }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_minted_verifies_and_reads_back(
        bytes: [u8; 32], location in "[a-z.]{1,40}", caveats in proptest::collection::vec("[ -~]{0,200}", 0..5),
    ) {
        let key = Secret::new(bytes);
        let id = TokenId::new();
        let token = mint("pypi", &location, id, &key, &caveats);
        let verified = read("pypi", token.expose()).unwrap().verify(&key).unwrap();
        prop_assert_eq!(verified.id(), id);
        let read: Vec<_> = verified.caveats.iter().map(|caveat| String::from_utf8(caveat.clone()).unwrap()).collect();
        prop_assert_eq!(read, caveats);
    }

    #[test]
    fn no_change_of_a_bit_verifies(vector in 0..4_usize, position: prop::sample::Index, bit in 0..8_u8) {
        let mut changed = packet(VECTORS[vector]);
        let position = position.index(changed.len());
        changed[position] ^= 1 << bit;
        prop_assume!(!location_of(&packet(VECTORS[vector])).contains(&position));
        prop_assert!(verify(&text(&changed)).is_none());
    }

    #[test]
    fn no_change_of_a_character_verifies(vector in 0..4_usize, position: prop::sample::Index, character in "[A-Za-z0-9_+/= -]") {
        let original = VECTORS[vector];
        let position = position.index(original.len());
        let mut changed = original.to_owned();
        changed.replace_range(position..=position, &character);
        // "pypi-", the version and the location's tag and length end before the location.
        let is_location = (9..5 + 15).contains(&position);
        prop_assume!(changed != original && !is_location);
        prop_assert!(verify(&changed).is_none());
    }

    #[test]
    fn no_cut_insertion_or_splice_verifies(vector in 0..4_usize, other in 0..4_usize, from: prop::sample::Index, to: prop::sample::Index, inserted in proptest::collection::vec(any::<u8>(), 0..4)) {
        let (one, two) = (packet(VECTORS[vector]), packet(VECTORS[other]));
        let location = location_of(&one);
        let cut = location.end + from.index(one.len() - location.end);
        let mut changed = one[..cut].to_vec();
        changed.extend(inserted);
        changed.extend(&two[to.index(two.len())..]);
        prop_assume!(VECTORS.iter().all(|vector| packet(vector) != changed));
        prop_assert!(verify(&text(&changed)).is_none());
    }

    #[test]
    fn attenuation_only_adds(caveats in proptest::collection::vec("[ -~]{1,40}", 0..6)) {
        let attenuated = caveats.iter().fold(USER.to_owned(), |token, caveat| attenuate(&token, caveat));
        let verified = verify(&attenuated).unwrap();
        let original = verify(USER).unwrap();
        prop_assert_eq!(&verified.caveats[..1], &original.caveats[..]);
        prop_assert_eq!(verified.caveats.len(), 1 + caveats.len());
    }

    /// Whatever a holder adds, and whether or not the row has a record, the token remains what the
    /// registry minted.
    #[test]
    fn no_holder_changes_what_a_token_was_minted_as(vector in 0..4_usize, caveats in proptest::collection::vec(holders_caveat(), 0..6), with_record: bool) {
        let minted = verify(VECTORS[vector]).unwrap();
        let stored: Vec<String> = match with_record {
            true => minted.caveats.iter().map(|caveat| String::from_utf8(caveat.clone()).unwrap()).collect(),
            false => Vec::new(),
        };
        let before = minted.caveats(&stored).unwrap();
        let attenuated = caveats.iter().fold(VECTORS[vector].to_owned(), |token, caveat| attenuate(&token, &caveat.to_json()));
        let after = verify(&attenuated).unwrap().caveats(&stored).unwrap();
        prop_assert_eq!(&after.minted, &before.minted);
        for caveat in before.added.iter().chain(&caveats) {
            prop_assert!(after.minted.contains(caveat) || after.added.contains(caveat), "{:?} does not hold", caveat);
        }
    }

    /// A holder who adds a caveat can neither remove it again nor sign in front of it.
    #[test]
    fn a_caveat_cannot_be_taken_off(kept in 0..3_usize, caveat in "[ -~]{1,40}") {
        let attenuated = packet(&attenuate(ATTENUATED, &caveat));
        let signature = &attenuated[attenuated.len() - 32..];
        let identifier = ID.as_bytes();
        let all: Vec<_> = read("pypi", ATTENUATED).unwrap().caveats;
        let mut bytes = vec![VERSION];
        write_field(&mut bytes, IDENTIFIER, identifier);
        bytes.push(END);
        for caveat in &all[..kept] {
            write_field(&mut bytes, IDENTIFIER, caveat);
            bytes.push(END);
        }
        bytes.push(END);
        write_field(&mut bytes, SIGNATURE, signature);
        prop_assert!(verify(&text(&bytes)).is_none());
    }

    #[test]
    fn no_bytes_panic_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut framed = vec![VERSION];
        framed.extend(&bytes);
        let _ = read("pypi", &text(&bytes));
        let _ = read("pypi", &text(&framed));
    }

    #[test]
    fn no_text_panics_the_reader(text in any::<String>()) {
        let _ = read("pypi", &text);
        let _ = read("pypi", &format!("pypi-{text}"));
    }
}
