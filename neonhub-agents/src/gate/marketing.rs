//! The gate that the facade installs: loads the snapshots of a batch with few look-ups and runs the rules.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use neonhub_core::connector::{Gate, Guard, Judgement, Proposal};
use neonhub_core::store::{Kind, Record, Stored};
use neonhub_core::tenancy::Workspace;
use neonhub_core::{Error, ErrorKind, Result, Scope, Timestamp};
use serde::{Deserialize, Serialize};

use super::facts::{DraftFacts, Facts, PersonFacts, Policy, SendFacts, SourceFacts, TenantFacts};
use super::{Channel, PhonePlace, evaluate, load};
use crate::brand::Brand;
use crate::people::{GateFacts, PersonId, facts_of_many};
use crate::send::{Draft, Reach, SendId, SendSource};

/// What a proposal carries besides person and channel. Everything else is loaded.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Ask {
    /// The draft.
    pub(crate) draft: String,
    /// The campaign, bulk or journey.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<String>,
    /// When the send stops being wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<Timestamp>,
    /// A template mark was left in the rendered text.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) has_placeholder: bool,
    /// Place of the number, when it was opened already: country and area code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) phone: Option<(Option<String>, Option<String>)>,
    /// Last time the same public text went out on the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) same_text_at: Option<Timestamp>,
    /// A test send.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_test: bool,
}

impl Ask {
    /// As a proposal carries it.
    pub(crate) fn to_value(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// The rules of this crate as the gate of a hub.
#[derive(Clone, Copy, Debug, Default)]
pub struct MarketingGate;

/// Name and versions of rules, laws and limits, as verdicts keep them.
pub const GATE_VERSION: &str = "rules-2026-11-21;hours-2026-11-21;platforms-2026-11-21";

#[async_trait]
impl Gate for MarketingGate {
    fn name(&self) -> &'static str {
        "marketing"
    }

    fn version(&self) -> &'static str {
        GATE_VERSION
    }

    async fn judge(&self, cx: &Scope, proposals: &[Proposal]) -> Result<Vec<Judgement>> {
        let asks = proposals.iter().map(read).collect::<Result<Vec<_>>>()?;
        let loaded = Loaded::load(cx, proposals, &asks).await?;
        proposals.iter().zip(&asks).enumerate().map(|(n, (p, ask))| loaded.judge(n, p, ask)).collect()
    }
}

fn read(proposal: &Proposal) -> Result<(Ask, Channel)> {
    let ask = Ask::deserialize(&proposal.facts).map_err(|cause| Error::internal("gate", cause))?;
    Ok((ask, Channel::parse("channel", proposal.channel.as_str())?))
}

/// The records of a batch, each loaded once.
struct Loaded {
    workspace: Guard,
    tenants: BTreeMap<String, (TenantFacts, u64)>,
    drafts: BTreeMap<String, (DraftFacts, Stored<Draft>)>,
    sources: BTreeMap<String, (Option<SourceFacts>, u64)>,
    people: Vec<Option<Stored<GateFacts>>>,
    reaches: Vec<Option<Stored<Reach>>>,
    phones: Vec<Option<PhonePlace>>,
}

impl Loaded {
    async fn load(cx: &Scope, proposals: &[Proposal], asks: &[(Ask, Channel)]) -> Result<Loaded> {
        let drafts = by_id::<Draft>(cx, asks.iter().map(|(a, _)| a.draft.clone())).await?;
        let brands = by_id::<Brand>(cx, drafts.values().flatten().map(|d| d.brand.to_string())).await?;
        let sources = by_id::<SendSource>(cx, asks.iter().filter_map(|(a, _)| a.source.clone())).await?;
        let workspace = cx.hub().workspace_of(cx).await?;
        let (people, reaches) = recipients(cx, proposals).await?;
        let asked: Vec<(Channel, Option<&GateFacts>)> = asks
            .iter()
            .zip(&people)
            .map(|((ask, channel), facts)| {
                (*channel, facts.as_ref().map(|f| &f.body).filter(|_| ask.phone.is_none()))
            })
            .collect();
        let phones = load::phone_places(cx, &asked).await?;
        Ok(Loaded {
            workspace: Guard {
                kind: Kind::of::<Workspace>(),
                id: cx.workspace().to_string(),
                rev: workspace.rev,
            },
            tenants: brands
                .into_iter()
                .map(|(id, b)| {
                    let facts = load::tenant(&workspace, b.as_ref().map(|b| &b.body));
                    (id, (facts, b.map_or(0, |b| b.rev)))
                })
                .collect(),
            drafts: drafts.into_iter().filter_map(|(id, d)| d.map(|d| (id, (load::draft(&d), d)))).collect(),
            sources: sources
                .into_iter()
                .map(|(id, s)| (id, (s.as_ref().map(|s| load::source(s)), s.map_or(0, |s| s.rev))))
                .collect(),
            people,
            reaches,
            phones,
        })
    }

