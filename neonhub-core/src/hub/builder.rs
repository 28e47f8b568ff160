//! Putting a hub together.

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, RwLock};

use tokio::sync::watch;

use super::lifecycle::HubMode;
use super::{Hub, Inner};
use crate::audit::Anchor;
use crate::bus::{Bus, Subscriber};
use crate::connector::{Connector, Gate};
use crate::economy::Ledgers;
use crate::health::{Health, Recipe};
use crate::job::{Handler, Queue, Room};
use crate::llm::Llm;
use crate::op::Entry;
use crate::permission::Role;
use crate::policy::Approvals;
use crate::resilience::{Buckets, LimitProfile, Targets};
use crate::run::Agent;
use crate::scope::Principal;
use crate::seal::RootKey;
use crate::store::{Kind, MemoryStore, SharedStore};
use crate::telemetry::{ErrorSink, Telemetry};
use crate::tenancy::{DirectoryEntry, Mode, Rights, Workspace, WorkspaceId, check_slug};
use crate::tool::Tool;
use crate::vault::{self, EnvKey, FileKey, FixedKey, KeyProvider, SealedColumn};
use crate::{Clock, Error, ErrorKind, Result, Seed, SystemClock};

/// Slug of the workspace that a new store starts with.
pub(super) const DEFAULT_WORKSPACE: &str = "default";

/// Name of the variable with the root key, 64 hex digits: the one that is read without being asked to.
pub(super) const KEY_VARIABLE: &str = "NEONHUB_KEY";

/// Where records are kept.
enum Place {
    Url(String),
    Store(SharedStore),
}

/// Where a store turned out to live.
pub(super) enum Home {
    Memory,
    File(PathBuf),
    /// The path that names the store on this machine.
    #[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "this build opens no server"))]
    Server(PathBuf),
}

impl Home {
    fn location(&self) -> Option<PathBuf> {
        match self {
            Home::File(path) => Some(path.clone()),
            Home::Memory | Home::Server(_) => None,
        }
    }

    fn beside(self) -> Option<PathBuf> {
        match self {
            Home::File(path) | Home::Server(path) => Some(path),
            Home::Memory => None,
        }
    }
}

/// Sets up a hub. Without settings: a store in memory, the clock of the machine, chance from the system.
#[must_use]
pub struct HubBuilder {
    place: Place,
    clock: Arc<dyn Clock>,
    seed: Option<u64>,
    key_provider: Option<Arc<dyn KeyProvider>>,
    sealed: Vec<SealedColumn>,
    error_sinks: Vec<Arc<dyn ErrorSink>>,
    subscribers: Vec<Arc<dyn Subscriber>>,
    rights: Option<Arc<dyn Rights>>,
    checks: Vec<Arc<dyn Health>>,
    recipes: Vec<Arc<dyn Recipe>>,
    mode: HubMode,
    allows_memory: bool,
    pub(super) mocks_connectors: bool,
    catalogue: Vec<&'static [Entry]>,
    kinds: Vec<&'static [Kind]>,
    services: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
    gate: Option<Arc<dyn Gate>>,
    connectors: Vec<Arc<dyn Connector>>,
    models: Vec<Arc<dyn Llm>>,
    limits: LimitProfile,
    anchor: Option<Arc<dyn Anchor>>,
    approvals: Arc<dyn Approvals>,
    queues: Vec<Queue>,
    tools: Vec<Arc<dyn Tool>>,
    agents: Vec<Arc<dyn Agent>>,
}

impl std::fmt::Debug for HubBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HubBuilder").finish_non_exhaustive()
    }
}

