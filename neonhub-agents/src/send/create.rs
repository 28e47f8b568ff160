//! Making sends: one per person and message, judged at once, queued in the same commit.

use std::collections::BTreeSet;
use std::time::Duration;

use neonhub_core::connector::{Decision, Gate as _, Judgement, Proposal};
use neonhub_core::job::JobSpec;
use neonhub_core::op::{Effect, Operation, Sink};
use neonhub_core::store::{Expected, Key, Query};
use neonhub_core::{Error, Faults, Permission, Result, Scope, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::draft::short_hash;
use super::render::{Compiled, core_channel, effect_of};
use super::{Draft, DraftId, Send, SendId, SendSource, SendState, Verdict};
use crate::brand::SenderProfile;
use crate::gate::{Ask, Category, Channel, GATE_VERSION, MarketingGate, deciding, denial, post_fingerprint};
use crate::people::PersonId;

/// Most people of one page.
pub(super) const MAX_PAGE: usize = 500;
/// Marketing that was not possible in this time is no longer wanted. Our setting (sending rules, section 2).
const MARKETING_LIFE: Duration = Duration::from_secs(72 * 3600);
/// A wanted time further back than this is a mistake.
const MAX_LATE: Duration = Duration::from_secs(3600);

/// Sends a draft to one person, or publishes a post, through the gate. What the gate allows is queued, what it
/// defers waits, and what it denies is an error that names the rule; the refused send is kept with its reasons.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSend {
    /// What is sent.
    pub draft: DraftId,
    /// The channel that the draft must be of. Default: whichever it is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
    /// The recipient. Default: the person of the draft; none for a public post.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<PersonId>,
    /// When, UTC milliseconds. Default: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_at: Option<Timestamp>,
    /// The same key is the same send, 1 to 200 characters. Default: made from campaign, person, channel, content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl Operation for CreateSend {
    type Output = Send;
    const NAME: &'static str = "sends.create";
    const NEEDS: &'static [Permission] = &[Permission::SendMessages];
    const EFFECT: Effect = Effect::Idempotent;
    const SINKS: &'static [Sink] = &[Sink::Send, Sink::Publish];
    const RERUNS: u8 = 3;
    const ERRORS: &'static [&'static str] =
        &["consent_required", "blocked", "no_identity", "budget_exceeded"];
    async fn run(self, cx: &Scope) -> Result<Send> {
        let draft = cx.need::<Draft>(self.draft.as_str()).await?.body;
        let person = self.person.clone().or_else(|| draft.person.clone());
        self.check(cx, &draft, person.as_ref())?;
        let plan = Plan::of(cx, draft, self.send_at).await?;
        let key = self.key.as_ref().map(|key| format!("key:{key}"));
        let wanted = [(person.clone(), key.unwrap_or_else(|| plan.dedupe_key(person.as_ref())))];
        let Some(made) = plan.make(cx, &wanted, false).await?.pop() else {
            return Err(cx.missing("send"));
        };
        let Made { send, is_touched: is_new, .. } = &made;
        let denied = send.verdicts.last().and_then(|v| denial(v.decision, &v.reasons, Self::NAME));
        match denied {
            Some(error) => {
                if *is_new {
                    // This call fails and leaves no commit, so the refused send is kept by a commit of its own.
                    cx.outside().call(KeepDenied { send: Box::new(send.clone()) }).await?;
                }
                Err(error.with_context("send", &send.id))
            }
            None => {
                plan.stage(cx, &made)?;
                Ok(made.send)
            }
        }
    }
    fn examples() -> Vec<Self> {
        let draft: Option<DraftId> = "dft_00000000000000000000000001".parse().ok();
        draft.into_iter().map(CreateSend::of).collect()
    }
}

impl CreateSend {
    /// A send of a draft to its person, now.
    #[must_use]
    pub fn of(draft: DraftId) -> Self {
        CreateSend { draft, channel: None, person: None, send_at: None, key: None }
    }

