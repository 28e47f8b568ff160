//! The life of a hub: pausing, shutting down, what it is for.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Hub;
use crate::bus::{Subscriber, SubscriberCursor};
use crate::store::{Key, Query, Record as _};
use crate::tenancy::{DirectoryEntry, WorkspaceId};
use crate::{Result, Timestamp};

/// How long `close` waits for work under way.
// Our choice (rule of the runtime, section 13).
const GRACE: Duration = Duration::from_secs(30);
/// How long work that is cut past the grace may take to notice.
const CUT: Duration = Duration::from_secs(2);

/// What a process is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HubMode {
    /// For developers. The default.
    #[default]
    Development,
    /// For trying out before production.
    Staging,
    /// For real people: a store in memory and a fixed seed are refused.
    Production,
}

/// What a shutdown did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shutdown {
    /// Calls that were cut because the grace was over.
    pub cut: u64,
    /// Jobs that went back to their queues for others.
    pub released: u64,
}

impl Hub {
    /// Shuts down with a grace of 30 s. Closing twice is one close.
    ///
    /// # Errors
    /// As [`Hub::shutdown`].
    pub async fn close(&self) -> Result<()> {
        self.shutdown(GRACE).await.map(drop)
    }

    /// Stops taking jobs, refuses new calls and events, tells streams, lets work under way reach its end or its next
    /// log entry within the grace, cuts what is left, gives jobs it holds back to their queues, writes out and closes.
    /// A process that is killed instead loses nothing either: its leases end, and others go on.
    ///
    /// # Errors
    /// What the store answers while it writes out.
    pub async fn shutdown(&self, grace: Duration) -> Result<Shutdown> {
        let until = tokio::time::Instant::now() + grace;
        let _one = self.0.shutting.lock().await;
        if self.is_closed() {
            return Ok(Shutdown::default());
        }
        // Workers stop first: what they began may still call operations until the grace is over.
        self.stop_workers(grace).await;
        self.0.closing.send_replace(true);
        let mut busy = self.0.in_flight.subscribe();
        let mut report = Shutdown::default();
        if tokio::time::timeout_at(until, busy.wait_for(|n| *n == 0)).await.is_err() {
            report.cut = *busy.borrow();
            self.0.grace_over.send_replace(true);
            // A call past this keeps its commit right: the store refuses what comes after the close.
            let _ = tokio::time::timeout(CUT, busy.wait_for(|n| *n == 0)).await;
        }
        // Leases end and counts are made up by themselves: what cannot be written now keeps no store from closing.
        match self.leave().await {
            Ok(released) => report.released = released,
            Err(error) => tracing::warn!(code = error.code(), "leases were not given back at the shutdown"),
        }
        #[cfg(feature = "mcp")]
        self.links().close();
        crate::audit::anchor_all(self).await;
        self.0.closed.send_replace(true);
        self.0.store.close().await?;
        Ok(report)
    }

    /// Gives back what this process holds, and keeps what readers have still to get.
    async fn leave(&self) -> Result<u64> {
        let mut released = 0;
        for workspace in self.workspaces().await? {
            let cx = self.system_scope(workspace.clone(), "shutdown");
            released += cx.give_back_own().await?;
            self.tend_keys(&workspace).await?;
        }
        self.bus().keep_rest(self).await?;
        Ok(released)
    }

    /// True from the first call of `close` or `shutdown` on.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        *self.0.closing.borrow()
    }

    pub(crate) fn is_closed(&self) -> bool {
        *self.0.closed.borrow()
    }

    pub(crate) async fn closing(&self) {
        let _ = self.0.closing.subscribe().wait_for(|c| *c).await;
    }

    pub(crate) async fn closed(&self) {
        let _ = self.0.closed.subscribe().wait_for(|c| *c).await;
    }

    /// Waits until a shutdown cuts what is under way.
    pub(crate) async fn grace_over(&self) {
        let _ = self.0.grace_over.subscribe().wait_for(|c| *c).await;
    }

    /// Stops background work of this process (taking jobs, giving events) until [`Hub::resume`]; calls go on. For
    /// mobile systems that bound the time of apps in the background.
    pub fn pause(&self) {
        self.0.paused.send_replace(true);
    }

    /// Takes background work up again.
    pub fn resume(&self) {
        self.0.paused.send_replace(false);
        for workspace in self.vault().known_workspaces() {
            self.room().ring_all(&workspace);
        }
    }

    /// True between `pause` and `resume`.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        *self.0.paused.borrow()
    }

    /// Waits until background work may go on, or the hub closes.
    pub(crate) async fn running(&self) {
        let mut paused = self.0.paused.subscribe();
        tokio::select! {
            _ = paused.wait_for(|p| !*p) => {}
            () = self.closing() => {}
        }
    }

    /// What the process is for.
    #[must_use]
    pub fn mode(&self) -> HubMode {
        self.0.mode
    }

    /// When the hub was opened.
    #[must_use]
    pub fn opened_at(&self) -> Timestamp {
        self.0.opened_at
    }

    /// Position of the subscriber that is furthest behind, of those that still count: one that is far behind and has not
    /// moved for 14 days has lost its hold on the change feed.
    pub(crate) async fn slowest_subscriber(&self, now: Timestamp) -> Result<Option<u64>> {
        let (last, mut slowest) = (self.store().seq().await?, None);
        for workspace in self.workspaces().await? {
            let cx = self.system_scope(workspace, "feed");
            for cursor in cx.query::<SubscriberCursor>(&Query::by_id().limit(500)).await? {
                if !cursor.is_silent(last, now) {
                    // A commit may be half taken: it is read again.
                    let seq = cursor.seq.saturating_sub(1);
                    slowest = Some(slowest.map_or(seq, |old: u64| old.min(seq)));
                }
            }
        }
        Ok(slowest)
    }

    pub(crate) fn subscribers(&self) -> Vec<Arc<dyn Subscriber>> {
        self.0.subscribers.clone()
    }

    /// Every workspace of the store.
    pub(crate) async fn workspaces(&self) -> Result<Vec<WorkspaceId>> {
        let root = self.hub_scope();
        let mut query = Query::by_id().limit(500);
        let mut all = Vec::new();
        loop {
            let page = root.query::<DirectoryEntry>(&query).await?;
            let Some(last) = page.last() else { return Ok(all) };
            query = query.after(Key::new(), last.id());
            for entry in &page {
                self.read_keys(&entry.workspace).await?;
            }
            all.extend(page.into_iter().map(|e| e.body.workspace));
        }
    }
}
