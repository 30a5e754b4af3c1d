//! The pages of the list, written while they are sent.

use std::fmt::Write;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use flate2::{Compress, Compression, Crc, FlushCompress};

use super::super::{API_VERSION, LARGE, PageFormat};
use super::{Chunk, Entry, List};

/// The list of projects in one format. Nothing of it is written yet.
#[derive(Clone, Debug)]
pub struct ListPage {
    pub(crate) list: Arc<List>,
    pub(crate) format: PageFormat,
}

impl ListPage {
    /// With quotes.
    pub fn etag(&self) -> &str {
        &self.form().etag
    }

    /// `X-PyPI-Last-Serial`: in HTML the serial of the last change of a name, in JSON that of the
    /// last change of all.
    pub fn last_serial(&self) -> i64 {
        shown_serial(self.format, self.list.serial, self.list.list_serial)
    }

    /// Bytes of the whole page.
    pub fn length(&self) -> u64 {
        self.form().length
    }

    /// Whether the page is worth compressing.
    pub fn is_large(&self) -> bool {
        self.length() >= LARGE as u64
    }

    /// The page in parts, compressed with gzip if `compressed`.
    pub fn parts(&self, compressed: bool) -> Parts {
        Parts {
            page: self.clone(),
            next: 0,
            comma_due: false,
            gzip: compressed.then(Crc::new),
        }
    }

    fn form(&self) -> &super::Form {
        match self.format {
            PageFormat::Html => &self.list.html,
            PageFormat::Json => &self.list.json,
        }
    }
}

/// A page that is being sent. Holds no more of it than one chunk's part.
pub struct Parts {
    page: ListPage,
    /// 0 is the text before the first chunk, then come chunks, then the text after the last.
    next: usize,
    /// Whether a comma comes before the next project.
    comma_due: bool,
    /// The checksum so far of the compressed data.
    gzip: Option<Crc>,
}

impl Parts {
    /// The next part, none after the last. Each chunk is compressed once, off the serving threads;
    /// this fails only if the program ends meanwhile.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let ListPage { list, format } = self.page.clone();
        let last = list.chunks.len() + 1;
        while self.next <= last {
            let position = self.next;
            self.next += 1;
            let (serial, list_serial) = (list.serial, list.list_serial);
            let mut out = Vec::new();
            match position {
                0 => self.put(&mut out, before(format, serial).as_bytes()),
                _ if position == last => self.put(&mut out, after(format, list_serial).as_bytes()),
                _ => {
                    let chunk = &list.chunks[position - 1];
                    if chunk.part(format).length == 0 {
                        continue;
                    }
                    if std::mem::replace(&mut self.comma_due, format == PageFormat::Json) {
                        self.put(&mut out, b",");
                    }
                    match &mut self.gzip {
                        None => out.extend(chunk.write(format, &list.path)),
                        Some(checksum) => {
                            let deflated = chunk.deflated(format, &list.path).await?;
                            checksum.combine(&deflated.checksum);
                            out.extend_from_slice(&deflated.bytes);
                        }
                    }
                }
            }
            if position == last {
                self.end(&mut out);
            }
            return Ok(Some(out.into()));
        }
        Ok(None)
    }

    /// Adds a few bytes that belong to no chunk.
    fn put(&mut self, out: &mut Vec<u8>, bytes: &[u8]) {
        let Some(checksum) = &mut self.gzip else {
            return out.extend_from_slice(bytes);
        };
        if checksum.amount() == 0 {
            // RFC 1952: deflate, no name, no time, an unknown system.
            out.extend_from_slice(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
        }
        let deflated = deflated(bytes);
        checksum.combine(&deflated.checksum);
        out.extend_from_slice(&deflated.bytes);
    }

    fn end(&self, out: &mut Vec<u8>) {
        if let Some(checksum) = &self.gzip {
            // An empty final block.
            out.extend_from_slice(&[3, 0]);
            out.extend_from_slice(&checksum.sum().to_le_bytes());
            out.extend_from_slice(&checksum.amount().to_le_bytes());
        }
    }
}

/// Bytes that are compressed separately, so that they can appear anywhere in a stream.
#[derive(Debug)]
pub(super) struct Deflated {
    bytes: Bytes,
    checksum: Crc,
}

/// Full blocks that end at a whole byte and refer to nothing before them (`Z_FULL_FLUSH`).
fn deflated(bytes: &[u8]) -> Deflated {
    let mut checksum = Crc::new();
    checksum.update(bytes);
    let mut compress = Compress::new(Compression::new(5), false);
    let mut out = Vec::with_capacity(bytes.len() / 3 + 64);
    loop {
        let done = usize::try_from(compress.total_in()).unwrap_or(bytes.len());
        compress
            .compress_vec(&bytes[done..], &mut out, FlushCompress::Full)
            .expect("compressing into memory does not fail");
        // If there is room left, all output is there.
        if compress.total_in() == bytes.len() as u64 && out.len() < out.capacity() {
            out.shrink_to_fit();
            return Deflated {
                bytes: out.into(),
                checksum,
            };
        }
        out.reserve(out.capacity().max(64));
    }
}

