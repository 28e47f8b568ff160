//! Which calls are counted, and how many are admitted: data, chosen when the hub is built.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Rate;

/// What a rule counts.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Counted {
    /// Calls of one authenticated principal (user or key) in one workspace.
    Principal,
    /// Runs of one agent for one principal in one workspace.
    Agent,
    /// Calls at a public entry point from one source (an address, hashed by the host).
    Source,
    /// Deliveries of webhooks to one workspace.
    Webhook,
}

impl Counted {
    /// Every word.
    pub const ALL: &'static [Counted] =
        &[Counted::Principal, Counted::Agent, Counted::Source, Counted::Webhook];

    /// The stable word, which starts the names of its buckets.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Counted::Principal => "principal",
            Counted::Agent => "agent",
            Counted::Source => "source",
            Counted::Webhook => "webhook",
        }
    }
}

/// A named table of limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitProfile {
    /// Name, shown by `limits.list`.
    pub name: String,
    /// What is limited; what has no row is not.
    pub rules: Vec<(Counted, Rate)>,
}

impl LimitProfile {
    /// For an app that embeds the hub and is its only caller: nothing is counted. The default.
    #[must_use]
    pub fn embedded() -> Self {
        LimitProfile { name: "embedded".into(), rules: Vec::new() }
    }

    /// For a host that serves strangers.
    // The figures of the earlier NeonHub web platform.
    #[must_use]
    pub fn hosted() -> Self {
        let minute = Duration::from_secs(60);
        LimitProfile {
            name: "hosted".into(),
            rules: vec![
                (Counted::Principal, Rate::new(60, minute)),
                (Counted::Agent, Rate::new(60, minute)),
                (Counted::Source, Rate::new(100, Duration::from_secs(15 * 60))),
                (Counted::Webhook, Rate::new(1_000, Duration::from_secs(3_600))),
            ],
        }
    }

    /// The same with more room: 100 calls per minute of a principal, 1 000 of a source.
    // The figures of the earlier NeonHub web platform.
    #[must_use]
    pub fn generous() -> Self {
        let minute = Duration::from_secs(60);
        LimitProfile { name: "generous".into(), ..LimitProfile::hosted() }
            .with(Counted::Principal, Rate::new(100, minute))
            .with(Counted::Source, Rate::new(1_000, minute))
    }

    /// This profile with one row set.
    #[must_use]
    pub fn with(mut self, counted: Counted, rate: Rate) -> Self {
        self.rules.retain(|(c, _)| *c != counted);
        self.rules.push((counted, rate));
        self.rules.sort_by_key(|(c, _)| *c);
        self
    }

    /// The row for a kind of calls.
    #[must_use]
    pub fn rate(&self, counted: Counted) -> Option<Rate> {
        self.rules.iter().find(|(c, _)| *c == counted).map(|(_, rate)| *rate)
    }
}

impl Default for LimitProfile {
    fn default() -> Self {
        LimitProfile::embedded()
    }
}
