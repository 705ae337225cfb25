//! Times as text, text as times, and arithmetic on them: Trino's functions, and DuckDB's where they have other names.
//!
//! Times without a zone are taken as UTC. Published queries compare them with times that have one.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Date32Array, Int64Array, PrimitiveArray, StringViewBuilder, TimestampMicrosecondArray,
};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use chrono::format::{Item, Parsed, StrftimeItems, parse};
use chrono::{DateTime, Datelike, Months, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, Timelike};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err, plan_err};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::simplify::SimplifyContext;

use super::json::cut;
use super::{Call, Function, Returns, call, literal, shapes};

macro_rules! part {
    ($name:literal, $of:expr) => {
        Function::new($name, (1, 1), Returns::Int, |call| {
            let of: fn(&NaiveDateTime) -> i64 = $of;
            let parts = micros(call, 0)?.unary_opt::<_, Int64Type>(|micros| Some(of(&naive(micros)?)));
            Ok(Arc::new(parts))
        })
    };
}

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("from_iso8601_timestamp", (1, 1), Returns::Time, from_iso8601).fails().simplify(own_time),
    Function::new("from_iso8601_timestamp_nanos", (1, 1), Returns::Time, from_iso8601)
        .fails()
        .simplify(own_time),
    Function::new("from_iso8601_date", (1, 1), Returns::Date, date).fails(),
    Function::new("to_iso8601", (1, 1), Returns::Text, to_iso8601),
    Function::new("date_parse", (2, 2), Returns::LocalTime, date_parse).fails().simplify(own_local_time),
    Function::new("date_format", (2, 2), Returns::Text, date_format),
    Function::new("parse_datetime", (2, 2), Returns::Time, parse_datetime).fails(),
    Function::new("format_datetime", (2, 2), Returns::Text, format_datetime),
    Function::new("date_add", (3, 3), Returns::Of(|types, _| added_type(types)), date_add),
    Function::new("date_diff", (3, 3), Returns::Int, date_diff).also(&["datesub", "date_sub"]),
    Function::new("datediff", (3, 3), Returns::Int, datediff),
    DATE,
    Function::new("from_unixtime", (1, 1), Returns::Time, from_unixtime),
    Function::new("to_unixtime", (1, 1), Returns::Float, to_unixtime).also(&["epoch"]),
    Function::new("epoch_ms", (1, 1), Returns::Of(|types, _| epoch_type(types)), epoch_ms),
    Function::new("strftime", (2, 2), Returns::Text, strftime),
    Function::new("strptime", (2, 2), Returns::LocalTime, strptime).fails(),
    Function::new("last_day_of_month", (1, 1), Returns::Date, last_day).also(&["last_day"]),
    // Parts. Monday is 1, as in ISO 8601; in DuckDB's `dayofweek` Sunday is 0.
    part!("year", |time| i64::from(time.year())),
    part!("quarter", |time| i64::from(time.month0() / 3 + 1)),
    part!("month", |time| i64::from(time.month())),
    part!("week", |time| i64::from(time.iso_week().week())).also(&["week_of_year", "weekofyear"]),
    part!("day", |time| i64::from(time.day())).also(&["day_of_month", "dayofmonth"]),
    part!("day_of_week", |time| i64::from(time.weekday().number_from_monday())).also(&["dow", "isodow"]),
    part!("dayofweek", |time| i64::from(time.weekday().num_days_from_sunday())).also(&["weekday"]),
    part!("day_of_year", |time| i64::from(time.ordinal())).also(&["doy", "dayofyear"]),
    part!("year_of_week", |time| i64::from(time.iso_week().year())).also(&["yow", "isoyear"]),
    part!("hour", |time| i64::from(time.hour())),
    part!("minute", |time| i64::from(time.minute())),
    part!("second", |time| i64::from(time.second())),
    part!("millisecond", |time| i64::from(time.nanosecond() / 1_000_000)),
    Function::new("dayname", (1, 1), Returns::Text, |call| named(call, "%A")),
    Function::new("monthname", (1, 1), Returns::Text, |call| named(call, "%B")),
];

/// The day of a time, or the one that a text starts with.
const DATE: Function = {
    let mut function = Function::new("date", (1, 1), Returns::Date, date).fails().simplify(own_date);
    function.preimage = Some(times_of_day);
    function
};
static DATE_FN: Function = DATE;

/// The type of a moment.
pub(super) fn moment() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The type of a time without a zone.
pub(super) fn local() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, None)
}

