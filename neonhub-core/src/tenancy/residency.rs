//! Residency: where a workspace's data may go.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Result, Scope};

/// The tag of what never leaves the machine.
pub const LOCAL: &str = "local";

/// Where a workspace's data may go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Residency {
    /// The region its targets must be tagged with, such as `eu`; none: anywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// True to let targets without a tag pass as well.
    pub any: bool,
}

impl Residency {
    /// True when nothing is restricted.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.region.is_none()
    }

    /// True when data may go to a target with this tag.
    #[must_use]
    pub fn admits(&self, tag: Option<&str>) -> bool {
        match (&self.region, tag) {
            (None, _) | (_, Some(LOCAL)) => true,
            (Some(region), Some(tag)) => region == tag,
            (Some(_), None) => self.any,
        }
    }
}

impl Scope {
    /// Refuses a target in another region, before any byte leaves. `tag` is the target's region; none: unknown.
    ///
    /// # Errors
    /// `Blocked` with the code `residency`.
    pub async fn check_residency(&self, target: &str, tag: Option<&str>) -> Result<()> {
        let control = self.control().await?;
        if control.residency.admits(tag) {
            return Ok(());
        }
        let region = control.residency.region.clone().unwrap_or_default();
        Err(Error::new(
            ErrorKind::Blocked,
            self.operation(),
            "this target is not in the region of the workspace: use one that is, or set residency_any for \
             targets without a tag",
        )
        .with_code("residency")
        .with_context("target", target)
        .with_context("target_region", tag.unwrap_or("untagged"))
        .with_context("workspace_region", region))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tagged_workspace_admits_its_own_region_and_this_machine() {
        let eu = Residency { region: Some("eu".into()), any: false };
        assert!(eu.admits(Some("eu")) && eu.admits(Some(LOCAL)));
        assert!(!eu.admits(Some("us")) && !eu.admits(None));
        let any = Residency { any: true, ..eu };
        assert!(any.admits(None) && !any.admits(Some("us")), "`any` is for targets without a tag");
        assert!(Residency::default().admits(Some("us")));
    }
}
