//! The task that writes: it groups the commits that wait for one workspace into one transaction.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use deadpool_postgres::Pool;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::cascade::{Stopped, complete};
use super::error::{closed, is_away};
use super::fate::{Settled, settle};
use super::session::take;
use super::write::{Answers, Outcome, group, group_begun};
use crate::store::{Batch, Committed, Family};
use crate::tenancy::WorkspaceId;
use crate::{Error, ErrorKind, Result};

/// Most commits of one transaction.
const GROUP: usize = 256;
/// Most transactions at once; each workspace has one.
const LANES: usize = 4;
/// How often a transaction that lost a race is repeated.
const TRIES: u32 = 16;
/// How long a commit waits for a server that went away before anything was written: longer than a restart.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause between two looks for a server that is away.
const AWAY_PAUSE: Duration = Duration::from_millis(250);

/// What the store was told of references between kinds.
pub(super) type Families = Arc<Mutex<Arc<Family>>>;

type Waiting = (Batch, oneshot::Sender<Result<Committed>>);

#[derive(Debug)]
pub(super) struct Committer {
    orders: Mutex<Option<mpsc::UnboundedSender<Waiting>>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Committer {
    pub(super) fn start(
        pool: Pool,
        seq: Arc<watch::Sender<u64>>,
        wake: Arc<Notify>,
        family: Families,
    ) -> Self {
        let (orders, inbox) = mpsc::unbounded_channel();
        let desk = Desk {
            pool,
            seq,
            wake,
            family,
            queues: HashMap::new(),
            busy: HashSet::new(),
            lanes: JoinSet::new(),
        };
        let task = tokio::spawn(desk.run(inbox));
        Committer { orders: Mutex::new(Some(orders)), task: Mutex::new(Some(task)) }
    }

    pub(super) async fn commit(&self, batch: Batch) -> Result<Committed> {
        let (answer, wait) = oneshot::channel();
        {
            let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
            orders.as_ref().ok_or_else(closed)?.send((batch, answer)).map_err(|_| closed())?;
        }
        wait.await.map_err(|_| closed())?
    }

    /// Ends the task; what was asked before is done first.
    pub(super) async fn stop(&self) {
        drop(self.orders.lock().unwrap_or_else(PoisonError::into_inner).take());
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            let _ = task.await;
        }
    }
}

struct Desk {
    pool: Pool,
    seq: Arc<watch::Sender<u64>>,
    wake: Arc<Notify>,
    family: Families,
    queues: HashMap<WorkspaceId, VecDeque<Waiting>>,
    busy: HashSet<WorkspaceId>,
    lanes: JoinSet<WorkspaceId>,
}

impl Desk {
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Waiting>) {
        let mut is_open = true;
        while is_open || !self.lanes.is_empty() {
            tokio::select! {
                order = inbox.recv(), if is_open => match order {
                    Some(order) => {
                        self.queue(order);
                        while let Ok(order) = inbox.try_recv() {
                            self.queue(order);
                        }
                    }
                    None => is_open = false,
                },
                Some(done) = self.lanes.join_next() => match done {
                    Ok(workspace) => drop(self.busy.remove(&workspace)),
                    // A lane panicked: its callers were told by their dropped channels. Nobody else waits on it.
                    Err(_) => self.busy.clear(),
                },
            }
            self.dispatch();
        }
    }

    fn queue(&mut self, order: Waiting) {
        self.queues.entry(order.0.workspace.clone()).or_default().push_back(order);
    }

    fn dispatch(&mut self) {
        let ready: Vec<WorkspaceId> =
            self.queues.keys().filter(|ws| !self.busy.contains(*ws)).cloned().collect();
        for workspace in ready {
            if self.lanes.len() >= LANES {
                return;
            }
            let Some(queue) = self.queues.get_mut(&workspace) else { continue };
            let family = Arc::clone(&self.family.lock().unwrap_or_else(PoisonError::into_inner));
            let orders: Vec<Waiting> = queue.drain(..together(queue, &family)).collect();
            if queue.is_empty() {
                self.queues.remove(&workspace);
            }
            self.busy.insert(workspace.clone());
            let (pool, seq, wake) = (self.pool.clone(), Arc::clone(&self.seq), Arc::clone(&self.wake));
            self.lanes.spawn(async move {
                let (mut batches, answers): (Vec<_>, Vec<_>) = orders.into_iter().unzip();
                let results = commit(&pool, &workspace, &family, &mut batches).await;
                let last = results.iter().filter_map(|r| r.as_ref().ok()).map(|c| c.seq).max().unwrap_or(0);
                if last > 0 {
                    seq.send_if_modified(|known| std::mem::replace(known, last.max(*known)) < last);
                    wake.notify_one();
                }
                for (answer, result) in answers.into_iter().zip(results) {
                    let _ = answer.send(result);
                }
                workspace
            });
        }
    }
}

