//! Language of a text, and its stemmer.

use rust_stemmers::{Algorithm, Stemmer};
use whatlang::Lang;

/// Languages that are recognised and stemmed: ISO 639-1 code, name in the detector, algorithm.
const LANGUAGES: &[(&str, Lang, Algorithm)] = &[
    ("ar", Lang::Ara, Algorithm::Arabic),
    ("da", Lang::Dan, Algorithm::Danish),
    ("de", Lang::Deu, Algorithm::German),
    ("el", Lang::Ell, Algorithm::Greek),
    ("en", Lang::Eng, Algorithm::English),
    ("es", Lang::Spa, Algorithm::Spanish),
    ("fi", Lang::Fin, Algorithm::Finnish),
    ("fr", Lang::Fra, Algorithm::French),
    ("hu", Lang::Hun, Algorithm::Hungarian),
    ("it", Lang::Ita, Algorithm::Italian),
    ("nl", Lang::Nld, Algorithm::Dutch),
    ("no", Lang::Nob, Algorithm::Norwegian),
    ("pt", Lang::Por, Algorithm::Portuguese),
    ("ro", Lang::Ron, Algorithm::Romanian),
    ("ru", Lang::Rus, Algorithm::Russian),
    ("sv", Lang::Swe, Algorithm::Swedish),
    ("ta", Lang::Tam, Algorithm::Tamil),
    ("tr", Lang::Tur, Algorithm::Turkish),
];

/// Bytes of a text that are looked at; more does not change the answer.
const SAMPLE_BYTES: usize = 4_000;

/// ISO 639-1 code of the language of a text, when the guess is a reliable one.
///
/// ```
/// let text = "Wir schreiben kurze Sätze und vermeiden Fremdwörter, damit jeder uns versteht.";
/// assert_eq!(neonhub_rag::detect_language(text), Some("de"));
/// assert_eq!(neonhub_rag::detect_language("ok"), None);
/// ```
#[must_use]
pub fn detect_language(text: &str) -> Option<&'static str> {
    detect(text, true)
}

/// The likeliest language of a text, however short. Good enough to stem by: the words of a query are stemmed by every
/// language of an index, so a wrong guess costs inflections and never an exact match.
#[must_use]
pub(crate) fn guess_language(text: &str) -> Option<&'static str> {
    detect(text, false)
}

fn detect(text: &str, is_sure: bool) -> Option<&'static str> {
    let mut end = text.len().min(SAMPLE_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let info = whatlang::detect(text.get(..end)?)?;
    if is_sure && !info.is_reliable() {
        return None;
    }
    LANGUAGES.iter().find(|(_, lang, _)| *lang == info.lang()).map(|(code, ..)| *code)
}

/// The stemmer of a language; `None` for one that is not stemmed.
#[must_use]
pub(crate) fn stemmer(code: &str) -> Option<Stemmer> {
    let code = code.get(..2)?.to_ascii_lowercase();
    LANGUAGES.iter().find(|(c, ..)| *c == code).map(|(_, _, algorithm)| Stemmer::create(*algorithm))
}
