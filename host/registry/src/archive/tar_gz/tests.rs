use std::io::Cursor;

use proptest::prelude::*;

use super::*;
use crate::archive::samples::{gzip, tar_gz, tar_gz_of};

/// The `PKG-INFO` of an archive.
fn read(bytes: &[u8]) -> Result<Vec<u8>, String> {
    super::read(Cursor::new(bytes), bytes.len() as u64)
        .map(|contents| contents.pkg_info)
        .map_err(|error| error.to_string())
}

fn entry(kind: EntryType, path: &str, link: Option<&str>, content: &[u8]) -> Vec<u8> {
    tar_gz_of(|builder| {
        let mut info = Header::new_ustar();
        info.set_size(1);
        builder
            .append_data(&mut info, "s-1/PKG-INFO", b"x".as_slice())
            .unwrap();
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        // Written by hand: the library refuses to write what we must refuse to read.
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        if let Some(link) = link {
            header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
        }
        header.set_cksum();
        builder.append(&header, content).unwrap();
    })
}

#[test]
fn pkg_info_is_found_in_the_one_folder() {
    assert_eq!(
        read(&tar_gz(&[
            ("s-1/a/PKG-INFO", b"wrong"),
            ("s-1/PKG-INFO", b"right")
        ]))
        .unwrap(),
        b"right"
    );
    assert!(
        read(&tar_gz(&[("s-1/setup.py", b"")]))
            .unwrap_err()
            .contains("PKG-INFO not found at s-1/PKG-INFO")
    );
    assert!(
        read(&tar_gz(&[("s-1/PKG-INFO", b""), ("t/PKG-INFO", b"")]))
            .unwrap_err()
            .contains("top-level folders")
    );
    assert!(read(&tar_gz(&[])).unwrap_err().contains("empty"));
}

#[test]
fn long_names_of_both_kinds_are_read() {
    let long = format!("s-1/{}/PKG-INFO", "d".repeat(300));
    assert_eq!(
        read(&tar_gz_of(|builder| {
            let mut header = Header::new_gnu();
            header.set_size(0);
            builder
                .append_data(&mut header, &long, b"".as_slice())
                .unwrap();
            builder
                .append_pax_extensions([("path", b"s-1/PKG-INFO".as_slice()), ("mtime", b"1.5")])
                .unwrap();
            let mut header = Header::new_ustar();
            header.set_size(2);
            builder
                .append_data(&mut header, "ignored", b"ok".as_slice())
                .unwrap();
        }))
        .unwrap(),
        b"ok"
    );
}

