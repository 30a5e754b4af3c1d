use std::io::Cursor;

use proptest::prelude::*;

use super::*;
use crate::archive::samples::zip;

mod large;
mod zip64;

fn why(bytes: Vec<u8>) -> String {
    ZipFrame::open(Cursor::new(bytes))
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default()
}

fn find(bytes: &[u8], signature: u32) -> usize {
    bytes
        .windows(4)
        .position(|window| window == signature.to_le_bytes())
        .unwrap()
}

#[test]
fn an_ordinary_archive_reads_back() {
    let mut frame = ZipFrame::open(Cursor::new(zip(&[
        ("a.txt", b"one"),
        ("b/c.txt", &[b'x'; 5000]),
    ])))
    .unwrap();
    assert_eq!(
        frame
            .entries
            .iter()
            .map(|entry| entry.name.as_str())
            .collect::<Vec<_>>(),
        ["a.txt", "b/c.txt"]
    );
    assert_eq!(frame.read(0, 10).unwrap(), b"one");
    assert_eq!(frame.read(1, 5000).unwrap(), vec![b'x'; 5000]);
    assert!(frame.read(1, 4999).is_err());
}

#[test]
fn names_are_bounded_together() {
    let names: Vec<String> = (0..34_000)
        .map(|number| format!("{number}/{}", "n".repeat(1000)))
        .collect();
    let entries: Vec<(&str, &[u8])> = names
        .iter()
        .map(|name| (name.as_str(), b"".as_slice()))
        .collect();
    assert_eq!(why(zip(&entries[..1000])), "");
    assert!(why(zip(&entries)).contains("longer than 32 MiB together"));
}

#[test]
fn nothing_may_lie_before_between_or_behind_the_entries() {
    let plain = zip(&[("a", b"one"), ("b", b"two")]);
    assert!(
        why([b"#!/bin/sh\n".as_slice(), &plain].concat()).contains("not where its end record says")
    );
    assert!(why([plain.as_slice(), b"more"].concat()).contains("something follows it"));
    let mut between = plain.clone();
    let directory = find(&between, CENTRAL);
    between.splice(directory..directory, *b"gap!");
    let end = find(&between, END);
    let moved = u32_at(&between, end + 16) + 4;
    between[end + 16..end + 20].copy_from_slice(&moved.to_le_bytes());
    assert!(why(between).contains("bytes that belong to no entry"));
}

#[test]
fn the_two_lists_must_agree() {
    let mut renamed = zip(&[("a", b"one")]);
    renamed[30] = b'z';
    assert!(why(renamed).contains("differ in the name of 'a'"));
    let mut resized = zip(&[("a", b"one")]);
    resized[22] ^= 1;
    assert!(why(resized).contains("differ in the sizes"));
}

#[test]
fn an_entry_listed_twice_is_refused() {
    let plain = zip(&[("a", b"one"), ("b", b"two")]);
    let doubled: Vec<u8> = {
        let mut bytes = plain;
        for at in (0..bytes.len() - 1)
            .filter(|&at| bytes[at] == b'b')
            .collect::<Vec<_>>()
        {
            bytes[at] = b'a';
        }
        bytes
    };
    assert!(why(doubled).contains("two entries named 'a'"));
}

#[test]
fn content_that_does_not_match_its_checksum_is_refused() {
    let mut bytes = zip(&[("a", b"one")]);
    let at = find(&bytes, CENTRAL);
    // Changed in both lists alike: only reading the content can reveal it.
    bytes[14] ^= 1;
    bytes[at + 16] ^= 1;
    assert!(why(bytes).contains("does not match its size or checksum"));
}

#[test]
fn encryption_odd_compression_and_links_are_refused() {
    let patched = |offset: usize, value: &[u8]| {
        let mut bytes = zip(&[("a", b"one")]);
        let at = find(&bytes, CENTRAL);
        bytes[at + offset..at + offset + value.len()].copy_from_slice(value);
        why(bytes)
    };
    assert!(patched(8, &1u16.to_le_bytes()).contains("is encrypted or uses a feature"));
    assert!(patched(10, &14u16.to_le_bytes()).contains("compressed by method 14"));
    assert!(patched(38, &(0o120_777u32 << 16).to_le_bytes()).contains("symbolic link"));
    assert!(
        patched(24, &u32::MAX.to_le_bytes())
            .contains("The ZIP64 field of 'a' does not say what its header says")
    );
}

#[test]
fn a_bomb_is_refused_before_it_is_unpacked() {
    let zeros = vec![0u8; 70 << 20];
    assert!(why(zip(&[("a", &zeros)])).contains("looks like a bomb"));
}

