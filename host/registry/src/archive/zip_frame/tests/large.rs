//! Sizes and offsets beyond 4 GiB, in an archive of which only the ends are in memory.

use std::io::{BufRead, Read, Seek, SeekFrom};

use super::*;

/// Zeros in the first entry: more than a plain field can hold.
const ZEROS: u64 = (4 << 30) + 5;

/// Bytes, then this many zeros, then bytes.
struct Sparse {
    head: Vec<u8>,
    tail: Vec<u8>,
    at: u64,
}

impl BufRead for Sparse {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        static SOME_ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        let hole = self.head.len() as u64;
        let tail = hole + ZEROS;
        Ok(if self.at < hole {
            &self.head[self.at as usize..]
        } else if self.at < tail {
            &SOME_ZEROS[..(tail - self.at).min(SOME_ZEROS.len() as u64) as usize]
        } else {
            self.tail.get((self.at - tail) as usize..).unwrap_or(&[])
        })
    }

    fn consume(&mut self, bytes: usize) {
        self.at += bytes as u64;
    }
}

impl Read for Sparse {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let mut available = self.fill_buf()?;
        let read = available.read(into)?;
        self.consume(read);
        Ok(read)
    }
}

impl Seek for Sparse {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let end = self.head.len() as u64 + ZEROS + self.tail.len() as u64;
        self.at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => end.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        }
        .ok_or_else(|| std::io::Error::other("before the beginning"))?;
        Ok(self.at)
    }
}

/// The checksum of that many zeros, by halves.
fn crc_of_zeros(count: u64) -> Crc {
    let mut crc = Crc::new();
    if count == 1 {
        crc.update(&[0]);
    } else if count > 1 {
        let half = crc_of_zeros(count / 2);
        crc.combine(&half);
        crc.combine(&half);
        crc.combine(&crc_of_zeros(count % 2));
    }
    crc
}

fn bytes_of(fields: &[(u64, usize)]) -> Vec<u8> {
    let field = |&(value, width): &(u64, usize)| value.to_le_bytes()[..width].to_vec();
    fields.iter().flat_map(field).collect()
}

const ELSEWHERE: (u64, usize) = (u32::MAX as u64, 4);

/// Version 4.5, no flags, stored, no time, and the checksum.
fn common(crc: &Crc) -> [(u64, usize); 5] {
    [(45, 2), (0, 2), (0, 2), (0, 4), (crc.sum().into(), 4)]
}

/// An archive of a large entry `a` and then `b`, where the directory gives the large one's size as
/// `size`.
fn large(size: u64) -> Sparse {
    let (crc_a, mut crc_b) = (crc_of_zeros(ZEROS), Crc::new());
    crc_b.update(b"two");
    let wide = [(1, 2), (16, 2)];
    let mut head = bytes_of(&[(LOCAL.into(), 4)]);
    head.extend(bytes_of(&common(&crc_a)));
    head.extend(bytes_of(&[ELSEWHERE, ELSEWHERE, (1, 2), (20, 2)]));
    head.extend(b"a");
    head.extend(bytes_of(&wide));
    head.extend(bytes_of(&[(ZEROS, 8), (ZEROS, 8)]));

    let b_at = head.len() as u64 + ZEROS;
    let mut tail = bytes_of(&[(LOCAL.into(), 4)]);
    tail.extend(bytes_of(&common(&crc_b)));
    tail.extend(bytes_of(&[(3, 4), (3, 4), (1, 2), (0, 2)]));
    tail.extend(b"btwo");

    let directory = b_at + tail.len() as u64;
    let begins = tail.len();
    tail.extend(bytes_of(&[(CENTRAL.into(), 4), (45, 2)]));
    tail.extend(bytes_of(&common(&crc_a)));
    tail.extend(bytes_of(&[ELSEWHERE, ELSEWHERE, (1, 2), (20, 2)]));
    tail.extend(bytes_of(&[(0, 2), (0, 2), (0, 2), (0, 4), (0, 4)]));
    tail.extend(b"a");
    tail.extend(bytes_of(&wide));
    tail.extend(bytes_of(&[(size, 8), (size, 8)]));
    tail.extend(bytes_of(&[(CENTRAL.into(), 4), (45, 2)]));
    tail.extend(bytes_of(&common(&crc_b)));
    tail.extend(bytes_of(&[(3, 4), (3, 4), (1, 2), (12, 2)]));
    tail.extend(bytes_of(&[(0, 2), (0, 2), (0, 2), (0, 4), ELSEWHERE]));
    tail.extend(b"b");
    tail.extend(bytes_of(&[(1, 2), (8, 2), (b_at, 8)]));

    let length = (tail.len() - begins) as u64;
    let record = directory + length;
    tail.extend(bytes_of(&[
        (0x0606_4b50, 4),
        (44, 8),
        (45, 2),
        (45, 2),
        (0, 4),
        (0, 4),
    ]));
    tail.extend(bytes_of(&[(2, 8), (2, 8), (length, 8), (directory, 8)]));
    tail.extend(bytes_of(&[(0x0706_4b50, 4), (0, 4), (record, 8), (1, 4)]));
    tail.extend(bytes_of(&[(END.into(), 4), (0, 2), (0, 2), (2, 2), (2, 2)]));
    tail.extend(bytes_of(&[(length, 4), ELSEWHERE, (0, 2)]));
    Sparse { head, tail, at: 0 }
}

#[test]
fn sizes_and_places_beyond_four_gib_are_read() {
    let mut frame = ZipFrame::open(large(ZEROS)).unwrap();
    let sizes: Vec<u64> = frame.entries.iter().map(|entry| entry.unpacked).collect();
    assert_eq!(sizes, [ZEROS, 3]);
    assert_eq!(frame.read(1, 3).unwrap(), b"two");
}

#[test]
fn a_size_beyond_four_gib_that_is_not_true_is_refused() {
    let refused = ZipFrame::open(large(ZEROS + 1)).err().unwrap().to_string();
    assert!(refused.contains("differ in the sizes"), "{refused}");
}
