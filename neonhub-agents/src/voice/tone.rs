//! Tone axes of a text from lexical features.
//!
//! Ours: each axis is a weighted sum of cue rates per 100 words, squeezed into 0..=1 by
//! `1 - exp(-x / scale)`. The cue lists are short and hand-made; they follow the idea of the formality
//! measure of Heylighen and Dewaele (1999), that deixis and interjections make a text informal and long
//! nominal words make it formal, without needing a tagger.

use super::measure::{self, Measures};
use super::model::Tone;
use super::text::{self, is_emoji};

const FORMAL: &[&str] = &[
    "accordingly",
    "additionally",
    "advise",
    "appreciate",
    "assist",
    "assistance",
    "commence",
    "comprehensive",
    "consequently",
    "enable",
    "ensure",
    "facilitate",
    "furthermore",
    "hereby",
    "however",
    "inform",
    "kindly",
    "moreover",
    "obtain",
    "organisation",
    "organization",
    "pleased",
    "pursuant",
    "receive",
    "regarding",
    "request",
    "require",
    "respective",
    "shall",
    "solutions",
    "sincerely",
    "stakeholders",
    "subsequently",
    "therefore",
    "thus",
    "utilise",
    "utilize",
    "valued",
    "whereas",
];
const CASUAL: &[&str] = &[
    "awesome", "bit", "bunch", "chill", "cool", "dude", "folks", "fun", "gonna", "gotta", "grab", "guys",
    "hey", "hi", "huge", "kinda", "lol", "nope", "oh", "okay", "ok", "omg", "pals", "pop", "psst", "stuff",
    "super", "totally", "wanna", "wow", "yay", "yeah", "yep", "yup",
];
const PLAYFUL: &[&str] = &[
    "adventure",
    "bingo",
    "boom",
    "cheeky",
    "dance",
    "fun",
    "giggle",
    "goofy",
    "grin",
    "guess",
    "hooray",
    "hurray",
    "joy",
    "magic",
    "mischief",
    "nibble",
    "oops",
    "party",
    "pinky",
    "play",
    "playful",
    "pop",
    "psst",
    "secret",
    "silly",
    "snack",
    "sneaky",
    "sparkle",
    "spoiler",
    "surprise",
    "ta-da",
    "tickle",
    "treat",
    "twist",
    "whoops",
    "wiggle",
    "wink",
    "wow",
    "yay",
    "yum",
    "zip",
];
const WARM: &[&str] = &[
    "care",
    "caring",
    "cosy",
    "cozy",
    "comfort",
    "dear",
    "enjoy",
    "everyone",
    "family",
    "friend",
    "friends",
    "friendly",
    "gentle",
    "glad",
    "grateful",
    "hand",
    "happy",
    "heart",
    "hello",
    "help",
    "home",
    "hope",
    "kind",
    "kitchen",
    "love",
    "loved",
    "neighbour",
    "neighbours",
    "neighbor",
    "neighbors",
    "neighbourhood",
    "please",
    "share",
    "slow",
    "smile",
    "table",
    "thank",
    "thanks",
    "together",
    "warm",
    "welcome",
    "wish",
];
const BOLD: &[&str] = &[
    "act",
    "beat",
    "biggest",
    "bold",
    "break",
    "brave",
    "build",
    "challenge",
    "change",
    "crush",
    "dare",
    "demand",
    "drive",
    "enough",
    "ever",
    "every",
    "fearless",
    "first",
    "forget",
    "go",
    "leader",
    "lead",
    "massive",
    "must",
    "never",
    "no",
    "now",
    "only",
    "own",
    "power",
    "prove",
    "push",
    "revolution",
    "revolutionary",
    "rule",
    "rules",
    "smash",
    "start",
    "stop",
    "strong",
    "ultimate",
    "unstoppable",
    "win",
];
const HEDGES: &[&str] = &[
    "maybe", "perhaps", "might", "could", "possibly", "somewhat", "probably", "rather", "seems", "usually",
    "may",
];
const TECHNICAL: &[&str] = &[
    "algorithm",
    "analytics",
    "api",
    "architecture",
    "automation",
    "bandwidth",
    "battery",
    "cache",
    "calibrated",
    "cloud",
    "configuration",
    "configure",
    "cpu",
    "current",
    "dashboard",
    "data",
    "database",
    "deploy",
    "device",
    "digital",
    "encryption",
    "endpoint",
    "engine",
    "error",
    "firmware",
    "frequency",
    "hardware",
    "infrastructure",
    "input",
    "integration",
    "interface",
    "kernel",
    "latency",
    "load",
    "log",
    "measurement",
    "memory",
    "metric",
    "metrics",
    "module",
    "monitor",
    "monitoring",
    "network",
    "node",
    "output",
    "parameter",
    "percentile",
    "platform",
    "pipeline",
    "precision",
    "processor",
    "protocol",
    "query",
    "runtime",
    "scale",
    "sensor",
    "sensors",
    "server",
    "software",
    "specification",
    "stack",
    "storage",
    "system",
    "systems",
    "technical",
    "throughput",
    "token",
    "tolerance",
    "uptime",
    "voltage",
    "watt",
    "workflow",
    "workload",
];
const LATINATE: &[&str] =
    &["tion", "tions", "sion", "ment", "ments", "ance", "ence", "ity", "ities", "ive", "ical"];

