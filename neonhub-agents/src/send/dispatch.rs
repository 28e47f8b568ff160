//! The sending queues: a batch of jobs becomes one dispatch commit, deliveries side by side, one outcome commit.
//!
//! A job that finds its send `dispatching` or `unknown` was interrupted: the connector is asked whether the effect
//! landed. Only what provably did not happen goes to the gate again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use neonhub_core::connector::{
    Clearance, Cleared, Connector, Decision, Guard, Judgement, Outbound, Probe, Proposal, Reason, Receipt,
};
use neonhub_core::job::{Handler, Job, Outcome};
use neonhub_core::store::{Expected, Stored};
use neonhub_core::{Error, ErrorKind, Result, Scope, Secret, Timestamp};

use super::create::{ask, last_same_text, settle};
use super::outcome::{self, Delivered};
use super::render::{self, Compiled, Ready, To, core_channel};
use super::{Draft, Reach, Send, SendSource, SendState};
use crate::brand::{Brand, SenderProfile};
use crate::consent::signing_keys;
use crate::consent::token::SigningKey;
use crate::gate::facts::RecentSend;
use crate::gate::{Ask, Channel};
use crate::people::{GateFacts, Identity, IdentityId, Person, PersonId, facts_of_many};

/// Jobs of one batch: enough to share the two commits, few enough to stay within a lease of 30 s.
const BATCH: usize = 256;
/// Deliveries under way at once.
const PARALLEL: usize = 16;
/// How often a batch is judged again when records it was judged by changed meanwhile.
const RETRIES: usize = 8;
/// How long a send waits for a connector of its channel.
const NO_CONNECTOR: Duration = Duration::from_secs(3600);
/// How long after a lost answer the provider is asked.
const PROBE_AGAIN: Duration = Duration::from_secs(60);

/// Works one of the sending queues.
#[derive(Clone, Copy, Debug)]
pub struct SendHandler {
    queue: &'static str,
}

impl SendHandler {
    /// The handler of `email.send`, `sms.send` or `social.send`.
    #[must_use]
    pub fn new(queue: &'static str) -> Self {
        SendHandler { queue }
    }
}

#[async_trait]
impl Handler for SendHandler {
    fn queue(&self) -> &'static str {
        self.queue
    }

    fn batch(&self) -> usize {
        BATCH
    }

    async fn work(&self, cx: &Scope, jobs: &[Job]) -> Result<Vec<Outcome>> {
        let mut tries = 0;
        let batch = loop {
            let mut batch = Batch::load(cx, jobs).await?;
            batch.judge(cx).await?;
            match cx.flush().await {
                Ok(_) => break batch,
                Err(error) if is_moved(&error) && tries < RETRIES => tries += 1,
                Err(error) => return Err(error),
            }
        };
        batch.deliver(cx).await
    }
}

/// True when a record of the verdict changed, false when the lease was lost.
fn is_moved(error: &Error) -> bool {
    error.code() == "stale_revision" && !error.context().any(|(key, value)| key == "kind" && value == "job")
}

/// What is done about one job.
enum Next {
    /// Nothing more in this batch.
    End(Outcome),
    /// Waits for its verdict.
    Ask,
    /// Goes out after the commit.
    Deliver { cleared: Box<Cleared>, reach: PersonId },
    /// A public post goes out after the commit.
    Publish { cleared: Box<Cleared> },
}

struct Item {
    send: Option<Stored<Send>>,
    next: Next,
}

struct Batch {
    items: Vec<Item>,
    connectors: BTreeMap<Channel, Arc<dyn Connector>>,
}

impl Batch {
    /// Loads the sends and sorts out those that need no verdict.
    async fn load(cx: &Scope, jobs: &[Job]) -> Result<Batch> {
        let id = |job: &Job| job.payload.get("send").and_then(|v| v.as_str()).unwrap_or_default().to_owned();
        let ids: Vec<String> = jobs.iter().map(id).collect();
        let sends = cx.get_many::<Send>(&ids).await?;
        let mut batch = Batch { items: Vec::with_capacity(jobs.len()), connectors: BTreeMap::new() };
        let mut busy: BTreeSet<PersonId> = BTreeSet::new();
        for send in sends {
            let item = batch.sort(cx, send, &mut busy).await?;
            batch.items.push(item);
        }
        Ok(batch)
    }

