//! Operations on the model table, and the rows of a workspace's own.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Ending, ModelRow, ModelTable};
use crate::llm::Router;
use crate::op::{Effect, Operation};
use crate::permission::Permission;
use crate::store::{Expected, Query, Record};
use crate::{Error, ErrorKind, Faults, Result, Scope};

/// Most rows of a workspace's own.
const MAX_ROWS: usize = 1_000;
/// What a model can be for.
const KINDS: &[&str] = &["text", "embedding", "image", "moderation"];

/// A row of a workspace's own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ModelOverride {
    id: String,
    row: ModelRow,
}

impl Record for ModelOverride {
    const KIND: &'static str = "model_row";
    fn id(&self) -> &str {
        &self.id
    }
}

fn id_of(provider: &str, model: &str) -> String {
    format!("{provider}/{model}")
}

/// A table with the workspace's own rows over it.
pub(in crate::llm) async fn with_own_rows(cx: &Scope, table: &Arc<ModelTable>) -> Result<Arc<ModelTable>> {
    let own = cx.query::<ModelOverride>(&Query::by_id().limit(MAX_ROWS)).await?;
    if own.is_empty() {
        return Ok(Arc::clone(table));
    }
    let mut table = ModelTable::clone(table);
    for stored in own {
        table = table.with_own(stored.body.row)?;
    }
    Ok(Arc::new(table))
}

/// The table of the router or of the release.
fn base(cx: &Scope) -> Arc<ModelTable> {
    match cx.hub().service::<Router>() {
        Some(router) => Arc::clone(router.table_of()),
        None => ModelTable::shared(),
    }
}

impl Scope {
    /// The model table here: that of the router or of the release, with the rows of `models.override` over it.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn model_table(&self) -> Result<Arc<ModelTable>> {
        with_own_rows(self, &base(self)).await
    }
}

/// A model as `models.list` shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ListedModel {
    /// What is known of it.
    pub row: ModelRow,
    /// True when the row is the workspace's own.
    pub is_own: bool,
    /// True when a route of this hub names it.
    pub is_in_use: bool,
}

/// Lists what is known of models: abilities, prices, and the day from which the provider refuses them.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ListModels {
    /// Only those of this provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Only those for `text`, `embedding`, `image` or `moderation`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Only those that a route of this hub names.
    pub in_use: bool,
}

impl Operation for ListModels {
    type Output = Vec<ListedModel>;
    const NAME: &'static str = "models.list";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<Vec<ListedModel>> {
        let is_kind = self.kind.as_ref().is_none_or(|kind| KINDS.contains(&kind.as_str()));
        let mut faults = Faults::new();
        faults.check(is_kind, "kind", "expected `text`, `embedding`, `image` or `moderation`");
        faults.into_result(Self::NAME)?;
        let table = cx.model_table().await?;
        let router = cx.hub().service::<Router>();
        let is_used = |row: &ModelRow| {
            let names = (row.provider.as_str(), row.model.as_str());
            router.as_ref().is_some_and(|router| router.in_use().any(|used| used == names))
        };
        let all = table.rows().map(|row| ListedModel {
            row: row.clone(),
            is_own: table.is_own(&row.provider, &row.model),
            is_in_use: is_used(row),
        });
        let fits = |listed: &ListedModel| {
            self.provider.as_ref().is_none_or(|provider| *provider == listed.row.provider)
                && self.kind.as_ref().is_none_or(|kind| listed.row.kinds.contains(kind))
                && (!self.in_use || listed.is_in_use)
        };
        Ok(all.filter(fits).collect())
    }

    fn examples() -> Vec<Self> {
        vec![ListModels { kind: Some("embedding".into()), ..Self::default() }]
    }
}

/// Puts a row of the workspace's own over the model table: routes go by its abilities and prices from the next call on.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OverrideModel {
    /// The word of the provider.
    pub provider: String,
    /// The model's name there.
    pub model: String,
    /// What is known of it, whole; its provider and model must be these. Absent: the row of the workspace's own is taken
    /// away again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<ModelRow>,
}

/// What the table says of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KnownModel {
    /// The row that holds now; absent when the model is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<ModelRow>,
}

impl Operation for OverrideModel {
    type Output = KnownModel;
    const NAME: &'static str = "models.override";
    const NEEDS: &'static [Permission] = &[Permission::ManagePolicies];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 5;

