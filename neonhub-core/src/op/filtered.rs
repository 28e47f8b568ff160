//! Pages of a list with filters: never short while more is there.

use super::{Page, cursor};
use crate::store::{Key, Kind, Query, Record, Stored};
use crate::{Result, Scope};

/// Records that are read at once when a filter lets few of them through.
const LOOK: usize = 500;

impl Scope {
    /// One page of what a query finds and `keep` lets through, as [`Scope::page`]; it reads on until the page is full or
    /// the list is at its end. `filters` is what the caller asked for: a cursor serves no other list.
    ///
    /// # Errors
    /// As [`Scope::page`]; `Cancelled` when the caller left.
    pub(crate) async fn page_where<R: Record>(
        &self,
        query: Query,
        filters: &str,
        from: Option<&str>,
        keep: impl Fn(&R) -> bool,
    ) -> Result<Page<Stored<R>>> {
        let kind = Kind::of::<R>();
        let label = format!("{}|{filters}", cursor::label(kind, &query));
        let limit = query.limit.clamp(1, 500);
        let mut query = query.limit(limit + 1);
        if let Some(from) = from {
            let (key, id) = cursor::open(self, &label, kind, query.index, from).await?;
            query = query.after(key, id);
        }
        let (mut items, mut taken) = (Vec::new(), None);
        loop {
            self.cancel_token().check(self.operation())?;
            let rows = self.timed(kind, "query", self.store().query(kind, self.workspace(), &query)).await?;
            let is_end = rows.len() < query.limit;
            let last = rows.last().map(|row| cursor::place(kind, query.index, row)).transpose()?;
            for row in rows {
                let stored = Stored::<R>::from_row(&row)?;
                if !keep(&stored.body) {
                    continue;
                }
                if items.len() == limit {
                    let next = taken.map(|row| cursor::make(self, &label, kind, query.index, &row));
                    return Ok(Page { items, next: next.transpose()? });
                }
                items.push(stored);
                taken = Some(row);
            }
            match last {
                Some((key, id)) if !is_end => query = query.after(key, id).limit(LOOK),
                _ => return Ok(Page { items, next: None }),
            }
        }
    }

    /// The cursor behind a record of a list that is put together by hand, in the order of ids.
    pub(crate) fn cursor_behind(&self, list: &str, id: &str) -> String {
        cursor::at(self, list, &Key::new(), id)
    }

    /// The id that such a cursor stands behind.
    ///
    /// # Errors
    /// As [`Scope::page`].
    pub(crate) async fn place_in(&self, list: &str, kind: Kind, from: &str) -> Result<String> {
        cursor::open(self, list, kind, None, from).await.map(|(_, id)| id)
    }

    /// One page, by id, of records that were found in an order that changes while they are listed.
    ///
    /// # Errors
    /// As [`Scope::page`].
    pub(crate) async fn page_of<R: Record>(
        &self,
        mut all: Vec<Stored<R>>,
        filters: &str,
        limit: usize,
        from: Option<&str>,
    ) -> Result<Page<Stored<R>>> {
        let kind = Kind::of::<R>();
        let label = format!("{}|{filters}", cursor::label(kind, &Query::by_id()));
        all.sort_by(|a, b| a.id().cmp(b.id()));
        if let Some(from) = from {
            let (_, after) = cursor::open(self, &label, kind, None, from).await?;
            all.retain(|found| found.id() > after.as_str());
        }
        let limit = limit.clamp(1, 500);
        let has_more = all.len() > limit;
        all.truncate(limit);
        let last = all.last().filter(|_| has_more);
        let next = last.map(|last| cursor::at(self, &label, &Key::new(), last.id()));
        Ok(Page { items: all, next })
    }
}