    async fn sort(
        &mut self,
        cx: &Scope,
        send: Option<Stored<Send>>,
        busy: &mut BTreeSet<PersonId>,
    ) -> Result<Item> {
        let end = |send, outcome| Ok(Item { send, next: Next::End(outcome) });
        let Some(mut send) = send else { return end(None, Outcome::Done) };
        let now = cx.now();
        if send.state.is_ended() || send.state == SendState::Accepted {
            return end(Some(send), Outcome::Done);
        }
        if send.state == SendState::Scheduled && send.send_at > now {
            let at = send.send_at;
            return end(Some(send), Outcome::Later(at));
        }
        // One person never has two sends under way: the second waits for the next batch.
        if send.person.as_ref().is_some_and(|p| !busy.insert(p.clone())) {
            return end(Some(send), Outcome::Later(now));
        }
        let Some(connector) = self.connector(cx, send.channel)? else {
            no_connector(&mut send.body, now);
            cx.save(&send)?;
            return end(Some(send), Outcome::Later(now.plus(NO_CONNECTOR)));
        };
        if matches!(send.state, SendState::Dispatching | SendState::Unknown) {
            return interrupted(cx, connector.as_ref(), send).await;
        }
        send.body.enter(SendState::Queued, now);
        Ok(Item { send: Some(send), next: Next::Ask })
    }

    fn connector(&mut self, cx: &Scope, channel: Channel) -> Result<Option<Arc<dyn Connector>>> {
        if let Some(known) = self.connectors.get(&channel) {
            return Ok(Some(Arc::clone(known)));
        }
        let found = cx.hub().connector(&core_channel(channel)?);
        if let Some(found) = &found {
            self.connectors.insert(channel, Arc::clone(found));
        }
        Ok(found)
    }

    /// Renders what waits for a verdict, asks the gate, and stages the dispatch: states, slots and guards.
    async fn judge(&mut self, cx: &Scope) -> Result<()> {
        let places: Vec<usize> = self
            .items
            .iter()
            .enumerate()
            .filter(|(_, i)| matches!(i.next, Next::Ask))
            .map(|(n, _)| n)
            .collect();
        if places.is_empty() {
            return Ok(());
        }
        let sends: Vec<Stored<Send>> =
            places.iter().filter_map(|n| self.items.get(*n).and_then(|i| i.send.clone())).collect();
        let desk = Desk::load(cx, &sends).await?;
        let mut asked = Vec::new();
        let mut written: Vec<(usize, Written)> = Vec::new();
        for (place, send) in places.into_iter().zip(sends) {
            match desk.write(cx, &send) {
                Ok((message, outbound)) => {
                    asked.push((message.proposal(cx, &send).await?, outbound));
                    written.push((place, message));
                }
                Err(error) => self.unwritable(cx, place, send, &error)?,
            }
        }
        let clearances = cx.clear(asked).await?;
        let mut guards: Vec<Guard> = Vec::new();
        for ((place, message), clearance) in written.into_iter().zip(clearances) {
            if let Some(item) = self.items.get_mut(place) {
                item.settle(cx, &desk, message, clearance, &mut guards)?;
            }
        }
        expect(cx, guards)
    }

    /// A message that cannot be written never goes out.
    fn unwritable(&mut self, cx: &Scope, place: usize, mut send: Stored<Send>, error: &Error) -> Result<()> {
        send.body.error = Some(format!("render.{}", error.code()));
        send.body.enter(SendState::Failed, cx.now());
        cx.save(&send)?;
        if let Some(item) = self.items.get_mut(place) {
            *item = Item { send: Some(send), next: Next::End(Outcome::Done) };
        }
        Ok(())
    }

