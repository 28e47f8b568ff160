//! The task that writes: it groups the commits that wait for one workspace into one transaction.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::Pool;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::error::{closed, failed};
use super::session::take;
use super::write::{Answers, Outcome, group};
use crate::store::{Batch, Committed};
use crate::tenancy::WorkspaceId;
use crate::{Error, ErrorKind, Result, Retry};

/// Most commits of one transaction.
const GROUP: usize = 256;
/// Most transactions at once; each workspace has one.
const LANES: usize = 4;
/// How often a transaction that lost a race is repeated.
const TRIES: u32 = 16;
/// How often a commit whose connection went away is asked after, and the pause between.
const ASK: u32 = 40;
const ASK_PAUSE: Duration = Duration::from_millis(250);

type Waiting = (Batch, oneshot::Sender<Result<Committed>>);

#[derive(Debug)]
pub(super) struct Committer {
    orders: Mutex<Option<mpsc::UnboundedSender<Waiting>>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Committer {
    pub(super) fn start(pool: Pool, seq: Arc<watch::Sender<u64>>, wake: Arc<Notify>) -> Self {
        let (orders, inbox) = mpsc::unbounded_channel();
        let desk =
            Desk { pool, seq, wake, queues: HashMap::new(), busy: HashSet::new(), lanes: JoinSet::new() };
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
            let orders: Vec<Waiting> = queue.drain(..queue.len().min(GROUP)).collect();
            if queue.is_empty() {
                self.queues.remove(&workspace);
            }
            self.busy.insert(workspace.clone());
            let (pool, seq, wake) = (self.pool.clone(), Arc::clone(&self.seq), Arc::clone(&self.wake));
            self.lanes.spawn(async move {
                let (batches, answers): (Vec<_>, Vec<_>) = orders.into_iter().unzip();
                let results = commit(&pool, &workspace, &batches).await;
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

/// Commits a group, again while it loses races.
async fn commit(pool: &Pool, workspace: &WorkspaceId, batches: &[Batch]) -> Vec<Result<Committed>> {
    let mut last = Error::new(ErrorKind::Internal, "store.commit", "no try was made");
    for _ in 0..TRIES {
        let client = match take(pool, "store.commit").await {
            Ok(client) => client,
            Err(error) => return refuse(batches.len(), &error),
        };
        match group(&client, workspace.as_str(), batches).await {
            Outcome::Done(answers, first) => return place(answers, first),
            Outcome::Race(error) => last = error,
            Outcome::Failed(error) => {
                forget(client, &error);
                return refuse(batches.len(), &error);
            }
            Outcome::Lost(answers, xid) => {
                drop(deadpool_postgres::Object::take(client));
                return settle(pool, answers, &xid).await;
            }
        }
    }
    refuse(batches.len(), &last)
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

/// Asks the server what became of a commit whose connection went away.
pub(super) async fn settle(pool: &Pool, answers: Answers, xid: &str) -> Vec<Result<Committed>> {
    for _ in 0..ASK {
        match fate(pool, xid).await {
            Ok(Fate::Committed(first)) => return place(answers, first),
            Ok(Fate::Aborted) => {
                let error = Error::new(
                    ErrorKind::Unavailable,
                    "store.commit",
                    "the database server went away; nothing was written: try again",
                )
                .with_retry(Retry::Backoff);
                return refuse(answers.len(), &error);
            }
            Ok(Fate::Running) | Err(_) => tokio::time::sleep(ASK_PAUSE).await,
        }
    }
    let error = Error::new(
        ErrorKind::OutcomeUnknown,
        "store.commit",
        "the database server went away during the commit: read the records to see whether they were written",
    )
    .with_retry(Retry::Never);
    refuse(answers.len(), &error)
}

enum Fate {
    Committed(u64),
    Aborted,
    Running,
}

async fn fate(pool: &Pool, xid: &str) -> Result<Fate> {
    let sql = |e| failed("store.commit", &e);
    let client = take(pool, "store.commit").await?;
    let row = client.query_one("SELECT pg_xact_status($1::text::xid8)", &[&xid]).await.map_err(sql)?;
    match row.try_get::<_, Option<&str>>(0).map_err(sql)? {
        Some("committed") => {
            // Entries of one transaction are neighbours near the end of the feed.
            let text = "SELECT coalesce(min(seq), 0) FROM _feed WHERE shard = 0 AND xid = $1::text::bigint \
                        AND seq > (SELECT seq - 1000000 FROM _shard WHERE shard = 0)";
            let row = client.query_one(text, &[&xid]).await.map_err(sql)?;
            Ok(Fate::Committed(row.get::<_, i64>(0).cast_unsigned()))
        }
        Some("in progress") => Ok(Fate::Running),
        // A server that was killed forgets transactions that never finished.
        _ => Ok(Fate::Aborted),
    }
}
