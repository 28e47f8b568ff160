use neonhub_core::{Currency, Money, Timestamp};

use super::super::report::*;
use super::super::{BudgetShare, CampaignChannel, CostRange, Kpi, ScheduleEntry};

fn money(minor: i64) -> Money {
    Money::new(minor, Currency::parse("c", "USD").unwrap()).unwrap()
}

fn report() -> Report {
    let at = |text: &str| Timestamp::parse("at", text).unwrap();
    let email =
        SendCounts { allowed: 180, deferred: 20, denied: 100, sent: 180, sent_now: 180, scheduled: 400 };
    let sms = SendCounts { allowed: 60, deferred: 90, denied: 150, sent: 60, sent_now: 60, scheduled: 0 };
    let mut sends = email;
    sends.add(&sms);
    let reason = |rule: &str, decision: &str, count, meaning: &str| ReasonLine {
        rule: rule.into(),
        decision: decision.into(),
        count,
        meaning: meaning.into(),
    };
    let reason_lines = vec![
        reason("G03.identity", "deny", 140, "no usable address or number for this channel"),
        reason("G06.law", "defer", 110, "outside the legal hours at the recipient"),
        reason("G05.consent", "deny", 102, "no consent for this channel"),
        reason("G04.suppression", "deny", 8, "on a suppression list"),
    ];
    let share = |channel: CampaignChannel, minor, pays_for: &str| BudgetShare {
        channel,
        amount: money(minor),
        weight: 1,
        pays_for: pays_for.into(),
    };
    let entry = |when: &str, channel: CampaignChannel, title: &str| ScheduleEntry {
        at: at(when),
        until: (channel == CampaignChannel::Ads).then(|| at("2026-12-19T05:00:00Z")),
        channel,
        step_key: format!("step.{channel}"),
        title: title.into(),
    };
    let cards: Vec<AssetCard> = [
        (CampaignChannel::Email, "Mail 1 of 3", 0.84),
        (CampaignChannel::Sms, "Text message", 0.71),
        (CampaignChannel::Linkedin, "Post on LinkedIn", 0.79),
        (CampaignChannel::Ads, "Search-ad set", 0.44),
        (CampaignChannel::Blog, "Blog outline", 0.9),
    ]
    .into_iter()
    .map(|(channel, title, score)| card(channel, title, score))
    .collect();
    let mut assets = std::collections::BTreeMap::new();
    for card in &cards {
        *assets.entry(card.channel.unwrap().word().to_owned()).or_insert(0) += 1;
    }
    Report {
        campaign: CampaignLine {
            id: "cmp_0".into(),
            key: "ab".repeat(32),
            name: "Brightmoor Circle".into(),
            status: "running".into(),
            goal: "Win 300 new members for Brightmoor Circle before the kiln rests".into(),
            brand: "Brightmoor Coffee".into(),
            audience_text: "People who bought beans from us this year".into(),
            offer: Some("Your first refill is half price".into()),
            start: at("2026-11-24T13:00:00Z"),
            end: at("2026-12-19T05:00:00Z"),
            timezone: "America/New_York".into(),
        },
        generated_at: at("2026-11-24T15:00:00Z"),
        is_offline: true,
        contacts: ContactCounts { rows: 335, imported: 329, rejected: 6, people: 300 },
        sends,
        reasons: reason_lines.iter().map(|r| (r.rule.clone(), r.count)).collect(),
        reason_lines,
        channels: [("email".to_owned(), email), ("sms".to_owned(), sms)].into(),
        knowledge: KnowledgeCounts {
            documents: 5,
            chunks: 42,
            failed: vec![FailedFile { file: "scan.pdf".into(), reason: "is encrypted".into() }],
            files: vec![
                ReadFile { file: "brand-guide.pdf".into(), chunks: 14 },
                ReadFile { file: "proof-points.txt".into(), chunks: 7 },
            ],
        },
        assets,
        posts: 4,
        voice: VoiceLine {
            tone: [("warm".to_owned(), 0.82), ("playful".to_owned(), 0.55), ("formal".to_owned(), 0.2)]
                .into(),
            rules: 31,
            preferred: vec![PreferredTerm { term: "guests".into(), instead_of: "consumers".into() }],
            banned: vec!["cheap".into(), "hurry".into()],
            product_names: vec!["ReBag".into(), "MoorRoast No. 7".into()],
        },
        plan: PlanLine {
            version: 1,
            steps: 33,
            schedule: vec![
                entry("2026-11-24T15:00:00Z", CampaignChannel::Email, "Send mail 1 of 3"),
                entry("2026-11-27T15:00:00Z", CampaignChannel::Email, "Send mail 2 of 3"),
                entry("2026-12-01T15:00:00Z", CampaignChannel::Email, "Send mail 3 of 3"),
                entry("2026-11-24T15:00:00Z", CampaignChannel::Sms, "Send SMS"),
                entry("2026-11-24T17:00:00Z", CampaignChannel::X, "Post on X"),
                entry("2026-11-25T14:30:00Z", CampaignChannel::Linkedin, "Post on LinkedIn"),
                entry("2026-11-24T15:00:00Z", CampaignChannel::Ads, "Hand over the search-ad set"),
            ],
            kpis: vec![Kpi {
                metric: "email.bounce_rate".into(),
                target: Some("below 5 %".into()),
                source: "gate".into(),
            }],
            assumptions: vec!["times of day are meant in America/New_York".into()],
            risks: vec!["text messages wait for legal hours at each recipient".into()],
        },
        budget: BudgetLine {
            total: Some(money(480_000)),
            split: vec![
                share(CampaignChannel::Email, 100_000, "sending the sequence"),
                share(CampaignChannel::Sms, 100_000, "message segments"),
                share(CampaignChannel::Ads, 280_000, "clicks on search ads"),
            ],
            cost: Some(CostRange {
                low: money(224_000),
                estimate: money(280_000),
                high: money(280_000),
                unknown: vec!["SMS: no price per message is known".into()],
            }),
        },
        asset_cards: cards,
        timings_ms: [("import_contacts".to_owned(), 120), ("launch".to_owned(), 640)].into(),
    }
}

