//! The Scope: who calls, in which workspace, with which clock, chance and deadline.

mod cancel;
mod principal;
mod rights;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

pub use cancel::CancelToken;
pub(crate) use cancel::cancelled;
pub(crate) use principal::Authority;
pub use principal::Principal;

use crate::bus::Causation;
use crate::connector::EffectId;
use crate::economy::Gathered;
use crate::hub::Hub;
use crate::op::Unit;
use crate::permission::{Permission, PermissionSet, Role};
use crate::seal::Sealer;
use crate::store::{Consistency, Store};
use crate::telemetry::TraceContext;
use crate::tenancy::WorkspaceId;
use crate::{Error, ErrorKind, Result, Rng, Seed, Timestamp};

/// Largest file that [`Scope::put_blob`] takes, in bytes: as much as a document may have.
pub(crate) const BLOB_CAP: usize = 100 * 1024 * 1024;
/// The operation of scopes outside of operations.
const HOST: &str = "host";

/// How a scope writes.
#[derive(Clone)]
pub(crate) enum Writing {
    /// Outside any operation: nothing can be staged.
    None,
    /// Inside an operation: the door commits once at the end.
    Operation(Arc<Unit>),
    /// Inside a job: the handler commits as it goes with [`Scope::flush`].
    Job(Arc<Unit>),
}

/// Everything a call carries. Cheap to clone; passed to every operation and rule that touches records.
#[derive(Clone)]
pub struct Scope(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) hub: Hub,
    pub(crate) workspace: WorkspaceId,
    pub(crate) principal: Principal,
    pub(crate) label: Arc<str>,
    pub(crate) permissions: PermissionSet,
    /// What the scope may do at most, whatever its authority holds now.
    pub(crate) ceiling: PermissionSet,
    pub(crate) roles: Arc<[String]>,
    pub(crate) authority: Authority,
    pub(crate) rate: Option<crate::resilience::Rate>,
    pub(crate) deadline: Option<Timestamp>,
    pub(crate) ip_hash: Option<Arc<str>>,
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) seed: Seed,
    /// Shared by scopes of one seed: two of them never draw the same.
    pub(crate) rng: Arc<Mutex<Rng>>,
    pub(crate) operation: &'static str,
    pub(crate) correlation: Arc<str>,
    pub(crate) cancel: CancelToken,
    pub(crate) writing: Writing,
    /// How fresh its reads must be.
    pub(crate) consistency: Consistency,
    /// The caller's trace.
    pub(crate) trace: Option<TraceContext>,
    /// The event that is being handled.
    pub(crate) causation: Option<Arc<Causation>>,
    /// Where the counts of models go that are written with an answer.
    pub(crate) gathered: Option<Arc<Gathered>>,
    /// The call of a run that is under way.
    pub(crate) effect: Option<EffectId>,
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("workspace", &self.0.workspace)
            .field("principal", &self.0.label)
            .field("operation", &self.0.operation)
            .finish_non_exhaustive()
    }
}

impl Scope {
    pub(crate) fn new(
        hub: Hub,
        workspace: WorkspaceId,
        principal: Principal,
        role: Role,
        seed: Seed,
    ) -> Self {
        let permissions = role.permissions();
        let sealer = hub.sealer(&workspace);
        let label = principal.label().into();
        let correlation =
            crate::id::new_id("cor", hub.now(), &mut seed.split(&[b"correlation"]).rng()).into();
        Scope(Arc::new(Inner {
            hub,
            workspace,
            principal,
            label,
            ceiling: permissions.clone(),
            permissions,
            roles: Arc::new([role.word().to_owned()]),
            authority: Authority::Host,
            rate: None,
            deadline: None,
            ip_hash: None,
            sealer,
            rng: Arc::new(Mutex::new(seed.rng())),
            seed,
            operation: HOST,
            correlation,
            cancel: CancelToken::new(),
            writing: Writing::None,
            consistency: Consistency::Strong,
            trace: None,
            causation: None,
            gathered: None,
            effect: None,
        }))
    }

