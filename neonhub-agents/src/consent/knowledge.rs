//! What knowledge may use about a person, by the consent ledger.

use std::collections::BTreeSet;

use async_trait::async_trait;
use neonhub_core::{Error, Result, Scope, Timestamp};
use neonhub_rag::{PersonAsk, PersonSource, PersonStanding};

use super::{Channel, ConsentScope, Status};
use crate::people::model::PersonStatus;
use crate::people::{GateFacts, PersonId, facts_of};

/// The ledger as the source that knowledge asks. A consent basis that is a word of its scopes (`memory`,
/// `marketing.offers`) holds as the ledger says; another one, such as a contract, as the caller does.
#[derive(Clone, Copy, Debug)]
pub(super) struct LedgerSource;

#[async_trait]
impl PersonSource for LedgerSource {
    async fn standing(&self, cx: &Scope, ask: PersonAsk<'_>) -> Result<PersonStanding> {
        let id: PersonId = ask
            .person
            .parse()
            .map_err(|_| Error::invalid(cx.operation(), "person", "expected the id of a person"))?;
        let facts = facts_of(cx, &id).await?.body;
        let ids = facts.people().into_iter().map(|member| member.person.to_string()).collect();
        if facts.status != PersonStatus::Active {
            return Ok(PersonStanding { ids, ..PersonStanding::default() });
        }
        let holds = |scope: &ConsentScope| holds(&facts, scope, ask, cx.now());
        let scope_of = |basis: &String| basis.parse::<ConsentScope>().ok();
        let consents = scopes(&facts)
            .into_iter()
            .chain(ask.claimed.iter().filter_map(scope_of))
            .filter(holds)
            .map(|scope| scope.as_word().into_owned())
            .chain(ask.claimed.iter().filter(|basis| scope_of(basis).is_none()).cloned())
            .collect::<BTreeSet<String>>();
        Ok(PersonStanding {
            ids,
            consents: consents.into_iter().collect(),
            may_recall: holds(&ConsentScope::Memory),
        })
    }
}

/// The scopes that can hold: the fixed ones, and those that the ledger names.
fn scopes(facts: &GateFacts) -> Vec<ConsentScope> {
    let fixed = [
        ConsentScope::All,
        ConsentScope::Marketing,
        ConsentScope::Transactional,
        ConsentScope::Profiling,
        ConsentScope::Memory,
        ConsentScope::Share,
    ];
    fixed.into_iter().chain(facts.consents.iter().map(|row| row.scope.clone())).collect()
}

/// Whether the person agreed. What is for one channel is asked of that one. Else all channels are asked, and of the rows
/// that decide there the newest one does: a later no on any of them ends an earlier yes.
fn holds(facts: &GateFacts, scope: &ConsentScope, ask: PersonAsk<'_>, at: Timestamp) -> bool {
    let is_for_messages = scope.is_marketing() || *scope == ConsentScope::Transactional;
    let purpose = ask.purpose.and_then(|word| word.parse::<Channel>().ok()).filter(|_| is_for_messages);
    let channels: Vec<Channel> = match purpose {
        Some(channel) => vec![channel],
        None => facts.consents.iter().map(|row| row.channel.clone()).collect(),
    };
    let deciding = channels.iter().filter_map(|channel| {
        let identity = facts.identity_for(channel).map(|identity| &identity.identity);
        let row = facts.consent(channel, scope, ask.brand, identity, at).row?;
        facts.consents.iter().find(|fact| fact.row == row)
    });
    let newest =
        deciding.max_by_key(|row| (row.effective_at, row.recorded_at, row.sequence, row.row.as_str()));
    newest.is_some_and(|row| row.status == Status::Granted)
}

#[cfg(test)]
mod tests;