fn card(channel: CampaignChannel, title: &str, score: f64) -> AssetCard {
    let part = |name: &str, text: &str| AssetPart { name: name.into(), text: text.into() };
    let parts = match channel {
        CampaignChannel::Email => vec![
            part("subject", "Coffee that comes <full> circle"),
            part("preheader", "Roasted on Tuesday, with you by Friday"),
            part("text", "Hi Ava,\n\nYour beans left the roaster this morning."),
        ],
        CampaignChannel::Ads => vec![
            part("headline 1", "Beans Roasted On Tuesday"),
            part("headline 2", "A Bag That Comes Back"),
            part("description 1", "Join the refill club and pause or cancel any time."),
        ],
        CampaignChannel::Blog => {
            vec![part("title", "Twenty trips of a coffee bag"), part("section 1", "Why bags")]
        }
        _ => vec![part("body", "Brightmoor: the ReBag comes back. Join the club.")],
    };
    AssetCard {
        id: format!("ast_{channel}"),
        step_key: format!("asset.{channel}.1"),
        channel: Some(channel),
        title: title.into(),
        status: "approved".into(),
        origin: "offline".into(),
        parts,
        voice_score: Some(score),
        findings: vec![AssetFinding {
            rule: "brand.banned".into(),
            level: "warn".into(),
            message: "a <word> the brand avoids".into(),
        }],
        limits: vec![LimitCheck { field: "text".into(), count: 141, limit: 160, unit: "septets".into() }],
        citations: vec![Citation {
            document: "brand-guide.pdf".into(),
            chunk: "chk_1".into(),
            quote: "The ReBag is the only coffee bag we want back.".into(),
        }],
        alternates: 2,
    }
}

#[test]
fn page_holds_what_the_report_says() {
    let page = report().to_html().unwrap();
    if let Ok(path) = std::env::var("NEONHUB_REPORT_PREVIEW") {
        std::fs::write(path, &page).unwrap();
    }
    for text in [
        "G05.consent",
        "Coffee that comes &lt;full&gt; circle",
        "1,000.00 USD",
        "brand-guide.pdf",
        "scan.pdf",
        "24 November 2026 to 19 December 2026",
    ] {
        assert!(page.contains(text), "{text}");
    }
    assert!(page.contains("sends judged") && page.contains(">600<"));
}

#[test]
fn page_needs_nothing_else_and_runs_nothing() {
    let page = report().to_html().unwrap();
    for outside in ["<script", "<link", "src=", "@import", "url(", "http://", "https://", "javascript:"] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn texts_of_others_are_escaped_everywhere() {
    let mut report = report();
    let evil = "<img src=x onerror=alert(1)>\"'";
    report.campaign.goal = evil.into();
    report.campaign.name = evil.into();
    report.knowledge.failed[0].file = evil.into();
    report.voice.banned = vec![evil.into()];
    for card in &mut report.asset_cards {
        card.title = evil.into();
        card.parts.iter_mut().for_each(|p| p.text = evil.into());
        card.citations[0].quote = evil.into();
    }
    report.plan.schedule[0].title = evil.into();
    assert!(!report.to_html().unwrap().contains("<img"));
}

#[test]
fn empty_report_is_a_page_too() {
    assert!(Report::default().to_html().unwrap().contains("Nothing was held or refused"));
}

#[test]
fn counts_that_do_not_add_up_are_named() {
    assert_eq!(report().inconsistencies(), Vec::<String>::new());
    let mut off = report();
    off.contacts.rejected += 1;
    off.reasons.insert("G01.tenant".into(), 3);
    let lines = off.inconsistencies();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].contains("335") && lines[0].contains("336"));
    assert!(off.to_html().unwrap().contains("do not add up"));
}

#[test]
fn report_is_json_and_back() {
    let json = serde_json::to_value(report()).unwrap();
    for field in ["contacts", "sends", "reasons", "knowledge", "assets", "posts", "is_offline", "timings_ms"]
    {
        assert!(json.get(field).is_some(), "{field}");
    }
    assert_eq!(json["sends"]["scheduled"], 400);
    assert_eq!(serde_json::from_value::<Report>(json).unwrap(), report());
}

#[test]
fn chart_of_a_campaign_of_years_shows_its_first_weeks() {
    let mut long = report();
    long.campaign.end = Timestamp::parse("end", "2029-12-31T00:00:00Z").unwrap();
    let page = long.to_html().unwrap();
    assert!(page.contains(">24 Nov</span>"), "the axis begins with the first send");
    assert!(!page.contains(">31 Dec</span>"), "the axis does not run to the end of the window");
}
