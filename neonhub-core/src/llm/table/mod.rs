//! Models as data: what each can do, what it costs, and when it goes away.
//!
//! The rows of this release are in `models.json`, each with its source. No model is named in code. A row that the host
//! adds wins over the one of the release; a model without a row is usable as text only, and its price is unknown,
//! never zero.

mod ops;
mod price;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ModelCaps;
use crate::{Error, ErrorKind, Result, Timestamp};

pub(super) use ops::with_own_rows;
pub use ops::{KnownModel, LintModels, ListModels, ListedModel, ModelLint, OverrideModel};
pub(crate) use ops::{ModelOverride, endings};
pub use price::{Cost, Prices};

/// How long before its end a model is reported. Our choice.
const WARN_DAYS: i64 = 60;

/// What a model can do, as a row says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "each is one answer about one model")]
pub struct RowCaps {
    /// Calls tools.
    pub tools: bool,
    /// Calls several at once.
    pub parallel_tools: bool,
    /// Can be made to call one.
    pub forced_choice: bool,
    /// Answers in JSON of a schema.
    pub json_schema: bool,
    /// Holds to it strictly.
    pub strict: bool,
    /// Sees pictures.
    pub images_in: bool,
    /// Reads documents.
    pub documents: bool,
    /// Takes a wish how much to think.
    pub reasoning: bool,
    /// Takes temperature and `top_p`.
    pub sampling: bool,
    /// Gives the same answer for the same seed.
    pub seeded: bool,
}

/// One model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelRow {
    /// The word of its provider.
    pub provider: String,
    /// Its name there.
    pub model: String,
    /// `text`, `embedding`, `image`, `moderation`.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// Tokens of input and output together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u64>,
    /// Most tokens of one answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output: Option<u64>,
    /// Numbers of one vector, of a model for embeddings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dims: Option<u32>,
    /// What it can do.
    #[serde(default)]
    pub caps: RowCaps,
    /// What it costs; unknown when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prices: Option<Prices>,
    /// How good its answers are for the host's purposes, 0..=1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<f64>,
    /// First day, `YYYY-MM-DD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released_on: Option<String>,
    /// Day from which the provider refuses it, `YYYY-MM-DD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shutdown_on: Option<String>,
    /// What the provider suggests in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<String>,
    /// Where the row was read, and when.
    #[serde(default)]
    pub source: String,
}

impl ModelRow {
    /// What the adapters need to know of it.
    #[must_use]
    pub fn model_caps(&self) -> ModelCaps {
        let unknown = ModelCaps::unknown(&self.model);
        ModelCaps {
            context_tokens: self.context_tokens.unwrap_or(unknown.context_tokens),
            max_output_tokens: self.max_output.unwrap_or(unknown.max_output_tokens),
            tools: self.caps.tools,
            json_schema: self.caps.json_schema,
            images_in: self.caps.images_in,
            documents_in: self.caps.documents,
            sampling: self.caps.sampling,
            seeded: self.caps.seeded,
            reasoning: self.caps.reasoning,
            forced_choice: self.caps.forced_choice,
            ..unknown
        }
    }

    /// The instant from which the provider refuses it.
    #[must_use]
    pub fn shutdown_at(&self) -> Option<Timestamp> {
        let day: jiff::civil::Date = self.shutdown_on.as_deref()?.parse().ok()?;
        let at = day.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(at.timestamp().into())
    }
}

/// A model in use that goes away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ending {
    /// Its provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// The day, `YYYY-MM-DD`.
    pub shutdown_on: String,
    /// True when that day is past.
    pub is_over: bool,
    /// What the provider suggests in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<String>,
}

#[derive(Debug, Deserialize)]
struct File {
    version: String,
    rows: Vec<ModelRow>,
}

/// The table.
#[derive(Clone, Debug, Default)]
pub struct ModelTable {
    version: String,
    rows: BTreeMap<(String, String), ModelRow>,
    own: BTreeSet<(String, String)>,
}

