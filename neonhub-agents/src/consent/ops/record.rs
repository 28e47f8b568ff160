//! `consent.record`.

use neonhub_core::bus::Event;
use neonhub_core::op::{Effect, Operation};
use neonhub_core::store::{Expected, Key, Stored};
use neonhub_core::{Faults, Permission, Result, Scope, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::suppress::{Suppress, suppress};
use super::{address, example_person, workspace_region};
use crate::consent::model::{Consent, Proof};
use crate::consent::rules;
use crate::consent::suppression::SuppressionReason;
use crate::consent::{Basis, Channel, ConsentId, ConsentScope, ProofMethod, Status, SuppressionId};
use crate::people::engine::{ConsentIntent, ConsentWording, consent_id, consent_text};
use crate::people::facts::{GateFacts, facts_of};
use crate::people::model::Identity;
use crate::people::normalise::Identifier;
use crate::people::{IdentityId, PersonId, hash};

/// Writes a row into the consent ledger. A grant needs its proof: wording, source and time. A revoke that came
/// from an address suppresses that address in the same commit, and jobs already in the queue see it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordConsent {
    /// The person. Either this or `identifier`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<PersonId>,
    /// An address of the person; a grant then covers that address alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifier: Option<Identifier>,
    /// The channel.
    pub channel: Channel,
    /// What for.
    pub scope: ConsentScope,
    /// The brand it is limited to. Default: every brand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// What the row says.
    pub status: Status,
    /// The legal basis. Default `consent`.
    #[serde(default)]
    pub basis: Basis,
    /// Where it was given: a page, a shop, a person on the phone. 1 to 500 characters.
    pub source: String,
    /// How it was given.
    pub method: ProofMethod,
    /// The wording that was agreed to, or its SHA-256 as 64 hex digits. Needed for a grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Version of the wording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_version: Option<String>,
    /// Language of the wording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// The page it was given on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The browser it was given with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The law it was given under, such as `EU`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jurisdiction: Option<String>,
    /// Since when it holds (UTC ms), not after now. Default: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_at: Option<Timestamp>,
    /// When the grant lapses (UTC ms). Default: never, or as the basis says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// What was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recorded {
    /// The row.
    pub row: ConsentId,
    /// The person that speaks for its owner.
    pub person: PersonId,
    /// False when the ledger had this very row already.
    pub is_new: bool,
    /// The suppression that came with a revoke from an address.
    pub suppression: Option<SuppressionId>,
}

impl Operation for RecordConsent {
    type Output = Recorded;
    const NAME: &'static str = "consent.record";
    const NEEDS: &'static [Permission] = &[Permission::WriteConsent];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 5;

    async fn run(self, cx: &Scope) -> Result<Recorded> {
        self.check(cx)?;
        let (mut facts, identity) = self.owner(cx).await?;
        let row = self.row(cx, &facts, identity.as_ref())?;
        let suppression = if self.is_revoke_from_address()
            && let Some(identity) = &identity
        {
            Some(suppress(cx, &mut facts, &self.suppression(identity)).await?.0)
        } else {
            None
        };
        let is_new = append(cx, &mut facts, &row).await?;
        if is_new {
            self.keep_text(cx)?;
        }
        cx.save(&facts)?;
        Ok(Recorded { row: row.id, person: facts.person.clone(), is_new, suppression })
    }

    fn examples() -> Vec<Self> {
        vec![RecordConsent {
            person: None,
            identifier: Some(Identifier::email("ada@shop.example")),
            channel: Channel::Email,
            scope: ConsentScope::Marketing,
            brand: None,
            status: Status::Granted,
            basis: Basis::Consent,
            source: "https://shop.example/newsletter".into(),
            method: ProofMethod::Form,
            text: Some("Yes, send me news by e-mail.".into()),
            text_version: None,
            locale: Some("en".into()),
            url: None,
            user_agent: None,
            jurisdiction: None,
            effective_at: None,
            expires_at: None,
        }]
        .into_iter()
        .chain(
            example_person().map(|person| RecordConsent::revoke(person, Channel::Sms, ProofMethod::Verbal)),
        )
        .collect()
    }
}

impl RecordConsent {
    /// A revoke of marketing on a channel.
    #[must_use]
    pub fn revoke(person: PersonId, channel: Channel, method: ProofMethod) -> Self {
        RecordConsent {
            person: Some(person),
            identifier: None,
            channel,
            scope: ConsentScope::Marketing,
            brand: None,
            status: Status::Revoked,
            basis: Basis::Consent,
            source: "api".into(),
            method,
            text: None,
            text_version: None,
            locale: None,
            url: None,
            user_agent: None,
            jurisdiction: None,
            effective_at: None,
            expires_at: None,
        }
    }

    fn check(&self, cx: &Scope) -> Result<()> {
        let mut faults = Faults::new();
        let has_owner = self.person.is_some() || self.identifier.is_some();
        faults.check(has_owner, "person", "expected a person or an identifier");
        faults.check(
            (1..=500).contains(&self.source.trim().chars().count()),
            "source",
            "expected 1 to 500 characters",
        );
        let has_text = self.text.as_ref().is_some_and(|t| !t.trim().is_empty());
        faults.check(
            self.status != Status::Granted || has_text,
            "text",
            "a grant needs its proof: the wording that was agreed to, or its SHA-256",
        );
        faults.check(
            self.effective_at.is_none_or(|at| at <= cx.now()),
            "effective_at",
            "expected an instant that is not after now",
        );
        faults.into_result(Self::NAME)
    }

