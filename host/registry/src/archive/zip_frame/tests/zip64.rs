//! ZIP64 that agrees with the plain records is read, and its contradicting twin is refused.

use super::*;

/// The largest value of a plain field: the number is in ZIP64.
const ELSEWHERE: u32 = u32::MAX;

fn numbers(values: &[u64]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// An archive of one entry of three bytes, after a change to the plain sizes of one header
/// (packed, unpacked) and with an extra field there.
fn one(in_central: bool, sizes: [u32; 2], content: &[u8]) -> String {
    let extra = field(1, content);
    let entry = match in_central {
        true => Raw {
            extra,
            ..raw("a", b"one")
        },
        false => Raw {
            local_extra: extra,
            ..raw("a", b"one")
        },
    };
    let mut bytes = archive(&[entry]);
    let at = if in_central {
        find(&bytes, CENTRAL) + 20
    } else {
        18
    };
    bytes[at..at + 4].copy_from_slice(&sizes[0].to_le_bytes());
    bytes[at + 4..at + 8].copy_from_slice(&sizes[1].to_le_bytes());
    why(bytes)
}

#[test]
fn fields_that_say_what_the_header_says_are_accepted() {
    for in_central in [true, false] {
        for (sizes, content) in [
            ([3, 3], numbers(&[])),
            // Every number in its place, though none is needed.
            ([3, 3], numbers(&[3])),
            ([3, 3], numbers(&[3, 3])),
            ([3, 3], numbers(&[3, 3, 0])),
            ([3, 3], [numbers(&[3, 3, 0]), vec![0; 4]].concat()),
            // Exactly the missing numbers.
            ([ELSEWHERE, ELSEWHERE], numbers(&[3, 3])),
            ([ELSEWHERE, 3], numbers(&[3])),
            ([3, ELSEWHERE], numbers(&[3])),
        ] {
            assert_eq!(
                one(in_central, sizes, &content),
                "",
                "{in_central} {sizes:?} {content:?}"
            );
        }
    }
}

#[test]
fn fields_that_contradict_the_header_are_refused() {
    for in_central in [true, false] {
        for (sizes, content) in [
            ([3, 3], numbers(&[4])),
            ([3, 3], numbers(&[3, 4])),
            ([3, 3], numbers(&[3, 3, 7])),
            ([3, 3], [numbers(&[3, 3, 0]), vec![1, 0, 0, 0]].concat()),
            ([3, 3], vec![3, 0, 0, 0]),
            ([3, 3], numbers(&[3, 3, 0, 0])),
            ([ELSEWHERE, ELSEWHERE], numbers(&[3])),
            ([ELSEWHERE, ELSEWHERE], numbers(&[])),
            // By the format the first number is the packed size, by its position the other one.
            ([ELSEWHERE, 3], numbers(&[3, 4])),
        ] {
            let refused = one(in_central, sizes, &content);
            assert!(
                refused.contains("The ZIP64 field of 'a' does not say what its header says"),
                "{in_central} {sizes:?} {content:?}: {refused}"
            );
        }
        // Complete but wrong: the two lists differ.
        assert!(!one(in_central, [ELSEWHERE, ELSEWHERE], &numbers(&[4, 3])).is_empty());
        let twice = [field(1, &numbers(&[3, 3])), field(1, &numbers(&[3, 3]))].concat();
        assert!(
            with_extra(&twice)
                .iter()
                .all(|refused| refused.contains("extra field (0x0001)"))
        );
    }
}

#[test]
fn a_wide_data_descriptor_follows_a_wide_header_only() {
    let plain = with_descriptor(Raw {
        packed: Some(deflated(b"hello")),
        ..raw("a", b"hello")
    });
    let [crc, packed, unpacked] = plain.sums();
    let wide = [
        DESCRIPTOR.to_le_bytes().to_vec(),
        crc.to_le_bytes().to_vec(),
        numbers(&[packed.into(), unpacked.into()]),
    ]
    .concat();
    let zeros = field(1, &numbers(&[0, 0]));
    assert_eq!(
        why(archive(&[Raw {
            local_extra: zeros.clone(),
            descriptor: wide.clone(),
            ..plain.clone()
        }])),
        ""
    );
    assert!(
        why(archive(&[Raw {
            local_extra: zeros.clone(),
            ..plain.clone()
        }]))
        .contains("data descriptor")
    );
    assert!(
        why(archive(&[Raw {
            descriptor: wide.clone(),
            ..plain.clone()
        }]))
        .contains("data descriptor")
    );
    let mut lying = wide;
    lying[16] ^= 1;
    assert!(
        why(archive(&[Raw {
            local_extra: zeros,
            descriptor: lying,
            ..plain
        }]))
        .contains("data descriptor")
    );
}

/// An archive of two entries with end records of ZIP64: the numbers of the ZIP64 record
/// (here, total, size, offset) and of the plain one, changed.
fn ends(change: impl FnOnce(&mut [u64; 4], &mut [u64; 4])) -> (Vec<u8>, usize) {
    let entries = [raw("a", b"one"), raw("b", b"two")];
    let mut bytes = archive(&entries);
    let end_at = bytes.len() - END_BYTES;
    let size = (end_at - u32_at(&bytes, end_at + 16) as usize) as u64;
    bytes.truncate(end_at);
    let mut wide = [2, 2, size, end_at as u64 - size];
    let mut plain = wide;
    change(&mut wide, &mut plain);
    bytes.extend(
        [
            RECORD.to_le_bytes().to_vec(),
            numbers(&[44]),
            shorts(&[45, 45, 0, 0, 0, 0]),
            numbers(&wide),
        ]
        .concat(),
    );
    bytes.extend(
        [
            LOCATOR.to_le_bytes().to_vec(),
            vec![0; 4],
            numbers(&[end_at as u64]),
            1u32.to_le_bytes().to_vec(),
        ]
        .concat(),
    );
    let mut end = end_of(0, plain[2] as usize, plain[3] as usize);
    end[8..10].copy_from_slice(&(plain[0] as u16).to_le_bytes());
    end[10..12].copy_from_slice(&(plain[1] as u16).to_le_bytes());
    bytes.extend(end);
    (bytes, end_at)
}

const RECORD: u32 = crate::archive::zip_frame::zip64::RECORD;
const LOCATOR: u32 = crate::archive::zip_frame::zip64::LOCATOR;

#[test]
fn end_records_that_say_the_same_are_accepted() {
    assert_eq!(why(ends(|_, _| {}).0), "");
    assert_eq!(
        why(ends(|_, plain| *plain = [0xffff, 0xffff, 0xffff_ffff, 0xffff_ffff]).0),
        ""
    );
    assert_eq!(why(ends(|_, plain| plain[3] = 0xffff_ffff).0), "");
}

#[test]
fn end_records_that_differ_are_refused() {
    for at in 0..4 {
        let differ = |refused: String| {
            assert!(
                refused.contains("end record and its ZIP64 end record differ"),
                "{at}: {refused}"
            )
        };
        differ(why(ends(|_, plain| plain[at] += 1).0));
        differ(why(ends(|wide, _| wide[at] += 1).0));
        // Both lie.
        assert!(
            !why(ends(|wide, plain| (wide[at], plain[at]) = (wide[at] + 1, plain[at] + 1)).0)
                .is_empty()
        );
    }
    let patched = |from_record: usize, value: u8| {
        let (mut bytes, record_at) = ends(|_, _| {});
        bytes[record_at + from_record] = value;
        why(bytes)
    };
    // A record that is longer, or on another disk; a locator with a wrong offset, or of many disks.
    for (at, value) in [
        (4, 45),
        (16, 1),
        (20, 1),
        (56 + 4, 1),
        (56 + 8, 1),
        (56 + 16, 2),
    ] {
        assert!(
            patched(at, value).contains("damaged ZIP64 end record"),
            "{at}"
        );
    }
    assert!(!patched(0, 0).is_empty());
    // Bytes between the directory and the records.
    let (mut bytes, record_at) = ends(|_, _| {});
    bytes.splice(record_at..record_at, *b"gap!");
    assert!(!why(bytes).is_empty());
    // Records without a locator.
    let (mut bytes, record_at) = ends(|_, _| {});
    bytes.drain(record_at + 56..record_at + 76);
    assert!(!why(bytes).is_empty());
}

#[test]
fn an_archive_of_more_than_65535_entries_is_read() {
    const COUNT: usize = 66_000;
    let names: Vec<String> = (0..COUNT).map(|number| format!("d/{number}")).collect();
    let entries: Vec<(&str, &[u8])> = names
        .iter()
        .map(|name| (name.as_str(), b"".as_slice()))
        .collect();
    let bytes = zip(&entries);
    assert!(
        bytes.windows(4).any(|window| u32_at(window, 0) == RECORD),
        "the library writes ZIP64 for so many"
    );
    let frame = ZipFrame::open(Cursor::new(bytes)).unwrap();
    assert_eq!(frame.entries.len(), COUNT);
}
