//! From settings to a hub: checks, the store, the key, the default workspace.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, RwLock};

use tokio::sync::watch;

use super::place::{Home, default_key, open_at};
use super::{DEFAULT_WORKSPACE, HubBuilder, Place};
use crate::bus::Bus;
use crate::economy::Ledgers;
use crate::hub::{Control, Hub, HubMode, Inner};
use crate::job::{Queue, Room};
use crate::op::Entry;
use crate::permission::{APP_SHAPE, AppPermission, Permission, Role};
use crate::resilience::{Buckets, Targets};
use crate::scope::Principal;
use crate::store::Kind;
use crate::telemetry::Telemetry;
use crate::tenancy::{DirectoryEntry, Mode, Workspace, WorkspaceId, check_slug};
use crate::{Error, ErrorKind, Result, Seed, vault};

impl HubBuilder {
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
        if let Some(setting) = self.plain_secret {
            return refuse(
                "production takes no secret in plain text from its settings: use NEONHUB_KEY, DATABASE_URL or a key file, \
                 or set allow_plain_secrets",
            )
            .map_err(|error| error.with_context("setting", setting));
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
    /// that cannot be read, two operations of one name, a word under `app:` of another shape, declared twice or needed
    /// and not declared, or a fixed seed on a store in production mode;
    /// `Corrupted` for a file that is no store.
    pub async fn build(self) -> Result<Hub> {
        let catalogue = catalogue(&self.catalogue)?;
        self.check_mode()?;
        let permissions = permissions(self.permissions)?;
        crate::telemetry::guard_panics();
        let queues = queues(self.queues)?;
        for entry in catalogue.values() {
            entry.needs.iter().try_for_each(|word| declared(&permissions, *word, "operation", entry.name))?;
        }
        for queue in &queues {
            declared(&permissions, queue.needs, "queue", queue.name())?;
        }
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
        let control = Control::new(store.watch());
        let hub = Hub(Arc::new(Inner {
            store,
            clock: self.clock,
            seed,
            seeded: self.seed.is_some(),
            vault,
            telemetry: Arc::new(Telemetry::new(self.genai_names)?),
            error_sinks: self.error_sinks,
            location,
            beside: home.beside(),
            catalogue,
            permissions,
            kinds,
            family,
            services: RwLock::new(self.services),
            gate: self.gate,
            connectors: RwLock::new(self.connectors),
            models: RwLock::new(self.models),
            model_added: AtomicBool::new(false),
            cassette: RwLock::default(),
            room: Room::new(queues.iter().map(|q| q.name())),
            queues,
            tools: crate::tool::Registry::default(),
            #[cfg(feature = "mcp")]
            links: crate::mcp::Links::default(),
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
            audit_hold: self.audit_hold,
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
            check_sources: self.check_sources,
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
        for workspace in self.workspaces().await? {
            let cx = self.scope_of(workspace, owner.clone(), Role::Owner);
            if self.is_seeded() && self.workspace_of(&cx).await?.mode == Mode::Production {
                return Err(Error::new(
                    ErrorKind::Config,
                    "hub.open",
                    "a fixed seed makes ids and tokens predictable: leave it out for a store in production mode",
                ));
            }
            cx.release_orphans().await?;
        }
        if let Err(error) = self.keep_mark().await {
            // A store that takes no writes now can still be read.
            tracing::warn!(code = error.code(), "the store was not marked: the next open tries again");
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
        // They are about the whole store: one workspace has them.
        let beside = match slug {
            DEFAULT_WORKSPACE => self.first_records(hub_scope, &workspace).await?,
            _ => Vec::new(),
        };
        match self.found(&workspace, beside, hub_scope.label()).await {
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

/// The rights a host declared, by word.
fn permissions(all: Vec<(String, String)>) -> Result<BTreeMap<AppPermission, String>> {
    let refuse = |word: &str, message: String| {
        Err(Error::new(ErrorKind::Config, "hub.open", message).with_context("permission", word))
    };
    let mut declared = BTreeMap::new();
    for (word, meaning) in all {
        let Some(parsed) = AppPermission::parse(&word) else {
            return refuse(&word, format!("permissions: expected {APP_SHAPE}"));
        };
        if meaning.trim().is_empty() {
            return refuse(
                &word,
                "permissions: expected a sentence on what the word lets a principal do".into(),
            );
        }
        if declared.insert(parsed, meaning).is_some() {
            return refuse(&word, "permissions: this word is declared twice".into());
        }
    }
    Ok(declared)
}

/// What an operation, queue or tool of the host needs must be declared.
fn declared(
    permissions: &BTreeMap<AppPermission, String>,
    word: Permission,
    what: &'static str,
    name: &str,
) -> Result<()> {
    match word {
        Permission::App(app) if !permissions.contains_key(&app) => {
            let message = "needs: this word is not declared: declare it with HubBuilder::permission or the setting \
                           permissions";
            Err(Error::new(ErrorKind::Config, "hub.open", message)
                .with_context("permission", app.word())
                .with_context(what, name))
        }
        _ => Ok(()),
    }
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
