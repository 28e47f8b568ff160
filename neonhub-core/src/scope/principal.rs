//! Who acts, and where the rights come from.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Principal {
    /// A person with an account, or the host app acting as the owner.
    User {
        /// Id of the user.
        id: String,
    },
    /// A key of the API.
    ApiKey {
        /// Id of the key.
        id: String,
        /// The user it acts for, when the host says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        on_behalf_of: Option<String>,
    },
    /// An agent that acts for someone.
    Agent {
        /// Name of the agent.
        name: String,
        /// Its run.
        run: String,
        /// The user or key it acts for.
        acts_for: String,
    },
    /// A built-in job.
    System {
        /// Name of the job.
        job: String,
    },
}

impl Principal {
    /// The short form kept in `created_by` and the audit log: `user:ada`, `agent:campaign`.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Principal::User { id } => format!("user:{id}"),
            Principal::ApiKey { id, .. } => format!("api_key:{id}"),
            Principal::Agent { name, .. } => format!("agent:{name}"),
            Principal::System { job } => format!("system:{job}"),
        }
    }
}

/// Where the rights of a scope come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Authority {
    /// The host vouches for the role.
    #[default]
    Host,
    /// A membership, looked up at every call.
    Member(Arc<str>),
    /// An API key, looked up at every call.
    Key(Arc<str>),
}
