//! Background workers of a process: one loop per queue, one that fires schedules, one that hears other
//! processes, one that looks after health.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Queue;
use super::desk::Desk;
use super::heed::{keep_time, listen};
use super::room::lock;
use crate::permission::Role;
use crate::scope::Principal;
use crate::store::{Query, Record as _};
use crate::tenancy::{DirectoryEntry, WorkspaceId};
use crate::{Error, ErrorKind, Hub, Result};

/// How often leases that ended are looked for: a job is never stuck longer than its lease and this.
pub(super) const TICK: Duration = Duration::from_millis(500);
/// With a clock that moves by hand nothing tells when it moved.
pub(super) const VIRTUAL_TICK: Duration = Duration::from_millis(5);

/// The tasks of one process.
#[derive(Debug)]
pub(crate) struct Crew {
    stop: watch::Sender<Option<Duration>>,
    loops: Vec<Loop>,
}

/// One task, and what it does.
#[derive(Debug)]
struct Loop {
    does: Does,
    task: JoinHandle<()>,
}

#[derive(Clone, Debug)]
enum Does {
    Queue(Arc<Queue>),
    Schedules,
    OtherProcesses,
    Health,
}

impl Does {
    fn word(&self) -> &'static str {
        match self {
            Does::Queue(queue) => queue.name(),
            Does::Schedules => "schedules",
            Does::OtherProcesses => "other processes",
            Does::Health => "health",
        }
    }
}

impl Hub {
    /// Starts background workers for these queues, or for all when none is named, in every workspace. They go on
    /// until [`close`](Hub::close) or [`shutdown`](Hub::shutdown). Starting twice is one start. Schedules fire as well, and
    /// every five minutes all parts are looked at, as [`start_health_checks`](Hub::start_health_checks) does.
    ///
    /// # Errors
    /// `NotFound` for a queue without a handler; what the store answers.
    pub async fn start_workers(&self, queues: &[&str]) -> Result<()> {
        let chosen: Vec<Arc<Queue>> = if queues.is_empty() {
            self.queues().to_vec()
        } else {
            let unknown = |name: &str| {
                let close = crate::hub::closest(name, self.queues().iter().map(|q| q.name()));
                Error::new(ErrorKind::NotFound, "hub.start_workers", "no handler works this queue")
                    .with_context("queue", name)
                    .with_context("closest", close.join(", "))
            };
            queues.iter().map(|n| self.queue(n).ok_or_else(|| unknown(n))).collect::<Result<_>>()?
        };
        let workspaces = workspaces(self).await?;
        let room = self.room();
        let mut crew = lock(&room.crew);
        if crew.is_some() {
            return Ok(());
        }
        let (stop, stopped) = watch::channel(None);
        let mut all: Vec<Does> = chosen.into_iter().map(Does::Queue).collect();
        all.push(Does::Schedules);
        if self.store().caps().shared {
            all.push(Does::OtherProcesses);
        }
        all.push(Does::Health);
        let begin = |does: Does| self.begin_loop(does, &workspaces, &stopped);
        let loops = all.into_iter().filter_map(begin).collect();
        room.set_working(true);
        *crew = Some(Crew { stop, loops });
        Ok(())
    }

    fn begin_loop(
        &self,
        does: Does,
        workspaces: &[WorkspaceId],
        stopped: &watch::Receiver<Option<Duration>>,
    ) -> Option<Loop> {
        let (hub, stopped) = (self.clone(), stopped.clone());
        let task = match &does {
            Does::Queue(queue) => {
                let bell = self.room().bell(queue.name())?;
                workspaces.iter().for_each(|w| bell.ring(w));
                let desk = Desk::new(hub, Arc::clone(queue), bell, workspaces.to_vec());
                tokio::spawn(desk.work(stopped))
            }
            Does::Schedules => tokio::spawn(keep_time(hub, workspaces.to_vec(), stopped)),
            Does::OtherProcesses => tokio::spawn(listen(hub, stopped)),
            Does::Health => tokio::spawn(hub.keep_checking(stopped)),
        };
        Some(Loop { does, task })
    }

    /// The loops of this process that ended although nobody stopped them, by what they do.
    pub(crate) fn dead_loops(&self) -> Vec<&'static str> {
        let crew = lock(&self.room().crew);
        // A closing hub ends them on purpose.
        let Some(crew) = crew.as_ref().filter(|_| !self.is_closing()) else { return Vec::new() };
        crew.loops.iter().filter(|l| l.task.is_finished()).map(|l| l.does.word()).collect()
    }

    /// Begins dead loops anew. Jobs they held come back with their leases. Gives what was begun.
    ///
    /// # Errors
    /// What the store answers.
    pub(crate) async fn restart_dead_loops(&self) -> Result<Vec<&'static str>> {
        let workspaces = workspaces(self).await?;
        let mut begun = Vec::new();
        let mut crew = lock(&self.room().crew);
        let Some(crew) = crew.as_mut().filter(|_| !self.is_closing()) else { return Ok(begun) };
        let stopped = crew.stop.subscribe();
        for place in crew.loops.iter_mut().filter(|l| l.task.is_finished()) {
            if let Some(new) = self.begin_loop(place.does.clone(), &workspaces, &stopped) {
                *place = new;
                begun.push(place.does.word());
            }
        }
        Ok(begun)
    }

    /// Ends a loop as a panic would.
    #[cfg(test)]
    pub(crate) fn kill_loop(&self, word: &str) {
        let crew = lock(&self.room().crew);
        crew.iter().flat_map(|c| &c.loops).filter(|l| l.does.word() == word).for_each(|l| l.task.abort());
    }

    /// Stops the background workers: nothing more is taken, what is in work has `grace` to end, and what is left
    /// then is freed for others.
    pub async fn stop_workers(&self, grace: Duration) {
        let crew = lock(&self.room().crew).take();
        let Some(crew) = crew else { return };
        self.room().set_working(false);
        crew.stop.send_replace(Some(grace));
        for Loop { task, .. } in crew.loops {
            // A loop that panicked has nothing left to stop; its leases end by themselves.
            let _ = task.await;
        }
    }
}

/// Every workspace of the store.
pub(super) async fn workspaces(hub: &Hub) -> Result<Vec<WorkspaceId>> {
    let cx = hub.scope_of(WorkspaceId::hub(), Principal::System { job: "workers".into() }, Role::Owner);
    let mut query = Query::by_id().limit(500);
    let mut found = Vec::new();
    loop {
        let page = cx.query::<DirectoryEntry>(&query).await?;
        let Some(last) = page.last() else { return Ok(found) };
        query = query.after(crate::store::Key::new(), last.body.id());
        found.extend(page.into_iter().map(|e| e.body.workspace));
    }
}
