//! Sentences and words of plain text.

/// Short forms whose dot ends no sentence, lower case without the dot.
const SHORT: &[&str] = &[
    "approx", "art", "bzw", "ca", "co", "dr", "e.g", "etc", "fig", "g", "i.e", "inc", "jr", "ltd", "max",
    "min", "mr", "mrs", "ms", "no", "nr", "p", "prof", "sr", "st", "str", "usw", "vs", "z", "b",
];

/// Words: runs of letters and digits, with apostrophes and hyphens inside.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '\'' || c == '’' || c == '-'))
        .map(|w| w.trim_matches(|c: char| !c.is_alphanumeric()))
        .filter(|w| !w.is_empty())
}

/// Sentences as they stand in the text, trimmed. A sentence ends at `. ! ? …` (and their fullwidth forms) before a
/// blank, at an empty line, and at a line that is a heading or a list item.
pub(super) fn sentences(text: &str) -> Vec<&str> {
    blocks(text).into_iter().flat_map(in_block).collect()
}

/// Paragraphs, headings and list items.
fn blocks(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut start = 0;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let bare = line.trim();
        let alone = bare.starts_with('#');
        let begins = alone || bare.starts_with("- ") || bare.starts_with("* ") || bare.starts_with("• ");
        if (bare.is_empty() || begins) && at > start {
            out.extend(text.get(start..at));
            start = at;
        }
        at += line.len();
        if alone {
            out.extend(text.get(start..at));
            start = at;
        }
    }
    out.extend(text.get(start..));
    out.into_iter().map(strip_mark).filter(|b| !b.is_empty()).collect()
}

fn strip_mark(block: &str) -> &str {
    let block = block.trim();
    let bare = block.trim_start_matches('#');
    let bare =
        bare.strip_prefix("- ").or(bare.strip_prefix("* ")).or(bare.strip_prefix("• ")).unwrap_or(bare);
    bare.trim()
}

fn in_block(block: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut start = 0;
    let mut chars = block.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let wide = matches!(c, '。' | '！' | '？');
        if !wide && !matches!(c, '.' | '!' | '?' | '…') {
            continue;
        }
        let mut end = at + c.len_utf8();
        // Closing quotes and brackets, and repeated marks, belong to the sentence.
        while let Some((i, n)) = chars.peek().copied() {
            if !matches!(n, '.' | '!' | '?' | '…' | '"' | '\'' | '”' | '’' | '»' | ')' | ']') {
                break;
            }
            end = i + n.len_utf8();
            chars.next();
        }
        let before = block.get(start..at).unwrap_or_default();
        let after = block.get(end..).unwrap_or_default();
        if after.is_empty() || wide || (ends_here(c, before, after)) {
            out.extend(block.get(start..end).map(str::trim).filter(|s| !s.is_empty()));
            start = end;
        }
    }
    out.extend(block.get(start..).map(str::trim).filter(|s| !s.is_empty()));
    out
}

fn ends_here(mark: char, before: &str, after: &str) -> bool {
    if !after.starts_with(char::is_whitespace) {
        return false;
    }
    let next = after.trim_start().chars().next().unwrap_or(' ');
    if mark != '.' {
        return !next.is_lowercase();
    }
    let last = before.rsplit(char::is_whitespace).next().unwrap_or_default().to_lowercase();
    let last = last.trim_start_matches(['(', '"', '„', '“']);
    let is_short = SHORT.contains(&last);
    // "3. Mai", "J. Smith": a lone digit or letter before the dot.
    let is_lone = last.chars().count() == 1 && last.chars().all(char::is_alphabetic);
    !is_short && !is_lone && !next.is_lowercase()
}

/// A word without common endings, so that "returns" meets "return". Deliberately crude and the same everywhere.
pub(super) fn stem(word: &str) -> String {
    let lower = word.to_lowercase();
    for ending in ["ingly", "ings", "ing", "edly", "ies", "ied", "ed", "es", "en", "er", "s", "e"] {
        if let Some(stem) = lower.strip_suffix(ending)
            && stem.chars().count() >= 4
        {
            // "delivery" and "deliveries" meet.
            return if ending.starts_with("ie") { format!("{stem}y") } else { stem.to_owned() };
        }
    }
    lower
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_end_where_readers_think() {
        let text = "# Returns\nDr. Hill says: returns are free (e.g. by post). Really?! Yes.\nCosts 3.50 EUR.\n\n\
                    - first item\n- second item";
        assert_eq!(
            sentences(text),
            [
                "Returns",
                "Dr. Hill says: returns are free (e.g. by post).",
                "Really?!",
                "Yes.",
                "Costs 3.50 EUR.",
                "first item",
                "second item"
            ]
        );
        assert!(sentences(" \n ").is_empty());
        assert_eq!(sentences("一。二"), ["一。", "二"]);
    }

    #[test]
    fn words_keep_inner_marks() {
        assert_eq!(
            words("it's a well-known 'fact', 20%").collect::<Vec<_>>(),
            ["it's", "a", "well-known", "fact", "20"]
        );
        assert_eq!(stem("returns"), stem("Returned"));
        assert_eq!(stem("deliveries"), stem("delivery"));
    }
}
