//! The identities of a person.

use neonhub_core::bus::Event;
use neonhub_core::op::{Effect, Operation};
use neonhub_core::store::{Key, Stored};
use neonhub_core::{Error, ErrorKind, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::person::read;
use super::{example_id, normalised, workspace_region};
use crate::people::engine::Given;
use crate::people::facts::{GateFacts, IdentityFact, facts_of};
use crate::people::model::{Identity, IdentityStatus, Person, Verification, VerificationMethod};
use crate::people::normalise::{Identifier, Regions};
use crate::people::view::{IdentityView, identity_view};
use crate::people::{IdentityId, PersonId, limits, standing};

/// Lists the identities of a person.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListIdentities {
    /// The person.
    pub person: PersonId,
}

impl Operation for ListIdentities {
    type Output = Vec<IdentityView>;
    const NAME: &'static str = "people.identities.list";
    const NEEDS: &'static [Permission] = &[Permission::ReadPeople];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<Vec<IdentityView>> {
        Ok(read(cx, &self.person).await?.identities)
    }

    fn mask(output: &mut Vec<IdentityView>) {
        output.iter_mut().for_each(IdentityView::mask);
    }

    fn examples() -> Vec<Self> {
        example_id().map(|person| ListIdentities { person }).into_iter().collect()
    }
}

/// Gives a person one more identity. A proved claim moves an identity that another person holds unproved.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddIdentity {
    /// The person.
    pub person: PersonId,
    /// The identity.
    pub identifier: Identifier,
    /// How the claim was proved; absent: it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proved_by: Option<VerificationMethod>,
    /// What shows the proof: an id of an event or message, no personal value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// Where it comes from. Default `api`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

impl Operation for AddIdentity {
    type Output = IdentityView;
    const NAME: &'static str = "people.identities.add";
    const NEEDS: &'static [Permission] = &[Permission::WritePeople];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    const ERRORS: &'static [&'static str] = &["already_exists", "identity_limit", "both_verified"];

    async fn run(self, cx: &Scope) -> Result<IdentityView> {
        let mut facts = facts_of(cx, &self.person).await?;
        let person = cx.need::<Person>(facts.person.as_str()).await?;
        let region = workspace_region(cx).await?;
        let regions =
            Regions { person: person.country.as_deref(), workspace: region.as_deref(), ..Regions::default() };
        let (mut given, _, bad) = normalised(cx, std::slice::from_ref(&self.identifier), regions)?;
        let Some(given) = given.pop() else {
            let why = bad.into_iter().next().map_or_else(String::new, |(_, _, message)| message);
            return Err(Error::invalid(Self::NAME, "identifier.value", why));
        };
        let hash = given.hash.clone();
        if let Some(known) = facts.identities.iter().find(|i| i.hash == hash).cloned() {
            return self.prove(cx, facts, &known).await;
        }
        if let Some(held) = cx.find::<Identity>("hash", Key::text(&hash)).await? {
            self.take_over(cx, held).await?;
        }
        check_limit(&facts, &given)?;
        let identity = self.add(cx, &mut facts, &given, &hash).await?;
        cx.save(&facts)?;
        let data = json!({"identity": identity.id, "kind": identity.kind});
        cx.emit(Event::new(cx, "identity.added", "person", facts.person.as_str(), data))?;
        identity_view(cx, &identity, identity.is_primary)
    }

    fn mask(output: &mut IdentityView) {
        output.mask();
    }

    fn examples() -> Vec<Self> {
        let identifier = Identifier::phone("+1 202 555 0143");
        example_id()
            .map(|person| AddIdentity { person, identifier, proved_by: None, evidence: None, source: None })
            .into_iter()
            .collect()
    }
}

impl AddIdentity {
    fn verification(&self, cx: &Scope) -> Option<Verification> {
        let proof = |method| Verification { method, at: cx.now(), evidence: self.evidence.clone() };
        self.proved_by.map(proof)
    }

