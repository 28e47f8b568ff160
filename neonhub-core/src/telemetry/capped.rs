//! Metric families that stop growing: past the limit, series are counted under the label value `other`.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};

use super::metrics::SERIES_LIMIT;
use super::redact::redact;

/// The label value of what came too late.
const OTHER: &str = "other";
/// Longest label value, in bytes.
const MAX_LABEL: usize = 120;

/// The series a family has.
#[derive(Debug, Default)]
struct Series(RwLock<HashSet<u64>>);

impl Series {
    /// True when the series exists or may be made. One place is kept for `other`.
    fn admits(&self, labels: &[&str]) -> bool {
        let mut hash = xxhash_rust::xxh3::Xxh3Default::new();
        for label in labels {
            hash.update(&(label.len() as u64).to_le_bytes());
            hash.update(label.as_bytes());
        }
        let hash = hash.digest();
        if self.0.read().unwrap_or_else(PoisonError::into_inner).contains(&hash) {
            return true;
        }
        // A name that a model made up may be anything: what looks like a secret or an address is `other` as well.
        if labels.iter().any(|l| l.len() > MAX_LABEL || matches!(redact(l), Cow::Owned(_))) {
            return false;
        }
        let mut seen = self.0.write().unwrap_or_else(PoisonError::into_inner);
        seen.contains(&hash) || (seen.len() + 1 < SERIES_LIMIT && seen.insert(hash))
    }

    fn labels<'a, const N: usize>(&self, labels: [&'a str; N]) -> [&'a str; N] {
        if self.admits(&labels) { labels } else { [OTHER; N] }
    }
}

macro_rules! family {
    ($(#[$doc:meta])* $name:ident, $vec:ty) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub(super) struct $name<const N: usize> {
            vec: $vec,
            series: Series,
        }
    };
}

family!(
    /// A counter with `N` labels.
    Counter,
    IntCounterVec
);
family!(
    /// A gauge with `N` labels.
    Gauge,
    IntGaugeVec
);
family!(
    /// A histogram with `N` labels.
    Histogram,
    HistogramVec
);

// The names are ours and checked by a test: a family that could not be made counts nothing rather than panic.
impl<const N: usize> Counter<N> {
    pub(super) fn new(
        registry: &Registry,
        name: &str,
        help: &str,
        labels: [&str; N],
    ) -> prometheus::Result<Self> {
        let vec = IntCounterVec::new(Opts::new(name, help), &labels)?;
        registry.register(Box::new(vec.clone()))?;
        Ok(Counter { vec, series: Series::default() })
    }

    pub(super) fn add(&self, labels: [&str; N], by: u64) {
        if let Ok(counter) = self.vec.get_metric_with_label_values(&self.series.labels(labels)) {
            counter.inc_by(by);
        }
    }
}

impl<const N: usize> Gauge<N> {
    pub(super) fn new(
        registry: &Registry,
        name: &str,
        help: &str,
        labels: [&str; N],
    ) -> prometheus::Result<Self> {
        let vec = IntGaugeVec::new(Opts::new(name, help), &labels)?;
        registry.register(Box::new(vec.clone()))?;
        Ok(Gauge { vec, series: Series::default() })
    }

    pub(super) fn set(&self, labels: [&str; N], to: i64) {
        if let Ok(gauge) = self.vec.get_metric_with_label_values(&self.series.labels(labels)) {
            gauge.set(to);
        }
    }

    pub(super) fn add(&self, labels: [&str; N], by: i64) {
        if let Ok(gauge) = self.vec.get_metric_with_label_values(&self.series.labels(labels)) {
            gauge.add(by);
        }
    }
}

impl<const N: usize> Histogram<N> {
    pub(super) fn new(
        registry: &Registry,
        name: &str,
        help: &str,
        labels: [&str; N],
        buckets: &[f64],
    ) -> prometheus::Result<Self> {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        let vec = HistogramVec::new(opts, &labels)?;
        registry.register(Box::new(vec.clone()))?;
        Ok(Histogram { vec, series: Series::default() })
    }

    pub(super) fn observe(&self, labels: [&str; N], seconds: f64) {
        if let Ok(histogram) = self.vec.get_metric_with_label_values(&self.series.labels(labels)) {
            histogram.observe(seconds);
        }
    }
}
