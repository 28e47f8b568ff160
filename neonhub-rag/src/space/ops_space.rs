//! Operations on spaces and datasets.

use std::collections::BTreeMap;

use neonhub_core::op::{Effect, Operation, Page};
use neonhub_core::store::{Key, Query};
use neonhub_core::{Error, ErrorKind, Faults, Permission, Result, Role, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::knowledge::Knowledge;
use super::model::{Dataset, DatasetId, DatasetKind, Distance, Space, SpaceId, SpaceState};
use super::search::may_read;
use crate::chunk::ChunkOptions;
use crate::embed::OfflineHash;
use crate::index::VectorStorage;

/// Longest name of a space or dataset, in characters.
const NAME_CHARS: usize = 100;

/// The space with this id or name.
pub(super) async fn need_space(cx: &Scope, word: &str) -> Result<Space> {
    if let Some(space) = cx.find::<Space>("name", Key::text(word)).await? {
        return Ok(space.body);
    }
    Ok(cx.need::<Space>(word).await?.body)
}

/// The dataset with this id or name. A name that stands in several spaces needs the space.
pub(super) async fn need_dataset(cx: &Scope, word: &str, space: Option<&str>) -> Result<Dataset> {
    if let Some(dataset) = cx.get::<Dataset>(word).await? {
        return readable(cx, dataset.body);
    }
    if let Some(space) = space {
        let space = need_space(cx, space).await?;
        let key = Key::text(space.id.as_str()).and_text(word);
        let found = cx.find::<Dataset>("space_name", key).await?;
        return readable(cx, found.ok_or_else(|| missing(cx, word))?.body);
    }
    let all = cx.query::<Dataset>(&Query::by_id().limit(1_000)).await?;
    let mut named = all.into_iter().filter(|d| d.name == word);
    match (named.next(), named.next()) {
        (Some(only), None) => readable(cx, only.body),
        (None, _) => Err(missing(cx, word)),
        _ => Err(Error::invalid(
            cx.operation(),
            "space",
            "several spaces hold a dataset of this name: name the space",
        )),
    }
}

fn readable(cx: &Scope, dataset: Dataset) -> Result<Dataset> {
    // Someone who may not read it must not learn that it exists.
    if may_read(cx, &dataset) { Ok(dataset) } else { Err(cx.missing("dataset")) }
}

fn missing(cx: &Scope, word: &str) -> Error {
    cx.missing("dataset").with_context("dataset", word)
}

pub(super) fn check_name(faults: &mut Faults, name: &str) {
    let is_name = !name.is_empty()
        && name.chars().count() <= NAME_CHARS
        && name.trim() == name
        && !name.chars().any(char::is_control);
    faults.check(
        is_name,
        "name",
        "expected 1 to 100 characters without blanks at the ends, such as brand-voice",
    );
}

/// Creates an embedding space: documents that are searched together.
///
/// Asking again for the same space answers the one there is.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSpace {
    /// Name, unique in the workspace, such as `brand-voice`.
    pub name: String,
    /// Embedder that makes the vectors. Default: `offline-hash-512`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedder: Option<String>,
    /// How texts are cut. Default: 500 tokens, at most 1000, overlap 75.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunking: Option<ChunkOptions>,
    /// ISO 639-1 code of all its texts; left out, the language of each document is detected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// How exactly the index keeps the vectors. Default: `f16`, which no answer was ever seen to change for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<VectorStorage>,
}

impl Operation for CreateSpace {
    type Output = Space;
    const NAME: &'static str = "spaces.create";
    const NEEDS: &'static [Permission] = &[Permission::WriteContent];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    const ERRORS: &'static [&'static str] = &["already_exists", "config"];

    async fn run(self, cx: &Scope) -> Result<Space> {
        let mut faults = Faults::new();
        check_name(&mut faults, &self.name);
        faults.into_result(Self::NAME)?;
        let chunking = self.chunking.unwrap_or_default();
        chunking.check(Self::NAME)?;
        let embedder = self.embedder.as_deref().unwrap_or(OfflineHash::ID);
        let embedder = cx.service::<Knowledge>()?.embedder(embedder)?;
        if let Some(there) = cx.find::<Space>("name", Key::text(&self.name)).await? {
            let is_same = there.embedder == embedder.id()
                && there.chunking == chunking
                && there.language == self.language
                && there.storage == self.storage.unwrap_or(there.storage);
            return if is_same { Ok(there.body) } else { Err(other_settings("space")) };
        }
        let space = Space {
            id: SpaceId::new(cx),
            name: self.name,
            embedder: embedder.id().to_owned(),
            dims: u32::try_from(embedder.dims()).unwrap_or(u32::MAX),
            distance: Distance::default(),
            chunking,
            language: self.language,
            storage: self.storage.unwrap_or_default(),
            state: SpaceState::Active,
            migration: None,
            recut: None,
        };
        cx.create(&space)?;
        Ok(space)
    }

    fn examples() -> Vec<Self> {
        vec![CreateSpace { name: "brand-voice".into(), ..Self::default() }]
    }
}

fn other_settings(what: &str) -> Error {
    Error::new(
        ErrorKind::AlreadyExists,
        format!("{what}s.create"),
        format!("a {what} of this name exists with other settings: use it as it is, or choose another name"),
    )
}

/// Gives a space.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetSpace {
    /// Id or name of the space.
    pub space: String,
}

