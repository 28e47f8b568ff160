//! Components: the sets of people that active merges join. A merge moves nothing, so that undoing it is taking
//! one edge away and looking again.

use std::collections::BTreeMap;

use neonhub_core::Timestamp;

use crate::people::PersonId;

/// An active merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// One side.
    pub a: PersonId,
    /// The other side.
    pub b: PersonId,
    /// When they were merged.
    pub at: Timestamp,
}

/// A component of the merge graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Its people, by id.
    pub members: Vec<PersonId>,
    /// The latest merge inside.
    pub merged_at: Timestamp,
}

/// The components with two or more people, ordered by their smallest id. Union-find over the edges: any order of
/// the same edges gives the same answer (people.md 3 rule 3).
#[must_use]
pub fn components(edges: &[Edge]) -> Vec<Joined> {
    let mut parents: BTreeMap<&PersonId, &PersonId> = BTreeMap::new();
    for edge in edges {
        let (a, b) = (root(&mut parents, &edge.a), root(&mut parents, &edge.b));
        // The smaller id is the root, so that a root is a stable name of its component.
        let (low, high) = if a < b { (a, b) } else { (b, a) };
        parents.insert(high, low);
        parents.insert(low, low);
    }
    let mut joined: BTreeMap<&PersonId, Joined> = BTreeMap::new();
    let people: Vec<&PersonId> = parents.keys().copied().collect();
    for person in people {
        let root = root(&mut parents, person);
        let new = || Joined { members: Vec::new(), merged_at: Timestamp::EPOCH };
        joined.entry(root).or_insert_with(new).members.push(person.clone());
    }
    for edge in edges {
        let root = root(&mut parents, &edge.a);
        if let Some(component) = joined.get_mut(root) {
            component.merged_at = component.merged_at.max(edge.at);
        }
    }
    joined.into_values().filter(|j| j.members.len() > 1).collect()
}

fn root<'a>(parents: &mut BTreeMap<&'a PersonId, &'a PersonId>, person: &'a PersonId) -> &'a PersonId {
    let mut at = person;
    while let Some(&up) = parents.get(at) {
        if up == at {
            break;
        }
        at = up;
    }
    parents.insert(person, at);
    at
}

/// The oldest, then the smallest id (people.md 3, step 6).
pub fn survivor_of<'a>(people: impl IntoIterator<Item = (&'a PersonId, Timestamp)>) -> Option<&'a PersonId> {
    people.into_iter().min_by_key(|(id, created_at)| (*created_at, *id)).map(|(id, _)| id)
}
