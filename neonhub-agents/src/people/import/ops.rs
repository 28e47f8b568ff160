//! Looking at imports.

use neonhub_core::op::{Effect, Operation, Page};
use neonhub_core::store::{Key, Query};
use neonhub_core::{Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{FaultPage, ImportJob};
use crate::people::ImportId;
use crate::people::csv::RowFault;

/// Reads the counts of an import.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportStatusOf {
    /// The import.
    pub import: ImportId,
}

impl Operation for ImportStatusOf {
    type Output = ImportJob;
    const NAME: &'static str = "people.import.status";
    const NEEDS: &'static [Permission] = &[Permission::ReadPeople];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<ImportJob> {
        Ok(cx.need::<ImportJob>(self.import.as_str()).await?.body)
    }

    fn examples() -> Vec<Self> {
        example().map(|import| ImportStatusOf { import }).into_iter().collect()
    }
}

/// Lists what was wrong with an import, in the order of the rows. Reasons never hold the values.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportErrors {
    /// The import.
    pub import: ImportId,
    /// Pages of 500 rows to look through per call, 1 to 500. Default 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u16>,
    /// Where the call before ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl Operation for ImportErrors {
    type Output = Page<RowFault>;
    const NAME: &'static str = "people.import.errors";
    const NEEDS: &'static [Permission] = &[Permission::ReadPeople];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<Page<RowFault>> {
        cx.need::<ImportJob>(self.import.as_str()).await?;
        let query = Query::index("import")
            .prefix(Key::text(self.import.as_str()))
            .limit(usize::from(self.limit.unwrap_or(50)));
        let page = cx.page::<FaultPage>(query, self.cursor.as_deref()).await?;
        Ok(Page { items: page.items.into_iter().flat_map(|p| p.body.faults).collect(), next: page.next })
    }

    fn examples() -> Vec<Self> {
        example().map(|import| ImportErrors { import, limit: None, cursor: None }).into_iter().collect()
    }
}

fn example() -> Option<ImportId> {
    ImportId::try_from(format!("imp_{:026}", 1)).ok()
}