    fn check(&self, cx: &Scope, draft: &Draft, person: Option<&PersonId>) -> Result<()> {
        let mut faults = Faults::new();
        let is_of = self.channel.is_none_or(|channel| channel == draft.channel);
        faults.check(is_of, "channel", format!("expected {}, which the draft is of", draft.channel.word()));
        if draft.channel.is_personal() {
            faults.check(person.is_some(), "person", "expected the person the message goes to");
        } else {
            faults.check(person.is_none(), "person", "expected none: a post is public");
        }
        let fits = draft.person.is_none() || draft.person.as_ref() == person;
        faults.check(fits, "person", "expected the person the draft was written for");
        let too_late = self.send_at.is_some_and(|at| at.plus(MAX_LATE) < cx.now());
        faults.check(!too_late, "send_at", "expected a time that is not more than an hour ago");
        let key_ok = self.key.as_ref().is_none_or(|k| (1..=200).contains(&k.chars().count()));
        faults.check(key_ok, "key", "expected 1 to 200 characters");
        faults.into_result(Self::NAME)
    }
}

/// Keeps a send that was refused when it was made.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeepDenied {
    /// The refused send.
    pub send: Box<Send>,
}

impl Operation for KeepDenied {
    type Output = ();
    const NAME: &'static str = "sends.keep_denied";
    const NEEDS: &'static [Permission] = &[Permission::SendMessages];
    const EFFECT: Effect = Effect::Idempotent;
    const INTERNAL: bool = true;
    async fn run(self, cx: &Scope) -> Result<()> {
        cx.put(&*self.send, Expected::Any)
    }
}

/// Sends a draft to a page of people, through the gate. Refusals are counted, not raised. A send that was refused
/// before is judged again: a person who agreed since then gets the message after all.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSends {
    /// What is sent.
    pub draft: DraftId,
    /// The recipients, at most 500.
    pub people: Vec<PersonId>,
    /// When, UTC milliseconds. Default: now. Later ones are judged when their time comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_at: Option<Timestamp>,
}

/// One send of a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreatedSend {
    /// The recipient.
    pub person: PersonId,
    /// The send.
    pub send: SendId,
    /// Its state.
    pub state: SendState,
    /// The rule that put it off or refused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// True for a new send, and for one that had been refused and is let go or held now.
    pub is_new: bool,
}

/// The sends of a page, in the order of the people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SendPage {
    /// The sends.
    pub sends: Vec<CreatedSend>,
}

impl Operation for CreateSends {
    type Output = SendPage;
    const NAME: &'static str = "sends.create_page";
    const NEEDS: &'static [Permission] = &[Permission::SendMessages];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    const INTERNAL: bool = true;
    async fn run(self, cx: &Scope) -> Result<SendPage> {
        let distinct: BTreeSet<&PersonId> = self.people.iter().collect();
        if self.people.len() > MAX_PAGE || distinct.len() != self.people.len() {
            return Err(Error::invalid(Self::NAME, "people", "expected at most 500 people, each once"));
        }
        let draft = cx.need::<Draft>(self.draft.as_str()).await?.body;
        if !draft.channel.is_personal() {
            return Err(Error::invalid(Self::NAME, "draft", "expected a draft of a personal channel"));
        }
        let plan = Plan::of(cx, draft, self.send_at).await?;
        let wanted: Vec<(Option<PersonId>, String)> =
            self.people.iter().map(|p| (Some(p.clone()), plan.dedupe_key(Some(p)))).collect();
        let made = plan.make(cx, &wanted, true).await?;
        let mut sends = Vec::with_capacity(made.len());
        for (person, made) in self.people.into_iter().zip(made) {
            plan.stage(cx, &made)?;
            let Made { send, rev, is_touched } = made;
            let is_new = is_touched && (rev == 0 || send.state.is_open());
            let rule = send.rule().map(str::to_owned);
            sends.push(CreatedSend { person, state: send.state, rule, is_new, send: send.id });
        }
        Ok(SendPage { sends })
    }
    fn examples() -> Vec<Self> {
        let draft: Option<DraftId> = "dft_00000000000000000000000001".parse().ok();
        let person: Option<PersonId> = "per_00000000000000000000000001".parse().ok();
        let make = |(draft, person)| CreateSends { draft, people: vec![person], send_at: None };
        draft.zip(person).into_iter().map(make).collect()
    }
}

/// A send that was found or made.
struct Made {
    send: Send,
    /// Revision it was read at; 0 for a new one.
    rev: u64,
    /// True when it is to be written.
    is_touched: bool,
}

