//! Numbers as a person reads them.

/// A time in microseconds.
pub(super) fn time(us: u64) -> String {
    // Precise enough for what is shown.
    #[expect(clippy::cast_precision_loss, reason = "it is rounded anyway")]
    let value = us as f64;
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{} ms", three(value / 1e3)),
        1_000_000..60_000_000 => format!("{} s", three(value / 1e6)),
        _ => {
            let seconds = us / 1_000_000;
            let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
            match hours {
                0 => format!("{minutes} min {seconds} s"),
                _ => format!("{hours} h {minutes} min"),
            }
        }
    }
}

/// A number of bytes.
pub(super) fn bytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "it is rounded anyway")]
    let value = bytes as f64;
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{} KiB", three(value / 1024.0)),
        1_048_576..1_073_741_824 => format!("{} MiB", three(value / 1_048_576.0)),
        _ => format!("{} GiB", three(value / 1_073_741_824.0)),
    }
}

/// Three digits of it.
fn three(value: f64) -> String {
    match value {
        value if value < 9.995 => format!("{value:.2}"),
        value if value < 99.95 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

/// A number with its thousands apart.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_a_unit() {
        let times = [
            7,
            1_500,
            23_456,
            999_400,
            1_240_000,
            61_000_000,
            7_260_000_000,
        ]
        .map(time);
        assert_eq!(
            times,
            [
                "7 µs",
                "1.50 ms",
                "23.5 ms",
                "999 ms",
                "1.24 s",
                "1 min 1 s",
                "2 h 1 min"
            ]
        );
        assert_eq!(
            [0, 1_536, 3 << 30].map(bytes),
            ["0 B", "1.50 KiB", "3.00 GiB"]
        );
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(number),
            ["0", "999", "1,000", "1,234,567"]
        );
    }
}
