//! Times and sizes as people write them: a whole number and a unit.

use std::time::Duration;

/// Reads `"500ms"`, `"30s"`, `"2m"` or `"1h"`.
///
/// # Errors
/// What is wrong with the text, as a clause.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let milliseconds: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(format!("`{text}` is not a time")),
    };
    let total = number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(milliseconds));
    total
        .map(Duration::from_millis)
        .ok_or_else(|| format!("`{text}` is not a time"))
}

/// Reads `"512B"`, `"64KiB"`, `"10MiB"` or `"1GiB"`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let bytes: u64 = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(format!("`{text}` is not a size")),
    };
    let total = number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(bytes));
    total.ok_or_else(|| format!("`{text}` is not a size"))
}

/// The units of [`duration`], for messages.
pub(crate) const DURATION_UNITS: &str =
    "expected a whole number and `ms`, `s`, `m` or `h`, such as \"30s\"";
/// The units of [`size`], for messages.
pub(crate) const SIZE_UNITS: &str =
    "expected a whole number and `B`, `KiB`, `MiB` or `GiB`, such as \"10MiB\"";

/// Reads a time with its zone, as `"2026-01-01T00:00:00Z"`, into the time since the Unix epoch.
///
/// # Errors
/// It is no such time, or one that WASI cannot tell: before the epoch, or so late (2554) that its nanoseconds are no number of
/// 64 bits.
pub fn time_of_day(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time such as 2026-01-01T00:00:00Z");
    let time: jiff::Timestamp = text.parse().map_err(|_| wrong())?;
    let since = time.duration_since(jiff::Timestamp::UNIX_EPOCH);
    let since = Duration::try_from(since).map_err(|_| wrong())?;
    u64::try_from(since.as_nanos())
        .map(|_| since)
        .map_err(|_| format!("`{text}` is too late: a guest counts nanoseconds, up to 2554-07-21"))
}

fn split(text: &str) -> (&str, &str) {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3600)));
        assert_eq!(size("64KiB"), Ok(65_536));
        assert_eq!(size("10MiB"), Ok(10 << 20));
        for bad in [
            "",
            "30",
            "s",
            "-1s",
            "1.5s",
            "30 s",
            "30S",
            "1d",
            "99999999999999999999s",
            "18446744073709551615h",
        ] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        for bad in ["", "10", "10MB", "10mib", "1.5MiB", "99999999999GiB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
