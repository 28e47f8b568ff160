//! The hub: one open store with everything that works on it.

mod access;
mod backup;
mod builder;
mod closest;
mod config;
mod control;
mod env;
mod lifecycle;
mod mark;
pub mod ops;
mod parts;
mod scope_ops;

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{OwnedMutexGuard, watch};

pub(crate) use builder::DEFAULT_WORKSPACE;
pub use builder::HubBuilder;
use closest::MOST_OF_A_NAME;
pub use closest::closest;
pub use config::{HubConfig, LimitWord};
pub(crate) use control::{Control, WorkspaceControl};
pub use env::EnvSettings;
pub use lifecycle::{HubMode, Shutdown};
pub use mark::StoreMark;
pub use ops::{CATALOGUE, KINDS};
pub(crate) use parts::Called;

use crate::audit::{Anchor, AuditHold};
use crate::bus::{Bus, Subscriber};
use crate::connector::{Connector, Gate};
use crate::economy::Ledgers;
use crate::health::{Health, HealthSource, Recipe};
use crate::job::{Queue, Room};
use crate::llm::{Cassette, Llm};
use crate::op::Entry;
use crate::permission::{AppPermission, Permission, Role};
use crate::policy::Approvals;
use crate::resilience::{Buckets, LimitProfile, Targets};
use crate::scope::{Principal, Scope};
use crate::store::{Kind, SharedStore, Store, Stored};
use crate::telemetry::{ErrorSink, Telemetry};
use crate::tenancy::{DirectoryEntry, Rights, Workspace, WorkspaceId};
use crate::vault::Vault;
use crate::{Clock, Error, ErrorKind, Faults, Result, Retry, Seed, Timestamp};

/// A clock that is less behind was not set back: rounding, and the steering of the machine's clock.
const SET_BACK: Duration = Duration::from_secs(1);

/// One open store with its catalogue, gate, connectors, models and jobs. Cheap to clone.
///
/// Close it with [`Hub::close`] or [`Hub::shutdown`]; dropping it without closing is safe, as a crash is.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    store: SharedStore,
    clock: Arc<dyn Clock>,
    seed: Seed,
    seeded: bool,
    vault: Vault,
    telemetry: Arc<Telemetry>,
    error_sinks: Vec<Arc<dyn ErrorSink>>,
    location: Option<PathBuf>,
    beside: Option<PathBuf>,
    catalogue: BTreeMap<&'static str, &'static Entry>,
    permissions: BTreeMap<AppPermission, String>,
    kinds: Vec<Kind>,
    family: crate::store::Family,
    services: RwLock<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
    gate: Option<Arc<dyn Gate>>,
    connectors: RwLock<Vec<Arc<dyn Connector>>>,
    models: RwLock<Vec<Arc<dyn Llm>>>,
    model_added: AtomicBool,
    cassette: RwLock<Option<Cassette>>,
    queues: Vec<Arc<Queue>>,
    room: Room,
    tools: crate::tool::Registry,
    #[cfg(feature = "mcp")]
    links: crate::mcp::Links,
    agents: Vec<Arc<dyn crate::run::Agent>>,
    #[cfg(any(test, feature = "doubles"))]
    faults: RwLock<Option<crate::testing::FaultInjector>>,
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    calls: Mutex<HashMap<(&'static str, u64), u64>>,
    call_count: AtomicU64,
    bus: Bus,
    control: Control,
    limits: LimitProfile,
    buckets: Buckets,
    ledgers: Ledgers,
    targets: Targets,
    anchor: Arc<dyn Anchor>,
    audit_hold: Option<Arc<dyn AuditHold>>,
    chains: crate::audit::Chains,
    approvals: Arc<dyn Approvals>,
    token: [u8; 16],
    worker: String,
    in_flight: watch::Sender<u64>,
    closing: watch::Sender<bool>,
    /// True once the grace of a shutdown is over: what still runs is cut.
    grace_over: watch::Sender<bool>,
    closed: watch::Sender<bool>,
    paused: watch::Sender<bool>,
    shutting: tokio::sync::Mutex<()>,
    subscribers: Vec<Arc<dyn Subscriber>>,
    rights: Option<Arc<dyn Rights>>,
    checks: RwLock<Vec<Arc<dyn Health>>>,
    check_sources: Vec<Arc<dyn HealthSource>>,
    recipes: Vec<Arc<dyn Recipe>>,
    opened_at: Timestamp,
    mode: HubMode,
    mocks_connectors: bool,
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("engine", &self.0.store.caps().engine).finish_non_exhaustive()
    }
}