impl Operation for GetSpace {
    type Output = Space;
    const NAME: &'static str = "spaces.get";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<Space> {
        need_space(cx, &self.space).await
    }

    fn examples() -> Vec<Self> {
        vec![GetSpace { space: "brand-voice".into() }]
    }
}

/// Lists the spaces by name.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListSpaces {
    /// Most spaces of the page, 1..500. Default 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl Operation for ListSpaces {
    type Output = Page<Space>;
    const NAME: &'static str = "spaces.list";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<Page<Space>> {
        let query = Query::index("name").limit(self.limit.unwrap_or(50) as usize);
        let page = cx.page::<Space>(query, self.cursor.as_deref()).await?;
        Ok(Page { items: page.items.into_iter().map(|s| s.body).collect(), next: page.next })
    }

    fn examples() -> Vec<Self> {
        vec![ListSpaces { limit: Some(10), cursor: None }]
    }
}

/// Creates a dataset in a space.
///
/// Asking again for the same dataset answers the one there is.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateDataset {
    /// Id or name of the space.
    pub space: String,
    /// Name, unique in the space, such as `brand-voice`.
    pub name: String,
    /// What it holds. Default: `documents`.
    #[serde(default)]
    pub kind: DatasetKind,
    /// Roles that may read it; empty: everyone with `read:content`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acl: Vec<Role>,
    /// Purposes it may be used for, such as `voice`; empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub purposes: Vec<String>,
    /// What the host wants to keep with it, up to 50 values by name. It changes no answer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, Value>,
}

/// Most settings of a dataset.
const MOST_SETTINGS: usize = 50;

pub(super) fn check_settings(faults: &mut Faults, settings: &BTreeMap<String, Value>) {
    let is_name = |name: &String| !name.trim().is_empty() && name.chars().count() <= NAME_CHARS;
    let fits = settings.len() <= MOST_SETTINGS && settings.keys().all(is_name);
    faults.check(fits, "settings", "expected up to 50 names of 1 to 100 characters");
}

impl Operation for CreateDataset {
    type Output = Dataset;
    const NAME: &'static str = "datasets.create";
    const NEEDS: &'static [Permission] = &[Permission::WriteContent];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    const ERRORS: &'static [&'static str] = &["already_exists"];

    async fn run(self, cx: &Scope) -> Result<Dataset> {
        let mut faults = Faults::new();
        check_name(&mut faults, &self.name);
        check_settings(&mut faults, &self.settings);
        faults.into_result(Self::NAME)?;
        let space = need_space(cx, &self.space).await?;
        let key = Key::text(space.id.as_str()).and_text(&self.name);
        if let Some(there) = cx.find::<Dataset>("space_name", key).await? {
            let is_same = there.kind == self.kind
                && there.acl == self.acl
                && there.purposes == self.purposes
                && there.settings == self.settings;
            return if is_same { Ok(there.body) } else { Err(other_settings("dataset")) };
        }
        let dataset = Dataset {
            id: DatasetId::new(cx),
            space: space.id,
            name: self.name,
            kind: self.kind,
            acl: self.acl,
            purposes: self.purposes,
            settings: self.settings,
        };
        cx.create(&dataset)?;
        Ok(dataset)
    }

    fn examples() -> Vec<Self> {
        vec![CreateDataset { space: "brand-voice".into(), name: "brand-voice".into(), ..Self::default() }]
    }
}

/// Gives a dataset.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetDataset {
    /// Id or name of the dataset.
    pub dataset: String,
    /// Id or name of its space, when the name stands in several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<String>,
}

impl Operation for GetDataset {
    type Output = Dataset;
    const NAME: &'static str = "datasets.get";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<Dataset> {
        need_dataset(cx, &self.dataset, self.space.as_deref()).await
    }

    fn examples() -> Vec<Self> {
        vec![GetDataset { dataset: "brand-voice".into(), space: None }]
    }
}

/// Lists the datasets that the caller may read, by space and name.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListDatasets {
    /// Id or name of a space; left out: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub space: Option<String>,
    /// Most datasets of the page, 1..500. Default 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl Operation for ListDatasets {
    type Output = Page<Dataset>;
    const NAME: &'static str = "datasets.list";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<Page<Dataset>> {
        let mut query = Query::index("space_name").limit(self.limit.unwrap_or(50) as usize);
        if let Some(space) = &self.space {
            query = query.prefix(Key::text(need_space(cx, space).await?.id.as_str()));
        }
        let page = cx.page::<Dataset>(query, self.cursor.as_deref()).await?;
        let items = page.items.into_iter().map(|s| s.body).filter(|d| may_read(cx, d)).collect();
        Ok(Page { items, next: page.next })
    }

    fn examples() -> Vec<Self> {
        vec![ListDatasets { space: Some("brand-voice".into()), ..Self::default() }]
    }
}
