//! Stable fakes: the same personal value is the same made-up value in every case of a workspace, and nobody gets back
//! from one to the other.

use std::collections::{BTreeMap, BTreeSet};

use neonhub_core::{Error, Result, Scope};
use regex::{Captures, Regex};
use serde_json::{Map, Value};

use crate::guardrail::pii::{self, PiiKind};
use crate::voice::text::Span;

/// Fields whose text is the name of a person.
const NAMES: &[&str] = &[
    "first_name",
    "last_name",
    "middle_name",
    "full_name",
    "given_name",
    "family_name",
    "display_name",
    "firstname",
    "lastname",
    "fullname",
    "firstName",
    "lastName",
    "fullName",
    "displayName",
    "person_name",
    "customer_name",
    "contact_name",
    "recipient_name",
    "sender_name",
    "author_name",
    "nickname",
];
/// Fields whose text says where a person lives, or when it was born.
const PLACES: &[&str] =
    &["street", "street_address", "address_line1", "address_line2", "addressLine1", "street1"];
const BIRTHS: &[&str] = &["birthday", "birth_date", "date_of_birth", "dateOfBirth", "birthdate"];
/// Made-up names. Ours.
const FAKE_NAMES: &[&str] = &[
    "Alva", "Benno", "Carla", "Dario", "Edda", "Falk", "Gesa", "Hanno", "Ilka", "Joris", "Karla", "Lasse",
    "Mila", "Nilo", "Orla", "Piet", "Quirin", "Ronja", "Selma", "Tilo", "Ulla", "Veit", "Wanda", "Xenia",
    "Yorick", "Zora",
];
const BASE32: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Replaces personal values.
pub(super) struct Fakes<'s> {
    cx: &'s Scope,
    /// Names with their fakes.
    names: BTreeMap<String, String>,
    name: Option<Regex>,
    /// Country of phone numbers without a country code, ISO 3166-1 alpha-2.
    region: Option<String>,
    person: Regex,
}

impl<'s> Fakes<'s> {
    /// Knows the names in `known`, and every name that a field of `seen` calls one.
    ///
    /// # Errors
    /// `InvalidInput` when there are more names than a pattern can hold.
    pub(super) fn new(
        cx: &'s Scope,
        known: &[String],
        region: Option<&str>,
        seen: &[&Value],
    ) -> Result<Self> {
        let mut words: BTreeSet<String> = known.iter().map(|name| name.trim().to_owned()).collect();
        seen.iter().for_each(|value| collect(value, &mut words));
        let parts: Vec<String> =
            words.iter().flat_map(|name| name.split_whitespace()).map(str::to_owned).collect();
        words.extend(parts);
        words.retain(|word| word.chars().count() >= 2 && word.chars().any(char::is_alphabetic));
        let mut fakes = Fakes {
            cx,
            names: BTreeMap::new(),
            name: None,
            region: region.map(str::to_owned),
            person: regex(r"\bper_[0-9a-z]{26}\b")?,
        };
        for word in &words {
            let fake: Vec<&str> = word.split_whitespace().map(|part| fakes.name_of(part)).collect();
            fakes.names.insert(word.clone(), fake.join(" "));
        }
        if !words.is_empty() {
            // The longest first: a whole name goes before its parts.
            let mut all: Vec<&String> = words.iter().collect();
            all.sort_by_key(|word| std::cmp::Reverse(word.len()));
            let all: Vec<String> = all.into_iter().map(|word| regex::escape(word)).collect();
            fakes.name = Some(regex(&format!(r"\b(?:{})\b", all.join("|")))?);
        }
        Ok(fakes)
    }

