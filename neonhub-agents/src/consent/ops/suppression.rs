//! `suppression.add`, `check`, `list` and `lift`.

use neonhub_core::bus::Event;
use neonhub_core::op::{Effect, Operation};
use neonhub_core::store::{Key, Query};
use neonhub_core::{Error, ErrorKind, Faults, Permission, Result, Scope, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::suppress::{announce, fact_of, list_value, place, unlist_value};
use super::{address, workspace_region};
use crate::consent::model::{Lifted, Suppression};
use crate::consent::suppression::{SuppressionFact, SuppressionKind, SuppressionReason, domain_of};
use crate::consent::{Channel, SuppressionId};
use crate::people::facts::{GateFacts, facts_of};
use crate::people::model::Identity;
use crate::people::normalise::{Identifier, email};
use crate::people::{IdentityId, IdentityKind, PersonId, hash};

/// Suppresses an address, a mail domain or a person: nothing is sent there any more, whatever the consent ledger
/// says. An address may be suppressed before anyone holds it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddSuppression {
    /// An address or number. Exactly one of `identifier`, `domain` and `person`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifier: Option<Identifier>,
    /// A mail domain such as `shop.example`, without its subdomains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// A person, with all addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<PersonId>,
    /// Only this channel. Default: every channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
    /// Only this brand. Default: every brand. Hard bounces, complaints and erasures hold for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// Why.
    pub reason: SuppressionReason,
    /// Where it comes from. Default `api`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What shows it: an id of a bounce, complaint or message, no personal value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// When it ends by itself (UTC ms). Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// A suppression as a reader sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SuppressionView {
    /// Its id.
    pub id: SuppressionId,
    /// What it names.
    pub kind: SuppressionKind,
    /// The person it names, or that held the address when it was made.
    pub person: Option<PersonId>,
    /// The channel it is limited to.
    pub channel: Option<Channel>,
    /// The brand it is limited to.
    pub brand: Option<String>,
    /// Why.
    pub reason: SuppressionReason,
    /// Where it came from.
    pub source: String,
    /// Since when.
    pub at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// How it was lifted.
    pub lifted: Option<Lifted>,
}

impl From<Suppression> for SuppressionView {
    fn from(s: Suppression) -> Self {
        SuppressionView {
            id: s.id,
            kind: s.kind,
            person: s.person,
            channel: s.channel,
            brand: s.brand,
            reason: s.reason,
            source: s.source,
            at: s.at,
            expires_at: s.expires_at,
            lifted: s.lifted,
        }
    }
}

/// What a suppression names, found out.
struct Named {
    kind: SuppressionKind,
    hash: String,
    key: Option<String>,
    person: Option<PersonId>,
}

impl Operation for AddSuppression {
    type Output = SuppressionView;
    const NAME: &'static str = "suppression.add";
    const NEEDS: &'static [Permission] = &[Permission::WriteConsent];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 8;

    async fn run(self, cx: &Scope) -> Result<SuppressionView> {
        // First the value, in a commit of its own: from then on whoever comes to hold it gets the suppression.
        // Then whoever holds it already.
        let record = cx.outside().call(PrepareSuppression { add: self.clone() }).await?;
        let fact = fact_of(&record);
        for person in holders(cx, &record).await? {
            let mut facts = facts_of(cx, &person.0).await?;
            let named = SuppressionFact { identity: person.1.clone(), ..fact.clone() };
            if !facts.suppressions.contains(&named) {
                facts
                    .body
                    .suppressions
                    .retain(|s| s.suppression != named.suppression || s.identity != named.identity);
                facts.body.suppressions.push(named);
                facts.body.settle();
                facts.body.epoch += 1;
                cx.save(&facts)?;
            }
        }
        Ok(record.into())
    }

    fn examples() -> Vec<Self> {
        vec![AddSuppression {
            identifier: Some(Identifier::email("left@shop.example")),
            domain: None,
            person: None,
            channel: Some(Channel::Email),
            brand: None,
            reason: SuppressionReason::Manual,
            source: None,
            evidence: None,
            expires_at: None,
        }]
    }
}

