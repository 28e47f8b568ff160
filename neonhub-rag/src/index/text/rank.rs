//! BM25 over title, headings and text taken as one text, in which a word counts by the place it stands in.
//!
//! That is the simple BM25F of Robertson, Zaragoza and Taylor (2004): counts and lengths are weighted and added before
//! they are scored, so a rare title cannot outweigh everything else, as it does when fields are scored one by one. All
//! forms of a word are one word, and its rarity is that of all of them together. Only what may be seen is counted.

use std::collections::BTreeSet;

use tantivy::fieldnorm::FieldNormReader;
use tantivy::postings::Postings;
use tantivy::query::{EnableScoring, PhraseQuery, Query};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocAddress, DocId, DocSet, Score, Searcher, SegmentReader, TERMINATED, Term};

use super::allowed::Allowed;
use super::analyse::Clause;
use super::tail::Tail;

/// How soon more of the same word counts less, and how much a long text counts for less: the values of Lucene and tantivy.
const K1: f32 = 1.2;
const B: f32 = 0.75;
/// Most words that a prefix is completed to, per field.
const MAX_COMPLETIONS: usize = 50;
/// Most documents with the score of the last hit that are kept to break the tie by id.
const MAX_TIES: usize = 256;

/// Number of documents, and of the words of each field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    docs: u64,
    words: [u64; 3],
}

impl Totals {
    /// With one document more.
    pub(super) fn add(&mut self, lengths: [u32; 3]) {
        self.docs += 1;
        for (words, more) in self.words.iter_mut().zip(lengths) {
            *words += u64::from(more);
        }
    }

    /// With one document less.
    pub(super) fn remove(&mut self, lengths: [u32; 3]) {
        self.docs = self.docs.saturating_sub(1);
        for (words, less) in self.words.iter_mut().zip(lengths) {
            *words = words.saturating_sub(u64::from(less));
        }
    }
}

/// The segments of an index, the fields with what a word counts in them, and what may be seen.
pub(super) struct Ranking<'a> {
    searcher: &'a Searcher,
    tail: &'a Tail,
    fields: [(Field, f32); 3],
    allowed: &'a Allowed<'a>,
    /// Those of files, and the last one: what is in memory.
    segments: Vec<Segment<'a>>,
    /// Weighted words of a document on average.
    length: f32,
    docs: u64,
}

struct Segment<'a> {
    source: Source<'a>,
    /// By document: what a part of the query counts there, while it is counted; and the documents where it is not zero.
    counts: Vec<f32>,
    counted: Vec<DocId>,
    /// By document: its score; and the documents where it is not zero.
    scores: Vec<f32>,
    scored: Vec<DocId>,
}

