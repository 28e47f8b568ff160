//! Looking at sends and taking them back.

use neonhub_core::op::{Effect, Operation, Page};
use neonhub_core::store::{Expected, Key, Query, Stored};
use neonhub_core::{Error, ErrorKind, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::create::enqueue;
use super::{Attribution, Draft, Reach, Send, SendId, SendSource, SendState, SendTotals, Verdict};
use crate::gate::facts::Origin;
use crate::people::PersonId;

/// Stages the state of what sends come from. Its owner calls this in the commit that changes its own state; sends
/// already taken from the queue are judged again.
///
/// # Errors
/// What the store answers.
pub async fn put_source(cx: &Scope, source: SendSource) -> Result<()> {
    match cx.get::<SendSource>(&source.id).await? {
        Some(known) if known.body == source => Ok(()),
        Some(mut known) => {
            known.body = source;
            cx.save(&known)
        }
        None => cx.put(&source, Expected::Absent),
    }
}

/// An id for examples.
fn example_id() -> Option<SendId> {
    "snd_00000000000000000000000001".parse().ok()
}

/// Reads one send with its verdicts and state.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetSendStatus {
    /// Its id. Give this or `key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send: Option<SendId>,
    /// The key it was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl Operation for GetSendStatus {
    type Output = Send;
    const NAME: &'static str = "sends.status";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<Send> {
        match (self.send, self.key) {
            (Some(id), None) => Ok(cx.need::<Send>(id.as_str()).await?.body),
            (None, Some(key)) => {
                let found = cx.find::<Send>("dedupe", Key::text(format!("key:{key}"))).await?;
                found.map(|s| s.body).ok_or_else(|| cx.missing("send"))
            }
            _ => Err(Error::invalid(Self::NAME, "send", "expected either send or key")),
        }
    }
    fn examples() -> Vec<Self> {
        vec![GetSendStatus { key: Some("welcome-1".into()), ..GetSendStatus::default() }]
    }
}

/// Takes a send back, as long as it was not handed to the provider.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelSend {
    /// Its id.
    pub send: SendId,
}

impl Operation for CancelSend {
    type Output = Send;
    const NAME: &'static str = "sends.cancel";
    const NEEDS: &'static [Permission] = &[Permission::SendMessages];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    const ERRORS: &'static [&'static str] = &["too_late"];
    async fn run(self, cx: &Scope) -> Result<Send> {
        let mut send = cx.need::<Send>(self.send.as_str()).await?;
        if send.state == SendState::Cancelled {
            return Ok(send.body);
        }
        if !send.state.is_open() {
            let message = "the send was handed over or has ended";
            return Err(Error::new(ErrorKind::Conflict, Self::NAME, message)
                .with_code("too_late")
                .with_context("send", &self.send)
                .with_context("state", send.state.word()));
        }
        send.body.enter(SendState::Cancelled, cx.now());
        cx.save(&send)?;
        Ok(send.body)
    }
    fn examples() -> Vec<Self> {
        example_id().into_iter().map(|send| CancelSend { send }).collect()
    }
}

/// Lists sends: of a campaign (and step, and state), of a person in the order of their times, or in a state.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListSends {
    /// Id of the campaign, bulk or journey.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign: Option<String>,
    /// Step of the campaign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The recipient; newest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<PersonId>,
    /// State; alone, or together with campaign and step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<SendState>,
    /// Most sends of the page, 1..=500. Default 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 500))]
    pub limit: Option<u32>,
    /// `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl Operation for ListSends {
    type Output = Page<Send>;
    const NAME: &'static str = "sends.history";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<Page<Send>> {
        let query = match (&self.campaign, &self.step, &self.person, self.state) {
            (Some(campaign), None, None, None) => Query::index("campaign").prefix(Key::text(campaign)),
            (Some(campaign), Some(step), None, state) => {
                let key = Key::text(campaign).and_text(step);
                Query::index("campaign").prefix(state.map_or(key.clone(), |s| key.and_text(s.word())))
            }
            (None, None, Some(person), None) => {
                Query::index("person").prefix(Key::text(person.as_str())).descending()
            }
            (None, None, None, Some(state)) => Query::index("state").prefix(Key::text(state.word())),
            (None, None, None, None) => Query::by_id(),
            _ => {
                let message = "expected campaign (with step, with state), person, or state alone";
                return Err(Error::invalid(Self::NAME, "campaign", message));
            }
        };
        let page =
            cx.page::<Send>(query.limit(self.limit.unwrap_or(50) as usize), self.cursor.as_deref()).await?;
        Ok(Page { items: page.items.into_iter().map(|s| s.body).collect(), next: page.next })
    }
    fn examples() -> Vec<Self> {
        vec![ListSends { state: Some(SendState::Denied), ..ListSends::default() }]
    }
}

/// Explains a send: every verdict with its evidence, and what the text was made from.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainSend {
    /// Its id.
    pub send: SendId,
}

/// Why a send is where it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// The send.
    pub send: SendId,
    /// Its state.
    pub state: SendState,
    /// One sentence: what happened and which rule decided.
    pub summary: String,
    /// Verdicts, oldest first.
    pub verdicts: Vec<Verdict>,
    /// Where the text came from.
    pub origin: Origin,
    /// What the text was made from.
    pub attribution: Attribution,
    /// True when the draft still says what was sent.
    pub is_draft_unchanged: bool,
    /// The provider's id and word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<String>,
    /// Code of the last failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Operation for ExplainSend {
    type Output = Explanation;
    const NAME: &'static str = "sends.explain";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<Explanation> {
        let send = cx.need::<Send>(self.send.as_str()).await?.body;
        let draft = cx.need::<Draft>(send.draft.as_str()).await?.body;
        Ok(Explanation {
            summary: summary(&send),
            send: send.id,
            state: send.state,
            verdicts: send.verdicts,
            origin: draft.origin,
            attribution: draft.attribution,
            is_draft_unchanged: draft.hash == send.draft_hash,
            provider_id: send.provider_id,
            error: send.error,
        })
    }
    fn examples() -> Vec<Self> {
        example_id().into_iter().map(|send| ExplainSend { send }).collect()
    }
}

