//! Looking after the vault: what does not open, what ends soon, what is old.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reseal::{KeyRotation, walk_page};
use super::secret::{SecretInfo, VaultSecret};
use crate::op::{Effect, Operation};
use crate::permission::Permission;
use crate::store::{Key, Query, Stored};
use crate::{Result, Scope};

/// A secret that ends within this time is named.
// Rule of the runtime, section 4: 14 days.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);
/// A secret that was not replaced for this long is named.
// Rule of the runtime, section 4: 90 days.
const OLD: Duration = Duration::from_secs(90 * 24 * 3600);

/// Opens every sealed value and names what does not open, what ends within 14 days and what is older than 90.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckVault {}

/// What a check of the vault found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VaultReport {
    /// Records with a sealed value that does not open, as `kind:id`.
    pub undecryptable: Vec<String>,
    /// Secrets that end within 14 days, or have ended.
    pub expiring: Vec<SecretInfo>,
    /// Secrets that were not replaced for 90 days.
    pub old: Vec<SecretInfo>,
    /// Sealed values of an older version of the data key.
    pub old_versions: u64,
    /// True when a rotation was cut off: call `vault.rotate_data_key` again.
    pub is_rotation_unfinished: bool,
    /// Where the root key comes from.
    pub provider: String,
}

impl Operation for CheckVault {
    type Output = VaultReport;
    const NAME: &'static str = "vault.check";
    const NEEDS: &'static [Permission] = &[Permission::ManageSecrets];
    const EFFECT: Effect = Effect::Read;
    const DEADLINE: Duration = Duration::from_secs(3600);

    async fn run(self, cx: &Scope) -> Result<VaultReport> {
        let mut report = VaultReport { provider: cx.hub().vault().provider_name(), ..VaultReport::default() };
        ages(cx, &mut report).await?;
        let mut kinds: Vec<&str> = cx.hub().vault().columns.iter().map(|c| c.kind.name).collect();
        kinds.sort_unstable();
        kinds.dedup();
        for kind in kinds {
            let mut after = String::new();
            loop {
                cx.cancel_token().check(Self::NAME)?;
                let page = walk_page(cx, kind, &after, false).await?;
                report.undecryptable.extend(page.closed);
                report.old_versions += page.old;
                match page.last {
                    Some(last) => after = last,
                    None => break,
                }
            }
        }
        let rotation = cx.get::<KeyRotation>(KeyRotation::ID).await?;
        report.is_rotation_unfinished = rotation.is_some_and(|r| r.finished_at.is_none());
        Ok(report)
    }

    fn examples() -> Vec<Self> {
        vec![CheckVault {}]
    }
}

async fn ages(cx: &Scope, report: &mut VaultReport) -> Result<()> {
    let mut query = Query::by_id().limit(500);
    loop {
        let page: Vec<Stored<VaultSecret>> = cx.query(&query).await?;
        let Some(last) = page.last() else { return Ok(()) };
        query = query.after(Key::new(), last.id.clone());
        for secret in page {
            let ends = secret.expires_at.is_some_and(|at| at <= cx.now().plus(SOON));
            let is_old = secret.rotated_at.plus(OLD) <= cx.now();
            let info = SecretInfo::from(secret);
            if ends {
                report.expiring.push(info.clone());
            }
            if is_old {
                report.old.push(info);
            }
        }
    }
}
