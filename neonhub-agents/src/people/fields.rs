//! Checks of the plain fields of a person: names, language, country.

use std::borrow::Cow;

use super::limits::MAX_NAME_CHARS;

/// A name without control characters, of at most 200 characters.
#[must_use]
pub fn name(value: &str) -> Option<&str> {
    let value = value.trim();
    let fits = value.len() <= MAX_NAME_CHARS || value.chars().count() <= MAX_NAME_CHARS;
    (fits && !value.is_empty() && !value.chars().any(char::is_control)).then_some(value)
}

/// A language tag in the usual case: `de`, `de-AT`, `zh-Hant-TW`. Underscores are read as hyphens.
// BCP 47 (RFC 5646, 2.1): language 2-3 letters, script 4, region 2 letters or 3 digits; variants are kept.
#[must_use]
pub fn locale(value: &str) -> Option<String> {
    let value = value.trim();
    if value.len() > 35 {
        return None;
    }
    let mut out = String::with_capacity(value.len());
    for (at, part) in value.split(['-', '_']).enumerate() {
        let alpha = part.bytes().all(|b| b.is_ascii_alphabetic());
        let digit = part.bytes().all(|b| b.is_ascii_digit());
        let fits = match (at, part.len()) {
            (0, 2 | 3) => alpha,
            (0, _) => false,
            (_, 2 | 4) if alpha => true,
            (_, 3) if digit => true,
            (_, 4..=8) => part.bytes().all(|b| b.is_ascii_alphanumeric()),
            _ => false,
        };
        if !fits {
            return None;
        }
        if at > 0 {
            out.push('-');
        }
        out.push_str(&cased(at, part, alpha));
    }
    Some(out)
}

fn cased(at: usize, part: &str, is_alpha: bool) -> Cow<'_, str> {
    match part.len() {
        2 if at > 0 => Cow::Owned(part.to_ascii_uppercase()),
        4 if at > 0 && is_alpha => {
            let (head, tail) = part.split_at(1);
            Cow::Owned(head.to_ascii_uppercase() + &tail.to_ascii_lowercase())
        }
        _ => Cow::Owned(part.to_ascii_lowercase()),
    }
}

/// A country code of ISO 3166-1 alpha-2 in upper case.
#[must_use]
pub fn country(value: &str) -> Option<String> {
    let code = value.trim().to_ascii_uppercase();
    (code.len() == 2 && COUNTRIES.contains(&code.as_str())).then_some(code)
}

/// ISO 3166-1 alpha-2, officially assigned codes (ISO 3166 Online Browsing Platform, 2026), and XK for Kosovo.
#[rustfmt::skip]
pub const COUNTRIES: [&str; 250] = [
    "AD","AE","AF","AG","AI","AL","AM","AO","AQ","AR","AS","AT","AU","AW","AX","AZ","BA","BB","BD","BE","BF","BG","BH","BI","BJ",
    "BL","BM","BN","BO","BQ","BR","BS","BT","BV","BW","BY","BZ","CA","CC","CD","CF","CG","CH","CI","CK","CL","CM","CN","CO","CR",
    "CU","CV","CW","CX","CY","CZ","DE","DJ","DK","DM","DO","DZ","EC","EE","EG","EH","ER","ES","ET","FI","FJ","FK","FM","FO","FR",
    "GA","GB","GD","GE","GF","GG","GH","GI","GL","GM","GN","GP","GQ","GR","GS","GT","GU","GW","GY","HK","HM","HN","HR","HT","HU",
    "ID","IE","IL","IM","IN","IO","IQ","IR","IS","IT","JE","JM","JO","JP","KE","KG","KH","KI","KM","KN","KP","KR","KW","KY","KZ",
    "LA","LB","LC","LI","LK","LR","LS","LT","LU","LV","LY","MA","MC","MD","ME","MF","MG","MH","MK","ML","MM","MN","MO","MP","MQ",
    "MR","MS","MT","MU","MV","MW","MX","MY","MZ","NA","NC","NE","NF","NG","NI","NL","NO","NP","NR","NU","NZ","OM","PA","PE","PF",
    "PG","PH","PK","PL","PM","PN","PR","PS","PT","PW","PY","QA","RE","RO","RS","RU","RW","SA","SB","SC","SD","SE","SG","SH","SI",
    "SJ","SK","SL","SM","SN","SO","SR","SS","ST","SV","SX","SY","SZ","TC","TD","TF","TG","TH","TJ","TK","TL","TM","TN","TO","TR",
    "TT","TV","TW","TZ","UA","UG","UM","US","UY","UZ","VA","VC","VE","VG","VI","VN","VU","WF","WS","XK","YE","YT","ZA","ZM","ZW",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locales_take_the_usual_case() {
        assert_eq!(locale("DE_at").unwrap(), "de-AT");
        assert_eq!(locale("zh-hant-tw").unwrap(), "zh-Hant-TW");
        assert_eq!(locale("es-419").unwrap(), "es-419");
        for bad in ["", "d", "german", "de-", "de AT", "12"] {
            assert!(locale(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn countries_are_sorted_codes() {
        assert!(COUNTRIES.is_sorted());
        assert_eq!(country(" at ").unwrap(), "AT");
        assert!(country("UK").is_none());
        assert!(country("Austria").is_none());
    }
}
