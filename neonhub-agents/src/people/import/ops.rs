//! Looking at imports.

use std::fmt;

use neonhub_core::op::{Effect, Operation, Page};
use neonhub_core::store::{Key, Query};
use neonhub_core::{Error, Permission, Result, Scope};
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
    /// Faults per call, 1 to 500. Default 50.
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
        let limit = usize::from(self.limit.unwrap_or(50).clamp(1, 500));
        let mut place = self.cursor.as_deref().map_or(Ok(Place::default()), Place::read)?;
        let mut items = Vec::new();
        loop {
            let pages = cx.page::<FaultPage>(place.query(&self.import), None).await?;
            for page in &pages.items {
                if page.body.id != FaultPage::id_of(&self.import, place.page) {
                    place = Place { page: page.body.number(), skip: 0 };
                }
                let rest = page.body.faults.iter().skip(place.skip);
                let room = limit - items.len();
                let left = rest.len().saturating_sub(room);
                items.extend(rest.take(room).cloned());
                if left > 0 {
                    place.skip = page.body.faults.len() - left;
                    return Ok(Page { items, next: Some(place.to_string()) });
                }
                place = Place { page: place.page.saturating_add(1), skip: 0 };
            }
            if pages.next.is_none() {
                return Ok(Page { items, next: None });
            }
        }
    }

    fn examples() -> Vec<Self> {
        example().map(|import| ImportErrors { import, limit: None, cursor: None }).into_iter().collect()
    }
}

/// Where a listing goes on: a stored page, and how many of its faults were shown.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    page: u64,
    skip: usize,
}

impl Place {
    fn read(cursor: &str) -> Result<Self> {
        let parts =
            cursor.split_once('.').and_then(|(page, skip)| Some((page.parse().ok()?, skip.parse().ok()?)));
        let (page, skip) = parts.ok_or_else(|| {
            Error::invalid(ImportErrors::NAME, "cursor", "expected the `next` of the page before, unchanged")
        })?;
        Ok(Place { page, skip })
    }

    /// The stored pages from here on.
    fn query(self, import: &ImportId) -> Query {
        let first = FaultPage::id_of(import, self.page);
        let import = Key::text(import.as_str());
        Query::index("import").prefix(import.clone()).from(import.and_text(&first)).limit(20)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.page, self.skip)
    }
}

fn example() -> Option<ImportId> {
    ImportId::try_from(format!("imp_{:026}", 1)).ok()
}
