//! Tagging links.

use neonhub_core::op::{Effect, Operation};
use neonhub_core::{Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Utm, apply};

/// Puts campaign parameters on a link. Its query and fragment stay, parameters that are there are kept, and applying
/// twice is applying once.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyUtm {
    /// The link, absolute.
    pub url: String,
    /// The parameters.
    pub utm: Utm,
    /// Hosts whose links are never tagged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub internal_hosts: Vec<String>,
}

/// A tagged link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaggedLink {
    /// The link.
    pub url: String,
    /// False when it came back as it was.
    pub is_changed: bool,
}

impl Operation for ApplyUtm {
    type Output = TaggedLink;
    const NAME: &'static str = "utm.apply";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Pure;
    async fn run(self, _cx: &Scope) -> Result<TaggedLink> {
        let url = apply(&self.url, &self.utm, &self.internal_hosts)?;
        Ok(TaggedLink { is_changed: url != self.url, url })
    }
    fn examples() -> Vec<Self> {
        vec![ApplyUtm {
            url: "https://bergkaffee.example/spring?size=1#beans".into(),
            utm: Utm {
                source: "newsletter".into(),
                medium: "email".into(),
                campaign: "spring".into(),
                ..Utm::default()
            },
            internal_hosts: Vec::new(),
        }]
    }
}