    /// Hands the cleared messages over and stages what came of them.
    async fn deliver(self, cx: &Scope) -> Result<Vec<Outcome>> {
        let Batch { items, connectors } = self;
        let connectors = &connectors;
        let handed = futures_util::stream::iter(items.into_iter().map(|item| async move {
            let Item { send, next } = item;
            let (cleared, reach) = match next {
                Next::End(outcome) => return Delivered::Ended(outcome),
                Next::Ask => return Delivered::Ended(Outcome::Later(cx.now())),
                Next::Deliver { cleared, reach } => (cleared, Some(reach)),
                Next::Publish { cleared } => (cleared, None),
            };
            let Some(send) = send else { return Delivered::Ended(Outcome::Done) };
            let answer = match connectors.get(&send.channel) {
                Some(connector) => cx.deliver(connector.as_ref(), *cleared).await,
                None => {
                    Err(Error::new(ErrorKind::Config, "sends.deliver", "no connector takes this channel"))
                }
            };
            Delivered::Answered { send: Box::new(send), reach, answer }
        }))
        .buffered(PARALLEL)
        .collect::<Vec<_>>()
        .await;
        if handed.iter().any(|d| matches!(d, Delivered::Answered { .. })) {
            // What was handed over must be durable before its outcome is; if not, the next try asks.
            for connector in connectors.values() {
                connector.settle().await?;
            }
        }
        outcome::stage(cx, handed, PROBE_AGAIN).await
    }
}

impl Item {
    fn settle(
        &mut self,
        cx: &Scope,
        desk: &Desk,
        message: Written,
        clearance: Clearance,
        guards: &mut Vec<Guard>,
    ) -> Result<()> {
        let Some(send) = &mut self.send else { return Ok(()) };
        let now = cx.now();
        match clearance {
            Clearance::Refused(judged) => {
                let until = judged.until;
                let is_later = judged.decision == Decision::Defer;
                settle(&mut send.body, judged, now);
                let outcome = match until.filter(|_| is_later) {
                    Some(at) => Outcome::Later(at),
                    None => Outcome::Done,
                };
                cx.save(send)?;
                self.next = Next::End(outcome);
            }
            Clearance::Cleared { cleared, judgement } => {
                guards.extend(judgement.guards.iter().cloned());
                let judged = Judgement { guards: Vec::new(), ..judgement };
                settle(&mut send.body, judged, now);
                send.body.enter(SendState::Dispatching, now);
                send.body.segments = message.segments;
                send.body.identity = message.identity.clone();
                send.body.error = None;
                cx.save(send)?;
                // The outcome expects the revision that this commit makes.
                send.rev += 1;
                self.next = match message.reach {
                    Some(person) => {
                        desk.take_slot(cx, &send.body, &person, message.shows_opt_out, now)?;
                        Next::Deliver { cleared, reach: person }
                    }
                    None => Next::Publish { cleared },
                };
            }
        }
        Ok(())
    }
}

/// Puts the records of the verdicts into the commit as expectations. Slots are saved with theirs.
fn expect(cx: &Scope, guards: Vec<Guard>) -> Result<()> {
    let mut seen = BTreeSet::new();
    for guard in guards {
        if !seen.insert((guard.kind.name, guard.id.clone())) {
            continue;
        }
        let expected = if guard.rev == 0 { Expected::Absent } else { Expected::Rev(guard.rev) };
        match guard.kind.name {
            "gate_facts" => cx.expect::<GateFacts>(&guard.id, expected)?,
            "draft" => cx.expect::<Draft>(&guard.id, expected)?,
            "brand" => cx.expect::<Brand>(&guard.id, expected)?,
            "send_source" => cx.expect::<SendSource>(&guard.id, expected)?,
            // Written in this commit, with its revision.
            _ => {}
        }
    }
    Ok(())
}

/// A send that was under way when its worker stopped, or whose answer was lost.
async fn interrupted(cx: &Scope, connector: &dyn Connector, mut send: Stored<Send>) -> Result<Item> {
    let now = cx.now();
    let probe = match connector.probe(&send.effect, &core_channel(send.channel)?).await {
        Ok(probe) => probe,
        Err(error) if error.is_retryable() => {
            return Ok(Item { send: Some(send), next: Next::End(Outcome::Failed(error)) });
        }
        Err(_) => Probe::Unknown,
    };
    match probe {
        Probe::Landed(receipt) => {
            accept(&mut send.body, receipt, now);
            cx.save(&send)?;
            Ok(Item { send: Some(send), next: Next::End(Outcome::Done) })
        }
        Probe::NotLanded => {
            send.body.enter(SendState::Queued, now);
            Ok(Item { send: Some(send), next: Next::Ask })
        }
        Probe::Unknown => {
            send.body.enter(SendState::Unknown, now);
            cx.save(&send)?;
            // From here a person decides.
            Ok(Item { send: Some(send), next: Next::End(Outcome::Done) })
        }
    }
}

