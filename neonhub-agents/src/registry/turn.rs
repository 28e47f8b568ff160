//! What happens between two answers of a model: repeated calls, and results that are too long.

use serde_json::{Value, json};

use super::model::hash_of;

/// So often the same call is made before the model is warned.
// Rule of agents, section 3: three times.
const REPEATS: usize = 3;
/// The longest result a model reads at once, in bytes of JSON.
// Rule of agents, section 3: 64 KiB.
const RESULT_CAP: usize = 64 << 10;

/// The name of a call for comparing it with others.
pub(super) fn name_of(tool: &str, args: &Value) -> String {
    hash_of(&json!([tool, args])).unwrap_or_else(|_| format!("{tool} {args}"))
}

/// True when the last call was made three times: alone, or as a part of a circle of calls.
pub(super) fn goes_round(calls: &[String]) -> bool {
    calls.last().is_some_and(|last| calls.iter().filter(|call| *call == last).count() >= REPEATS)
}

/// The handle of a result that was kept aside.
pub(super) fn handle(output: &Value) -> Option<&str> {
    let is_cut = output.get("is_cut").and_then(Value::as_bool) == Some(true);
    output.get("handle").and_then(Value::as_str).filter(|_| is_cut)
}

/// A result as the model of a run reads it that began before long results were kept aside: whole, or its beginning and end with
/// its size.
pub(super) fn shown(output: &Value) -> Value {
    let text = output.to_string();
    if text.len() <= RESULT_CAP {
        return output.clone();
    }
    let half = RESULT_CAP / 2;
    let head = text.get(..text.floor_char_boundary(half)).unwrap_or_default();
    let tail = text.get(text.ceil_char_boundary(text.len() - half)..).unwrap_or_default();
    json!({
        "is_cut": true,
        "bytes": text.len(),
        "head": head,
        "tail": tail,
        "note": "the answer is too long to be read at once: ask for less, or page by page"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(words: &str) -> Vec<String> {
        words.chars().map(String::from).collect()
    }

    #[test]
    fn the_same_call_thrice_is_a_circle() {
        assert!(!goes_round(&calls("aa")));
        assert!(goes_round(&calls("aaa")));
        assert!(goes_round(&calls("abcaxa")));
        assert!(!goes_round(&calls("abcdef")));
        assert!(!goes_round(&[]));
    }

    #[test]
    fn the_order_of_fields_makes_no_other_call() {
        let a = name_of("t", &json!({ "x": 1, "y": 2.0 }));
        assert_eq!(a, name_of("t", &json!({ "y": 2, "x": 1 })));
        assert_ne!(a, name_of("u", &json!({ "y": 2, "x": 1 })));
    }

    #[test]
    fn a_long_result_is_cut_between_characters() {
        let short = json!({ "a": 1 });
        assert_eq!(shown(&short), short);
        let long = Value::from("ü".repeat(RESULT_CAP));
        let cut = shown(&long);
        assert_eq!(cut["is_cut"], true);
        assert_eq!(cut["bytes"], RESULT_CAP * 2 + 2);
        let size = cut["head"].as_str().unwrap().len() + cut["tail"].as_str().unwrap().len();
        assert!(size <= RESULT_CAP && size > RESULT_CAP - 8, "{size}");
    }
}
