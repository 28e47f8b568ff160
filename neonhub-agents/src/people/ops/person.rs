//! Making, reading and changing one person.

use std::collections::BTreeMap;

use neonhub_core::bus::Event;
use neonhub_core::op::{Effect, Operation};
use neonhub_core::store::Key;
use neonhub_core::{Error, ErrorKind, Faults, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{checked_fields, example_id, normalised, workspace_region};
use crate::people::engine::{self, Intent, PageRules};
use crate::people::facts::facts_of;
use crate::people::model::{Identity, Lifecycle, Person};
use crate::people::normalise::{Identifier, Regions};
use crate::people::resolve::{Assertion, MergeMode};
use crate::people::view::{PersonView, views};
use crate::people::{PersonId, update};

/// What is said about a person. Absent fields stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PersonFields {
    /// First name, at most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// Last name, at most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    /// Language, BCP 47, such as `de-AT`. A bad one is kept in the metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// Time zone, IANA, such as `Europe/Vienna`. A bad one is kept in the metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// Country, ISO 3166-1 alpha-2, such as `AT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// Region, ISO 3166-2, such as `US-FL`. Decides legal hours of sending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Tags to add, at most 100 of at most 64 characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Other facts by name; `null` removes one. At most 500, 4 KiB each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub traits: BTreeMap<String, Value>,
}

/// Makes a person. Fails when one of the identifiers is held already; `people.resolve` finds or makes.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreatePerson {
    /// Addresses, numbers and ids of the person, at most 50.
    #[serde(default)]
    pub identifiers: Vec<Identifier>,
    /// What else is known.
    #[serde(default)]
    pub fields: PersonFields,
    /// Where it comes from. Default `api`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

impl Operation for CreatePerson {
    type Output = PersonView;
    const NAME: &'static str = "people.create";
    const NEEDS: &'static [Permission] = &[Permission::WritePeople];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    const ERRORS: &'static [&'static str] = &["already_exists"];

    async fn run(self, cx: &Scope) -> Result<PersonView> {
        let mut faults = Faults::new();
        faults.check(self.identifiers.len() <= 50, "identifiers", "expected at most 50 identifiers");
        let fields = checked_fields(&self.fields, &mut faults);
        let region = workspace_region(cx).await?;
        let regions = Regions {
            person: self.fields.country.as_deref(),
            workspace: region.as_deref(),
            ..Regions::default()
        };
        let (given, _, bad) = normalised(cx, &self.identifiers, regions)?;
        for (at, _, message) in bad {
            faults.push(format!("identifiers[{at}]"), message);
        }
        faults.into_result(Self::NAME)?;
        let keys: Vec<Key> =
            given.iter().filter(|g| g.normal.key.kind.finds_people()).map(|g| Key::text(&g.hash)).collect();
        if let Some(held) = cx.find_many::<Identity>("hash", &keys).await?.into_iter().flatten().next() {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                Self::NAME,
                "a person holds one of these identifiers: use people.resolve",
            )
            .with_context("person", &held.person));
        }
        let rules = PageRules {
            source: self.source.unwrap_or_else(|| "api".to_owned()),
            assertion: Assertion::FirstParty,
            mode: MergeMode::Safe,
            at: cx.now(),
            seed: cx.seed(),
        };
        let intent = Intent { given, fields, create: true, ..Intent::default() };
        let mut written = engine::run(cx, rules, &[&intent]).await?;
        let person = written.outcomes.pop().and_then(|o| o.person).ok_or_else(|| cx.missing("person"))?;
        cx.emit(Event::new(cx, "person.created", "person", person.as_str(), json!({})))?;
        read(cx, &person).await
    }

    fn mask(output: &mut PersonView) {
        output.mask();
    }

    fn examples() -> Vec<Self> {
        vec![CreatePerson {
            identifiers: vec![Identifier::email("ada@shop.example")],
            ..CreatePerson::default()
        }]
    }
}

/// Reads a person. The id of a person that was merged gives the one that speaks for it, and `alias_of` says so.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetPerson {
    /// The person.
    pub person: PersonId,
}

impl Operation for GetPerson {
    type Output = PersonView;
    const NAME: &'static str = "people.get";
    const NEEDS: &'static [Permission] = &[Permission::ReadPeople];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<PersonView> {
        read(cx, &self.person).await
    }

    fn mask(output: &mut PersonView) {
        output.mask();
    }

    fn examples() -> Vec<Self> {
        example_id().map(|person| GetPerson { person }).into_iter().collect()
    }
}

pub(super) async fn read(cx: &Scope, person: &PersonId) -> Result<PersonView> {
    let facts = facts_of(cx, person).await?;
    let mut view = views(cx, &[&facts.body]).await?.pop().ok_or_else(|| cx.missing("person"))?;
    view.alias_of = (view.id != *person).then(|| person.clone());
    Ok(view)
}

/// Changes a person. Absent fields stay as they are.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdatePerson {
    /// The person.
    pub person: PersonId,
    /// What is said now.
    #[serde(default)]
    pub fields: PersonFields,
    /// How well the person is known now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<Lifecycle>,
    /// Tags to take away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove_tags: Vec<String>,
    /// Where it comes from. Default `api`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

impl Operation for UpdatePerson {
    type Output = PersonView;
    const NAME: &'static str = "people.update";
    const NEEDS: &'static [Permission] = &[Permission::WritePeople];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;

    async fn run(self, cx: &Scope) -> Result<PersonView> {
        let mut faults = Faults::new();
        let fields = checked_fields(&self.fields, &mut faults);
        faults.into_result(Self::NAME)?;
        let mut facts = facts_of(cx, &self.person).await?;
        let mut person = cx.need::<Person>(facts.person.as_str()).await?;
        let source = self.source.as_deref().unwrap_or("api");
        let mut changed = update::apply(&mut person.body, &fields, cx.now(), source);
        if let Some(lifecycle) = self.lifecycle {
            changed |= person.lifecycle != lifecycle;
            person.body.lifecycle = lifecycle;
        }
        let before = person.tags.len();
        person.body.tags.retain(|t| !self.remove_tags.contains(t));
        changed |= person.tags.len() != before;
        if changed {
            cx.save(&person)?;
            if facts.body.follow(&person.body) {
                facts.body.epoch += 1;
                cx.save(&facts)?;
            }
            cx.emit(Event::new(cx, "person.updated", "person", person.id.as_str(), json!({})))?;
        }
        read(cx, &self.person).await
    }

    fn mask(output: &mut PersonView) {
        output.mask();
    }

    fn examples() -> Vec<Self> {
        let fields = PersonFields { first_name: Some("Ada".into()), ..PersonFields::default() };
        example_id()
            .map(|person| UpdatePerson {
                person,
                fields,
                lifecycle: None,
                remove_tags: Vec::new(),
                source: None,
            })
            .into_iter()
            .collect()
    }
}