#[test]
fn paths_links_and_kinds_that_are_dangerous_are_refused() {
    for (kind, path, link, part) in [
        (
            EntryType::Regular,
            "../s-1/a",
            None,
            "leads out of the archive",
        ),
        (EntryType::Regular, "/s-1/a", None, "absolute path"),
        (
            EntryType::Symlink,
            "s-1/a",
            Some("../../etc/passwd"),
            "leads out of the archive",
        ),
        (
            EntryType::Symlink,
            "s-1/a",
            Some("/etc/passwd"),
            "leads out of the archive",
        ),
        (
            EntryType::Symlink,
            "s-1/a",
            Some("../other"),
            "leads out of the archive",
        ),
        (
            EntryType::Symlink,
            "s-1/a",
            Some("b/../c"),
            "goes up behind a name, which may be a link itself",
        ),
        (
            EntryType::Symlink,
            "s-1/a",
            Some("b\\c"),
            "has a backslash in its target",
        ),
        (
            EntryType::Symlink,
            "s-1/a",
            Some("b\nc"),
            "has control characters in its target",
        ),
        (EntryType::Symlink, "s-1/a", None, "has no target"),
        (
            EntryType::Link,
            "s-1/a",
            Some("../b"),
            "leads out of the archive",
        ),
        (
            EntryType::Link,
            "s-1/a",
            Some("/etc/passwd"),
            "leads out of the archive",
        ),
        (
            EntryType::Link,
            "s-1/a",
            Some("etc/passwd"),
            "names 'etc/passwd', which is no file of the archive",
        ),
        (
            EntryType::Link,
            "s-1/a",
            Some("s-1/d/../../../b"),
            "leads out of the archive",
        ),
        (
            EntryType::Link,
            "s-1/a",
            Some("s-1/d/../PKG-INFO"),
            "has '..' in its target; name the file by its whole path",
        ),
        (
            EntryType::Link,
            "s-1/a",
            Some("s-1/./b"),
            "names 's-1/./b', which is no file of the archive",
        ),
        (
            EntryType::Link,
            "s-1/a",
            Some("s-1/a"),
            "names 's-1/a', which is no file of the archive",
        ),
        (
            EntryType::Link,
            "s-1/PKG-INFO",
            Some("s-1/a"),
            "two entries",
        ),
        (
            EntryType::Link,
            "s-1/PKG-INFO",
            Some("s-1/PKG-INFO"),
            "leads to itself",
        ),
        (EntryType::Regular, "s-1/a/", None, "folder by its name"),
        (EntryType::Regular, "s-1//PKG-INFO", None, "empty part"),
        (EntryType::Regular, "s-1/./PKG-INFO", None, "empty part"),
        (EntryType::Regular, "./s-1/PKG-INFO", None, "two entries"),
        (EntryType::Regular, "s-1/pkg-info", None, "in other letters"),
        (
            EntryType::Regular,
            "s-1/PKG-INFO.",
            None,
            "in other letters",
        ),
        (
            EntryType::Regular,
            "s-1/PKG-INFO ",
            None,
            "in other letters",
        ),
        (
            EntryType::Regular,
            "s-1/PKG-INFO::$DATA",
            None,
            "in other letters",
        ),
        (
            EntryType::Regular,
            "s-1/PKG\u{200d}-INFO",
            None,
            "in other letters",
        ),
        (
            EntryType::Symlink,
            "s-1/Pkg-Info",
            Some("b"),
            "in other letters",
        ),
        (
            EntryType::Regular,
            "s-1/PKG-INFO/a",
            None,
            "a file and a folder",
        ),
        (
            EntryType::Directory,
            "s-1/PKG-INFO",
            None,
            "a file and a folder",
        ),
        (
            EntryType::Char,
            "s-1/a",
            None,
            "neither a file nor a folder",
        ),
        (
            EntryType::Fifo,
            "s-1/a",
            None,
            "neither a file nor a folder",
        ),
        (EntryType::GNUSparse, "s-1/a", None, "sparse"),
        (EntryType::Regular, "s-1/PKG-INFO", None, "two entries"),
    ] {
        let error = read(&entry(kind, path, link, b"")).unwrap_err();
        assert!(error.contains(part), "{path}: {error}");
    }
    assert!(
        read(&entry(
            EntryType::Symlink,
            "s-1/a/b",
            Some("../PKG-INFO"),
            b""
        ))
        .is_ok()
    );
    for target in [
        "s-1/PKG-INFO",
        "./s-1/PKG-INFO",
        "s-1/./PKG-INFO",
        "s-1//PKG-INFO",
    ] {
        assert_eq!(
            read(&entry(EntryType::Link, "s-1/a/b", Some(target), b"")).err(),
            None,
            "{target}"
        );
    }
    assert!(read(&entry(EntryType::Directory, "s-1/a", None, b"")).is_ok());
}

/// An archive with `PKG-INFO` and these entries: kind, path, content or target.
fn archive_of(entries: &[(EntryType, &str, &str)]) -> Vec<u8> {
    tar_gz_of(|builder| {
        for (kind, path, text) in [(EntryType::Regular, "s-1/PKG-INFO", "x")]
            .iter()
            .chain(entries)
        {
            let mut header = Header::new_gnu();
            header.set_entry_type(*kind);
            if *kind == EntryType::Regular {
                header.set_size(text.len() as u64);
                builder
                    .append_data(&mut header, path, text.as_bytes())
                    .unwrap();
            } else {
                header.set_size(0);
                builder.append_link(&mut header, path, text).unwrap();
            }
        }
    })
}

#[test]
fn the_same_entry_twice_is_one_and_its_twin_that_differs_is_refused() {
    use EntryType::{Link, Regular, Symlink};
    for entry in [
        (Regular, "s-1/a", "same"),
        (Symlink, "s-1/a", "PKG-INFO"),
        (Link, "s-1/a", "s-1/PKG-INFO"),
    ] {
        assert_eq!(
            read(&archive_of(&[entry, entry])).as_deref(),
            Ok(b"x".as_slice()),
            "{entry:?}"
        );
    }
    for (first, second) in [
        ((Regular, "s-1/a", "one"), (Regular, "s-1/a", "two")),
        (
            (Regular, "s-1/a", "one"),
            (Regular, "s-1/a", "one and more"),
        ),
        ((Regular, "s-1/a", ""), (Symlink, "s-1/a", "PKG-INFO")),
        // Writing to a name that is a link writes to its target.
        ((Link, "s-1/a", "s-1/PKG-INFO"), (Regular, "s-1/a", "x")),
        ((Symlink, "s-1/a", "b"), (Symlink, "s-1/a", "c")),
    ] {
        assert!(
            read(&archive_of(&[first, second]))
                .unwrap_err()
                .contains("two entries named 's-1/a' that differ"),
            "{first:?} {second:?}"
        );
    }
    // Not even an identical one.
    assert!(
        read(&archive_of(&[(Regular, "s-1/PKG-INFO", "x")]))
            .unwrap_err()
            .contains("two entries named 's-1/PKG-INFO'")
    );
}

