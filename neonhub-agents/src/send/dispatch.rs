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
    Clearance, Cleared, Connector, Decision, Guard, Judgement, Probe, Reason, Receipt,
};
use neonhub_core::job::{Handler, Job, Outcome};
use neonhub_core::resilience::is_untried;
use neonhub_core::store::{Expected, Stored};
use neonhub_core::tenancy::Workspace;
use neonhub_core::{Error, ErrorKind, Result, Scope, Timestamp};

use super::create::settle;
use super::desk::{Desk, Written};
use super::outcome::{self, Delivered};
use super::render::core_channel;
use super::{Draft, Send, SendSource, SendState};
use crate::brand::Brand;
use crate::gate::Channel;
use crate::people::{GateFacts, PersonId};

/// Jobs of one batch: enough to share the two commits, few enough to stay within a lease of 30 s.
const BATCH: usize = 256;
/// Deliveries under way at once: as many as one connection takes, so that none waits for a place.
const PARALLEL: usize = 4;
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

    async fn too_late(&self, cx: &Scope, job: &Job) -> Result<Option<String>> {
        let send = cx.get::<Send>(&send_of(job)).await?;
        let is_out = |s: &Stored<Send>| {
            !matches!(s.state, SendState::Scheduled | SendState::Queued | SendState::Deferred)
        };
        Ok(send.filter(is_out).map(|s| s.state.word().to_owned()))
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

/// Id of the send of a job.
fn send_of(job: &Job) -> String {
    job.payload.get("send").and_then(|v| v.as_str()).unwrap_or_default().to_owned()
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
        let ids: Vec<String> = jobs.iter().map(send_of).collect();
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
        let clearances = desk.loaded.within(cx.clear(asked)).await?;
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
            "workspace" => cx.expect::<Workspace>(&guard.id, expected)?,
            "gate_facts" => cx.expect::<GateFacts>(&guard.id, expected)?,
            "draft" => cx.expect::<Draft>(&guard.id, expected)?,
            "brand" => cx.expect::<Brand>(&guard.id, expected)?,
            "send_source" => cx.expect::<SendSource>(&guard.id, expected)?,
            // Written in this commit, with its revision.
            "reach" => {}
            other => {
                let error =
                    Error::new(ErrorKind::Internal, "sends.dispatch", "a verdict hangs on an unknown record");
                return Err(error.with_context("kind", other));
            }
        }
    }
    Ok(())
}

/// A send that was under way when its worker stopped, or whose answer was lost.
async fn interrupted(cx: &Scope, connector: &dyn Connector, mut send: Stored<Send>) -> Result<Item> {
    let now = cx.now();
    let probe = match cx.probe(connector, &send.effect, &core_channel(send.channel)?).await {
        Ok(probe) => probe,
        Err(error) if is_untried(&error) => {
            let at = outcome::again_at(&error, now);
            return Ok(Item { send: Some(send), next: Next::End(Outcome::Later(at)) });
        }
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