impl HubBuilder {
    pub(super) fn new() -> Self {
        HubBuilder {
            place: Place::Url("memory:".into()),
            clock: Arc::new(SystemClock),
            seed: None,
            key_provider: None,
            sealed: vault::COLUMNS.to_vec(),
            error_sinks: Vec::new(),
            subscribers: Vec::new(),
            rights: None,
            checks: Vec::new(),
            recipes: crate::health::builtin_recipes(),
            mode: HubMode::default(),
            allows_memory: false,
            mocks_connectors: false,
            catalogue: vec![
                super::CATALOGUE,
                crate::op::CATALOGUE,
                crate::policy::ops::CATALOGUE,
                crate::approval::CATALOGUE,
                crate::resilience::ops::CATALOGUE,
                crate::audit::CATALOGUE,
                crate::tenancy::CATALOGUE,
                crate::economy::CATALOGUE,
                crate::llm::CATALOGUE,
                crate::prompt::CATALOGUE,
                crate::store::ops::CATALOGUE,
                crate::run::CATALOGUE,
                crate::job::ops::CATALOGUE,
                crate::schedule::CATALOGUE,
                crate::tool::CATALOGUE,
                vault::CATALOGUE,
                crate::telemetry::CATALOGUE,
                crate::bus::CATALOGUE,
                crate::health::CATALOGUE,
            ],
            kinds: vec![
                super::KINDS,
                crate::economy::KINDS,
                crate::llm::KINDS,
                crate::policy::KINDS,
                crate::approval::KINDS,
                crate::resilience::ops::KINDS,
                crate::tenancy::KINDS,
                crate::run::KINDS,
                crate::job::KINDS,
                crate::schedule::KINDS,
                crate::tool::KINDS,
                vault::KINDS,
                crate::bus::KINDS,
                crate::health::KINDS,
                crate::store::KINDS,
            ],
            services: HashMap::new(),
            gate: None,
            connectors: Vec::new(),
            models: Vec::new(),
            queues: Vec::new(),
            tools: Vec::new(),
            agents: Vec::new(),
            limits: LimitProfile::default(),
            anchor: None,
            approvals: Arc::new(crate::approval::Desk),
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

    /// Who is asked when a policy wants a person's yes. Default: [`crate::approval::Desk`], whose questions are answered
    /// by `approvals.approve` and its like.
    pub fn approvals(mut self, approvals: Arc<dyn Approvals>) -> Self {
        self.approvals = approvals;
        self
    }

    /// Where records are kept: a path, `sqlite:PATH`, `sled:PATH`, `postgres://USER:PASSWORD@HOST/DATABASE` or
    /// `memory:`. Default `memory:`.
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

    /// The root key. Default: the variable `NEONHUB_KEY`, else a file of mode 0600 beside the store, made on first
    /// open; a new key in memory. A store on a server has no file beside it: there the key must be given.
    pub fn root_key(self, key: RootKey) -> Self {
        self.key_provider(Arc::new(FixedKey(key)))
    }

    /// Where the root key comes from: a file, the environment, a passphrase, a key service.
    pub fn key_provider(mut self, provider: Arc<dyn KeyProvider>) -> Self {
        self.key_provider = Some(provider);
        self
    }

    /// Reports faults of ours, redacted, to a crash service of the host. Default: none.
    pub fn error_sink(mut self, sink: Arc<dyn ErrorSink>) -> Self {
        self.error_sinks.push(sink);
        self
    }

    /// Names the sealed values of record kinds, so that a rotation of the data key finds them.
    pub fn sealed(mut self, columns: &'static [SealedColumn]) -> Self {
        self.sealed.extend(columns);
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

    /// Adds an agent that schedules start by its name. Two agents of one name are refused.
    pub fn agent(mut self, agent: Arc<dyn Agent>) -> Self {
        self.agents.push(agent);
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

    /// Adds a subscriber of events.
    pub fn subscriber(mut self, subscriber: Arc<dyn Subscriber>) -> Self {
        self.subscribers.push(subscriber);
        self
    }

    /// Adds a part that can tell how it is.
    pub fn health(mut self, check: Arc<dyn Health>) -> Self {
        self.checks.push(check);
        self
    }

    /// Adds a way to heal a part.
    pub fn recipe(mut self, recipe: Arc<dyn Recipe>) -> Self {
        self.recipes.push(recipe);
        self
    }

    /// Tells which rights a principal of the host has now. Default: those its scope was made with.
    pub fn rights(mut self, rights: Arc<dyn Rights>) -> Self {
        self.rights = Some(rights);
        self
    }

    /// What the process is for. In production a store in memory is refused, and new workspaces are for real people.
    /// Default: development.
    pub fn mode(mut self, mode: HubMode) -> Self {
        self.mode = mode;
        self
    }

    /// Lets a store in memory through in production: nothing outlives the process.
    pub fn allow_memory(mut self) -> Self {
        self.allows_memory = true;
        self
    }

    /// Uses connectors that reach nobody alone: the outbox, and recorded exchanges.
    pub fn mock_connectors(mut self) -> Self {
        self.mocks_connectors = true;
        self
    }

    fn check_mode(&self) -> Result<()> {
        let is_memory = matches!(&self.place, Place::Url(url) if url == "memory:");
        let refuse = |message: &'static str| Err(Error::new(ErrorKind::Config, "hub.open", message));
        if self.mode != HubMode::Production {
            return Ok(());
        }
        if is_memory && !self.allows_memory {
            return refuse(
                "production wants a store that outlives the process: give a path, or allow_memory",
            );
        }
        if self.seed.is_some() {
            return refuse("a fixed seed makes ids and tokens predictable: leave it out in production");
        }
        Ok(())
    }

    /// Opens the store and assembles the hub.
    ///
    /// # Errors
    /// `InvalidInput` for an unknown store URL; `Config` for a missing folder, a file of a newer version, a key
    /// that cannot be read, two operations of one name, or a fixed seed on a store in production mode;
    /// `Corrupted` for a file that is no store.
    pub async fn build(self) -> Result<Hub> {
        let catalogue = catalogue(&self.catalogue)?;
        self.check_mode()?;
        let queues = queues(self.queues)?;
        check_names("subscriber", self.subscribers.iter().map(|s| s.name()).collect())?;
        check_names("agent", self.agents.iter().map(|a| a.name()).collect())?;
        let opened_at = self.clock.now();
        let kinds: Vec<Kind> = self.kinds.iter().flat_map(|k| k.iter().copied()).collect();
        let (store, home) = match self.place {
            Place::Store(store) => (store, Home::Memory),
            Place::Url(url) => open_at(&url).await?,
        };
        let family = crate::store::Family::of(&kinds);
        family.check()?;
        store.declare(&kinds).await?;
        let provider = match self.key_provider {
            Some(provider) => provider,
            None => default_key(&home)?,
        };
        let vault = vault::open(&store, provider, self.sealed, self.clock.as_ref()).await?;
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
        let location = home.location();
        let anchor = self.anchor.unwrap_or_else(|| crate::audit::anchor_beside(location.as_deref()));
        let control = super::Control::new(store.watch());
        let hub = Hub(Arc::new(Inner {
            store,
            clock: self.clock,
            seed,
            seeded: self.seed.is_some(),
            vault,
            telemetry: Arc::new(Telemetry::new()?),
            error_sinks: self.error_sinks,
            location,
            beside: home.beside(),
            catalogue,
            kinds,
            family,
            services: RwLock::new(self.services),
            gate: self.gate,
            connectors: RwLock::new(self.connectors),
            models: RwLock::new(self.models),
            model_added: AtomicBool::new(false),
            room: Room::new(queues.iter().map(|q| q.name())),
            queues,
            tools: crate::tool::Registry::default(),
            agents: self.agents,
            #[cfg(any(test, feature = "doubles"))]
            faults: RwLock::default(),
            turns: Mutex::default(),
            calls: Mutex::default(),
            call_count: 0.into(),
            bus: Bus::default(),
            control,
            limits: self.limits,
            buckets: Buckets::default(),
            ledgers: Ledgers::default(),
            targets: Targets::default(),
            anchor,
            chains: crate::audit::Chains::default(),
            approvals: self.approvals,
            token,
            worker,
            in_flight: watch::channel(0).0,
            closing: watch::channel(false).0,
            grace_over: watch::channel(false).0,
            closed: watch::channel(false).0,
            paused: watch::channel(false).0,
            shutting: tokio::sync::Mutex::default(),
            subscribers: self.subscribers,
            rights: self.rights,
            checks: RwLock::new(self.checks),
            recipes: self.recipes,
            opened_at,
            mode: self.mode,
            mocks_connectors: self.mocks_connectors,
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
        self.read_keys(&WorkspaceId::hub()).await?;
        let hub_scope = self.scope_of(WorkspaceId::hub(), owner.clone(), Role::Owner);
        if hub_scope.get::<DirectoryEntry>(DEFAULT_WORKSPACE).await?.is_none() {
            self.make_workspace(&hub_scope, DEFAULT_WORKSPACE).await?;
        }
        let all = crate::store::Query::by_id().limit(10_000);
        for entry in hub_scope.query::<DirectoryEntry>(&all).await? {
            self.read_keys(&entry.body.workspace).await?;
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
        self.keys_are_wrapped().await
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
        let mut workspace = Workspace::sandbox(WorkspaceId::new(hub_scope), slug);
        if self.mode() == HubMode::Production {
            workspace.mode = Mode::Production;
        }
        match self.found(&workspace, hub_scope.label()).await {
            // Another process opened the new store at the same time and made it.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }
}

fn check_names(what: &'static str, mut names: Vec<&str>) -> Result<()> {
    names.sort_unstable();
    match names.windows(2).find(|pair| pair.first() == pair.last()) {
        Some(pair) => {
            Err(Error::new(ErrorKind::Config, "hub.open", format!("two parts have the same name: {what}"))
                .with_context(what, pair.first().copied().unwrap_or_default()))
        }
        None => Ok(()),
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

/// The root key's provider when none is given.
fn default_key(home: &Home) -> Result<Arc<dyn KeyProvider>> {
    if std::env::var_os(KEY_VARIABLE).is_some() {
        return Ok(Arc::new(EnvKey::new(KEY_VARIABLE)));
    }
    match home {
        Home::Memory => Ok(Arc::new(FixedKey(RootKey::generate("memory")?))),
        Home::File(store) => Ok(Arc::new(FileKey::beside(store))),
        Home::Server(_) => Err(Error::new(
            ErrorKind::Config,
            "hub.open",
            format!(
                "a store on a server needs its root key: set {KEY_VARIABLE} to 64 hex digits, the same in every process"
            ),
        )),
    }
}

/// The store of a URL, and where it lives.
pub(super) async fn open_at(url: &str) -> Result<(SharedStore, Home)> {
    if url == "memory:" {
        #[cfg(all(feature = "testing", feature = "postgres"))]
        if let Some(store) = crate::store::conformance::postgres::instead_of_memory().await? {
            return Ok((store, Home::Memory));
        }
        return Ok((Arc::new(MemoryStore::new()), Home::Memory));
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return open_server(url).await;
    }
    if let Some((scheme, _)) = url.split_once("://") {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "hub.open",
            "this version keeps records in a file, in a PostgreSQL database or in memory",
        )
        .with_context("scheme", scheme));
    }
    if let Some(folder) = url.strip_prefix("sled:") {
        return open_folder(PathBuf::from(folder)).await;
    }
    let path = PathBuf::from(url.strip_prefix("sqlite:").unwrap_or(url));
    if path.as_os_str().is_empty() {
        return Err(Error::invalid(
            "hub.open",
            "store",
            "expected a path, sqlite:PATH, sled:PATH, postgres://... or memory:",
        ));
    }
    let (store, path) = open_file(path).await?;
    Ok((store, Home::File(path)))
}

#[cfg(feature = "postgres")]
async fn open_server(url: &str) -> Result<(SharedStore, Home)> {
    let options = crate::store::postgres::PostgresOptions::from_url(url)?;
    let home = Home::Server(options.beside());
    Ok((Arc::new(crate::store::postgres::PostgresStore::with_options(options).await?), home))
}

#[cfg(not(feature = "postgres"))]
#[allow(clippy::unused_async, reason = "same signature as with the feature")]
async fn open_server(_url: &str) -> Result<(SharedStore, Home)> {
    Err(Error::new(
        ErrorKind::Unsupported,
        "hub.open",
        "this build has no PostgreSQL store: enable the feature `postgres`",
    ))
}

#[cfg(feature = "sled")]
async fn open_folder(path: PathBuf) -> Result<(SharedStore, Home)> {
    if path.as_os_str().is_empty() {
        return Err(Error::invalid("hub.open", "store", "expected sled:PATH"));
    }
    let store = crate::store::sled::SledStore::open(&path).await?;
    Ok((Arc::new(store), Home::File(path)))
}

#[cfg(not(feature = "sled"))]
#[allow(clippy::unused_async, reason = "same signature as with the feature")]
async fn open_folder(_path: PathBuf) -> Result<(SharedStore, Home)> {
    Err(Error::new(
        ErrorKind::Unsupported,
        "hub.open",
        "this build has no sled store: enable the feature `sled`",
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
