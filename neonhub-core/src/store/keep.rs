//! Fields of stored bodies that this build does not know: a newer build wrote them, and a write of this one keeps them.
//!
//! A field is unknown when the type neither writes it nor lets it count: with the field or without it, the type reads the
//! same. So a field that the type knows and leaves out (`skip_serializing_if`) does not come back, and neither does one
//! that it reads under an older name.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::{Record, canonical_json, lenient};

/// The new body of a record with what its old one holds and type `R` does not know; `None` when there is nothing to
/// keep. An element of a list is the same one when its `id` is, or all of it that the type knows.
pub(super) fn kept<R: Record>(old: &str, new: &str) -> Option<String> {
    if !may_lose(old, new) {
        return None;
    }
    let known = round_trip::<R>(old)?;
    let (mut old, mut body) = (parse(old)?, parse(new)?);
    drop_what_counts::<R>(&mut old, &known)?;
    merge(&mut body, &old, &parse(&known)?);
    let out = canonical_json(&body).ok().filter(|out| out != new)?;
    // What the type reads must be what was written: a field that is known elsewhere in the body is not brought there.
    (round_trip::<R>(&out)? == round_trip::<R>(new)?).then_some(out)
}

fn parse(body: &str) -> Option<Value> {
    serde_json::from_str(body).ok()
}

/// What the type makes of a body.
fn round_trip<R: Record>(body: &str) -> Option<String> {
    let record: R = lenient::read(body).ok()?;
    canonical_json(&record).ok()
}

/// Takes the fields out that the type does not write but reads: an older name, a value it works another one out of.
/// `None` when nothing is left to keep.
fn drop_what_counts<R: Record>(old: &mut Value, known: &str) -> Option<()> {
    let mut lost = Vec::new();
    unwritten(old, &parse(known)?, &mut Vec::new(), &mut lost);
    if lost.is_empty() {
        return None;
    }
    let reads_the_same =
        |value: &Value| round_trip::<R>(&value.to_string()).is_some_and(|text| text == known);
    let mut bare = old.clone();
    lost.iter().for_each(|path| remove(&mut bare, path));
    if !reads_the_same(&bare) {
        let counts = |path: &&Vec<Step>| {
            let mut without = old.clone();
            remove(&mut without, path);
            !reads_the_same(&without)
        };
        let counting: Vec<Vec<Step>> = lost.iter().filter(counts).cloned().collect();
        counting.iter().for_each(|path| remove(old, path));
        lost.retain(|path| !counting.contains(path));
    }
    (!lost.is_empty()).then_some(())
}

/// One step into a body.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Field(String),
    Item(usize),
}

/// The paths of fields that `old` has and `known` lacks.
fn unwritten(old: &Value, known: &Value, path: &mut Vec<Step>, out: &mut Vec<Vec<Step>>) {
    match (old, known) {
        (Value::Object(old), Value::Object(known)) => {
            for (name, value) in old {
                path.push(Step::Field(name.clone()));
                match known.get(name) {
                    Some(known) => unwritten(value, known, path, out),
                    None => out.push(path.clone()),
                }
                path.pop();
            }
        }
        (Value::Array(old), Value::Array(known)) if old.len() == known.len() => {
            for (n, (value, known)) in old.iter().zip(known).enumerate() {
                path.push(Step::Item(n));
                unwritten(value, known, path, out);
                path.pop();
            }
        }
        _ => {}
    }
}

fn remove(value: &mut Value, path: &[Step]) {
    match (path, value) {
        ([Step::Field(name)], Value::Object(map)) => {
            map.remove(name);
        }
        ([Step::Field(name), rest @ ..], Value::Object(map)) => {
            if let Some(inner) = map.get_mut(name) {
                remove(inner, rest);
            }
        }
        ([Step::Item(n), rest @ ..], Value::Array(items)) => {
            if let Some(inner) = items.get_mut(*n) {
                remove(inner, rest);
            }
        }
        _ => {}
    }
}

