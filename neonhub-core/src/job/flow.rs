//! Flows: jobs that wait for other jobs.

use std::collections::{BTreeMap, BTreeSet};

use super::finish::{event, note_history};
use super::{Job, JobEdge, JobSpec, JobState, OnChildFailure};
use crate::store::{Key, Query, Stored};
use crate::{Error, Result, Scope};

/// Most jobs of a flow, and most levels.
// Our choice: a flow is made in one commit.
const MAX_NODES: usize = 10_000;
const MAX_DEPTH: usize = 16;
/// Children read at once.
const PAGE: usize = 500;

/// One job of a flow.
#[derive(Clone, Debug)]
pub struct FlowNode {
    /// Its word in the flow.
    pub key: String,
    /// What it is.
    pub spec: JobSpec,
    /// Words of the jobs it waits for.
    pub after: Vec<String>,
}

impl Scope {
    /// Stages the jobs of a flow, in the order given. Jobs that wait for others are blocked until those end.
    /// Gives the id of the flow and its jobs.
    ///
    /// # Errors
    /// `InvalidInput` for a doubled or unknown word, a cycle (naming it), over 10 000 jobs or 16 levels; as
    /// [`enqueue`](Self::enqueue).
    pub fn enqueue_flow(&self, nodes: Vec<FlowNode>) -> Result<(String, Vec<Job>)> {
        let places = check(self, &nodes)?;
        let flow = self.new_id("flw");
        let after: Vec<Vec<usize>> = nodes
            .iter()
            .map(|n| n.after.iter().filter_map(|key| places.get(key.as_str()).copied()).collect())
            .collect();
        let mut jobs = Vec::with_capacity(nodes.len());
        for node in nodes {
            let queue = self.queue_named(&node.spec.queue)?;
            let mut job = node.spec.make(self, &queue)?;
            job.flow_id = Some(flow.clone());
            jobs.push(job);
        }
        let ids: Vec<String> = jobs.iter().map(|j| j.id.clone()).collect();
        for (parent, children) in after.iter().enumerate() {
            let Some(parent_id) = ids.get(parent) else { continue };
            for place in children {
                let Some(child) = jobs.get_mut(*place) else { continue };
                if child.parent_id.is_none() {
                    child.parent_id = Some(parent_id.clone());
                } else {
                    child.more_parents.push(parent_id.clone());
                    let id = format!("{parent_id}>{}", child.id);
                    let edge = JobEdge { id, parent: parent_id.clone(), child: child.id.clone() };
                    self.put(&edge, crate::store::Expected::Absent)?;
                }
            }
            if let Some(job) = jobs.get_mut(parent).filter(|_| !children.is_empty()) {
                job.open_children = u32::try_from(children.len()).unwrap_or(u32::MAX);
                job.state = JobState::Blocked;
            }
        }
        for job in &jobs {
            self.stage_job(job)?;
        }
        Ok((flow, jobs))
    }

    /// One page of the children of a job with their results, for its handler.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn job_children(&self, parent: &str, limit: usize) -> Result<Vec<Job>> {
        let found = self.query::<Job>(&Query::index("parent").equals(Key::text(parent)).limit(limit)).await?;
        let mut children: Vec<Job> = found.into_iter().map(|j| j.body).collect();
        let edges = Query::index("parent").equals(Key::text(parent)).limit(limit);
        let more: Vec<String> =
            self.query::<JobEdge>(&edges).await?.into_iter().map(|e| e.body.child).collect();
        children.extend(self.get_many::<Job>(&more).await?.into_iter().flatten().map(|j| j.body));
        children.sort_by(|a, b| a.id.cmp(&b.id));
        children.truncate(limit);
        Ok(children)
    }
}

/// The place of each word, once words, edges, size and depth are in order.
fn check<'a>(cx: &Scope, nodes: &'a [FlowNode]) -> Result<BTreeMap<&'a str, usize>> {
    let bad = |field: String, why: String| Err(Error::invalid(cx.operation(), field, why));
    if nodes.is_empty() || nodes.len() > MAX_NODES {
        return bad("nodes".into(), "expected 1..10 000 jobs".into());
    }
    let mut places = BTreeMap::new();
    for (n, node) in nodes.iter().enumerate() {
        if places.insert(node.key.as_str(), n).is_some() {
            return bad(format!("nodes[{n}].key"), format!("{:?} is there twice", node.key));
        }
    }
    for (n, node) in nodes.iter().enumerate() {
        let mut seen = BTreeSet::new();
        for key in &node.after {
            if !places.contains_key(key.as_str()) {
                return bad(format!("nodes[{n}].after"), format!("there is no job {key:?} in this flow"));
            }
            if !seen.insert(key) {
                return bad(format!("nodes[{n}].after"), format!("{key:?} is there twice"));
            }
        }
    }
    let mut depth = vec![0_usize; nodes.len()];
    let mut path = Vec::new();
    for start in 0..nodes.len() {
        descend(cx, nodes, &places, start, &mut depth, &mut path)?;
    }
    Ok(places)
}