/// What all sends of one draft share.
struct Plan {
    draft: Draft,
    send_at: Timestamp,
    expires_at: Option<Timestamp>,
    fingerprint: Option<String>,
    same_text_at: Option<Timestamp>,
}

impl Plan {
    async fn of(cx: &Scope, draft: Draft, send_at: Option<Timestamp>) -> Result<Plan> {
        let send_at = send_at.unwrap_or_else(|| cx.now());
        let start = match &draft.campaign {
            Some(id) => cx.get::<SendSource>(id).await?.and_then(|s| s.start),
            None => None,
        };
        let wanted = start.map_or(send_at, |start| start.max(send_at));
        let expires_at = (draft.category == Category::Marketing).then(|| wanted.plus(MARKETING_LIFE));
        let fingerprint = fingerprint(cx, &draft).await?;
        let same_text_at = match &fingerprint {
            Some(fingerprint) => last_same_text(cx, fingerprint).await?,
            None => None,
        };
        Ok(Plan { draft, send_at, expires_at, fingerprint, same_text_at })
    }

    /// Same campaign and step, person, channel and content: same send.
    fn dedupe_key(&self, person: Option<&PersonId>) -> String {
        let draft = &self.draft;
        let recipient = person.map_or(draft.sender.as_str(), |p| p.as_str());
        short_hash(&[
            draft.campaign.as_deref().unwrap_or_default(),
            draft.step.as_deref().unwrap_or_default(),
            recipient,
            &draft.channel.word(),
            &draft.hash,
        ])
    }

    /// The sends for these recipients: those that are there, and new ones with their verdicts. `again` judges those
    /// once more that were refused.
    async fn make(
        &self,
        cx: &Scope,
        wanted: &[(Option<PersonId>, String)],
        again: bool,
    ) -> Result<Vec<Made>> {
        let keys: Vec<Key> = wanted.iter().map(|(_, key)| Key::text(key)).collect();
        let known = cx.find_many::<Send>("dedupe", &keys).await?;
        let is_due = self.send_at <= cx.now();
        let mut all: Vec<Made> = Vec::with_capacity(wanted.len());
        for ((person, key), known) in wanted.iter().zip(known) {
            all.push(match known {
                Some(known) => {
                    let is_touched = again && is_due && known.state == SendState::Denied;
                    let mut send = known.body;
                    if is_touched {
                        send.expires_at = self.expires_at;
                    }
                    Made { send, rev: known.rev, is_touched }
                }
                None => Made { send: self.fresh(cx, person.clone(), key), rev: 0, is_touched: true },
            });
        }
        if is_due {
            self.judge(cx, &mut all).await?;
        }
        Ok(all)
    }

    fn fresh(&self, cx: &Scope, person: Option<PersonId>, key: &str) -> Send {
        let draft = &self.draft;
        Send {
            id: SendId::new(cx),
            draft: draft.id.clone(),
            draft_hash: draft.hash.clone(),
            brand: draft.brand.clone(),
            sender: draft.sender.clone(),
            person,
            identity: None,
            channel: draft.channel,
            category: draft.category,
            campaign: draft.campaign.clone(),
            step: draft.step.clone(),
            send_at: self.send_at,
            expires_at: self.expires_at,
            state: SendState::Scheduled,
            state_seq: 0,
            state_at: cx.now(),
            effect: effect_of(cx, key),
            dedupe_key: key.to_owned(),
            verdicts: Vec::new(),
            accepted_at: None,
            provider_id: None,
            provider_status: None,
            segments: None,
            fingerprint: self.fingerprint.clone(),
            error: None,
            test: false,
        }
    }

    async fn judge(&self, cx: &Scope, all: &mut [Made]) -> Result<()> {
        let asked = all.iter().filter(|m| m.is_touched);
        let proposals = asked.map(|m| self.proposal(cx, &m.send)).collect::<Result<Vec<_>>>()?;
        if proposals.is_empty() {
            return Ok(());
        }
        let verdicts = MarketingGate.judge(cx, &proposals).await?;
        for (made, judged) in all.iter_mut().filter(|m| m.is_touched).zip(verdicts) {
            let rule = deciding(judged.decision, &judged.reasons).map(|r| r.rule.as_str());
            if made.rev > 0 && judged.decision == Decision::Deny && rule == made.send.rule() {
                // Refused again for the same reason: nothing to write.
                made.is_touched = false;
                continue;
            }
            settle(&mut made.send, judged, cx.now());
        }
        Ok(())
    }

