//! Times in text: ISO 8601, and the patterns of MySQL, C and Joda.

use std::sync::Arc;

use chrono::format::{Item, Parsed, StrftimeItems, parse};
use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use datafusion::common::{Result, exec_err};

/// `2026-03-01T12:34:56.789+01:00`, of which all after the year may be missing, from the right.
pub(super) fn iso8601(text: &str) -> Option<NaiveDateTime> {
    let (date, time) = match text.split_once(['T', 't']) {
        Some((date, time)) => (date, time),
        None => (text, ""),
    };
    let mut parts = date.splitn(3, '-');
    let year = digits(parts.next()?, 4)?;
    let month = parts.next().map_or(Some(1), |part| digits(part, 2))?;
    let day = parts.next().map_or(Some(1), |part| digits(part, 2))?;
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
    let (clock, offset) = match time.find(['Z', 'z', '+', '-']) {
        Some(at) => (&time[..at], zone_minutes(&time[at..])?),
        None => (time, 0),
    };
    let time = if clock.is_empty() { NaiveTime::MIN } else { clock_time(clock)? };
    date.and_time(time).checked_sub_signed(chrono::TimeDelta::minutes(offset))
}

fn digits(text: &str, count: usize) -> Option<u32> {
    (text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

fn clock_time(clock: &str) -> Option<NaiveTime> {
    let (clock, fraction) = clock.split_once(['.', ',']).unwrap_or((clock, ""));
    let mut parts = clock.splitn(3, ':');
    let hour = digits(parts.next()?, 2)?;
    let minute = parts.next().map_or(Some(0), |part| digits(part, 2))?;
    let second = parts.next().map_or(Some(0), |part| digits(part, 2))?;
    let nanos: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    NaiveTime::from_hms_nano_opt(hour, minute, second, digits(&nanos, 9)?)
}

fn zone_minutes(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let zone = zone[1..].replace(':', "");
    let (hours, minutes) = zone.split_at_checked(2)?;
    let minutes = if minutes.is_empty() { 0 } else { digits(minutes, 2)? };
    Some(sign * i64::from(digits(hours, 2)? * 60 + minutes))
}

/// A format as its items, in `chrono`'s notation.
pub(super) type Format = Arc<Vec<Item<'static>>>;

pub(super) fn items(format: &str, given: &str) -> Result<Format> {
    let items: Vec<Item<'static>> = StrftimeItems::new(format).map(Item::to_owned).collect();
    if items.contains(&Item::Error) {
        return exec_err!("{given:?} is no time format");
    }
    Ok(Arc::new(items))
}

/// Replaces each `%x` of a format.
fn translated(format: &str, of: impl Fn(char) -> Option<&'static str>) -> String {
    let mut out = String::with_capacity(format.len() + 8);
    let mut chars = format.chars();
    while let Some(char) = chars.next() {
        if char != '%' {
            out.push(char);
            continue;
        }
        match chars.next() {
            Some(letter) => match of(letter) {
                Some(item) => out += item,
                None => out.extend(['%', letter]),
            },
            None => out += "%%",
        }
    }
    out
}

/// MySQL's patterns, which Trino's `date_format` and `date_parse` take.
pub(super) fn mysql(format: &str) -> Result<Format> {
    let unsupported = ['D', 'U', 'u', 'V', 'w', 'X'];
    if let Some(letter) = unsupported.into_iter().find(|letter| format.contains(&format!("%{letter}"))) {
        return exec_err!("%{letter} is not supported in the time format {format:?}");
    }
    let known = translated(format, |letter| {
        Some(match letter {
            'c' => "%-m",
            'e' => "%-d",
            'f' => "%6f",
            'h' | 'I' => "%I",
            'i' => "%M",
            'k' => "%-H",
            'l' => "%-I",
            'M' => "%B",
            'r' => "%I:%M:%S %p",
            's' | 'S' => "%S",
            'T' => "%H:%M:%S",
            'v' => "%V",
            'W' => "%A",
            'x' => "%G",
            _ => return None,
        })
    });
    items(&known, format)
}

/// DuckDB's and C's patterns.
pub(super) fn c_format(format: &str) -> Result<Format> {
    let known = translated(format, |letter| {
        Some(match letter {
            'f' => "%6f",
            'g' => "%3f",
            'n' => "%9f",
            'c' => "%Y-%m-%d %H:%M:%S",
            'x' => "%Y-%m-%d",
            'X' => "%H:%M:%S",
            'Z' => "UTC",
            'z' => "+00",
            _ => return None,
        })
    });
    items(&known, format)
}

/// Joda's patterns, which Trino's `format_datetime` and `parse_datetime` take.
pub(super) fn joda(format: &str) -> Result<Format> {
    let mut known = String::new();
    let mut rest = format;
    while let Some(first) = rest.chars().next() {
        if first == '\'' {
            let Some((quoted, after)) = rest[1..].split_once('\'') else {
                return exec_err!("{format:?} is no time format: a quote is not closed");
            };
            known += if quoted.is_empty() { "'" } else { quoted };
            rest = after;
            continue;
        }
        let run = rest.chars().take_while(|char| *char == first).count();
        known += match (first, run) {
            ('y' | 'Y' | 'u', 2) => "%y",
            ('y' | 'Y' | 'u', _) => "%Y",
            ('x', _) => "%G",
            ('M', 1) => "%-m",
            ('M', 2) => "%m",
            ('M', 3) => "%b",
            ('M', _) => "%B",
            ('d', 1) => "%-d",
            ('d', _) => "%d",
            ('D', _) => "%j",
            ('w', _) => "%V",
            ('e', _) => "%u",
            ('E', 1..=3) => "%a",
            ('E', _) => "%A",
            ('H', 1) => "%-H",
            ('H', _) => "%H",
            ('h', 1) => "%-I",
            ('h', _) => "%I",
            ('m', 1) => "%-M",
            ('m', _) => "%M",
            ('s', 1) => "%-S",
            ('s', _) => "%S",
            ('S', _) => "%3f",
            ('a', _) => "%p",
            ('Z', 1) => "+0000",
            ('Z', 2) => "+00:00",
            ('Z' | 'z', _) => "UTC",
            ('%', _) => "%%",
            (letter, _) if letter.is_ascii_alphabetic() => {
                return exec_err!("{letter} is not supported in the time format {format:?}");
            }
            _ => &rest[..first.len_utf8() * run],
        };
        rest = &rest[first.len_utf8() * run..];
    }
    items(&known, format)
}

pub(super) fn mysql_parse(format: &str) -> Result<Format> {
    let items = mysql(&format.replace(".%f", "\u{1}"))?;
    let fraction = Item::Fixed(chrono::format::Fixed::Nanosecond);
    let mut with_fraction = Vec::with_capacity(items.len());
    for item in items.iter() {
        match item {
            Item::OwnedLiteral(text) if text.contains('\u{1}') => {
                for (at, part) in text.split('\u{1}').enumerate() {
                    if at > 0 {
                        with_fraction.push(fraction.clone());
                    }
                    if !part.is_empty() {
                        with_fraction.push(Item::OwnedLiteral(part.into()));
                    }
                }
            }
            item => with_fraction.push(item.clone()),
        }
    }
    Ok(Arc::new(with_fraction))
}

/// Reads a time, of which the format may leave out the date or any part of the clock.
pub(super) fn read(text: &str, format: &Format) -> Option<NaiveDateTime> {
    let mut parsed = Parsed::new();
    parse(&mut parsed, text, format.iter()).ok()?;
    if parsed.year().is_some() || parsed.month().is_some() || parsed.year_mod_100().is_some() {
        if parsed.month().is_none() && parsed.ordinal().is_none() && parsed.isoweek().is_none() {
            parsed.set_month(1).ok()?;
        }
        if parsed.day().is_none() && parsed.month().is_some() {
            parsed.set_day(1).ok()?;
        }
    }
    let date = match parsed.to_naive_date() {
        Ok(date) => date,
        Err(_) if parsed.year().is_none() && parsed.day().is_none() => NaiveDate::default(),
        Err(_) => return None,
    };
    if parsed.hour_div_12().is_some() || parsed.hour_mod_12().is_some() {
        if parsed.minute().is_none() {
            parsed.set_minute(0).ok()?;
        }
        return Some(date.and_time(parsed.to_naive_time().ok()?));
    }
    Some(date.and_time(NaiveTime::MIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(time: Option<NaiveDateTime>) -> Option<String> {
        time.map(|time| time.format("%Y-%m-%d %H:%M:%S%.f").to_string())
    }

    #[test]
    fn iso_8601_in_every_length() {
        for (text, expected) in [
            ("2026-03-01T12:34:56Z", "2026-03-01 12:34:56"),
            ("2026-03-01T12:34:56.789Z", "2026-03-01 12:34:56.789"),
            ("2026-03-01T12:34:56+02:00", "2026-03-01 10:34:56"),
            ("2026-03-01T00:30-0100", "2026-03-01 01:30:00"),
            ("2026-03-01T12", "2026-03-01 12:00:00"),
            ("2026-03-01", "2026-03-01 00:00:00"),
            ("2026-03", "2026-03-01 00:00:00"),
            ("2026", "2026-01-01 00:00:00"),
        ] {
            assert_eq!(written(iso8601(text)).as_deref(), Some(expected), "{text}");
        }
        for wrong in [
            "",
            "yesterday",
            "2026-13-01",
            "2026-3-1",
            "2026-03-01 12:00:00",
            "2026-03-01T25:00",
            "2026-03-01T12:00X",
        ] {
            assert_eq!(iso8601(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn formats_are_read_and_written() {
        let read = |text: &str, format: Result<Format>| written(read(text, &format.unwrap()));
        for (text, format, expected) in [
            ("2026-03-01T12:34:56Z", "%Y-%m-%dT%H:%i:%sZ", Some("2026-03-01 12:34:56")),
            ("2026/03/01", "%Y/%m/%d", Some("2026-03-01 00:00:00")),
            ("2026-03", "%Y-%m", Some("2026-03-01 00:00:00")),
            ("1 March 2026 9:05 PM", "%e %M %Y %l:%i %p", Some("2026-03-01 21:05:00")),
            ("2026-03-01 12:34:56.7", "%Y-%m-%d %H:%i:%s.%f", Some("2026-03-01 12:34:56.700")),
            ("2026-03-01 12", "%Y-%m-%d %H", Some("2026-03-01 12:00:00")),
            ("2026-02-30", "%Y-%m-%d", None),
            ("2026-03-01 and more", "%Y-%m-%d", None),
        ] {
            assert_eq!(read(text, mysql_parse(format)).as_deref(), expected, "{text} {format}");
        }
        assert_eq!(
            read("2026-03-01 12:34:56", joda("yyyy-MM-dd HH:mm:ss")).as_deref(),
            Some("2026-03-01 12:34:56")
        );
        assert!(mysql("%D").is_err() && joda("yyyy'").is_err() && joda("q").is_err());
    }
}