    /// The value with fakes, in texts and in keys.
    pub(super) fn value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => items.iter().map(|item| self.value(item)).collect(),
            Value::Object(map) => Value::Object(self.map(map)),
            other => other.clone(),
        }
    }

    fn map(&self, map: &Map<String, Value>) -> Map<String, Value> {
        map.iter()
            .map(|(key, value)| {
                let value = match (key.as_str(), value) {
                    (key, Value::String(text)) if PLACES.contains(&key) && !text.is_empty() => {
                        Value::from(format!("{} Example Street", 1 + self.draw("place", text) % 999))
                    }
                    (key, Value::String(text)) if BIRTHS.contains(&key) && !text.is_empty() => {
                        let day = self.draw("birth", text);
                        let year = 1950 + day % 50;
                        // Never the real one, not even by chance.
                        let year = if text.contains(&year.to_string()) { year - 50 } else { year };
                        Value::from(format!("{year}-{:02}-{:02}", 1 + day / 50 % 12, 1 + day / 600 % 28))
                    }
                    _ => self.value(value),
                };
                (self.text(key), value)
            })
            .collect()
    }

    /// The text with fakes.
    pub(super) fn text(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for hit in pii::detect(text, self.region.as_deref()) {
            out.push_str(&self.words(Span::new(from, hit.span.start).of(text)));
            out.push_str(&self.fake(hit.kind, hit.span.of(text)));
            from = hit.span.end;
        }
        out.push_str(&self.words(Span::new(from, text.len()).of(text)));
        out
    }

    /// Names and ids of persons in what is no other personal value.
    fn words(&self, text: &str) -> String {
        let text = self.person.replace_all(text, |found: &Captures<'_>| {
            let id = found.get(0).map_or("", |m| m.as_str());
            let hash = self.cx.sealer().blind("evals.fake.person", id);
            let letter = |byte: &u8| char::from(BASE32.get(usize::from(byte % 32)).copied().unwrap_or(b'0'));
            format!("per_{}", hash.iter().take(26).map(letter).collect::<String>())
        });
        let Some(names) = &self.name else { return text.into_owned() };
        let fake = |found: &Captures<'_>| {
            found.get(0).and_then(|m| self.names.get(m.as_str())).cloned().unwrap_or_default()
        };
        names.replace_all(&text, fake).into_owned()
    }

    /// A name that is not this one.
    fn name_of(&self, part: &str) -> &'static str {
        let others: Vec<&str> =
            FAKE_NAMES.iter().copied().filter(|name| !name.eq_ignore_ascii_case(part)).collect();
        let at = self.draw("name", &part.to_lowercase()) % others.len().max(1) as u64;
        usize::try_from(at).ok().and_then(|at| others.get(at).copied()).unwrap_or("Alva")
    }

    fn draw(&self, label: &str, value: &str) -> u64 {
        let hash = self.cx.sealer().blind(&format!("evals.fake.{label}"), value);
        u64::from_le_bytes(hash.first_chunk::<8>().copied().unwrap_or_default())
    }

    /// A value that was never given to anybody.
    fn fake(&self, kind: PiiKind, value: &str) -> String {
        let digits = || value.chars().filter(char::is_ascii_digit).collect::<String>();
        let lower = value.to_lowercase();
        match kind {
            // RFC 2606: example.com belongs to nobody.
            PiiKind::Email => {
                format!("user-{:010x}@example.com", self.draw("email", &lower) & 0xff_ffff_ffff)
            }
            // 555-0100 to 555-0199 of each area are kept for fiction (NANPA).
            PiiKind::Phone => {
                // The same number with and without its country code ends alike.
                let all = digits();
                let draw = self.draw("phone", all.get(all.len().saturating_sub(7)..).unwrap_or(&all));
                format!("+1 {} 555 01{:02}", 201 + draw % 780, draw / 780 % 100)
            }
            // RFC 3849 and RFC 5737: addresses for documents.
            PiiKind::Ip if value.contains(':') => format!("2001:db8::{:x}", self.draw("ip", &lower) & 0xffff),
            PiiKind::Ip => format!("203.0.113.{}", self.draw("ip", value) % 254 + 1),
            // Banks of Germany have no code of zeros.
            PiiKind::Iban => {
                let spare: String = lower.chars().filter(char::is_ascii_alphanumeric).collect();
                format!("DE00 0000 0000 {:010}", self.draw("iban", &spare) % 10_000_000_000)
            }
            // No card begins with 0.
            PiiKind::Card => format!("0000 0000 {:08}", self.draw("card", &digits()) % 100_000_000),
            // The SSA gives no number of area 000.
            PiiKind::Ssn => {
                let draw = self.draw("ssn", &digits());
                format!("000-{:02}-{:04}", 1 + draw % 99, 1 + draw / 99 % 9999)
            }
        }
    }
}

