//! Planted secrets and addresses in texts of every shape are in no line, span, error, panic text or metric.

use std::sync::Arc;

use super::exposition::parse;
use super::tests::logged;
use super::*;
use crate::{Error, ErrorKind, Rng};

const LETTERS: &[u8] = b"abcdefghijkmnopqrstuvwxyz";
const DIGITS: &[u8] = b"0123456789";
const MIXED: &[u8] = b"abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ0123456789";

fn pick(rng: &mut Rng, alphabet: &[u8], n: usize) -> String {
    (0..n).map(|_| alphabet[rng.below(alphabet.len() as u64) as usize] as char).collect()
}

fn one<'a>(rng: &mut Rng, of: &[&'a str]) -> &'a str {
    of[rng.below(of.len() as u64) as usize]
}

/// A value as it stands in a text, and the parts of it that must be found nowhere.
struct Planted {
    text: String,
    parts: Vec<String>,
    /// True when letters may stand right beside it.
    may_be_glued: bool,
}

impl Planted {
    fn whole(text: String, part: &str) -> Self {
        Planted { text, parts: vec![part.to_owned()], may_be_glued: false }
    }

    fn glued(self) -> Self {
        Planted { may_be_glued: true, ..self }
    }
}

/// The digits of a number in groups.
fn grouped(rng: &mut Rng, digits: &str, gaps: &[&str]) -> String {
    let gap = one(rng, gaps);
    let groups: Vec<String> =
        digits.as_bytes().chunks(4).map(|group| String::from_utf8(group.to_vec()).unwrap()).collect();
    groups.join(gap)
}

/// A card number of a network's prefix with its check digit.
fn card(body: &str) -> String {
    let digits: Vec<u32> = format!("4{body}").bytes().map(|b| u32::from(b - b'0')).collect();
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(n, d)| match (n % 2, d * 2) {
            (1, _) => *d,
            (_, twice) => twice / 10 + twice % 10,
        })
        .sum();
    format!("4{body}{}", (10 - sum % 10) % 10)
}

