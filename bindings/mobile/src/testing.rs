//! Helpers for the tests of applications.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use neonhub_ffi::testing::{
    Cassette, Faults, NetworkForbidden, ScriptedModel, VirtualClock, forbid_network, is_network_forbidden,
};

use crate::error::NativeError;
use crate::hub::read;

/// A model that plays a script.
#[derive(Debug, uniffi::Object)]
pub struct NativeScript(pub(crate) ScriptedModel);

#[uniffi::export]
impl NativeScript {
    /// Reads the script, a JSON list.
    ///
    /// # Errors
    /// `InvalidInput` naming the faulty line.
    #[uniffi::constructor]
    pub fn new(script: &str) -> Result<Self, NativeError> {
        Ok(NativeScript(ScriptedModel::new(read("testing.script", script)?)?))
    }

    /// Adds a line, JSON, at the end.
    ///
    /// # Errors
    /// `InvalidInput` for what is no line.
    pub fn add(&self, line: &str) -> Result<(), NativeError> {
        Ok(self.0.add(read("testing.script", line)?)?)
    }

    /// Every request so far, a JSON list.
    #[must_use]
    pub fn requests(&self) -> String {
        self.0.requests().to_string()
    }

    /// The lines that nobody has asked for, in words.
    #[must_use]
    pub fn left(&self) -> Vec<String> {
        self.0.left()
    }
}

/// Answers of models on tape.
#[derive(Debug, uniffi::Object)]
pub struct NativeCassette(pub(crate) Cassette);

#[uniffi::export]
impl NativeCassette {
    /// Opens it; `mode` is `auto`, `record` or `replay`.
    ///
    /// # Errors
    /// `InvalidInput` for another mode; `Config` when there is nothing to replay; `Corrupted` for a file that is no cassette.
    #[uniffi::constructor]
    pub fn new(path: String, mode: &str) -> Result<Self, NativeError> {
        Ok(NativeCassette(Cassette::open(path, mode)?))
    }

    /// Erases every answer about a person; says how many there were.
    ///
    /// # Errors
    /// `Unavailable` when the file cannot be written.
    pub fn erase_person(&self, person: &str) -> Result<u64, NativeError> {
        Ok(self.0.erase_person(person)? as u64)
    }
}

/// Puts faults on calls of models, tools and connectors.
#[derive(Debug, Default, uniffi::Object)]
pub struct NativeFaults(pub(crate) Faults);

#[uniffi::export]
impl NativeFaults {
    /// One without rules.
    #[uniffi::constructor]
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a rule, a JSON map.
    ///
    /// # Errors
    /// `InvalidInput` for an unknown field, and for a rule that does nothing.
    pub fn add(&self, rule: &str) -> Result<(), NativeError> {
        Ok(self.0.add(read("testing.faults", rule)?)?)
    }

    /// Takes every rule away.
    pub fn clear(&self) {
        self.0.clear();
    }

    /// The calls so far, a JSON list.
    #[must_use]
    pub fn seen(&self) -> String {
        self.0.seen().to_string()
    }
}

/// A clock that a test moves.
#[derive(Debug, uniffi::Object)]
pub struct NativeClock(pub(crate) VirtualClock);

#[uniffi::export]
impl NativeClock {
    /// The instant it shows, in UTC milliseconds.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.0.now_ms()
    }

    /// Moves it to an RFC 3339 instant.
    ///
    /// # Errors
    /// `InvalidInput` for any other text.
    pub fn set(&self, instant: &str) -> Result<(), NativeError> {
        Ok(self.0.set(instant)?)
    }

    /// Moves it forward; a negative number of milliseconds does nothing.
    pub fn advance(&self, ms: i64) {
        self.0.advance(Duration::from_millis(u64::try_from(ms).unwrap_or(0)));
    }
}

/// Keeps every socket of the process shut until it is lifted or freed.
#[derive(Debug, uniffi::Object)]
pub struct NativeOffline(Mutex<Option<NetworkForbidden>>);

#[uniffi::export]
impl NativeOffline {
    /// Forbids the network.
    #[uniffi::constructor]
    #[allow(clippy::new_without_default, reason = "forbidding the network is no default")]
    #[must_use]
    pub fn new() -> Self {
        NativeOffline(Mutex::new(Some(forbid_network())))
    }

    /// True while it, or another one, forbids the network.
    #[must_use]
    pub fn is_shut(&self) -> bool {
        is_network_forbidden()
    }

    /// Allows it again.
    pub fn lift(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}