/// Levels below a node. `depth` holds 0 for unseen nodes, else levels; `path` is the way here.
fn descend(
    cx: &Scope,
    nodes: &[FlowNode],
    places: &BTreeMap<&str, usize>,
    at: usize,
    depth: &mut [usize],
    path: &mut Vec<usize>,
) -> Result<usize> {
    let word = |n: &usize| nodes.get(*n).map_or("", |n| n.key.as_str());
    if let Some(from) = path.iter().position(|n| *n == at) {
        let cycle: Vec<&str> = path.iter().skip(from).chain([&at]).map(word).collect();
        return Err(Error::invalid(cx.operation(), "nodes", format!("a cycle: {}", cycle.join(" -> "))));
    }
    if let Some(known) = depth.get(at).filter(|d| **d > 0) {
        return Ok(*known);
    }
    if path.len() >= MAX_DEPTH {
        return Err(Error::invalid(cx.operation(), "nodes", "expected at most 16 levels"));
    }
    path.push(at);
    let mut levels = 1;
    for key in nodes.get(at).map(|n| n.after.as_slice()).unwrap_or_default() {
        if let Some(next) = places.get(key.as_str()) {
            levels = levels.max(1 + descend(cx, nodes, places, *next, depth, path)?);
        }
    }
    path.pop();
    if levels > MAX_DEPTH {
        return Err(Error::invalid(cx.operation(), "nodes", "expected at most 16 levels"));
    }
    if let Some(slot) = depth.get_mut(at) {
        *slot = levels;
    }
    Ok(levels)
}

/// Tells the parents of an ended job, in the commit of its end.
pub(super) async fn tell_parents(cx: &Scope, child: &Job) -> Result<()> {
    // A failed parent is a failed child of its own parents: told level by level, without recursion.
    let mut ended: Vec<Job> = vec![child.clone()];
    while let Some(child) = ended.pop() {
        for id in child.parents() {
            let Some(mut parent) = cx.get::<Job>(id).await? else { continue };
            if parent.state != JobState::Blocked {
                continue;
            }
            parent.body.open_children = parent.open_children.saturating_sub(1);
            let is_failure = child.state != JobState::Completed;
            match parent.on_child_failure {
                OnChildFailure::Fail if is_failure => {
                    fail(cx, &mut parent, &child).await?;
                    ended.push(parent.body);
                    continue;
                }
                OnChildFailure::Continue if is_failure => release(cx, &mut parent.body),
                _ if parent.open_children == 0 => release(cx, &mut parent.body),
                _ => {}
            }
            cx.save(&parent)?;
        }
    }
    Ok(())
}

fn release(cx: &Scope, parent: &mut Job) {
    let now = cx.now();
    parent.state = if parent.run_at > now { JobState::Delayed } else { JobState::Waiting };
    cx.ring(&parent.queue);
}

/// Ends a parent because a child failed, and cancels the children that still wait.
async fn fail(cx: &Scope, parent: &mut Stored<Job>, child: &Job) -> Result<()> {
    let code = child.error.as_ref().map_or(child.state.word(), |e| e.code.as_str());
    let error = super::JobError {
        code: "child_failed".into(),
        message: format!("its child {} ended as {}: {code}", child.id, child.state.word()),
        retryable: false,
    };
    parent.body.state = JobState::Failed;
    parent.body.error = Some(error);
    parent.body.finished_at = Some(cx.now());
    cx.save(parent)?;
    note_history(cx, &parent.id, JobState::Failed, "child_failed").await?;
    cx.emit(event(cx, &parent.body))?;
    cancel_children(cx, &parent.id, &child.id).await
}

/// Cancels what waits below a job, `except` for the child that is ending.
pub(super) async fn cancel_children(cx: &Scope, parent: &str, except: &str) -> Result<()> {
    let mut parents = vec![parent.to_owned()];
    let mut seen = BTreeSet::new();
    while let Some(parent) = parents.pop() {
        for found in cx.job_children(&parent, MAX_NODES.min(PAGE * 20)).await? {
            if found.id == except || !seen.insert(found.id.clone()) {
                continue;
            }
            // A child that another job waits for as well goes on.
            if found.parents().count() > 1 {
                continue;
            }
            let Some(mut job) = cx.get::<Job>(&found.id).await? else { continue };
            if !job.state.is_queued() && job.state != JobState::Blocked {
                continue;
            }
            job.body.state = JobState::Cancelled;
            job.body.finished_at = Some(cx.now());
            cx.save(&job)?;
            cx.emit(event(cx, &job.body))?;
            parents.push(job.body.id);
        }
    }
    Ok(())
}
