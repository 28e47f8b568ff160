//! Ordered reads.

use std::ops::Bound;

use super::Key;

/// Direction of a query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Smallest key first.
    #[default]
    Ascending,
    /// Largest key first.
    Descending,
}

/// Records in the order of one index, or of their ids when no index is named.
///
/// ```
/// use neonhub_core::store::{Key, Query};
/// let query = Query::index("state_due").prefix(Key::text("waiting")).limit(50);
/// # let _ = query;
/// ```
#[derive(Clone, Debug)]
pub struct Query {
    /// Index, or `None` for id order.
    pub index: Option<&'static str>,
    /// Lower bound.
    pub from: Bound<Key>,
    /// Upper bound.
    pub to: Bound<Key>,
    /// Direction.
    pub order: Order,
    /// At most this many. Default 50.
    pub limit: usize,
    /// Goes on after this record, given as its key and id.
    pub after: Option<(Key, String)>,
}

impl Query {
    /// In the order of `index`.
    #[must_use]
    pub fn index(index: &'static str) -> Self {
        Query { index: Some(index), ..Query::by_id() }
    }

    /// In the order of the ids, which is the order of creation.
    #[must_use]
    pub fn by_id() -> Self {
        Query {
            index: None,
            from: Bound::Unbounded,
            to: Bound::Unbounded,
            order: Order::Ascending,
            limit: 50,
            after: None,
        }
    }

    /// Keys that start with `prefix`.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<Key>) -> Self {
        let prefix = prefix.into();
        self.to = prefix.after_prefix().map_or(Bound::Unbounded, Bound::Excluded);
        self.from = Bound::Included(prefix);
        self
    }

    /// Exactly this key.
    #[must_use]
    pub fn equals(mut self, key: impl Into<Key>) -> Self {
        let key = key.into();
        self.from = Bound::Included(key.clone());
        self.to = Bound::Included(key);
        self
    }

    /// Keys from `from` on.
    #[must_use]
    pub fn from(mut self, from: impl Into<Key>) -> Self {
        self.from = Bound::Included(from.into());
        self
    }

    /// Keys up to and with `to`.
    #[must_use]
    pub fn up_to(mut self, to: impl Into<Key>) -> Self {
        self.to = Bound::Included(to.into());
        self
    }

    /// Largest first.
    #[must_use]
    pub fn descending(mut self) -> Self {
        self.order = Order::Descending;
        self
    }

    /// At most `limit` records.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Goes on after a record of the page before. By id, the key is ignored.
    #[must_use]
    pub fn after(mut self, key: Key, id: impl Into<String>) -> Self {
        self.after = Some((key, id.into()));
        self
    }
}
