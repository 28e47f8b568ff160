//! The rows of a vector index: quantised for the search, exact for the last word.

use std::sync::Arc;

use neonhub_core::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::dot::{dot_f32, dot_half, dot_i8};
use super::half::{from_half, to_half};
use super::ids::key;
use super::listed::Listed;
use super::{IdSet, Scored};
use crate::embed::check_dims;

/// Candidates of the int8 search per wanted hit. With 4 the order after rescoring was never seen to differ from a
/// full-precision scan; fewer than [`LEAST_CANDIDATES`] are never taken.
const CANDIDATES_PER_HIT: usize = 4;
const LEAST_CANDIDATES: usize = 64;
/// Rows for each id of a filter from which the ids are looked up.
const LOOKED_UP: usize = 4;

/// How exactly an index keeps its vectors, beside the int8 row that every search begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VectorStorage {
    /// The int8 row alone: 1 byte per value; scores are good to about 0.01.
    Int8,
    /// Half precision: 3 bytes per value; scores are good to about 0.0005. The default.
    #[default]
    F16,
    /// Single precision: 5 bytes per value; scores are exact.
    F32,
}

#[derive(Clone, Debug)]
pub(super) enum Exact {
    None,
    Half(Vec<u16>),
    Full(Vec<f32>),
}

/// A query, ready to be compared.
#[derive(Debug)]
pub(super) struct Prepared {
    unit: Vec<f32>,
    codes: Vec<i8>,
}

/// Vectors in slots. A slot whose id is gone is dead: no search gives it.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    dims: usize,
    pub(super) ids: Vec<Option<Arc<str>>>,
    /// The short form of each id, for filters.
    keys: Vec<u64>,
    listed: Listed,
    pub(super) codes: Vec<i8>,
    pub(super) scales: Vec<f32>,
    pub(super) exact: Exact,
}

impl Rows {
    pub(super) fn new(dims: usize, storage: VectorStorage) -> Self {
        let exact = match storage {
            VectorStorage::Int8 => Exact::None,
            VectorStorage::F16 => Exact::Half(Vec::new()),
            VectorStorage::F32 => Exact::Full(Vec::new()),
        };
        Self {
            dims,
            ids: Vec::new(),
            keys: Vec::new(),
            listed: Listed::default(),
            codes: Vec::new(),
            scales: Vec::new(),
            exact,
        }
    }

    pub(super) fn dims(&self) -> usize {
        self.dims
    }

    pub(super) fn storage(&self) -> VectorStorage {
        match self.exact {
            Exact::None => VectorStorage::Int8,
            Exact::Half(_) => VectorStorage::F16,
            Exact::Full(_) => VectorStorage::F32,
        }
    }

    /// Vectors with an id.
    pub(super) fn len(&self) -> usize {
        self.listed.len()
    }

