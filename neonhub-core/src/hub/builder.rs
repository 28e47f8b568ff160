//! Putting a hub together.

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, RwLock};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{Hub, Inner, keys};
use crate::audit::Anchor;
use crate::bus::Bus;
use crate::connector::{Connector, Gate};
use crate::job::{Handler, Queue, Room};
use crate::llm::Llm;
use crate::op::Entry;
use crate::permission::Role;
use crate::policy::Approvals;
use crate::resilience::{Buckets, LimitProfile, Targets};
use crate::scope::Principal;
use crate::seal::{RootKey, hmac_sha256};
use crate::store::{Batch, Expected, Kind, MemoryStore, Record, Row, SharedStore, Write};
use crate::tenancy::{DirectoryEntry, Mode, Workspace, WorkspaceId, check_slug};
use crate::tool::Tool;
use crate::{Clock, Error, ErrorKind, Result, Seed, SystemClock};

/// Slug of the workspace that a new store starts with.
pub(super) const DEFAULT_WORKSPACE: &str = "default";

/// Where records are kept.
enum Place {
    Url(String),
    Store(SharedStore),
}

/// Where a store turned out to live.
pub(super) enum Home {
    Memory,
    File(PathBuf),
    Server,
}

impl Home {
    fn into_location(self) -> Option<PathBuf> {
        match self {
            Home::File(path) => Some(path),
            Home::Memory | Home::Server => None,
        }
    }
}

/// Sets up a hub. Without settings: a store in memory, the clock of the machine, chance from the system.
#[must_use]
pub struct HubBuilder {
    place: Place,
    clock: Arc<dyn Clock>,
    seed: Option<u64>,
    root_key: Option<RootKey>,
    catalogue: Vec<&'static [Entry]>,
    kinds: Vec<&'static [Kind]>,
    services: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
    gate: Option<Arc<dyn Gate>>,
    connectors: Vec<Arc<dyn Connector>>,
    models: Vec<Arc<dyn Llm>>,
    limits: LimitProfile,
    anchor: Option<Arc<dyn Anchor>>,
    approvals: Option<Arc<dyn Approvals>>,
    queues: Vec<Queue>,
    tools: Vec<Arc<dyn Tool>>,
}

impl std::fmt::Debug for HubBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HubBuilder").finish_non_exhaustive()
    }
}

/// Proof that a store was opened with the root key it was made with.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct KeyCheck {
    id: String,
    fingerprint: String,
}

impl Record for KeyCheck {
    const KIND: &'static str = "key_check";
    fn id(&self) -> &str {
        &self.id
    }
}

impl HubBuilder {
    pub(super) fn new() -> Self {
        HubBuilder {
            place: Place::Url("memory:".into()),
            clock: Arc::new(SystemClock),
            seed: None,
            root_key: None,
            catalogue: vec![
                super::CATALOGUE,
                crate::op::CATALOGUE,
                crate::policy::ops::CATALOGUE,
                crate::resilience::ops::CATALOGUE,
                crate::audit::CATALOGUE,
                crate::tenancy::CATALOGUE,
                crate::llm::CATALOGUE,
                crate::prompt::CATALOGUE,
                crate::run::CATALOGUE,
                crate::job::ops::CATALOGUE,
                crate::schedule::CATALOGUE,
                crate::tool::CATALOGUE,
            ],
            kinds: vec![
                super::KINDS,
                crate::policy::KINDS,
                crate::resilience::ops::KINDS,
                crate::tenancy::KINDS,
                crate::run::KINDS,
                crate::job::KINDS,
                crate::schedule::KINDS,
                crate::tool::KINDS,
            ],
            services: HashMap::new(),
            gate: None,
            connectors: Vec::new(),
            models: Vec::new(),
            queues: Vec::new(),
            tools: Vec::new(),
            limits: LimitProfile::default(),
            anchor: None,
            approvals: None,
        }
    }

    /// How many calls are admitted. Default [`LimitProfile::embedded`]: as many as come; a host that serves strangers
    /// takes [`LimitProfile::hosted`].
    pub fn limits(mut self, profile: LimitProfile) -> Self {
        self.limits = profile;
        self
    }

