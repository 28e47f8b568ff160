//! Finding damage, and mending what can be mended.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::LONG;
use crate::op::{Audit, Effect, Operation};
use crate::permission::Permission;
use crate::store::{Damage, Key, Kind, Query, Tombstone};
use crate::{Result, Scope};

/// Reads the store and lists what is damaged: records that do not match their checksum, records that refer to one that
/// is not there, holes in the change feed, blobs that do not match their hash, broken pages and index entries.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CheckStore {
    /// `false` compares tables and indexes with what is declared and reads no record. Default `true`.
    pub deep: Option<bool>,
}

/// One damaged part of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Kind of the record, or the part of the store.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// What is wrong.
    pub problem: String,
}

impl From<Damage> for Finding {
    fn from(damage: Damage) -> Self {
        Finding { kind: damage.kind, id: damage.id, problem: damage.problem }
    }
}

impl Operation for CheckStore {
    type Output = Vec<Finding>;
    const NAME: &'static str = "store.check";
    const NEEDS: &'static [Permission] = &[Permission::ManageOrganization];
    const EFFECT: Effect = Effect::Read;
    const DEADLINE: Duration = LONG;
    async fn run(self, cx: &Scope) -> Result<Vec<Finding>> {
        let drift = cx.store().drift().await?;
        let drift =
            drift.into_iter().map(|problem| Finding { kind: "_schema".into(), id: String::new(), problem });
        let mut findings: Vec<Finding> = drift.collect();
        if self.deep != Some(false) {
            findings.extend(cx.store().check().await?.into_iter().map(Finding::from));
            findings.extend(orphans(cx).await?);
        }
        Ok(findings)
    }
    fn examples() -> Vec<Self> {
        vec![CheckStore { deep: Some(true) }]
    }
}

/// Records of one page of the walk.
const PAGE: usize = 500;

/// Records that refer to one that is not there: what a reference was declared over later may hold them.
async fn orphans(cx: &Scope) -> Result<Vec<Finding>> {
    let mut out = Vec::new();
    let kinds: Vec<Kind> = cx.hub().kinds().iter().copied().filter(|k| !k.refs.is_empty()).collect();
    if kinds.is_empty() {
        return Ok(out);
    }
    for workspace in cx.hub().workspaces().await? {
        for kind in &kinds {
            let mut query = Query::by_id().limit(PAGE);
            loop {
                let page = cx.store().query(*kind, &workspace, &query).await?;
                let Some(last) = page.last() else { break };
                query = query.after(Key::new(), last.id.clone());
                for reference in kind.refs {
                    let Some(parent) = cx.hub().kind(reference.parent) else { continue };
                    let named = page.iter().filter_map(|row| Some((row, reference.target(kind, row)?)));
                    let (rows, ids): (Vec<_>, Vec<_>) = named.unzip();
                    let found = cx.store().get_many(parent, &workspace, &ids).await?;
                    // What a job is still to remove is no damage.
                    let stones: Vec<String> =
                        ids.iter().map(|id| Tombstone::id_of(parent.name, id)).collect();
                    let stones = cx.store().get_many(Kind::of::<Tombstone>(), &workspace, &stones).await?;
                    let rows = rows.iter().zip(found.iter().zip(&stones));
                    let lost = rows.filter(|(_, (found, stone))| found.is_none() && stone.is_none());
                    out.extend(lost.map(|(row, _)| Finding {
                        kind: kind.name.to_owned(),
                        id: row.id.clone(),
                        problem: format!("the {} that it refers to is not there", parent.name),
                    }));
                }
            }
        }
    }
    Ok(out)
}

/// Rebuilds what can be rebuilt from the records themselves: indexes. What has no second source in the store is left
/// and named, and comes back from a backup.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RepairStore {
    /// The findings to repair, as `store.check` gave them. Default: all there are.
    pub findings: Vec<Finding>,
}

/// The answer of `store.repair`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Repaired {
    /// What was done.
    pub done: Vec<String>,
    /// What is still damaged.
    pub left: Vec<Finding>,
}

impl Operation for RepairStore {
    type Output = Repaired;
    const NAME: &'static str = "store.repair";
    const NEEDS: &'static [Permission] = &[Permission::OwnOrganization];
    const EFFECT: Effect = Effect::Idempotent;
    const AUDIT: Audit = Audit::Security;
    const DEADLINE: Duration = LONG;
    async fn run(self, cx: &Scope) -> Result<Repaired> {
        let done = cx.store().repair().await?;
        let left = cx.store().check().await?.into_iter().map(Finding::from);
        let wanted = |f: &Finding| self.findings.is_empty() || self.findings.contains(f);
        Ok(Repaired { done, left: left.filter(wanted).collect() })
    }
    fn examples() -> Vec<Self> {
        vec![RepairStore::default()]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Hub;
    use crate::store::{Expected, Index, MemoryStore, Record, Ref, SharedStore};

    #[derive(Clone, Debug, Serialize, Deserialize)]
    struct Loose {
        id: String,
        of: Option<String>,
    }

    impl Record for Loose {
        const KIND: &'static str = "test_leaf";
        const INDEXES: &'static [Index] = &[Index::on("of")];
        fn id(&self) -> &str {
            &self.id
        }
        fn keys(&self) -> Vec<Option<Key>> {
            vec![self.of.as_ref().map(Key::text)]
        }
    }

    /// The same, as a later build declares it.
    #[derive(Clone, Debug, Serialize, Deserialize)]
    #[serde(transparent)]
    struct Tied(Loose);

    impl Record for Tied {
        const KIND: &'static str = Loose::KIND;
        const INDEXES: &'static [Index] = Loose::INDEXES;
        const REFS: &'static [Ref] = &[Ref::cascade(Loose::KIND, "of")];
        fn id(&self) -> &str {
            &self.0.id
        }
        fn keys(&self) -> Vec<Option<Key>> {
            self.0.keys()
        }
    }

    static BEFORE: &[Kind] = &[Kind::of::<Loose>()];
    static AFTER: &[Kind] = &[Kind::of::<Tied>()];

    #[tokio::test]
    async fn records_that_refer_to_what_is_not_there_are_found() {
        let store: SharedStore = Arc::new(MemoryStore::new());
        let key = || crate::seal::RootKey::from_bytes([7; 32], "test");
        let open = async |kinds| {
            let hub = Hub::builder().kinds(kinds).store_backend(Arc::clone(&store)).root_key(key());
            hub.build().await.unwrap().workspace("default").await.unwrap()
        };
        let before = open(BEFORE).await;
        let work = before.staging("test", "fill");
        for (id, of) in [("root", None), ("leaf", Some("root")), ("lost", Some("nobody"))] {
            work.put(&Loose { id: id.into(), of: of.map(str::to_owned) }, Expected::Absent).unwrap();
        }
        work.flush().await.unwrap();
        assert_eq!(before.call(CheckStore::default()).await.unwrap(), []);
        let found = open(AFTER).await.call(CheckStore::default()).await.unwrap();
        let problem = "the test_leaf that it refers to is not there".to_owned();
        assert_eq!(found, [Finding { kind: "test_leaf".into(), id: "lost".into(), problem }]);
    }
}
