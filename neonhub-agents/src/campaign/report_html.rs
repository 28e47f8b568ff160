//! The report as a page: what the template needs, computed beforehand.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value};
use neonhub_core::{Error, Money, Result, Timestamp, zone};
use serde::Serialize;

use super::chart::{grouped, per_mille, percent, ring, tenths};
use super::report::{AssetCard, AssetPart, Citation, LimitCheck, Report, SendCounts};
use super::{CampaignChannel, report_timeline};

const TEMPLATE: &str = include_str!("report.html");

/// Renders the page; see [`Report::to_html`].
pub(super) fn page(report: &Report) -> Result<String> {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    let view = View::of(report);
    engine
        .render_named_str("report.html", TEMPLATE, Value::from(Serde(view)))
        .map_err(|fault| Error::internal("campaign.report", fault))
}

#[derive(Serialize)]
struct View<'a> {
    report: &'a Report,
    window: String,
    made: String,
    tiles: Vec<Tile>,
    verdicts: Vec<Slice>,
    judged: String,
    channels: Vec<ChannelBar>,
    reasons: Vec<Bar>,
    budget: Vec<Slice>,
    total: String,
    cost: Vec<Pair>,
    unknown_costs: &'a [String],
    timeline: report_timeline::Timeline,
    cards: Vec<CardView<'a>>,
    tone: Vec<Bar>,
    files: Vec<Bar>,
    contacts: Vec<Bar>,
    timings: Vec<Bar>,
    inconsistencies: Vec<String>,
}

#[derive(Serialize)]
struct Pair {
    name: String,
    value: String,
}

#[derive(Serialize)]
struct Tile {
    number: String,
    name: &'static str,
    note: String,
    tone: &'static str,
}

/// A slice of a ring or a stacked bar, with its legend.
#[derive(Serialize)]
struct Slice {
    name: String,
    tone: String,
    value: String,
    share: String,
    length: String,
    from: String,
    note: String,
}

#[derive(Serialize)]
struct Bar {
    name: String,
    note: String,
    value: String,
    /// Percent of the longest bar.
    width: String,
    tone: &'static str,
}

#[derive(Serialize)]
struct ChannelBar {
    name: String,
    sent: String,
    scheduled: String,
    slices: Vec<Slice>,
}

#[derive(Serialize)]
struct CardView<'a> {
    card: &'a AssetCard,
    look: &'static str,
    channel: &'static str,
    lead: String,
    second: String,
    parts: Vec<&'a AssetPart>,
    score: String,
    score_length: String,
    score_tone: &'static str,
    limits: Vec<LimitView<'a>>,
    citations: &'a [Citation],
}

#[derive(Serialize)]
struct LimitView<'a> {
    check: &'a LimitCheck,
    width: String,
    tone: &'static str,
}

impl<'a> View<'a> {
    fn of(report: &'a Report) -> Self {
        // A report that was built by hand may hold no zone; UTC then, never a refusal to show it.
        let zone = zone("timezone", &report.campaign.timezone).unwrap_or(TimeZone::UTC);
        let campaign = &report.campaign;
        View {
            window: format!("{} to {}", day(campaign.start, &zone), day(campaign.end, &zone)),
            made: moment(report.generated_at, &zone),
            tiles: tiles(report),
            verdicts: verdicts(&report.sends),
            judged: grouped(report.sends.judged()),
            channels: report.channels.iter().map(|(word, counts)| channel_bar(word, counts)).collect(),
            reasons: reasons(report),
            budget: budget(report),
            total: report.budget.total.map_or(String::new(), money),
            cost: costs(report),
            unknown_costs: report.budget.cost.as_ref().map_or(&[], |c| &c.unknown),
            timeline: report_timeline::Timeline::of(
                campaign.start,
                campaign.end,
                &report.plan.schedule,
                &zone,
            ),
            cards: report.asset_cards.iter().map(card).collect(),
            tone: tone(&report.voice.tone),
            files: bars(report.knowledge.files.iter().map(|f| (f.file.clone(), f.chunks, "chunks")), "a"),
            contacts: contacts(report),
            timings: bars(
                report.timings_ms.iter().map(|(name, ms)| (name.replace('_', " "), *ms, "ms")),
                "b",
            ),
            inconsistencies: report.inconsistencies(),
            report,
        }
    }
}

fn day(at: Timestamp, zone: &TimeZone) -> String {
    at.in_zone(zone).strftime("%-d %B %Y").to_string()
}

