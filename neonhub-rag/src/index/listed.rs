//! From ids to the slots of a vector index.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use super::IdSet;
use super::ids::{Key, key};

/// The slot of each id, by the short form that filters name too.
#[derive(Clone, Debug, Default)]
pub(super) struct Listed {
    slots: HashMap<u64, u32, BuildHasherDefault<Key>>,
    /// Ids whose short form is that of another one.
    twins: BTreeMap<Arc<str>, u32>,
}

impl Listed {
    /// Lists the ids of slots.
    pub(super) fn of(ids: &[Option<Arc<str>>]) -> Self {
        let mut out = Self::default();
        out.slots.reserve(ids.len());
        for (slot, id) in (0..).zip(ids) {
            if let Some(id) = id {
                out.put(id, slot, ids);
            }
        }
        out
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() + self.twins.len()
    }

    /// The slot of an id; `ids` are those of the slots.
    pub(super) fn get(&self, id: &str, ids: &[Option<Arc<str>>]) -> Option<u32> {
        let slot = self.slots.get(&key(id)).copied().filter(|slot| is_at(id, *slot, ids));
        slot.or_else(|| self.twins.get(id).copied())
    }

    /// Lists an id that is not listed yet, or stands in another slot now.
    pub(super) fn put(&mut self, id: &Arc<str>, slot: u32, ids: &[Option<Arc<str>>]) {
        let has_twin =
            |at: u32| ids.get(at as usize).is_some_and(|own| own.as_ref().is_some_and(|own| own != id));
        let is_twin = self.twins.contains_key(id) || self.slots.get(&key(id)).is_some_and(|at| has_twin(*at));
        if is_twin {
            self.twins.insert(Arc::clone(id), slot);
        } else {
            self.slots.insert(key(id), slot);
        }
    }

    pub(super) fn remove(&mut self, id: &str, ids: &[Option<Arc<str>>]) -> Option<u32> {
        let slot = self.get(id, ids)?;
        if self.twins.remove(id).is_none() {
            self.slots.remove(&key(id));
        }
        Some(slot)
    }

    /// The slots of a set among so many, in order.
    pub(super) fn within(&self, ids: &IdSet, slots: usize) -> Vec<u32> {
        let twins = self.twins.iter().filter(|(id, _)| ids.contains(id)).map(|(_, slot)| *slot);
        let found = ids.keys().filter_map(|key| self.slots.get(&key).copied()).chain(twins);
        // One bit for each slot brings them in order at less cost than sorting.
        let mut marks = vec![0_u64; slots.div_ceil(64)];
        for slot in found {
            if let Some(mark) = marks.get_mut(slot as usize / 64) {
                *mark |= 1 << (slot % 64);
            }
        }
        let mut out = Vec::with_capacity(ids.len());
        for (first, mut mark) in (0..).step_by(64).zip(marks) {
            while mark != 0 {
                out.push(first + mark.trailing_zeros());
                mark &= mark - 1;
            }
        }
        out
    }
}

fn is_at(id: &str, slot: u32, ids: &[Option<Arc<str>>]) -> bool {
    ids.get(slot as usize).is_some_and(|own| own.as_deref() == Some(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_ids_of_one_short_form_are_told_apart() {
        let mut ids: Vec<Option<Arc<str>>> = ["a", "b"].map(|id| Some(id.into())).into();
        let mut listed = Listed::of(&ids);
        // As if `z` had the short form of `a`.
        let z: Arc<str> = "z".into();
        listed.slots.insert(key("z"), 0);
        ids.push(Some(Arc::clone(&z)));
        listed.put(&z, 2, &ids);
        assert_eq!(listed.get("z", &ids), Some(2));
        assert_eq!(listed.get("a", &ids), Some(0));
        let both: IdSet = ["z", "b"].map(Arc::from).into();
        assert_eq!(
            listed.within(&both, 3),
            [0, 1, 2],
            "a set says short forms: what they mean is asked later"
        );

        listed.put(&z, 1, &ids);
        assert_eq!(listed.get("z", &ids), Some(1), "it moved");
        assert_eq!(listed.remove("z", &ids), Some(1));
        assert_eq!((listed.get("z", &ids), listed.get("a", &ids)), (None, Some(0)));
        assert_eq!((listed.remove("b", &ids), listed.remove("b", &ids)), (Some(1), None));
        assert_eq!(listed.get("c", &ids), None);
    }
}
