//! The formats that are checked; every other format is a remark for readers.

use crate::Timestamp;

/// False when `text` does not have this format. Unknown formats are true.
pub(crate) fn holds(format: &str, text: &str) -> bool {
    match format {
        "date-time" => Timestamp::parse("value", text).is_ok(),
        "date" => text.parse::<jiff::civil::Date>().is_ok() && text.len() == 10,
        "time" => text.get(0..8).is_some_and(|t| t.parse::<jiff::civil::Time>().is_ok()),
        "email" => is_email(text),
        "uri" => is_uri(text),
        "uuid" => is_uuid(text),
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        _ => true,
    }
}

/// One `@`, a local part and a dotted host, no blanks.
fn is_email(text: &str) -> bool {
    match text.rsplit_once('@') {
        Some((local, host)) => {
            !local.is_empty()
                && host.contains('.')
                && host.split('.').all(|label| !label.is_empty())
                && !text.chars().any(|c| c.is_whitespace() || c.is_control())
        }
        None => false,
    }
}

/// `scheme:rest`, no blanks.
fn is_uri(text: &str) -> bool {
    match text.split_once(':') {
        Some((scheme, rest)) => {
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
                && !rest.is_empty()
                && !text.chars().any(|c| c.is_whitespace() || c.is_control())
        }
        None => false,
    }
}

/// 8-4-4-4-12 hex digits.
fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|g| g.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|g| g.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::holds;

    #[test]
    fn formats_tell_good_from_bad() {
        for (format, good, bad) in [
            ("date-time", "2026-11-21T09:00:00Z", "2026-11-21"),
            ("date", "2026-11-21", "2026-02-30"),
            ("time", "09:30:00Z", "25:00:00"),
            ("email", "ann@tea.example", "ann@tea"),
            ("uri", "https://tea.example/x", "tea example"),
            ("uuid", "01890a5d-ac96-774b-bcce-b302099a8057", "01890a5d"),
            ("ipv4", "192.0.2.1", "192.0.2.256"),
        ] {
            assert!(holds(format, good), "{format} {good}");
            assert!(!holds(format, bad), "{format} {bad}");
        }
        assert!(holds("uint32", "anything"));
    }
}
