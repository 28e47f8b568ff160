//! How fresh a read must be, and so where it may be answered from.

/// How fresh the answers of a scope's reads must be. It says something only on a store with a read replica, such as
/// `postgres://...?replica=HOST:PORT`, and only for reads that no write depends on: operations that write (so every send),
/// the rights of who calls and policies read from the primary whatever is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// Every acknowledged commit is seen. The default.
    #[default]
    Strong,
    /// The commits up to this position of the change feed are seen: what [`Committed::seq`](super::Committed) said, or
    /// [`Store::seq`](super::Store::seq) after a write. The replica is waited for, for a second at most; then the primary
    /// answers.
    ReadYourWrites(u64),
    /// Whatever the replica has.
    Eventual,
}

tokio::task_local! {
    static CURRENT: Consistency;
}

impl Consistency {
    /// Does a read with this freshness.
    pub(crate) async fn within<F: Future>(self, read: F) -> F::Output {
        match self {
            Consistency::Strong => read.await,
            _ => CURRENT.scope(self, read).await,
        }
    }

    /// What the read under way asks for.
    #[cfg(feature = "postgres")]
    pub(super) fn current() -> Self {
        CURRENT.try_with(|current| *current).unwrap_or_default()
    }
}
