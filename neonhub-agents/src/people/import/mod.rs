//! Import of contact files: a `start` operation that reads page by page, each page one commit, so that a crash or
//! a stop costs at most one page and the next start goes on behind the last one.
//!
//! An import is keyed by the file's content and its settings: starting it again when it is finished changes
//! nothing and gives the same answer.

mod desk;
mod make;
mod model;
mod ops;
mod page;
mod read;
mod start;

pub use desk::Desk;
pub use model::{FaultPage, ImportJob, ImportStatus};
pub use ops::{ImportErrors, ImportStatusOf};
pub use page::{ImportPage, PageResult};
pub use start::{FinishImport, ImportStart, OpenImport};

/// Rows of one commit [our choice]: large enough that the commit's own cost is small beside its rows.
pub(crate) const PAGE_ROWS: usize = 500;

#[cfg(test)]
mod tests;
