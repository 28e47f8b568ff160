//! Small grammar: is this a sentence, how does it end, how do fragments become a list.

use crate::voice::text::{self, fold_mark, is_apostrophe};

/// Words that make a finite clause. Ours: auxiliaries and the verbs of everyday marketing copy.
const FINITE: &[&str] = &[
    "is",
    "are",
    "was",
    "were",
    "has",
    "have",
    "had",
    "can",
    "will",
    "would",
    "do",
    "does",
    "did",
    "may",
    "must",
    "should",
    "could",
    "am",
    "adds",
    "answers",
    "arrives",
    "asks",
    "bakes",
    "begins",
    "brings",
    "builds",
    "buys",
    "calls",
    "closes",
    "comes",
    "connects",
    "costs",
    "covers",
    "creates",
    "cuts",
    "delivers",
    "ends",
    "feels",
    "finds",
    "fits",
    "gets",
    "gives",
    "goes",
    "grows",
    "happens",
    "heals",
    "helps",
    "holds",
    "includes",
    "keeps",
    "lands",
    "lasts",
    "learns",
    "leaves",
    "lets",
    "lives",
    "looks",
    "makes",
    "means",
    "meets",
    "needs",
    "offers",
    "opens",
    "pays",
    "protects",
    "puts",
    "reads",
    "remains",
    "replaces",
    "requires",
    "rises",
    "runs",
    "saves",
    "says",
    "sees",
    "sends",
    "ships",
    "shows",
    "sounds",
    "stands",
    "starts",
    "stays",
    "stops",
    "supports",
    "takes",
    "tastes",
    "tells",
    "turns",
    "understands",
    "uses",
    "wins",
    "works",
    "writes",
    "tracks",
    "charges",
    "warms",
    "lights",
    "carries",
    "cleans",
    "cooks",
    "dries",
    "folds",
    "improves",
    "reduces",
    "returns",
    "changed",
    "moved",
    "opened",
    "grew",
    "improved",
    "updated",
    "added",
    "pour",
    "began",
    "came",
    "got",
    "made",
    "won",
    "ist",
    "sind",
    "hat",
    "haben",
    "wird",
    "kommt",
    "gibt",
    "bleibt",
    "macht",
    "kostet",
    "liefern",
    "liefert",
    "beginnt",
    "dauert",
    "bekommt",
    "bekommen",
    "erwarten",
    "erwartet",
    "startet",
    "werden",
    "kann",
];
/// Verbs that open a call or an instruction.
const IMPERATIVE: &[&str] = &[
    "add", "ask", "bake", "be", "become", "begin", "book", "bring", "browse", "build", "buy", "call",
    "change", "check", "choose", "claim", "come", "compare", "connect", "cook", "create", "cut", "discover",
    "do", "don't", "download", "drop", "earn", "eat", "enjoy", "enter", "explore", "find", "forget", "get",
    "give", "go", "grab", "grow", "have", "hear", "join", "keep", "know", "learn", "leave", "let", "light",
    "listen", "look", "love", "make", "meet", "move", "open", "order", "pay", "pick", "plan", "plant",
    "play", "pop", "read", "register", "relax", "reserve", "save", "see", "sell", "send", "share", "shop",
    "sign", "sit", "skip", "sleep", "spend", "start", "stay", "stop", "switch", "take", "talk", "taste",
    "tell", "think", "train", "travel", "treat", "try", "turn", "upgrade", "use", "visit", "wake", "walk",
    "watch", "wear", "win", "work", "write",
];

