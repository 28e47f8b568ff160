//! Live items: broadcast in this process, never stored.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;

use super::event::Progress;
use crate::Scope;
use crate::tenancy::WorkspaceId;

/// Items that may wait for a slow reader before it is told that it lagged.
// Our choice (rule of the runtime, section 10).
const BUFFER: usize = 1024;
/// Longest running text that is kept for readers who come later, in bytes.
const MAX_TEXT: usize = 1 << 20;

/// Running texts that are kept at once.
const MAX_TEXTS: usize = 1024;

/// One live item.
#[derive(Debug)]
pub(super) struct LiveItem {
    /// Number since the process began, to tell a slow reader what it missed.
    pub(super) number: u64,
    pub(super) workspace: WorkspaceId,
    pub(super) what: LiveWhat,
}

#[derive(Debug)]
pub(super) enum LiveWhat {
    Progress(Progress),
    /// Words that go on a running text, which had `offset` bytes before.
    Text {
        topic: String,
        offset: usize,
        delta: String,
    },
    /// A running text ended.
    TextDone {
        topic: String,
    },
}

/// Running texts by workspace and topic.
type Texts = HashMap<(WorkspaceId, String), String>;

#[derive(Debug)]
pub(super) struct Live {
    sender: broadcast::Sender<Arc<LiveItem>>,
    sent: AtomicU64,
    texts: Mutex<Texts>,
}

impl Default for Live {
    fn default() -> Self {
        Live { sender: broadcast::channel(BUFFER).0, sent: 0.into(), texts: Mutex::default() }
    }
}

impl Live {
    pub(super) fn subscribe(&self) -> broadcast::Receiver<Arc<LiveItem>> {
        self.sender.subscribe()
    }

    /// The number of the last item.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Acquire)
    }

    /// The running text of a topic.
    pub(super) fn text(&self, workspace: &WorkspaceId, topic: &str) -> Option<String> {
        let texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        texts.get(&(workspace.clone(), topic.to_owned())).cloned()
    }

    fn send(&self, workspace: &WorkspaceId, what: LiveWhat) {
        if self.sender.receiver_count() == 0 {
            return;
        }
        let number = self.sent.fetch_add(1, Ordering::AcqRel) + 1;
        // No receiver is no fault: nobody watches.
        let _ = self.sender.send(Arc::new(LiveItem { number, workspace: workspace.clone(), what }));
    }

    fn grow(&self, workspace: &WorkspaceId, topic: &str, delta: &str) {
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        if texts.len() >= MAX_TEXTS && !texts.contains_key(&(workspace.clone(), topic.to_owned())) {
            return;
        }
        let text = texts.entry((workspace.clone(), topic.to_owned())).or_default();
        let offset = text.len();
        if offset + delta.len() > MAX_TEXT {
            return;
        }
        text.push_str(delta);
        // Under the lock, so that offsets are sent in order.
        self.send(workspace, LiveWhat::Text { topic: topic.to_owned(), offset, delta: delta.to_owned() });
    }

    fn finish(&self, workspace: &WorkspaceId, topic: &str) {
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        if texts.remove(&(workspace.clone(), topic.to_owned())).is_some() {
            self.send(workspace, LiveWhat::TextDone { topic: topic.to_owned() });
        }
    }
}

impl Scope {
    /// Tells live subscribers how far a piece of work is. Costs nothing when nobody listens.
    pub fn progress(&self, task: &str, done: u64, total: u64, note: impl Into<String>) {
        let live = &self.hub().bus().live;
        if live.sender.receiver_count() > 0 {
            let progress = Progress { task: task.to_owned(), done, total, note: note.into() };
            live.send(self.workspace(), LiveWhat::Progress(progress));
        }
    }

    /// Adds words to the running text of a topic, such as `run:<id>`: readers get them as they come, and who comes
    /// later gets the text so far first. At most 1 MiB; not stored.
    pub fn stream_text(&self, topic: &str, delta: &str) {
        self.hub().bus().live.grow(self.workspace(), topic, delta);
    }

    /// Ends the running text of a topic; its whole text is in the records that the work made.
    pub fn end_text(&self, topic: &str) {
        self.hub().bus().live.finish(self.workspace(), topic);
    }
}
