//! Operations on what models cost and what was used.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::TokenUsage;
use crate::llm::Usage;
use crate::op::{Effect, Operation};
use crate::permission::Permission;
use crate::store::{Key, Query};
use crate::{Error, Result, Scope, Timestamp};

/// Calls read at a time.
const PAGE: usize = 1_000;
/// Most calls of one report.
const MAX_CALLS: usize = 1_000_000;

/// What a use of a model costs at the prices of now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceUsage {
    /// The word of the provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// The tokens.
    pub usage: Usage,
}

/// A price, if it is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelPrice {
    /// In micros; absent when no price is known, which does not mean that it is free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub micros: Option<u64>,
    /// The currency; `XXX` for the offline model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// The version of the model table.
    pub price_version: String,
}

impl Operation for PriceUsage {
    type Output = ModelPrice;
    const NAME: &'static str = "economy.price";
    const NEEDS: &'static [Permission] = &[Permission::ReadAnalytics];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<ModelPrice> {
        let table = cx.model_table().await?;
        let price_version = table.version().to_owned();
        if self.provider == "offline" {
            return Ok(ModelPrice { micros: Some(0), currency: Some("XXX".into()), price_version });
        }
        let prices = table.answered(&self.provider, &self.model).and_then(|row| row.prices.as_ref());
        let micros = prices.and_then(|prices| prices.cost(&self.usage)).map(crate::llm::table::Cost::micros);
        let currency = prices.filter(|_| micros.is_some()).map(|prices| prices.currency.clone());
        Ok(ModelPrice { micros, currency, price_version })
    }

    fn examples() -> Vec<Self> {
        let usage = Usage { input_uncached: 1_200, output_visible: 300, exact: true, ..Usage::default() };
        vec![PriceUsage { provider: "local".into(), model: "house-8b".into(), usage }]
    }
}

/// What a report adds up by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UsageBy {
    /// By `provider/model`.
    #[default]
    Model,
    /// By agent; calls outside of agents are under an empty name.
    Agent,
    /// By campaign; calls without one are under an empty name.
    Campaign,
    /// By caller.
    Principal,
    /// By run; calls outside of runs are under an empty name.
    Run,
    /// By day, by UTC.
    Day,
}

/// Adds up what models were used for. Costs read no estimate as exact and no unknown price as zero.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UsageReport {
    /// What it adds up by. Default: `model`.
    pub by: UsageBy,
    /// From this instant on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Before this instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
}

/// One line of a report: calls of one name in one currency.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UsageRow {
    /// What it is about.
    pub name: String,
    /// The currency of the cost; absent for calls whose price is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Calls.
    pub calls: u64,
    /// Tokens read, from caches and written to them too.
    pub input: u64,
    /// Tokens written, those of reasoning too.
    pub output: u64,
    /// Their cost in micros.
    pub cost_micros: u64,
    /// Calls whose tokens are estimated.
    pub estimated: u64,
}

impl UsageBy {
    fn name(self, usage: &TokenUsage) -> String {
        match self {
            UsageBy::Model => format!("{}/{}", usage.provider, usage.model),
            UsageBy::Agent => usage.agent.clone().unwrap_or_default(),
            UsageBy::Campaign => usage.campaign.clone().unwrap_or_default(),
            UsageBy::Principal => usage.principal.clone(),
            UsageBy::Run => usage.run.clone().unwrap_or_default(),
            UsageBy::Day => usage.at.in_zone(&jiff::tz::TimeZone::UTC).strftime("%Y-%m-%d").to_string(),
        }
    }
}

impl Operation for UsageReport {
    type Output = Vec<UsageRow>;
    const NAME: &'static str = "economy.usage";
    const NEEDS: &'static [Permission] = &[Permission::ReadAnalytics];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<Vec<UsageRow>> {
        if let (Some(from), Some(to)) = (self.from, self.to)
            && from >= to
        {
            return Err(Error::invalid(Self::NAME, "to", "expected an instant after `from`"));
        }
        let mut rows: BTreeMap<(String, Option<String>), UsageRow> = BTreeMap::new();
        let start = self.from.map_or_else(Key::default, Key::from);
        // The bound of a query is part of it.
        let end = self.to.map(|to| Key::from(to.minus(Duration::from_millis(1))));
        let mut query = Query::index("at").from(start).limit(PAGE);
        if let Some(end) = end {
            query = query.up_to(end);
        }
        let mut read = 0;
        loop {
            let page = cx.query::<TokenUsage>(&query).await?;
            let Some(last) = page.last() else { break };
            query = query.after(Key::from(last.at), last.id.as_str());
            read += page.len();
            if read > MAX_CALLS {
                let expected = "expected a span with at most 1000000 calls";
                return Err(Error::invalid(Self::NAME, "from", expected));
            }
            for usage in &page {
                let name = self.by.name(usage);
                let row = rows.entry((name.clone(), usage.currency.clone())).or_insert_with(|| UsageRow {
                    name,
                    currency: usage.currency.clone(),
                    ..UsageRow::default()
                });
                row.calls += 1;
                row.input += usage.input + usage.cached_read + usage.cache_write;
                row.output += usage.output + usage.reasoning;
                row.cost_micros += usage.cost_micros.unwrap_or(0);
                row.estimated += u64::from(usage.estimated);
            }
            cx.cancel_token().check(Self::NAME)?;
        }
        Ok(rows.into_values().collect())
    }

    fn examples() -> Vec<Self> {
        vec![UsageReport { by: UsageBy::Agent, ..UsageReport::default() }]
    }
}