/// True when `text` is a clause of its own rather than a noun phrase.
pub(super) fn is_sentence(text: &str) -> bool {
    let words: Vec<String> =
        text::words(text).iter().map(|w| w.text.to_lowercase().chars().map(fold_mark).collect()).collect();
    let first = words.first().map_or("", String::as_str);
    if IMPERATIVE.contains(&first) && words.len() >= 2 {
        return true;
    }
    let subject = words.windows(2).enumerate().any(|(i, w)| {
        let pronoun = w.first().is_some_and(|p| {
            matches!(
                p.as_str(),
                "we" | "you" | "i" | "they" | "she" | "he" | "wir" | "du" | "ihr" | "es" | "er"
            )
        });
        let before = i.checked_sub(1).and_then(|p| words.get(p)).map_or("", String::as_str);
        pronoun && !matches!(before, "for" | "to" | "as" | "with" | "by" | "than")
    });
    let contracted = words.iter().any(|w| {
        w.ends_with("n't")
            || w.ends_with("'re")
            || w.ends_with("'ll")
            || w.ends_with("'ve")
            || w.ends_with("'m")
            || w == "it's"
    });
    subject || contracted || words.iter().any(|w| FINITE.contains(&w.as_str()))
}

/// True when `text` opens with a verb that calls on the reader.
pub(super) fn is_instruction(text: &str) -> bool {
    let first = text::words(text).first().map_or("", |w| w.text).to_lowercase();
    IMPERATIVE.contains(&first.chars().map(fold_mark).collect::<String>().as_str())
}

/// Begins with a capital and ends with a mark. Tags, handles and links stay as they are.
pub(super) fn as_sentence(text: &str) -> String {
    let text = text.trim();
    let bare = text.starts_with(['#', '@']) || (text.contains("://") && !text.contains(' '));
    if bare || text.is_empty() {
        return text.to_owned();
    }
    let mut out = text::capitalised(text);
    let last = out.trim_end_matches(['"', '\'', ')', '\u{201d}', '\u{2019}']).chars().next_back();
    let link_last = out.split_whitespace().next_back().is_some_and(|w| w.contains("://"));
    let tag_last = out.split_whitespace().next_back().is_some_and(|w| w.starts_with('#'));
    let closed = last.is_some_and(|c| matches!(c, '.' | '!' | '?' | '\u{2026}' | ':') || text::is_emoji(c));
    if !closed && !link_last && !tag_last {
        out.push('.');
    }
    out
}

/// Without the final full stop, for headlines.
pub(super) fn as_headline(text: &str) -> String {
    let text = text.trim();
    let bare =
        if text.ends_with("...") || text.ends_with('\u{2026}') { text } else { text.trim_end_matches('.') };
    text::capitalised(bare)
}

/// Small first words that carry no name, so that they may be written in lower case inside a sentence. Ours.
const SMALL: &[&str] = &[
    "a",
    "all",
    "an",
    "any",
    "at",
    "book",
    "bring",
    "buy",
    "complimentary",
    "double",
    "each",
    "early",
    "easy",
    "every",
    "extra",
    "fast",
    "first",
    "five",
    "for",
    "four",
    "free",
    "fresh",
    "friendly",
    "from",
    "full",
    "get",
    "half",
    "in",
    "it",
    "join",
    "local",
    "more",
    "new",
    "no",
    "now",
    "on",
    "one",
    "only",
    "order",
    "our",
    "pay",
    "same",
    "save",
    "six",
    "special",
    "start",
    "ten",
    "the",
    "three",
    "try",
    "two",
    "until",
    "up",
    "we",
    "with",
    "you",
    "your",
    "take",
    "see",
    "find",
    "make",
    "real",
    "simple",
    "honest",
    "hand",
    "handmade",
    "bespoke",
    "warm",
    "personal",
    "delivery",
    "delivered",
    "shipping",
    "returns",
    "support",
    "tickets",
    "seats",
    "entry",
];

/// Lower-cases the first letter when the first word is a common one.
pub(super) fn lower_first(text: &str) -> String {
    let first = text.split(|c: char| c.is_whitespace() || is_apostrophe(c) || c == '-').next().unwrap_or("");
    let lower = first.to_lowercase();
    let simple = first.chars().skip(1).all(char::is_lowercase);
    if simple && SMALL.contains(&lower.as_str()) {
        let mut chars = text.chars();
        return chars.next().map_or_else(String::new, |c| c.to_lowercase().chain(chars).collect());
    }
    text.to_owned()
}

