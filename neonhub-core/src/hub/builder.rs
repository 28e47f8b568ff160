//! Putting a hub together.

mod build;
mod place;

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;

use super::lifecycle::HubMode;
use crate::audit::{Anchor, AuditHold};
use crate::bus::Subscriber;
use crate::connector::{Connector, Gate};
use crate::health::{Health, HealthSource, Recipe};
use crate::job::{Handler, Queue};
use crate::llm::Llm;
use crate::op::Entry;
use crate::policy::Approvals;
use crate::resilience::LimitProfile;
use crate::run::Agent;
use crate::seal::RootKey;
use crate::store::{Kind, SharedStore};
use crate::telemetry::{ErrorSink, GenAiNames};
use crate::tenancy::Rights;
use crate::tool::Tool;
use crate::vault::{self, FixedKey, KeyProvider, SealedColumn};
use crate::{Clock, SystemClock};

pub(super) use place::open_at;

/// Slug of the workspace that a new store starts with.
pub(crate) const DEFAULT_WORKSPACE: &str = "default";

/// Name of the variable with the root key, 64 hex digits: the one that is read without being asked to.
pub(super) const KEY_VARIABLE: &str = "NEONHUB_KEY";

/// Where records are kept.
enum Place {
    Url(String),
    Store(SharedStore),
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
    genai_names: GenAiNames,
    subscribers: Vec<Arc<dyn Subscriber>>,
    rights: Option<Arc<dyn Rights>>,
    checks: Vec<Arc<dyn Health>>,
    check_sources: Vec<Arc<dyn HealthSource>>,
    recipes: Vec<Arc<dyn Recipe>>,
    mode: HubMode,
    allows_memory: bool,
    /// The setting that a secret was read from in plain text, unless that was allowed.
    plain_secret: Option<&'static str>,
    pub(super) mocks_connectors: bool,
    catalogue: Vec<&'static [Entry]>,
    kinds: Vec<&'static [Kind]>,
    services: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
    gate: Option<Arc<dyn Gate>>,
    connectors: Vec<Arc<dyn Connector>>,
    models: Vec<Arc<dyn Llm>>,
    limits: LimitProfile,
    permissions: Vec<(String, String)>,
    anchor: Option<Arc<dyn Anchor>>,
    audit_hold: Option<Arc<dyn AuditHold>>,
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
            genai_names: GenAiNames::default(),
            subscribers: Vec::new(),
            rights: None,
            checks: Vec::new(),
            check_sources: Vec::new(),
            recipes: crate::health::builtin_recipes(),
            mode: HubMode::default(),
            allows_memory: false,
            plain_secret: None,
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
                crate::mcp::CATALOGUE,
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
                crate::mcp::KINDS,
                crate::prompt::KINDS,
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
            permissions: Vec::new(),
            anchor: None,
            audit_hold: None,
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

    /// Tells of open privacy and legal cases, which keep the audit log whole for their time. Default: none.
    pub fn audit_hold(mut self, hold: Arc<dyn AuditHold>) -> Self {
        self.audit_hold = Some(hold);
        self
    }

    /// Who is asked when a policy wants a person's yes. Default: [`crate::approval::Desk`], whose questions are answered
    /// by `approvals.approve` and its like.
    pub fn approvals(mut self, approvals: Arc<dyn Approvals>) -> Self {
        self.approvals = approvals;
        self
    }

    /// Where records are kept: a path, `sqlite:PATH`, `sled:PATH`, `postgres://USER:PASSWORD@HOST/DATABASE` or
    /// `memory:`. Default `memory:`. A file on a network file system is refused, unless `?network_fs=allow` stands behind
    /// `sqlite:PATH`.
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

    /// Which names of OpenTelemetry's conventions for generative AI the metrics have. Default: those of this release.
    pub fn genai_names(mut self, names: GenAiNames) -> Self {
        self.genai_names = names;
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

    /// Declares a right of the host's own: a word such as `app:orders.refund` ([`AppPermission`](crate::AppPermission)
    /// has the shape), and one sentence on what it lets a principal do. Owners and admins hold it, custom roles and keys
    /// may carry it, and operations, queues and tools of the host may need it ([`Permission::app`](crate::Permission::app)).
    /// A word that nobody declared is refused wherever one is named.
    pub fn permission(mut self, word: impl Into<String>, meaning: impl Into<String>) -> Self {
        self.permissions.push((word.into(), meaning.into()));
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

    /// Adds checks of parts that each workspace has of its own.
    pub fn health_source(mut self, source: Arc<dyn HealthSource>) -> Self {
        self.check_sources.push(source);
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

    /// Notes that a setting held a secret in plain text.
    pub(super) fn holds_plain_secret(mut self, setting: &'static str) -> Self {
        self.plain_secret = Some(setting);
        self
    }

    /// Uses connectors that reach nobody alone: the outbox, and recorded exchanges.
    pub fn mock_connectors(mut self) -> Self {
        self.mocks_connectors = true;
        self
    }
}
