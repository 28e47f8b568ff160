//! What the layer that keeps people tells of a person: knowledge itself sees none.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use neonhub_core::{Permission, Result, Scope};

/// What is asked about a person before something about it is read.
#[derive(Clone, Copy, Debug)]
pub struct PersonAsk<'a> {
    /// Id of the person.
    pub person: &'a str,
    /// The brand that would speak.
    pub brand: Option<&'a str>,
    /// What it is for, such as `email`.
    pub purpose: Option<&'a str>,
    /// Consent bases that the caller says hold, such as a contract that the hub does not know.
    pub claimed: &'a [String],
}

/// What may be used about a person now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PersonStanding {
    /// The ids under which things are kept about it: its own, and those of people merged with it.
    pub ids: Vec<String>,
    /// The consent bases that hold. What rests on another one is not used.
    pub consents: Vec<String>,
    /// True when something may be remembered about the person, and used.
    pub may_recall: bool,
}

/// Whoever keeps people, for knowledge. [`Persons`] puts it into a hub.
#[async_trait]
pub trait PersonSource: Debug + Send + Sync + 'static {
    /// What may be used about a person now.
    ///
    /// # Errors
    /// `NotFound` when there is no such person in the workspace.
    async fn standing(&self, cx: &Scope, ask: PersonAsk<'_>) -> Result<PersonStanding>;
}

/// The service that knowledge asks about persons: `builder.service(Arc::new(Persons::of(source)))`. Without it only what
/// a caller claims holds, and a person may be remembered on a basis.
#[derive(Clone, Debug)]
pub struct Persons(Arc<dyn PersonSource>);

impl Persons {
    /// The service over a source.
    #[must_use]
    pub fn of(source: impl PersonSource) -> Self {
        Self(Arc::new(source))
    }
}

/// What may be used about a person. Needs `read:people`.
pub(crate) async fn standing(cx: &Scope, ask: PersonAsk<'_>) -> Result<PersonStanding> {
    cx.require(Permission::ReadPeople)?;
    match cx.hub().service::<Persons>() {
        Some(persons) => persons.0.standing(cx, ask).await.map_err(|e| e.for_operation(cx.operation())),
        None => Ok(PersonStanding {
            ids: vec![ask.person.to_owned()],
            consents: ask.claimed.to_vec(),
            may_recall: true,
        }),
    }
}