/// A call under way; `close` waits for it.
#[derive(Debug)]
pub(crate) struct InFlight(Hub);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.0.in_flight.send_modify(|n| *n -= 1);
    }
}

impl Hub {
    /// Sets up a hub part by part.
    pub fn builder() -> HubBuilder {
        HubBuilder::new()
    }

    /// The clock's instant.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// True when the clock moves only by hand.
    #[must_use]
    pub fn has_virtual_clock(&self) -> bool {
        self.0.clock.is_virtual()
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        self.0.store.as_ref()
    }

    /// Where the store lives on disk, for caches beside it; `None` in memory and on a server.
    #[must_use]
    pub fn location(&self) -> Option<&Path> {
        self.0.location.as_deref()
    }

    /// The path of something that this process keeps beside the store: `STORE.ending` for a file, and
    /// `DATABASE.SCHEMA.ending` for a server, in the working directory or the `folder` of the store URL. `None` in
    /// memory.
    #[must_use]
    pub fn beside(&self, ending: &str) -> Option<PathBuf> {
        let mut path = self.0.beside.as_ref()?.clone().into_os_string();
        path.push(".");
        path.push(ending);
        Some(path.into())
    }

    /// The owner's scope in a workspace: the rights of the app that embeds the hub.
    ///
    /// # Errors
    /// `NotFound` when there is no such workspace.
    pub async fn workspace(&self, slug: &str) -> Result<Scope> {
        self.scope(slug, Principal::User { id: "owner".into() }, Role::Owner).await
    }

    /// The scope of a principal with a role in a workspace.
    ///
    /// # Errors
    /// `NotFound` when there is no such workspace.
    pub async fn scope(&self, slug: &str, principal: Principal, role: Role) -> Result<Scope> {
        let missing = || {
            Error::new(ErrorKind::NotFound, "hub.workspace", "there is no such workspace in this store")
                .with_context("workspace", slug)
        };
        let found = self.0.store.get(Kind::of::<DirectoryEntry>(), &WorkspaceId::hub(), slug).await?;
        let workspace = Stored::<DirectoryEntry>::from_row(&found.ok_or_else(missing)?)?.body.workspace;
        self.read_keys(&workspace).await?;
        Ok(self.scope_of(workspace, principal, role))
    }

    pub(crate) fn scope_of(&self, workspace: WorkspaceId, principal: Principal, role: Role) -> Scope {
        let seed = if self.0.seeded {
            self.0.seed.split(&[workspace.as_str().as_bytes(), principal.label().as_bytes()])
        } else {
            Seed::from_entropy()
        };
        Scope::new(self.clone(), workspace, principal, role, seed)
    }

    /// The settings of a scope's workspace.
    ///
    /// # Errors
    /// `NotFound` when it was removed.
    pub async fn workspace_of(&self, cx: &Scope) -> Result<Stored<Workspace>> {
        cx.need(cx.workspace().as_str()).await
    }

    /// The operations of this hub by name.
    pub fn operations(&self) -> impl Iterator<Item = &'static Entry> + '_ {
        self.0.catalogue.values().copied()
    }

