//! Operations: a capability is a type, and there is one door to all of them.

mod admit;
mod bounds;
mod catalogue;
mod cursor;
pub(crate) mod door;
mod filtered;
mod idempotency;
pub mod ops;
mod options;
mod records;
mod sink;
mod span;
mod typed;
mod unit;

use std::future::Future;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use admit::{denied, on_behalf_of};
pub use bounds::{MAX_DEPTH, MAX_ITEMS};
pub use catalogue::{CallFuture, Entry, entry};
pub use idempotency::IdempotencyRecord;
pub(crate) use idempotency::{Kept, Slot};
pub use ops::CATALOGUE;
pub use options::CallOptions;
pub use records::Page;
pub(crate) use records::commit;
pub use sink::Sink;
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

/// What a call costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// Next to nothing.
    Free,
    /// Work of this machine.
    Cheap,
    /// A model's work.
    Model,
    /// Money.
    Money,
}

impl Cost {
    const fn of(effect: Effect) -> Self {
        if matches!(effect, Effect::Pure) { Cost::Free } else { Cost::Cheap }
    }

    /// The stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Cost::Free => "free",
            Cost::Cheap => "cheap",
            Cost::Model => "model",
            Cost::Money => "money",
        }
    }
}

/// Whether a call takes an idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idempotency {
    /// It changes nothing: a key is taken and gives the first answer, and nobody needs one.
    None,
    /// With a key a repeated call gives the first answer.
    Optional,
    /// A call without a key is refused.
    Required,
}

impl Idempotency {
    const fn of(effect: Effect) -> Self {
        if effect.is_read_only() { Idempotency::None } else { Idempotency::Optional }
    }

    /// The stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Idempotency::None => "none",
            Idempotency::Optional => "optional",
            Idempotency::Required => "required",
        }
    }
}

/// How firm the shape of an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stability {
    /// Never removed or narrowed within a major version.
    Stable,
    /// May still change.
    Preview,
}

impl Stability {
    /// The stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Stability::Stable => "stable",
            Stability::Preview => "preview",
        }
    }
}

impl Audit {
    /// The stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Audit::None => "none",
            Audit::Business => "business",
            Audit::Security => "security",
        }
    }

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
    /// True for what reaches into the machine (files by their name, programs, ports): no tool shows it, and no agent may
    /// call it.
    const HOST_ONLY: bool = false;
    /// Raised when the shape of input or answer changes.
    const VERSION: u16 = 1;
    /// What a call costs.
    const COST: Cost = Cost::of(Self::EFFECT);
    /// Whether a call takes an idempotency key.
    const IDEMPOTENCY: Idempotency = Idempotency::of(Self::EFFECT);
    /// Fields of the answer that [`Operation::mask`] hides from principals without `read:pii`, as dotted paths.
    const MASKS: &'static [&'static str] = &[];
    /// The largest input as JSON, in bytes. Default 1 MiB.
    const MAX_INPUT: usize = bounds::MAX_INPUT;
    /// The largest answer as JSON, in bytes. Default 8 MiB.
    const MAX_OUTPUT: usize = 8 << 20;
    /// How firm its shape is.
    const STABILITY: Stability = Stability::Preview;
    /// The version of NeonHub it came with.
    const SINCE: &'static str = "0.1.0";
    /// True when a suspended or closed workspace takes it all the same: what restores it.
    const WHILE_SUSPENDED: bool = false;
    /// True when it is no call of its own: what it calls is counted.
    const UNCOUNTED: bool = false;
    /// True when it only passes a call on: whether an agent may act on the outside is asked about what it calls.
    const FORWARDS: bool = false;
    /// Where its words go out of reach. An agent that had read what a sink does not accept asks a person first, whatever
    /// policies allow.
    const SINKS: &'static [Sink] = &[];
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

#[cfg(test)]
mod tests;
