//! Exact vector search over contiguous int8 rows, rescored with what the rows keep.

use std::sync::Arc;

use neonhub_core::Result;

use super::rows::Rows;
use super::{IdSet, Scored, VectorIndex, VectorStorage};

/// The flat index: no build, exact deletes, a filter scans only the rows it keeps. Good to about 50 000 vectors.
///
/// Memory: 3 bytes per value in half precision (see [`VectorStorage`]) and the id.
#[derive(Clone, Debug)]
pub struct FlatIndex {
    pub(super) rows: Rows,
}

impl FlatIndex {
    /// An empty index for vectors of this length, kept in half precision.
    #[must_use]
    pub fn new(dims: usize) -> Self {
        Self::with_storage(dims, VectorStorage::default())
    }

    /// An empty index for vectors of this length, kept as exactly as said.
    #[must_use]
    pub fn with_storage(dims: usize, storage: VectorStorage) -> Self {
        Self { rows: Rows::new(dims, storage) }
    }
}

impl VectorIndex for FlatIndex {
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
        self.rows.swap_remove(id);
        self.rows.push(Arc::from(id), vector);
        Ok(())
    }

    fn remove(&mut self, id: &str) -> bool {
        self.rows.swap_remove(id)
    }

    fn compact(&mut self) {}

    fn search(&self, query: &[f32], k: usize, within: Option<&IdSet>) -> Result<Vec<Scored>> {
        let Some(query) = self.rows.prepare(query)?.filter(|_| k > 0) else { return Ok(Vec::new()) };
        let found = match within {
            Some(ids) => self.rows.scan_within(&query, ids, k),
            None => self.rows.scan(&query, 0..self.rows.slots() as u32, None, k),
        };
        Ok(self.rows.rescore(&query, found, k))
    }
}