/// `a, b and c`, with a comma before `and` when the brand writes one.
pub(super) fn list(items: &[String], and: &str, oxford: bool) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [head @ .., last] => {
            let comma = if oxford && head.len() > 1 { "," } else { "" };
            format!("{}{comma} {and} {last}", head.join(", "))
        }
    }
}

/// Capitals at the beginning of each word of more than three letters, and of the first.
pub(super) fn title_case(text: &str) -> String {
    let small = ["the", "and", "for", "a", "an", "of", "in", "on", "to", "at", "by", "or"];
    let case = |(i, word): (usize, &str)| {
        if i > 0 && small.contains(&word) { word.to_owned() } else { text::capitalised(word) }
    };
    text.split(' ').enumerate().map(case).collect::<Vec<_>>().join(" ")
}

/// Pairs of the full form and its contraction, lower case.
const CONTRACTIONS: &[(&str, &str)] = &[
    ("will not", "won't"),
    ("we are", "we're"),
    ("you are", "you're"),
    ("they are", "they're"),
    ("it is", "it's"),
    ("that is", "that's"),
    ("here is", "here's"),
    ("there is", "there's"),
    ("we have been", "we've been"),
    ("you have been", "you've been"),
    ("we will", "we'll"),
    ("you will", "you'll"),
    ("we would", "we'd"),
    ("do not", "don't"),
    ("does not", "doesn't"),
    ("is not", "isn't"),
    ("are not", "aren't"),
    ("cannot", "can't"),
    ("let us", "let's"),
    ("what is", "what's"),
];

/// Writes contractions where another word follows.
pub(super) fn contract(text: &str) -> String {
    let mut out = text.to_owned();
    let lower = text.to_lowercase();
    for (full, short) in CONTRACTIONS.iter().filter(|(full, _)| lower.contains(full)) {
        let spans = text::find_phrase(&out, full);
        for span in spans.into_iter().rev() {
            let after = text::Span::new(span.end, out.len()).of(&out);
            let before = text::Span::new(0, span.start).of(&out).trim_end().to_lowercase();
            // "here it is once more" carries its stress on "is".
            let stressed = ["here", "there", "where", "what", "so"].iter().any(|w| before.ends_with(w))
                && full.starts_with("it ");
            let goes_on =
                !stressed && after.starts_with(' ') && after.trim_start().starts_with(char::is_alphabetic);
            if goes_on {
                let capital = span.of(&out).starts_with(char::is_uppercase);
                let word = if capital { text::capitalised(short) } else { (*short).to_owned() };
                out.replace_range(span.start..span.end, &word);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clauses_and_noun_phrases_are_told_apart() {
        for text in [
            "Free delivery is included",
            "Get 20 % off",
            "We roast in small batches",
            "It's ready",
            "The lamp lasts ten years",
            "You save time",
        ] {
            assert!(is_sentence(text), "{text}");
        }
        for text in [
            "Free delivery",
            "20 % off all teas until 30 November",
            "A warm place for you",
            "Two ovens, one starter",
        ] {
            assert!(!is_sentence(text), "{text}");
        }
    }

    #[test]
    fn sentences_begin_and_end_well() {
        assert_eq!(as_sentence("free delivery"), "Free delivery.");
        assert_eq!(as_sentence("Ready?"), "Ready?");
        assert_eq!(as_sentence("#ad"), "#ad");
        assert_eq!(as_sentence("see https://a.example"), "See https://a.example");
        assert_eq!(as_headline("We bake daily."), "We bake daily");
        assert_eq!(lower_first("Free delivery"), "free delivery");
        assert_eq!(lower_first("Vienna tour"), "Vienna tour");
    }

    #[test]
    fn lists_and_contractions_follow_the_style() {
        let items = ["tea".to_owned(), "coffee".to_owned(), "cake".to_owned()];
        assert_eq!(list(&items, "and", false), "tea, coffee and cake");
        assert_eq!(list(&items, "and", true), "tea, coffee, and cake");
        assert_eq!(
            contract("We are here. It is what it is. Do not wait."),
            "We're here. It's what it is. Don't wait."
        );
        assert_eq!(title_case("see the new lamp"), "See the New Lamp");
    }
}
