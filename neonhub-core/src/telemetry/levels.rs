//! How much is logged, by target, changeable while the process runs.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// How important a line is. The later in this list, the more there is of it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// The process cannot go on: an error with the field `fatal`.
    Fatal,
    /// Something failed.
    Error,
    /// Something may fail.
    Warn,
    /// Something happened. The default.
    #[default]
    Info,
    /// For developers.
    Debug,
    /// Everything.
    Trace,
}

impl Level {
    /// The stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Level::Fatal => "fatal",
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        }
    }
}

impl From<&tracing::Level> for Level {
    fn from(level: &tracing::Level) -> Self {
        match *level {
            tracing::Level::ERROR => Level::Error,
            tracing::Level::WARN => Level::Warn,
            tracing::Level::INFO => Level::Info,
            tracing::Level::DEBUG => Level::Debug,
            tracing::Level::TRACE => Level::Trace,
        }
    }
}

#[derive(Clone, Debug)]
struct Rule {
    target: String,
    level: Level,
    until: Option<Timestamp>,
}

/// The levels of a log layer: a default, and rules per target, some of them for a while.
#[derive(Debug, Default)]
pub struct Levels {
    base: RwLock<Level>,
    rules: RwLock<Vec<Rule>>,
}

impl Levels {
    /// Levels of their own, at `info`.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The levels of this process, which `telemetry.set_level` changes: `tracing` has one dispatcher per process.
    #[must_use]
    pub fn global() -> Arc<Self> {
        static GLOBAL: OnceLock<Arc<Levels>> = OnceLock::new();
        Arc::clone(GLOBAL.get_or_init(Levels::new))
    }

    /// Sets the level of everything no rule names.
    pub fn set_default(&self, level: Level) {
        *self.base.write().unwrap_or_else(PoisonError::into_inner) = level;
    }

    /// Sets the level of a target and all below it, until an instant if one is given.
    pub fn set(&self, target: &str, level: Level, until: Option<Timestamp>) {
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        rules.retain(|r| r.target != target);
        rules.push(Rule { target: target.to_owned(), level, until });
        // The longest target that fits decides.
        rules.sort_by_key(|r| std::cmp::Reverse(r.target.len()));
    }

    /// True when a line of this target and level is to be written at this instant.
    #[must_use]
    pub fn allows(&self, target: &str, level: Level, now: Timestamp) -> bool {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        let rule =
            rules.iter().find(|r| r.until.is_none_or(|until| now < until) && covers(&r.target, target));
        let allowed =
            rule.map_or_else(|| *self.base.read().unwrap_or_else(PoisonError::into_inner), |r| r.level);
        level <= allowed
    }
}

fn covers(rule: &str, target: &str) -> bool {
    target.strip_prefix(rule).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_target_decides_for_as_long_as_it_was_given() {
        let levels = Levels::new();
        let at = Timestamp::from_millis;
        levels.set("neonhub_core", Level::Warn, None);
        levels.set("neonhub_core::job", Level::Trace, Some(at(100)));
        assert!(levels.allows("other", Level::Info, at(0)) && !levels.allows("other", Level::Debug, at(0)));
        assert!(!levels.allows("neonhub_core::bus", Level::Info, at(0)));
        assert!(levels.allows("neonhub_core::job::worker", Level::Trace, at(99)));
        assert!(!levels.allows("neonhub_core::job::worker", Level::Info, at(100)));
        assert!(levels.allows("neonhub_core_x", Level::Info, at(0)), "a target ends at its colons");
    }
}
