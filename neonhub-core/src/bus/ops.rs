//! Operations of the bus and of streams. Streams over calls are read in pages: a call waits for the first item, and
//! the cursor of its answer is the input of the next.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cursor;
use super::event::{BusEvent, Event};
use super::filter::Filter;
use super::stream::{StreamItem, StreamSpec};
use super::topic::Topic;
use crate::op::{Effect, Operation};
use crate::permission::Permission;
use crate::{Error, ErrorKind, Result, Scope};

/// Longest wait for a first item.
// Our choice: below the 30 s that proxies give up after.
const MAX_WAIT: Duration = Duration::from_secs(25);

fn check_page(name: &'static str, limit: Option<u32>, wait_ms: Option<u64>) -> Result<(usize, Duration)> {
    if limit.is_some_and(|n| !(1..=500).contains(&n)) {
        return Err(Error::invalid(name, "limit", "expected 1..500"));
    }
    let wait = Duration::from_millis(wait_ms.unwrap_or_default());
    if wait > MAX_WAIT {
        return Err(Error::invalid(name, "wait_ms", "expected at most 25000"));
    }
    Ok((limit.unwrap_or(100) as usize, wait))
}

/// Reads events of this workspace that pass a filter, after a cursor, in order, each once.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SubscribeEvents {
    /// Which events.
    pub filter: Filter,
    /// `cursor` of the answer before. Default: from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Most events, 1..500. Default 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// How long to wait for a first event, 0..25,000 ms. Default 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
}

/// Events, and where to go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventPage {
    /// The events, oldest first.
    pub items: Vec<BusEvent>,
    /// Give it back to go on after these events.
    pub cursor: String,
}

impl Operation for SubscribeEvents {
    type Output = EventPage;
    const NAME: &'static str = "bus.subscribe";
    const NEEDS: &'static [Permission] = &[Permission::ReadAnalytics];
    const EFFECT: Effect = Effect::Read;
    const ERRORS: &'static [&'static str] = &["cursor_expired"];

    async fn run(self, cx: &Scope) -> Result<EventPage> {
        let (limit, wait) = check_page(Self::NAME, self.limit, self.wait_ms)?;
        self.filter.check(Self::NAME)?;
        let mut place = match &self.cursor {
            Some(text) => cursor::open(cx, Self::NAME, text)?,
            None => (cx.store().seq().await?, u16::MAX),
        };
        let until = tokio::time::Instant::now() + wait;
        let mut seq = cx.store().watch();
        let mut items = Vec::new();
        loop {
            seq.borrow_and_update();
            read_page(cx, &self.filter, limit, &mut place, &mut items).await?;
            let is_over = !items.is_empty() || cx.hub().is_closing();
            if is_over || tokio::time::timeout_at(until, seq.changed()).await.is_err() {
                return Ok(EventPage { items, cursor: cursor::make(cx, place) });
            }
        }
    }

    fn examples() -> Vec<Self> {
        vec![SubscribeEvents { filter: Filter::types(["person.*"]), limit: Some(20), ..Self::default() }]
    }
}

/// Reads to the end of the feed or until `limit` events are there.
async fn read_page(
    cx: &Scope,
    filter: &Filter,
    limit: usize,
    place: &mut (u64, u16),
    items: &mut Vec<BusEvent>,
) -> Result<()> {
    loop {
        let after = if place.1 == u16::MAX { place.0 } else { place.0.saturating_sub(1) };
        let commits = cx.hub().bus().feed.after(cx.hub(), after).await?;
        let Some(last) = commits.last().map(|c| c.seq) else { return Ok(()) };
        let from = *place;
        for event in commits.iter().flat_map(|c| &c.events) {
            let is_new = event.workspace_id == *cx.workspace() && event.place() > from;
            if is_new && filter.lets_through(&event.event) {
                items.push(event.clone());
                *place = event.place();
                if items.len() == limit {
                    return Ok(());
                }
            }
        }
        if (last, u16::MAX) <= *place {
            return Ok(());
        }
        *place = (last, u16::MAX);
    }
}

/// Publishes an event of the host, in the namespace `app.`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishEvent {
    /// `app.` and 1..80 of `a-z 0-9 _ .`, such as `app.order.paid`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Facts: ids, counts, words; no contact values. At most 64 KiB.
    #[serde(default)]
    pub data: Value,
    /// Kind of the record it is about. Default `app`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_kind: Option<String>,
    /// Id of the record it is about. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_id: Option<String>,
}

/// An event that was published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Published {
    /// Its id.
    pub id: String,
}