/// An entry written by hand, since no library writes invalid entries.
#[derive(Clone)]
struct Raw {
    name: &'static str,
    content: Vec<u8>,
    /// The bytes in the archive, if they differ from the content.
    packed: Option<Vec<u8>>,
    flags: u16,
    local_flags: Option<u16>,
    extra: Vec<u8>,
    local_extra: Vec<u8>,
    comment: Vec<u8>,
    mode: u32,
    descriptor: Vec<u8>,
}

fn raw(name: &'static str, content: &[u8]) -> Raw {
    Raw {
        name,
        content: content.to_vec(),
        packed: None,
        flags: 0,
        local_flags: None,
        extra: Vec::new(),
        local_extra: Vec::new(),
        comment: Vec::new(),
        mode: 0o100_644,
        descriptor: Vec::new(),
    }
}

impl Raw {
    fn packed(&self) -> &[u8] {
        self.packed.as_deref().unwrap_or(&self.content)
    }

    fn sums(&self) -> [u32; 3] {
        let mut crc = Crc::new();
        crc.update(&self.content);
        [
            crc.sum(),
            self.packed().len() as u32,
            self.content.len() as u32,
        ]
    }

    fn method(&self) -> u16 {
        if self.packed.is_some() { 8 } else { 0 }
    }

    fn local(&self) -> Vec<u8> {
        let flags = self.local_flags.unwrap_or(self.flags);
        let mut out = shorts(&[0x4b50, 0x0403, 20, flags, self.method(), 0, 33]);
        let sums = if self.descriptor.is_empty() {
            self.sums()
        } else {
            [0; 3]
        };
        out.extend(sums.iter().flat_map(|sum| sum.to_le_bytes()));
        out.extend(shorts(&[
            self.name.len() as u16,
            self.local_extra.len() as u16,
        ]));
        [
            &out,
            self.name.as_bytes(),
            &self.local_extra,
            self.packed(),
            &self.descriptor,
        ]
        .concat()
    }

    fn central(&self, offset: usize) -> Vec<u8> {
        let mut out = shorts(&[0x4b50, 0x0201, 0x0314, 20, self.flags, self.method(), 0, 33]);
        out.extend(self.sums().iter().flat_map(|sum| sum.to_le_bytes()));
        out.extend(shorts(&[
            self.name.len() as u16,
            self.extra.len() as u16,
            self.comment.len() as u16,
            0,
            0,
        ]));
        out.extend((self.mode << 16).to_le_bytes());
        out.extend((offset as u32).to_le_bytes());
        [&out, self.name.as_bytes(), &self.extra, &self.comment].concat()
    }
}

