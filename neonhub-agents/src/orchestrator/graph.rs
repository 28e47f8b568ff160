//! The graph of a plan: who comes before whom.

use std::collections::{BTreeMap, BTreeSet};

use super::model::AgentPlan;
use super::reference;

/// The nodes that each node waits for, by index: those it names and those its input refers to. Unknown ones are left
/// out; the check of the plan names them.
pub(super) fn needs(plan: &AgentPlan) -> Vec<Vec<usize>> {
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for (i, node) in plan.nodes.iter().enumerate() {
        // Of two nodes with one id the first is meant; the check of the plan refuses both.
        places.entry(&node.id).or_insert(i);
    }
    plan.nodes
        .iter()
        .map(|node| {
            let mut before: BTreeSet<&str> = node.depends_on.iter().map(String::as_str).collect();
            let named = reference::nodes(&node.input);
            before.extend(named.iter().map(String::as_str));
            before.iter().filter_map(|id| places.get(id).copied()).collect()
        })
        .collect()
}

/// Nodes in steps: each step holds what can begin once the steps before it have ended. The second list is what can
/// never begin, since it waits for itself.
pub(super) fn steps(needs: &[Vec<usize>]) -> (Vec<Vec<usize>>, Vec<usize>) {
    let mut steps: Vec<Vec<usize>> = Vec::new();
    let mut done: BTreeSet<usize> = BTreeSet::new();
    loop {
        let is_ready = |(i, before): &(usize, &Vec<usize>)| {
            !done.contains(i) && before.iter().all(|need| done.contains(need))
        };
        let ready: Vec<usize> = needs.iter().enumerate().filter(is_ready).map(|(i, _)| i).collect();
        if ready.is_empty() {
            break;
        }
        done.extend(&ready);
        steps.push(ready);
    }
    let stuck = (0..needs.len()).filter(|i| !done.contains(i)).collect();
    (steps, stuck)
}

/// One circle among nodes that can never begin, as indices with the first again at the end.
pub(super) fn circle(needs: &[Vec<usize>], stuck: &[usize]) -> Vec<usize> {
    let Some(first) = stuck.first() else { return Vec::new() };
    let mut path = vec![*first];
    // Each node that is stuck waits for another one that is, so the walk comes round.
    while let Some(here) = path.last() {
        let next = needs.get(*here).and_then(|before| before.iter().find(|need| stuck.contains(need)));
        let Some(next) = next else { break };
        if let Some(from) = path.iter().position(|seen| seen == next) {
            let mut circle = path.split_off(from);
            circle.push(*next);
            return circle;
        }
        path.push(*next);
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_hold_what_can_begin_together() {
        let (found, stuck) = steps(&[vec![], vec![0], vec![0], vec![1, 2], vec![]]);
        assert_eq!(found, [vec![0, 4], vec![1, 2], vec![3]]);
        assert!(stuck.is_empty());
    }

    #[test]
    fn a_circle_is_found_behind_what_waits_for_it() {
        let needs = [vec![1], vec![2], vec![3], vec![1], vec![]];
        let (_, stuck) = steps(&needs);
        assert_eq!(stuck, [0, 1, 2, 3]);
        assert_eq!(circle(&needs, &stuck), [1, 2, 3, 1]);
        assert_eq!(circle(&[vec![0]], &[0]), [0, 0]);
    }
}
