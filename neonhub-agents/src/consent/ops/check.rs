//! `consent.check` and `consent.history`.

use neonhub_core::op::{Effect, Operation};
use neonhub_core::store::{Key, Query};
use neonhub_core::{Permission, Result, Scope, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::example_person;
use crate::consent::model::Consent;
use crate::consent::rules::{self, Answer, Ask, ConsentFact};
use crate::consent::{Channel, ConsentScope};
use crate::people::facts::{GateFacts, facts_of};
use crate::people::{IdentityId, PersonId};

/// Ledger rows read per person.
const MAX_ROWS: usize = 100_000;

/// Asks the ledger whether a person agreed, now or at any instant.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckConsent {
    /// The person.
    pub person: PersonId,
    /// The channel. Default `email`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
    /// What for. Default `marketing`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<ConsentScope>,
    /// The brand that would speak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// The address that would be used. Default: the one a message would go to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<IdentityId>,
    /// What held at this instant (UTC ms). Default: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// As far as was known at this instant (UTC ms). Default: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_at: Option<Timestamp>,
}

impl Operation for CheckConsent {
    type Output = Answer;
    const NAME: &'static str = "consent.check";
    const NEEDS: &'static [Permission] = &[Permission::ReadPeople];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<Answer> {
        let facts = facts_of(cx, &self.person).await?;
        let channel = self.channel.unwrap_or(Channel::Email);
        let scope = self.scope.unwrap_or(ConsentScope::Marketing);
        let primary = || facts.identity_for(&channel).map(|i| i.identity.clone());
        let identity = self.identity.clone().or_else(primary);
        let now = cx.now();
        let ask = Ask {
            channel: &channel,
            scope: &scope,
            brand: self.brand.as_deref(),
            identity: identity.as_ref(),
            at: self.at.unwrap_or(now),
            known_at: self.known_at.unwrap_or(now),
        };
        if self.at.is_none() && self.known_at.is_none() {
            return Ok(rules::check(&facts.consents, facts.merged_at, &ask));
        }
        let rows = ledger(cx, &facts).await?;
        let read: Vec<ConsentFact> = rows.iter().map(|r| r.to_fact(facts.place(&r.person))).collect();
        Ok(rules::check(&read, facts.merged_at, &ask))
    }

    fn examples() -> Vec<Self> {
        let ask = |person| CheckConsent {
            person,
            channel: Some(Channel::Email),
            scope: None,
            brand: None,
            identity: None,
            at: None,
            known_at: None,
        };
        example_person().map(ask).into_iter().collect()
    }
}

/// Every row of a person and the people merged with it, oldest first.
async fn ledger(cx: &Scope, facts: &GateFacts) -> Result<Vec<Consent>> {
    let mut rows = Vec::new();
    for member in facts.people() {
        let query = Query::index("person").prefix(Key::text(member.person.as_str())).limit(MAX_ROWS);
        rows.extend(cx.query::<Consent>(&query).await?.into_iter().map(|r| r.body));
    }
    rows.sort_by(|a, b| {
        (a.effective_at, a.recorded_at, a.sequence, &a.id).cmp(&(
            b.effective_at,
            b.recorded_at,
            b.sequence,
            &b.id,
        ))
    });
    Ok(rows)
}

/// Lists what the ledger says of a person, newest first.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsentHistory {
    /// The person.
    pub person: PersonId,
    /// Only rows of this channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
}

/// A row of the ledger.
pub type HistoryRow = Consent;

impl Operation for ConsentHistory {
    type Output = Vec<HistoryRow>;
    const NAME: &'static str = "consent.history";
    const NEEDS: &'static [Permission] = &[Permission::ReadPeople];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<Vec<HistoryRow>> {
        let facts = facts_of(cx, &self.person).await?;
        let mut rows = ledger(cx, &facts).await?;
        rows.reverse();
        rows.retain(|r| self.channel.as_ref().is_none_or(|c| *c == r.channel));
        Ok(rows)
    }

    fn examples() -> Vec<Self> {
        example_person().map(|person| ConsentHistory { person, channel: None }).into_iter().collect()
    }
}
