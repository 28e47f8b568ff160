//! References to the output of other nodes: `{{node.output.field.0}}`.

use std::collections::BTreeSet;

use serde_json::Value;

/// A reference: the node, and the path in its output.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Reference {
    pub(super) node: String,
    pub(super) path: Vec<String>,
}

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece<'t> {
    Words(&'t str),
    Value(Reference),
    /// Something between marks that is no reference.
    Broken(&'t str),
}

/// The pieces of a text.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((inside, behind)) = after.split_once("}}") else { break };
        if !before.is_empty() {
            found.push(Piece::Words(before));
        }
        found.push(parse(inside.trim()).map_or(Piece::Broken(inside), Piece::Value));
        rest = behind;
    }
    if !rest.is_empty() {
        found.push(Piece::Words(rest));
    }
    found
}

fn parse(text: &str) -> Option<Reference> {
    let mut words = text.split('.');
    let (node, output) = (words.next()?, words.next()?);
    let path: Vec<String> = words.map(str::to_owned).collect();
    let is_word =
        |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    (output == "output" && is_word(node) && path.iter().all(|w| is_word(w)))
        .then(|| Reference { node: node.to_owned(), path })
}

/// One place of an input that holds references.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Where, as a path of the input.
    pub(super) at: Vec<String>,
    /// The same as faults name it: `list[0].id`.
    pub(super) field: String,
    pub(super) reference: Reference,
    /// True when it is the whole value and not a part of a text.
    pub(super) is_whole: bool,
}

/// All references of an input, and the texts between marks that are none.
pub(super) fn places(input: &Value) -> (Vec<Place>, Vec<String>) {
    let (mut found, mut broken) = (Vec::new(), Vec::new());
    walk(input, &mut Vec::new(), "", &mut found, &mut broken);
    (found, broken)
}

fn walk(value: &Value, at: &mut Vec<String>, field: &str, found: &mut Vec<Place>, broken: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            let pieces = pieces(text);
            let is_whole = pieces.len() == 1;
            for piece in pieces {
                match piece {
                    Piece::Value(reference) => {
                        found.push(Place { at: at.clone(), field: field.to_owned(), reference, is_whole });
                    }
                    Piece::Broken(text) => broken.push(text.to_owned()),
                    Piece::Words(_) => {}
                }
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                at.push(i.to_string());
                walk(item, at, &format!("{field}[{i}]"), found, broken);
                at.pop();
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                at.push(key.clone());
                let here = if field.is_empty() { key.clone() } else { format!("{field}.{key}") };
                walk(item, at, &here, found, broken);
                at.pop();
            }
        }
        _ => {}
    }
}

/// The nodes that an input refers to.
pub(super) fn nodes(input: &Value) -> BTreeSet<String> {
    places(input).0.into_iter().map(|place| place.reference.node).collect()
}

/// The value at a path, or null.
pub(super) fn at<'v>(value: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, key| match value {
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        other => other.get(key),
    })
}

/// The input with its references replaced; `output` gives what a node answered. What is not there is null, and nothing
/// inside a text. A value that is put in is never read for references again.
pub(super) fn resolved<'o>(input: &Value, output: &impl Fn(&str) -> Option<&'o Value>) -> Value {
    let value = |r: &Reference| output(&r.node).and_then(|out| at(out, &r.path)).cloned().unwrap_or_default();
    match input {
        Value::String(text) => match pieces(text).as_slice() {
            [Piece::Value(reference)] => value(reference),
            pieces => pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Words(words) => (*words).to_owned(),
                    Piece::Broken(inside) => format!("{{{{{inside}}}}}"),
                    Piece::Value(reference) => match value(reference) {
                        Value::String(text) => text,
                        Value::Null => String::new(),
                        other => other.to_string(),
                    },
                })
                .collect::<String>()
                .into(),
        },
        Value::Array(items) => items.iter().map(|item| resolved(item, output)).collect(),
        Value::Object(map) => map.iter().map(|(key, item)| (key.clone(), resolved(item, output))).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn whole_values_keep_their_type_and_texts_take_words() {
        let a = json!({ "n": 3, "list": [{ "x": "{{b.output}}" }], "gone": null });
        let output = |node: &str| (node == "a").then_some(&a);
        let input = json!({
            "n": "{{a.output.n}}", "x": "{{ a.output.list.0.x }}", "all": ["{{a.output}}"],
            "text": "n is {{a.output.n}}, {{c.output.x}}{{a.output.gone}}!", "odd": "{{ now }} {{"
        });
        let out = resolved(&input, &output);
        assert_eq!(out["n"], 3);
        // What came from a node is data, whatever it looks like.
        assert_eq!(out["x"], "{{b.output}}");
        assert_eq!(out["all"][0], a);
        assert_eq!(out["text"], "n is 3, !");
        assert_eq!(out["odd"], "{{ now }} {{");
    }

    #[test]
    fn places_name_what_they_refer_to() {
        let (found, broken) =
            places(&json!({ "a": ["{{x.output.y.0}}", "b {{z.output}}"], "c": "{{x.input}}" }));
        assert_eq!(
            (found[0].at.as_slice(), found[0].field.as_str()),
            (["a".to_owned(), "0".to_owned()].as_slice(), "a[0]")
        );
        assert_eq!((found[0].reference.node.as_str(), found[0].is_whole), ("x", true));
        assert_eq!(found[0].reference.path, ["y", "0"]);
        assert!(!found[1].is_whole);
        assert_eq!(broken, ["x.input"]);
    }
}