fn summary(send: &Send) -> String {
    let last = send.verdicts.last();
    let rule = last.and_then(|v| {
        let rule = v.rule.as_ref()?;
        v.reasons.iter().find(|r| r.rule == *rule && r.decision == v.decision)
    });
    match rule {
        Some(reason) => {
            format!("{}: {} ({}, {})", send.state.word(), reason.message, reason.rule, reason.code)
        }
        None if last.is_some() => format!("{}: every rule allowed it", send.state.word()),
        None => format!("{}: not judged yet", send.state.word()),
    }
}

/// Counts the sends of a campaign, or of one of its steps.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadTotals {
    /// Id of the campaign, bulk or journey.
    pub campaign: String,
    /// Step. Default: all steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
}

impl Operation for ReadTotals {
    type Output = SendTotals;
    const NAME: &'static str = "sends.totals";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<SendTotals> {
        let mut totals = SendTotals::default();
        let key = Key::text(&self.campaign);
        let key = self.step.iter().fold(key, |key, step| key.and_text(step));
        let mut query = Query::index("campaign").prefix(key).limit(500);
        loop {
            let page = cx.query::<Send>(&query).await?;
            page.iter().for_each(|send| totals.add(send));
            let Some(last) = page.last().filter(|_| page.len() == 500) else { return Ok(totals) };
            query = query.after(campaign_key(last), last.id.to_string());
        }
    }
    fn examples() -> Vec<Self> {
        vec![ReadTotals { campaign: "cmp_00000000000000000000000001".into(), step: None }]
    }
}

fn campaign_key(send: &Stored<Send>) -> Key {
    use neonhub_core::store::Record as _;
    send.body.keys().into_iter().nth(1).flatten().unwrap_or_default()
}

impl SendTotals {
    fn add(&mut self, send: &Send) {
        *self.states.entry(send.state.word().to_owned()).or_default() += 1;
        let rule = send.rule();
        match send.state {
            SendState::Scheduled => self.scheduled += 1,
            SendState::Deferred => self.deferred += 1,
            SendState::Denied | SendState::Expired => self.denied += 1,
            SendState::Cancelled if rule.is_some() => self.denied += 1,
            SendState::Cancelled => self.cancelled += 1,
            _ => self.allowed += 1,
        }
        if matches!(send.state, SendState::Accepted | SendState::Delivered | SendState::Bounced) {
            self.sent += 1;
        }
        let is_counted = matches!(
            send.state,
            SendState::Deferred | SendState::Denied | SendState::Expired | SendState::Cancelled
        );
        if let Some(rule) = rule.filter(|_| is_counted) {
            *self.reasons.entry(rule.to_owned()).or_default() += 1;
        }
    }
}

/// Decides about a send whose outcome nobody knows.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResolveUnknown {
    /// The send.
    pub send: SendId,
    /// True when it went out; false puts it back into the queue.
    pub landed: bool,
    /// How this is known.
    pub why: String,
}

impl Operation for ResolveUnknown {
    type Output = Send;
    const NAME: &'static str = "sends.resolve_unknown";
    const NEEDS: &'static [Permission] = &[Permission::ApproveEffects];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    async fn run(self, cx: &Scope) -> Result<Send> {
        if self.why.trim().is_empty() {
            return Err(Error::invalid(Self::NAME, "why", "expected how this is known"));
        }
        let mut send = cx.need::<Send>(self.send.as_str()).await?;
        if send.state != SendState::Unknown {
            let message = "the outcome of this send is known";
            return Err(
                Error::new(ErrorKind::Conflict, Self::NAME, message).with_context("state", send.state.word())
            );
        }
        let now = cx.now();
        if self.landed {
            send.body.accepted_at = Some(now);
            send.body.enter(SendState::Accepted, now);
        } else {
            send.body.enter(SendState::Queued, now);
            enqueue(cx, &send.body, now)?;
        }
        send.body.error = None;
        cx.save(&send)?;
        Ok(send.body)
    }
    fn examples() -> Vec<Self> {
        example_id()
            .into_iter()
            .map(|send| ResolveUnknown { send, landed: true, why: "seen in the log of the provider".into() })
            .collect()
    }
}

/// Gives the frequency slot of a send back that did not go out.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseSlot {
    /// The person, as the caps count: the one that speaks for merged people.
    pub person: PersonId,
    /// The send.
    pub send: SendId,
}

impl Operation for ReleaseSlot {
    type Output = ();
    const NAME: &'static str = "sends.release_slot";
    const NEEDS: &'static [Permission] = &[Permission::SendMessages];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 5;
    const INTERNAL: bool = true;
    async fn run(self, cx: &Scope) -> Result<()> {
        let Some(mut reach) = cx.get::<Reach>(self.person.as_str()).await? else { return Ok(()) };
        reach.body.release(&self.send);
        cx.save(&reach)
    }
    fn examples() -> Vec<Self> {
        let person: Option<PersonId> = "per_00000000000000000000000001".parse().ok();
        example_id().zip(person).into_iter().map(|(send, person)| ReleaseSlot { person, send }).collect()
    }
}