fn regex(pattern: &str) -> Result<Regex> {
    Regex::new(pattern)
        .map_err(|cause| Error::invalid("evals.promote", "names", "expected fewer names").with_source(cause))
}

/// What stands in fields that are names.
fn collect(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, names)),
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(text) if NAMES.contains(&key.as_str()) && text.len() <= 100 => {
                        names.insert(text.trim().to_owned());
                    }
                    other => collect(other, names),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neonhub_core::Hub;
    use serde_json::json;

    async fn scope() -> Scope {
        Hub::builder().seed(4).build().await.unwrap().workspace("default").await.unwrap()
    }

    #[tokio::test]
    async fn personal_values_become_stable_fakes() {
        let cx = scope().await;
        let real = json!({
            "first_name": "Zelda",
            "text": "Zelda O'Neil <zelda.oneil@mail.test> or ZELDA.ONEIL@mail.test, phone +49 30 901820, IBAN DE89 3704 0044 0532 0130 00, card 4111 1111 1111 1111",
            "person": "per_01kaf3w0000000000000000000",
            "street": "Lindenallee 7",
            "birthday": "1961-02-03",
            "by": { "zelda.oneil@mail.test": 30 },
        });
        let fakes = Fakes::new(&cx, &["O'Neil".to_owned()], None, &[&real]).unwrap();
        let fake = fakes.value(&real);
        let shown = fake.to_string();
        for gone in [
            "Zelda",
            "ZELDA",
            "Neil",
            "oneil",
            "30 901820",
            "3704 0044",
            "4111 1111",
            "01kaf3w",
            "Lindenallee",
        ] {
            assert!(!shown.contains(gone), "{gone} in {shown}");
        }
        assert!(!fake["birthday"].as_str().unwrap().contains("1961"), "{shown}");
        assert_eq!(fake["by"].as_object().unwrap().values().next(), Some(&json!(30)));
        // The same value is the same fake, also when it is written otherwise, and in another case.
        let mail = pii::detect(fake["text"].as_str().unwrap(), None);
        let mails: BTreeSet<&str> = mail
            .iter()
            .filter(|hit| hit.kind == PiiKind::Email)
            .map(|hit| hit.span.of(fake["text"].as_str().unwrap()))
            .collect();
        assert_eq!(mails.len(), 1);
        assert!(fake["by"].as_object().unwrap().contains_key(*mails.first().unwrap()));
        assert_eq!(Fakes::new(&cx, &["O'Neil".to_owned()], None, &[&real]).unwrap().value(&real), fake);
        let other = Fakes::new(&cx, &[], None, &[]).unwrap().text("zelda.oneil@mail.test");
        assert_eq!(other, *mails.first().unwrap());
    }

    #[tokio::test]
    async fn no_name_and_no_year_of_birth_stays_by_chance() {
        let cx = scope().await;
        let fakes = Fakes::new(&cx, &[], None, &[]).unwrap();
        for day in 0..2_000 {
            let real = format!("{}-{:02}-{:02}", 1950 + day % 50, 1 + day / 50 % 12, 1 + day / 600);
            let fake = fakes.value(&json!({ "birthday": real }));
            assert_ne!(fake["birthday"].as_str().unwrap().get(..4), real.get(..4));
        }
        assert!(FAKE_NAMES.iter().all(|name| fakes.name_of(name) != *name));
    }

    #[tokio::test]
    async fn a_number_is_the_same_with_and_without_its_country() {
        let cx = scope().await;
        let of = |region, text: &str| Fakes::new(&cx, &[], region, &[]).unwrap().text(text);
        let abroad = of(None, "+49 30 901820");
        assert!(abroad.starts_with("+1 ") && abroad.contains(" 555 01"), "{abroad}");
        assert_eq!(of(Some("DE"), "phone 030 901820"), format!("phone {abroad}"));
        assert_eq!(of(None, "phone 030 901820"), "phone 030 901820");
    }

    #[tokio::test]
    async fn what_is_not_personal_stays() {
        let cx = scope().await;
        let value = json!({ "text": "Returns within 30 days, 1250 shops, run_01kaf3w0000000000000000000", "n": 4711 });
        assert_eq!(Fakes::new(&cx, &[], None, &[&value]).unwrap().value(&value), value);
    }
}
