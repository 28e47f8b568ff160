//! Where a running import lays its pages for the operations that commit them: rows do not go through the door as
//! JSON a second time. Two pages are in work at once, one being made while the other is written; they commit in
//! their order.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use neonhub_core::Seed;
use tokio::sync::watch;

use super::read::MadeRow;
use crate::people::ImportId;
use crate::people::PersonId;

/// The imports in work in this process.
#[derive(Debug, Default)]
pub struct Desk(Mutex<BTreeMap<ImportId, Place>>);

#[derive(Debug)]
struct Place {
    seed: Seed,
    pages: BTreeMap<u64, Arc<Vec<MadeRow>>>,
    /// 64 bits of each person met: 8 MB for a million people.
    people: HashSet<u64>,
    /// The page whose turn it is to commit; `None` when the import stopped.
    turn: watch::Sender<Option<u64>>,
}

/// A page of an import in work.
#[derive(Clone, Debug)]
pub(super) struct LaidPage {
    pub(super) rows: Arc<Vec<MadeRow>>,
    pub(super) seed: Seed,
}

impl Desk {
    fn with<T>(&self, import: &ImportId, act: impl FnOnce(&mut Place) -> T) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(import).map(act)
    }

    /// Begins an import whose next page is `page`; false when it is in work already.
    pub(super) fn begin(&self, import: &ImportId, page: u64, seed: Seed) -> bool {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if places.contains_key(import) {
            return false;
        }
        let (turn, _) = watch::channel(Some(page));
        let place = Place { seed, pages: BTreeMap::new(), people: HashSet::new(), turn };
        places.insert(import.clone(), place);
        true
    }

    /// Ends an import; pages that wait for their turn give up.
    pub(super) fn end(&self, import: &ImportId) {
        if let Some(place) = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(import) {
            place.turn.send_replace(None);
        }
    }

    pub(super) fn lay(&self, import: &ImportId, page: u64, rows: Vec<MadeRow>) {
        self.with(import, |p| p.pages.insert(page, Arc::new(rows)));
    }

    /// A page that is laid out. It stays for a repeat after a lost race.
    pub(super) fn page(&self, import: &ImportId, page: u64) -> Option<LaidPage> {
        self.with(import, |p| {
            p.pages.get(&page).map(|rows| LaidPage { rows: Arc::clone(rows), seed: p.seed })
        })
        .flatten()
    }

    /// Waits until the pages before are committed; false when the import stopped.
    pub(super) async fn wait_turn(&self, import: &ImportId, page: u64) -> bool {
        let Some(mut turn) = self.with(import, |p| p.turn.subscribe()) else { return false };
        match turn.wait_for(|t| t.is_none_or(|t| t >= page)).await {
            Ok(turn) => *turn == Some(page),
            Err(_) => false,
        }
    }

    /// A page is committed: its people are met, and it is the turn of the next one.
    pub(super) fn committed<'a>(
        &self,
        import: &ImportId,
        page: u64,
        people: impl Iterator<Item = &'a PersonId>,
        absorbed: impl Iterator<Item = &'a PersonId>,
    ) {
        self.with(import, |p| {
            p.pages.remove(&page);
            p.meet(people, absorbed);
            p.turn.send_replace(Some(page + 1));
        });
    }

    /// Notes people as met.
    pub(super) fn meet<'a>(&self, import: &ImportId, people: impl Iterator<Item = &'a PersonId>) {
        self.with(import, |p| p.meet(people, std::iter::empty()));
    }

    /// Counts the people met so far together with these.
    pub(super) fn count_with<'a>(
        &self,
        import: &ImportId,
        people: impl Iterator<Item = &'a PersonId>,
        absorbed: impl Iterator<Item = &'a PersonId>,
    ) -> u64 {
        let gone: HashSet<u64> = absorbed.map(tag).collect();
        let fresh: HashSet<u64> = people.map(tag).filter(|t| !gone.contains(t)).collect();
        let count = |p: &mut Place| {
            let known = p.people.len() - gone.iter().filter(|t| p.people.contains(t)).count();
            (known + fresh.iter().filter(|t| !p.people.contains(t)).count()) as u64
        };
        self.with(import, count).unwrap_or(fresh.len() as u64)
    }
}

impl Place {
    fn meet<'a>(
        &mut self,
        people: impl Iterator<Item = &'a PersonId>,
        absorbed: impl Iterator<Item = &'a PersonId>,
    ) {
        self.people.extend(people.map(tag));
        for gone in absorbed.map(tag) {
            self.people.remove(&gone);
        }
    }
}

fn tag(person: &PersonId) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    person.hash(&mut hasher);
    hasher.finish()
}
