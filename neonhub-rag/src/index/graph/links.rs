//! The links of a graph, in flat memory on the ground and sparse above it.

use std::collections::BTreeMap;

/// Level of a slot that is not in the graph: a dead or zero vector.
const NO_LEVEL: u8 = u8::MAX;

/// Neighbours of each slot by level.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Links {
    width: usize,
    pub(in super::super) levels: Vec<u8>,
    /// Number of links on the ground by slot.
    pub(in super::super) counts: Vec<u8>,
    /// Links on the ground: `2 * width` places per slot.
    pub(in super::super) ground: Vec<u32>,
    /// Links on level 1 and up, of the slots that have one.
    pub(in super::super) upper: BTreeMap<u32, Vec<Vec<u32>>>,
    /// Where every walk begins: a slot of the highest level.
    pub(in super::super) entry: Option<u32>,
}

impl Links {
    pub(in super::super) fn new(width: usize) -> Self {
        Self { width, ..Self::default() }
    }

    pub(in super::super) fn width(&self) -> usize {
        self.width
    }

    /// Slots that were taken in, with or without links.
    pub(super) fn len(&self) -> usize {
        self.levels.len()
    }

    /// Most links of a slot on a level.
    pub(super) fn most(&self, level: u8) -> usize {
        if level == 0 { self.width * 2 } else { self.width }
    }

    /// Takes the next slot in, without links yet.
    pub(super) fn push(&mut self, level: Option<u8>) {
        let slot = self.levels.len() as u32;
        self.levels.push(level.unwrap_or(NO_LEVEL));
        self.counts.push(0);
        self.ground.extend(std::iter::repeat_n(0, self.width * 2));
        if let Some(level) = level.filter(|l| *l > 0) {
            self.upper.insert(slot, vec![Vec::new(); usize::from(level)]);
        }
    }

    /// The level of a slot in the graph.
    pub(super) fn level(&self, slot: u32) -> Option<u8> {
        self.levels.get(slot as usize).copied().filter(|l| *l != NO_LEVEL)
    }

    pub(super) fn of(&self, slot: u32, level: u8) -> &[u32] {
        if level > 0 {
            let list = self.upper.get(&slot).and_then(|lists| lists.get(usize::from(level) - 1));
            return list.map(Vec::as_slice).unwrap_or_default();
        }
        let start = slot as usize * self.width * 2;
        let count = self.counts.get(slot as usize).copied().map_or(0, usize::from);
        self.ground.get(start..start + count).unwrap_or_default()
    }

    pub(super) fn set(&mut self, slot: u32, level: u8, links: &[u32]) {
        let links = links.get(..self.most(level).min(links.len())).unwrap_or_default();
        if level > 0 {
            if let Some(list) = self.upper.get_mut(&slot).and_then(|l| l.get_mut(usize::from(level) - 1)) {
                list.clear();
                list.extend_from_slice(links);
            }
            return;
        }
        let start = slot as usize * self.width * 2;
        if let Some(places) = self.ground.get_mut(start..start + links.len()) {
            places.copy_from_slice(links);
        }
        if let Some(count) = self.counts.get_mut(slot as usize) {
            *count = links.len() as u8;
        }
    }

    /// Gives every slot its new number; slots without one leave.
    pub(super) fn renumber(&mut self, moved: &[Option<u32>]) {
        let old = std::mem::replace(self, Links::new(self.width));
        let new_of = |slot: u32| moved.get(slot as usize).copied().flatten();
        for slot in 0..old.len() as u32 {
            if new_of(slot).is_none() {
                continue;
            }
            let level = old.level(slot);
            let new = self.len() as u32;
            self.push(level);
            for level in level.map_or(0..0, |l| 0..l + 1) {
                let links: Vec<u32> = old.of(slot, level).iter().filter_map(|s| new_of(*s)).collect();
                self.set(new, level, &links);
            }
        }
        self.entry = old.entry.and_then(new_of).or_else(|| self.highest());
    }

    /// The first slot of the highest level.
    pub(super) fn highest(&self) -> Option<u32> {
        let linked = (0..self.len() as u32).filter_map(|slot| Some((self.level(slot)?, slot)));
        linked.max_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1))).map(|(_, slot)| slot)
    }
}