fn moment(at: Timestamp, zone: &TimeZone) -> String {
    at.in_zone(zone).strftime("%-d %B %Y, %H:%M %Z").to_string()
}

fn tiles(report: &Report) -> Vec<Tile> {
    let sends = &report.sends;
    let tile = |number: u64, name, note: String, tone| Tile { number: grouped(number), name, note, tone };
    let rejected = report.contacts.rejected;
    vec![
        tile(
            report.contacts.people,
            "people",
            format!("{} rows, {rejected} rejected", report.contacts.rows),
            "ink",
        ),
        tile(sends.sent, "sent", format!("{} in this run", grouped(sends.sent_now)), "good"),
        tile(sends.deferred, "deferred", "wait for their hour".into(), "wait"),
        tile(sends.denied, "denied", "kept with their reasons".into(), "stop"),
        tile(sends.scheduled, "scheduled", "later steps".into(), "ink"),
        tile(report.posts, "posts", "in the outbox".into(), "ink"),
        tile(report.assets.values().sum(), "assets", format!("on {} channels", report.assets.len()), "ink"),
        tile(
            report.knowledge.documents,
            "documents",
            format!("{} chunks", grouped(report.knowledge.chunks)),
            "ink",
        ),
    ]
}

fn slices(parts: &[(String, String, u64, String, String)]) -> Vec<Slice> {
    let values: Vec<u64> = parts.iter().map(|p| p.2).collect();
    let total: u64 = values.iter().sum();
    let arcs = ring(&values);
    let make = |((name, tone, value, shown, note), arc): (
        &(String, String, u64, String, String),
        super::chart::Arc,
    )| Slice {
        name: name.clone(),
        tone: tone.clone(),
        value: shown.clone(),
        share: percent(per_mille(*value, total)),
        length: arc.length,
        from: arc.from,
        note: note.clone(),
    };
    parts.iter().zip(arcs).map(make).collect()
}

fn verdicts(counts: &SendCounts) -> Vec<Slice> {
    let part = |name: &str, tone: &str, value: u64, note: &str| {
        (name.to_owned(), tone.to_owned(), value, grouped(value), note.to_owned())
    };
    slices(&[
        part("Allowed", "good", counts.allowed, "went on to the outbox"),
        part("Deferred", "wait", counts.deferred, "will be judged again when their hour comes"),
        part("Denied", "stop", counts.denied, "nothing is sent, the reason is kept"),
    ])
}

fn channel_bar(word: &str, counts: &SendCounts) -> ChannelBar {
    ChannelBar {
        name: CampaignChannel::parse("channel", word)
            .map_or_else(|_| word.to_owned(), |c| c.title().to_owned()),
        sent: grouped(counts.sent),
        scheduled: grouped(counts.scheduled),
        slices: verdicts(counts),
    }
}