impl Chunk {
    async fn deflated(
        self: &Arc<Self>,
        format: PageFormat,
        path: &Arc<str>,
    ) -> io::Result<Arc<Deflated>> {
        let compress = async || {
            let (chunk, path) = (self.clone(), path.clone());
            Ok::<_, io::Error>(Arc::new(
                tokio::task::spawn_blocking(move || deflated(&chunk.write(format, &path))).await?,
            ))
        };
        self.part(format)
            .deflated
            .get_or_try_init(compress)
            .await
            .cloned()
    }

    /// Its part of a page.
    fn write(&self, format: PageFormat, path: &str) -> Vec<u8> {
        let mut out =
            String::with_capacity(usize::try_from(self.part(format).length).unwrap_or_default());
        for entry in self.entries().filter(|entry| !entry.is_hidden) {
            // Names contain letters, digits, `.`, `_` and `-`: nothing to escape in either format.
            match format {
                PageFormat::Html => {
                    for text in [
                        HTML[0],
                        path,
                        entry.normalized,
                        HTML[1],
                        entry.written,
                        HTML[2],
                    ] {
                        out.push_str(text);
                    }
                }
                PageFormat::Json => {
                    let comma = if out.is_empty() { "" } else { "," };
                    let _ = write!(
                        out,
                        "{comma}{}{}{}{}{}",
                        JSON[0], entry.serial, JSON[1], entry.written, JSON[2]
                    );
                }
            }
        }
        out.into_bytes()
    }
}

/// The text around path, normalized name and name of a project.
const HTML: [&str; 3] = ["    <a href=\"", "/\">", "</a><br />\n"];
/// The text around serial and name of a project.
const JSON: [&str; 3] = ["{\"_last-serial\":", ",\"name\":\"", "\"}"];

fn shown_serial(format: PageFormat, serial: i64, list_serial: i64) -> i64 {
    match format {
        PageFormat::Html => list_serial,
        PageFormat::Json => serial,
    }
}

/// The text before the first project.
fn before(format: PageFormat, serial: i64) -> String {
    match format {
        PageFormat::Html => format!(
            "<!DOCTYPE html>\n<html>\n  <head>\n    <meta name=\"pypi:repository-version\" content=\"{API_VERSION}\">\n    <title>Simple index</title>\n  </head>\n  <body>\n"
        ),
        PageFormat::Json => format!(
            "{{\"meta\":{{\"_last-serial\":{serial},\"api-version\":\"{API_VERSION}\"}},\"projects\":["
        ),
    }
}

/// The text after the last project.
fn after(format: PageFormat, list_serial: i64) -> String {
    match format {
        PageFormat::Html => format!("  </body>\n</html>\n<!--SERIAL {list_serial}-->"),
        PageFormat::Json => "]}".to_owned(),
    }
}

/// Bytes of a whole page.
pub(super) fn length(
    chunks: &[Arc<Chunk>],
    format: PageFormat,
    serial: i64,
    list_serial: i64,
) -> u64 {
    let parts = chunks
        .iter()
        .map(|chunk| chunk.part(format).length)
        .filter(|length| *length > 0);
    let (count, sum) = parts.fold((0_u64, 0), |(count, sum), length| (count + 1, sum + length));
    let commas = if format == PageFormat::Json {
        count.saturating_sub(1)
    } else {
        0
    };
    (before(format, serial).len() + after(format, list_serial).len()) as u64 + sum + commas
}

/// Bytes of a chunk's part of a page.
pub(super) fn part_length(entries: &[Entry<'_>], format: PageFormat, path: &str) -> u64 {
    let around = |words: &[&str; 3]| words.iter().map(|word| word.len()).sum::<usize>();
    let one = |entry: &Entry<'_>| match format {
        PageFormat::Html => {
            around(&HTML) + path.len() + entry.normalized.len() + entry.written.len()
        }
        // With its comma, which the first does not have.
        PageFormat::Json => around(&JSON) + digits(entry.serial) + entry.written.len() + 1,
    };
    let sum: usize = entries
        .iter()
        .filter(|entry| !entry.is_hidden)
        .map(one)
        .sum();
    (if format == PageFormat::Json {
        sum.saturating_sub(1)
    } else {
        sum
    }) as u64
}

/// Characters of a serial, which is never negative.
fn digits(serial: i64) -> usize {
    serial.checked_ilog10().unwrap_or(0) as usize + 1
}