static SHARED: LazyLock<Arc<ModelTable>> = LazyLock::new(|| {
    // The file is part of the build and read by a test; a fault in it leaves an empty table: every model unknown.
    Arc::new(ModelTable::from_json(include_str!("models.json")).unwrap_or_default())
});

impl ModelTable {
    /// The table of this release.
    #[must_use]
    pub fn shared() -> Arc<Self> {
        Arc::clone(&SHARED)
    }

    /// A table from JSON: `{"version": "2026-11-21", "rows": [..]}`.
    ///
    /// # Errors
    /// `Config` naming what is wrong.
    pub fn from_json(text: &str) -> Result<Self> {
        let file: File = serde_json::from_str(text).map_err(|cause| {
            Error::new(ErrorKind::Config, "models.table", format!("expected a table of models: {cause}"))
        })?;
        let mut table = ModelTable { version: file.version, ..ModelTable::default() };
        for row in file.rows {
            table = table.with(row)?;
        }
        Ok(table)
    }

    /// Adds a row or puts it in the place of the one for the same model.
    ///
    /// # Errors
    /// `InvalidInput` naming a wrong field.
    pub fn with(mut self, row: ModelRow) -> Result<Self> {
        let mut faults = crate::Faults::new();
        faults.check(!row.provider.is_empty(), "provider", "expected the word of a provider");
        faults.check(!row.model.is_empty(), "model", "expected the name of a model");
        for (name, day) in [("released_on", &row.released_on), ("shutdown_on", &row.shutdown_on)] {
            let is_day = day.as_ref().is_none_or(|day| day.parse::<jiff::civil::Date>().is_ok());
            faults.check(is_day, name, "expected a day such as 2027-01-14");
        }
        faults.check(row.quality.is_none_or(|q| (0.0..=1.0).contains(&q)), "quality", "expected 0 to 1");
        faults.into_result("models.override")?;
        self.rows.insert((row.provider.clone(), row.model.clone()), row);
        Ok(self)
    }

    /// Adds a row of a workspace's own.
    fn with_own(mut self, row: ModelRow) -> Result<Self> {
        self.own.insert((row.provider.clone(), row.model.clone()));
        self.with(row)
    }

    /// Whether the row of a model is a workspace's own.
    #[must_use]
    pub fn is_own(&self, provider: &str, model: &str) -> bool {
        self.own.contains(&(provider.to_owned(), model.to_owned()))
    }

    /// What a model can do by a row of the workspace's own, which wins over what its adapter knows.
    pub(super) fn own_caps(&self, provider: &str, model: &str) -> Option<ModelCaps> {
        if self.is_own(provider, model) { self.caps(provider, model) } else { None }
    }

    /// Its version, a day.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The row of a model.
    #[must_use]
    pub fn row(&self, provider: &str, model: &str) -> Option<&ModelRow> {
        self.rows.get(&(provider.to_owned(), model.to_owned()))
    }

    /// The row of a model that answered: providers name the version of a day, such as `name-2026-08-01`, where the table
    /// has the name alone.
    #[must_use]
    pub fn answered(&self, provider: &str, model: &str) -> Option<&ModelRow> {
        self.row(provider, model).or_else(|| self.row(provider, undated(model)?))
    }

    /// What an answer cost, in micros of a currency; `None` when no price is known. The offline model costs nothing.
    #[must_use]
    pub fn cost(&self, provider: &str, model: &str, usage: &super::Usage) -> Option<(String, u64)> {
        if provider == "offline" {
            return Some((String::new(), 0));
        }
        let prices = self.answered(provider, model)?.prices.as_ref()?;
        Some((prices.currency.clone(), prices.cost(usage)?.micros()))
    }

    /// All rows, by provider and name.
    pub fn rows(&self) -> impl Iterator<Item = &ModelRow> {
        self.rows.values()
    }

    /// What a model can do, if it is known.
    #[must_use]
    pub fn caps(&self, provider: &str, model: &str) -> Option<ModelCaps> {
        self.row(provider, model).map(ModelRow::model_caps)
    }

