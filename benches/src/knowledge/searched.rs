//! One way to search: its answers and its times.

use std::collections::BTreeSet;
use std::time::Instant;

use neonhub::knowledge::Scored;

use crate::Result;
use crate::measure::median;

/// Hits of a query.
pub(super) const K: usize = 10;

/// Name of the vector with a number.
pub(super) fn name(number: usize) -> String {
    format!("c{number:06}")
}

/// Names of hits.
pub(super) fn names(hits: Vec<Scored>) -> Result<Vec<String>> {
    Ok(hits.into_iter().map(|hit| hit.id.to_string()).collect())
}

/// The exact answer: a scan of single-precision rows, every `step`th of them.
pub(super) fn scan(all: &[Vec<f32>], step: usize, query: &[f32]) -> Vec<String> {
    let score = |vector: &Vec<f32>| vector.iter().zip(query).map(|(a, b)| a * b).sum::<f32>();
    let rows = all.iter().enumerate().step_by(step);
    let mut scores: Vec<(f32, usize)> = rows.map(|(n, vector)| (score(vector), n)).collect();
    let order = |a: &(f32, usize), b: &(f32, usize)| b.0.total_cmp(&a.0);
    if scores.len() > K {
        scores.select_nth_unstable_by(K, order);
        scores.truncate(K);
    }
    scores.sort_unstable_by(order);
    scores.into_iter().map(|(_, n)| name(n)).collect()
}

/// Answers and times of one way to search.
#[derive(Debug)]
pub(super) struct Searched {
    microseconds: Vec<f64>,
    found: Vec<Vec<String>>,
}

impl Searched {
    pub(super) fn by(queries: &[Vec<f32>], search: impl Fn(&[f32]) -> Result<Vec<String>>) -> Result<Self> {
        let (mut microseconds, mut found) = (Vec::new(), Vec::new());
        for query in queries {
            let start = Instant::now();
            found.push(search(query)?);
            microseconds.push(start.elapsed().as_secs_f64() * 1e6);
        }
        Ok(Self { microseconds, found })
    }

    /// The exact answers among every `step`th vector.
    pub(super) fn exactly(all: &[Vec<f32>], step: usize, queries: &[Vec<f32>]) -> Result<Self> {
        Self::by(queries, |query| Ok(scan(all, step, query)))
    }

    pub(super) fn p50(&self) -> f64 {
        median(&self.microseconds).unwrap_or(f64::NAN)
    }

    /// Share of the true hits that were found.
    pub(super) fn recall(&self, truth: &Self) -> f64 {
        let both = self.found.iter().zip(&truth.found);
        let same = |(found, wanted): (&Vec<String>, &Vec<String>)| {
            let found: BTreeSet<&String> = found.iter().collect();
            wanted.iter().filter(|id| found.contains(id)).count()
        };
        let wanted: usize = truth.found.iter().map(Vec::len).sum();
        both.map(same).sum::<usize>() as f64 / wanted.max(1) as f64
    }

    /// Answers with fewer hits than there are.
    pub(super) fn short(&self, truth: &Self) -> usize {
        self.found.iter().zip(&truth.found).filter(|(found, wanted)| found.len() < wanted.len()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_gives_the_nearest_first_and_keeps_to_its_step() {
        let all: Vec<Vec<f32>> = (0..40).map(|n| vec![n as f32]).collect();
        assert_eq!(scan(&all, 1, &[1.0])[..2], [name(39), name(38)]);
        assert_eq!(scan(&all, 1, &[1.0]).len(), K);
        assert_eq!(scan(&all, 10, &[1.0]), [name(30), name(20), name(10), name(0)]);
    }

    #[test]
    fn recall_and_short_answers_are_counted() {
        let all: Vec<Vec<f32>> = (0..40).map(|n| vec![n as f32]).collect();
        let queries = [vec![1.0]];
        let truth = Searched::exactly(&all, 1, &queries).unwrap();
        let half = Searched::by(&queries, |query| Ok(scan(&all, 1, query).split_off(5))).unwrap();
        assert_eq!((half.recall(&truth), half.short(&truth)), (0.5, 1));
        assert_eq!((truth.recall(&truth), truth.short(&truth)), (1.0, 0));
    }
}