/// How many of the batches that wait go into one transaction. One that removes what others refer to goes alone: what
/// follows from it is worked out from what is stored.
fn together(queue: &VecDeque<Waiting>, family: &Family) -> usize {
    let plain = queue.iter().take(GROUP).take_while(|(batch, _)| !family.removes(batch)).count();
    plain.max(1)
}

/// Commits a group, again while it loses races, and while the server is away for a moment: its restart is a pause,
/// not an error, because here it is known that nothing was written.
async fn commit(
    pool: &Pool,
    workspace: &WorkspaceId,
    family: &Family,
    batches: &mut [Batch],
) -> Vec<Result<Committed>> {
    let start = Instant::now();
    let asked: Vec<usize> = batches.iter().map(|b| b.writes.len()).collect();
    let mut races = 0;
    loop {
        // What a try before this one added is worked out anew.
        for (batch, asked) in batches.iter_mut().zip(&asked) {
            batch.writes.truncate(*asked);
        }
        let error = match attempt(pool, workspace, family, batches).await {
            Attempt::Settled(answers) => return answers,
            Attempt::Race(error) => {
                races += 1;
                if races == TRIES {
                    return refuse(batches.len(), &error);
                }
                continue;
            }
            Attempt::Refused(error) => return vec![Err(error)],
            Attempt::Failed(error) => error,
        };
        if !is_away(&error) || pool.is_closed() || start.elapsed() >= PATIENCE {
            return refuse(batches.len(), &error);
        }
        tokio::time::sleep(AWAY_PAUSE).await;
    }
}

/// What one try came to.
enum Attempt {
    /// Every batch has its answer.
    Settled(Vec<Result<Committed>>),
    /// Another transaction was first: nothing was written.
    Race(Error),
    /// The one batch asks for what may not be: nothing was written.
    Refused(Error),
    /// Nothing was written.
    Failed(Error),
}

async fn attempt(pool: &Pool, workspace: &WorkspaceId, family: &Family, batches: &mut [Batch]) -> Attempt {
    let client = match take(pool, "store.commit").await {
        Ok(client) => client,
        Err(error) => return Attempt::Failed(error),
    };
    let outcome = match batches {
        [one] if family.removes(one) => match complete(&client, workspace, family, one).await {
            Ok(()) => group_begun(&client, workspace.as_str(), batches).await,
            Err(error) => {
                let _ = client.batch_execute("ROLLBACK").await;
                match error {
                    Stopped::Refused(error) => return Attempt::Refused(error),
                    Stopped::Race(error) => Outcome::Race(error),
                    Stopped::Failed(error) => Outcome::Failed(error),
                }
            }
        },
        _ => {
            for batch in batches.iter_mut() {
                let guards = family.guards(batch);
                batch.writes.extend(guards);
            }
            group(&client, workspace.as_str(), batches).await
        }
    };
    match outcome {
        Outcome::Done(answers, first) => Attempt::Settled(place(answers, first)),
        Outcome::Race(error) => Attempt::Race(error),
        Outcome::Failed(error) => {
            forget(client, &error);
            Attempt::Failed(error)
        }
        Outcome::Lost(lost) => {
            drop(deadpool_postgres::Object::take(client));
            match settle(pool, &lost).await {
                Settled::Committed(first) => Attempt::Settled(place(lost.answers, first)),
                Settled::Aborted(error) => Attempt::Failed(error),
                Settled::Unknown(error) => Attempt::Settled(refuse(batches.len(), &error)),
            }
        }
    }
}

/// A connection that failed may have a transaction open: it does not go back.
fn forget(client: deadpool_postgres::Object, error: &Error) {
    if error.kind() != ErrorKind::InvalidInput {
        drop(deadpool_postgres::Object::take(client));
    }
}

pub(super) fn place(answers: Answers, first: u64) -> Vec<Result<Committed>> {
    let seq = |answer: Option<usize>| Committed { seq: answer.map_or(0, |n| first + n as u64) };
    answers.into_iter().map(|answer| answer.map(seq)).collect()
}

/// One error for all: errors are not cloned, so each gets the same words.
fn refuse(count: usize, error: &Error) -> Vec<Result<Committed>> {
    let copy = || {
        let mut copy = Error::new(error.kind(), "store.commit", error.message().to_owned())
            .with_code(error.code().to_owned())
            .with_retry(error.retry());
        for (key, value) in error.context() {
            copy = copy.with_context(key.to_owned(), value);
        }
        match std::error::Error::source(error) {
            Some(source) => copy.with_source(source.to_string()),
            None => copy,
        }
    };
    (0..count).map(|_| Err(copy())).collect()
}
