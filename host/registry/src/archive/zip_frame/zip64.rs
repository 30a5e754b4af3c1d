//! ZIP64: numbers that do not fit into a ZIP archive's own fields.
//!
//! Some tools write it unnecessarily. It must then agree with the plain fields, since readers
//! differ: most use it only if a plain field has its largest value, some whenever it is present.

use super::{ArchiveError, END_BYTES, Ends, u16_at, u32_at, u64_at};

pub(super) const RECORD: u32 = 0x0606_4b50;
pub(super) const LOCATOR: u32 = 0x0706_4b50;
pub(super) const RECORD_BYTES: usize = 56;
pub(super) const LOCATOR_BYTES: usize = 20;
/// The value of a plain field whose number is in ZIP64.
const ELSEWHERE: u64 = u32::MAX as u64;
/// The same for counts of entries.
const COUNT_ELSEWHERE: u64 = u16::MAX as u64;

/// The numbers of one header that ZIP64 may hold instead, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) unpacked: u64,
    pub(super) packed: u64,
    pub(super) offset: u64,
}

/// The combined numbers of the plain fields and the extra field of one header.
pub(super) fn resolve(
    name: &str,
    plain: Numbers,
    field: Option<&[u8]>,
) -> Result<Numbers, ArchiveError> {
    let differs = || {
        ArchiveError::archive(format!(
            "The ZIP64 field of '{name}' does not say what its header says."
        ))
    };
    let plain = [plain.unpacked, plain.packed, plain.offset];
    let Some(field) = field else {
        // If a number happened to be the largest one, readers would look for ZIP64.
        return if plain.contains(&ELSEWHERE) {
            Err(differs())
        } else {
            Ok(named(plain))
        };
    };
    // By the format, the field has only the missing numbers, one after the other.
    let mut numbers = plain;
    let mut used = 0;
    for number in numbers.iter_mut().filter(|number| **number == ELSEWHERE) {
        *number = field
            .get(used..used + 8)
            .map(|bytes| u64_at(bytes, 0))
            .ok_or_else(differs)?;
        used += 8;
    }
    if used == field.len() {
        return Ok(named(numbers));
    }
    // Some tools write all numbers, each in its place: then both ways to read it must agree.
    let places = field
        .chunks(8)
        .map(|bytes| <[u8; 8]>::try_from(bytes).map(u64::from_le_bytes));
    let is_disk = |at: usize| at == 3 && field.len() == 28 && field[24..] == [0; 4];
    for (at, place) in places.enumerate() {
        let agrees = match (place, numbers.get(at)) {
            (Ok(place), Some(number)) => place == *number,
            _ => is_disk(at),
        };
        if !agrees {
            return Err(differs());
        }
    }
    Ok(named(numbers))
}

fn named([unpacked, packed, offset]: [u64; 3]) -> Numbers {
    Numbers {
        unpacked,
        packed,
        offset,
    }
}

/// Whether these are the last bytes before an end record that has a locator of ZIP64.
pub(super) fn is_locator(bytes: &[u8]) -> bool {
    bytes.len() == LOCATOR_BYTES && u32_at(bytes, 0) == LOCATOR
}

/// The combined numbers of record, locator and plain end record, which follow one another at the
/// end of the file. `record_at` is where the record begins.
pub(super) fn resolve_ends(
    record: &[u8; RECORD_BYTES],
    locator: &[u8],
    end: &[u8; END_BYTES],
    record_at: u64,
) -> Result<Ends, ArchiveError> {
    let damaged = || ArchiveError::archive("The ZIP archive has a damaged ZIP64 end record.");
    // Signature; the size of what follows; versions; this disk and the first one.
    let is_plain = u32_at(record, 0) == RECORD
        && u64_at(record, 4) == RECORD_BYTES as u64 - 12
        && u32_at(record, 16) == 0
        && u32_at(record, 20) == 0;
    // The disk of the record; its offset; the number of disks. Some tools write zero disks, some
    // one.
    let leads_here =
        u32_at(locator, 4) == 0 && u64_at(locator, 8) == record_at && u32_at(locator, 16) <= 1;
    if !is_plain || !leads_here {
        return Err(damaged());
    }
    let wide = Ends {
        here: u64_at(record, 24),
        total: u64_at(record, 32),
        size: u64_at(record, 40),
        offset: u64_at(record, 48),
        end_at: record_at,
    };
    let plain = Ends::plain(end, record_at);
    let agrees = |plain: u64, wide: u64, elsewhere: u64| plain == wide || plain == elsewhere;
    let all_agree = agrees(plain.here, wide.here, COUNT_ELSEWHERE)
        && agrees(plain.total, wide.total, COUNT_ELSEWHERE)
        && agrees(plain.size, wide.size, ELSEWHERE)
        && agrees(plain.offset, wide.offset, ELSEWHERE);
    let disks = [u16_at(end, 4), u16_at(end, 6)];
    if !all_agree || disks.iter().any(|disk| !matches!(*disk, 0 | u16::MAX)) {
        return Err(ArchiveError::archive(
            "The ZIP archive's end record and its ZIP64 end record differ.",
        ));
    }
    Ok(wide)
}