/// Measures the five axes of `text`.
#[must_use]
pub fn tone_of(text: &str) -> Tone {
    let m = measure::measure(text);
    if m.words == 0 {
        return Tone::default();
    }
    let words: Vec<String> = text::words(text).iter().map(|w| w.text.to_lowercase()).collect();
    let cues = Cues { words: &words, text, m: &m };
    Tone {
        formal: cues.formal(),
        playful: cues.playful(),
        warm: cues.warm(),
        bold: cues.bold(),
        technical: cues.technical(),
    }
}

struct Cues<'a> {
    words: &'a [String],
    text: &'a str,
    m: &'a Measures,
}

impl Cues<'_> {
    fn per_100(&self, hits: usize) -> f64 {
        // At least 12 words, so that one cue in a three-word line does not fill an axis.
        hits as f64 * 100.0 / self.words.len().max(12) as f64
    }

    fn rate(&self, list: &[&str]) -> f64 {
        self.per_100(self.words.iter().filter(|w| list.contains(&w.as_str())).count())
    }

    fn matching(&self, test: impl Fn(&str) -> bool) -> f64 {
        self.per_100(self.words.iter().filter(|w| test(w)).count())
    }

    fn casual(&self) -> f64 {
        self.rate(CASUAL) * 1.5 + self.m.contraction_rate + self.emoji() * 1.5 + self.m.exclamation_rate * 8.0
    }

    fn emoji(&self) -> f64 {
        self.per_100(self.text.chars().filter(|c| is_emoji(*c)).count())
    }

    fn formal(&self) -> f64 {
        let long = self.matching(|w| w.chars().count() >= 9);
        let latinate = self.matching(|w| w.len() > 6 && LATINATE.iter().any(|s| w.ends_with(s)));
        let length = (self.m.sentence_words.mean - 10.0).max(0.0) * 0.8;
        let up = squeeze(self.rate(FORMAL) * 2.0 + latinate + long * 0.6 + length, 22.0);
        (up - 0.6 * squeeze(self.casual(), 12.0)).clamp(0.0, 1.0)
    }

    fn playful(&self) -> f64 {
        let asides = self.per_100(self.text.matches('(').count())
            + self.per_100(self.text.matches(['~', '*']).count()) * 0.2;
        squeeze(
            self.rate(PLAYFUL) * 2.5
                + self.rate(CASUAL) * 1.5
                + self.emoji() * 2.0
                + self.m.exclamation_rate * 9.0
                + self.m.question_rate * 4.0
                + self.m.contraction_rate * 0.3
                + asides,
            13.0,
        )
    }

    fn warm(&self) -> f64 {
        let you = self.matching(|w| matches!(w.split('\'').next().unwrap_or(""), "you" | "your" | "yours"));
        let we = self.matching(|w| matches!(w.split('\'').next().unwrap_or(""), "we" | "our" | "us"));
        squeeze(self.rate(WARM) * 3.0 + you * 0.7 + we * 0.6, 18.0)
    }

    fn bold(&self) -> f64 {
        let short = (12.0 - self.m.sentence_words.mean).max(0.0);
        let up =
            self.rate(BOLD) * 2.2 + short * 0.6 + self.m.exclamation_rate * 8.0 + self.m.capitals_rate * 60.0;
        squeeze((up - self.rate(HEDGES) * 2.0).max(0.0), 18.0)
    }

    fn technical(&self) -> f64 {
        let figures = self.matching(|w| w.chars().any(char::is_numeric));
        let acronyms = self.per_100(text::words(self.text).iter().filter(|w| is_acronym(w.text)).count());
        squeeze(self.rate(TECHNICAL) * 2.2 + figures * 0.8 + acronyms * 1.5, 16.0)
    }
}