    /// Where checkpoints of the audit log go. Default: a file beside the store, in memory for a store without a file.
    pub fn anchor(mut self, anchor: Arc<dyn Anchor>) -> Self {
        self.anchor = Some(anchor);
        self
    }

    /// Who is asked when a policy wants a person's yes. Without, such calls are refused.
    pub fn approvals(mut self, approvals: Arc<dyn Approvals>) -> Self {
        self.approvals = Some(approvals);
        self
    }

    /// Where records are kept: a path, `sqlite:PATH`, `postgres://USER:PASSWORD@HOST/DATABASE` or `memory:`.
    /// Default `memory:`.
    pub fn store(mut self, url: impl Into<String>) -> Self {
        self.place = Place::Url(url.into());
        self
    }

    /// A store of one's own.
    pub fn store_backend(mut self, store: SharedStore) -> Self {
        self.place = Place::Store(store);
        self
    }

    /// The clock. Default: that of the machine.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Fixes all chance, for tests and repeatable runs: ids and tokens become predictable, so a store in
    /// production mode refuses to open with it.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The root key. Default: `NEONHUB_KEY`, else a file of mode 0600 beside the store, made on first open. A
    /// store on a server has no file beside it: there the key must be given.
    pub fn root_key(mut self, key: RootKey) -> Self {
        self.root_key = Some(key);
        self
    }

    /// Adds operations.
    pub fn operations(mut self, entries: &'static [Entry]) -> Self {
        self.catalogue.push(entries);
        self
    }

    /// Adds record kinds.
    pub fn kinds(mut self, kinds: &'static [Kind]) -> Self {
        self.kinds.push(kinds);
        self
    }

    /// Adds a service that operations find by its type.
    pub fn service<T: Send + Sync + 'static>(mut self, service: Arc<T>) -> Self {
        self.services.insert(TypeId::of::<T>(), service);
        self
    }

    /// Installs the send gate: once, here, and for good.
    pub fn gate(mut self, gate: Arc<dyn Gate>) -> Self {
        self.gate = Some(gate);
        self
    }

    /// Adds a connector; it takes over the channels it names.
    pub fn connector(mut self, connector: Arc<dyn Connector>) -> Self {
        self.connectors.push(connector);
        self
    }

    /// Adds a model; the last one answers.
    pub fn model(mut self, model: Arc<dyn Llm>) -> Self {
        self.models.push(model);
        self
    }

    /// Adds a tool; callers with the rights it needs see it.
    pub fn tool(mut self, tool: Arc<dyn Tool>) -> Self {
        self.tools.push(tool);
        self
    }

    /// Adds the queue of a handler, with the defaults of its name.
    pub fn handler(self, handler: Arc<dyn Handler>) -> Self {
        self.queue(Queue::of(handler))
    }

    /// Adds a queue.
    pub fn queue(mut self, queue: Queue) -> Self {
        self.queues.push(queue);
        self
    }

    /// Opens the store and assembles the hub.
    ///
    /// # Errors
    /// `InvalidInput` for an unknown store URL; `Config` for a missing folder, a file of a newer version, a key
    /// that cannot be read, two operations of one name, or a fixed seed on a store in production mode;
    /// `Corrupted` for a file that is no store.
    pub async fn build(self) -> Result<Hub> {
        let catalogue = catalogue(&self.catalogue)?;
        let queues = queues(self.queues)?;
        let kinds: Vec<Kind> = self.kinds.iter().flat_map(|k| k.iter().copied()).collect();
        let (store, home) = match self.place {
            Place::Store(store) => (store, Home::Memory),
            Place::Url(url) => open_store(&url).await?,
        };
        store.declare(&kinds).await?;
        let root_key = keys::root_key(self.root_key, &home)?;
        let seq = store.seq().await?;
        let seed = match self.seed {
            // The position in the feed is mixed in, so that a second run on one store never repeats an id.
            Some(n) => Seed::from_number(n).split(&[&seq.to_le_bytes()]),
            None => Seed::from_entropy(),
        };
        let mut token = [0; 16];
        Seed::from_entropy().rng().fill(&mut token);
        let worker = format!("w{}", crate::store_hex(token.get(..8).unwrap_or_default()));
        store.register_worker(&worker)?;
        let key_fits = check_key(&store, &root_key, self.clock.as_ref()).await?;
        let location = home.into_location();
        let anchor = self.anchor.unwrap_or_else(|| crate::audit::anchor_beside(location.as_deref()));
        let control = super::Control::new(store.watch());
        let hub = Hub(Arc::new(Inner {
            store,
            clock: self.clock,
            seed,
            seeded: self.seed.is_some(),
            root_key,
            key_fits,
            location,
            catalogue,
            kinds: kinds.iter().map(|k| (k.name, *k)).collect(),
            services: RwLock::new(self.services),
            gate: self.gate,
            connectors: RwLock::new(self.connectors),
            models: RwLock::new(self.models),
            room: Room::new(queues.iter().map(|q| q.name())),
            queues,
            tools: crate::tool::Registry::default(),
            #[cfg(any(test, feature = "doubles"))]
            faults: RwLock::default(),
            sealers: Mutex::default(),
            turns: Mutex::default(),
            calls: Mutex::default(),
            call_count: 0.into(),
            bus: Bus::default(),
            control,
            limits: self.limits,
            buckets: Buckets::default(),
            targets: Targets::default(),
            anchor,
            chains: crate::audit::Chains::default(),
            approvals: self.approvals,
            token,
            worker,
            in_flight: watch::channel(0).0,
            closing: watch::channel(false).0,
            closed: false.into(),
        }));
        for tool in self.tools {
            hub.add_tool(tool)?;
        }
        hub.prepare().await?;
        Ok(hub)
    }
}

