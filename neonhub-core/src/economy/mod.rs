//! What the use of models costs, and how much of it is allowed.
//!
//! Every call of a model over a network or of the host is counted as a [`TokenUsage`]. A [`Quota`] bounds what a
//! workspace, a principal, an agent, a campaign or a run may use in a window of time: before a call its worst case is
//! held from every quota that applies, in one commit; afterwards the hold makes way for what was really used. So
//! parallel calls never pass a hard limit together, in any number of processes. A hold whose process died counts as
//! used once its time is over.
//!
//! A call that could pass a quota is not made. A run waits then, in no process, until a person allows more, unless the quota
//! says that it is to fail; every other caller gets `BudgetExceeded`.
//!
//! Money is exact in micros of a currency. A price that is not known is not zero: where a quota limits money, such a
//! call is refused unless the quota allows it. The offline model costs nothing and is not counted here.
//!
//! ```
//! use neonhub_core::economy::{GetQuotas, PutQuota, QuotaSubject, QuotaWindow};
//! use neonhub_core::{Currency, Hub, Money};
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let cx = Hub::builder().build().await?.workspace("default").await?;
//! let money = Some(Money::new(500, Currency::parse("currency", "EUR")?)?);
//! cx.call(PutQuota { money, ..PutQuota::of(QuotaSubject::Workspace, QuotaWindow::Day) }).await?;
//! assert_eq!(cx.call(GetQuotas::default()).await?[0].left_micros, Some(5_000_000));
//! # Ok::<(), neonhub_core::Error>(())
//! # }).unwrap();
//! ```

mod budgeted;
mod gathered;
mod left;
mod meter;
mod model;
mod more;
mod once;
mod ops;
mod usage_ops;

pub(crate) use budgeted::Budgeted;
pub(crate) use gathered::Gathered;
pub(crate) use left::{Left, left};
pub(crate) use meter::{Ledgers, RESERVE};
pub use model::{HardLimit, Quota, QuotaId, QuotaSubject, QuotaWindow, TokenUsage, UsageId};
pub use more::AllowMore;
pub(crate) use more::Paused;
pub(crate) use once::{Made, Worst, affordable, metered};
pub use ops::{GetQuotas, PutQuota, QuotaState};
pub use usage_ops::{ModelPrice, PriceUsage, UsageBy, UsageReport, UsageRow};

use crate::op::{Entry, entry};
use crate::store::Kind;

/// Operations of this room.
pub static CATALOGUE: &[Entry] = &[
    entry::<PutQuota>(),
    entry::<GetQuotas>(),
    entry::<PriceUsage>(),
    entry::<UsageReport>(),
    entry::<AllowMore>(),
];

/// Record kinds of this room.
pub(crate) static KINDS: &[Kind] =
    &[Kind::of::<Quota>(), Kind::of::<model::Spend>(), Kind::of::<TokenUsage>()];

#[cfg(test)]
mod tests;