fn plant(rng: &mut Rng, kind: u64) -> Planted {
    let body = pick(rng, MIXED, 24);
    match kind {
        0 => {
            let local = pick(rng, LETTERS, 10);
            let at = one(rng, &["@", "@", "%40", "&#64;"]);
            let host = one(rng, &["shop.example", "mail.shop.example", "müller.example", "例え.example"]);
            Planted::whole(format!("{local}{at}{host}"), &local)
        }
        1 => {
            let digits = pick(rng, DIGITS, 8);
            let number = grouped(rng, &digits, &["", " ", "-", "\u{a0}", "\u{2011}", "."]);
            let head = one(rng, &["+43 660 ", "+1 (202) ", "+49-30-", "%2B44", "+43660"]);
            Planted::whole(format!("{head}{number}"), &number).glued()
        }
        2 => {
            let number = card(&pick(rng, DIGITS, 14));
            let tail = grouped(rng, &number, &["", "", " ", "-", "\u{a0}", "%20"]);
            let part: String = tail.chars().skip(tail.chars().count() / 2).collect();
            Planted::whole(tail, &part).glued()
        }
        3 => {
            let prefix = one(rng, &["whsec_", "ghp_", "xoxb-", "github_pat_", "glpat-", "AKIA"]);
            Planted::whole(format!("{prefix}{body}"), &body).glued()
        }
        4 => Planted::whole(
            format!("{}{body}", one(rng, &["sk-", "sk-proj-", "sk_live_", "re_", "rk_"])),
            &body,
        ),
        5 => {
            let (claims, tag) = (pick(rng, MIXED, 40), pick(rng, MIXED, 30));
            let text = format!("eyJ{body}.{claims}.{tag}");
            Planted { text, parts: vec![body, claims, tag], may_be_glued: true }
        }
        6 => {
            let scheme = one(rng, &["Bearer ", "bearer ", "BEARER ", "Bearer%20", "Basic "]);
            Planted::whole(format!("{scheme}{body}"), &body)
        }
        7 => Planted::whole(
            format!("postgres://app:{body}@{}/shop", one(rng, &["db", "db.shop.example"])),
            &body,
        ),
        8 => {
            let (a, b) = (pick(rng, LETTERS, 12), pick(rng, LETTERS, 12));
            let name = one(rng, &["password", "access_token", "client-secret", "API_KEY", "passphrase"]);
            let text = match rng.below(8) {
                0 => format!(r#""{name}":"{a} {b}""#),
                1 => format!(r#"\"{name}\":\"{a} {b}\""#),
                2 => format!("{name}='{a} {b}'"),
                3 => format!(r#"("{name}", "{a} {b}")"#),
                4 => format!(r#"Login {{ {name}: Some("{a} {b}") }}"#),
                5 => format!(r#"{{"{name}":["{a} {b}"]}}"#),
                6 => format!(r#"<wsse:{name} Type="text">{a} {b}</wsse:{name}>"#),
                _ => format!("<{name}>{a} {b}</{name}>"),
            };
            Planted { text, parts: vec![a, b], may_be_glued: false }
        }
        _ => Planted::whole(format!("{}={body}&n=1", one(rng, &["token", "secret", "api_key"])), &body),
    }
}

/// How many kinds [`plant`] knows.
const KINDS: u64 = 10;

/// A text around a planted value.
fn shape(rng: &mut Rng, planted: &Planted) -> String {
    let value = &planted.text;
    let noise = pick(rng, MIXED, 12);
    match rng.below(if planted.may_be_glued { 11 } else { 10 }) {
        0 => format!("the call for {value} failed after 3 tries"),
        1 => format!(r#"{{"id":"per_{noise}","note":"{value}","n":15}}"#),
        2 => format!(r#"{{"body":"{{\"note\":\"{value}\",\"n\":15}}"}}"#),
        3 => format!("GET https://shop.example/a/b?id={noise}&v={value}&n=15 HTTP/1.1"),
        4 => format!("x-note: {value}\r\nhost: shop.example\r\n"),
        5 => format!("Note {{ id: \"{noise}\", value: {value:?}, n: Some(15) }}"),
        6 => format!("„{value}“ — größer, почта: {value}。"),
        7 => format!("{noise}=={value} {noise}/{noise}+{noise}="),
        8 => format!("<p class=\"a\">{value}</p>\t({value});[{value}]"),
        9 => format!("id=per_{noise} note={value} latency_ms=12.5"),
        _ => format!("Zm9vQg{value}Zm9vQg"),
    }
}

/// What is planted in `rounds` texts is not in the lines of a format.
fn look_at_lines(format: LogFormat, texts: &[(Planted, String)]) {
    let lines = logged(format, &Levels::new(), || {
        for (n, (_, text)) in texts.iter().enumerate() {
            match n % 5 {
                0 => tracing::info!("before {text} after"),
                1 => tracing::info!(note = text.as_str(), "field"),
                2 => tracing::info!(note = ?vec![text], "debug"),
                3 => {
                    tracing::info_span!("around", note = text.as_str()).in_scope(|| tracing::info!("inside"))
                }
                _ => tracing::info!(note = %text, "display"),
            }
        }
    });
    assert_eq!(lines.len(), texts.len());
    for (line, (planted, text)) in lines.iter().zip(texts) {
        absent(planted, text, line);
    }
}

fn absent(planted: &Planted, text: &str, told: &str) {
    for part in &planted.parts {
        assert!(!told.contains(part.as_str()), "{part} of {text}\nis in {told}");
    }
}

#[test]
fn a_hundred_thousand_planted_values_are_nowhere() {
    let mut rng = crate::Seed::from_number(11).rng();
    let texts: Vec<(Planted, String)> = (0..100_000)
        .map(|n| {
            let planted = plant(&mut rng, n % KINDS);
            let text = shape(&mut rng, &planted);
            (planted, text)
        })
        .collect();
    // Each text goes through one format; crash reports and panics go through `redact` itself.
    let (json, pretty) = texts.split_at(texts.len() / 2);
    std::thread::scope(|threads| {
        threads.spawn(|| look_at_lines(LogFormat::Json, json));
        threads.spawn(|| look_at_lines(LogFormat::Pretty, pretty));
        for (planted, text) in &texts {
            absent(planted, text, &redact(text));
        }
    });
}

#[test]
fn planted_values_are_in_no_error_and_in_no_metric() {
    let mut rng = crate::Seed::from_number(12).rng();
    let telemetry = Telemetry::new(GenAiNames::Current).unwrap();
    for n in 0..10_000 {
        // Errors keep what they say of a name: those kinds are for lines.
        let planted = plant(&mut rng, n % 8);
        let text = shape(&mut rng, &planted);
        let error = Error::new(ErrorKind::Conflict, "test.it", format!("found {text}"))
            .with_context("at", &text)
            .with_source(std::io::Error::other(text.clone()));
        let faults = Error::invalid("test.it", text.clone(), format!("expected another than {text}"));
        absent(
            &planted,
            &text,
            &format!("{error} {error:?} {faults} {faults:?} {:?}", faults.field_faults()),
        );
        telemetry.effect(&text, "write", "unknown");
    }
    let scrape = parse(&telemetry.text().unwrap());
    let effects: Vec<_> = scrape.samples.iter().filter(|s| s.name == "neonhub_effects_total").collect();
    assert_eq!((effects.len(), effects[0].labels["tool"].as_str()), (1, "other"));
}

#[test]
fn plain_values_in_fields_that_are_named_so_are_in_no_line() {
    let mut rng = crate::Seed::from_number(13).rng();
    let plain = pick(&mut rng, LETTERS, 16);
    let levels: Arc<Levels> = Levels::new();
    for format in [LogFormat::Json, LogFormat::Pretty] {
        let lines = logged(format, &levels, || {
            tracing::info_span!("around", token = plain.as_str()).in_scope(|| tracing::info!("inside"));
            tracing::info!(password = plain.as_str(), "password={plain}");
            tracing::info!(client_secret = %plain, set_cookie = ?plain, "fields");
        });
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| !line.contains(&plain)), "{lines:?}");
    }
}
