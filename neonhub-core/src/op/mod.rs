//! Operations: a capability is a type, and there is one door to all of them.

mod catalogue;
pub(crate) mod door;
mod idempotency;
mod records;
mod unit;

use std::future::Future;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use catalogue::{CallFuture, Entry, entry};
pub use door::CallOptions;
pub use idempotency::IdempotencyRecord;
pub use records::Page;
pub(crate) use unit::{Staged, Unit};

use crate::permission::Permission;
use crate::{Result, Scope};

/// What an operation does to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Computes; same input, same output.
    Pure,
    /// Reads.
    Read,
    /// Changes records of ours; repeating it with the same idempotency key gives the first answer.
    Idempotent,
    /// Acts on the outside world; after a crash a probe says whether it landed.
    Write,
    /// Can be taken back by the named operation.
    Compensable(&'static str),
}

impl Effect {
    /// The stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Effect::Pure => "pure",
            Effect::Read => "read",
            Effect::Idempotent => "idempotent",
            Effect::Write => "write",
            Effect::Compensable(_) => "compensable",
        }
    }

    /// True when nothing is changed.
    #[must_use]
    pub const fn is_read_only(self) -> bool {
        matches!(self, Effect::Pure | Effect::Read)
    }
}

/// What kind of audit row a call leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audit {
    /// None, unless it was refused for lack of rights.
    None,
    /// One row per call that changed something.
    Business,
    /// One row per call.
    Security,
}

impl Audit {
    const fn of(effect: Effect) -> Self {
        if effect.is_read_only() { Audit::None } else { Audit::Business }
    }
}

/// A capability: the input is the type itself, with its docs, its JSON Schema, its rights and its body.
///
/// Inputs are strict (`#[serde(deny_unknown_fields)]`); each field has a doc comment, which becomes the
/// documentation in every language. The body stages its writes in the Scope and the door commits them once.
///
/// ```
/// use neonhub_core::op::{Effect, Operation};
/// use neonhub_core::{Permission, Result, Scope};
///
/// /// Adds two numbers.
/// #[derive(Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// pub struct Add {
///     /// First number.
///     pub a: i32,
///     /// Second number.
///     pub b: i32,
/// }
///
/// impl Operation for Add {
///     type Output = i64;
///     const NAME: &'static str = "math.add";
///     const NEEDS: &'static [Permission] = &[];
///     const EFFECT: Effect = Effect::Pure;
///     async fn run(self, _cx: &Scope) -> Result<i64> {
///         Ok(i64::from(self.a) + i64::from(self.b))
///     }
/// }
/// ```
pub trait Operation: Clone + Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// What it answers.
    type Output: Serialize + DeserializeOwned + JsonSchema + Send + 'static;

    /// Dotted name, such as `people.resolve`.
    const NAME: &'static str;
    /// The rights it needs, all of them. Empty: any principal.
    const NEEDS: &'static [Permission];
    /// What it does to the world.
    const EFFECT: Effect;
    /// Audit rows it leaves.
    const AUDIT: Audit = Audit::of(Self::EFFECT);
    /// Time a call may take. Default 30 s.
    const DEADLINE: Duration = Duration::from_secs(30);
    /// How often the body may run again when its commit lost a race.
    const RERUNS: u8 = 0;
    /// True for pages and other parts that no binding or tool shows.
    const INTERNAL: bool = false;
    /// Codes it may fail with beyond those of every operation.
    const ERRORS: &'static [&'static str] = &[];

    /// The body. Time, chance, reads and staged writes come from `cx`.
    fn run(self, cx: &Scope) -> impl Future<Output = Result<Self::Output>> + Send;

    /// Inputs for docs and round-trip tests.
    #[must_use]
    fn examples() -> Vec<Self> {
        Vec::new()
    }

    /// Masks personal values of the answer for principals without `read:pii`.
    fn mask(_output: &mut Self::Output) {}
}
