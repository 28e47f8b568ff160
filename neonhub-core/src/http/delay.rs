//! How long a server wants us to wait, in every form it may say so.

use std::time::Duration;

use super::Headers;
use crate::Timestamp;

/// Longer than any quota window; a larger number is a mistake of the server.
const LONGEST: f64 = 366.0 * 86_400.0;

/// The wait a server asks for: `retry-after-ms` (milliseconds), `retry-after` as seconds, `retry-after` as a date, in
/// this order. `None` without one of them, or for one that makes no sense.
// The order of the OpenAI and Anthropic SDKs, read in their sources, 2026.
#[must_use]
pub fn retry_after(headers: &Headers, now: Timestamp) -> Option<Duration> {
    let number = |name: &str| headers.get(name).and_then(|v| v.trim().parse::<f64>().ok());
    if let Some(wait) = number("retry-after-ms").and_then(|ms| seconds(ms / 1000.0)) {
        return Some(wait);
    }
    if let Some(s) = number("retry-after") {
        return seconds(s);
    }
    let date = headers.get("retry-after")?.trim();
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).ok()?;
    Some(Timestamp::from(at).since(now))
}

/// When a window of a rate limit starts again: a duration (`12ms`, `1s`, `6m0s`) or an RFC 3339 instant. `None` for
/// what is unknown, `0` and `-1` among it.
#[must_use]
pub fn reset_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(Timestamp::from(at).since(now));
    }
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(letters)?;
        let unit = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * unit;
        rest = tail;
    }
    (!text.is_empty()).then(|| seconds(total)).flatten()
}

fn seconds(s: f64) -> Option<Duration> {
    (s.is_finite() && (0.0..=LONGEST).contains(&s)).then(|| Duration::from_secs_f64(s))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::parse("now", "2026-11-20T10:00:00Z").unwrap()
    }

    #[test]
    fn every_form_of_waiting_is_read() {
        let wait = |pairs: &[(&str, &str)]| {
            retry_after(&Headers::new(pairs.iter().copied()), now()).map(|d| d.as_millis())
        };
        assert_eq!(wait(&[("Retry-After", "2"), ("retry-after-ms", "1500.5")]), Some(1500));
        assert_eq!(wait(&[("retry-after", "2.5")]), Some(2500));
        assert_eq!(wait(&[("retry-after", "Fri, 20 Nov 2026 10:00:07 GMT")]), Some(7000));
        assert_eq!(wait(&[("retry-after", "Fri, 20 Nov 2026 09:00:00 GMT")]), Some(0));
        assert_eq!(wait(&[("retry-after-ms", "soon"), ("retry-after", "3")]), Some(3000));
        for nonsense in ["-1", "NaN", "inf", "1e300", "tomorrow", ""] {
            assert_eq!(wait(&[("retry-after", nonsense)]), None, "{nonsense}");
        }
        assert_eq!(wait(&[]), None);
    }

    #[test]
    fn resets_are_durations_or_instants() {
        let wait = |text| reset_after(text, now()).map(|d| d.as_millis());
        for (text, ms) in [("12ms", 12), ("1s", 1000), ("6m0s", 360_000), ("1h2m3.5s", 3_723_500)] {
            assert_eq!(wait(text), Some(ms), "{text}");
        }
        assert_eq!(wait("2026-11-20T10:00:30Z"), Some(30_000));
        for unknown in ["-1", "0", "", "soon", "5x", "s"] {
            assert_eq!(wait(unknown), None, "{unknown}");
        }
    }
}
