//! Times in a query, in the forms that Python's package iso8601 reads.

use chrono::{DateTime, Datelike as _, FixedOffset, NaiveDate, SubsecRound as _, Utc};

/// A time in ISO 8601; UTC if it names no zone. Digits below the microsecond, to which times are stored, are cut off.
#[must_use]
pub fn time(text: &str) -> Option<DateTime<Utc>> {
    let mut reader = Reader { rest: text.trim() };
    let time = reader.time()?;
    // PostgreSQL and text both keep four digits of a year.
    (reader.rest.is_empty() && (1..=9998).contains(&time.year())).then(|| time.trunc_subsecs(6))
}

/// Reads a text from its beginning.
struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn time(&mut self) -> Option<DateTime<Utc>> {
        let date = self.date()?;
        if self.rest.is_empty() {
            return Some(date.and_hms_opt(0, 0, 0)?.and_utc());
        }
        self.skip(&['T', ' '])?;
        let hour = self.number(2, 2)?;
        let minute = self.after(':', 2).unwrap_or(0);
        let second = self.after(':', 1);
        let nanosecond = if second.is_some() { self.fraction()? } else { 0 };
        let time = date.and_hms_nano_opt(hour, minute, second.unwrap_or(0), nanosecond)?;
        Some(time.and_local_timezone(self.zone()?).single()?.to_utc())
    }

    /// `2026-11-22`, `20261122`, `2026-11` or `2026`.
    fn date(&mut self) -> Option<NaiveDate> {
        let year = self.number(4, 4)?.try_into().ok()?;
        if self.rest.is_empty() {
            return NaiveDate::from_ymd_opt(year, 1, 1);
        }
        let (month, day) = if self.skip(&['-']).is_some() {
            let month = self.number(1, 2)?;
            (month, if self.skip(&['-']).is_some() { self.number(1, 2)? } else { 1 })
        } else {
            (self.number(2, 2)?, self.number(2, 2)?)
        };
        NaiveDate::from_ymd_opt(year, month, day)
    }

    /// Nanoseconds; none if there is no fraction.
    fn fraction(&mut self) -> Option<u32> {
        if self.skip(&['.', ',']).is_none() {
            return Some(0);
        }
        let count = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.rest.split_at(count);
        self.rest = rest;
        format!("{digits:0<9}").get(..9).filter(|_| count > 0)?.parse().ok()
    }

    /// `Z`, `+02:00`, `+0200`, `+02`, or nothing, which is UTC.
    fn zone(&mut self) -> Option<FixedOffset> {
        if self.rest.is_empty() || self.skip(&['Z']).is_some() {
            return FixedOffset::east_opt(0);
        }
        // In a query, a + that is not escaped stands for a blank.
        let sign = if self.rest.starts_with('-') { -1 } else { 1 };
        self.skip(&['+', ' ', '-'])?;
        let (hours, minutes) = (self.number(2, 2)?, self.after(':', 2).unwrap_or(0));
        FixedOffset::east_opt(sign * i32::try_from(hours * 3600 + minutes * 60).ok()?)
    }

    /// Digits behind a separator that may be missing.
    fn after(&mut self, separator: char, least: usize) -> Option<u32> {
        let before = self.rest;
        let _ = self.skip(&[separator]);
        let number = self.number(least, 2);
        if number.is_none() {
            self.rest = before;
        }
        number
    }

    /// A number of at least and at most so many digits.
    fn number(&mut self, least: usize, most: usize) -> Option<u32> {
        let count = self.rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        if count < least {
            return None;
        }
        let (digits, rest) = self.rest.split_at(count);
        self.rest = rest;
        digits.parse().ok()
    }

    fn skip(&mut self, any: &[char]) -> Option<()> {
        self.rest = self.rest.strip_prefix(any)?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn reads_the_forms_of_iso_8601() {
        for text in [
            "2026-11-22T12:00:00Z",
            " 2026-11-22T12:00:00 ",
            "2026-11-22 12:00:00",
            "2026-11-22T12:00Z",
            "2026-11-22T12",
            "2026-11-22T14:00:00+0200",
            "2026-11-22T14:00:00+02",
            "2026-11-22T14:00:00 02:00",
            "2026-11-22T04:00:00-08:00",
            "20261122T120000Z",
        ] {
            assert_eq!(time(text), Some(at("2026-11-22T12:00:00Z")), "{text}");
        }
        for (text, expected) in [
            ("2026", "2026-01-01T00:00:00Z"),
            ("2026-3", "2026-03-01T00:00:00Z"),
            ("2026-11-22T12:00:00.5", "2026-11-22T12:00:00.5Z"),
            ("2026-11-22T12:00:00,123456789Z", "2026-11-22T12:00:00.123456Z"),
        ] {
            assert_eq!(time(text), Some(at(expected)), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in [
            "",
            "x",
            "202611",
            "2026-13-01",
            "2026-11-22T",
            "2026-11-22T1",
            "2026-11-22T12:00:00.",
            "2026-W01",
        ] {
            assert_eq!(time(text), None, "{text}");
        }
    }
}