#[test]
fn a_hard_link_is_judged_when_all_was_read() {
    use EntryType::{Link, Regular, Symlink};
    let file = (Regular, "s-1/b", "content");
    assert!(
        read(&archive_of(&[(Link, "s-1/a", "s-1/b"), file])).is_ok(),
        "its file follows"
    );
    assert!(read(&archive_of(&[(Link, "s-1/a", "./s-1/b"), file])).is_ok());
    assert!(
        read(&archive_of(&[
            (Link, "s-1/a", "s-1/c"),
            (Link, "s-1/c", "s-1/b"),
            file
        ]))
        .is_ok(),
        "by way of another"
    );
    for links in [
        [(Link, "s-1/a", "s-1/c"), (Link, "s-1/c", "s-1/a")].as_slice(),
        &[(Link, "s-1/a", "s-1/c"), (Symlink, "s-1/c", "PKG-INFO")],
        &[(Link, "s-1/a", "s-1")],
    ] {
        assert!(
            read(&archive_of(links))
                .unwrap_err()
                .contains("which is no file of the archive"),
            "{links:?}"
        );
    }
}

#[test]
fn nothing_is_written_through_a_link_where_names_have_no_case() {
    use EntryType::{Link, Regular, Symlink};
    for entries in [
        [(Link, "s-1/x", "s-1/PKG-INFO"), (Regular, "s-1/X", "evil")],
        [(Symlink, "s-1/x", "PKG-INFO"), (Regular, "s-1/X", "evil")],
        [(Symlink, "s-1/x", "."), (Regular, "s-1/X/PKG-INFO", "evil")],
        [
            (Symlink, "s-1/a/\u{17f}", "."),
            (Regular, "s-1/A/S/b", "evil"),
        ],
        [
            (Symlink, "s-1/\u{e9}", "PKG-INFO"),
            (Regular, "s-1/e\u{301}", "evil"),
        ],
    ] {
        assert!(
            read(&archive_of(&entries))
                .unwrap_err()
                .contains("but for the case of letters"),
            "{entries:?}"
        );
    }
    for entries in [
        [
            (Symlink, "s-1/readme.md", "README.md"),
            (Regular, "s-1/README.md", "text"),
        ],
        [(Symlink, "s-1/x", "PKG-INFO"), (Regular, "s-1/XY", "text")],
        [(Regular, "s-1/x", "text"), (Regular, "s-1/X", "text")],
    ] {
        assert!(read(&archive_of(&entries)).is_ok(), "{entries:?}");
    }
}

#[test]
fn each_of_many_hard_links_is_followed_once() {
    // One chain of all of them: following it from each link would take the square of their number.
    use EntryType::{Link, Regular};
    const LINKS: usize = 50_000;
    let names: Vec<String> = (0..=LINKS).map(|number| format!("s-1/{number}")).collect();
    let links: Vec<_> = names
        .windows(2)
        .map(|pair| (Link, pair[0].as_str(), pair[1].as_str()))
        .collect();
    let whole = [links.as_slice(), &[(Regular, &names[LINKS], "content")]].concat();
    assert!(read(&archive_of(&whole)).is_ok());
    assert!(
        read(&archive_of(&links))
            .unwrap_err()
            .contains("which is no file of the archive")
    );
}

#[test]
fn names_are_bounded_together() {
    let long = |number: usize| format!("s-1/{number}/{}", "n".repeat(1000));
    let many = |count: usize| {
        tar_gz_of(|builder| {
            let mut info = Header::new_ustar();
            info.set_size(1);
            builder
                .append_data(&mut info, "s-1/PKG-INFO", b"x".as_slice())
                .unwrap();
            for number in 0..count {
                let mut header = Header::new_gnu();
                header.set_size(0);
                header.set_entry_type(EntryType::Symlink);
                builder
                    .append_link(&mut header, long(number), "n".repeat(1000))
                    .unwrap();
            }
        })
    };
    assert!(read(&many(1000)).is_ok());
    assert!(
        read(&many(17_000))
            .unwrap_err()
            .contains("longer than 32 MiB together")
    );
}

