//! A strict reader of Prometheus text 0.0.4, for tests: what it takes, a scraper takes.

use std::collections::BTreeMap;

/// One line with a value.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) value: f64,
}

/// A whole scrape.
#[derive(Debug, Default)]
pub(super) struct Scrape {
    pub(super) types: BTreeMap<String, String>,
    pub(super) samples: Vec<Sample>,
}

/// Reads a scrape and panics at what the format forbids: a sample without a type, a name or label that is none, a
/// histogram whose buckets fall or whose last one is not its count, a series that comes twice.
pub(super) fn parse(text: &str) -> Scrape {
    assert!(text.ends_with('\n'), "the last line ends");
    let mut scrape = Scrape::default();
    for line in text.lines().filter(|l| !l.is_empty()) {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(scrape.types.insert(name.to_owned(), kind.to_owned()).is_none(), "{line} twice");
        } else if let Some(help) = line.strip_prefix("# HELP ") {
            assert!(help.contains(' '), "{line}");
        } else {
            let sample = sample(line);
            assert!(scrape.types.contains_key(&family(&scrape, &sample.name)), "{line} has no type");
            scrape.samples.push(sample);
        }
    }
    check_series(&scrape);
    check_histograms(&scrape);
    scrape
}

fn family(scrape: &Scrape, name: &str) -> String {
    let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
    match base.filter(|b| scrape.types.get(*b).is_some_and(|k| k == "histogram")) {
        Some(base) => base.to_owned(),
        None => name.to_owned(),
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !text.as_bytes()[0].is_ascii_digit()
}

fn sample(line: &str) -> Sample {
    let end = line.find(['{', ' ']).expect("a value");
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        let mut inside = inside;
        loop {
            let (label, after) = inside.split_once("=\"").expect("a label");
            assert!(is_name(label), "{line}");
            let (value, after) = quoted(after);
            assert!(labels.insert(label.to_owned(), value).is_none(), "{line}");
            match after.strip_prefix(',') {
                Some(next) => inside = next,
                None => {
                    rest = after.strip_prefix('}').expect("the end of the labels");
                    break;
                }
            }
        }
    }
    let value = rest.strip_prefix(' ').expect("one space");
    let value = if value == "+Inf" { f64::INFINITY } else { value.parse().expect("a number") };
    Sample { name: name.to_owned(), labels, value }
}

/// A label value up to its closing quote, with its escapes undone.
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.push(match chars.next() {
                Some((_, 'n')) => '\n',
                Some((_, c @ ('\\' | '"'))) => c,
                other => panic!("no such escape: {other:?}"),
            }),
            '\n' => panic!("a line end in a label"),
            c => value.push(c),
        }
    }
    panic!("no end of the label {text}")
}

fn check_series(scrape: &Scrape) {
    let mut seen = std::collections::BTreeSet::new();
    for s in &scrape.samples {
        assert!(seen.insert(format!("{}{:?}", s.name, s.labels)), "{} {:?} twice", s.name, s.labels);
    }
}

fn check_histograms(scrape: &Scrape) {
    for count in scrape.samples.iter().filter(|s| s.name.ends_with("_count")) {
        let base = count.name.trim_end_matches("_count");
        let buckets = scrape.samples.iter().filter(|s| {
            let mut labels = s.labels.clone();
            labels.remove("le");
            s.name == format!("{base}_bucket") && labels == count.labels
        });
        let values: Vec<f64> = buckets.map(|s| s.value).collect();
        assert!(values.is_sorted() && values.last() == Some(&count.value), "{} {values:?}", count.name);
    }
}