/// Notes what the provider answered.
pub(super) fn accept(send: &mut Send, receipt: Receipt, now: Timestamp) {
    send.provider_id = Some(receipt.provider_id);
    send.provider_status = receipt.provider_status;
    send.accepted_at = Some(now);
    send.error = None;
    send.enter(SendState::Accepted, now);
}

fn no_connector(send: &mut Send, now: Timestamp) {
    let until = now.plus(NO_CONNECTOR);
    let reason = Reason {
        rule: "G10.provider".into(),
        decision: Decision::Defer,
        code: "no_connection".into(),
        message: "no connector takes this channel".into(),
        evidence: serde_json::json!({ "channel": send.channel }),
        until: Some(until),
    };
    let judged = Judgement {
        decision: Decision::Defer,
        until: Some(until),
        reasons: vec![reason],
        guards: Vec::new(),
    };
    settle(send, judged, now);
}

/// Everything a batch needs to write its messages, each record loaded once.
struct Desk {
    signing: Option<SigningKey>,
    compiled: BTreeMap<String, Compiled>,
    facts: BTreeMap<PersonId, Stored<GateFacts>>,
    people: BTreeMap<PersonId, Person>,
    identities: BTreeMap<IdentityId, Secret>,
    reaches: BTreeMap<PersonId, Stored<Reach>>,
}

struct Written {
    has_placeholder: bool,
    segments: Option<u32>,
    shows_opt_out: bool,
    identity: Option<IdentityId>,
    reach: Option<PersonId>,
    number: Option<String>,
}

impl Written {
    fn of(
        ready: Ready,
        identity: Option<IdentityId>,
        reach: Option<PersonId>,
        number: Option<String>,
    ) -> (Written, Outbound) {
        let Ready { outbound, has_placeholder, segments, shows_opt_out } = ready;
        (Written { has_placeholder, segments, shows_opt_out, identity, reach, number }, outbound)
    }

    async fn proposal(&self, cx: &Scope, send: &Send) -> Result<Proposal> {
        let same_text_at = match &send.fingerprint {
            Some(fingerprint) => last_same_text(cx, fingerprint).await?,
            None => None,
        };
        let phone = self.number.as_deref().map(|number| {
            let place = crate::gate::load::phone_place(number);
            (place.country, place.area)
        });
        let ask = Ask { has_placeholder: self.has_placeholder, phone, same_text_at, ..ask(send) };
        Ok(Proposal {
            send: send.id.to_string(),
            person: send.person.as_ref().map(ToString::to_string),
            channel: core_channel(send.channel)?,
            at: cx.now(),
            facts: ask.to_value(),
        })
    }
}

impl Desk {
    async fn load(cx: &Scope, sends: &[Stored<Send>]) -> Result<Desk> {
        let compiled = compile(cx, sends).await?;
        let signing = match compiled.values().any(Compiled::has_unsubscribe) {
            true => signing_keys(cx).await?.pop(),
            false => None,
        };
        let asked: Vec<PersonId> = sends.iter().filter_map(|s| s.person.clone()).collect();
        let facts: BTreeMap<PersonId, Stored<GateFacts>> = asked
            .iter()
            .cloned()
            .zip(facts_of_many(cx, &asked).await?)
            .filter_map(|(id, facts)| facts.map(|f| (id, f)))
            .collect();
        let speakers: Vec<String> = facts.values().map(|f| f.person.to_string()).collect();
        let people = cx.get_many::<Person>(&speakers).await?.into_iter().flatten();
        let reaches = cx.get_many::<Reach>(&speakers).await?.into_iter().flatten();
        let ids: BTreeSet<String> =
            sends.iter().filter_map(|s| identity_of(s, &facts)).map(|i| i.to_string()).collect();
        let ids: Vec<String> = ids.into_iter().collect();
        let mut identities = BTreeMap::new();
        for identity in cx.get_many::<Identity>(&ids).await?.into_iter().flatten() {
            let address = cx.sealer().open("identity", "key", &identity.key)?;
            identities.insert(identity.body.id, address);
        }
        Ok(Desk {
            signing,
            compiled,
            facts,
            people: people.map(|p| (p.body.id.clone(), p.body)).collect(),
            identities,
            reaches: reaches.map(|r| (r.body.id.clone(), r)).collect(),
        })
    }

