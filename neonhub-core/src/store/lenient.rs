//! Reading stored bodies: what a newer build added is passed over, also inside of types that refuse unknown fields as
//! input.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

/// Fields that are passed over in one body at most.
const MOST: usize = 256;

/// A type from a stored body.
///
/// # Errors
/// What is wrong with the body, beside fields that the type does not know.
pub(super) fn read<T: DeserializeOwned>(body: &str) -> serde_json::Result<T> {
    serde_json::from_str(body).or_else(|first| {
        if refused(&first).is_none() {
            return Err(first);
        }
        let mut value: Value = serde_json::from_str(body)?;
        pass_over(&mut value)
    })
}

/// Takes out what the type refuses, field by field.
fn pass_over<T: DeserializeOwned>(value: &mut Value) -> serde_json::Result<T> {
    for _ in 0..MOST {
        let error = match serde_path_to_error::deserialize(&*value) {
            Ok(read) => return Ok(read),
            Err(error) => error,
        };
        let taken = refused(error.inner()).is_some_and(|name| take(value, error.path(), &name));
        if !taken {
            return Err(error.into_inner());
        }
    }
    serde_json::from_value(std::mem::take(value))
}

/// The field that a type refused, from the words that serde has for it.
fn refused(error: &serde_json::Error) -> Option<String> {
    let text = error.to_string();
    let (name, _) = text.strip_prefix("unknown field `")?.split_once('`')?;
    Some(name.to_owned())
}

/// Takes a field out at a path. Where the path ends above the field (types with a tag are read from a copy), it must be
/// the only one of its name there.
fn take(value: &mut Value, path: &Path, name: &str) -> bool {
    let mut steps: Vec<&Segment> = path.iter().collect();
    let is_named = matches!(steps.last(), Some(Segment::Map { key }) if key == name);
    if is_named {
        steps.pop();
    }
    let mut at = value;
    for step in steps {
        let next = match (step, at) {
            (Segment::Map { key } | Segment::Enum { variant: key }, Value::Object(map)) => map.get_mut(key),
            (Segment::Seq { index }, Value::Array(items)) => items.get_mut(*index),
            _ => None,
        };
        let Some(next) = next else { return false };
        at = next;
    }
    match at {
        Value::Object(map) if is_named => map.remove(name).is_some(),
        at => count(at, name) == 1 && remove_below(at, name),
    }
}

fn count(value: &Value, name: &str) -> usize {
    match value {
        Value::Object(map) => map.iter().map(|(key, v)| usize::from(key == name) + count(v, name)).sum(),
        Value::Array(items) => items.iter().map(|item| count(item, name)).sum(),
        _ => 0,
    }
}

fn remove_below(value: &mut Value, name: &str) -> bool {
    match value {
        Value::Object(map) => {
            map.remove(name).is_some() || map.values_mut().any(|inner| remove_below(inner, name))
        }
        Value::Array(items) => items.iter_mut().any(|item| remove_below(item, name)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Plan {
        id: String,
        target: Target,
        steps: Vec<Step>,
        note: Option<String>,
    }

    /// A type of inputs that is stored too.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
    enum Target {
        Call { name: String },
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Step {
        n: u8,
    }

    fn plan() -> Plan {
        Plan {
            id: "p".into(),
            target: Target::Call { name: "x".into() },
            steps: vec![Step { n: 1 }, Step { n: 2 }],
            note: Some("kept".into()),
        }
    }

    #[test]
    fn fields_that_a_type_refuses_are_passed_over_where_they_are() {
        let mut body = serde_json::to_value(plan()).unwrap();
        body["later"] = json!(1);
        body["target"]["retries"] = json!({ "n": 3 });
        body["steps"][1]["note"] = json!("unknown here");
        body["steps"][0]["more"] = json!([1]);
        assert_eq!(read::<Plan>(&body.to_string()).unwrap(), plan());
    }

    #[test]
    fn what_is_wrong_otherwise_is_said() {
        let mut body = serde_json::to_value(plan()).unwrap();
        body["target"]["retries"] = json!(3);
        body["steps"][1] = json!({ "n": "two", "more": 1 });
        let error = read::<Plan>(&body.to_string()).unwrap_err();
        assert!(error.to_string().contains("invalid type"), "{error}");
        assert!(read::<Plan>("{").is_err());
    }
}
