//! The parts of a hub, for the rest of the runtime.

use std::sync::Arc;

use super::{Control, Hub};
use crate::audit::Anchor;
use crate::bus::Bus;
use crate::economy::Ledgers;
use crate::permission::Role;
use crate::policy::Approvals;
use crate::resilience::{Buckets, LimitProfile, Targets};
use crate::scope::{Principal, Scope};
use crate::seal::Sealer;
use crate::store::SharedStore;
use crate::telemetry::{ErrorReport, Telemetry};
use crate::tenancy::WorkspaceId;
use crate::vault::Vault;
use crate::{Clock, Error};

impl Hub {
    pub(crate) fn token(&self) -> [u8; 16] {
        self.0.token
    }

    pub(crate) fn worker_name(&self) -> &str {
        &self.0.worker
    }

    pub(crate) fn bus(&self) -> &Bus {
        &self.0.bus
    }

    pub(crate) fn sealer(&self, workspace: &WorkspaceId) -> Arc<Sealer> {
        self.0.vault.sealer(workspace)
    }

    /// The metrics of this hub.
    #[must_use]
    pub fn telemetry(&self) -> &Telemetry {
        &self.0.telemetry
    }

    /// Hands a fault of ours to the host's crash services.
    pub(crate) fn report(&self, cx: &Scope, operation: &str, error: &Error) {
        if self.0.error_sinks.is_empty() {
            return;
        }
        if let Some(report) = ErrorReport::of(cx, operation, error) {
            self.0.error_sinks.iter().for_each(|sink| sink.report(&report));
        }
    }

    /// The scope of a built-in job of the runtime in a workspace.
    pub(crate) fn system_scope(&self, workspace: WorkspaceId, job: &str) -> Scope {
        self.scope_of(workspace, Principal::System { job: job.to_owned() }, Role::Owner)
    }

    /// The scope of the hub's own records.
    pub(crate) fn hub_scope(&self) -> Scope {
        self.system_scope(WorkspaceId::hub(), "hub")
    }

    pub(crate) fn vault(&self) -> &Vault {
        &self.0.vault
    }

    pub(crate) fn shared_store(&self) -> &SharedStore {
        &self.0.store
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        self.0.clock.as_ref()
    }

    pub(crate) fn control(&self) -> &Control {
        &self.0.control
    }

    /// The table of limits this hub was built with.
    #[must_use]
    pub fn limits(&self) -> &LimitProfile {
        &self.0.limits
    }

    pub(crate) fn ledgers(&self) -> &Ledgers {
        &self.0.ledgers
    }

    pub(crate) fn buckets(&self) -> &Buckets {
        &self.0.buckets
    }

    pub(crate) fn targets(&self) -> &Targets {
        &self.0.targets
    }

    pub(crate) fn anchor(&self) -> &dyn Anchor {
        self.0.anchor.as_ref()
    }

    pub(crate) fn audit_hold(&self) -> Option<&dyn crate::audit::AuditHold> {
        self.0.audit_hold.as_deref()
    }

    pub(crate) fn chains(&self) -> &crate::audit::Chains {
        &self.0.chains
    }

    pub(crate) fn approvals(&self) -> &dyn Approvals {
        &*self.0.approvals
    }
}
