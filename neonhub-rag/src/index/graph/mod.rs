//! Approximate vector search over a graph of near neighbours, for more vectors than a scan is good for.
//!
//! A hierarchical navigable small world graph (Malkov and Yashunin 2016) over the int8 rows. Its rules: a new
//! vector stands in a tail that every query scans, until it is linked; a removed one is no hit any more at once,
//! its slot serves as a stepping stone until [`VectorIndex::compact`] takes it out and closes the gap; a filter
//! that keeps few rows is answered by an exact scan of them. The level of a vector hangs on its id, so that equal
//! changes in equal order make equal graphs.

mod links;
mod walk;

use std::sync::Arc;

use neonhub_core::{Error, Result};
use xxhash_rust::xxh3::xxh3_64;

use super::flat::FlatIndex;
use super::rows::Rows;
use super::{IdSet, Scored, VectorIndex, VectorStorage};
pub(super) use links::Links;

/// Slots that are linked for each change, so that a long tail shrinks while others write.
const LINKED_PER_CHANGE: usize = 4;
/// A filter that keeps fewer rows than this, or than a fifth of all, is answered by a scan of them.
// Measured on 20 000 x 384: a scan of kept rows takes 6-100 us, a filtered walk 7-33 ms.
const SCANNED_ROWS: usize = 50_000;
/// Highest level; with 16 links per vector it is first reached by one in 16^15.
const MAX_LEVEL: u32 = 15;

/// Shape of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GraphOptions {
    /// Links of a vector on upper levels; twice as many on the ground. 4 to 64. Default: 16.
    pub links: usize,
    /// Candidates that are looked at for a new vector, 16 to 2 000. Default: 200.
    pub build_width: usize,
    /// Candidates that a query keeps, at least; it keeps 4 per wanted hit. 16 to 2 000. Default: 128.
    pub search_width: usize,
}

impl Default for GraphOptions {
    fn default() -> Self {
        Self { links: 16, build_width: 200, search_width: 128 }
    }
}

impl GraphOptions {
    /// Checks the ranges.
    ///
    /// # Errors
    /// `InvalidInput` naming the field.
    pub fn check(&self) -> Result<()> {
        let widths = 16..=2_000;
        for (name, fits) in [
            ("links", (4..=64).contains(&self.links)),
            ("build_width", widths.contains(&self.build_width)),
            ("search_width", widths.contains(&self.search_width)),
        ] {
            if !fits {
                let expected = "expected 4 to 64 links and widths of 16 to 2000";
                return Err(Error::invalid("index.graph", name, expected));
            }
        }
        Ok(())
    }
}

/// The graph index. See the rules of its module.
#[derive(Clone, Debug)]
pub struct GraphIndex {
    pub(super) rows: Rows,
    pub(super) links: Links,
    options: GraphOptions,
}

impl GraphIndex {
    /// An empty index for vectors of this length.
    ///
    /// # Errors
    /// `InvalidInput` for options out of range.
    pub fn new(dims: usize, storage: VectorStorage, options: GraphOptions) -> Result<Self> {
        options.check()?;
        Ok(Self { rows: Rows::new(dims, storage), links: Links::new(options.links), options })
    }

    /// Takes the rows of a flat index over; they all stand in the tail.
    ///
    /// # Errors
    /// `InvalidInput` for options out of range.
    pub fn from_flat(flat: FlatIndex, options: GraphOptions) -> Result<Self> {
        options.check()?;
        Ok(Self { rows: flat.rows, links: Links::new(options.links), options })
    }

    /// Gives the rows back as a flat index.
    #[must_use]
    pub fn into_flat(mut self) -> FlatIndex {
        self.rows.compact();
        FlatIndex { rows: self.rows }
    }

    pub(super) fn from_parts(rows: Rows, links: Links) -> Self {
        let options = GraphOptions { links: links.width(), ..GraphOptions::default() };
        Self { rows, links, options }
    }

    /// Vectors that are not linked yet, dead ones included; every query scans them.
    #[must_use]
    pub fn tail(&self) -> usize {
        self.rows.slots() - self.links.len()
    }

    /// Slots of removed vectors that still serve as stepping stones.
    #[must_use]
    pub fn dead(&self) -> usize {
        self.rows.slots() - self.rows.len()
    }

    /// Links up to `count` vectors of the tail.
    pub fn settle(&mut self, count: usize) {
        for _ in 0..count.min(self.tail()) {
            self.link_next();
        }
    }

    fn link_next(&mut self) {
        let slot = self.links.len() as u32;
        let level = self.rows.ids.get(slot as usize).and_then(Option::as_ref).map(|id| self.level(id));
        match level.filter(|_| !self.rows.is_zero(slot)) {
            Some(level) => walk::link(&self.rows, &mut self.links, slot, level, self.options.build_width),
            None => self.links.push(None),
        }
    }

    /// A vector is on level `l` with a chance of `links^-l`.
    fn level(&self, id: &str) -> u8 {
        let zeros = xxh3_64(id.as_bytes()).leading_zeros();
        (zeros / self.options.links.ilog2()).min(MAX_LEVEL) as u8
    }
}

impl VectorIndex for GraphIndex {
    fn dims(&self) -> usize {
        self.rows.dims()
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn contains(&self, id: &str) -> bool {
        self.rows.slot(id).is_some()
    }

    fn vector(&self, id: &str) -> Option<Vec<f32>> {
        self.rows.vector(id)
    }

    fn upsert(&mut self, id: &str, vector: &[f32]) -> Result<()> {
        self.rows.check("index.upsert", vector)?;
        self.rows.kill(id);
        self.rows.push(Arc::from(id), vector);
        self.settle(LINKED_PER_CHANGE);
        // A fifth of dead slots costs about a fifth of the time of a query.
        if self.dead() * 5 > self.rows.slots() {
            self.compact();
        }
        Ok(())
    }

    fn remove(&mut self, id: &str) -> bool {
        let is_there = self.rows.kill(id).is_some();
        if is_there && self.dead() * 5 > self.rows.slots() {
            self.compact();
        }
        is_there
    }

    fn compact(&mut self) {
        if self.dead() == 0 {
            return;
        }
        walk::bypass_dead(&self.rows, &mut self.links);
        let moved = self.rows.compact();
        self.links.renumber(&moved);
    }

    fn search(&self, query: &[f32], k: usize, within: Option<&IdSet>) -> Result<Vec<Scored>> {
        let Some(query) = self.rows.prepare(query)?.filter(|_| k > 0) else { return Ok(Vec::new()) };
        if let Some(ids) = within.filter(|ids| ids.len() < SCANNED_ROWS || ids.len() * 5 < self.len()) {
            let found = self.rows.scan_within(&query, ids, k);
            return Ok(self.rows.rescore(&query, found, k));
        }
        let width = self.options.search_width.max(k.saturating_mul(4));
        let allowed = within.map(|ids| walk::Slots::of(self.rows.within(ids).into_iter(), &self.rows));
        let is_allowed = |slot: u32| allowed.as_ref().is_none_or(|slots| slots.holds(slot));
        let mut found = walk::nearest(&self.rows, &self.links, &query, width, &is_allowed);
        let tail = self.links.len() as u32..self.rows.slots() as u32;
        found.extend(self.rows.scan(&query, tail, within, k));
        Ok(self.rows.rescore(&query, found, k))
    }
}
