//! The documents that search answers from.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{DatasetId, Document, SpaceId};

/// Documents by id, and by the dataset they belong to: a search that may see whole datasets looks at none of them.
#[derive(Debug, Default)]
pub(super) struct Documents {
    by_id: BTreeMap<String, Document>,
    by_dataset: BTreeMap<(SpaceId, DatasetId), BTreeSet<String>>,
}

impl Documents {
    /// The document with this id.
    pub(super) fn get(&self, id: &str) -> Option<&Document> {
        self.by_id.get(id)
    }

    /// Adds a document, or puts it in the place of the one with its id.
    pub(super) fn insert(&mut self, document: Document) {
        let id = document.id.to_string();
        self.remove(&id);
        let of = (document.space.clone(), document.dataset.clone());
        self.by_dataset.entry(of).or_default().insert(id.clone());
        self.by_id.insert(id, document);
    }

    /// Removes a document, if it is there.
    pub(super) fn remove(&mut self, id: &str) {
        let Some(document) = self.by_id.remove(id) else { return };
        let of = (document.space, document.dataset);
        let Some(ids) = self.by_dataset.get_mut(&of) else { return };
        ids.remove(id);
        if ids.is_empty() {
            self.by_dataset.remove(&of);
        }
    }

    /// The documents of a space, by id.
    pub(super) fn of_space(&self, space: &str) -> impl Iterator<Item = &Document> {
        self.by_id.values().filter(move |document| document.space.as_str() == space)
    }

    /// The datasets of a space that have documents, each with theirs.
    pub(super) fn datasets(
        &self,
        space: &SpaceId,
    ) -> impl Iterator<Item = (&DatasetId, impl Iterator<Item = &Document>)> {
        let own = self.by_dataset.iter().filter(move |((of, _), _)| of == space);
        own.map(|((_, dataset), ids)| (dataset, ids.iter().filter_map(|id| self.by_id.get(id))))
    }
}

impl FromIterator<Document> for Documents {
    fn from_iter<I: IntoIterator<Item = Document>>(documents: I) -> Self {
        let mut out = Self::default();
        documents.into_iter().for_each(|document| out.insert(document));
        out
    }
}
