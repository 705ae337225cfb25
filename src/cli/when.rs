//! Points in time on the command line.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};

use crate::error::{Error, Result};

/// Reads a WHEN: a date (its first moment, UTC), an RFC 3339 time, `now`, `today`, `yesterday`, or a time ago: a number
/// and `m`, `h`, `d` or `w` (minutes, hours, days, weeks).
///
/// # Errors
/// What is wrong with the text, for the person who wrote it.
pub fn parse_when(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    let midnight = |date: NaiveDate| date.and_time(NaiveTime::MIN).and_utc();
    let today = now.date_naive();
    match text {
        "now" => return Ok(now),
        "today" => return Ok(midnight(today)),
        "yesterday" => return Ok(midnight(today.checked_sub_days(Days::new(1)).unwrap_or(today))),
        _ => {}
    }
    if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Ok(midnight(date));
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    duration(text).and_then(|ago| now.checked_sub_signed(ago)).ok_or_else(|| {
        "expected a date (2026-03-01), an RFC 3339 time (2026-03-01T12:00:00Z), a time ago (36h, 7d) or yesterday"
            .into()
    })
}

/// Reads a DURATION: a number and `m`, `h`, `d` or `w`.
///
/// # Errors
/// What is wrong with the text, for the person who wrote it.
pub fn parse_duration(text: &str) -> Result<TimeDelta, String> {
    duration(text)
        .ok_or_else(|| "expected a number of minutes, hours, days or weeks (90m, 36h, 7d, 2w)".into())
}

fn duration(text: &str) -> Option<TimeDelta> {
    [('m', 1), ('h', 60), ('d', 24 * 60), ('w', 7 * 24 * 60)].into_iter().find_map(|(unit, minutes)| {
        let count: u32 = text.strip_suffix(unit)?.parse().ok()?;
        TimeDelta::try_minutes(i64::from(count) * minutes)
    })
}

/// Reads the WHEN of a flag.
///
/// # Errors
/// Where it is none.
pub fn when(flag: &str, text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>> {
    parse_when(text, now).map_err(|reason| Error::usage(format!("--{flag} {text:?}: {reason}")))
}

/// Reads the WHEN of `--since` and of `--until`.
///
/// # Errors
/// Where one is none, and where nothing is between them.
pub fn between(since: Option<&str>, until: Option<&str>, now: DateTime<Utc>) -> Result<Between> {
    let since = since.map(|text| when("since", text, now)).transpose()?;
    let until = until.map(|text| when("until", text, now)).transpose()?;
    if since.zip(until).is_some_and(|(since, until)| since >= until) {
        return Err(Error::usage("--since is not before --until, so no event could be wanted"));
    }
    Ok((since, until))
}

/// From when on, and before when.
pub type Between = (Option<DateTime<Utc>>, Option<DateTime<Utc>>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_dates_times_and_times_ago() {
        let now = DateTime::parse_from_rfc3339("2026-03-10T12:30:00Z").unwrap().to_utc();
        for (text, expected) in [
            ("2026-03-01", "2026-03-01T00:00:00Z"),
            ("2026-03-01T02:00:00+02:00", "2026-03-01T00:00:00Z"),
            ("yesterday", "2026-03-09T00:00:00Z"),
            ("today", "2026-03-10T00:00:00Z"),
            ("36h", "2026-03-09T00:30:00Z"),
            ("7d", "2026-03-03T12:30:00Z"),
            ("90m", "2026-03-10T11:00:00Z"),
            ("2w", "2026-02-24T12:30:00Z"),
        ] {
            let expected = DateTime::parse_from_rfc3339(expected).unwrap();
            assert_eq!(parse_when(text, now).unwrap(), expected, "{text}");
        }
        for text in ["", "d", "-1d", "2026-02-30", "1.5h", "99999999999d", "4294967295w", "soon"] {
            assert!(parse_when(text, now).is_err(), "{text}");
        }
    }
}
