//! The loop of one queue: takes jobs a little in advance, works them in its lanes, and ends them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::claim::{claim, next_due, rate_opens, stand_before};
use super::crew::{TICK, VIRTUAL_TICK};
use super::finish::Worked;
use super::pace::Pace;
use super::room::{Bell, Taken};
use super::worker::{close_out, run};
use super::{Job, Queue, QueueControl, recover};
use crate::permission::Role;
use crate::scope::Principal;
use crate::store::Stored;
use crate::tenancy::WorkspaceId;
use crate::{Error, Hub, Result, Scope, Timestamp};

/// Ticks between two looks for processes that are gone.
const ORPHAN_TICKS: u64 = 4;
/// Pause after the store refused.
const AFTER_ERROR: Duration = Duration::from_millis(500);
/// Time between two looks while the machine's clock is behind. Our choice.
const SET_BACK_LOOK: Duration = Duration::from_secs(1);
/// Jobs taken and not ended at most.
const MAX_HELD: usize = 4_096;

/// What a task of a loop came to.
enum Step {
    Claimed { workspace: WorkspaceId, want: usize, found: Result<(Vec<Stored<Job>>, Option<Timestamp>)> },
    Worked(Box<Worked>),
    Ended { workspace: WorkspaceId, lanes: usize, jobs: Vec<String>, result: Result<()> },
    Looked { freed: Vec<WorkspaceId> },
}

/// The loop of one queue.
pub(super) struct Desk {
    hub: Hub,
    queue: Arc<Queue>,
    bell: Arc<Bell>,
    scopes: HashMap<WorkspaceId, Scope>,
    known: Vec<WorkspaceId>,
    ready: VecDeque<WorkspaceId>,
    next: BTreeMap<WorkspaceId, Timestamp>,
    buffer: VecDeque<(WorkspaceId, Stored<Job>)>,
    held: HashMap<String, (WorkspaceId, Stored<Job>, Taken)>,
    tasks: JoinSet<Step>,
    busy: usize,
    is_claiming: bool,
    is_looking: bool,
    pace: Pace,
    ticks: u64,
}

impl Desk {
    pub(super) fn new(hub: Hub, queue: Arc<Queue>, bell: Arc<Bell>, known: Vec<WorkspaceId>) -> Self {
        Desk {
            hub,
            queue,
            bell,
            scopes: HashMap::new(),
            known,
            ready: VecDeque::new(),
            next: BTreeMap::new(),
            buffer: VecDeque::new(),
            held: HashMap::new(),
            tasks: JoinSet::new(),
            busy: 0,
            is_claiming: false,
            is_looking: false,
            pace: Pace::new(),
            ticks: 0,
        }
    }

    pub(super) async fn work(mut self, mut stop: watch::Receiver<Option<Duration>>) {
        let mut tick = Instant::now();
        self.look();
        loop {
            if stop.borrow().is_some() || self.hub.is_closed() {
                break;
            }
            for workspace in self.bell.take() {
                self.mark(workspace);
            }
            self.mark_due();
            self.dispatch();
            self.claim();
            let wait = self.wait(tick);
            tokio::select! {
                biased;
                _ = stop.changed() => {}
                Some(step) = self.tasks.join_next(), if !self.tasks.is_empty() => self.take(step).await,
                () = self.bell.rung() => {}
                () = tokio::time::sleep(wait) => {}
            }
            if tick.elapsed() >= self.tick() {
                tick = Instant::now();
                self.look();
            }
        }
        let grace = stop.borrow().unwrap_or_default();
        self.finish(grace).await;
    }

    fn tick(&self) -> Duration {
        if self.hub.has_virtual_clock() { VIRTUAL_TICK } else { TICK }
    }

    fn mark(&mut self, workspace: WorkspaceId) {
        if !self.ready.contains(&workspace) {
            if !self.known.contains(&workspace) {
                self.known.push(workspace.clone());
            }
            self.ready.push_back(workspace);
        }
    }

    fn mark_due(&mut self) {
        let now = self.hub.steady_now();
        let due: Vec<WorkspaceId> =
            self.next.iter().filter(|(_, at)| **at <= now).map(|(w, _)| w.clone()).collect();
        for workspace in due {
            self.next.remove(&workspace);
            self.mark(workspace);
        }
    }