/// Brings what `old` has beyond `known` into `new`.
fn merge(new: &mut Value, old: &Value, known: &Value) {
    match (new, old, known) {
        (Value::Object(new), Value::Object(old), Value::Object(known)) => {
            for (name, value) in old {
                match known.get(name) {
                    None => {
                        new.entry(name.clone()).or_insert_with(|| value.clone());
                    }
                    Some(known) => {
                        if let Some(new) = new.get_mut(name) {
                            merge(new, value, known);
                        }
                    }
                }
            }
        }
        (Value::Array(new), Value::Array(old), Value::Array(known)) if old.len() == known.len() => {
            // Of elements that look alike the first goes to the first.
            let mut free: Vec<Option<&mut Value>> = new.iter_mut().map(Some).collect();
            for (old, known) in old.iter().zip(known) {
                let same = free.iter_mut().find(|new| new.as_deref().is_some_and(|new| is_same(new, known)));
                if let Some(new) = same.and_then(Option::take) {
                    merge(new, old, known);
                }
            }
        }
        _ => {}
    }
}

/// True when an element of the new list is the one that was known before.
fn is_same(new: &Value, known: &Value) -> bool {
    match (new.get("id"), known.get("id")) {
        (Some(new), Some(known)) => new == known,
        _ => new == known,
    }
}

/// A quick look at names alone: true when `old` has some that `new` lacks in the same place.
fn may_lose(old: &str, new: &str) -> bool {
    if old == new {
        return false;
    }
    let shape = |body| serde_json::from_str::<Shape<'_>>(body).ok();
    shape(old).zip(shape(new)).is_some_and(|(old, new)| !new.covers(&old))
}

/// The names of a body without its values.
enum Shape<'a> {
    Leaf,
    List(Vec<Shape<'a>>),
    Fields(Vec<(Cow<'a, str>, Shape<'a>)>),
}

impl Shape<'_> {
    fn has_names(&self) -> bool {
        match self {
            Shape::Leaf => false,
            Shape::List(items) => items.iter().any(Shape::has_names),
            Shape::Fields(fields) => !fields.is_empty(),
        }
    }

    fn covers(&self, old: &Shape<'_>) -> bool {
        match (self, old) {
            (Shape::Fields(new), Shape::Fields(old)) => {
                // Both come from the same type, mostly in the same order: the search mostly ends at its first step.
                let mut at = 0;
                old.iter().all(|(name, old)| {
                    let rest = new.get(at..).unwrap_or_default();
                    let found = rest.iter().position(|(n, _)| n == name).map(|n| at + n);
                    let found = found.or_else(|| new.iter().position(|(n, _)| n == name));
                    at = found.map_or(at, |n| n + 1);
                    found.and_then(|n| new.get(n)).is_some_and(|(_, new)| new.covers(old))
                })
            }
            (Shape::List(new), Shape::List(old)) => {
                let rest = old.get(new.len()..).unwrap_or_default();
                new.iter().zip(old).all(|(new, old)| new.covers(old)) && !rest.iter().any(Shape::has_names)
            }
            (_, old) => !old.has_names(),
        }
    }
}

impl<'de> Deserialize<'de> for Shape<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Names)
    }
}

/// A name, borrowed unless it holds escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        from.deserialize_str(Text)
    }
}

struct Names;

impl<'de> Visitor<'de> for Names {
    type Value = Shape<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Shape<'de>, E> {
        Ok(Shape::Leaf)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Shape<'de>, E> {
        Ok(Shape::Leaf)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Shape<'de>, E> {
        Ok(Shape::Leaf)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Shape<'de>, E> {
        Ok(Shape::Leaf)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Shape<'de>, E> {
        Ok(Shape::Leaf)
    }
    fn visit_str<E>(self, _: &str) -> Result<Shape<'de>, E> {
        Ok(Shape::Leaf)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Shape<'de>, A::Error> {
        let mut out = Vec::new();
        while let Some(item) = items.next_element()? {
            out.push(item);
        }
        Ok(Shape::List(out))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Shape<'de>, A::Error> {
        let mut out = Vec::new();
        while let Some(Name(name)) = fields.next_key()? {
            out.push((name, fields.next_value()?));
        }
        Ok(Shape::Fields(out))
    }
}

#[cfg(test)]
mod tests;