/// An argument as moments, in microseconds since 1970.
pub(super) fn micros(call: &Call<'_>, at: usize) -> Result<TimestampMicrosecondArray> {
    let array = call.array(at)?;
    let strict = CastOptions { safe: call.lenient, ..CastOptions::default() };
    // A time without a zone is one of UTC.
    let moments = cast_with_options(&array, &moment(), &strict)?;
    Ok(moments
        .as_any()
        .downcast_ref::<TimestampMicrosecondArray>()
        .cloned()
        .unwrap_or_else(|| PrimitiveArray::<TimestampMicrosecondType>::new_null(call.rows)))
}

fn naive(micros: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp_micros(micros).map(|time| time.naive_utc())
}

fn whole(micros: &TimestampMicrosecondArray) -> TimestampMicrosecondArray {
    micros.clone().with_timezone("UTC")
}

/// The time of an event, whose text is what would be parsed.
fn own_time(args: &[Expr]) -> Option<Expr> {
    shapes::time_under(args.first()?)
}

fn own_local_time(args: &[Expr]) -> Option<Expr> {
    let [text, format] = args else { return None };
    let iso = ["%Y-%m-%dT%H:%i:%sZ", "%Y-%m-%dT%H:%i:%SZ", "%Y-%m-%dT%TZ"];
    let time = iso.contains(&literal(format)?).then(|| shapes::time_under(text))??;
    Some(Expr::Cast(Cast::new(Box::new(time), local())))
}

fn own_date(args: &[Expr]) -> Option<Expr> {
    Some(call(&DATE_FN, vec![shapes::time_under(args.first()?)?]))
}

fn times_of_day(
    args: &[Expr],
    day: &ScalarValue,
    types: &SimplifyContext,
) -> Result<Option<(Expr, Interval)>> {
    const DAY: i64 = 24 * 3600;
    let ([time], ScalarValue::Date32(Some(day))) = (args, day) else { return Ok(None) };
    if types.get_data_type(time)? != moment() {
        return Ok(None);
    }
    let from = i64::from(*day) * DAY;
    Ok(Some((time.clone(), Interval::try_new(shapes::second(from), shapes::second(from + DAY))?)))
}

fn parsed(
    call: &Call<'_>,
    of: impl Fn(usize, &str) -> Result<Option<NaiveDateTime>>,
    what: &str,
) -> Result<ArrayRef> {
    let texts = call.text(0)?;
    let mut times = Vec::with_capacity(call.rows);
    for (row, text) in texts.iter().enumerate() {
        let Some(text) = text else {
            times.push(None);
            continue;
        };
        times.push(match of(row, text)? {
            Some(time) => Some(time.and_utc().timestamp_micros()),
            None => call.failed(|| format!("{} is not {what}", cut(text)))?,
        });
    }
    Ok(Arc::new(whole(&TimestampMicrosecondArray::from(times))))
}

fn from_iso8601(call: &Call<'_>) -> Result<ArrayRef> {
    if call.data_type(0)?.is_temporal() {
        return Ok(Arc::new(whole(&micros(call, 0)?)));
    }
    parsed(call, |_, text| Ok(iso8601(text)), "a time as in 2026-03-01T12:34:56Z")
}

