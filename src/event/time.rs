//! Timestamps as records spell them.

use chrono::{DateTime, NaiveDate, NaiveDateTime};

/// Microseconds in a day.
pub const DAY_MICROS: i64 = 86_400_000_000;

/// A timestamp found in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// `YYYY-MM-DDTHH:MM:SSZ`, the form of delivered logs: the text can be made again from the microseconds.
    Canonical(i64),
    /// Another form of which the microseconds since 1970, UTC, are known; the text is needed to rebuild the record.
    Other(i64),
}

impl Parsed {
    /// Microseconds since 1970, UTC.
    pub fn micros(self) -> i64 {
        match self {
            Parsed::Canonical(micros) | Parsed::Other(micros) => micros,
        }
    }
}

/// Reads a timestamp: the canonical form, RFC 3339 with any fraction and offset, `YYYY-MM-DD HH:MM:SS[.fraction]`
/// (Athena, Panther), or the basic form `YYYYMMDDTHHMMSSZ` (old documentation). Without an offset it is UTC, as all of
/// CloudTrail's are.
pub fn parse(text: &[u8]) -> Option<Parsed> {
    if let Some(micros) = canonical(text) {
        return Some(Parsed::Canonical(micros));
    }
    let text = std::str::from_utf8(text).ok()?;
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(Parsed::Other(time.timestamp_micros()));
    }
    ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y%m%dT%H%M%SZ"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .map(|time| Parsed::Other(time.and_utc().timestamp_micros()))
}

fn canonical(text: &[u8]) -> Option<i64> {
    let text: &[u8; 20] = text.try_into().ok()?;
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'Z')];
    if separators.iter().any(|&(at, byte)| text[at] != byte) {
        return None;
    }
    let number = |at: usize, digits: usize| {
        text[at..at + digits].iter().try_fold(0i64, |number, &byte| {
            byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0'))
        })
    };
    let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
    let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_in_month = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        _ => return None,
    };
    if day < 1 || day > days_in_month || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Days since 1970 in the proleptic Gregorian calendar, years counted from March.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days =
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60_000_000 + second * 1_000_000)
}

/// The canonical form of a timestamp; `None` outside the years 0 to 9999.
pub fn format(micros: i64) -> Option<String> {
    let time = DateTime::from_timestamp_micros(micros)?;
    (0..=9999).contains(&chrono::Datelike::year(&time)).then(|| time.format("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// The UTC date of a timestamp, in days since 1970.
pub fn day(micros: i64) -> i64 {
    micros.div_euclid(DAY_MICROS)
}

/// `YYYY-MM-DD` of a day since 1970.
pub fn format_day(day: i64) -> Option<String> {
    let date = NaiveDate::from_epoch_days(i32::try_from(day).ok()?)?;
    Some(date.format("%Y-%m-%d").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn other_forms_are_read_but_not_canonical() {
        let noon = 1_682_935_932_000_000;
        assert_eq!(parse(b"2023-05-01T10:12:12Z"), Some(Parsed::Canonical(noon)));
        for text in [
            "2023-05-01 10:12:12",
            "2023-05-01 10:12:12.000000000",
            "2023-05-01T10:12:12.000Z",
            "2023-05-01T10:12:12z",
            "2023-05-01T12:12:12+02:00",
            "20230501T101212Z",
        ] {
            assert_eq!(parse(text.as_bytes()), Some(Parsed::Other(noon)), "{text}");
        }
        for text in
            ["", "yesterday", "2023-02-29T00:00:00Z", "2023-05-01", "2023-05-01T24:00:00Z", "1666275403"]
        {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn canonical_text_comes_back(seconds in -62_167_219_200i64..253_402_300_800) {
            let text = format(seconds * 1_000_000).unwrap();
            prop_assert_eq!(parse(text.as_bytes()), Some(Parsed::Canonical(seconds * 1_000_000)), "{}", text);
            prop_assert_eq!(format_day(day(seconds * 1_000_000)).unwrap(), &text[..10]);
        }
    }
}
