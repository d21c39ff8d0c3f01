//! The part of the data that a request asks for (RFC 9110, 14).

use std::ops::Range;

use axum::http::{HeaderMap, header};
use common::violations::Violations;

/// Why there is no such part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The request names several parts.
    Several(Violations),
    /// The part is outside the data, which has this many bytes.
    Outside {
        /// Size of the data, in bytes.
        size: u64,
    },
}

/// The part that `Range` names, of data of `size` bytes; none if it names none. A header in another unit, or one that
/// cannot be parsed, is ignored; several parts are refused, as in Glance.
pub fn part(headers: &HeaderMap, size: u64) -> Result<Option<Range<u64>>, Error> {
    let mut lines = headers.get_all(header::RANGE).iter();
    let Some(line) = lines.next() else { return content_range(headers, size) };
    if lines.next().is_some() {
        return Ok(None);
    }
    let parts = line.to_str().ok().and_then(parts).unwrap_or_default();
    match parts.as_slice() {
        [] => Ok(None),
        [part] => part.of(size),
        _ => Err(Error::Several(Violations::one("Range", "names several parts; ask for one at a time"))),
    }
}

/// A part, as it is asked for.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// From the first byte to the last one, or to the end.
    From(u64, Option<u64>),
    /// So many bytes at the end.
    Last(u64),
}

/// What `bytes=0-4` names; none of another unit, and of what is no range (RFC 9110, 14.1.1). Empty items of a list count
/// for nothing.
fn parts(line: &str) -> Option<Vec<Part>> {
    let (unit, set) = line.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") || set.starts_with([' ', '\t']) {
        return None;
    }
    let items = set.split(',').map(|item| item.trim_matches([' ', '\t'])).filter(|item| !item.is_empty());
    items.map(Part::read).collect()
}

impl Part {
    fn read(item: &str) -> Option<Self> {
        let (first, last) = item.split_once('-')?;
        if first.is_empty() {
            return number(last).map(Self::Last);
        }
        let first = number(first)?;
        let last = if last.is_empty() { None } else { Some(number(last)?) };
        last.is_none_or(|last| first <= last).then_some(Self::From(first, last))
    }

    /// The bytes of data of that size; all of them where there are none at the end of nothing.
    fn of(self, size: u64) -> Result<Option<Range<u64>>, Error> {
        match self {
            Self::From(first, last) if first < size => {
                Ok(Some(first..last.map_or(size, |last| size.min(last.saturating_add(1)))))
            }
            Self::Last(1..) if size == 0 => Ok(None),
            Self::Last(count @ 1..) => Ok(Some(size.saturating_sub(count)..size)),
            Self::From(..) | Self::Last(0) => Err(Error::Outside { size }),
        }
    }
}

/// Digits alone; a number that is too large for us is larger than all data.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

/// The part that `Content-Range` names, which old clients of Glance send in place of `Range`: `bytes 0-3/*`, with the
/// size of the data or `*`.
fn content_range(headers: &HeaderMap, size: u64) -> Result<Option<Range<u64>>, Error> {
    let Some(header) = headers.get(header::CONTENT_RANGE) else { return Ok(None) };
    let named = header.to_str().ok().and_then(|header| {
        let (part, whole) = header.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
        let (first, last) = part.split_once('-')?;
        let (first, last) = (first.trim().parse::<u64>().ok()?, last.trim().parse::<u64>().ok()?);
        let whole = if whole.trim() == "*" { None } else { Some(whole.trim().parse::<u64>().ok()?) };
        (first <= last && whole.is_none_or(|whole| last < whole))
            .then_some((first..last.checked_add(1)?, whole))
    });
    match named {
        Some((part, whole)) if part.start < size && (part.end <= size || whole.is_some()) => {
            Ok(Some(part.start..part.end.min(size)))
        }
        _ => Err(Error::Outside { size }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_ten(header: &str) -> Result<Option<Range<u64>>, Error> {
        part(&HeaderMap::from_iter([(header::RANGE, header.parse().unwrap())]), 10)
    }

    #[test]
    fn reads_one_part() {
        for (header, expected) in [
            ("bytes=0-4", Some(0..5)),
            ("bytes=9-9", Some(9..10)),
            ("bytes=4-", Some(4..10)),
            ("bytes=4-99", Some(4..10)),
            ("bytes=-3", Some(7..10)),
            ("bytes=-99", Some(0..10)),
            ("bytes=0-18446744073709551615", Some(0..10)),
            ("bytes=-99999999999999999999999", Some(0..10)),
            ("bytes=0-99999999999999999999999", Some(0..10)),
            ("bytes=007-0008", Some(7..9)),
            ("BYTES=0-4", Some(0..5)),
            ("bytes=0-4,", Some(0..5)),
            ("bytes=, ,0-4 ,\t", Some(0..5)),
            ("lines=0-4", None),
            ("lines=10-", None),
            ("nonsense", None),
            ("bytes", None),
            ("bytes=", None),
            ("bytes=,", None),
            ("bytes=-", None),
            ("bytes=a-b", None),
            ("bytes=0x1-4", None),
            ("bytes=4-2", None),
            ("bytes=1-4-5", None),
            ("bytes=--5", None),
            ("bytes=+1-4", None),
            ("bytes= 0-4", None),
            ("bytes =0-4", None),
            ("bytes=0 - 4", None),
            ("bytes=0-1,x", None),
            ("bytes=0-1 3-4", None),
        ] {
            assert_eq!(of_ten(header).unwrap(), expected, "{header}");
        }
        assert!(part(&HeaderMap::new(), 10).unwrap().is_none());
    }

    #[test]
    fn refuses_what_is_outside_and_several() {
        for header in [
            "bytes=10-",
            "bytes=11-12",
            "bytes=10-10",
            "bytes=-0",
            "bytes=-000",
            "bytes=99999999999999999999999-",
        ] {
            assert!(matches!(of_ten(header), Err(Error::Outside { size: 10 })), "{header}");
        }
        for header in ["bytes=0-1,3-4", "bytes=0-1,\t3-4", "bytes=-1,0-", "bytes=0-1,100-"] {
            assert!(matches!(of_ten(header), Err(Error::Several(_))), "{header}");
        }
        let empty = part(&HeaderMap::from_iter([(header::RANGE, "bytes=0-".parse().unwrap())]), 0);
        assert!(matches!(empty, Err(Error::Outside { size: 0 })));
        let end = part(&HeaderMap::from_iter([(header::RANGE, "bytes=-5".parse().unwrap())]), 0);
        assert_eq!(end.unwrap(), None);
    }
}
