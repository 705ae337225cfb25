//! Sizes on the command line.

/// The bytes that `text` stands for: a number and a unit. `K`, `M`, `G`, `T`, alone or with `iB`, are powers of 1,024;
/// with `B` alone, powers of 1,000. Case does not matter, the number may have a fraction, and no unit means bytes.
///
/// # Errors
/// Says what a size looks like, where `text` is none, is zero or is beyond 64 bits.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || String::from("expected a size such as 512MiB, 2GB or 1.5g");
    let trimmed = text.trim();
    let digits = trimmed.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let unit = unit.trim().to_ascii_lowercase();
    let (prefix, base) = match unit.strip_suffix("ib") {
        Some(prefix) => (prefix, 1024_u64),
        None => match unit.strip_suffix('b') {
            Some(prefix) => (prefix, 1000),
            None => (unit.as_str(), 1024),
        },
    };
    let power = match prefix {
        "" if !unit.ends_with("ib") => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return Err(wrong()),
    };
    let factor = base.pow(power);
    let bytes = if number.contains('.') {
        let value: f64 = number.parse().map_err(|_| wrong())?;
        // The float is finite and not negative, and a cast saturates: what does not fit is the greatest size.
        (value * factor as f64) as u64
    } else {
        let value: u64 = number.parse().map_err(|_| wrong())?;
        value.checked_mul(factor).ok_or_else(wrong)?
    };
    if bytes == 0 { Err(wrong()) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_what_people_write() {
        for (text, bytes) in [
            ("1", 1),
            ("4096", 4096),
            ("4096b", 4096),
            ("1g", 1 << 30),
            ("1G", 1 << 30),
            ("512MiB", 512 << 20),
            ("512 mib", 512 << 20),
            ("2GB", 2_000_000_000),
            ("10kb", 10_000),
            ("1.5GiB", 3 << 29),
            ("1T", 1 << 40),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_says_what_one_looks_like() {
        for text in [
            "",
            "g",
            "0",
            "-1g",
            "1.g.2",
            "1x",
            "1ib",
            "12 34",
            "99999999999999999999",
            "20000000t",
            "1e9",
            ".",
        ] {
            let error = parse_size(text).unwrap_err();
            assert!(error.contains("512MiB"), "{text}: {error}");
        }
    }
}
