//! Instants and the clock of a Scope.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// 9999-12-31T23:59:59.999Z, the last instant accepted.
const MAX_MS: i64 = 253_402_300_799_999;

/// An instant: UTC milliseconds since 1970-01-01, in 1970..=9999.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        let ms = i64::deserialize(d)?;
        if (0..=MAX_MS).contains(&ms) {
            return Ok(Timestamp(ms));
        }
        Err(serde::de::Error::custom("expected UTC milliseconds of an instant in 1970..=9999"))
    }
}

impl Timestamp {
    /// The first instant there is.
    pub const EPOCH: Timestamp = Timestamp(0);

    /// From UTC milliseconds; values outside 1970..=9999 are clamped.
    #[must_use]
    pub const fn from_millis(ms: i64) -> Self {
        Timestamp(if ms < 0 {
            0
        } else if ms > MAX_MS {
            MAX_MS
        } else {
            ms
        })
    }

    /// UTC milliseconds.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Reads RFC 3339 text such as `2026-11-21T09:00:00Z`.
    ///
    /// # Errors
    /// `InvalidInput` naming `field`.
    pub fn parse(field: &str, text: &str) -> Result<Self> {
        let bad = || {
            Error::invalid(
                "timestamp.parse",
                field,
                "expected an RFC 3339 instant with offset, such as 2026-11-21T09:00:00Z",
            )
        };
        let at: jiff::Timestamp = text.trim().parse().map_err(|_| bad())?;
        let ms = at.as_millisecond();
        if (0..=MAX_MS).contains(&ms) { Ok(Timestamp(ms)) } else { Err(bad()) }
    }

    /// The same instant for the `jiff` library.
    #[must_use]
    pub fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }

    /// The same instant on the wall clock of `zone`.
    #[must_use]
    pub fn in_zone(self, zone: &TimeZone) -> jiff::Zoned {
        self.to_jiff().to_zoned(zone.clone())
    }

    /// This instant plus `by`.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Timestamp::from_millis(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Time from `earlier` to this instant; zero when it is later.
    #[must_use]
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or_default())
    }

    /// This instant minus `by`.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Timestamp::from_millis(self.0.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl From<jiff::Timestamp> for Timestamp {
    fn from(at: jiff::Timestamp) -> Self {
        Timestamp::from_millis(at.as_millisecond())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_jiff())
    }
}

/// Where a Scope reads the time. Tests and `--now` give a clock that stands still or is moved by hand.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The current instant.
    fn now(&self) -> Timestamp;
    /// True when time passes only by hand, so that nothing must sleep on it.
    fn is_virtual(&self) -> bool {
        false
    }
    /// Waits. A clock that is moved by hand moves itself on instead, so that no test sleeps.
    fn sleep(&self, by: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(tokio::time::sleep(by))
    }
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        jiff::Timestamp::now().into()
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `at`.
    #[must_use]
    pub fn at(at: Timestamp) -> Self {
        ManualClock(AtomicI64::new(at.as_millis()))
    }

    /// Moves the clock to `at`.
    pub fn set(&self, at: Timestamp) {
        self.0.store(at.as_millis(), Ordering::SeqCst);
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.set(self.now().plus(by));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
    fn is_virtual(&self) -> bool {
        true
    }
    fn sleep(&self, by: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            // Whoever else is ready goes first: a wait gives way even when it costs no time.
            tokio::task::yield_now().await;
            // Rounded up to the clock's millisecond, so that a wait never ends early.
            self.advance(Duration::from_millis(
                u64::try_from(by.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX),
            ));
        })
    }
}

/// Looks up an IANA zone in the bundled time zone database.
///
/// # Errors
/// `InvalidInput` naming `field` when the zone is unknown.
pub fn zone(field: &str, name: &str) -> Result<TimeZone> {
    // `TimeZone::get` also takes POSIX strings and is case-insensitive; only IANA names are ours.
    match TimeZone::get(name) {
        Ok(zone) if zone.iana_name().is_some() => Ok(zone),
        _ => Err(Error::invalid("timezone.parse", field, "expected an IANA time zone such as Europe/Vienna")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_3339_goes_in_and_out() {
        let at = Timestamp::parse("now", "2026-11-21T10:00:00+01:00").unwrap();
        assert_eq!(at.to_string(), "2026-11-21T09:00:00Z");
        assert!(Timestamp::parse("now", "yesterday").is_err());
    }

    #[test]
    fn only_iana_zones_are_zones() {
        assert!(zone("timezone", "Europe/Vienna").is_ok());
        assert!(zone("timezone", "Mars/Olympus").is_err());
    }
}
