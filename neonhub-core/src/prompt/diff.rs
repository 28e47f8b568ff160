//! Which lines of a template were taken out and put in.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::registry::Prompt;

/// Most pairs of lines that are compared; beyond it the changed middle counts as replaced.
const MOST_PAIRS: usize = 4_000_000;

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LineChange {
    /// It is in both.
    Same,
    /// It was taken out.
    Removed,
    /// It was put in.
    Added,
}

/// One line of a comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiffLine {
    /// What became of it.
    pub change: LineChange,
    /// Its text.
    pub text: String,
}

/// Fields of two prompts that differ, without name and version.
pub(super) fn changed_fields(from: &Prompt, to: &Prompt) -> Result<Vec<String>, serde_json::Error> {
    let (Value::Object(old), Value::Object(new)) = (serde_json::to_value(from)?, serde_json::to_value(to)?)
    else {
        return Ok(Vec::new());
    };
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differs =
        |name: &&String| !matches!(name.as_str(), "name" | "version") && old.get(*name) != new.get(*name);
    Ok(names.into_iter().filter(differs).cloned().collect())
}

/// Both texts line by line: a longest common part is kept, the rest was taken out or put in.
pub(super) fn lines(old: &str, new: &str) -> Vec<DiffLine> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let most = old.len().min(new.len()) - head;
    let tail = old.iter().rev().zip(new.iter().rev()).take(most).take_while(|(a, b)| a == b).count();
    let (a, b) = (cut(&old, head, tail), cut(&new, head, tail));
    let mut out: Vec<DiffLine> = old.iter().take(head).map(|text| line(LineChange::Same, text)).collect();
    between(a, b, &mut out);
    out.extend(old.iter().skip(old.len() - tail).map(|text| line(LineChange::Same, text)));
    out
}

fn cut<'a, 't>(all: &'a [&'t str], head: usize, tail: usize) -> &'a [&'t str] {
    all.get(head..all.len() - tail).unwrap_or_default()
}

fn line(change: LineChange, text: &str) -> DiffLine {
    DiffLine { change, text: text.to_owned() }
}

fn between(old: &[&str], new: &[&str], out: &mut Vec<DiffLine>) {
    let width = new.len() + 1;
    if old.len() * new.len() > MOST_PAIRS {
        out.extend(old.iter().map(|text| line(LineChange::Removed, text)));
        out.extend(new.iter().map(|text| line(LineChange::Added, text)));
        return;
    }
    // Length of the longest common part of what follows each pair of places.
    let mut longest = vec![0_u32; (old.len() + 1) * width];
    let at = |i: usize, j: usize| i * width + j;
    for (i, a) in old.iter().enumerate().rev() {
        for (j, b) in new.iter().enumerate().rev() {
            let of = |i, j| longest.get(at(i, j)).copied().unwrap_or_default();
            let best = if a == b { of(i + 1, j + 1) + 1 } else { of(i + 1, j).max(of(i, j + 1)) };
            if let Some(slot) = longest.get_mut(at(i, j)) {
                *slot = best;
            }
        }
    }
    let of = |i, j| longest.get(at(i, j)).copied().unwrap_or_default();
    let (mut i, mut j) = (0, 0);
    while let (Some(a), Some(b)) = (old.get(i), new.get(j)) {
        if a == b {
            out.push(line(LineChange::Same, a));
            (i, j) = (i + 1, j + 1);
        } else if of(i + 1, j) >= of(i, j + 1) {
            out.push(line(LineChange::Removed, a));
            i += 1;
        } else {
            out.push(line(LineChange::Added, b));
            j += 1;
        }
    }
    out.extend(old.iter().skip(i).map(|text| line(LineChange::Removed, text)));
    out.extend(new.iter().skip(j).map(|text| line(LineChange::Added, text)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kept_where_they_can_be() {
        let marks = |old: &str, new: &str| -> String {
            let mark = |l: DiffLine| {
                let sign = match l.change {
                    LineChange::Same => ' ',
                    LineChange::Removed => '-',
                    LineChange::Added => '+',
                };
                format!("{sign}{}", l.text)
            };
            lines(old, new).into_iter().map(mark).collect::<Vec<_>>().join("|")
        };
        assert_eq!(marks("a\nb\nc", "a\nx\nc"), " a|-b|+x| c");
        assert_eq!(marks("", "a"), "+a");
        assert_eq!(marks("a\na", "a"), " a|-a");
        assert_eq!(marks("a\nb\nc\nd", "b\nd\ne"), "-a| b|-c| d|+e");
    }

    #[test]
    fn changed_fields_are_named() {
        let a = Prompt::new("x", 1, "one");
        let b = Prompt { version: 2, offline_template: Some("o".into()), ..a.clone() };
        assert_eq!(changed_fields(&a, &b).unwrap(), ["offline_template"]);
    }
}