    /// The operation with this name.
    ///
    /// # Errors
    /// `NotFound` with the three closest names.
    pub fn operation(&self, name: &str) -> Result<&'static Entry> {
        self.0.catalogue.get(name).copied().ok_or_else(|| {
            let close = closest(name, self.0.catalogue.keys().copied());
            let name = name.get(..name.floor_char_boundary(MOST_OF_A_NAME)).unwrap_or(name);
            Error::new(ErrorKind::NotFound, "catalogue.call", format!("there is no operation {name:?}"))
                .with_context("closest", close.join(", "))
        })
    }

    /// What tells the rights of principals the host vouches for.
    pub(crate) fn host_rights(&self) -> Option<&dyn Rights> {
        self.0.rights.as_deref()
    }

    /// The rights this host declared under `app:`, by word, with what each lets a principal do.
    pub fn app_permissions(&self) -> impl Iterator<Item = (Permission, &str)> {
        self.0.permissions.iter().map(|(word, meaning)| (Permission::App(*word), meaning.as_str()))
    }

    /// Notes a fault under `field` when `word` is one of a host's and this host did not declare it. For whatever takes
    /// words from outside.
    pub fn check_declared(&self, faults: &mut Faults, field: &str, word: Permission) {
        if let Permission::App(word) = word
            && !self.0.permissions.contains_key(&word)
        {
            let word = word.word();
            let cure = format!(
                "this host declares no {word}: expected one of its own words, or declare it with \
                 HubBuilder::permission or the setting permissions"
            );
            faults.push(field, cure);
        }
    }

    /// The declared kind with this name.
    pub(crate) fn kind(&self, name: &str) -> Option<Kind> {
        self.0.kinds.iter().find(|k| k.name == name).copied()
    }

    /// Which kinds refer to which.
    pub(crate) fn family(&self) -> &crate::store::Family {
        &self.0.family
    }

    /// The record kinds of this hub.
    #[must_use]
    pub fn kinds(&self) -> &[Kind] {
        &self.0.kinds
    }

    /// A service of a crate above core.
    #[must_use]
    pub fn service<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let services = self.0.services.read().unwrap_or_else(PoisonError::into_inner);
        services.get(&TypeId::of::<T>()).and_then(|s| Arc::clone(s).downcast().ok())
    }

    /// The agents of this program that can be started by name.
    #[must_use]
    pub fn agents(&self) -> &[Arc<dyn crate::run::Agent>] {
        &self.0.agents
    }

    #[cfg(feature = "mcp")]
    pub(crate) fn links(&self) -> &crate::mcp::Links {
        &self.0.links
    }

    pub(crate) fn tools(&self) -> &crate::tool::Registry {
        &self.0.tools
    }

    /// The queues that this program works, in the order they were declared.
    #[must_use]
    pub fn queues(&self) -> &[Arc<Queue>] {
        &self.0.queues
    }

    /// The queue of a name or short name.
    pub(crate) fn queue(&self, name: &str) -> Option<Arc<Queue>> {
        let full = crate::job::full_name(name);
        self.0.queues.iter().find(|q| q.name() == full).map(Arc::clone)
    }

    pub(crate) fn room(&self) -> &Room {
        &self.0.room
    }

    /// The clock for leases and delays: it never goes back.
    pub(crate) fn steady_now(&self) -> Timestamp {
        self.clocks().0
    }

    /// How far the machine's clock was set back since this process began; zero as long as it was not. Instants that are
    /// said now lie so far behind those said before.
    pub(crate) fn clock_behind(&self) -> Duration {
        self.clocks().1
    }

    /// The steady clock and how far the machine's is behind it, of one instant.
    pub(crate) fn clocks(&self) -> (Timestamp, Duration) {
        let wall = self.now();
        let steady = self.0.room.steady_now(wall, self.has_virtual_clock());
        let behind = steady.since(wall);
        (steady, if behind < SET_BACK { Duration::ZERO } else { behind })
    }

    /// Lets one call in.
    pub(crate) fn enter(&self, operation: &'static str) -> Result<InFlight> {
        if self.is_closing() {
            return Err(Error::new(ErrorKind::Unavailable, operation, "the hub is closing: open it again")
                .with_retry(Retry::Never));
        }
        self.0.in_flight.send_modify(|n| *n += 1);
        Ok(InFlight(self.clone()))
    }

    /// One call at a time per idempotency key.
    pub(crate) async fn turn(&self, name: &str) -> OwnedMutexGuard<()> {
        let lock = {
            let mut turns = self.0.turns.lock().unwrap_or_else(PoisonError::into_inner);
            // Locks nobody holds or waits for are dropped once there are many.
            if turns.len() > 1024 {
                turns.retain(|_, lock| Arc::strong_count(lock) > 1);
            }
            Arc::clone(turns.entry(name.to_owned()).or_default())
        };
        lock.lock_owned().await
    }

    /// How often this operation was called before, with this input when the seed is fixed.
    pub(crate) fn count_call(&self, name: &'static str, input: Option<&str>) -> u64 {
        let Some(input) = input else { return self.0.call_count.fetch_add(1, Ordering::Relaxed) };
        let mut calls = self.0.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let nth = calls.entry((name, xxhash_rust::xxh3::xxh3_64(input.as_bytes()))).or_default();
        *nth += 1;
        *nth
    }

    /// Told after each commit.
    pub(crate) fn committed(&self, workspace: &WorkspaceId, seq: u64, events: usize, rings: &[String]) {
        tracing::debug!(workspace = %workspace, seq, events, "committed");
        self.0.room.ring(workspace, rings);
    }
}

/// The store of a URL, with nothing around it.
pub(crate) async fn open_store(url: &str) -> Result<SharedStore> {
    Ok(builder::open_at(url).await?.0)
}