    fn with(&self, change: impl FnOnce(&mut Inner)) -> Scope {
        let old = &self.0;
        let mut inner = Inner {
            hub: old.hub.clone(),
            workspace: old.workspace.clone(),
            principal: old.principal.clone(),
            label: Arc::clone(&old.label),
            permissions: old.permissions.clone(),
            ceiling: old.ceiling.clone(),
            roles: Arc::clone(&old.roles),
            authority: old.authority.clone(),
            rate: old.rate,
            deadline: old.deadline,
            ip_hash: old.ip_hash.clone(),
            sealer: Arc::clone(&old.sealer),
            seed: old.seed,
            rng: Arc::clone(&old.rng),
            operation: old.operation,
            correlation: Arc::clone(&old.correlation),
            cancel: old.cancel.clone(),
            writing: old.writing.clone(),
            consistency: old.consistency,
            trace: old.trace.clone(),
            causation: old.causation.clone(),
            gathered: old.gathered.clone(),
            effect: old.effect.clone(),
        };
        change(&mut inner);
        if inner.seed != old.seed {
            inner.rng = Arc::new(Mutex::new(inner.seed.rng()));
        }
        Scope(Arc::new(inner))
    }

    pub(crate) fn inside(
        &self,
        operation: &'static str,
        seed: Seed,
        writing: Writing,
        cancel: CancelToken,
    ) -> Scope {
        self.with(|inner| {
            inner.operation = operation;
            inner.seed = seed;
            inner.writing = writing;
            inner.cancel = cancel;
        })
    }

    /// The same with an instant it must end at.
    pub(crate) fn until(&self, deadline: Timestamp) -> Scope {
        self.with(|inner| inner.deadline = Some(deadline))
    }

    /// A scope with its own chance, drawn from this one and the labels: same parent and labels, same ids and
    /// draws, whatever runs beside it. Staged writes go to the same unit of work.
    #[must_use]
    pub fn fork(&self, labels: &[&str]) -> Scope {
        let labels: Vec<&[u8]> = labels.iter().map(|l| l.as_bytes()).collect();
        self.with(|inner| inner.seed = inner.seed.split(&labels))
    }

    /// A scope whose reads, and those of operations that only read, need be as fresh as this. See [`Consistency`] for what
    /// it leaves alone.
    #[must_use]
    pub fn with_consistency(&self, consistency: Consistency) -> Scope {
        if self.0.consistency == consistency {
            return self.clone();
        }
        self.with(|inner| inner.consistency = consistency)
    }

    /// This scope outside the running operation: calls made through it commit on their own.
    #[must_use]
    pub fn outside(&self) -> Scope {
        self.with(|inner| inner.writing = Writing::None)
    }

    /// This scope as a host would hold it: calls through it are calls from outside.
    pub(crate) fn as_host(&self) -> Scope {
        self.with(|inner| {
            inner.writing = Writing::None;
            inner.operation = HOST;
        })
    }

    /// True outside of operations, jobs and runs.
    pub(crate) fn is_host(&self) -> bool {
        self.0.operation == HOST
    }

    /// This scope with the address the call came from, for the audit log. Only a keyed hash of it is kept.
    #[must_use]
    pub fn from_address(&self, address: &str) -> Scope {
        let tag = self.sealer().blind("audit.ip", address);
        let hash = crate::store_hex(tag.get(..16).unwrap_or_default());
        self.with(|inner| inner.ip_hash = Some(hash.into()))
    }

    pub(crate) fn ip_hash(&self) -> Option<&str> {
        self.0.ip_hash.as_deref()
    }

