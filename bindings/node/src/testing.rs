//! The helpers for tests of applications.

use std::time::Duration;

use napi::bindgen_prelude::Either;
use napi_derive::napi;
use neonhub_ffi::testing::{Cassette, Faults, NetworkForbidden, ScriptedModel, VirtualClock, forbid_network};
use neonhub_ffi::{FfiResult, plain};

use crate::hub::{Hub, failure, map};

/// A model that plays a script.
#[napi]
pub struct Script(ScriptedModel);

/// Reads a script, a JSON list; gives the error as JSON.
#[napi(catch_unwind)]
pub(crate) fn script(lines: String) -> Either<Script, String> {
    let made: FfiResult<ScriptedModel> = map("testing.script", &lines).and_then(ScriptedModel::new);
    made.map_or_else(|error| Either::B(plain::error_to_json(&error)), |model| Either::A(Script(model)))
}

#[napi]
impl Script {
    /// Adds a line at the end; gives the error as JSON.
    #[napi(catch_unwind)]
    pub fn add(&self, line: String) -> Option<String> {
        failure(|| self.0.add(map("testing.script", &line)?))
    }

    /// Every request so far, as a JSON list.
    #[napi(catch_unwind)]
    pub fn requests(&self) -> String {
        self.0.requests().to_string()
    }

    /// The lines that nobody has asked for.
    #[napi(catch_unwind)]
    pub fn left(&self) -> Vec<String> {
        self.0.left()
    }
}

/// Answers of models on tape.
#[napi]
pub struct Tape(Cassette);

/// Opens a cassette; gives the error as JSON.
#[napi(catch_unwind)]
pub(crate) fn tape(path: String, mode: String) -> Either<Tape, String> {
    Cassette::open(path, &mode)
        .map_or_else(|error| Either::B(plain::error_to_json(&error)), |made| Either::A(Tape(made)))
}

#[napi]
impl Tape {
    /// Erases every answer about a person: how many there were, or the error as JSON.
    #[napi(catch_unwind)]
    pub fn erase_person(&self, person: String) -> Either<u32, String> {
        match self.0.erase_person(&person) {
            Ok(erased) => Either::A(u32::try_from(erased).unwrap_or(u32::MAX)),
            Err(error) => Either::B(plain::error_to_json(&error)),
        }
    }
}

/// Faults on demand.
#[napi]
#[derive(Default)]
pub struct Injector(Faults);

#[napi]
impl Injector {
    /// One without rules.
    #[napi(constructor)]
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a rule, a JSON map; gives the error as JSON.
    #[napi(catch_unwind)]
    pub fn add(&self, rule: String) -> Option<String> {
        failure(|| self.0.add(map("testing.faults", &rule)?))
    }

    /// Takes every rule away.
    #[napi]
    pub fn clear(&self) {
        self.0.clear();
    }

    /// The calls so far, as a JSON list.
    #[napi(catch_unwind)]
    pub fn seen(&self) -> String {
        self.0.seen().to_string()
    }
}

/// The clock of a hub that was opened with `now`.
#[napi]
pub struct Clock(VirtualClock);

#[napi]
impl Clock {
    /// UTC milliseconds.
    #[napi]
    #[allow(clippy::cast_precision_loss, reason = "instants end before 2^53")]
    pub fn now(&self) -> f64 {
        self.0.now_ms() as f64
    }

    /// Moves it to an RFC 3339 instant; gives the error as JSON.
    #[napi(catch_unwind)]
    pub fn set(&self, instant: String) -> Option<String> {
        failure(|| self.0.set(&instant))
    }

    /// Moves it forward.
    #[napi(catch_unwind)]
    pub fn advance(&self, milliseconds: f64) {
        self.0.advance(Duration::try_from_secs_f64(milliseconds / 1000.0).unwrap_or_default());
    }
}

/// Keeps sockets shut until `allow`.
#[napi]
pub struct Offline(Option<NetworkForbidden>);

#[napi]
impl Offline {
    /// Shuts them.
    #[napi(constructor)]
    #[must_use]
    #[allow(clippy::new_without_default, reason = "a constructor for JavaScript with an effect")]
    pub fn new() -> Self {
        Offline(Some(forbid_network()))
    }

    /// Lets go. Doing it twice is doing it once.
    #[napi]
    pub fn allow(&mut self) {
        self.0 = None;
    }
}

#[napi]
impl Hub {
    /// Adds a scripted model; gives the error as JSON.
    #[napi(catch_unwind)]
    pub fn add_script(&self, script: &Script) -> Option<String> {
        failure(|| self.ffi().add_scripted(&script.0))
    }

    /// Puts a cassette before the models of the hub, or takes it away; gives the error as JSON.
    #[napi(catch_unwind)]
    pub fn insert_tape(&self, tape: Option<&Tape>) -> Option<String> {
        failure(|| self.ffi().insert_cassette(tape.map(|tape| &tape.0)))
    }

    /// Puts faults on calls of the hub, or takes them away; gives the error as JSON.
    #[napi(catch_unwind)]
    pub fn inject(&self, faults: Option<&Injector>) -> Option<String> {
        failure(|| self.ffi().inject_faults(faults.map(|faults| &faults.0)))
    }

    /// The clock, when the hub was opened with `now`.
    #[napi(catch_unwind)]
    pub fn clock(&self) -> Option<Clock> {
        self.ffi().clock().map(Clock)
    }
}