/// Who holds what a suppression names now, with the address.
async fn holders(cx: &Scope, record: &Suppression) -> Result<Vec<(PersonId, Option<IdentityId>)>> {
    Ok(match record.kind {
        SuppressionKind::Person => record.person.iter().map(|p| (p.clone(), None)).collect(),
        SuppressionKind::Address => {
            let held = cx.find::<Identity>("hash", Key::text(&record.value_hash)).await?;
            held.map(|i| (i.person.clone(), Some(i.body.id))).into_iter().collect()
        }
        SuppressionKind::Domain => domain_holders(cx, &record.value_hash).await?,
    })
}

/// Everyone with an address of the domain. Rare and thorough: it reads every person's facts once.
async fn domain_holders(cx: &Scope, hash: &str) -> Result<Vec<(PersonId, Option<IdentityId>)>> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        cx.cancel_token().check(AddSuppression::NAME)?;
        let page = cx.page::<GateFacts>(Query::by_id().limit(500), cursor.as_deref()).await?;
        let emails = page.items.iter().filter(|f| f.survivor.is_none()).flat_map(|f| {
            f.identities
                .iter()
                .filter(|i| i.kind == IdentityKind::Email)
                .map(|i| (f.person.clone(), i.identity.clone()))
        });
        let emails: Vec<(PersonId, IdentityId)> = emails.collect();
        let ids: Vec<String> = emails.iter().map(|(_, i)| i.to_string()).collect();
        for ((person, id), identity) in emails.into_iter().zip(cx.get_many::<Identity>(&ids).await?) {
            let Some(identity) = identity else { continue };
            let address = cx.sealer().open("identity", "key", &identity.key)?;
            if domain_of(address.expose()).is_some_and(|d| hash::domain(cx.sealer(), d) == hash) {
                found.push((person, Some(id)));
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(found);
        }
    }
}

/// Writes a suppression under its value.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrepareSuppression {
    /// What is to be suppressed.
    pub add: AddSuppression,
}

impl Operation for PrepareSuppression {
    type Output = Suppression;
    const NAME: &'static str = "suppression.prepare";
    const NEEDS: &'static [Permission] = &[Permission::WriteConsent];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 8;
    const INTERNAL: bool = true;

    async fn run(self, cx: &Scope) -> Result<Suppression> {
        let add = self.add;
        let named = add.named(cx).await?;
        let (channel, brand) = (add.channel.as_ref(), add.brand.as_deref());
        let known = cx.find::<Suppression>("place", place(&named.hash, channel, brand)).await?;
        let sealed = match &named.key {
            Some(key) => Some(cx.sealer().seal("identity", "key", key)?),
            None => None,
        };
        let mut record = Suppression {
            id: SuppressionId::new(cx),
            kind: named.kind,
            channel: add.channel,
            value_hash: named.hash,
            key: sealed,
            person: named.person,
            brand: add.brand,
            reason: add.reason,
            source: add.source.unwrap_or_else(|| "api".to_owned()),
            evidence: add.evidence,
            at: cx.now(),
            expires_at: add.expires_at,
            lifted: None,
        };
        match known {
            // The stronger word stays: a complaint does not become a manual entry.
            Some(known) if known.lifted.is_none() && known.expires_at.is_none() => return Ok(known.body),
            Some(mut known) => {
                record.id = known.body.id.clone();
                known.body = record.clone();
                cx.save(&known)?;
            }
            None => cx.create(&record)?,
        }
        list_value(cx, &record.value_hash, &fact_of(&record)).await?;
        announce(cx, &record)?;
        Ok(record)
    }
}

