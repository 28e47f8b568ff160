//! Doc text for generated files: wrapped lines, list items, and what stands below every operation.

use super::catalogue::Operation;

/// Width of generated lines.
const WIDTH: usize = 100;

/// Text broken into lines of at most the width less the indent; blank lines stay.
pub(crate) fn wrap(text: &str, indent: usize) -> Vec<String> {
    let width = WIDTH.saturating_sub(indent).max(40);
    let mut lines = Vec::new();
    // Links between Rust items lead nowhere here; the words stay.
    let text = text.replace("[`", "`").replace("`]", "`");
    for paragraph in text.replace("\r\n", "\n").split("\n\n") {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        if !line.is_empty() {
            lines.push(line);
        }
    }
    lines
}

/// Lines of a list item, the second one on indented.
pub(crate) fn hanging(text: &str, indent: usize) -> Vec<String> {
    let wrapped = wrap(text, indent + 4).into_iter().enumerate();
    wrapped.map(|(n, line)| if n == 0 || line.is_empty() { line } else { format!("  {line}") }).collect()
}

/// Rights, effect class and codes of an operation, in one line.
pub(crate) fn notes(operation: &Operation) -> String {
    let mut notes = Vec::new();
    if !operation.needs.is_empty() {
        notes.push(format!("Needs {}.", quoted(&operation.needs)));
    }
    notes.push(format!("Effect: {}.", operation.effect));
    if !operation.errors.is_empty() {
        notes.push(format!("Codes of its own: {}.", quoted(&operation.errors)));
    }
    notes.join(" ")
}

fn quoted(words: &[String]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_wrapped() {
        let lines = wrap(&format!("{}\n\nend", "word ".repeat(30)), 4);
        assert!(lines.iter().all(|line| line.len() <= 96));
        assert_eq!(lines[lines.len() - 2..], [String::new(), "end".to_owned()]);
    }
}