impl Hub {
    /// The default workspace, and the work that a dead process left behind.
    async fn prepare(&self) -> Result<()> {
        let owner = Principal::User { id: "owner".into() };
        let hub_scope = self.scope_of(WorkspaceId::hub(), owner.clone(), Role::Owner);
        if hub_scope.get::<DirectoryEntry>(DEFAULT_WORKSPACE).await?.is_none() {
            self.make_workspace(&hub_scope, DEFAULT_WORKSPACE).await?;
        }
        let all = crate::store::Query::by_id().limit(10_000);
        for entry in hub_scope.query::<DirectoryEntry>(&all).await? {
            let cx = self.scope_of(entry.body.workspace, owner.clone(), Role::Owner);
            if self.is_seeded() && self.workspace_of(&cx).await?.mode == Mode::Production {
                return Err(Error::new(
                    ErrorKind::Config,
                    "hub.open",
                    "a fixed seed makes ids and tokens predictable: leave it out for a store in production mode",
                ));
            }
            cx.release_orphans().await?;
        }
        Ok(())
    }

    /// Makes a sandbox workspace beside the default one, an organization of its own.
    ///
    /// # Errors
    /// `AlreadyExists` when the slug is taken; `InvalidInput` unless it is 1..40 lower-case letters, digits and `-`.
    pub async fn create_workspace(&self, slug: &str) -> Result<crate::Scope> {
        let operation = "hub.create_workspace";
        check_slug(operation, slug)?;
        let owner = Principal::User { id: "owner".into() };
        let hub_scope = self.scope_of(WorkspaceId::hub(), owner, Role::Owner);
        if self.entry_of(slug).await?.is_some() {
            return Err(Error::new(ErrorKind::AlreadyExists, operation, "this slug is taken"));
        }
        // Chance hangs on the slug, so that two workspaces of a seeded hub differ.
        self.make_workspace(&hub_scope.fork(&["workspace", slug]), slug).await?;
        self.workspace(slug).await
    }