fn is_acronym(word: &str) -> bool {
    (2..=5).contains(&word.chars().count())
        && word.chars().all(|c| c.is_uppercase() || c.is_numeric())
        && word.chars().any(char::is_uppercase)
}

fn squeeze(x: f64, scale: f64) -> f64 {
    1.0 - (-x / scale).exp()
}

/// Axis and direction that a describing adjective of a guide stands for: `friendly` is warm, `serious` is
/// not playful. `None` for words that say nothing about the five axes.
#[must_use]
pub fn axis_of(adjective: &str) -> Option<(&'static str, bool)> {
    Some(match adjective {
        "formal" | "professional" | "polished" | "refined" | "dignified" => ("formal", true),
        "casual" | "informal" | "conversational" | "relaxed" | "down-to-earth" | "chatty" | "everyday" => {
            ("formal", false)
        }
        "playful" | "fun" | "funny" | "witty" | "cheeky" | "humorous" | "light-hearted" | "quirky"
        | "silly" => ("playful", true),
        "serious" | "sober" | "earnest" | "solemn" | "matter-of-fact" => ("playful", false),
        "warm" | "friendly" | "welcoming" | "caring" | "kind" | "empathetic" | "human" | "generous"
        | "neighbourly" | "gentle" => ("warm", true),
        "cold" | "distant" | "detached" | "cool" | "neutral" | "clinical" => ("warm", false),
        "bold" | "confident" | "daring" | "strong" | "assertive" | "brave" | "provocative" | "direct"
        | "loud" => ("bold", true),
        "humble" | "modest" | "quiet" | "calm" | "understated" | "careful" | "measured" | "pushy" => {
            ("bold", false)
        }
        "technical" | "precise" | "expert" | "scientific" | "exact" | "factual" => ("technical", true),
        "plain" | "simple" | "non-technical" | "jargon-free" | "accessible" => ("technical", false),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_separate_plain_opposites() {
        let formal = tone_of(
            "We are pleased to inform our valued stakeholders regarding the implementation of comprehensive solutions. Furthermore, additional documentation is available upon request.",
        );
        let casual = tone_of("Hey! We've got a bunch of cool stuff for you. Wanna grab some? Yay! \u{1f389}");
        assert!(
            formal.formal > casual.formal + 0.4 && casual.playful > formal.playful + 0.4,
            "{formal:?} {casual:?}"
        );
        let tech = tone_of("The API returns p99 latency of 12 ms at 4 GB of memory per node.");
        let home = tone_of("Welcome home, friends. Come and share our table, we love to see you happy.");
        assert!(
            tech.technical > 0.7 && home.technical < 0.1 && home.warm > tech.warm + 0.5,
            "{tech:?} {home:?}"
        );
        let loud = tone_of("Stop waiting. Build now. Win every day.");
        let meek = tone_of(
            "Perhaps this might be of some interest to readers who are possibly looking at several options.",
        );
        assert!(loud.bold > meek.bold + 0.5, "{loud:?} {meek:?}");
    }

    #[test]
    fn axes_stay_in_range_and_repeat() {
        for text in ["", "!", "WOW!!! \u{1f389}\u{1f389}\u{1f389} hey hey hey", "a"] {
            for (name, value) in tone_of(text).axes() {
                assert!((0.0..=1.0).contains(&value), "{name} {value}");
            }
            assert_eq!(tone_of(text), tone_of(text));
        }
    }
}