    /// The instant the running operation must end at; none outside of operations.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        self.0.deadline
    }

    /// This scope as a part of what another call began.
    pub(crate) fn correlated(&self, correlation: &str) -> Scope {
        self.with(|inner| inner.correlation = correlation.into())
    }

    /// A scope that stops when `token` is cancelled.
    #[must_use]
    pub fn with_cancel(&self, token: CancelToken) -> Scope {
        self.with(|inner| inner.cancel = token)
    }

    /// A scope inside a trace of the caller: runs, spans and outgoing calls join it.
    #[must_use]
    pub fn with_trace(&self, context: TraceContext) -> Scope {
        self.with(|inner| inner.trace = Some(context))
    }

    /// A scope whose events carry their cause.
    pub(crate) fn caused_by(&self, cause: Option<Causation>, correlation: Option<&str>) -> Scope {
        self.with(|inner| {
            inner.causation = cause.map(Arc::new);
            if let Some(word) = correlation {
                inner.correlation = word.into();
            }
        })
    }

    /// A scope whose counts of models are a part of another commit.
    pub(crate) fn gathering(&self, gathered: &Arc<Gathered>) -> Scope {
        self.with(|inner| inner.gathered = Some(Arc::clone(gathered)))
    }

    pub(crate) fn gathered(&self) -> Option<&Gathered> {
        self.0.gathered.as_deref()
    }

    /// A scope of one call of a run.
    pub(crate) fn of_effect(&self, effect: &EffectId) -> Scope {
        self.with(|inner| inner.effect = Some(effect.clone()))
    }

    /// The name of the call of a run that is under way, the same each time it is made: give it to a service as idempotency key
    /// or marker. None outside of runs.
    #[must_use]
    pub fn effect(&self) -> Option<&EffectId> {
        self.0.effect.as_ref()
    }

    /// A scope of the runtime's own work that stages and flushes by itself.
    pub(crate) fn staging(&self, operation: &'static str, label: &str) -> Scope {
        let fork = self.fork(&[operation, label, &self.now().as_millis().to_string()]);
        let writing = Writing::Job(Arc::new(Unit::default()));
        fork.inside(operation, fork.seed(), writing, self.cancel_token().clone())
    }

    /// The hub this scope belongs to.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.0.hub
    }

    /// The workspace of every record this scope reads and writes.
    #[must_use]
    pub fn workspace(&self) -> &WorkspaceId {
        &self.0.workspace
    }

    /// Who acts.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.0.principal
    }

    /// The principal in short form, as kept in `created_by`.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.0.label
    }

    /// Name of the running operation, or `host`.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// The word that joins everything one outer call caused.
    #[must_use]
    pub fn correlation(&self) -> &str {
        &self.0.correlation
    }

    /// The current instant of the hub's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.0.hub.now()
    }

    /// A new id with this prefix.
    #[must_use]
    pub fn new_id(&self, prefix: &str) -> String {
        let at = self.now();
        self.with_rng(|rng| crate::id::new_id(prefix, at, rng))
    }

    /// Draws from the scope's chance.
    pub fn with_rng<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        draw(&mut self.0.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The seed of this scope, to be split for work that keeps its own generators.
    #[must_use]
    pub fn seed(&self) -> Seed {
        self.0.seed
    }

    /// Seals, opens and blinds values of this workspace.
    #[must_use]
    pub fn sealer(&self) -> &Sealer {
        &self.0.sealer
    }

    /// The store below. Prefer the typed reads of the scope, which also see what was staged.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        self.0.hub.store()
    }

    /// Keeps a file in the store, for operations that take a `blob`: calls by name carry up to 1 MiB. Gives its SHA-256
    /// in hex. Storing it again costs nothing; a file that no record comes to name is swept by `knowledge.compact`.
    ///
    /// # Errors
    /// `PermissionDenied` without `write:content`; `InvalidInput` for no bytes or over 100 MiB.
    pub async fn put_blob(&self, bytes: &[u8]) -> Result<String> {
        const OPERATION: &str = "scope.put_blob";
        let _call = self.0.hub.enter(OPERATION)?;
        self.require(Permission::WriteContent).map_err(|error| error.for_operation(OPERATION))?;
        if bytes.is_empty() || bytes.len() > BLOB_CAP {
            return Err(Error::invalid(OPERATION, "bytes", "expected 1 byte to 100 MiB"));
        }
        self.store().blob_put(bytes).await
    }

    /// Cancelled when the caller gives up or the hub closes.
    #[must_use]
    pub fn cancel_token(&self) -> &CancelToken {
        &self.0.cancel
    }

    /// A service that a crate above core put into the hub.
    ///
    /// # Errors
    /// `Config` when it was not installed.
    pub fn service<T: Send + Sync + 'static>(&self) -> Result<Arc<T>> {
        self.0.hub.service::<T>().ok_or_else(|| {
            Error::new(ErrorKind::Config, self.0.operation, "a service this operation needs is not installed")
                .with_context("service", std::any::type_name::<T>())
        })
    }
}