impl Operation for PublishEvent {
    type Output = Published;
    const NAME: &'static str = "bus.publish";
    const NEEDS: &'static [Permission] = &[Permission::WriteContent];
    const EFFECT: Effect = Effect::Idempotent;
    const ERRORS: &'static [&'static str] = &["loop_guard"];

    async fn run(self, cx: &Scope) -> Result<Published> {
        let is_word = |w: &str| {
            !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        let name = self.kind.strip_prefix("app.").filter(|n| n.len() <= 80 && n.split('.').all(is_word));
        if name.is_none() {
            return Err(Error::invalid(
                Self::NAME,
                "type",
                "expected app. and words, such as app.order.paid",
            ));
        }
        if self.data.to_string().len() > 64 * 1024 {
            return Err(Error::invalid(Self::NAME, "data", "expected at most 64 KiB"));
        }
        let subject = self.subject_kind.as_deref().unwrap_or("app");
        let id = self.subject_id.as_deref().unwrap_or_default();
        let event = Event::new(cx, &self.kind, subject, id, self.data);
        let published = Published { id: event.id.clone() };
        cx.emit(event)?;
        Ok(published)
    }

    fn examples() -> Vec<Self> {
        vec![PublishEvent {
            kind: "app.order.paid".into(),
            data: serde_json::json!({ "order": "o-1001" }),
            subject_kind: None,
            subject_id: None,
        }]
    }
}

/// Gives a subscriber the events of a range of commits again, beside its cursor, which stays where it is.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayEvents {
    /// First commit.
    pub from: u64,
    /// Last commit.
    pub to: u64,
    /// Name of the subscriber.
    pub subscriber: String,
}

/// What a replay did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Replayed {
    /// Events taken.
    pub done: u64,
    /// Events the subscriber failed on.
    pub failed: u64,
}

impl Operation for ReplayEvents {
    type Output = Replayed;
    const NAME: &'static str = "bus.replay";
    const NEEDS: &'static [Permission] = &[Permission::ManageJobs];
    const EFFECT: Effect = Effect::Idempotent;
    const DEADLINE: Duration = Duration::from_secs(3600);

    async fn run(self, cx: &Scope) -> Result<Replayed> {
        if self.from == 0 || self.to < self.from {
            return Err(Error::invalid(
                Self::NAME,
                "from",
                "expected a commit from 1 on, and not after `to`",
            ));
        }
        let subscribers = cx.hub().subscribers();
        let Some(subscriber) = subscribers.iter().find(|s| s.name() == self.subscriber) else {
            let close = crate::hub::closest(&self.subscriber, subscribers.iter().map(|s| s.name()));
            return Err(Error::new(ErrorKind::NotFound, Self::NAME, "there is no such subscriber")
                .with_context("closest", close.join(", ")));
        };
        let done = cx.outside().replay_events(subscriber.as_ref(), self.from, self.to).await?;
        Ok(Replayed { done: done.done, failed: done.failed })
    }

    fn examples() -> Vec<Self> {
        vec![ReplayEvents { from: 1, to: 100, subscriber: "webhooks".into() }]
    }
}

/// Reads a stream of topics in pages: runs, agents, campaigns, queues, schedules, conversations, notifications.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OpenStream {
    /// 1..64 topics: `run:<id>`, `agent:<name>`, `campaign:<id>`, `queue:<name>`, `schedule:<id>`, `metrics:<name>`,
    /// `conversation:<id>`, `notifications`, `progress`.
    pub topics: Vec<String>,
    /// `cursor` of the item or answer before. Default: from now on, with how each run stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Only these kinds; ends and waits of runs arrive all the same.
    pub kinds: Vec<String>,
    /// Most items, 1..500. Default 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// How long to wait for a first item, 0..25,000 ms. Default 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
}

/// Items, and where to go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StreamPage {
    /// The items in order.
    pub items: Vec<StreamItem>,
    /// Give it back to go on after these items.
    pub cursor: String,
}

impl Operation for OpenStream {
    type Output = StreamPage;
    const NAME: &'static str = "streams.open";
    const NEEDS: &'static [Permission] = &[Permission::ReadAnalytics];
    const EFFECT: Effect = Effect::Read;
    const ERRORS: &'static [&'static str] = &["cursor_expired"];

    async fn run(self, cx: &Scope) -> Result<StreamPage> {
        let (limit, wait) = check_page(Self::NAME, self.limit, self.wait_ms)?;
        let topics = self.topics.iter().map(|t| t.parse()).collect::<Result<Vec<Topic>>>()?;
        let mut spec = StreamSpec::topics(topics).kinds(self.kinds);
        if let Some(cursor) = self.cursor {
            spec = spec.after(cursor);
        }
        let mut stream = cx.open_stream(spec).await?;
        let mut items = stream.drain(limit).await?;
        if items.is_empty()
            && !wait.is_zero()
            && let Ok(first) = tokio::time::timeout(wait, stream.next()).await
        {
            items.extend(first?);
            items.extend(stream.drain(limit - items.len()).await?);
        }
        Ok(StreamPage { items, cursor: stream.cursor() })
    }

    fn examples() -> Vec<Self> {
        vec![OpenStream { topics: vec!["campaign:cmp_01kaf3w0000000000000000000".into()], ..Self::default() }]
    }
}