impl AddSuppression {
    async fn named(&self, cx: &Scope) -> Result<Named> {
        let mut faults = Faults::new();
        let given = [self.identifier.is_some(), self.domain.is_some(), self.person.is_some()];
        faults.check(
            given.iter().filter(|g| **g).count() == 1,
            "identifier",
            "expected exactly one of identifier, domain and person",
        );
        faults.check(
            self.expires_at.is_none_or(|end| end > cx.now()),
            "expires_at",
            "expected an instant after now",
        );
        faults.into_result(Self::NAME)?;
        if let Some(person) = &self.person {
            let person = facts_of(cx, person).await?.body.person;
            return Ok(Named {
                kind: SuppressionKind::Person,
                hash: person.to_string(),
                key: None,
                person: Some(person),
            });
        }
        if let Some(domain) = &self.domain {
            let domain = normal_domain(domain)?;
            let hash = hash::domain(cx.sealer(), &domain);
            return Ok(Named { kind: SuppressionKind::Domain, hash, key: Some(domain), person: None });
        }
        let Some(identifier) = &self.identifier else { return Err(cx.missing("identifier")) };
        let region = workspace_region(cx).await?;
        let address = address(cx, "identifier", identifier, region.as_deref())?;
        let holder = cx.find::<Identity>("hash", Key::text(&address.hash)).await?;
        Ok(Named {
            kind: SuppressionKind::Address,
            hash: address.hash,
            key: Some(address.key),
            person: holder.map(|i| i.body.person),
        })
    }
}

/// A domain as addresses have it.
fn normal_domain(given: &str) -> Result<String> {
    let bad =
        || Error::invalid(AddSuppression::NAME, "domain", "expected a mail domain such as shop.example");
    let probe = email(&format!("a@{}", given.trim().trim_start_matches('@'))).map_err(|_| bad())?;
    domain_of(&probe.key.text).map(str::to_owned).ok_or_else(bad)
}

/// Lifts a suppression. Complaints and erasures are lifted only by a newer confirmed opt-in of the person.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LiftSuppression {
    /// The suppression.
    pub suppression: SuppressionId,
    /// Why. 1 to 500 characters.
    pub why: String,
}

impl Operation for LiftSuppression {
    type Output = SuppressionView;
    const NAME: &'static str = "suppression.lift";
    const NEEDS: &'static [Permission] = &[Permission::ManageOrganization];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 8;
    const ERRORS: &'static [&'static str] = &["needs_opt_in"];

    async fn run(self, cx: &Scope) -> Result<SuppressionView> {
        if !(1..=500).contains(&self.why.trim().chars().count()) {
            return Err(Error::invalid(Self::NAME, "why", "expected 1 to 500 characters"));
        }
        let mut record = cx.need::<Suppression>(self.suppression.as_str()).await?;
        if record.lifted.is_some() {
            return Ok(record.body.into());
        }
        if record.reason.needs_opt_in_to_lift() {
            return Err(Error::new(
                ErrorKind::Blocked,
                Self::NAME,
                "only a newer confirmed opt-in of the person lifts a complaint or an erasure",
            )
            .with_code("needs_opt_in"));
        }
        for (person, _) in holders(cx, &record.body).await? {
            let mut facts = facts_of(cx, &person).await?;
            facts.body.suppressions.retain(|s| s.suppression != record.id);
            facts.body.epoch += 1;
            cx.save(&facts)?;
        }
        unlist_value(cx, &record.value_hash, &record.id).await?;
        record.body.lifted =
            Some(Lifted { by: cx.label().to_owned(), at: cx.now(), why: self.why.trim().to_owned() });
        cx.save(&record)?;
        let data = json!({"reason": record.reason});
        cx.emit(Event::new(cx, "suppression.lifted", "suppression", record.id.as_str(), data))?;
        Ok(record.body.into())
    }

    fn examples() -> Vec<Self> {
        SuppressionId::try_from(format!("sup_{:026}", 1))
            .map(|suppression| vec![LiftSuppression { suppression, why: "typed the wrong address".into() }])
            .unwrap_or_default()
    }
}