/// `2026-03-01T12:34:56.789+01:00`, of which all after the year may be missing, from the right.
fn iso8601(text: &str) -> Option<NaiveDateTime> {
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

fn to_iso8601(call: &Call<'_>) -> Result<ArrayRef> {
    let kind = call.data_type(0)?;
    let mut out = StringViewBuilder::with_capacity(call.rows);
    for micros in &micros(call, 0)? {
        let time = micros.and_then(DateTime::from_timestamp_micros);
        out.append_option(time.map(|time| {
            let precision = if time.timestamp_subsec_micros() % 1000 == 0 {
                SecondsFormat::Millis
            } else {
                SecondsFormat::Micros
            };
            let text = time.to_rfc3339_opts(precision, true);
            match kind {
                DataType::Date32 | DataType::Date64 => time.format("%Y-%m-%d").to_string(),
                DataType::Timestamp(_, None) => text.trim_end_matches('Z').to_owned(),
                _ => text,
            }
        }));
    }
    Ok(Arc::new(out.finish()))
}

/// A format as its items, in `chrono`'s notation.
type Format = Arc<Vec<Item<'static>>>;

fn items(format: &str, given: &str) -> Result<Format> {
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
fn mysql(format: &str) -> Result<Format> {
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
fn c_format(format: &str) -> Result<Format> {
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
fn joda(format: &str) -> Result<Format> {
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

fn formatted(
    call: &Call<'_>,
    times: &TimestampMicrosecondArray,
    formats: &[Option<Format>],
) -> Result<ArrayRef> {
    let mut out = StringViewBuilder::with_capacity(call.rows);
    let mut text = String::new();
    for (micros, format) in times.iter().zip(formats) {
        let (Some(time), Some(format)) = (micros.and_then(naive), format) else {
            out.append_null();
            continue;
        };
        text.clear();
        write!(text, "{}", time.and_utc().format_with_items(format.iter()))
            .map_err(|_| exec_datafusion_err!("{}: a time cannot be written so", call.name))?;
        out.append_value(&text);
    }
    Ok(Arc::new(out.finish()))
}

fn named(call: &Call<'_>, format: &str) -> Result<ArrayRef> {
    formatted(call, &micros(call, 0)?, &vec![Some(items(format, format)?); call.rows])
}

fn date_format(call: &Call<'_>) -> Result<ArrayRef> {
    formatted(call, &micros(call, 0)?, &call.each(1, mysql)?)
}

fn format_datetime(call: &Call<'_>) -> Result<ArrayRef> {
    formatted(call, &micros(call, 0)?, &call.each(1, joda)?)
}

/// `strftime(time, format)`, or the two the other way round, as SQLite has them.
fn strftime(call: &Call<'_>) -> Result<ArrayRef> {
    let (time, format) = if call.data_type(0)?.is_string() { (1, 0) } else { (0, 1) };
    formatted(call, &micros(call, time)?, &call.each(format, c_format)?)
}

/// Reads a time, of which the format may leave out the date or any part of the clock.
fn read(text: &str, format: &Format) -> Option<NaiveDateTime> {
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

fn date_parse(call: &Call<'_>) -> Result<ArrayRef> {
    // A fraction may have any number of digits.
    let formats = call.each(1, |format| mysql(format).and_then(|_| mysql_parse(format)))?;
    parsed(
        call,
        |row, text| Ok(formats[row].as_ref().and_then(|format| read(text, format))),
        "of that format",
    )
}

fn mysql_parse(format: &str) -> Result<Format> {
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

fn strptime(call: &Call<'_>) -> Result<ArrayRef> {
    let formats = call.each(1, c_format)?;
    parsed(
        call,
        |row, text| Ok(formats[row].as_ref().and_then(|format| read(text, format))),
        "of that format",
    )
}

fn parse_datetime(call: &Call<'_>) -> Result<ArrayRef> {
    let formats = call.each(1, joda)?;
    parsed(
        call,
        |row, text| Ok(formats[row].as_ref().and_then(|format| read(text, format))),
        "of that format",
    )
}

fn date(call: &Call<'_>) -> Result<ArrayRef> {
    if !call.data_type(0)?.is_string() {
        return Ok(cast(&(Arc::new(micros(call, 0)?) as ArrayRef), &DataType::Date32)?);
    }
    let days = parsed(call, |_, text| Ok(day_of(text.trim())), "a date as in 2026-03-01")?;
    Ok(cast(&days, &DataType::Date32)?)
}

/// The date a text starts with.
fn day_of(text: &str) -> Option<NaiveDateTime> {
    let (day, rest) = text.split_at_checked(10)?;
    (rest.is_empty() || rest.starts_with(['T', ' '])).then(|| iso8601(day))?
}

fn last_day(call: &Call<'_>) -> Result<ArrayRef> {
    let days: Date32Array = micros(call, 0)?.unary_opt(|micros| {
        let first = naive(micros)?.date().with_day(1)?;
        let last = first.checked_add_months(Months::new(1))?.pred_opt()?;
        i32::try_from((last - NaiveDate::default()).num_days()).ok()
    });
    Ok(Arc::new(days))
}

fn from_unixtime(call: &Call<'_>) -> Result<ArrayRef> {
    let times =
        call.floats(0)?.unary::<_, TimestampMicrosecondType>(|seconds| (seconds * 1e6).round() as i64);
    Ok(Arc::new(whole(&times)))
}

fn to_unixtime(call: &Call<'_>) -> Result<ArrayRef> {
    Ok(Arc::new(micros(call, 0)?.unary::<_, Float64Type>(|micros| micros as f64 / 1e6)))
}

fn epoch_type(types: &[DataType]) -> Result<DataType> {
    Ok(if types.first().is_some_and(DataType::is_numeric) { local() } else { DataType::Int64 })
}

fn epoch_ms(call: &Call<'_>) -> Result<ArrayRef> {
    if call.data_type(0)?.is_numeric() {
        let times = call.ints(0)?.unary::<_, TimestampMicrosecondType>(|millis| millis.saturating_mul(1000));
        return Ok(Arc::new(times));
    }
    Ok(Arc::new(micros(call, 0)?.unary::<_, Int64Type>(|micros| micros.div_euclid(1000))))
}

/// A unit of time.
#[derive(Clone, Copy, PartialEq)]
enum Unit {
    Micros(i64),
    Months(i64),
}

fn unit(name: &str) -> Result<Unit> {
    const SECOND: i64 = 1_000_000;
    let name = name.trim().to_ascii_lowercase();
    Ok(match name.strip_suffix('s').unwrap_or(&name) {
        "microsecond" => Unit::Micros(1),
        "millisecond" | "m" if name.starts_with("ms") || name.starts_with("mill") => Unit::Micros(1000),
        "second" => Unit::Micros(SECOND),
        "minute" => Unit::Micros(60 * SECOND),
        "hour" => Unit::Micros(3600 * SECOND),
        "day" => Unit::Micros(24 * 3600 * SECOND),
        "week" => Unit::Micros(7 * 24 * 3600 * SECOND),
        "month" => Unit::Months(1),
        "quarter" => Unit::Months(3),
        "year" => Unit::Months(12),
        _ => {
            return exec_err!(
                "{name:?} is no unit of time: use second, minute, hour, day, week, month or year"
            );
        }
    })
}

fn added_type(types: &[DataType]) -> Result<DataType> {
    Ok(match types.get(2) {
        Some(DataType::Date32) => DataType::Date32,
        Some(DataType::Timestamp(_, None)) => local(),
        Some(DataType::Timestamp(..)) => moment(),
        Some(text) if text.is_string() => moment(),
        Some(DataType::Null) => moment(),
        _ => return plan_err!("date_add takes a unit, a number and a time"),
    })
}

fn date_add(call: &Call<'_>) -> Result<ArrayRef> {
    let units = call.each(0, unit)?;
    let counts = call.ints(1)?;
    let times = micros(call, 2)?;
    let added: TimestampMicrosecondArray = (0..call.rows)
        .map(|row| {
            if counts.is_null(row) || times.is_null(row) {
                return None;
            }
            let (count, micros) = (counts.value(row), times.value(row));
            match units[row]? {
                Unit::Micros(unit) => micros.checked_add(count.checked_mul(unit)?),
                Unit::Months(unit) => {
                    Some(months_later(naive(micros)?, count.checked_mul(unit)?)?.and_utc().timestamp_micros())
                }
            }
        })
        .collect();
    Ok(cast(&(Arc::new(whole(&added)) as ArrayRef), call.returns)?)
}

fn months_later(time: NaiveDateTime, months: i64) -> Option<NaiveDateTime> {
    let by = Months::new(u32::try_from(months.unsigned_abs()).ok()?);
    if months < 0 { time.checked_sub_months(by) } else { time.checked_add_months(by) }
}

/// How many whole units lie between, as Trino counts; DuckDB calls that `datesub`.
fn date_diff(call: &Call<'_>) -> Result<ArrayRef> {
    between(call, |unit, from, to| match unit {
        Unit::Micros(unit) => Some((to - from) / unit),
        Unit::Months(unit) => {
            let (start, end) = (naive(from)?, naive(to)?);
            let mut months =
                i64::from(end.year() - start.year()) * 12 + i64::from(end.month()) - i64::from(start.month());
            if months > 0 && months_later(start, months)? > end {
                months -= 1;
            } else if months < 0 && months_later(start, months)? < end {
                months += 1;
            }
            Some(months / unit)
        }
    })
}

/// How many starts of a unit lie between, as DuckDB and others count under this name.
fn datediff(call: &Call<'_>) -> Result<ArrayRef> {
    const WEEK: i64 = 7 * 24 * 3600 * 1_000_000;
    // 1970-01-01 is a Thursday.
    const MONDAY: i64 = 3 * WEEK / 7;
    between(call, |unit, from, to| match unit {
        Unit::Micros(WEEK) => Some((to + MONDAY).div_euclid(WEEK) - (from + MONDAY).div_euclid(WEEK)),
        Unit::Micros(unit) => Some(to.div_euclid(unit) - from.div_euclid(unit)),
        Unit::Months(unit) => {
            let months = |micros: i64| {
                let time = naive(micros)?;
                Some((i64::from(time.year()) * 12 + i64::from(time.month0())).div_euclid(unit))
            };
            Some(months(to)? - months(from)?)
        }
    })
}

fn between(call: &Call<'_>, count: impl Fn(Unit, i64, i64) -> Option<i64>) -> Result<ArrayRef> {
    let units = call.each(0, unit)?;
    let (from, to) = (micros(call, 1)?, micros(call, 2)?);
    let counts: Int64Array = (0..call.rows)
        .map(|row| {
            if from.is_null(row) || to.is_null(row) {
                return None;
            }
            count(units[row]?, from.value(row), to.value(row))
        })
        .collect();
    Ok(Arc::new(counts))
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