fn bars(items: impl Iterator<Item = (String, u64, &'static str)>, tone: &'static str) -> Vec<Bar> {
    let items: Vec<_> = items.collect();
    let longest = items.iter().map(|i| i.1).max().unwrap_or(0);
    let bar = |(name, value, unit): (String, u64, &str)| Bar {
        name,
        note: String::new(),
        value: format!("{} {}", grouped(value), if value == 1 && unit == "chunks" { "chunk" } else { unit })
            .trim_end()
            .to_owned(),
        width: tenths(per_mille(value, longest)),
        tone,
    };
    items.into_iter().map(bar).collect()
}

fn reasons(report: &Report) -> Vec<Bar> {
    let longest = report.reason_lines.iter().map(|r| r.count).max().unwrap_or(0);
    let bar = |line: &super::report::ReasonLine| Bar {
        name: line.rule.clone(),
        note: line.meaning.clone(),
        value: grouped(line.count),
        width: tenths(per_mille(line.count, longest)),
        tone: if line.decision == "defer" { "wait" } else { "stop" },
    };
    report.reason_lines.iter().map(bar).collect()
}

fn contacts(report: &Report) -> Vec<Bar> {
    let counts = &report.contacts;
    let rows = [
        ("Rows", counts.rows),
        ("Imported", counts.imported),
        ("Rejected", counts.rejected),
        ("People", counts.people),
    ];
    bars(rows.into_iter().map(|(name, n)| (name.to_owned(), n, "")), "a")
}

fn budget(report: &Report) -> Vec<Slice> {
    let part = |(i, share): (usize, &super::BudgetShare)| {
        let value = u64::try_from(share.amount.minor).unwrap_or(0);
        (
            share.channel.title().to_owned(),
            format!("c{i}"),
            value,
            money(share.amount),
            share.pays_for.clone(),
        )
    };
    slices(&report.budget.split.iter().enumerate().map(part).collect::<Vec<_>>())
}

/// An amount as people read it: `4,800.00 USD`.
fn money(amount: Money) -> String {
    let text = amount.to_string();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    match text.split_at_checked(digits) {
        Some((whole, rest)) => whole.parse().map_or(text.clone(), |n| grouped(n) + rest),
        None => text,
    }
}

fn costs(report: &Report) -> Vec<Pair> {
    let Some(cost) = &report.budget.cost else { return Vec::new() };
    let pair = |name: &str, amount: Money| Pair { name: name.to_owned(), value: money(amount) };
    vec![pair("at least", cost.low), pair("expected", cost.estimate), pair("at most", cost.high)]
}

fn tone(axes: &BTreeMap<String, f64>) -> Vec<Bar> {
    let bar = |(name, value): (&String, &f64)| {
        let share = (value.clamp(0.0, 1.0) * 100.0).round() as u64;
        Bar {
            name: name.clone(),
            note: String::new(),
            value: format!("{}.{:02}", share / 100, share % 100),
            width: tenths(share * 10),
            tone: "a",
        }
    };
    axes.iter().map(bar).collect()
}

fn card(card: &AssetCard) -> CardView<'_> {
    let look = match card.channel {
        Some(CampaignChannel::Email) => "mail",
        Some(CampaignChannel::Sms) => "sms",
        Some(CampaignChannel::Ads) => "ads",
        Some(CampaignChannel::Blog) => "blog",
        _ => "post",
    };
    let (lead_name, second_name) = match look {
        "mail" => ("subject", "preheader"),
        "blog" => ("title", "summary"),
        _ => ("", ""),
    };
    let part =
        |name: &str| card.parts.iter().find(|p| p.name == name).map_or(String::new(), |p| p.text.clone());
    let (lead, second) = match look {
        "ads" => (first_three(card, "headline", " | "), first_three(card, "description", " ")),
        _ => (part(lead_name), part(second_name)),
    };
    // Ads are shown as a reader meets them, then listed; the HTML of a mail says what its text says.
    let shown = |p: &&AssetPart| p.name != lead_name && p.name != second_name && p.name != "html";
    let score = card.voice_score.map(|s| (s.clamp(0.0, 1.0) * 100.0).round() as u64);
    CardView {
        look,
        channel: card.channel.map_or("", CampaignChannel::title),
        lead,
        second,
        parts: card.parts.iter().filter(shown).collect(),
        score: score.map_or("none".into(), |s| format!("{}.{:02}", s / 100, s % 100)),
        score_length: tenths(score.unwrap_or(0) * 10),
        // The bounds of passing and of review (the voice rules of the gate).
        score_tone: match score {
            Some(75..) => "good",
            Some(50..) => "wait",
            Some(_) => "stop",
            None => "none",
        },
        limits: tightest(&card.limits).into_iter().map(limit).collect(),
        citations: &card.citations,
        card,
    }
}

fn first_three(card: &AssetCard, name: &str, between: &str) -> String {
    let texts = card.parts.iter().filter(|p| p.name.starts_with(name)).take(3).map(|p| p.text.as_str());
    texts.collect::<Vec<_>>().join(between)
}

/// Of `headlines[0]`, `headlines[1]`, ... only the one nearest to its limit: that is what a reader wants to know.
fn tightest(checks: &[LimitCheck]) -> Vec<&LimitCheck> {
    let mut kept: Vec<&LimitCheck> = Vec::new();
    for check in checks {
        let Some((group, _)) = check.field.split_once('[') else {
            kept.push(check);
            continue;
        };
        let same = |k: &&mut &LimitCheck| k.field.split_once('[').is_some_and(|(g, _)| g == group);
        match kept.iter_mut().find(same) {
            Some(k) if per_mille(check.count, check.limit) > per_mille(k.count, k.limit) => *k = check,
            Some(_) => {}
            None => kept.push(check),
        }
    }
    kept
}

fn limit(check: &LimitCheck) -> LimitView<'_> {
    let share = per_mille(check.count, check.limit).min(1_000);
    let tone = if !check.is_met() {
        "stop"
    } else if share > 950 && check.unit != "items" && check.unit != "segments" {
        "wait"
    } else {
        "good"
    };
    LimitView { check, width: tenths(share), tone }
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
