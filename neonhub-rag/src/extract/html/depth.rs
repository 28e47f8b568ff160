//! Refuses pages that nest so deeply that parsing them takes quadratic time.

use neonhub_core::{Error, ErrorKind, Result};

use super::super::OP;

/// Deepest nesting that is parsed. The tree builder looks up the stack for each tag, so a megabyte of open
/// tags would cost hours; real pages stay below 100.
const MAX_OPEN: usize = 2_000;
/// Elements that HTML closes by itself, or that hold nothing: leaving them open is no nesting.
const NOT_COUNTED: [&str; 34] = [
    "html", "head", "body", "p", "li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "tfoot", "colgroup",
    "option", "optgroup", "rp", "rt", "area", "base", "br", "col", "embed", "hr", "img", "input", "link",
    "meta", "param", "source", "track", "wbr", "keygen", "frame",
];

/// Checks the tags of a page without parsing it.
pub(super) fn check(html: &str) -> Result<()> {
    let mut open = 0_usize;
    let mut rest = html;
    while let Some((_, after)) = rest.split_once('<') {
        rest = after;
        if let Some(comment) = after.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, rest)| rest);
            continue;
        }
        let is_end = after.starts_with('/');
        let name: String = after
            .trim_start_matches('/')
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .take(12)
            .map(|c| c.to_ascii_lowercase())
            .collect();
        if name.is_empty() || NOT_COUNTED.contains(&name.as_str()) {
            continue;
        }
        if !is_end && (name == "script" || name == "style") {
            rest = after_end(after, &name);
        } else if is_end {
            open = open.saturating_sub(1);
        } else {
            open += 1;
        }
        if open > MAX_OPEN {
            return Err(Error::new(ErrorKind::Blocked, OP, "elements are nested more than 2000 deep")
                .with_context("open", open));
        }
    }
    Ok(())
}

/// What follows the end tag of a script or style.
fn after_end<'a>(text: &'a str, name: &str) -> &'a str {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("</") {
        rest = after;
        if after.get(..name.len()).is_some_and(|n| n.eq_ignore_ascii_case(name)) {
            return after;
        }
    }
    ""
}