    async fn run(self, cx: &Scope) -> Result<KnownModel> {
        let id = id_of(&self.provider, &self.model);
        let mut faults = Faults::new();
        faults.check((3..=255).contains(&id.len()), "model", "expected at most 250 bytes with its provider");
        if let Some(row) = &self.row {
            let fits = row.provider == self.provider && row.model == self.model;
            faults.check(fits, "row", "expected the row of this provider and model");
            let is_known = row.kinds.iter().all(|kind| KINDS.contains(&kind.as_str()));
            faults.check(
                is_known && !row.kinds.is_empty(),
                "row.kinds",
                "expected one or more of `text`, `embedding`, `image`, `moderation`",
            );
            let is_money = row
                .prices
                .as_ref()
                .is_none_or(|prices| crate::Currency::try_from(prices.currency.clone()).is_ok());
            faults.check(is_money, "row.prices.currency", "expected an ISO 4217 code such as USD");
        }
        faults.into_result(Self::NAME)?;
        let own = cx.query::<ModelOverride>(&Query::by_id().limit(MAX_ROWS)).await?;
        let before = own.iter().find(|stored| stored.body.id == id);
        let row = self.row.clone().or_else(|| base(cx).row(&self.provider, &self.model).cloned());
        match (self.row, before) {
            (Some(_), None) if own.len() >= MAX_ROWS => {
                let message = "a workspace holds at most 1000 rows of its own: take one away first";
                return Err(Error::new(ErrorKind::Conflict, Self::NAME, message));
            }
            (Some(row), _) => {
                // The table checks the rest of it.
                ModelTable::default().with(row.clone())?;
                cx.put(&ModelOverride { id: id.clone(), row }, Expected::Any)?;
            }
            (None, Some(before)) => cx.delete::<ModelOverride>(&id, Expected::Rev(before.rev))?,
            (None, None) => {}
        }
        cx.concern("model_row", &id);
        Ok(KnownModel { row })
    }

    fn examples() -> Vec<Self> {
        let caps = super::RowCaps { tools: true, sampling: true, ..super::RowCaps::default() };
        let row = ModelRow {
            provider: "local".into(),
            model: "house-8b".into(),
            kinds: vec!["text".into()],
            context_tokens: Some(32_768),
            max_output: Some(4_096),
            caps,
            source: "our own server".into(),
            ..ModelRow::default()
        };
        let (provider, model) = (row.provider.clone(), row.model.clone());
        vec![OverrideModel { provider, model, row: Some(row) }]
    }
}

/// What `models.lint` found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelLint {
    /// Models in use that their providers refuse within 60 days, or already.
    pub endings: Vec<Ending>,
    /// Models in use whose price is not known, as `provider/model`: they answer nothing where a limit is set.
    pub unpriced: Vec<String>,
    /// Models in use of which nothing is known, as `provider/model`: they are trusted with text only.
    pub unknown: Vec<String>,
}

/// The models that the routes of a router name, each once.
fn in_use(router: Option<&Router>) -> Vec<(&str, &str)> {
    let mut used: Vec<(&str, &str)> = router.into_iter().flat_map(Router::in_use).collect();
    used.sort_unstable();
    used.dedup();
    used
}

/// The models in use of this hub that go away within 60 days or are gone.
pub(crate) async fn endings(cx: &Scope) -> Result<Vec<Ending>> {
    let router = cx.hub().service::<Router>();
    Ok(cx.model_table().await?.endings(in_use(router.as_deref()), cx.now()))
}

/// Looks at the models that routes of this hub name: which go away soon, and of which too little is known.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LintModels {}

impl Operation for LintModels {
    type Output = ModelLint;
    const NAME: &'static str = "models.lint";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<ModelLint> {
        let table = cx.model_table().await?;
        let router = cx.hub().service::<Router>();
        let used = in_use(router.as_deref());
        let named = |is: fn(Option<&ModelRow>) -> bool| {
            let all = used.iter().filter(|(provider, model)| is(table.row(provider, model)));
            all.map(|(provider, model)| id_of(provider, model)).collect()
        };
        Ok(ModelLint {
            endings: table.endings(used.iter().copied(), cx.now()),
            unpriced: named(|row| row.is_some_and(|row| row.prices.is_none())),
            unknown: named(|row| row.is_none()),
        })
    }

    fn examples() -> Vec<Self> {
        vec![LintModels {}]
    }
}

#[cfg(test)]
mod tests;
