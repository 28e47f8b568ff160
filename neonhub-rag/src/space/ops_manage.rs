//! Operations that change or end spaces and datasets.

use std::collections::BTreeMap;

use neonhub_core::op::{Effect, Operation};
use neonhub_core::store::{Expected, Key, Query, Stored};
use neonhub_core::{Error, ErrorKind, Faults, Permission, Result, Role, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::model::{ChunkRecord, Dataset, Document, DocumentState, Recut, Space, SpaceState};
use super::ops_space::{check_name, check_settings, need_dataset, need_space};
use super::recut::enqueue;
use super::version::announce;
use crate::chunk::ChunkOptions;

/// Most chunks that one commit takes out.
const MAX_CHUNKS: u64 = 20_000;

fn taken(what: &str) -> Error {
    let message = format!("a {what} of this name exists: choose another name");
    Error::new(ErrorKind::AlreadyExists, format!("{what}s.update"), message)
}

/// Renames a space, or changes the language of its texts or the sizes of its chunks. A changed language holds for what
/// comes in from now on. After a change of the sizes a job cuts each document anew, from the file that the store keeps, as
/// a new version; chunks that come out as they were keep their vectors, and search answers from the old ones meanwhile.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateSpace {
    /// Id or name of the space.
    pub space: String,
    /// New name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// ISO 639-1 code of its texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Sizes of its chunks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunking: Option<ChunkOptions>,
}

impl Operation for UpdateSpace {
    type Output = Space;
    const NAME: &'static str = "spaces.update";
    const NEEDS: &'static [Permission] = &[Permission::WriteContent];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    const ERRORS: &'static [&'static str] = &["already_exists"];

    async fn run(self, cx: &Scope) -> Result<Space> {
        let mut faults = Faults::new();
        if let Some(name) = &self.name {
            check_name(&mut faults, name);
        }
        let language = self.language.as_deref().is_none_or(|l| l.len() == 2 && l.is_ascii());
        faults.check(language, "language", "expected an ISO 639-1 code such as en");
        faults.into_result(Self::NAME)?;
        self.chunking.map_or(Ok(()), |chunking| chunking.check(Self::NAME))?;
        let id = need_space(cx, &self.space).await?.id;
        let mut space = cx.need::<Space>(id.as_str()).await?;
        if let Some(name) = self.name.filter(|n| *n != space.name) {
            if cx.find::<Space>("name", Key::text(&name)).await?.is_some() {
                return Err(taken("space"));
            }
            space.body.name = name;
        }
        if self.language.is_some() {
            space.body.language = self.language;
        }
        if let Some(chunking) = self.chunking.filter(|chunking| *chunking != space.chunking) {
            space.body.chunking = chunking;
            if space.state != SpaceState::Retired {
                space.body.recut = Some(Recut::default());
                enqueue(cx, &id).await?;
            }
        }
        cx.save(&space)?;
        Ok(space.body)
    }

    fn examples() -> Vec<Self> {
        vec![UpdateSpace { space: "brand-voice".into(), name: Some("voice".into()), ..Self::default() }]
    }
}

/// Retires a space: it answers nothing and takes no documents, and a move to another embedder ends. Its records stay.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetireSpace {
    /// Id or name of the space.
    pub space: String,
}

impl Operation for RetireSpace {
    type Output = Space;
    const NAME: &'static str = "spaces.retire";
    const NEEDS: &'static [Permission] = &[Permission::WriteContent];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;

    async fn run(self, cx: &Scope) -> Result<Space> {
        let id = need_space(cx, &self.space).await?.id;
        let mut space = cx.need::<Space>(id.as_str()).await?;
        if space.state != SpaceState::Retired {
            space.body.state = SpaceState::Retired;
            space.body.migration = None;
            space.body.recut = None;
            cx.save(&space)?;
        }
        Ok(space.body)
    }

    fn examples() -> Vec<Self> {
        vec![RetireSpace { space: "brand-voice".into() }]
    }
}

