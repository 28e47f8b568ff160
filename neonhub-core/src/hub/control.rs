//! What the door asks at every call, kept in memory: the state of a workspace, its policies, its overridden limits,
//! the rights of its members and keys; and what routers ask, the parts that are left alone.
//!
//! Inside a process nothing is ever stale: a commit that touches such a record moves the epoch before it returns.
//! What another process commits is seen through the position of the change feed, looked at once a second; with the
//! quarter of a second a shared engine takes to notice, that is within two.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::health::AwayPart;
use crate::policy::{Policy, PolicySet, PolicyState};
use crate::resilience::{Breaker, LimitOverride};
use crate::scope::Authority;
use crate::store::{Key, Kind, Query, Record, Stored};
use crate::tenancy::{
    ApiKey, CustomRole, Held, Membership, Residency, Workspace, WorkspaceId, WorkspaceStatus,
};
use crate::{Result, Scope};

/// Kinds whose records the door keeps in memory.
const KINDS: &[&str] = &[
    Workspace::KIND,
    Policy::KIND,
    LimitOverride::KIND,
    Breaker::KIND,
    AwayPart::KIND,
    Membership::KIND,
    ApiKey::KIND,
    CustomRole::KIND,
];

/// How often the feed is looked at for commits of other processes.
const LOOK: Duration = Duration::from_secs(1);

/// What holds for every call in a workspace.
#[derive(Debug, Default)]
pub(crate) struct WorkspaceControl {
    pub(crate) status: WorkspaceStatus,
    pub(crate) mode: crate::tenancy::Mode,
    pub(crate) residency: Residency,
    pub(crate) policies: PolicySet,
    pub(crate) overrides: Vec<LimitOverride>,
    /// Parts that are left alone.
    pub(crate) away: Vec<AwayPart>,
}

type Kept<K, V> = Mutex<HashMap<K, (u64, Arc<V>)>>;

/// The cache of control records.
#[derive(Debug)]
pub(crate) struct Control {
    epoch: AtomicU64,
    feed: watch::Receiver<u64>,
    seen: Mutex<(u64, Instant)>,
    workspaces: Kept<WorkspaceId, WorkspaceControl>,
    rights: Kept<(WorkspaceId, Authority), Held>,
}

impl Control {
    pub(crate) fn new(feed: watch::Receiver<u64>) -> Self {
        let seen = Mutex::new((*feed.borrow(), Instant::now()));
        Control { epoch: 0.into(), feed, seen, workspaces: Mutex::default(), rights: Mutex::default() }
    }

    /// True when a commit with this kind makes what is kept stale.
    pub(crate) fn concerns(kind: &str) -> bool {
        KINDS.contains(&kind)
    }

    /// Makes everything kept stale.
    pub(crate) fn move_on(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// The number that what is kept must carry to be used.
    pub(crate) fn epoch(&self) -> u64 {
        let seq = *self.feed.borrow();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.0 != seq && seen.1.elapsed() >= LOOK {
            *seen = (seq, Instant::now());
            self.move_on();
        }
        self.epoch.load(Ordering::SeqCst)
    }
}

fn kept<K: std::hash::Hash + Eq, V>(cache: &Kept<K, V>, key: &K, epoch: u64) -> Option<Arc<V>> {
    let all = cache.lock().unwrap_or_else(PoisonError::into_inner);
    all.get(key).filter(|(at, _)| *at == epoch).map(|(_, value)| Arc::clone(value))
}

fn keep<K: std::hash::Hash + Eq, V>(cache: &Kept<K, V>, key: K, epoch: u64, value: &Arc<V>) {
    let mut all = cache.lock().unwrap_or_else(PoisonError::into_inner);
    // Many tenants come and go: what is stale goes first.
    if all.len() > 10_000 {
        all.retain(|_, (at, _)| *at == epoch);
    }
    all.insert(key, (epoch, Arc::clone(value)));
}

impl Scope {
    /// What holds for every call in this workspace.
    pub(crate) async fn control(&self) -> Result<Arc<WorkspaceControl>> {
        let control = self.hub().control();
        // Read before the records: what changes while they are read makes them stale at once.
        let epoch = control.epoch();
        if let Some(found) = kept(&control.workspaces, self.workspace(), epoch) {
            return Ok(found);
        }
        let loaded = Arc::new(load(self).await?);
        keep(&control.workspaces, self.workspace().clone(), epoch, &loaded);
        Ok(loaded)
    }

    /// The rights this scope's authority has now; `None` for those the host vouches for and tells nothing new about.
    pub(crate) async fn current_rights(&self) -> Result<Option<Arc<Held>>> {
        let authority = self.authority();
        if *authority == Authority::Host {
            return match self.hub().host_rights() {
                // What a host knows is the host's to keep in memory: it alone hears of changes.
                Some(_) => crate::tenancy::rights_of(self, authority).await.map(|held| Some(Arc::new(held))),
                None => Ok(None),
            };
        }
        let control = self.hub().control();
        let epoch = control.epoch();
        let place = (self.workspace().clone(), authority.clone());
        if let Some(found) = kept(&control.rights, &place, epoch) {
            return Ok(Some(found));
        }
        let loaded = Arc::new(crate::tenancy::rights_of(self, authority).await?);
        keep(&control.rights, place, epoch, &loaded);
        Ok(Some(loaded))
    }
}

/// Most policies of a workspace that are in force at once, and most overridden limits.
const MOST: usize = 10_000;

async fn load(cx: &Scope) -> Result<WorkspaceControl> {
    let (store, at) = (cx.store(), cx.workspace());
    let row = store.get(Kind::of::<Workspace>(), at, at.as_str()).await?;
    let workspace = row.as_ref().map(Stored::<Workspace>::from_row).transpose()?;
    let mut policies = Vec::new();
    for state in [PolicyState::Active, PolicyState::DryRun] {
        let query = Query::index("state").prefix(Key::text(state.word())).limit(MOST);
        for row in store.query(Kind::of::<Policy>(), at, &query).await? {
            policies.push(Stored::<Policy>::from_row(&row)?.body);
        }
    }
    let query = Query::index("until").from(cx.now()).limit(MOST);
    let rows = store.query(Kind::of::<LimitOverride>(), at, &query).await?;
    let overrides = rows.iter().map(|r| Stored::<LimitOverride>::from_row(r).map(|s| s.body));
    let overrides = overrides.collect::<Result<_>>()?;
    let rows = store.query(Kind::of::<AwayPart>(), at, &Query::by_id().limit(MOST)).await?;
    let away = rows.iter().map(|r| Stored::<AwayPart>::from_row(r).map(|s| s.body)).collect::<Result<_>>()?;
    let policies = PolicySet::new(policies);
    let Some(workspace) = workspace else {
        return Ok(WorkspaceControl { policies, overrides, away, ..WorkspaceControl::default() });
    };
    Ok(WorkspaceControl {
        status: workspace.status,
        mode: workspace.mode,
        residency: workspace.body.residency,
        policies,
        overrides,
        away,
    })
}