    fn scope(&mut self, workspace: &WorkspaceId) -> Scope {
        if let Some(scope) = self.scopes.get(workspace) {
            return scope.clone();
        }
        let principal = Principal::System { job: self.queue.name().to_owned() };
        let scope = self
            .hub
            .scope_of(workspace.clone(), principal, Role::Owner)
            .with_permissions(self.queue.rights.clone());
        self.scopes.insert(workspace.clone(), scope.clone());
        scope
    }

    /// Starts what was taken, while lanes are free.
    fn dispatch(&mut self) {
        let batch = self.queue.handler.batch().max(1);
        while self.busy < self.queue.lanes() {
            let Some((workspace, first)) = self.buffer.pop_front() else { return };
            let mut jobs = vec![first];
            while jobs.len() < batch && self.buffer.front().is_some_and(|(w, _)| *w == workspace) {
                jobs.extend(self.buffer.pop_front().map(|(_, job)| job));
            }
            let scope = self.scope(&workspace);
            let queue = Arc::clone(&self.queue);
            self.busy += 1;
            self.tasks.spawn(async move { Step::Worked(Box::new(run(&scope, &queue, jobs).await)) });
        }
    }

    /// Takes more from the workspace whose turn it is: what free lanes need, and a little in advance.
    fn claim(&mut self) {
        if self.is_claiming || self.held.len() >= MAX_HELD || self.hub.is_paused() {
            return;
        }
        let free =
            (self.queue.lanes() - self.busy.min(self.queue.lanes())) * self.queue.handler.batch().max(1);
        let ahead = self.pace.ahead();
        let want = (free + ahead).saturating_sub(self.buffer.len());
        // Less than half of what is wanted in advance is not worth a commit yet.
        if want == 0 || (free == 0 && want * 2 < ahead) {
            return;
        }
        let Some(workspace) = self.ready.pop_front() else { return };
        let scope = self.scope(&workspace);
        let queue = Arc::clone(&self.queue);
        self.is_claiming = true;
        self.tasks.spawn(async move {
            let found = take_some(&scope, &queue, want).await;
            Step::Claimed { workspace, want, found }
        });
    }

    async fn take(&mut self, step: std::result::Result<Step, tokio::task::JoinError>) {
        let mut worked: BTreeMap<WorkspaceId, Vec<Worked>> = BTreeMap::new();
        let mut next = Some(step);
        while let Some(step) = next.take() {
            match step {
                Ok(Step::Worked(work)) => {
                    worked.entry(work.cx.workspace().clone()).or_default().push(*work);
                }
                Ok(other) => self.settle(other).await,
                Err(error) => {
                    tracing::error!(%error, queue = self.queue.name(), "a task of the workers broke")
                }
            }
            next = self.tasks.try_join_next();
        }
        for (workspace, works) in worked {
            let scope = self.scope(&workspace);
            let queue = Arc::clone(&self.queue);
            let jobs: Vec<String> = works.iter().flat_map(|w| w.jobs.iter().map(|j| j.id.clone())).collect();
            self.pace.count(jobs.len());
            let lanes = works.len();
            self.tasks.spawn(async move {
                let result = close_out(&scope, &queue, works).await.map(|_| ());
                Step::Ended { workspace, lanes, jobs, result }
            });
        }
    }

    async fn settle(&mut self, step: Step) {
        match step {
            Step::Claimed { workspace, want, found } => {
                self.is_claiming = false;
                match found {
                    Ok((jobs, next)) => {
                        if jobs.len() >= want {
                            self.mark(workspace.clone());
                        } else if let Some(at) = next {
                            self.next.insert(workspace.clone(), at);
                        }
                        for job in jobs {
                            let taken = Taken::new(&self.hub, &job.id);
                            self.held.insert(job.id.clone(), (workspace.clone(), job.clone(), taken));
                            self.buffer.push_back((workspace.clone(), job));
                        }
                    }
                    Err(error) => self.trouble(workspace, &error).await,
                }
            }
            Step::Ended { workspace, lanes, jobs, result } => {
                // A lane is free once the outcome is stored: a crash repeats no more handlers than there are lanes.
                self.busy = self.busy.saturating_sub(lanes);
                for job in jobs {
                    self.held.remove(&job);
                }
                // An end may have freed a group, a limit or a parent, or put a job off.
                self.mark(workspace.clone());
                if let Err(error) = result {
                    self.trouble(workspace, &error).await;
                }
            }
            Step::Looked { freed } => {
                self.is_looking = false;
                freed.into_iter().for_each(|w| self.mark(w));
            }
            Step::Worked(_) => {}
        }
    }

