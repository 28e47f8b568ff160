//! The index that is flat while a scan is quick and a graph above that.

use neonhub_core::Result;

use super::{FlatIndex, GraphIndex, GraphOptions, IdSet, Scored, VectorIndex, VectorStorage};

/// Vectors up to which a scan is taken.
// Measured on 2 cores, 20 000 x 384: an exact scan takes less time than the graph (2026); they meet near 50 000.
pub const FLAT_LIMIT: usize = 50_000;

/// Flat up to [`FLAT_LIMIT`] vectors, a graph above, flat again below half of that. Going over costs nothing at
/// once: all rows stand in the tail of the graph, and each change links a few of them.
#[derive(Clone, Debug)]
pub struct AdaptiveIndex {
    pub(super) form: Form,
    limit: usize,
}

/// The two forms.
#[derive(Clone, Debug)]
pub(super) enum Form {
    Flat(FlatIndex),
    Graph(Box<GraphIndex>),
}

impl AdaptiveIndex {
    /// An empty index for vectors of this length.
    #[must_use]
    pub fn new(dims: usize, storage: VectorStorage) -> Self {
        Self::from_form(Form::Flat(FlatIndex::with_storage(dims, storage)))
    }

    pub(super) fn from_form(form: Form) -> Self {
        Self { form, limit: FLAT_LIMIT }
    }

    /// Goes over to the graph above another number of vectors.
    #[must_use]
    pub fn flat_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// True when it is a graph now.
    #[must_use]
    pub fn is_graph(&self) -> bool {
        matches!(self.form, Form::Graph(_))
    }

    /// How exactly it keeps its vectors.
    #[must_use]
    pub fn storage(&self) -> VectorStorage {
        match &self.form {
            Form::Flat(flat) => flat.rows.storage(),
            Form::Graph(graph) => graph.rows.storage(),
        }
    }

    /// Ids with a vector.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        let rows = match &self.form {
            Form::Flat(flat) => &flat.rows,
            Form::Graph(graph) => &graph.rows,
        };
        rows.ids.iter().flatten().map(AsRef::as_ref)
    }

    /// Links up to `count` vectors that wait for it; a flat index has none.
    pub fn settle(&mut self, count: usize) {
        if let Form::Graph(graph) = &mut self.form {
            graph.settle(count);
        }
    }

    fn index(&self) -> &dyn VectorIndex {
        match &self.form {
            Form::Flat(flat) => flat,
            Form::Graph(graph) => graph.as_ref(),
        }
    }

    fn index_mut(&mut self) -> &mut dyn VectorIndex {
        match &mut self.form {
            Form::Flat(flat) => flat,
            Form::Graph(graph) => graph.as_mut(),
        }
    }

    /// Takes the form that fits the number of vectors.
    fn fit(&mut self) -> Result<()> {
        let len = self.len();
        let empty = || Form::Flat(FlatIndex::new(1));
        match &mut self.form {
            form @ Form::Flat(_) if len > self.limit => {
                if let Form::Flat(flat) = std::mem::replace(form, empty()) {
                    *form = Form::Graph(Box::new(GraphIndex::from_flat(flat, GraphOptions::default())?));
                }
            }
            form @ Form::Graph(_) if len < self.limit / 2 => {
                if let Form::Graph(graph) = std::mem::replace(form, empty()) {
                    *form = Form::Flat(graph.into_flat());
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl VectorIndex for AdaptiveIndex {
    fn dims(&self) -> usize {
        self.index().dims()
    }

    fn len(&self) -> usize {
        self.index().len()
    }

    fn contains(&self, id: &str) -> bool {
        self.index().contains(id)
    }

    fn vector(&self, id: &str) -> Option<Vec<f32>> {
        self.index().vector(id)
    }

    fn upsert(&mut self, id: &str, vector: &[f32]) -> Result<()> {
        self.index_mut().upsert(id, vector)?;
        self.fit()
    }

    fn remove(&mut self, id: &str) -> bool {
        // A flat index takes rows out exactly; going back to it cannot fail.
        self.index_mut().remove(id) && self.fit().is_ok()
    }

    fn compact(&mut self) {
        self.index_mut().compact();
    }

    fn search(&self, query: &[f32], k: usize, within: Option<&IdSet>) -> Result<Vec<Scored>> {
        self.index().search(query, k, within)
    }
}
