//! Money: integer minor units with a currency, never a float.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The most minor units one amount may hold, kept below 2^53 so that JavaScript reads it exactly.
pub const MAX_MINOR: i64 = 1_000_000_000_000_000;

/// Currencies and how many digits their minor unit has.
// ISO 4217 (list one, 2026-01); exponents other than 2 are written out.
const EXPONENTS: &[(&str, u8)] = &[
    ("BIF", 0),
    ("CLP", 0),
    ("DJF", 0),
    ("GNF", 0),
    ("ISK", 0),
    ("JPY", 0),
    ("KMF", 0),
    ("KRW", 0),
    ("PYG", 0),
    ("RWF", 0),
    ("UGX", 0),
    ("UYI", 0),
    ("VND", 0),
    ("VUV", 0),
    ("XAF", 0),
    ("XOF", 0),
    ("XPF", 0),
    ("BHD", 3),
    ("IQD", 3),
    ("JOD", 3),
    ("KWD", 3),
    ("LYD", 3),
    ("OMR", 3),
    ("TND", 3),
];
const TWO_DIGITS: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP \
    BYN BZD CAD CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD \
    GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA \
    MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON \
    RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS \
    UAH USD UYU UZS VED VES WST XCD YER ZAR ZMW ZWG";

/// An ISO 4217 currency code, upper case.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

impl Currency {
    /// Reads a code in any case.
    ///
    /// # Errors
    /// `InvalidInput` naming `field` when ISO 4217 does not know the code.
    pub fn parse(field: &str, code: &str) -> Result<Self> {
        let upper = code.trim().to_ascii_uppercase();
        let known = EXPONENTS.iter().any(|(c, _)| *c == upper) || TWO_DIGITS.split(' ').any(|c| c == upper);
        match <[u8; 3]>::try_from(upper.as_bytes()) {
            Ok(bytes) if known => Ok(Currency(bytes)),
            _ => Err(Error::invalid("currency.parse", field, "expected an ISO 4217 code such as EUR")),
        }
    }

    /// The code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }

    /// Digits of the minor unit: 0 for JPY, 2 for EUR, 3 for KWD.
    #[must_use]
    pub fn exponent(&self) -> u8 {
        EXPONENTS.iter().find(|(c, _)| *c == self.as_str()).map_or(2, |(_, e)| *e)
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<String> for Currency {
    type Error = Error;
    fn try_from(code: String) -> Result<Self> {
        Currency::parse("currency", &code)
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> String {
        currency.as_str().to_owned()
    }
}

impl JsonSchema for Currency {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Currency".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string", "description": "ISO 4217 currency code", "pattern": "^[A-Z]{3}$",
            "examples": ["EUR"]
        })
    }
}

/// An amount in minor units (cents) of one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// Minor units: 1999 is 19.99 EUR. Absolute value at most 10^15.
    #[schemars(range(min = -1_000_000_000_000_000_i64, max = 1_000_000_000_000_000_i64))]
    pub minor: i64,
    /// ISO 4217 code.
    pub currency: Currency,
}

impl Money {
    /// An amount.
    ///
    /// # Errors
    /// `InvalidInput` when the absolute value is over 10^15.
    pub fn new(minor: i64, currency: Currency) -> Result<Self> {
        if minor.unsigned_abs() > MAX_MINOR.unsigned_abs() {
            return Err(Error::invalid("money.new", "minor", "expected at most 10^15 minor units"));
        }
        Ok(Money { minor, currency })
    }

    /// The sum.
    ///
    /// # Errors
    /// `InvalidInput` for two currencies or a sum over 10^15.
    pub fn plus(self, other: Money) -> Result<Self> {
        if self.currency != other.currency {
            return Err(Error::invalid("money.plus", "currency", "two currencies never add"));
        }
        Money::new(self.minor.saturating_add(other.minor), self.currency)
    }

    /// Splits the amount by weights so that the parts sum to it exactly (largest remainder; ties go to the
    /// earlier part). Weights that are all zero split evenly.
    #[must_use]
    pub fn split(self, weights: &[u32]) -> Vec<Money> {
        if weights.is_empty() {
            return Vec::new();
        }
        let even = weights.iter().all(|w| *w == 0);
        let weights: Vec<i128> = weights.iter().map(|w| if even { 1 } else { i128::from(*w) }).collect();
        let total: i128 = weights.iter().sum();
        let minor = i128::from(self.minor);
        let mut parts: Vec<i128> = weights.iter().map(|w| (minor * w).div_euclid(total)).collect();
        let mut order: Vec<usize> = (0..parts.len()).collect();
        order
            .sort_by_key(|i| std::cmp::Reverse(weights.get(*i).map_or(0, |w| (minor * w).rem_euclid(total))));
        let mut rest = minor - parts.iter().sum::<i128>();
        for i in order {
            if rest == 0 {
                break;
            }
            if let Some(part) = parts.get_mut(i) {
                *part += 1;
                rest -= 1;
            }
        }
        parts
            .into_iter()
            .map(|p| Money { minor: i64::try_from(p).unwrap_or(0), currency: self.currency })
            .collect()
    }
}

impl fmt::Display for Money {
    /// `19.99 EUR`, with as many digits as the currency has.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exponent = u32::from(self.currency.exponent());
        let unit = 10_u64.pow(exponent);
        let (sign, minor) = (if self.minor < 0 { "-" } else { "" }, self.minor.unsigned_abs());
        if exponent == 0 {
            return write!(f, "{sign}{minor} {}", self.currency);
        }
        write!(
            f,
            "{sign}{}.{:0width$} {}",
            minor / unit,
            minor % unit,
            self.currency,
            width = exponent as usize
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_read_as_people_write_them() {
        let money = |minor, code| Money::new(minor, Currency::parse("c", code).unwrap()).unwrap();
        assert_eq!(money(1999, "eur").to_string(), "19.99 EUR");
        assert_eq!(money(-5, "JPY").to_string(), "-5 JPY");
        assert_eq!(money(1, "KWD").to_string(), "0.001 KWD");
        assert!(Currency::parse("c", "EURO").is_err());
    }

    proptest! {
        #[test]
        fn parts_sum_to_the_whole(minor in 0..MAX_MINOR, weights in prop::collection::vec(0_u32..1000, 1..12)) {
            let whole = Money::new(minor, Currency::parse("c", "EUR").unwrap()).unwrap();
            let parts = whole.split(&weights);
            prop_assert_eq!(parts.iter().map(|p| p.minor).sum::<i64>(), minor);
            prop_assert!(parts.iter().all(|p| p.minor >= 0));
        }
    }
}
