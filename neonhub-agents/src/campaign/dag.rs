//! The graph of a plan: what may stand in it and in which order it runs.

use std::collections::BTreeMap;

use neonhub_core::{Faults, Result};

use super::PlanStep;
use super::near::nearest;

/// The most steps of a plan and the longest chain of dependencies (ours).
pub(super) const MAX_STEPS: usize = 200;
pub(super) const MAX_DEPTH: usize = 16;

/// The steps as indices, each after all it depends on; equal ones in the order they are written.
///
/// # Errors
/// `InvalidInput` that lists every fault: too many steps, doubled keys, unknown dependencies, then the path of
/// a cycle or a chain that is too long.
pub(super) fn order(steps: &[PlanStep]) -> Result<Vec<usize>> {
    let mut faults = Faults::new();
    faults.check(steps.len() <= MAX_STEPS, "steps", format!("has {}, at most {MAX_STEPS} fit", steps.len()));
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for (i, step) in steps.iter().enumerate() {
        if let Some(first) = places.get(step.key.as_str()) {
            faults
                .push(format!("steps[{i}].key"), format!("{:?} is the key of steps[{first}] too", step.key));
        } else {
            places.insert(&step.key, i);
        }
    }
    let needs = dependencies(steps, &places, &mut faults);
    faults.into_result("campaign.plan")?;
    sorted(steps, &needs)
}

fn dependencies(steps: &[PlanStep], places: &BTreeMap<&str, usize>, faults: &mut Faults) -> Vec<Vec<usize>> {
    let keys: Vec<&str> = places.keys().copied().collect();
    let mut needs = Vec::with_capacity(steps.len());
    for (i, step) in steps.iter().enumerate() {
        let mut mine = Vec::new();
        for (j, key) in step.depends_on.iter().enumerate() {
            match places.get(key.as_str()) {
                Some(place) => mine.push(*place),
                None => {
                    let hint = nearest(key, &keys).map_or(String::new(), |k| format!(", did you mean {k:?}"));
                    faults.push(format!("steps[{i}].depends_on[{j}]"), format!("{key:?} is no step{hint}"));
                }
            }
        }
        needs.push(mine);
    }
    needs
}

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    New,
    Open,
    Done,
}

/// Depth-first walk with its own stack: a plan of 200 steps must not depend on the size of the thread's.
struct Walk<'a> {
    needs: &'a [Vec<usize>],
    marks: Vec<Mark>,
    depths: Vec<usize>,
    done: Vec<usize>,
}

impl Walk<'_> {
    /// Visits `start` and all it needs; gives the cycle it runs into, if there is one.
    fn visit(&mut self, start: usize) -> Option<Vec<usize>> {
        let mut path = vec![(start, 0)];
        self.mark(start, Mark::Open);
        while let Some((step, next)) = path.last_mut() {
            let (here, at) = (*step, *next);
            *next += 1;
            match self.needs.get(here).and_then(|n| n.get(at)).copied() {
                None => {
                    path.pop();
                    self.close(here);
                }
                Some(need) => match self.marks.get(need).copied().unwrap_or(Mark::Done) {
                    Mark::Done => {}
                    Mark::New => {
                        self.mark(need, Mark::Open);
                        path.push((need, 0));
                    }
                    Mark::Open => {
                        let mut cycle: Vec<_> =
                            path.iter().map(|(s, _)| *s).skip_while(|s| *s != need).collect();
                        cycle.push(need);
                        return Some(cycle);
                    }
                },
            }
        }
        None
    }

    fn mark(&mut self, step: usize, mark: Mark) {
        if let Some(slot) = self.marks.get_mut(step) {
            *slot = mark;
        }
    }

    fn close(&mut self, step: usize) {
        self.mark(step, Mark::Done);
        let below = self.needs.get(step).into_iter().flatten();
        let depth = below.filter_map(|n| self.depths.get(*n)).max().map_or(1, |d| d + 1);
        if let Some(slot) = self.depths.get_mut(step) {
            *slot = depth;
        }
        self.done.push(step);
    }
}

fn sorted(steps: &[PlanStep], needs: &[Vec<usize>]) -> Result<Vec<usize>> {
    let count = steps.len();
    let mut walk = Walk {
        needs,
        marks: vec![Mark::New; count],
        depths: vec![0; count],
        done: Vec::with_capacity(count),
    };
    let mut faults = Faults::new();
    for start in 0..count {
        if walk.marks.get(start) != Some(&Mark::New) {
            continue;
        }
        if let Some(cycle) = walk.visit(start) {
            let names: Vec<_> = cycle.iter().filter_map(|i| steps.get(*i)).map(|s| s.key.as_str()).collect();
            faults.push("steps", format!("depend on each other in a circle: {}", names.join(" -> ")));
            break;
        }
    }
    if faults.is_empty()
        && let Some(deepest) = walk.depths.iter().max().filter(|d| **d > MAX_DEPTH)
    {
        faults
            .push("steps", format!("hold a chain of {deepest}, at most {MAX_DEPTH} may wait for each other"));
    }
    faults.into_result("campaign.plan")?;
    Ok(walk.done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::{StepEffect, StepKind, StepParams};

    fn step(key: &str, depends_on: &[&str]) -> PlanStep {
        PlanStep {
            key: key.into(),
            kind: StepKind::Asset,
            agent: "content".into(),
            intent: "outline".into(),
            title: String::new(),
            depends_on: depends_on.iter().map(|d| (*d).to_owned()).collect(),
            at: None,
            params: StepParams::default(),
            effect: StepEffect::Pure,
            undo: None,
            est_cost: None,
            est_duration_ms: 0,
        }
    }

    fn message(steps: &[PlanStep]) -> String {
        order(steps).unwrap_err().message().to_owned()
    }

    #[test]
    fn each_step_comes_after_what_it_needs() {
        let steps = [step("c", &["a", "b"]), step("a", &[]), step("b", &["a"]), step("d", &[])];
        assert_eq!(order(&steps).unwrap(), [1, 2, 0, 3]);
    }

    #[test]
    fn cycle_is_named_by_its_path() {
        let steps = [step("x", &["a"]), step("a", &["b"]), step("b", &["c"]), step("c", &["a"])];
        assert!(message(&steps).contains("a -> b -> c -> a"));
        assert!(message(&[step("a", &["a"])]).contains("a -> a"));
    }

    #[test]
    fn unknown_dependencies_and_doubled_keys_are_listed_together() {
        let err = order(&[step("send.email.1", &[]), step("b", &["send.emial.1"]), step("b", &["zz"])])
            .unwrap_err();
        let fields: Vec<_> = err.field_faults().iter().map(|f| f.field.as_str()).collect();
        assert_eq!(fields, ["steps[2].key", "steps[1].depends_on[0]", "steps[2].depends_on[0]"]);
        assert!(err.message().contains("did you mean \"send.email.1\""));
    }

    #[test]
    fn size_and_depth_are_bounded() {
        let flat: Vec<_> = (0..=MAX_STEPS).map(|i| step(&format!("s{i}"), &[])).collect();
        assert!(message(&flat).contains("201"));
        assert!(order(&flat[..MAX_STEPS]).is_ok());
        let chain =
            |n: usize| -> Vec<PlanStep> {
                (0..n)
                    .map(|i| {
                        if i == 0 {
                            step("s0", &[])
                        } else {
                            step(&format!("s{i}"), &[&format!("s{}", i - 1)])
                        }
                    })
                    .collect()
            };
        assert!(order(&chain(MAX_DEPTH)).is_ok());
        assert!(message(&chain(MAX_DEPTH + 1)).contains("chain of 17"));
    }
}