#[test]
fn content_of_what_has_none_is_refused() {
    // Some readers skip it, some take it for the next header.
    let hidden = [0u8; BLOCK];
    for (kind, part) in [
        (EntryType::Directory, "folder with content"),
        (EntryType::Symlink, "has content"),
    ] {
        assert!(
            read(&entry(kind, "s-1/a", Some("b"), &hidden))
                .unwrap_err()
                .contains(part)
        );
    }
}

#[test]
fn what_follows_the_first_gzip_member_is_refused() {
    let plain = tar_gz(&[("s-1/PKG-INFO", b"x")]);
    assert!(read(&plain).is_ok());
    for more in [plain.as_slice(), &gzip(&[0; 1024]), b"junk", &[0; 8]] {
        assert!(
            read(&[plain.as_slice(), more].concat())
                .unwrap_err()
                .contains("Something follows")
        );
    }
    let half = tar_of(b"s-1/PKG-INFO");
    assert!(read(&[gzip(&half[..512]), gzip(&half[512..])].concat()).is_err());
}

/// A plain archive of one empty file with a changed header.
fn tar_of(path: &[u8]) -> Vec<u8> {
    tar_with(path, |_| {})
}

fn tar_with(path: &[u8], change: impl FnOnce(&mut Header)) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.set_size(0);
    header.as_mut_bytes()[..path.len()].copy_from_slice(path);
    change(&mut header);
    header.set_cksum();
    [header.as_bytes().to_vec(), vec![0; 1024]].concat()
}

#[test]
fn headers_that_are_read_differently_are_refused() {
    assert!(read(&gzip(&tar_of(b"s-1/PKG-INFO"))).is_ok());
    let with =
        |change: fn(&mut Header)| read(&gzip(&tar_with(b"s-1/PKG-INFO", change))).unwrap_err();
    // GNU's format has no prefix; Python's reader applies one all the same.
    assert!(
        with(|header| header.as_mut_bytes()[345..349].copy_from_slice(b"evil"))
            .contains("read differently")
    );
    assert!(
        with(|header| header.as_mut_bytes()[124..136]
            .copy_from_slice(&[0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]))
        .contains("8 GiB or more")
    );
    assert!(
        with(|header| header.as_mut_bytes()[124..136].copy_from_slice(b"0\x00777777777\x00"))
            .contains("damaged header")
    );
}

#[test]
fn an_entry_has_one_name() {
    let long = |path: &str| {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::GNULongName);
        header.set_size(path.len() as u64);
        header.set_cksum();
        (header, path.as_bytes().to_vec())
    };
    let bytes = tar_gz_of(|builder| {
        let (header, content) = long("s-1/one");
        builder.append(&header, content.as_slice()).unwrap();
        builder
            .append_pax_extensions([("path", b"s-1/PKG-INFO".as_slice())])
            .unwrap();
        let mut header = Header::new_ustar();
        header.set_size(0);
        builder
            .append_data(&mut header, "s-1/two", b"".as_slice())
            .unwrap();
    });
    assert!(read(&bytes).unwrap_err().contains("two different names"));
    assert!(
        read(&pax(&[("path", "s-1/a"), ("path", "s-1/PKG-INFO")]))
            .unwrap_err()
            .contains("two different names")
    );
    assert!(
        read(&pax(&[("linkpath", "a"), ("linkpath", "b")]))
            .unwrap_err()
            .contains("two different targets")
    );
    // Repeated and equal, so unambiguous.
    assert!(read(&pax(&[("path", "s-1/PKG-INFO"), ("path", "s-1/PKG-INFO")])).is_ok());
}

/// An archive of one `PKG-INFO` of three bytes after a PAX header with these records.
fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    tar_gz_of(|builder| {
        builder
            .append_pax_extensions(records.iter().map(|(key, value)| (*key, value.as_bytes())))
            .unwrap();
        let mut header = Header::new_ustar();
        header.set_size(3);
        builder
            .append_data(&mut header, "s-1/PKG-INFO", b"abc".as_slice())
            .unwrap();
    })
}

