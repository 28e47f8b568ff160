//! Hiding fields of an answer.

use serde_json::Value;

/// Hides the named fields: text becomes `***`, the rest `null`. A name without a dot fits wherever it stands, a
/// dotted path from the top only, through lists.
pub(crate) fn redact(answer: &mut Value, fields: &[&str]) {
    for field in fields {
        if field.contains('.') {
            let path: Vec<&str> = field.split('.').collect();
            at_path(answer, &path);
        } else {
            everywhere(answer, field);
        }
    }
}

fn hide(value: &mut Value) {
    *value = if value.is_string() { Value::from("***") } else { Value::Null };
}

fn everywhere(value: &mut Value, name: &str) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| everywhere(item, name)),
        Value::Object(map) => {
            for (key, inner) in map.iter_mut() {
                if key == name { hide(inner) } else { everywhere(inner, name) }
            }
        }
        _ => {}
    }
}

fn at_path(value: &mut Value, path: &[&str]) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| at_path(item, path)),
        Value::Object(map) => {
            let Some((first, rest)) = path.split_first() else { return };
            match map.get_mut(*first) {
                Some(found) if rest.is_empty() => hide(found),
                Some(found) => at_path(found, rest),
                None => {}
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_hidden_everywhere_and_paths_where_they_lead() {
        let mut answer = json!({
            "name": "Ada", "items": [{ "name": "Bo", "age": 5, "tags": ["x"] }], "owner": { "age": 7 },
        });
        redact(&mut answer, &["name", "items.age", "items.tags"]);
        assert_eq!(
            answer,
            json!({
                "name": "***", "items": [{ "name": "***", "age": null, "tags": null }], "owner": { "age": 7 },
            })
        );
    }
}