    async fn trouble(&mut self, workspace: WorkspaceId, error: &Error) {
        tracing::warn!(%error, queue = self.queue.name(), "the workers could not use the store: they try again");
        tokio::time::sleep(AFTER_ERROR).await;
        self.mark(workspace);
    }

    /// Looks for leases that ended, and now and then for processes that are gone.
    fn look(&mut self) {
        if self.is_looking {
            return;
        }
        let orphans = self.ticks.is_multiple_of(ORPHAN_TICKS);
        self.ticks += 1;
        self.is_looking = true;
        let scopes: Vec<Scope> = self.known.clone().iter().map(|w| self.scope(w)).collect();
        let queue = Arc::clone(&self.queue);
        self.tasks.spawn(async move {
            let mut freed = Vec::new();
            for scope in scopes {
                let mut count = recover::release_expired(&scope, &queue).await.unwrap_or(0);
                if orphans {
                    count += recover::release_orphans(&scope, &queue).await.unwrap_or(0);
                }
                if count > 0 {
                    freed.push(scope.workspace().clone());
                }
            }
            Step::Looked { freed }
        });
    }

    fn wait(&self, tick: Instant) -> Duration {
        let rest = self.tick().saturating_sub(tick.elapsed()).max(Duration::from_millis(1));
        let now = self.hub.steady_now();
        match self.next.values().min() {
            Some(at) if !self.hub.has_virtual_clock() => {
                let left = at.as_millis().saturating_sub(now.as_millis()).max(0);
                rest.min(
                    Duration::from_millis(u64::try_from(left).unwrap_or(0)).max(Duration::from_micros(200)),
                )
            }
            _ => rest,
        }
    }

    /// Ends: what was not begun is free at once, what runs has its grace, and what is left then is freed.
    async fn finish(mut self, grace: Duration) {
        let mut idle: Vec<(WorkspaceId, Stored<Job>)> = self.buffer.drain(..).collect();
        for (_, job) in &idle {
            self.held.remove(&job.id);
        }
        let deadline = tokio::time::Instant::now() + grace;
        while !self.tasks.is_empty() {
            match tokio::time::timeout_at(deadline, self.tasks.join_next()).await {
                Ok(Some(step)) => {
                    self.take(step).await;
                    for (workspace, job) in self.buffer.drain(..) {
                        self.held.remove(&job.id);
                        idle.push((workspace, job));
                    }
                }
                Ok(None) => break,
                Err(_) => {
                    self.tasks.abort_all();
                    break;
                }
            }
        }
        idle.extend(std::mem::take(&mut self.held).into_values().map(|(w, job, _)| (w, job)));
        let mut by_workspace: BTreeMap<WorkspaceId, Vec<Stored<Job>>> = BTreeMap::new();
        for (workspace, job) in idle {
            by_workspace.entry(workspace).or_default().push(job);
        }
        for (workspace, jobs) in by_workspace {
            let scope = self.scope(&workspace);
            if let Err(error) = recover::give_back(&scope, jobs).await {
                tracing::warn!(%error, "leases were not given back: they end by themselves");
            }
        }
    }
}

/// Takes jobs, and says when to look again if there were fewer than wanted.
async fn take_some(cx: &Scope, queue: &Queue, want: usize) -> Result<(Vec<Stored<Job>>, Option<Timestamp>)> {
    let claimed = claim(cx, queue, want).await?;
    if claimed.jobs.len() >= want {
        return Ok((claimed.jobs, None));
    }
    let now = cx.hub().steady_now();
    let mut next = next_due(cx, queue, now, &claimed).await?;
    if !cx.hub().clock_behind().is_zero() && stand_before(cx, queue, now).await? {
        // What was said on the other side of the step and is still to come: nothing rings for it.
        next = Some(next.map_or(now.plus(SET_BACK_LOOK), |n| n.min(now.plus(SET_BACK_LOOK))));
    }
    if queue.rate.is_some() {
        let control = cx.get::<QueueControl>(queue.name()).await?;
        if let Some(at) = rate_opens(queue, control.as_ref().map(|c| &c.body)).filter(|at| *at > now) {
            next = Some(next.map_or(at, |n| n.min(at)));
        }
    }
    Ok((claimed.jobs, next))
}
