//! Backups, increments, and restoring them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LONG, path};
use crate::op::{Audit, Effect, Operation};
use crate::permission::Permission;
use crate::policy::{Ask, call_hash};
use crate::store::Store;
use crate::store::backup::{self, Manifest};
use crate::{Error, ErrorKind, Result, Scope};

/// Writes a backup of the whole store to a new file while writers go on, or what changed since an earlier one. The key
/// is not in it: keep it elsewhere.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupStore {
    /// Path of the new file.
    pub target: String,
    /// `seq` of the backup or increment before: only what changed since is written, to be restored on top of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_seq: Option<u64>,
}

impl Operation for BackupStore {
    type Output = Manifest;
    const NAME: &'static str = "store.backup";
    const NEEDS: &'static [Permission] = &[Permission::OwnOrganization];
    const EFFECT: Effect = Effect::Read;
    const AUDIT: Audit = Audit::Security;
    const HOST_ONLY: bool = true;
    const DEADLINE: Duration = LONG;
    const ERRORS: &'static [&'static str] = &["cursor_expired"];
    async fn run(self, cx: &Scope) -> Result<Manifest> {
        let target = path(Self::NAME, "target", &self.target)?;
        match self.since_seq {
            None => backup::backup_to(cx.store(), &target).await,
            Some(since) => backup::increment_to(cx.store(), since, &target).await,
        }
    }
    fn examples() -> Vec<Self> {
        let full = BackupStore { target: "backups/monday.neonbackup".into(), since_seq: None };
        vec![full, BackupStore { target: "backups/tuesday.neonbackup".into(), since_seq: Some(1203) }]
    }
}

/// Reads a backup to its end and checks every byte of it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyBackup {
    /// Path of the backup.
    pub source: String,
}

/// The answer of `store.verify_backup`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Verified {
    /// What the backup holds; absent when it is damaged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Manifest>,
    /// What is wrong with it.
    pub findings: Vec<String>,
}

impl Operation for VerifyBackup {
    type Output = Verified;
    const NAME: &'static str = "store.verify_backup";
    const NEEDS: &'static [Permission] = &[Permission::OwnOrganization];
    const EFFECT: Effect = Effect::Read;
    const HOST_ONLY: bool = true;
    const DEADLINE: Duration = LONG;
    async fn run(self, _cx: &Scope) -> Result<Verified> {
        let source = path(Self::NAME, "source", &self.source)?;
        match backup::verify_backup(&source) {
            Ok(manifest) => Ok(Verified { manifest: Some(manifest), findings: Vec::new() }),
            Err(error) if error.kind() == ErrorKind::Corrupted => {
                Ok(Verified { manifest: None, findings: vec![error.to_string()] })
            }
            Err(error) => Err(error),
        }
    }
    fn examples() -> Vec<Self> {
        vec![VerifyBackup { source: "backups/monday.neonbackup".into() }]
    }
}

/// Restores a backup into a new, empty store beside this one, on any engine, and increments on top of it. Nothing is
/// written before every byte of all of them was checked, and before another owner or admin has said yes: the first call
/// puts the question, and the same call goes through once it was approved.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreStore {
    /// Path of the backup.
    pub source: String,
    /// Paths of increments, in the order they were taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub increments: Vec<String>,
    /// URL of the new store: a path, `sqlite:PATH`, `sled:PATH` or `postgres://...`.
    pub into: String,
}

/// How long the question stands.
// Our choice: long enough for a weekend.
const QUESTION: Duration = Duration::from_secs(72 * 3600);

impl RestoreStore {
    /// What the second person is asked. By its own hash, so that a policy that asks about this operation too is a
    /// question of its own.
    fn question(&self) -> Result<Ask> {
        let args = serde_json::to_value(self).map_err(|cause| Error::internal(Self::NAME, cause))?;
        Ok(Ask {
            operation: Self::NAME.to_owned(),
            args_hash: call_hash("store.restore/second", &args),
            args,
            summary: "a backup is to be restored into a new store".to_owned(),
            quorum: 1,
            approvers: Vec::new(),
            ttl_ms: u64::try_from(QUESTION.as_millis()).unwrap_or(u64::MAX),
            policies: Vec::new(),
        })
    }

    /// Uses the yes of a second person, or puts the question.
    async fn approved(&self, cx: &Scope) -> Result<String> {
        let ask = self.question()?;
        let approvals = cx.hub().approvals();
        if let Some(granted) = approvals.granted(cx, &ask).await? {
            return Ok(granted);
        }
        let approval = approvals.ask(cx, &ask).await?;
        Err(Error::new(
            ErrorKind::Blocked,
            Self::NAME,
            "a second person must approve this first: `approvals.approve`, then the same call again",
        )
        .with_code("approval_required")
        .with_context("approval", approval))
    }
}

impl Operation for RestoreStore {
    type Output = Manifest;
    const NAME: &'static str = "store.restore";
    const NEEDS: &'static [Permission] = &[Permission::OwnOrganization];
    const EFFECT: Effect = Effect::Idempotent;
    const AUDIT: Audit = Audit::Security;
    const HOST_ONLY: bool = true;
    const DEADLINE: Duration = LONG;
    const ERRORS: &'static [&'static str] = &["approval_required", "backup_out_of_order"];
    async fn run(self, cx: &Scope) -> Result<Manifest> {
        let source = path(Self::NAME, "source", &self.source)?;
        let increments: Vec<PathBuf> =
            self.increments.iter().map(|p| path(Self::NAME, "increments", p)).collect::<Result<_>>()?;
        if self.into == "memory:" {
            return Err(Error::invalid(Self::NAME, "into", "expected a store that outlives this call"));
        }
        // Checked before anybody is asked and before the new store is made: damage leaves nothing behind.
        backup::check_order(&source, &increments)?;
        let approval = self.approved(cx).await?;
        let store = crate::hub::open_store(&self.into).await?;
        let restored = restore(&source, &increments, store.as_ref()).await;
        let closed = store.close().await;
        let manifest = restored.and_then(|manifest| closed.map(|()| manifest))?;
        cx.hub().approvals().spend(cx, &approval).await?;
        Ok(manifest)
    }
    fn examples() -> Vec<Self> {
        let full = RestoreStore {
            source: "backups/monday.neonbackup".into(),
            increments: Vec::new(),
            into: "restored.neon".into(),
        };
        let increments = vec!["backups/tuesday.neonbackup".into()];
        vec![full.clone(), RestoreStore { increments, ..full }]
    }
}

async fn restore(source: &Path, increments: &[PathBuf], into: &dyn Store) -> Result<Manifest> {
    let mut manifest = backup::restore_backup(source, into).await?;
    for increment in increments {
        manifest = backup::restore_increment(increment, into).await?;
    }
    Ok(manifest)
}