    fn proposal(&self, cx: &Scope, send: &Send) -> Result<Proposal> {
        let ask = Ask { same_text_at: self.same_text_at, ..ask(send) };
        Ok(Proposal {
            send: send.id.to_string(),
            person: send.person.as_ref().map(ToString::to_string),
            channel: core_channel(send.channel)?,
            at: cx.now(),
            facts: ask.to_value(),
        })
    }

    /// Stores the send and, while it is open, its job, in one commit.
    fn stage(&self, cx: &Scope, made: &Made) -> Result<()> {
        let Made { send, rev, is_touched: true } = made else { return Ok(()) };
        cx.put(send, if *rev == 0 { Expected::Absent } else { Expected::Rev(*rev) })?;
        let at = match send.state {
            SendState::Queued => cx.now(),
            SendState::Scheduled => send.send_at,
            SendState::Deferred => send.verdicts.last().and_then(|v| v.until).unwrap_or(send.send_at),
            _ => return Ok(()),
        };
        enqueue(cx, send, at)
    }
}

/// What is asked about a send, as far as its record knows.
pub(super) fn ask(send: &Send) -> Ask {
    Ask {
        draft: send.draft.to_string(),
        source: send.campaign.clone(),
        expires_at: send.expires_at,
        is_test: send.test,
        ..Ask::default()
    }
}

/// Puts the job of a send into its queue.
pub(super) fn enqueue(cx: &Scope, send: &Send, at: Timestamp) -> Result<()> {
    let (queue, name) = queue_of(send.channel);
    let mut job =
        JobSpec::new(queue, name, json!({ "send": send.id })).run_at(at).dedupe(send.id.to_string());
    if let Some(person) = &send.person {
        // One person never has two sends under way, whatever workers there are.
        job = job.group(person.to_string());
    }
    cx.enqueue(job).map(|_| ())
}

pub(super) fn queue_of(channel: Channel) -> (&'static str, &'static str) {
    match channel {
        Channel::Email => ("email.send", "send-email"),
        Channel::Dm(_) | Channel::Post(_) => ("social.send", "publish-post"),
        _ => ("sms.send", "send-sms"),
    }
}

/// Moves a send to the state its verdict asks for. Denials because the source ended or time ran out are
/// cancellations and expiries.
pub(super) fn settle(send: &mut Send, judged: Judgement, now: Timestamp) {
    let rule = deciding(judged.decision, &judged.reasons);
    let state = match judged.decision {
        Decision::Allow => SendState::Queued,
        Decision::Defer => SendState::Deferred,
        Decision::Deny => match rule.map(|r| (r.rule.as_str(), r.code.as_str())) {
            Some(("G01.source", "expired")) => SendState::Expired,
            Some(("G01.source", "cancelled" | "finished" | "ended" | "person_left" | "replied")) => {
                SendState::Cancelled
            }
            _ => SendState::Denied,
        },
    };
    let rule = rule.map(|r| r.rule.clone());
    let (decision, until, reasons) = (judged.decision, judged.until, judged.reasons);
    let gate = GATE_VERSION.to_owned();
    send.note(Verdict { decision, at: now, until, rule, reasons, gate, draft_hash: send.draft_hash.clone() });
    send.enter(state, now);
}

/// Account and text of a public post.
async fn fingerprint(cx: &Scope, draft: &Draft) -> Result<Option<String>> {
    if draft.channel.is_personal() {
        return Ok(None);
    }
    let sender = cx.need::<SenderProfile>(draft.sender.as_str()).await?;
    let compiled = Compiled::new(draft, &sender)?;
    let text = compiled.public_text()?;
    Ok(Some(short_hash(&[&draft.channel.word(), &sender.from, &post_fingerprint(&text)])))
}

/// When the same text last went out on the same account.
pub(super) async fn last_same_text(cx: &Scope, fingerprint: &str) -> Result<Option<Timestamp>> {
    let query = Query::index("fingerprint").prefix(Key::text(fingerprint)).descending().limit(1);
    Ok(cx.query::<Send>(&query).await?.pop().and_then(|s| s.accepted_at))
}