    /// Those of the models in use that go away within 60 days or are gone.
    #[must_use]
    pub fn endings<'a>(
        &self,
        in_use: impl IntoIterator<Item = (&'a str, &'a str)>,
        now: Timestamp,
    ) -> Vec<Ending> {
        let mut found: Vec<Ending> = in_use
            .into_iter()
            .filter_map(|(provider, model)| {
                let row = self.row(provider, model)?;
                let at = row.shutdown_at()?;
                let days = (at.as_millis() - now.as_millis()).div_euclid(86_400_000);
                (days < WARN_DAYS).then(|| Ending {
                    provider: provider.to_owned(),
                    model: model.to_owned(),
                    shutdown_on: row.shutdown_on.clone().unwrap_or_default(),
                    is_over: at <= now,
                    successor: row.successor.clone(),
                })
            })
            .collect();
        found.sort_by(|a, b| (&a.shutdown_on, &a.model).cmp(&(&b.shutdown_on, &b.model)));
        found.dedup();
        found
    }
}

/// A name without the day at its end, `-2026-08-01` or `-20260801`.
fn undated(model: &str) -> Option<&str> {
    let start = model.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
    let day = model.get(start.len()..)?.strip_prefix('-')?;
    let (digits, dashes) = (day.bytes().filter(u8::is_ascii_digit).count(), day.matches('-').count());
    (digits == 8 && matches!(dashes, 0 | 2)).then_some(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_of_a_day_has_the_row_of_its_name() {
        assert_eq!(undated("some-model-2026-08-01"), Some("some-model"));
        assert_eq!(undated("some-model-20260801"), Some("some-model"));
        for other in ["some-model", "some-model-4", "some-model-2026", "8b-202608011", ""] {
            assert_eq!(undated(other), None, "{other}");
        }
        let table = ModelTable::shared();
        assert_eq!(table.answered("openai", "gpt-6-luna-2026-08-01"), table.row("openai", "gpt-6-luna"));
    }

    #[test]
    fn the_rows_of_the_release_are_whole() {
        let table = ModelTable::from_json(include_str!("models.json")).unwrap();
        assert!(table.rows().count() > 20);
        for row in table.rows() {
            assert!(!row.source.is_empty() && !row.kinds.is_empty(), "{row:?}");
            assert_eq!(row.shutdown_on.is_some(), row.shutdown_at().is_some());
            if let Some(next) = &row.successor {
                assert!(table.row(&row.provider, next).is_some(), "{next} has no row");
            }
        }
    }

    #[test]
    fn models_that_end_soon_are_named_with_day_and_successor() {
        let table = ModelTable::shared();
        let now = Timestamp::parse("now", "2026-11-21T00:00:00Z").unwrap();
        let names: Vec<(&str, &str)> =
            table.rows().map(|r| (r.provider.as_str(), r.model.as_str())).collect();
        let all = table.endings(names, now);
        assert!(all.iter().all(|e| !e.is_over));
        let used = [("openai", "gpt-5-mini"), ("openai", "gpt-6-luna"), ("openai", "nobody-knows")];
        let found = table.endings(used, now);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].shutdown_on.as_str(), found[0].successor.as_deref()),
            ("2026-12-11", Some("gpt-6-luna"))
        );
        let later = Timestamp::parse("now", "2026-12-11T00:00:00Z").unwrap();
        assert!(table.endings(used, later)[0].is_over);
        let early = Timestamp::parse("now", "2026-10-11T00:00:00Z").unwrap();
        assert!(table.endings(used, early).is_empty(), "61 days ahead");
    }

    #[test]
    fn a_row_of_the_host_wins_and_is_checked() {
        let mut row = ModelTable::shared().row("openai", "gpt-6-luna").unwrap().clone();
        row.caps.tools = false;
        let table = ModelTable::clone(&ModelTable::shared()).with(row.clone()).unwrap();
        assert!(!table.caps("openai", "gpt-6-luna").unwrap().tools);
        row.shutdown_on = Some("soon".into());
        assert_eq!(table.with(row).unwrap_err().field_faults()[0].field, "shutdown_on");
        assert!(ModelTable::from_json("{}").is_err());
    }
}
