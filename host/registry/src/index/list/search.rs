//! Searching names, as the pages for people do.

use super::{Chunk, List};

/// Letters, digits, the hyphen, and the separator between names.
const SYMBOLS: usize = 38;

/// The trigrams of a chunk's names, including the line feed after each name. A search visits only
/// chunks that have all trigrams of its text.
#[derive(Debug)]
pub(super) struct Grams(Box<[u64]>);

impl Grams {
    pub(super) fn of(lines: &str) -> Self {
        let mut bits = vec![0_u64; (SYMBOLS * SYMBOLS * SYMBOLS).div_ceil(64)];
        for gram in lines.as_bytes().windows(3) {
            let bit = position(gram);
            bits[bit / 64] |= 1 << (bit % 64);
        }
        Self(bits.into())
    }

    fn has(&self, bit: usize) -> bool {
        self.0[bit / 64] >> (bit % 64) & 1 == 1
    }

    /// False only if no name contains the text.
    fn may_hold(&self, text: &str) -> bool {
        match text.as_bytes() {
            // Two characters may continue with any third.
            [first, second] => (0..SYMBOLS).any(|third| {
                self.has((symbol(*first) * SYMBOLS + symbol(*second)) * SYMBOLS + third)
            }),
            text => text.windows(3).all(|gram| self.has(position(gram))),
        }
    }
}

fn position(gram: &[u8]) -> usize {
    gram.iter()
        .fold(0, |position, byte| position * SYMBOLS + symbol(*byte))
}

fn symbol(byte: u8) -> usize {
    match byte {
        b'-' => 1,
        b'0'..=b'9' => 2 + usize::from(byte - b'0'),
        b'a'..=b'z' => 12 + usize::from(byte - b'a'),
        _ => 0,
    }
}

impl List {
    /// Normalized names that contain this text: the name itself, then those that begin with it,
    /// then the others, each in order; those after the first `skip`, at most `limit`; without
    /// projects in quarantine. Names consist of lower-case letters, digits and hyphens, so no name
    /// contains any other text.
    pub(crate) fn search(&self, text: &str, skip: usize, limit: usize) -> Vec<String> {
        if text.is_empty() || !text.bytes().all(|byte| symbol(byte) > 0) {
            return Vec::new();
        }
        // The name itself is the first of those that begin with it.
        let beginning = self.chunks[self.place_of(text).min(self.chunks.len())..]
            .iter()
            .flat_map(|chunk| {
                chunk
                    .normalized
                    .split_terminator('\n')
                    .map(move |name| (chunk, name))
            })
            .skip_while(|(_, name)| *name < text)
            .take_while(|(_, name)| name.starts_with(text));
        let elsewhere = self
            .chunks
            .iter()
            .filter(|chunk| chunk.grams.may_hold(text))
            .flat_map(|chunk| chunk.holding(text).map(move |name| (chunk, name)));
        let listed = beginning
            .chain(elsewhere)
            .filter(|(chunk, name)| !chunk.hides(name))
            .map(|(_, name)| name);
        listed.skip(skip).take(limit).map(str::to_owned).collect()
    }
}

impl Chunk {
    fn hides(&self, name: &str) -> bool {
        self.hidden.iter().any(|hidden| **hidden == *name)
    }

    /// Names that contain the text but do not begin with it.
    fn holding<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a str> {
        let lines = &*self.normalized;
        let mut end_of_last = 0;
        lines.match_indices(text).filter_map(move |(at, _)| {
            if at < end_of_last {
                return None;
            }
            let start = lines[..at].rfind('\n').map_or(0, |before| before + 1);
            let end = lines[at..]
                .find('\n')
                .map_or(lines.len(), |length| at + length);
            end_of_last = end;
            (at > start).then(|| &lines[start..end])
        })
    }
}
