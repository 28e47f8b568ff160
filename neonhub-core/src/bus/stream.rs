//! Realtime streams over topics: detach, attach again with the last cursor, and miss nothing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;

use super::cursor;
use super::event::BusEvent;
use super::live::{LiveItem, LiveWhat};
use super::topic::{Topic, kind_of};
use crate::run::AgentRun;
use crate::{Error, ErrorKind, Permission, Result, Scope};

/// Time between heartbeats.
// Our choice (rule of the runtime, section 12).
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Time between looks at the caller's rights.
// Our choice (rule of the runtime, section 12).
const RIGHTS: Duration = Duration::from_secs(60);
/// Most topics of one stream.
const MAX_TOPICS: usize = 64;
/// Items that always arrive, whatever kinds were asked for.
const ALWAYS: &[&str] =
    &["completed", "failed", "cancelled", "waiting", "shutdown", "ended", "lagged", "heartbeat"];

/// What a stream is to carry.
#[derive(Clone, Debug, Default)]
pub struct StreamSpec {
    topics: Vec<Topic>,
    cursor: Option<String>,
    kinds: Vec<String>,
}

impl StreamSpec {
    /// A stream about these topics, from now on.
    #[must_use]
    pub fn topics(topics: impl IntoIterator<Item = Topic>) -> Self {
        StreamSpec { topics: topics.into_iter().collect(), ..StreamSpec::default() }
    }

    /// Goes on after the item with this cursor.
    #[must_use]
    pub fn after(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }

    /// Carries these kinds alone; ends, waits, heartbeats and what a reader missed arrive all the same.
    #[must_use]
    pub fn kinds<K: Into<String>>(mut self, kinds: impl IntoIterator<Item = K>) -> Self {
        self.kinds = kinds.into_iter().map(Into::into).collect();
        self
    }
}

/// One item of a stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StreamItem {
    /// Where to go on after this item. Items of a live kind carry that of the durable item before.
    pub cursor: String,
    /// The topic it is about; empty for items about the stream itself.
    pub topic: String,
    /// The last word of the event's type; for a run `completed`, `failed`, `cancelled` or `waiting`; live: `text`,
    /// `text_so_far`, `text_done`, `progress`, `metrics`; about the stream: `heartbeat`, `lagged`, `shutdown`, `ended`.
    pub kind: String,
    /// Its facts.
    pub data: Value,
}

/// A stream of items. Dropping it detaches.
pub struct Stream {
    cx: Scope,
    topics: Vec<Topic>,
    kinds: Vec<String>,
    /// Place of the last durable item given out or passed over.
    place: (u64, u16),
    /// What the hub keeps at its close for readers.
    position: Arc<AtomicU64>,
    ready: VecDeque<(Option<(u64, u16)>, StreamItem)>,
    seq: watch::Receiver<u64>,
    live: broadcast::Receiver<Arc<LiveItem>>,
    heard: u64,
    /// Bytes of each running text that were given out.
    texts: BTreeMap<String, usize>,
    next_beat: Instant,
    next_look: Instant,
    is_over: bool,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("topics", &self.topics).finish_non_exhaustive()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.cx.hub().telemetry().streams(-1);
    }
}

impl Scope {
    /// Opens a stream. Without a cursor it begins now, with how each run of its topics stands; running texts begin
    /// with the text so far.
    ///
    /// # Errors
    /// `PermissionDenied` without `read:analytics`, or with a cursor of another workspace; `InvalidInput` for a
    /// changed cursor, no topic or more than 64; `Conflict` with the code `cursor_expired`, and a cursor to begin anew
    /// from as `snapshot`, when the feed no longer reaches back that far.
    pub async fn open_stream(&self, spec: StreamSpec) -> Result<Stream> {
        const NAME: &str = "streams.open";
        self.require(Permission::ReadAnalytics)?;
        if spec.topics.is_empty() || spec.topics.len() > MAX_TOPICS {
            return Err(Error::invalid(NAME, "topics", "expected 1..64 topics"));
        }
        let now = self.store().seq().await?;
        let place = match &spec.cursor {
            Some(text) => cursor::open(self, NAME, text)?,
            None => (now, u16::MAX),
        };
        if place.0 > now {
            return Err(expired(self, now));
        }
        let bus = self.hub().bus();
        let position = Arc::new(AtomicU64::new(place.0));
        bus.register(&position);
        self.hub().telemetry().streams(1);
        let mut stream = Stream {
            cx: self.clone(),
            topics: spec.topics,
            kinds: spec.kinds,
            place,
            position,
            ready: VecDeque::new(),
            seq: self.store().watch(),
            live: bus.live.subscribe(),
            heard: bus.live.sent(),
            texts: BTreeMap::new(),
            next_beat: Instant::now() + HEARTBEAT,
            next_look: Instant::now() + RIGHTS,
            is_over: false,
        };
        if spec.cursor.is_none() {
            stream.standing().await?;
        }
        stream.texts_so_far();
        Ok(stream)
    }
}

