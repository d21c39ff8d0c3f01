//! The part of the data that a request asks for (RFC 9110, `Range`).

use std::ops::Range;

use axum::http::{HeaderMap, header};
use common::violations::Violations;
use http_range_header::{EndPosition, StartPosition, parse_range_header};

use crate::error::Error;

/// The part that `Range` names, of data of `size` bytes; none if it names none. A header of another unit, or that
/// makes no sense, is as none; of several parts Glance gives none at all.
pub(super) fn part(headers: &HeaderMap, size: u64) -> Result<Option<Range<u64>>, Error> {
    let Some(header) = headers.get(header::RANGE) else { return content_range(headers, size) };
    let Some(ranges) = header.to_str().ok().and_then(|header| parse_range_header(header).ok()) else {
        return Ok(None);
    };
    let [range] = ranges.ranges.as_slice() else {
        return Err(Violations::one("Range", "names several parts; ask for one at a time").into());
    };
    let start = match range.start {
        StartPosition::Index(start) => start,
        StartPosition::FromLast(count) => size.saturating_sub(count),
    };
    let end = match range.end {
        EndPosition::Index(last) if matches!(range.start, StartPosition::Index(_)) => {
            size.min(last.saturating_add(1))
        }
        _ => size,
    };
    if start < end { Ok(Some(start..end)) } else { Err(Error::Range { size }) }
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
        _ => Err(Error::Range { size }),
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
            ("bytes=-0", None),
            ("lines=0-4", None),
            ("nonsense", None),
        ] {
            assert_eq!(of_ten(header).unwrap(), expected, "{header}");
        }
        assert!(part(&HeaderMap::new(), 10).unwrap().is_none());
    }

    #[test]
    fn refuses_what_is_outside_and_several() {
        for header in ["bytes=10-", "bytes=11-12"] {
            assert!(matches!(of_ten(header), Err(Error::Range { size: 10 })), "{header}");
        }
        assert!(matches!(of_ten("bytes=0-1,3-4"), Err(Error::Invalid(_))));
        let empty = part(&HeaderMap::from_iter([(header::RANGE, "bytes=0-".parse().unwrap())]), 0);
        assert!(matches!(empty, Err(Error::Range { size: 0 })));
    }
}
