//! Vectors and words in the binary form of the server.

use std::collections::BTreeMap;
use std::error::Error as StdError;

use bytes::{BufMut, BytesMut};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use super::super::TextDoc;
use super::super::text::analyse::tokens;
use super::super::{from_half, to_half};

type Fault = Box<dyn StdError + Sync + Send>;

/// A vector of half-precision numbers: the type `halfvec` of pgvector.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct HalfVec(Vec<u16>);

impl HalfVec {
    pub(super) fn of(vector: &[f32]) -> Self {
        Self(vector.iter().map(|v| to_half(*v)).collect())
    }

    pub(super) fn to_vec(&self) -> Vec<f32> {
        self.0.iter().map(|bits| from_half(*bits)).collect()
    }
}

// Two bytes of length, two that are zero, then the numbers, all big endian (pgvector, `halfvec_send`).
impl ToSql for HalfVec {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Fault> {
        out.put_u16(u16::try_from(self.0.len())?);
        out.put_u16(0);
        for bits in &self.0 {
            out.put_u16(*bits);
        }
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        ty.name() == "halfvec"
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for HalfVec {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Fault> {
        let (pairs, rest) = raw.as_chunks::<2>();
        let mut numbers = pairs.iter().map(|pair| u16::from_be_bytes(*pair));
        let (length, _) = (numbers.next(), numbers.next());
        let bits: Vec<u16> = numbers.collect();
        if !rest.is_empty() || length.map(usize::from) != Some(bits.len()) {
            return Err("the vector has another length than it says".into());
        }
        Ok(Self(bits))
    }

    fn accepts(ty: &Type) -> bool {
        ty.name() == "halfvec"
    }
}

/// Most places of one word that the server keeps.
const MAX_PLACES: usize = 256;
/// Last place that the server tells apart.
const LAST_PLACE: u16 = 16_383;
/// Places between two fields, so that no phrase reaches over.
const GAP: u16 = 8;
/// Weights by field: title A, headings B, text D.
const WEIGHTS: [u16; 3] = [3, 2, 0];

/// The words of a chunk with their places: the type `tsvector`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Lexemes {
    words: BTreeMap<String, Vec<u16>>,
    /// Words of title, headings and text.
    pub(super) count: u32,
}

impl Lexemes {
    /// The words of a chunk, stemmed by its language, and the mark of its space.
    pub(super) fn of(doc: &TextDoc<'_>, space: &str) -> Self {
        let language = doc.language.unwrap_or_default();
        let mut out = Self::default();
        out.words.insert(mark(space), Vec::new());
        let mut start = 1_u16;
        for (text, weight) in [doc.title, doc.headings, doc.body].into_iter().zip(WEIGHTS) {
            let mut place = start;
            for token in tokens(text, language).tokens {
                place =
                    start.saturating_add(u16::try_from(token.position).unwrap_or(u16::MAX)).min(LAST_PLACE);
                out.count += 1;
                let places = out.words.entry(token.text).or_default();
                let is_new = places.last().is_none_or(|last| last & LAST_PLACE < place);
                if is_new && places.len() < MAX_PLACES {
                    places.push(weight << 14 | place);
                }
            }
            start = place.saturating_add(GAP).min(LAST_PLACE);
        }
        out
    }
}

/// The word by which the index of words tells the chunks of a space. No text holds it: it is no word.
pub(super) fn mark(space: &str) -> String {
    format!("#{space}")
}

// The number of words; for each its bytes, a zero, the number of its places and the places, of which the upper two bits
// are the weight (PostgreSQL, `tsvectorrecv`).
impl ToSql for Lexemes {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Fault> {
        out.put_u32(u32::try_from(self.words.len())?);
        for (word, places) in &self.words {
            out.put_slice(word.as_bytes());
            out.put_u8(0);
            out.put_u16(u16::try_from(places.len())?);
            for place in places {
                out.put_u16(*place);
            }
        }
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TS_VECTOR
    }

    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_survives_the_wire() {
        let vector = HalfVec::of(&[0.5, -1.0, 0.099_975_586]);
        let mut out = BytesMut::new();
        vector.to_sql(&Type::BYTEA, &mut out).unwrap();
        assert_eq!(&out[..6], [0, 3, 0, 0, 0x38, 0]);
        assert_eq!(HalfVec::from_sql(&Type::BYTEA, &out).unwrap(), vector);
        assert_eq!(vector.to_vec(), [0.5, -1.0, 0.099_975_586]);
        assert!(
            HalfVec::from_sql(&Type::BYTEA, &out[..7]).is_err()
                && HalfVec::from_sql(&Type::BYTEA, &[]).is_err()
        );
    }

    #[test]
    fn words_keep_their_places_and_fields() {
        let doc = TextDoc {
            id: "a",
            title: "Prices",
            headings: "",
            body: "The price of prices",
            language: Some("en"),
        };
        let lexemes = Lexemes::of(&doc, "spc_1");
        assert_eq!(lexemes.count, 5);
        let places = &lexemes.words["price"];
        assert_eq!(
            places.iter().map(|p| (p >> 14, p & LAST_PLACE)).collect::<Vec<_>>(),
            [(3, 1), (0, 18), (0, 20)]
        );
        assert!(lexemes.words["#spc_1"].is_empty());
    }

    #[test]
    fn places_never_leave_what_the_server_takes() {
        let body = "echo word ".repeat(20_000);
        let doc = TextDoc { id: "a", title: "t", headings: "h", body: &body, language: None };
        let lexemes = Lexemes::of(&doc, "s");
        for places in lexemes.words.values() {
            assert!(places.len() <= MAX_PLACES);
            assert!(places.windows(2).all(|p| p[0] & LAST_PLACE < p[1] & LAST_PLACE));
        }
    }
}
