//! Chunks that are in no file yet, and chunks of files that are there no more.
//!
//! A commit of tantivy writes a segment of files, however little is new. So a few changes wait in memory, where every
//! search finds them.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use tantivy::fieldnorm::FieldNormReader;
use tantivy::tokenizer::PreTokenizedString;
use tantivy::{DocAddress, DocId, TantivyDocument};

/// What has changed since the last commit.
#[derive(Debug, Default)]
pub(super) struct Tail {
    /// By number; `None` for one that was removed again.
    chunks: Vec<Option<Waiting>>,
    numbers: HashMap<String, DocId>,
    /// By field and word: the chunks that hold it.
    words: [BTreeMap<String, Vec<Holder>>; 3],
    /// Where the ids of chunks stand in files that are there no more.
    gone: BTreeMap<DocAddress, String>,
}

/// A chunk, and the places of a word in it.
type Holder = (DocId, Vec<usize>);

#[derive(Debug)]
struct Waiting {
    id: String,
    key: u64,
    language: String,
    lengths: [u32; 3],
    document: TantivyDocument,
}

/// One chunk as it is added.
pub(super) struct Added<'a> {
    pub(super) id: &'a str,
    pub(super) key: u64,
    pub(super) language: &'a str,
    /// Title, headings and text.
    pub(super) tokens: &'a [PreTokenizedString; 3],
    /// The same as a commit takes it.
    pub(super) document: TantivyDocument,
}

impl Tail {
    /// Changes since the last commit.
    pub(super) fn changes(&self) -> usize {
        self.chunks.len() + self.gone.len()
    }

    /// Numbers of chunks, from 0; some may have none.
    pub(super) fn numbers(&self) -> DocId {
        DocId::try_from(self.chunks.len()).unwrap_or(DocId::MAX)
    }

    /// Number of chunks.
    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// The chunks, each as a commit takes it.
    pub(super) fn documents(&self) -> impl Iterator<Item = &TantivyDocument> {
        self.chunks.iter().flatten().map(|chunk| &chunk.document)
    }

    /// Chunks of files that are there no more.
    pub(super) fn gone(&self) -> impl ExactSizeIterator<Item = &str> {
        self.gone.values().map(String::as_str)
    }

    pub(super) fn is_gone(&self, address: DocAddress) -> bool {
        !self.gone.is_empty() && self.gone.contains_key(&address)
    }

    /// Takes a chunk of a file out; false when it was out already.
    pub(super) fn take_out(&mut self, address: DocAddress, id: &str) -> bool {
        self.gone.insert(address, id.to_owned()).is_none()
    }

    /// Adds a chunk. Gives the words of each field, as rankings count them.
    pub(super) fn add(&mut self, added: Added<'_>) -> [u32; 3] {
        let number = self.numbers();
        for (words, text) in self.words.iter_mut().zip(added.tokens) {
            for token in &text.tokens {
                let holders = words.entry(token.text.clone()).or_default();
                match holders.last_mut().filter(|(holder, _)| *holder == number) {
                    Some((_, places)) => places.push(token.position),
                    None => holders.push((number, vec![token.position])),
                }
            }
        }
        let lengths = added.tokens.each_ref().map(|text| {
            // Files keep lengths in a byte each. Here they are rounded as there, so that no score depends on the place.
            let words = u32::try_from(text.tokens.len()).unwrap_or(u32::MAX);
            FieldNormReader::id_to_fieldnorm(FieldNormReader::fieldnorm_to_id(words))
        });
        let (id, language) = (added.id.to_owned(), added.language.to_owned());
        self.numbers.insert(id.clone(), number);
        self.chunks.push(Some(Waiting { id, key: added.key, language, lengths, document: added.document }));
        lengths
    }

    /// Removes a chunk, if it is there. Gives the words of each field.
    pub(super) fn remove(&mut self, id: &str) -> Option<[u32; 3]> {
        let number = self.numbers.remove(id)?;
        self.chunks.get_mut(number as usize)?.take().map(|chunk| chunk.lengths)
    }

    fn chunk(&self, number: DocId) -> Option<&Waiting> {
        self.chunks.get(number as usize)?.as_ref()
    }

    /// The id of a chunk that is there.
    pub(super) fn id(&self, number: DocId) -> Option<&str> {
        self.chunk(number).map(|chunk| chunk.id.as_str())
    }

    /// The key of a chunk that is there.
    pub(super) fn key(&self, number: DocId) -> Option<u64> {
        self.chunk(number).map(|chunk| chunk.key)
    }

    /// Words of a field of a chunk.
    pub(super) fn length(&self, field: usize, number: DocId) -> u32 {
        self.chunk(number).and_then(|chunk| chunk.lengths.get(field)).copied().unwrap_or_default()
    }

    /// The languages of its chunks.
    pub(super) fn languages(&self) -> impl Iterator<Item = &str> {
        self.chunks.iter().flatten().map(|chunk| chunk.language.as_str())
    }

    /// The chunks that hold a word in a field, and how often.
    pub(super) fn holders(&self, field: usize, word: &str) -> impl Iterator<Item = (DocId, usize)> {
        self.postings(field, word).iter().map(|(number, places)| (*number, places.len()))
    }

    fn postings(&self, field: usize, word: &str) -> &[Holder] {
        self.words.get(field).and_then(|words| words.get(word)).map_or(&[], Vec::as_slice)
    }

    /// The chunks that hold these words one after the other in a field.
    pub(super) fn in_order(&self, field: usize, words: &[String]) -> Vec<DocId> {
        let Some((first, rest)) = words.split_first() else { return Vec::new() };
        let follows = |number: DocId, word: &str, place: usize| {
            let holders = self.postings(field, word);
            let found = holders.binary_search_by_key(&number, |(number, _)| *number);
            let found = found.ok().and_then(|at| holders.get(at));
            found.is_some_and(|(_, places)| places.binary_search(&place).is_ok())
        };
        let holders = self.postings(field, first).iter().filter(|(number, places)| {
            let is_start =
                |place: &usize| rest.iter().zip(place + 1..).all(|(word, at)| follows(*number, word, at));
            places.iter().any(is_start)
        });
        holders.map(|(number, _)| *number).collect()
    }

    /// The first words of a field that begin with `start`, in order.
    pub(super) fn completions(&self, field: usize, start: &str, most: usize) -> impl Iterator<Item = &str> {
        let words = self.words.get(field).into_iter();
        let from = words.flat_map(move |words| {
            words.range::<str, _>((Bound::Included(start), Bound::Unbounded)).map(|(word, _)| word.as_str())
        });
        let start = start.to_owned();
        from.take_while(move |word| word.starts_with(&start)).take(most)
    }
}