    /// Rule 6: STOP, a link or a reply says "not this address".
    fn is_revoke_from_address(&self) -> bool {
        self.status == Status::Revoked
            && matches!(self.method, ProofMethod::Reply | ProofMethod::Link)
            && (self.scope.is_marketing() || self.scope == ConsentScope::All)
    }

    fn suppression<'a>(&'a self, identity: &'a IdentityId) -> Suppress<'a> {
        Suppress {
            identity,
            channel: Some(&self.channel),
            brand: self.brand.as_deref(),
            reason: SuppressionReason::UnsubscribeAll,
            source: &self.source,
            evidence: None,
        }
    }

    /// Whose row it is, and the address it names.
    async fn owner(&self, cx: &Scope) -> Result<(Stored<GateFacts>, Option<IdentityId>)> {
        let Some(given) = &self.identifier else {
            let person = self.person.as_ref().ok_or_else(|| cx.missing("person"))?;
            return Ok((facts_of(cx, person).await?, None));
        };
        let region = workspace_region(cx).await?;
        let address = address(cx, "identifier", given, region.as_deref())?;
        let held = cx
            .find::<Identity>("hash", Key::text(&address.hash))
            .await?
            .ok_or_else(|| cx.missing("identity"))?;
        let facts = facts_of(cx, &held.person).await?;
        if let Some(person) = &self.person
            && facts_of(cx, person).await?.person != facts.person
        {
            return Err(cx.missing("identity"));
        }
        Ok((facts, Some(held.body.id)))
    }

    fn text_hash(&self) -> Option<String> {
        let text = self.text.as_deref()?.trim();
        Some(if is_hash(text) { text.to_owned() } else { hash::sha256_hex(text) })
    }

    fn row(&self, cx: &Scope, facts: &GateFacts, identity: Option<&IdentityId>) -> Result<Consent> {
        let now = cx.now();
        let effective_at = self.effective_at.unwrap_or(now);
        let owner = identity.and_then(|id| facts.identities.iter().find(|i| i.identity == *id));
        let person = owner.map_or(&facts.person, |i| facts.member(i.member)).clone();
        let text_hash = self.text_hash();
        let wording = text_hash.clone().map(|hash| ConsentWording { body: String::new(), hash }.into());
        let said = ConsentIntent {
            channel: self.channel.clone(),
            scope: self.scope.clone(),
            brand: self.brand.clone(),
            status: self.status,
            basis: self.basis,
            source: self.source.trim().to_owned(),
            // A statement made now is a new one each time it is made.
            at: Some(effective_at),
            text: wording,
            method: self.method,
        };
        Ok(Consent {
            id: consent_id(&person, identity, &said)?,
            person,
            identity: identity.cloned(),
            channel: said.channel,
            scope: said.scope,
            brand: said.brand,
            status: self.status,
            basis: self.basis,
            source: said.source,
            jurisdiction: self.jurisdiction.clone(),
            effective_at,
            recorded_at: now,
            sequence: 0,
            expires_at: self.expires_at,
            proof: Some(Proof {
                text_hash,
                text_version: self.text_version.clone(),
                locale: self.locale.clone(),
                method: self.method,
                url: self.url.clone(),
                user_agent: self.user_agent.clone(),
                actor: cx.label().to_owned(),
            }),
        })
    }

    fn keep_text(&self, cx: &Scope) -> Result<()> {
        match self.text.as_deref().map(str::trim) {
            Some(text) if !text.is_empty() && !is_hash(text) => {
                cx.put(&consent_text(text, &hash::sha256_hex(text))?, Expected::Any)
            }
            _ => Ok(()),
        }
    }
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Adds a row to the ledger and to the facts; false when it was there. The caller saves the facts.
pub(super) async fn append(cx: &Scope, facts: &mut Stored<GateFacts>, row: &Consent) -> Result<bool> {
    if cx.get::<Consent>(row.id.as_str()).await?.is_some() {
        return Ok(false);
    }
    cx.create(row)?;
    let member = facts.place(&row.person);
    let merged_at = facts.merged_at;
    let mut fact = row.to_fact(member);
    // Two statements of one instant keep the order they were made in.
    let same =
        |f: &&rules::ConsentFact| f.effective_at == fact.effective_at && f.recorded_at == fact.recorded_at;
    if let Some(last) = facts.consents.iter().filter(same).map(|f| f.sequence).max()
        && fact.sequence <= last
    {
        fact.sequence = last + 1;
        let mut later = row.clone();
        later.sequence = fact.sequence;
        cx.put(&later, Expected::Absent)?;
    }
    rules::add(&mut facts.body.consents, fact, merged_at);
    facts.body.epoch += 1;
    let kind = format!("consent.{}", row.status.as_word());
    let data = json!({"row": row.id, "channel": row.channel, "scope": row.scope});
    cx.emit(Event::new(cx, &kind, "person", facts.person.as_str(), data))?;
    Ok(true)
}