    fn write(&self, cx: &Scope, send: &Send) -> Result<(Written, Outbound)> {
        let gone = || Error::new(ErrorKind::NotFound, "sends.render", "the draft of the send is gone");
        let compiled = self.compiled.get(send.draft.as_str()).ok_or_else(gone)?;
        if compiled.draft().hash != send.draft_hash {
            return Err(Error::new(
                ErrorKind::Conflict,
                "sends.render",
                "the draft changed since the send was made",
            )
            .with_code("draft_changed"));
        }
        let Some(person) = &send.person else {
            let ready = render::public(compiled, send)?;
            return Ok(Written::of(ready, None, None, None));
        };
        let facts = self.facts.get(person);
        let reach = facts.map(|f| f.person.clone());
        let identity = identity_of(send, &self.facts).cloned();
        let address = identity.as_ref().and_then(|id| self.identities.get(id));
        let record = reach.as_ref().and_then(|id| self.people.get(id));
        let (Some(id), Some(address), Some(record)) = (&identity, address, record) else {
            let ready = render::unaddressed(compiled, send)?;
            return Ok(Written::of(ready, None, reach, None));
        };
        let ready = render::personal(
            cx,
            self.signing.as_ref(),
            compiled,
            send,
            &To { person: record, identity: id, address },
        )?;
        let by_number = matches!(send.channel, Channel::Sms | Channel::Phone);
        let number = by_number.then(|| address.expose().to_owned());
        Ok(Written::of(ready, identity, reach, number))
    }

    /// Takes the frequency slot; the commit expects the revision that the verdict saw.
    fn take_slot(
        &self,
        cx: &Scope,
        send: &Send,
        person: &PersonId,
        shows_opt_out: bool,
        now: Timestamp,
    ) -> Result<()> {
        let known = self.reaches.get(person);
        let mut reach = known.map_or_else(|| Reach::new(person.clone()), |r| r.body.clone());
        if !send.test {
            reach.take(&send.id, RecentSend { at: now, channel: send.channel, category: send.category });
        }
        if shows_opt_out {
            reach.opt_out_shown_at.insert(send.channel.word().into_owned(), now);
        }
        let expected = known.map_or(Expected::Absent, |r| Expected::Rev(r.rev));
        cx.put(&reach, expected)
    }
}

fn identity_of<'a>(send: &Send, facts: &'a BTreeMap<PersonId, Stored<GateFacts>>) -> Option<&'a IdentityId> {
    let facts = facts.get(send.person.as_ref()?)?;
    facts.identity_for(&send.channel.consent_channel()?).map(|i| &i.identity)
}

async fn compile(cx: &Scope, sends: &[Stored<Send>]) -> Result<BTreeMap<String, Compiled>> {
    let ids: BTreeSet<String> = sends.iter().map(|s| s.draft.to_string()).collect();
    let ids: Vec<String> = ids.into_iter().collect();
    let drafts: Vec<Stored<Draft>> = cx.get_many::<Draft>(&ids).await?.into_iter().flatten().collect();
    let senders: Vec<String> = drafts.iter().map(|d| d.sender.to_string()).collect();
    let senders = cx.get_many::<SenderProfile>(&senders).await?;
    let mut out = BTreeMap::new();
    for (draft, sender) in drafts.into_iter().zip(senders) {
        if let Some(sender) = sender {
            out.insert(draft.id.to_string(), Compiled::new(&draft, &sender)?);
        }
    }
    Ok(out)
}
