//! `people.list`.

use neonhub_core::op::{Effect, Operation, Page};
use neonhub_core::store::{Key, Query, Stored};
use neonhub_core::{Permission, Result, Scope, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::people::PersonId;
use crate::people::facts::{GateFacts, facts_of_many};
use crate::people::model::{Lifecycle, Person};
use crate::people::view::{PersonView, views};

/// Order of a list of people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PeopleOrder {
    /// Oldest first.
    #[default]
    CreatedAt,
    /// Last seen first; people never seen are left out.
    LastSeenAt,
}

/// Lists people; merged people once. A page may hold fewer than `limit` while `next` says there are more.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListPeople {
    /// Only people in this lifecycle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<Lifecycle>,
    /// Only people with this tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Only people that have this trait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_trait: Option<String>,
    /// Only people seen at or after this instant (UTC ms).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_since: Option<Timestamp>,
    /// The order. Default: oldest first.
    #[serde(default)]
    pub order: PeopleOrder,
    /// At most this many, 1 to 500. Default 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u16>,
    /// Where the page before ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl Operation for ListPeople {
    type Output = Page<PersonView>;
    const NAME: &'static str = "people.list";
    const NEEDS: &'static [Permission] = &[Permission::ReadPeople];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<Page<PersonView>> {
        let query = match (self.order, self.lifecycle) {
            (PeopleOrder::LastSeenAt, _) => {
                let all = Query::index("last_seen").descending();
                if let Some(since) = self.seen_since { all.from(Key::from(since)) } else { all }
            }
            (PeopleOrder::CreatedAt, Some(lifecycle)) => {
                Query::index("lifecycle").prefix(Key::text(lifecycle.as_word()))
            }
            (PeopleOrder::CreatedAt, None) => Query::by_id(),
        };
        let query = query.limit(usize::from(self.limit.unwrap_or(50)));
        let page = cx.page::<Person>(query, self.cursor.as_deref()).await?;
        let kept: Vec<&Stored<Person>> = page.items.iter().filter(|p| self.wants(p)).collect();
        let ids: Vec<PersonId> = kept.iter().map(|p| p.id.clone()).collect();
        let facts = facts_of_many(cx, &ids).await?;
        // Who was merged away is shown with its survivor.
        let shown: Vec<&GateFacts> = facts
            .iter()
            .zip(&ids)
            .filter_map(|(f, id)| f.as_ref().map(|f| &f.body).filter(|f| f.person == *id))
            .collect();
        Ok(Page { items: views(cx, &shown).await?, next: page.next })
    }

    fn mask(output: &mut Page<PersonView>) {
        output.items.iter_mut().for_each(PersonView::mask);
    }

    fn examples() -> Vec<Self> {
        vec![ListPeople { tag: Some("vip".into()), ..ListPeople::default() }]
    }
}

impl ListPeople {
    fn wants(&self, person: &Person) -> bool {
        self.lifecycle.is_none_or(|l| l == person.lifecycle)
            && self.tag.as_ref().is_none_or(|t| person.tags.contains(t))
            && self.has_trait.as_ref().is_none_or(|t| person.traits.contains_key(t))
            && self.seen_since.is_none_or(|at| person.last_seen_at.is_some_and(|seen| seen >= at))
    }
}