    fn judge(&self, n: usize, proposal: &Proposal, (ask, channel): &(Ask, Channel)) -> Result<Judgement> {
        let missing = || Error::new(ErrorKind::NotFound, "gate", "the draft of the send is gone");
        let (draft_facts, draft) = self.drafts.get(&ask.draft).ok_or_else(missing)?;
        let (tenant, brand_rev) = self.tenants.get(draft.brand.as_str()).ok_or_else(missing)?;
        let mut guards = vec![
            self.workspace.clone(),
            Guard { kind: Kind::of::<Draft>(), id: draft.id.to_string(), rev: draft.rev },
            Guard { kind: Kind::of::<Brand>(), id: draft.brand.to_string(), rev: *brand_rev },
        ];
        let source = ask.source.as_ref().and_then(|id| {
            let (facts, rev) = self.sources.get(id)?;
            guards.push(Guard { kind: Kind::of::<SendSource>(), id: id.clone(), rev: *rev });
            facts.as_ref()
        });
        let person = self.person(n, proposal, ask, *channel, draft_facts, &mut guards);
        let marked;
        let draft_facts = if ask.has_placeholder {
            let mut copy = draft_facts.clone();
            copy.content.has_placeholder = true;
            marked = copy;
            &marked
        } else {
            draft_facts
        };
        let facts = Facts {
            tenant,
            source,
            draft: draft_facts,
            person: person.as_ref(),
            policy: &Policy::default(),
            send: SendFacts {
                expires_at: ask.expires_at,
                is_test: ask.is_test,
                is_on_test_list: false,
                same_text_at: ask.same_text_at,
            },
        };
        let ruling = evaluate(&facts, proposal.at);
        Ok(Judgement { decision: ruling.decision, until: ruling.until, reasons: ruling.reasons, guards })
    }

    fn person(
        &self,
        n: usize,
        proposal: &Proposal,
        ask: &Ask,
        channel: Channel,
        draft: &DraftFacts,
        guards: &mut Vec<Guard>,
    ) -> Option<PersonFacts> {
        proposal.person.as_ref()?;
        let stored = self.people.get(n).and_then(Option::as_ref)?;
        let reach = self.reaches.get(n).and_then(Option::as_ref);
        guards.push(Guard { kind: Kind::of::<GateFacts>(), id: stored.person.to_string(), rev: stored.rev });
        // The caps count for all merged people together, under the one that speaks for them.
        let rev = reach.map_or(0, |r| r.rev);
        guards.push(Guard { kind: Kind::of::<Reach>(), id: stored.person.to_string(), rev });
        let phone = match &ask.phone {
            Some((country, area)) => Some(PhonePlace { country: country.clone(), area: area.clone() }),
            None => self.phones.get(n).cloned().flatten(),
        };
        let send = SendId::try_from(proposal.send.clone()).ok();
        let brand = self.drafts.get(&ask.draft).map(|(_, d)| d.brand.as_str());
        Some(load::person(load::Recipient {
            facts: stored,
            reach: reach.map(|r| &r.body),
            phone,
            channel,
            category: draft.category,
            brand,
            send: send.as_ref(),
            at: proposal.at,
        }))
    }
}

/// Facts and reach of recipients that a caller of the gate has loaded already. They may be old by now: the dispatch
/// commit expects the revisions that the verdict saw, so an old one only makes it run again.
#[derive(Debug, Default)]
pub(crate) struct Preloaded {
    /// By the person asked about.
    pub(crate) facts: BTreeMap<PersonId, Stored<GateFacts>>,
    /// By the person that speaks for it.
    pub(crate) reaches: BTreeMap<PersonId, Stored<Reach>>,
}

tokio::task_local! {
    static PRELOADED: Arc<Preloaded>;
}

impl Preloaded {
    /// Loads the facts and reach of people: two or three look-ups in all.
    pub(crate) async fn load(cx: &Scope, people: &[PersonId]) -> Result<Preloaded> {
        let found = people.iter().cloned().zip(facts_of_many(cx, people).await?);
        let facts: BTreeMap<PersonId, Stored<GateFacts>> =
            found.filter_map(|(id, f)| f.map(|f| (id, f))).collect();
        let speakers: Vec<String> = facts.values().map(|f| f.person.to_string()).collect();
        let reaches = cx.get_many::<Reach>(&speakers).await?.into_iter().flatten();
        Ok(Preloaded { facts, reaches: reaches.map(|r| (r.id.clone(), r)).collect() })
    }

    /// Runs `work`, in which the gate uses these records instead of loading them again.
    pub(crate) async fn within<F: Future>(self: &Arc<Self>, work: F) -> F::Output {
        PRELOADED.scope(Arc::clone(self), work).await
    }
}

/// Facts and reach of each proposal's person.
async fn recipients(
    cx: &Scope,
    proposals: &[Proposal],
) -> Result<(Vec<Option<Stored<GateFacts>>>, Vec<Option<Stored<Reach>>>)> {
    let ids: Vec<Option<PersonId>> =
        proposals.iter().map(|p| p.person.clone().and_then(|id| PersonId::try_from(id).ok())).collect();
    let preloaded = match PRELOADED.try_with(Arc::clone) {
        Ok(preloaded) => preloaded,
        Err(_) => {
            let known: Vec<PersonId> = ids.iter().flatten().cloned().collect();
            Arc::new(Preloaded::load(cx, &known).await?)
        }
    };
    let facts = |id: &Option<PersonId>| preloaded.facts.get(id.as_ref()?).cloned();
    let people: Vec<Option<Stored<GateFacts>>> = ids.iter().map(facts).collect();
    let reach = |f: &Option<Stored<GateFacts>>| preloaded.reaches.get(&f.as_ref()?.person).cloned();
    let reaches = people.iter().map(reach).collect();
    Ok((people, reaches))
}

async fn by_id<R: Record>(
    cx: &Scope,
    ids: impl Iterator<Item = String>,
) -> Result<BTreeMap<String, Option<Stored<R>>>> {
    let ids: Vec<String> = ids.collect::<BTreeSet<_>>().into_iter().collect();
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let found = cx.get_many::<R>(&ids).await?;
    Ok(ids.into_iter().zip(found).collect())
}