#[test]
fn pax_headers_that_repeat_the_header_are_accepted_and_others_refused() {
    assert_eq!(
        read(&pax(&[
            ("size", "3"),
            ("path", "s-1/PKG-INFO"),
            ("mtime", "1.5"),
            ("uid", "1000"),
            ("SCHILY.dev", "1")
        ]))
        .unwrap(),
        b"abc"
    );
    assert!(
        read(&pax(&[
            ("size", "003"),
            ("size", "3"),
            ("hdrcharset", "ISO-IR 10646 2000 UTF-8")
        ]))
        .is_ok()
    );
    for size in ["2", "4", "0", "1027", "9999999999"] {
        assert!(
            read(&pax(&[("size", size)]))
                .unwrap_err()
                .contains("gives 's-1/PKG-INFO' two different sizes"),
            "{size}"
        );
    }
    for (records, part) in [
        (
            [("size", "3"), ("size", "4")].as_slice(),
            "two different sizes",
        ),
        (&[("size", "+3")], "damaged PAX header"),
        (&[("size", " 3")], "damaged PAX header"),
        (&[("size", "")], "damaged PAX header"),
        (&[("size", "0x3")], "damaged PAX header"),
        (&[("GNU.sparse.major", "1")], "sparse"),
        (&[("hdrcharset", "BINARY")], "encoding of its own"),
    ] {
        assert!(
            read(&pax(records)).unwrap_err().contains(part),
            "{records:?}"
        );
    }
}

#[test]
fn a_size_is_stated_for_the_next_entry_and_for_no_other_header() {
    // Some readers apply it to the long name that comes next.
    let bytes = tar_gz_of(|builder| {
        builder
            .append_pax_extensions([("size", b"3".as_slice())])
            .unwrap();
        let mut header = Header::new_gnu();
        header.set_size(3);
        builder
            .append_data(
                &mut header,
                format!("s-1/{}", "d".repeat(200)),
                b"abc".as_slice(),
            )
            .unwrap();
    });
    assert!(
        read(&bytes)
            .unwrap_err()
            .contains("states a size before another extension header")
    );
    for text in ["10 size=3\n", "21 path=s-1/PKG-INFO\n", "14 linkpath=a\n"] {
        let mut bytes = Vec::new();
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::XGlobalHeader);
        header.set_size(text.len() as u64);
        header.set_cksum();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(text.as_bytes());
        bytes.resize(1024, 0);
        bytes.extend(tar_of(b"s-1/PKG-INFO"));
        assert!(
            read(&gzip(&bytes))
                .unwrap_err()
                .contains("renames or resizes all entries at once"),
            "{text}"
        );
    }
}

#[test]
fn an_extension_header_cannot_fill_the_memory() {
    assert!(
        read(&entry(
            EntryType::GNULongName,
            "x",
            None,
            &vec![b'a'; 70_000]
        ))
        .unwrap_err()
        .contains("extension header")
    );
}

#[test]
fn a_bomb_is_refused() {
    let zeros = vec![0u8; 70 << 20];
    assert!(
        read(&tar_gz(&[("s-1/zeros", &zeros)]))
            .unwrap_err()
            .contains("looks like a bomb")
    );
}

#[test]
fn nothing_but_padding_follows_the_archive() {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = Header::new_ustar();
    header.set_size(0);
    builder
        .append_data(&mut header, "s-1/PKG-INFO", b"".as_slice())
        .unwrap();
    let mut plain = builder.into_inner().unwrap();
    assert!(read(&gzip(&plain)).is_ok());
    plain.extend_from_slice(&[b'x'; 512]);
    assert!(
        read(&gzip(&plain))
            .unwrap_err()
            .contains("Something follows")
    );
    assert!(read(b"no gzip at all").is_err());
}

proptest! {
    #[test]
    fn no_bytes_panic_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let _ = read(&gzip(&bytes));
        let _ = read(&bytes);
    }

    #[test]
    fn no_damage_panics_the_reader(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut builder = tar::Builder::new(Vec::new());
        builder.append_pax_extensions([("comment", b"hello".as_slice())]).unwrap();
        let mut header = Header::new_ustar();
        header.set_size(3);
        builder.append_data(&mut header, "s-1/PKG-INFO", b"abc".as_slice()).unwrap();
        let mut bytes = builder.into_inner().unwrap();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
            // With a valid checksum, so that damage gets past that check.
            for start in [0, 1024] {
                let mut block = [0u8; 512];
                block.copy_from_slice(&bytes[start..start + 512]);
                let sum: u32 = block.iter().enumerate().map(|(at, &byte)| if (148..156).contains(&at) { 32 } else { u32::from(byte) }).sum();
                bytes[start + 148..start + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
        }
        let _ = read(&gzip(&bytes));
    }
}