/// Renames a dataset, or changes who may read it and what for.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateDataset {
    /// Id or name of the dataset.
    pub dataset: String,
    /// Id or name of its space, when the name stands in several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<String>,
    /// New name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Roles that may read it; an empty list: everyone with `read:content`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acl: Option<Vec<Role>>,
    /// Purposes it may be used for; an empty list: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purposes: Option<Vec<String>>,
    /// What the host wants to keep with it, up to 50 values by name, in the place of what there was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<BTreeMap<String, Value>>,
}

impl Operation for UpdateDataset {
    type Output = Dataset;
    const NAME: &'static str = "datasets.update";
    const NEEDS: &'static [Permission] = &[Permission::WriteContent];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    const ERRORS: &'static [&'static str] = &["already_exists"];

    async fn run(self, cx: &Scope) -> Result<Dataset> {
        let mut faults = Faults::new();
        if let Some(name) = &self.name {
            check_name(&mut faults, name);
        }
        if let Some(settings) = &self.settings {
            check_settings(&mut faults, settings);
        }
        faults.into_result(Self::NAME)?;
        let id = need_dataset(cx, &self.dataset, self.space.as_deref()).await?.id;
        let mut dataset = cx.need::<Dataset>(id.as_str()).await?;
        if let Some(name) = self.name.filter(|n| *n != dataset.name) {
            let key = Key::text(dataset.space.as_str()).and_text(&name);
            if cx.find::<Dataset>("space_name", key).await?.is_some() {
                return Err(taken("dataset"));
            }
            dataset.body.name = name;
        }
        if let Some(acl) = self.acl {
            dataset.body.acl = acl;
        }
        if let Some(purposes) = self.purposes {
            dataset.body.purposes = purposes;
        }
        if let Some(settings) = self.settings {
            dataset.body.settings = settings;
        }
        cx.save(&dataset)?;
        Ok(dataset.body)
    }

    fn examples() -> Vec<Self> {
        vec![UpdateDataset {
            dataset: "brand-voice".into(),
            purposes: Some(vec!["voice".into()]),
            ..Self::default()
        }]
    }
}

/// Deletes a dataset with all its documents, in one commit, for good. Each document is told of by `document.deleted`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteDataset {
    /// Id or name of the dataset.
    pub dataset: String,
    /// Id or name of its space, when the name stands in several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<String>,
}

impl Operation for DeleteDataset {
    type Output = Dataset;
    const NAME: &'static str = "datasets.delete";
    const NEEDS: &'static [Permission] = &[Permission::DeleteContent];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;

    async fn run(self, cx: &Scope) -> Result<Dataset> {
        let dataset = need_dataset(cx, &self.dataset, self.space.as_deref()).await?;
        let mut query = Query::index("dataset_key").prefix(Key::text(dataset.id.as_str())).limit(500);
        let mut chunks = 0;
        loop {
            let page: Vec<Stored<Document>> = cx.query::<Document>(&query).await?;
            let Some(last) = page.last() else { break };
            let key = neonhub_core::store::Record::keys(&last.body).into_iter().next().flatten();
            query = query.after(key.unwrap_or_default(), last.body.id.as_str());
            for version in page {
                chunks += u64::from(version.chunks);
                if chunks > MAX_CHUNKS {
                    let message = "the dataset has more than 20000 chunks: delete its documents first";
                    return Err(Error::new(ErrorKind::Conflict, Self::NAME, message));
                }
                for chunk in version.chunk_ids() {
                    cx.delete::<ChunkRecord>(&chunk, Expected::Any)?;
                }
                cx.delete::<Document>(version.body.id.as_str(), Expected::Rev(version.rev))?;
                // One event per document: its newest version is listed, older ones are part of it.
                if version.latest {
                    let gone = Document { state: DocumentState::Deleted, ..version.body };
                    announce(cx, &gone)?;
                }
            }
        }
        cx.delete::<Dataset>(dataset.id.as_str(), Expected::Any)?;
        Ok(dataset)
    }

    fn examples() -> Vec<Self> {
        vec![DeleteDataset { dataset: "brand-voice".into(), space: None }]
    }
}

impl Document {
    /// True for a version that a migration or a search has to do with.
    pub(super) fn is_searched(&self) -> bool {
        self.current && self.state == DocumentState::Ready
    }
}