enum Source<'a> {
    Files { number: u32, reader: &'a SegmentReader, lengths: [FieldNormReader; 3] },
    Memory(&'a Tail),
}

/// Words of each field of a document, as files keep them.
pub(super) fn lengths(reader: &SegmentReader, fields: [Field; 3]) -> tantivy::Result<[FieldNormReader; 3]> {
    let [title, headings, body] = fields.map(|field| reader.get_fieldnorms_reader(field));
    Ok([title?, headings?, body?])
}

impl<'a> Ranking<'a> {
    /// Counts documents and lengths, in one pass over the documents, unless they are known.
    pub(super) fn new(
        searcher: &'a Searcher,
        tail: &'a Tail,
        fields: [(Field, f32); 3],
        allowed: &'a Allowed<'a>,
        known: Option<Totals>,
    ) -> tantivy::Result<(Self, Totals)> {
        let mut segments = Vec::new();
        for (number, reader) in (0..).zip(searcher.segment_readers()) {
            let lengths = lengths(reader, fields.map(|(field, _)| field))?;
            segments.push(Segment::of(Source::Files { number, reader, lengths }, reader.max_doc()));
        }
        segments.push(Segment::of(Source::Memory(tail), tail.numbers()));
        let totals = known.unwrap_or_else(|| {
            let mut totals = Totals::default();
            for segment in &segments {
                let docs = 0..DocId::try_from(segment.counts.len()).unwrap_or(DocId::MAX);
                for doc in docs.filter(|doc| segment.source.shows(*doc, allowed)) {
                    totals.add([0, 1, 2].map(|field| segment.source.length(field, doc)));
                }
            }
            totals
        });
        let words: f32 =
            fields.iter().zip(totals.words).map(|((_, boost), words)| boost * words as f32).sum();
        let length = words / totals.docs.max(1) as f32;
        Ok((Self { searcher, tail, fields, allowed, segments, length, docs: totals.docs }, totals))
    }

    /// The best `k` documents for a query and those with an equal score, best first.
    pub(super) fn best(mut self, clauses: &[Clause], k: usize) -> tantivy::Result<Vec<(Score, DocAddress)>> {
        let mut phrases = Vec::new();
        for clause in clauses {
            match clause {
                Clause::Word(forms) => self.words(forms)?,
                Clause::Prefix(start, forms) => {
                    let mut words = forms.clone();
                    // The index holds stems: `rückg` must find `ruckgab`.
                    for start in forms.iter().chain([start]) {
                        for field in 0..self.fields.len() {
                            words.extend(self.completions(field, start)?);
                        }
                    }
                    self.words(&words)?;
                }
                Clause::Phrase(forms) => {
                    self.phrases(forms)?;
                    phrases.push(self.counted());
                }
            }
            self.score();
        }
        Ok(self.ordered(&phrases, k))
    }

    /// Counts a word in all of its forms.
    fn words(&mut self, forms: &BTreeSet<String>) -> tantivy::Result<()> {
        for segment in &mut self.segments {
            for (n, (field, boost)) in counting(self.fields) {
                match segment.source {
                    Source::Files { reader, .. } => {
                        let inverted = reader.inverted_index(field)?;
                        for form in forms {
                            let term = Term::from_field_text(field, form);
                            let found = inverted.read_postings(&term, IndexRecordOption::WithFreqs)?;
                            if let Some(mut postings) = found {
                                segment.count_all(&mut postings, |at| boost * at.term_freq() as f32);
                            }
                        }
                    }
                    Source::Memory(tail) => {
                        for (doc, often) in forms.iter().flat_map(|form| tail.holders(n, form)) {
                            segment.count(doc, boost * often as f32);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Counts a sequence of words in all of its forms.
    fn phrases(&mut self, forms: &BTreeSet<Vec<String>>) -> tantivy::Result<()> {
        let alone =
            forms.iter().filter_map(|form| if let [only] = form.as_slice() { Some(only) } else { None });
        let alone: BTreeSet<String> = alone.cloned().collect();
        if !alone.is_empty() {
            return self.words(&alone);
        }
        let mut queries = Vec::new();
        for form in forms {
            for (n, (field, boost)) in counting(self.fields) {
                let terms = form.iter().map(|word| Term::from_field_text(field, word)).collect();
                let scoring = EnableScoring::disabled_from_searcher(self.searcher);
                queries.push((form, n, PhraseQuery::new(terms).weight(scoring)?, boost));
            }
        }
        for segment in &mut self.segments {
            for (form, n, weight, boost) in &queries {
                match segment.source {
                    Source::Files { reader, .. } => {
                        segment.count_all(&mut weight.scorer(reader, 1.0)?, |_| *boost);
                    }
                    Source::Memory(tail) => {
                        tail.in_order(*n, form).into_iter().for_each(|doc| segment.count(doc, *boost));
                    }
                }
            }
        }
        Ok(())
    }

    /// By segment the documents that were counted, in order.
    fn counted(&self) -> Vec<Vec<DocId>> {
        let in_order = |segment: &Segment<'_>| {
            let mut counted = segment.counted.clone();
            counted.sort_unstable();
            counted
        };
        self.segments.iter().map(in_order).collect()
    }

    /// The first words of a field that begin with `start`, in order.
    fn completions(&self, field: usize, start: &str) -> tantivy::Result<BTreeSet<String>> {
        let waiting = self.tail.completions(field, start, MAX_COMPLETIONS);
        let mut out: BTreeSet<String> = waiting.map(str::to_owned).collect();
        let Some((field, _)) = self.fields.get(field) else { return Ok(out) };
        for segment in self.searcher.segment_readers() {
            let inverted = segment.inverted_index(*field)?;
            let mut terms = inverted.terms().range().ge(start.as_bytes()).into_stream()?;
            let mut taken = 0;
            while taken < MAX_COMPLETIONS && terms.advance() && terms.key().starts_with(start.as_bytes()) {
                out.insert(String::from_utf8_lossy(terms.key()).into_owned());
                taken += 1;
            }
        }
        // Each segment gives its first ones, so these are the first ones of all.
        Ok(out.into_iter().take(MAX_COMPLETIONS).collect())
    }

    /// Scores what was counted, by its rarity among what may be seen, and forgets it.
    fn score(&mut self) {
        let holders: usize = self.segments.iter_mut().map(|segment| segment.keep_shown(self.allowed)).sum();
        let (holders, docs) = (holders as f32, self.docs as f32);
        let rarity = (1.0 + (docs - holders + 0.5).max(0.0) / (holders + 0.5)).ln();
        let mean = self.length.max(f32::MIN_POSITIVE);
        let boosts = self.fields.map(|(_, boost)| boost);
        self.segments.iter_mut().for_each(|segment| segment.score(rarity, mean, boosts));
    }

    fn ordered(self, phrases: &[Vec<Vec<DocId>>], k: usize) -> Vec<(Score, DocAddress)> {
        let mut found = Vec::new();
        for (n, segment) in self.segments.iter().enumerate() {
            let holds = |doc: &DocId| {
                phrases.iter().all(|held| held.get(n).is_some_and(|held| held.binary_search(doc).is_ok()))
            };
            for doc in segment.scored.iter().copied().filter(holds) {
                let score = segment.scores.get(doc as usize).copied().unwrap_or_default();
                found.push((score, DocAddress::new(n as u32, doc)));
            }
        }
        best(found, k)
    }
}

/// The fields that count, each with its number.
fn counting(fields: [(Field, f32); 3]) -> impl Iterator<Item = (usize, (Field, f32))> {
    fields.into_iter().enumerate().filter(|(_, (_, boost))| *boost > 0.0)
}

impl Source<'_> {
    /// Words of a field of a document.
    fn length(&self, field: usize, doc: DocId) -> u32 {
        match self {
            Self::Files { lengths, .. } => lengths.get(field).map_or(0, |lengths| lengths.fieldnorm(doc)),
            Self::Memory(tail) => tail.length(field, doc),
        }
    }

    /// True when a document is there and may be seen.
    fn shows(&self, doc: DocId, allowed: &Allowed<'_>) -> bool {
        match self {
            Self::Files { number, reader, .. } => !reader.is_deleted(doc) && allowed.holds(*number, doc),
            Self::Memory(_) => allowed.holds_waiting(doc),
        }
    }
}

impl<'a> Segment<'a> {
    fn of(source: Source<'a>, docs: u32) -> Self {
        let all = docs as usize;
        Self {
            source,
            counts: vec![0.0; all],
            counted: Vec::new(),
            scores: vec![0.0; all],
            scored: Vec::new(),
        }
    }

    /// Adds what a document counts.
    fn count(&mut self, doc: DocId, more: f32) {
        if let Some(count) = self.counts.get_mut(doc as usize) {
            if *count == 0.0 {
                self.counted.push(doc);
            }
            *count += more;
        }
    }

    /// Adds what each document of a list counts.
    fn count_all<D: DocSet>(&mut self, docs: &mut D, of: impl Fn(&D) -> f32) {
        let mut doc = docs.doc();
        while doc != TERMINATED {
            self.count(doc, of(docs));
            doc = docs.advance();
        }
    }

    /// Forgets what may not be seen of what was counted. Gives how many documents are left.
    fn keep_shown(&mut self, allowed: &Allowed<'_>) -> usize {
        let Self { source, counts, counted, .. } = self;
        counted.retain(|doc| {
            let is_shown = source.shows(*doc, allowed);
            if let Some(count) = counts.get_mut(*doc as usize).filter(|_| !is_shown) {
                *count = 0.0;
            }
            is_shown
        });
        counted.len()
    }

    fn score(&mut self, rarity: f32, mean: f32, boosts: [f32; 3]) {
        let Self { source, counts, counted, scores, scored } = self;
        for doc in counted.drain(..) {
            let at = doc as usize;
            let (Some(count), Some(score)) = (counts.get_mut(at), scores.get_mut(at)) else { continue };
            let count = std::mem::take(count);
            let own: f32 = (0..).zip(boosts).map(|(n, boost)| boost * source.length(n, doc) as f32).sum();
            let room = K1 * (1.0 - B + B * own / mean);
            if *score == 0.0 {
                scored.push(doc);
            }
            *score += rarity * count * (K1 + 1.0) / (count + room);
        }
    }
}

fn best(mut found: Vec<(Score, DocAddress)>, k: usize) -> Vec<(Score, DocAddress)> {
    let order = |a: &(Score, DocAddress), b: &(Score, DocAddress)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    if found.len() > 2 * (k + MAX_TIES) {
        found.select_nth_unstable_by(k + MAX_TIES, order);
        found.truncate(k + MAX_TIES);
    }
    found.sort_unstable_by(order);
    if let Some((last, _)) = k.checked_sub(1).and_then(|n| found.get(n)).copied() {
        let ties = found.iter().skip(k).take_while(|(score, _)| *score == last).count().min(MAX_TIES);
        found.truncate(k + ties);
    }
    found
}
