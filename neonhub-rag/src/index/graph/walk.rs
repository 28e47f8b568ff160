//! Walks over a graph: finding, linking, and closing the gaps of the dead.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::super::rows::{Prepared, Rows};
use super::links::Links;

/// A slot with its score, ordered by score and then by the smaller slot.
#[derive(Clone, Copy, Debug)]
struct Near {
    score: f32,
    slot: u32,
}

impl Ord for Near {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then_with(|| other.slot.cmp(&self.slot))
    }
}

impl PartialOrd for Near {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Near {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Near {}

/// A set of slots, one bit each.
#[derive(Debug)]
pub(super) struct Slots(Vec<u64>);

impl Slots {
    fn none(rows: &Rows) -> Self {
        Self(vec![0; rows.slots().div_ceil(64)])
    }

    pub(super) fn of(slots: impl Iterator<Item = u32>, rows: &Rows) -> Self {
        let mut out = Self::none(rows);
        for slot in slots {
            out.insert(slot);
        }
        out
    }

    pub(super) fn holds(&self, slot: u32) -> bool {
        self.0.get(slot as usize / 64).is_some_and(|bits| bits >> (slot % 64) & 1 == 1)
    }

    /// Puts a slot in; true when it was not there.
    fn insert(&mut self, slot: u32) -> bool {
        let Some(bits) = self.0.get_mut(slot as usize / 64) else { return false };
        let is_new = *bits >> (slot % 64) & 1 == 0;
        *bits |= 1 << (slot % 64);
        is_new
    }
}

/// The `width` nearest live, allowed slots to a query, best first.
pub(super) fn nearest(
    rows: &Rows,
    links: &Links,
    query: &Prepared,
    width: usize,
    is_allowed: &dyn Fn(u32) -> bool,
) -> Vec<(f32, u32)> {
    let score = |slot: u32| rows.near(query, slot);
    let Some(start) = descend(links, &score, 0) else { return Vec::new() };
    let found = walk(rows, links, &score, start, width, 0, &|slot| rows.is_live(slot) && is_allowed(slot));
    found.into_iter().map(|near| (near.score, near.slot)).collect()
}

/// From the entry down to above `level`, always to the nearest neighbour.
fn descend(links: &Links, score: &impl Fn(u32) -> f32, level: u8) -> Option<Near> {
    let entry = links.entry?;
    let mut at = Near { score: score(entry), slot: entry };
    for level in (level + 1..=links.level(entry)?).rev() {
        loop {
            let near = links.of(at.slot, level).iter().map(|slot| Near { score: score(*slot), slot: *slot });
            match near.max().filter(|best| *best > at) {
                Some(best) => at = best,
                None => break,
            }
        }
    }
    Some(at)
}

/// Best-first search on one level; gives the `width` best slots that count, best first.
fn walk(
    rows: &Rows,
    links: &Links,
    score: &impl Fn(u32) -> f32,
    start: Near,
    width: usize,
    level: u8,
    counts: &impl Fn(u32) -> bool,
) -> Vec<Near> {
    let mut seen = Slots::none(rows);
    seen.insert(start.slot);
    let mut open = BinaryHeap::from([start]);
    let mut best: BinaryHeap<Reverse<Near>> = BinaryHeap::new();
    if counts(start.slot) {
        best.push(Reverse(start));
    }
    while let Some(at) = open.pop() {
        let worst = best.peek().map(|worst| worst.0);
        if best.len() >= width && worst.is_some_and(|worst| at < worst) {
            break;
        }
        for slot in links.of(at.slot, level) {
            if !seen.insert(*slot) {
                continue;
            }
            let near = Near { score: score(*slot), slot: *slot };
            if best.len() >= width && best.peek().is_some_and(|worst| near < worst.0) {
                continue;
            }
            open.push(near);
            if counts(*slot) {
                best.push(Reverse(near));
                if best.len() > width {
                    best.pop();
                }
            }
        }
    }
    best.into_sorted_vec().into_iter().map(|near| near.0).collect()
}

/// Links the next slot on its levels.
pub(super) fn link(rows: &Rows, links: &mut Links, slot: u32, level: u8, width: usize) {
    links.push(Some(level));
    let score = |other: u32| rows.between(slot, other);
    let top = links.entry.and_then(|entry| links.level(entry));
    let (Some(top), Some(mut at)) = (top, descend(links, &score, level)) else {
        links.entry = Some(slot);
        return;
    };
    for level in (0..=level.min(top)).rev() {
        // The dead are fine as stepping stones and no good as neighbours.
        let found = walk(rows, links, &score, at, width, level, &|other| rows.is_live(other));
        at = found.first().copied().unwrap_or(at);
        let chosen = spread(rows, found, links.width());
        links.set(slot, level, &chosen);
        for other in chosen {
            link_back(rows, links, other, slot, level);
        }
    }
    if level > top {
        links.entry = Some(slot);
    }
}

fn link_back(rows: &Rows, links: &mut Links, from: u32, to: u32, level: u8) {
    let mut list = links.of(from, level).to_vec();
    list.push(to);
    if list.len() > links.most(level) {
        list = spread(rows, sorted(rows, from, &list), links.most(level));
    }
    links.set(from, level, &list);
}

/// Slots by their score to another one, best first.
fn sorted(rows: &Rows, to: u32, list: &[u32]) -> Vec<Near> {
    let mut out: Vec<Near> =
        list.iter().map(|slot| Near { score: rows.between(to, *slot), slot: *slot }).collect();
    out.sort_unstable_by(|a, b| b.cmp(a));
    out
}

/// Chooses neighbours that lie in different directions: one that is nearer to a chosen one than to the centre is
/// reached through it. Places that stay free go to the nearest of those passed over.
// Malkov and Yashunin 2016, algorithm 4.
fn spread(rows: &Rows, near: Vec<Near>, most: usize) -> Vec<u32> {
    let mut chosen: Vec<u32> = Vec::with_capacity(most);
    let mut passed: Vec<u32> = Vec::new();
    for Near { score, slot } in near {
        if chosen.len() == most {
            break;
        }
        if chosen.iter().any(|other| rows.between(slot, *other) > score) {
            passed.push(slot);
        } else {
            chosen.push(slot);
        }
    }
    let free = most.saturating_sub(chosen.len());
    chosen.extend(passed.into_iter().take(free));
    chosen
}

/// Replaces each link to a dead slot by the links of the dead one, as far as they serve.
// As FreshDiskANN does (Singh et al. 2021, algorithm 4).
pub(super) fn bypass_dead(rows: &Rows, links: &mut Links) {
    for slot in 0..links.len() as u32 {
        let Some(top) = links.level(slot).filter(|_| rows.is_live(slot)) else { continue };
        for level in 0..=top {
            let list = links.of(slot, level);
            if list.iter().all(|other| rows.is_live(*other)) {
                continue;
            }
            let mut near: Vec<u32> = Vec::new();
            for other in list {
                if rows.is_live(*other) {
                    near.push(*other);
                } else {
                    near.extend(links.of(*other, level).iter().filter(|s| rows.is_live(**s) && **s != slot));
                }
            }
            near.sort_unstable();
            near.dedup();
            let chosen = spread(rows, sorted(rows, slot, &near), links.most(level));
            links.set(slot, level, &chosen);
        }
    }
}