fn expired(cx: &Scope, now: u64) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "streams.open",
        "the cursor is outside the feed: read the records anew and go on from the snapshot",
    )
    .with_code("cursor_expired")
    .with_context("snapshot", cursor::make(cx, (now, u16::MAX)))
}

impl Stream {
    /// The cursor to go on from.
    #[must_use]
    pub fn cursor(&self) -> String {
        cursor::make(&self.cx, self.place)
    }

    /// The next item, waiting for it. After an item `shutdown` or `ended` comes `None`.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn next(&mut self) -> Result<Option<StreamItem>> {
        loop {
            if let Some(item) = self.pop() {
                return Ok(Some(item));
            }
            if self.is_over {
                return Ok(None);
            }
            self.seq.borrow_and_update();
            let is_closing = self.cx.hub().is_closing();
            if self.fill().await? {
                continue;
            }
            if is_closing {
                self.end("shutdown", json!({}));
                continue;
            }
            if Instant::now() >= self.next_look {
                self.look().await?;
                continue;
            }
            let until = self.next_beat.min(self.next_look);
            tokio::select! {
                changed = self.seq.changed() => if changed.is_err() { self.cx.hub().closing().await },
                () = self.cx.hub().closing() => {}
                live = self.live.recv() => self.take_live(live),
                () = tokio::time::sleep_until(until) => self.beat(),
            }
        }
    }

    /// An item that is there, without waiting.
    fn pop(&mut self) -> Option<StreamItem> {
        let (place, item) = self.ready.pop_front()?;
        if let Some(place) = place {
            self.place = place;
            self.position.store(place.0.saturating_sub(1), Ordering::Relaxed);
        }
        Some(item)
    }

    /// Takes what waits without waiting for more, at most `most`. For readers that ask again and again.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn drain(&mut self, most: usize) -> Result<Vec<StreamItem>> {
        let mut items = Vec::new();
        while items.len() < most {
            if let Some(item) = self.pop() {
                items.push(item);
            } else if let Ok(live) = self.live.try_recv() {
                self.take_live(Ok(live));
            } else if self.is_over || !self.fill().await? {
                break;
            }
        }
        Ok(items)
    }

    fn push(&mut self, topic: &str, kind: &str, data: Value, place: Option<(u64, u16)>) {
        let is_wanted =
            self.kinds.is_empty() || ALWAYS.contains(&kind) || self.kinds.iter().any(|k| k == kind);
        if !is_wanted {
            return;
        }
        let last = self.ready.iter().rev().find_map(|(place, _)| *place).unwrap_or(self.place);
        let cursor = cursor::make(&self.cx, place.unwrap_or(last));
        let item = StreamItem { cursor, topic: topic.to_owned(), kind: kind.to_owned(), data };
        self.ready.push_back((place, item));
    }

    fn end(&mut self, kind: &str, data: Value) {
        self.push("", kind, data, None);
        self.is_over = true;
    }

    /// How the runs of the topics stand, for a reader without a cursor.
    async fn standing(&mut self) -> Result<()> {
        for topic in self.topics.clone() {
            let Topic::Run(id) = &topic else { continue };
            let Some(run) = self.cx.get::<AgentRun>(id).await? else { continue };
            let status = run.standing(&self.cx);
            let data = json!({ "status": status, "agent": run.agent, "reason": run.wait_reason });
            self.push(&topic.to_string(), status.word(), data, None);
        }
        Ok(())
    }

    fn texts_so_far(&mut self) {
        for topic in self.topics.iter().map(ToString::to_string).collect::<Vec<_>>() {
            let Some(text) = self.cx.hub().bus().live.text(self.cx.workspace(), &topic) else { continue };
            self.texts.insert(topic.clone(), text.len());
            self.push(&topic, "text_so_far", json!({ "text": text }), None);
        }
    }

    /// Takes one page of the feed; true when there was one.
    async fn fill(&mut self) -> Result<bool> {
        // A commit may be half given out: it is read again from its start.
        let after = if self.place.1 == u16::MAX { self.place.0 } else { self.place.0.saturating_sub(1) };
        let after = after.max(self.ready.back().and_then(|(p, _)| *p).map_or(0, |p| p.0));
        let feed = &self.cx.hub().bus().feed;
        let commits = match feed.after(self.cx.hub(), after).await {
            Err(error) if error.code() == "cursor_expired" => {
                return Err(expired(&self.cx, self.cx.store().seq().await?));
            }
            other => other?,
        };
        let Some(last) = commits.last().map(|c| c.seq) else { return Ok(false) };
        let from = self.place;
        for event in commits.iter().flat_map(|c| &c.events) {
            if event.workspace_id == *self.cx.workspace() && event.place() > from {
                self.take_event(event);
            }
        }
        // The end of the page is passed with its last item, or at once when it had none.
        match self.ready.back_mut() {
            Some((place @ Some(_), item)) => {
                *place = Some((last, u16::MAX));
                item.cursor = cursor::make(&self.cx, (last, u16::MAX));
            }
            _ if (last, u16::MAX) > self.place => {
                self.place = (last, u16::MAX);
                self.position.store(last, Ordering::Relaxed);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn take_event(&mut self, event: &BusEvent) {
        let concerns_rights =
            ["role.", "member.", "api_key."].iter().any(|p| event.event.kind.starts_with(p));
        if concerns_rights || event.event.subject_kind == "workspace" {
            self.next_look = Instant::now();
        }
        let topics: Vec<String> =
            self.topics.iter().filter(|t| t.covers(&event.event)).map(ToString::to_string).collect();
        let Some((last, rest)) = topics.split_last() else { return };
        let kind = kind_of(&event.event);
        let data = || serde_json::to_value(&event.event).unwrap_or_default();
        // An event about two topics is two items; only the second one moves past it.
        for topic in rest {
            self.push(topic, &kind, data(), None);
        }
        self.push(last, &kind, data(), Some(event.place()));
    }

    fn take_live(&mut self, live: std::result::Result<Arc<LiveItem>, broadcast::error::RecvError>) {
        let item = match live {
            Ok(item) => item,
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                let range = json!({ "from": self.heard + 1, "to": self.heard + missed });
                self.heard += missed;
                self.push("", "lagged", range, None);
                self.texts.clear();
                return self.texts_so_far();
            }
            Err(broadcast::error::RecvError::Closed) => return,
        };
        self.heard = item.number;
        if item.workspace != *self.cx.workspace() {
            return;
        }
        let carries = |topic: &str, topics: &[Topic]| topics.iter().any(|t| t.to_string() == topic);
        match &item.what {
            LiveWhat::Progress(progress) if self.topics.contains(&Topic::Progress) => {
                let data = serde_json::to_value(progress).unwrap_or_default();
                self.push("progress", "progress", data, None);
            }
            LiveWhat::Text { topic, offset, delta } if carries(topic, &self.topics) => {
                // What the text so far had already is not given twice.
                let seen = self.texts.entry(topic.clone()).or_default();
                if *offset >= *seen {
                    *seen = offset + delta.len();
                    self.push(topic, "text", json!({ "delta": delta }), None);
                }
            }
            LiveWhat::TextDone { topic } if carries(topic, &self.topics) => {
                self.texts.remove(topic);
                self.push(topic, "text_done", json!({}), None);
            }
            _ => {}
        }
    }

    /// A heartbeat, with the metrics that are asked for.
    fn beat(&mut self) {
        if Instant::now() < self.next_beat {
            return;
        }
        self.next_beat = Instant::now() + HEARTBEAT;
        self.push("", "heartbeat", json!({}), None);
        for topic in self.topics.clone() {
            if let Topic::Metrics(name) = &topic {
                let samples = self.cx.hub().telemetry().samples(name);
                self.push(&topic.to_string(), "metrics", samples, None);
            }
        }
    }

    /// Looks whether the caller may still read; if not, the stream ends with the reason.
    async fn look(&mut self) -> Result<()> {
        self.next_look = Instant::now() + RIGHTS;
        let held = self.cx.current_rights().await?;
        let may = match held {
            Some(held) => {
                held.check("streams.open", self.cx.now()).is_ok()
                    && self.cx.with_current(&held).permissions().has(Permission::ReadAnalytics)
            }
            None => self.cx.permissions().has(Permission::ReadAnalytics),
        };
        if !may {
            self.end("ended", json!({ "reason": "permission_denied", "permission": "read:analytics" }));
        }
        Ok(())
    }
}
