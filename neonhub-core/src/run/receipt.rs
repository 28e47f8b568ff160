//! How the outcome of a call came about, beside the outcome itself.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::economy::TokenUsage;
use crate::llm::RouteReport;

/// Where the answer of a tool comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnswerFrom {
    /// From a call of the tool in this run.
    #[default]
    Tool,
    /// From the log of the run that this one was forked from, or from what the fork was told in its place.
    Log,
    /// From nowhere: a fork called nothing, and nothing was known of such a call.
    Nowhere,
}

impl AnswerFrom {
    const fn is_tool(&self) -> bool {
        matches!(self, AnswerFrom::Tool)
    }
}

/// What the models that a call used have cost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CallCost {
    /// Micros by currency.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub micros: BTreeMap<String, u64>,
    /// Calls of models whose price is not known.
    #[serde(skip_serializing_if = "is_none")]
    pub unpriced: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
const fn is_none(count: &u32) -> bool {
    *count == 0
}

impl CallCost {
    /// Adds one call of a model.
    pub(crate) fn add(&mut self, used: &TokenUsage) {
        match (used.cost_micros, &used.currency) {
            (Some(micros), Some(currency)) => {
                let held = self.micros.entry(currency.clone()).or_default();
                *held = held.saturating_add(micros);
            }
            _ => self.unpriced = self.unpriced.saturating_add(1),
        }
    }

    /// True when no model was used that costs something.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.micros.is_empty() && self.unpriced == 0
    }
}

/// How the outcome of a call came about. Logs of older releases have none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Receipt {
    /// The version of the tool that answered or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Where the answer of the tool comes from.
    #[serde(skip_serializing_if = "AnswerFrom::is_tool")]
    pub from: AnswerFrom,
    /// The models that were considered for the answer and how those did that were asked, where a router chose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteReport>,
    /// What it cost; absent where it was free.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<CallCost>,
}

impl Receipt {
    /// As an entry of a log holds it: nothing where it says nothing.
    pub(super) fn kept(self) -> Option<Box<Self>> {
        (self != Receipt::default()).then(|| Box::new(self))
    }

    /// As the log of a fork holds it: nothing was called there, so nothing was spent.
    pub(super) fn taken_over(kept: Option<Box<Self>>) -> Self {
        Receipt { from: AnswerFrom::Log, cost: None, ..kept.map(|kept| *kept).unwrap_or_default() }
    }
}