    /// The person holds it already: at most the proof is new.
    async fn prove(
        &self,
        cx: &Scope,
        mut facts: Stored<GateFacts>,
        known: &IdentityFact,
    ) -> Result<IdentityView> {
        let mut identity = cx.need::<Identity>(known.identity.as_str()).await?;
        if self.proved_by.is_some() && !identity.verified {
            identity.body.verified = true;
            identity.body.verification = self.verification(cx);
            cx.save(&identity)?;
            if let Some(fact) = facts.body.identities.iter_mut().find(|i| i.identity == known.identity) {
                fact.verified = true;
            }
            facts.body.epoch += 1;
            cx.save(&facts)?;
            let data = json!({"identity": known.identity});
            cx.emit(Event::new(cx, "identity.verified", "person", facts.person.as_str(), data))?;
        }
        identity_view(cx, &identity.body, known.is_primary)
    }

    /// Rule 6: a proved claim takes an identity from someone who never proved it.
    async fn take_over(&self, cx: &Scope, mut held: Stored<Identity>) -> Result<()> {
        let refuse = |kind, message: &'static str, code: &'static str| {
            Err(Error::new(kind, Self::NAME, message).with_code(code).with_context("person", &held.person))
        };
        if held.verified && self.proved_by.is_some() {
            return refuse(
                ErrorKind::Conflict,
                "both people proved this identity: merge them or ask",
                "both_verified",
            );
        }
        if self.proved_by.is_none() {
            return refuse(ErrorKind::AlreadyExists, "another person holds this identity", "already_exists");
        }
        let mut theirs = facts_of(cx, &held.person).await?;
        theirs.body.identities.retain(|i| i.identity != held.id);
        theirs.body.suppressions.retain(|s| s.identity.as_ref() != Some(&held.id));
        theirs.body.settle();
        theirs.body.epoch += 1;
        held.body.status = IdentityStatus::Removed;
        held.body.is_primary = false;
        cx.save(&held)?;
        cx.save(&theirs)?;
        let data = json!({"identity": held.id, "reason": "claimed with proof by another person"});
        cx.emit(Event::new(cx, "identity.removed", "person", theirs.person.as_str(), data))
    }

    async fn add(
        &self,
        cx: &Scope,
        facts: &mut Stored<GateFacts>,
        given: &Given,
        hash: &str,
    ) -> Result<Identity> {
        let key = &given.normal.key;
        let now = cx.now();
        let member = facts.place(&self.person);
        let identity = Identity {
            id: IdentityId::new(cx),
            person: facts.member(member).clone(),
            kind: key.kind,
            namespace: key.namespace.as_deref().map(str::to_owned),
            key: given.key.clone(),
            value: given.value.clone(),
            hash: hash.to_owned(),
            quality: given.normal.quality,
            verified: self.proved_by.is_some(),
            verification: self.verification(cx),
            is_primary: !facts.identities.iter().any(|i| i.kind == key.kind),
            source: self.source.clone().unwrap_or_else(|| "api".to_owned()),
            first_seen_at: now,
            last_seen_at: now,
            status: IdentityStatus::Active,
            extension: given.normal.extension.as_deref().map(str::to_owned),
        };
        facts.body.identities.push(IdentityFact::of(&identity, member));
        let suppressions = standing::suppressions(cx, key, hash, Some(&identity.id)).await?;
        facts.body.suppressions.extend(suppressions);
        facts.body.settle();
        facts.body.epoch += 1;
        cx.create(&identity)?;
        Ok(identity)
    }
}

fn check_limit(facts: &GateFacts, given: &Given) -> Result<()> {
    let key = &given.normal.key;
    let limit = limits::of(key.kind);
    let counts = |i: &&IdentityFact| {
        i.kind == key.kind
            && (limit.per == limits::Per::Kind || i.namespace.as_deref() == key.namespace.as_deref())
    };
    if facts.identities.iter().filter(counts).count() < limit.max {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Blocked,
        AddIdentity::NAME,
        "the person holds as many of this kind as one person may",
    )
    .with_code("identity_limit")
    .with_context("max", limit.max))
}