    /// Slots, dead ones included.
    pub(super) fn slots(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn slot(&self, id: &str) -> Option<u32> {
        self.listed.get(id, &self.ids)
    }

    pub(super) fn is_live(&self, slot: u32) -> bool {
        self.ids.get(slot as usize).is_some_and(Option::is_some)
    }

    /// A vector without direction: it is near to nothing.
    pub(super) fn is_zero(&self, slot: u32) -> bool {
        self.scales.get(slot as usize).is_none_or(|s| *s <= 0.0)
    }

    pub(super) fn check(&self, operation: &'static str, vector: &[f32]) -> Result<()> {
        check(operation, vector, self.dims)
    }

    /// The query, or `None` for one without direction.
    pub(super) fn prepare(&self, query: &[f32]) -> Result<Option<Prepared>> {
        self.check("index.search", query)?;
        let unit = unit(query);
        if unit.iter().all(|v| *v == 0.0) {
            return Ok(None);
        }
        let (codes, _) = quantise(&unit);
        Ok(Some(Prepared { unit, codes }))
    }

    /// Adds a vector in a slot at the end. The id must be new.
    pub(super) fn push(&mut self, id: Arc<str>, vector: &[f32]) -> u32 {
        let vector = unit(vector);
        match &mut self.exact {
            Exact::None => self.push_codes(id, quantise(&vector)),
            Exact::Half(halves) => {
                let row: Vec<u16> = vector.into_iter().map(to_half).collect();
                append(halves, &row);
                let kept: Vec<f32> = row.into_iter().map(from_half).collect();
                self.push_codes(id, quantise(&kept))
            }
            Exact::Full(values) => {
                append(values, &vector);
                self.push_codes(id, quantise(&vector))
            }
        }
    }

    fn push_codes(&mut self, id: Arc<str>, (codes, scale): (Vec<i8>, f32)) -> u32 {
        let slot = u32::try_from(self.ids.len()).unwrap_or(u32::MAX);
        self.listed.put(&id, slot, &self.ids);
        self.keys.push(key(&id));
        self.ids.push(Some(id));
        append(&mut self.codes, &codes);
        self.scales.push(scale);
        slot
    }

    /// Takes the id of a slot away; the vector stays for those who walk over it.
    pub(super) fn kill(&mut self, id: &str) -> Option<u32> {
        let slot = self.listed.remove(id, &self.ids)?;
        if let Some(place) = self.ids.get_mut(slot as usize) {
            *place = None;
        }
        Some(slot)
    }

    /// Removes a slot; the last one moves into the gap.
    pub(super) fn swap_remove(&mut self, id: &str) -> bool {
        let Some(slot) = self.kill(id) else { return false };
        let (slot, last) = (slot as usize, self.ids.len() - 1);
        self.ids.swap_remove(slot);
        self.keys.swap_remove(slot);
        self.scales.swap_remove(slot);
        let dims = self.dims;
        move_row(&mut self.codes, dims, last, slot);
        match &mut self.exact {
            Exact::None => {}
            Exact::Half(halves) => move_row(halves, dims, last, slot),
            Exact::Full(values) => move_row(values, dims, last, slot),
        }
        if let Some(Some(moved)) = self.ids.get(slot) {
            self.listed.put(moved, slot as u32, &self.ids);
        }
        true
    }

    /// Drops the dead slots. Gives the new slot of each old one; the dead have none.
    pub(super) fn compact(&mut self) -> Vec<Option<u32>> {
        let mut moved = Vec::with_capacity(self.ids.len());
        let (mut next, dims) = (0_usize, self.dims);
        for old in 0..self.ids.len() {
            if self.ids.get(old).is_none_or(Option::is_none) {
                moved.push(None);
                continue;
            }
            self.ids.swap(next, old);
            self.keys.swap(next, old);
            self.scales.swap(next, old);
            copy_row(&mut self.codes, dims, old, next);
            match &mut self.exact {
                Exact::None => {}
                Exact::Half(halves) => copy_row(halves, dims, old, next),
                Exact::Full(values) => copy_row(values, dims, old, next),
            }
            moved.push(Some(next as u32));
            next += 1;
        }
        self.ids.truncate(next);
        self.keys.truncate(next);
        self.scales.truncate(next);
        self.codes.truncate(next * dims);
        match &mut self.exact {
            Exact::None => {}
            Exact::Half(halves) => halves.truncate(next * dims),
            Exact::Full(values) => values.truncate(next * dims),
        }
        self.relist();
        moved
    }

    /// Makes what finds ids from the list of ids.
    pub(super) fn relist(&mut self) {
        self.keys = self.ids.iter().map(|id| id.as_deref().map_or(0, key)).collect();
        self.listed = Listed::of(&self.ids);
    }

    fn codes_of(&self, slot: u32) -> &[i8] {
        self.codes.get(slot as usize * self.dims..(slot as usize + 1) * self.dims).unwrap_or_default()
    }

    /// Approximate score of a slot for a query, up to a factor that is the same for all slots.
    pub(super) fn near(&self, query: &Prepared, slot: u32) -> f32 {
        dot_i8(&query.codes, self.codes_of(slot)) as f32
            * self.scales.get(slot as usize).copied().unwrap_or(0.0)
    }

    /// Approximate cosine of two slots.
    pub(super) fn between(&self, a: u32, b: u32) -> f32 {
        let scale = |slot: u32| self.scales.get(slot as usize).copied().unwrap_or(0.0);
        dot_i8(self.codes_of(a), self.codes_of(b)) as f32 * scale(a) * scale(b)
    }

    fn exact(&self, query: &Prepared, slot: u32) -> f32 {
        let range = slot as usize * self.dims..(slot as usize + 1) * self.dims;
        match &self.exact {
            Exact::Half(halves) => dot_half(&query.unit, halves.get(range).unwrap_or_default()),
            Exact::Full(values) => dot_f32(&query.unit, values.get(range).unwrap_or_default()),
            Exact::None => {
                let scale = self.scales.get(slot as usize).copied().unwrap_or(0.0);
                let row = self.codes_of(slot).iter();
                query.unit.iter().zip(row).map(|(q, c)| q * f32::from(*c)).sum::<f32>() * scale
            }
        }
    }

    /// The vector of an id, as exactly as it is kept.
    pub(super) fn vector(&self, id: &str) -> Option<Vec<f32>> {
        let slot = self.slot(id)?;
        let range = slot as usize * self.dims..(slot as usize + 1) * self.dims;
        Some(match &self.exact {
            Exact::Half(halves) => halves.get(range)?.iter().map(|h| from_half(*h)).collect(),
            Exact::Full(values) => values.get(range)?.to_vec(),
            Exact::None => {
                let scale = self.scales.get(slot as usize)?;
                self.codes_of(slot).iter().map(|c| f32::from(*c) * scale).collect()
            }
        })
    }

    /// The slots of the ids of a filter, in order.
    pub(super) fn within(&self, ids: &IdSet) -> Vec<u32> {
        self.listed.within(ids, self.slots())
    }

    /// The slots of a filter that may be among the best `k`, with approximate scores. Where it keeps few rows, looking each
    /// up costs less than asking every row.
    pub(super) fn scan_within(&self, query: &Prepared, ids: &IdSet, k: usize) -> Vec<(f32, u32)> {
        if ids.len() * LOOKED_UP > self.slots() {
            return self.scan(query, 0..self.slots() as u32, Some(ids), k);
        }
        let mut nearest = Nearest::new(candidates(k));
        for slot in self.within(ids) {
            let score = self.near(query, slot);
            if nearest.takes(score) {
                nearest.push(score, slot);
            }
        }
        nearest.found
    }

    /// The live slots of a range, and of a filter, that may be among the best `k`, with approximate scores.
    pub(super) fn scan(
        &self,
        query: &Prepared,
        slots: std::ops::Range<u32>,
        within: Option<&IdSet>,
        k: usize,
    ) -> Vec<(f32, u32)> {
        let range = slots.start as usize..slots.end as usize;
        let keys = self.keys.get(range.clone()).unwrap_or_default();
        let scales = self.scales.get(range.clone()).unwrap_or_default();
        let codes = self.codes.get(range.start * self.dims..range.end * self.dims).unwrap_or_default();
        let mut nearest = Nearest::new(candidates(k));
        for (((slot, codes), scale), key) in slots.zip(codes.chunks_exact(self.dims)).zip(scales).zip(keys) {
            if within.is_some_and(|ids| !ids.holds(*key)) {
                continue;
            }
            let score = dot_i8(&query.codes, codes) as f32 * scale;
            if nearest.takes(score) && self.is_live(slot) {
                nearest.push(score, slot);
            }
        }
        nearest.found
    }

    /// The best `k` of the candidates by exact score, best first, equal ones by id.
    pub(super) fn rescore(&self, query: &Prepared, mut found: Vec<(f32, u32)>, k: usize) -> Vec<Scored> {
        cut(&mut found, candidates(k));
        let mut hits: Vec<Scored> = found
            .into_iter()
            .filter(|(_, slot)| !self.is_zero(*slot))
            .filter_map(|(_, slot)| {
                let id = self.ids.get(slot as usize)?.as_ref()?;
                Some(Scored { id: Arc::clone(id), score: self.exact(query, slot).clamp(-1.0, 1.0) })
            })
            .collect();
        Scored::sort(&mut hits);
        hits.truncate(k);
        hits
    }
}

/// Rows of the int8 search that are compared exactly for `k` hits.
fn candidates(k: usize) -> usize {
    k.saturating_mul(CANDIDATES_PER_HIT).max(LEAST_CANDIDATES)
}

/// Keeps the best, of equal ones those with the lower slots.
fn cut(found: &mut Vec<(f32, u32)>, keep: usize) {
    if found.len() > keep {
        found.select_nth_unstable_by(keep, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        found.truncate(keep);
    }
}

/// The best of a scan: little more is held than is wanted, and most rows cost one comparison.
struct Nearest {
    found: Vec<(f32, u32)>,
    keep: usize,
    /// What a row must exceed, once enough are found.
    least: f32,
}

impl Nearest {
    fn new(keep: usize) -> Self {
        Self { found: Vec::new(), keep, least: f32::NEG_INFINITY }
    }

    fn takes(&self, score: f32) -> bool {
        score > self.least
    }

    fn push(&mut self, score: f32, slot: u32) {
        self.found.push((score, slot));
        if self.found.len() >= self.keep.saturating_mul(2) {
            cut(&mut self.found, self.keep);
            self.least = self.found.iter().map(|(score, _)| *score).fold(f32::INFINITY, f32::min);
        }
    }
}

/// Adds a row at the end. Room is made for an eighth more when there is none: a vector that doubles would hold the memory
/// of a whole index in vain.
fn append<T: Copy>(values: &mut Vec<T>, row: &[T]) {
    if values.capacity() - values.len() < row.len() {
        values.reserve_exact(row.len().max(values.len() / 8));
    }
    values.extend_from_slice(row);
}

fn move_row<T: Copy>(values: &mut Vec<T>, dims: usize, from: usize, to: usize) {
    copy_row(values, dims, from, to);
    values.truncate(from * dims);
}

fn copy_row<T: Copy>(values: &mut [T], dims: usize, from: usize, to: usize) {
    if from != to && (from.max(to) + 1) * dims <= values.len() {
        values.copy_within(from * dims..(from + 1) * dims, to * dims);
    }
}

/// A vector of the right length with finite numbers, or `InvalidInput`.
pub(super) fn check(operation: &'static str, vector: &[f32], dims: usize) -> Result<()> {
    check_dims(operation, vector.len(), dims)?;
    if vector.iter().all(|v| v.is_finite()) {
        return Ok(());
    }
    Err(Error::invalid(operation, "vector", "expected finite numbers"))
}

/// The vector scaled to length 1; zeros stay zeros.
pub(super) fn unit(vector: &[f32]) -> Vec<f32> {
    let norm = vector.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>().sqrt();
    let scale = if norm > 0.0 { 1.0 / norm } else { 0.0 };
    vector.iter().map(|v| (f64::from(*v) * scale) as f32).collect()
}

/// Values as whole numbers of -127..=127 and what one of them is worth.
///
/// In forms that are computed in wide registers: the largest by its bits, which order numbers without a sign as their values
/// do, and the nearest whole number by a sum with 1.5 * 2^23, which leaves it in the lowest bits.
pub(super) fn quantise(vector: &[f32]) -> (Vec<i8>, f32) {
    const WHOLE: f32 = 12_582_912.0;
    let largest = vector.iter().map(|v| v.to_bits() & 0x7fff_ffff).max().map_or(0.0, f32::from_bits);
    if largest == 0.0 {
        return (vec![0; vector.len()], 0.0);
    }
    let scale = largest / 127.0;
    (vector.iter().map(|v| (v / scale + WHOLE).to_bits() as i8).collect(), scale)
}
