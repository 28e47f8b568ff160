//! Changes to the plain fields of a person (people.md 2, rules 7 and 9).

use neonhub_core::Timestamp;
use serde_json::Value;

use super::engine::Fields;
use super::limits::{MAX_TAGS, MAX_TRAITS};
use super::model::{Person, Trait};

/// Writes down what is said; true when something is new. Absent fields stay as they are.
pub(super) fn apply(person: &mut Person, said: &Fields, at: Timestamp, source: &str) -> bool {
    let mut changed = false;
    for (have, said) in [
        (&mut person.first_name, &said.first_name),
        (&mut person.last_name, &said.last_name),
        (&mut person.locale, &said.locale),
        (&mut person.timezone, &said.timezone),
        (&mut person.country, &said.country),
        (&mut person.region, &said.region),
    ] {
        if let Some(said) = said.as_deref()
            && have.as_deref() != Some(said)
        {
            *have = Some(said.to_owned());
            changed = true;
        }
    }
    for (name, value) in &said.traits {
        changed |= set_trait(person, name, value, at, source);
    }
    for tag in &said.tags {
        if let Err(place) = person.tags.binary_search_by(|t| t.as_str().cmp(tag))
            && person.tags.len() < MAX_TAGS
        {
            person.tags.insert(place, tag.to_string());
            changed = true;
        }
    }
    for (name, value) in &said.metadata {
        if person.metadata.get(*name) != Some(value) {
            person.metadata.insert((*name).to_owned(), value.clone());
            changed = true;
        }
    }
    changed
}

/// The later event wins per trait; `null` removes it.
fn set_trait(person: &mut Person, name: &str, value: &Value, at: Timestamp, source: &str) -> bool {
    let is_full = person.traits.len() >= MAX_TRAITS;
    match person.traits.get_mut(name) {
        Some(have) if at < have.at || have.value == *value => false,
        Some(_) if value.is_null() => {
            person.traits.remove(name);
            true
        }
        Some(have) => {
            *have = Trait { value: value.clone(), at, source: source.to_owned() };
            true
        }
        None if value.is_null() || is_full => false,
        None => {
            let new = Trait { value: value.clone(), at, source: source.to_owned() };
            person.traits.insert(name.to_owned(), new);
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::PersonId;

    fn person() -> Person {
        Person::new(PersonId::try_from(format!("per_{:026}", 1)).unwrap(), Timestamp::EPOCH)
    }

    fn said(value: Value) -> Fields {
        Fields { traits: vec![("size".into(), value)], ..Fields::default() }
    }

    #[test]
    fn rule_7_older_event_never_overwrites_and_null_removes() {
        let mut p = person();
        let at = Timestamp::from_millis;
        assert!(apply(&mut p, &said(42.into()), at(200), "form"));
        assert!(!apply(&mut p, &said(41.into()), at(100), "form"));
        assert_eq!(p.traits["size"].value, Value::from(42));
        assert!(!apply(&mut p, &said(42.into()), at(300), "form"));
        assert!(apply(&mut p, &said(Value::Null), at(300), "form"));
        assert!(p.traits.is_empty());
    }

    #[test]
    fn the_same_words_again_change_nothing() {
        let mut p = person();
        let fields = Fields {
            first_name: Some("Ann".into()),
            tags: vec!["vip".into(), "a".into()],
            ..Fields::default()
        };
        assert!(apply(&mut p, &fields, Timestamp::EPOCH, "form"));
        assert_eq!(p.tags, ["a", "vip"]);
        assert!(!apply(&mut p, &fields, Timestamp::EPOCH, "form"));
    }
}