    async fn make_workspace(&self, hub_scope: &crate::Scope, slug: &str) -> Result<()> {
        let workspace = Workspace::sandbox(WorkspaceId::new(hub_scope), slug);
        match self.found(&workspace, hub_scope.label()).await {
            // Another process opened the new store at the same time and made it.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }
}

fn catalogue(parts: &[&'static [Entry]]) -> Result<BTreeMap<&'static str, &'static Entry>> {
    let mut all = BTreeMap::new();
    for entry in parts.iter().flat_map(|p| p.iter()) {
        if all.insert(entry.name, entry).is_some() {
            return Err(Error::new(ErrorKind::Config, "hub.open", "two operations have the same name")
                .with_context("operation", entry.name));
        }
    }
    Ok(all)
}

/// The queues of this program: the declared ones, and that of built-in work.
fn queues(mut declared: Vec<Queue>) -> Result<Vec<Arc<Queue>>> {
    declared.push(Queue::of(Arc::new(crate::schedule::System)));
    let mut names = std::collections::BTreeSet::new();
    for queue in &declared {
        if !names.insert(queue.name()) {
            return Err(Error::new(ErrorKind::Config, "hub.open", "two queues have the same name")
                .with_context("queue", queue.name()));
        }
    }
    Ok(declared.into_iter().map(Arc::new).collect())
}

/// The store of a URL, and where it lives.
async fn open_store(url: &str) -> Result<(SharedStore, Home)> {
    if url == "memory:" {
        #[cfg(all(feature = "testing", feature = "postgres"))]
        if let Some(store) = crate::store::conformance::postgres::instead_of_memory().await? {
            return Ok((store, Home::Memory));
        }
        return Ok((Arc::new(MemoryStore::new()), Home::Memory));
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Ok((open_server(url).await?, Home::Server));
    }
    if let Some((scheme, _)) = url.split_once("://") {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "hub.open",
            "this version keeps records in a file, in a PostgreSQL database or in memory",
        )
        .with_context("scheme", scheme));
    }
    let path = PathBuf::from(url.strip_prefix("sqlite:").unwrap_or(url));
    if path.as_os_str().is_empty() {
        return Err(Error::invalid(
            "hub.open",
            "store",
            "expected a path, sqlite:PATH, postgres://... or memory:",
        ));
    }
    let (store, path) = open_file(path).await?;
    Ok((store, Home::File(path)))
}

#[cfg(feature = "postgres")]
async fn open_server(url: &str) -> Result<SharedStore> {
    Ok(Arc::new(crate::store::postgres::PostgresStore::open(url).await?))
}

#[cfg(not(feature = "postgres"))]
#[allow(clippy::unused_async, reason = "same signature as with the feature")]
async fn open_server(_url: &str) -> Result<SharedStore> {
    Err(Error::new(
        ErrorKind::Unsupported,
        "hub.open",
        "this build has no PostgreSQL store: enable the feature `postgres`",
    ))
}

#[cfg(feature = "sqlite")]
async fn open_file(path: PathBuf) -> Result<(SharedStore, PathBuf)> {
    let store = crate::store::sqlite::SqliteStore::open(&path).await?;
    Ok((Arc::new(store), path))
}

#[cfg(not(feature = "sqlite"))]
#[allow(clippy::unused_async, reason = "same signature as with the feature")]
async fn open_file(_path: PathBuf) -> Result<(SharedStore, PathBuf)> {
    Err(Error::new(
        ErrorKind::Unsupported,
        "hub.open",
        "this build has no file store: enable the feature `sqlite`",
    ))
}

/// True when the root key is the one the store was made with; a new store takes this one.
async fn check_key(store: &SharedStore, key: &RootKey, clock: &dyn Clock) -> Result<bool> {
    let kind = Kind::of::<KeyCheck>();
    let fingerprint = crate::store_hex(&hmac_sha256(key.bytes(), &[b"neonhub-key-check-v1"]));
    loop {
        if let Some(row) = store.get(kind, &WorkspaceId::hub(), "root").await? {
            return Ok(crate::store::Stored::<KeyCheck>::from_row(&row)?.fingerprint == fingerprint);
        }
        let record = KeyCheck { id: "root".into(), fingerprint: fingerprint.clone() };
        let row = Row::of(&record, clock.now(), "system:open")?;
        let mut batch = Batch::new(WorkspaceId::hub(), clock.now());
        batch.writes.push(Write::Put { kind, row, expected: Expected::Absent });
        match store.commit(batch).await {
            Ok(_) => return Ok(true),
            // Another process was first: compare with its key.
            Err(error) if error.code() == "stale_revision" => {}
            Err(error) => return Err(error),
        }
    }
}