fn shorts(values: &[u16]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

fn end_of(count: usize, size: usize, offset: usize) -> Vec<u8> {
    let mut out = shorts(&[0x4b50, 0x0605, 0, 0, count as u16, count as u16]);
    out.extend((size as u32).to_le_bytes());
    out.extend((offset as u32).to_le_bytes());
    out.extend(shorts(&[0]));
    out
}

fn archive(entries: &[Raw]) -> Vec<u8> {
    let (mut locals, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        directory.extend(entry.central(locals.len()));
        locals.extend(entry.local());
    }
    let end = end_of(entries.len(), directory.len(), locals.len());
    [locals, directory, end].concat()
}

fn field(id: u16, content: &[u8]) -> Vec<u8> {
    [shorts(&[id, content.len() as u16]), content.to_vec()].concat()
}

fn deflated(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn with_descriptor(mut entry: Raw) -> Raw {
    entry.flags |= FLAG_DESCRIPTOR;
    entry.descriptor = [
        DESCRIPTOR.to_le_bytes().to_vec(),
        entry
            .sums()
            .iter()
            .flat_map(|sum| sum.to_le_bytes())
            .collect(),
    ]
    .concat();
    entry
}

#[test]
fn what_build_tools_write_is_accepted() {
    let times = Raw {
        extra: field(0x5455, &[1, 0, 0, 0, 0]),
        local_extra: field(0x5455, &[3, 0, 0, 0, 0, 0, 0, 0, 0]),
        ..raw("a", b"one")
    };
    let jar = Raw {
        extra: field(0xcafe, b""),
        local_extra: field(0xcafe, b""),
        ..raw("b", b"")
    };
    let named = Raw {
        flags: FLAG_UTF8,
        ..raw("\u{e4}", b"x")
    };
    let folder = Raw {
        mode: 0o040_755,
        ..raw("d/", b"")
    };
    let streamed = with_descriptor(Raw {
        packed: Some(deflated(b"hello")),
        ..raw("d/e", b"hello")
    });
    assert_eq!(why(archive(&[times, jar, named, folder, streamed])), "");
}

/// Python's reader looks for the ZIP64 locator before the end record, and trusts it.
#[test]
fn no_second_directory_hides_in_a_comment() {
    let hidden = raw("a", b"evil").local();
    let carrier = raw("data", &hidden);
    let locals = [raw("a", b"good").local(), carrier.local()].concat();
    let hidden_at = locals.len() - hidden.len();
    let first = raw("a", b"good").central(0);
    let carrier_at = raw("a", b"good").local().len();
    let start = locals.len();
    let second = raw("a", b"evil").central(hidden_at);
    let second_at = start + first.len() + carrier.central(carrier_at).len();
    let mut record = [
        0x0606_4b50u32.to_le_bytes().to_vec(),
        44u64.to_le_bytes().to_vec(),
        shorts(&[45, 45, 0, 0, 0, 0]),
    ]
    .concat();
    for number in [1, 1, second.len() as u64, second_at as u64] {
        record.extend(number.to_le_bytes());
    }
    let mut locator = [0x0706_4b50u32.to_le_bytes(), [0; 4]].concat();
    locator.extend(((second_at + second.len()) as u64).to_le_bytes());
    locator.extend(1u32.to_le_bytes());
    // At the very end of the directory, and a byte before it, where only some readers look.
    for (behind, part) in [
        (b"".as_slice(), "end record and its ZIP64 end record differ"),
        (
            b".",
            "what another reader takes for its end, or for that of ZIP64",
        ),
    ] {
        let comment = [second.as_slice(), &record, &locator, behind].concat();
        let last = Raw {
            comment,
            ..carrier.clone()
        }
        .central(carrier_at);
        let directory = [first.as_slice(), &last].concat();
        let end = end_of(2, directory.len(), start);
        let refused = why([locals.as_slice(), &directory, &end].concat());
        assert!(refused.contains(part), "{refused}");
    }
}

#[test]
fn comments_are_refused() {
    assert!(
        why(archive(&[Raw {
            comment: b"hello".to_vec(),
            ..raw("a", b"one")
        }]))
        .contains("'a' has a comment")
    );
    let mut commented = archive(&[raw("a", b"one")]);
    let at = commented.len() - 2;
    commented[at] = 2;
    commented.extend(b"hi");
    assert!(why(commented).contains("something follows it"));
}

/// Both headers of an entry with one extra field, one after the other.
fn with_extra(extra: &[u8]) -> [String; 2] {
    let central = Raw {
        extra: extra.to_vec(),
        ..raw("a", b"one")
    };
    let local = Raw {
        local_extra: extra.to_vec(),
        ..raw("a", b"one")
    };
    [why(archive(&[central])), why(archive(&[local]))]
}

/// A Unicode field: version, checksum of the plain text, text.
fn unicode(plain: &[u8], text: &str) -> Vec<u8> {
    let mut crc = Crc::new();
    crc.update(plain);
    [&[1], crc.sum().to_le_bytes().as_slice(), text.as_bytes()].concat()
}

#[test]
fn times_owners_alignment_and_padding_are_accepted_whoever_wrote_them() {
    for (id, content) in [
        (0x5455, [3; 13].as_slice()), // times on Unix, also longer or shorter than usual
        (0x5455, &[0; 40]),
        (0x5855, &[0; 12]), // times and owner, old
        (0x7855, &[0; 4]),  // owner
        (0x7875, &[1, 4, 0, 0, 0, 0, 4, 0, 0, 0, 0]),
        (0x000a, &[0; 32]),      // times on Windows
        (0x000d, &[0; 12]),      // PKWARE's for Unix
        (0x4453, &[0; 9]),       // an access list on Windows
        (0xcafe, b""),           // the mark of JAR tools
        (0xd935, &[4, 0, 0, 0]), // alignment, on Android
        (0xa11e, &[0; 6]),       // alignment
        (0xa220, &[0; 20]),      // room to grow
        (0x0000, &[0; 7]),       // padding
        (0xbeef, b"whatever"),
    ] {
        assert_eq!(with_extra(&field(id, content)), ["", ""], "{id:x}");
    }
    assert_eq!(
        with_extra(&[0; 3]),
        ["", ""],
        "fewer zeros than a field has"
    );
    assert_eq!(with_extra(&[0; 15]), ["", ""]);
    assert_eq!(
        with_extra(&[field(0xcafe, b""), field(0xcafe, b"")].concat()),
        ["", ""]
    );
}

#[test]
fn extra_fields_that_rename_resize_or_encrypt_are_refused() {
    let not_a_name = unicode(b"a", "evil.py");
    for (id, content) in [
        (0x7075, not_a_name.as_slice()),
        (0x7075, &unicode(b"b", "a")),
        (0x7075, b""),
        (0x6375, &unicode(b"", "comment")),
        (0x0008, b"name"),
        (0x000d, &[0; 13]), // and what a link leads to
        (0x000f, b"patch"),
        (0x0017, b"key"),
        (0x2605, b"name"),
        (0x554e, b"name"),
        (0x756e, &[0; 14]), // a mode, and what a link leads to
        (0x9901, b"AE"),
    ] {
        for refused in with_extra(&field(id, content)) {
            assert!(
                refused.contains(&format!("extra field (0x{id:04x})")),
                "{id:x}: {refused}"
            );
        }
    }
    for damaged in [
        vec![0, 0, 1],
        field(0x5455, &[0; 9])[..10].to_vec(),
        vec![1; 3],
    ] {
        assert!(
            with_extra(&damaged)[0].contains("damaged extra field"),
            "{damaged:?}"
        );
    }
}

#[test]
fn a_unicode_field_that_says_what_the_header_says_is_accepted() {
    assert_eq!(with_extra(&field(0x7075, &unicode(b"a", "a"))), ["", ""]);
    assert_eq!(with_extra(&field(0x6375, &unicode(b"", ""))), ["", ""]);
}

#[test]
fn names_that_readers_spell_differently_are_refused() {
    assert!(why(archive(&[raw("\u{e4}", b"x")])).contains("without saying that it is UTF-8"));
    for name in ["./a", "a//b", "a/./b", "a\\b", "a\0b", "../a", "/a"] {
        assert!(!why(archive(&[raw(name, b"x")])).is_empty(), "{name:?}");
    }
    assert!(why(archive(&[raw("a", b"x"), raw("a/", b"")])).contains("two entries named 'a'"));
    assert!(
        why(archive(&[
            raw("a/b", b"x"),
            raw("a-b", b"x"),
            raw("a", b"x")
        ]))
        .contains("'a' is a file and a folder")
    );
    assert!(why(archive(&[raw("a/", b"x")])).contains("folder 'a' has content"));
}

#[test]
fn flags_must_agree_and_be_known() {
    assert!(
        why(archive(&[Raw {
            local_flags: Some(FLAG_UTF8),
            ..raw("a", b"one")
        }]))
        .contains("differ in the method or flags")
    );
    for bit in [0, 4, 5, 6, 13] {
        assert!(
            why(archive(&[Raw {
                flags: 1 << bit,
                ..raw("a", b"one")
            }]))
            .contains("encrypted or uses a feature"),
            "{bit}"
        );
    }
    assert!(
        why(archive(&[Raw {
            mode: 0o010_644,
            ..raw("a", b"one")
        }]))
        .contains("neither a file nor a folder")
    );
}

/// A streaming reader continues where the compressed data ends, others where the lists say.
#[test]
fn compressed_data_ends_where_its_entry_does() {
    let behind = [deflated(b"hello"), raw("evil", b"x").local()].concat();
    assert!(
        why(archive(&[Raw {
            packed: Some(behind.clone()),
            ..raw("a", b"hello")
        }]))
        .contains("does not match")
    );
    assert!(
        why(archive(&[with_descriptor(Raw {
            packed: Some(behind),
            ..raw("a", b"hello")
        })]))
        .contains("does not match")
    );
    // More comes out than the lists say: some readers stop there, some do not.
    assert!(
        why(archive(&[Raw {
            packed: Some(deflated(b"hello and more")),
            ..raw("a", b"hello")
        }]))
        .contains("does not match")
    );
    assert!(
        why(archive(&[with_descriptor(raw("a", b"one"))]))
            .contains("neither compressed nor told its size")
    );
}

#[test]
fn a_data_descriptor_is_whole_and_true() {
    let entry = with_descriptor(Raw {
        packed: Some(deflated(b"hello")),
        ..raw("a", b"hello")
    });
    let short = Raw {
        descriptor: entry.descriptor[4..].to_vec(),
        ..entry.clone()
    };
    assert!(why(archive(&[short])).contains("data descriptor"));
    let mut lying = entry;
    lying.descriptor[12] ^= 1;
    assert!(why(archive(&[lying])).contains("data descriptor"));
}

#[test]
fn overlapping_entries_are_refused() {
    let (first, second) = (raw("a", b"one"), raw("b", b"two"));
    let locals = [first.local(), second.local()].concat();
    let directory = [first.central(0), second.central(0)].concat();
    let end = end_of(2, directory.len(), locals.len());
    assert!(!why([locals, directory, end].concat()).is_empty());
}

proptest! {
    #[test]
    fn no_bytes_panic_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = ZipFrame::open(Cursor::new(bytes));
    }

    #[test]
    fn no_damage_panics_the_reader(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = zip(&[("a", b"one"), ("dir/b", &[7; 300])]);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(mut frame) = ZipFrame::open(Cursor::new(bytes)) {
            for index in 0..frame.entries.len() {
                let _ = frame.read(index, 1000);
            }
        }
    }
}
