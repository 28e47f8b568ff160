//! The gate: its rules on loaded facts, and with the load of one person's facts from a full store.

use std::collections::BTreeSet;
use std::path::Path;

use neonhub::brand::{CreateBrand, SetSender};
use neonhub::connector::{Channel as Wire, Decision, Gate as _, Proposal};
use neonhub::consent::Status;
use neonhub::gate::facts::{
    ActiveState, ConsentFact, DraftFacts, DraftStatus, Facts, IdentityFact, Origin, PersonFacts, Policy,
    SendFacts, SourceFacts, TenantFacts,
};
use neonhub::gate::{Category, Channel, ContentFacts, MarketingGate, Place, evaluate};
use neonhub::people::GateFacts;
use neonhub::send::{ApproveDraft, CreateDraft, DraftId, Parts};
use neonhub::store::Query;
use neonhub::{Scope, Timestamp, zone};
use serde_json::json;

use super::people::{NOON, open};
use crate::measure::{median, nanoseconds_per_call};
use crate::{Goal, Result, Row, Runs};

/// Judgements of one run.
const CALLS: usize = 5_000;

/// Both rows.
pub(super) async fn rows(runs: Runs, store: &Path, people: usize) -> Result<Vec<Row>> {
    let loaded = on_loaded_facts(runs)?;
    let with_load = with_load(runs, store).await?;
    Ok(vec![
        Row::new("gate on loaded facts", loaded, "us", Goal::AtMost(50.0)),
        Row::new(format!("gate with their load, {people} people"), with_load, "us", Goal::AtMost(300.0)),
    ])
}

fn on_loaded_facts(runs: Runs) -> Result<f64> {
    let (tenant, draft, person) = (tenant()?, draft(), person());
    let source = SourceFacts { id: "cmp_1".to_owned(), ..SourceFacts::default() };
    let policy = Policy::default();
    let facts = Facts {
        tenant: &tenant,
        source: Some(&source),
        draft: &draft,
        person: Some(&person),
        policy: &policy,
        send: SendFacts::default(),
    };
    let now = Timestamp::parse("now", NOON)?;
    runs.median_of(|| {
        let nanoseconds = nanoseconds_per_call(CALLS, |_| {
            let ruling = std::hint::black_box(evaluate(std::hint::black_box(&facts), now));
            if ruling.decision == Decision::Allow {
                Ok(())
            } else {
                Err(format!("{:?}", ruling.reasons).into())
            }
        })?;
        Ok(nanoseconds / 1e3)
    })
}

async fn with_load(runs: Runs, store: &Path) -> Result<f64> {
    let hub = open(store).await?;
    let scope = hub.workspace("default").await?;
    let draft = approved_draft(&scope, "gate").await?;
    let people = people(&scope, runs.size(CALLS)).await?;
    let mut medians = Vec::new();
    for _ in 0..runs.count() {
        let (mut allowed, mut codes) = (0, BTreeSet::new());
        let start = std::time::Instant::now();
        for person in &people {
            let proposal = Proposal {
                send: "snd_bench".to_owned(),
                person: Some(person.clone()),
                channel: Wire::new("email")?,
                at: Timestamp::parse("now", NOON)?,
                facts: json!({ "draft": draft }),
            };
            let judged = MarketingGate.judge(&scope, &[proposal]).await?;
            for judgement in judged {
                allowed += usize::from(judgement.decision == Decision::Allow);
                codes.extend(judgement.reasons.into_iter().map(|reason| reason.code));
            }
        }
        medians.push(start.elapsed().as_secs_f64() * 1e6 / people.len() as f64);
        if allowed != people.len() {
            let codes = codes.into_iter().collect::<Vec<_>>().join(", ");
            return Err(format!("{allowed} of {} were allowed, the others not: {codes}", people.len()).into());
        }
    }
    hub.close().await?;
    median(&medians).ok_or_else(|| "no run was made".into())
}

/// Ids of people spread over the whole store.
pub(super) async fn people(scope: &Scope, wanted: usize) -> Result<Vec<String>> {
    let all = usize::try_from(scope.count::<GateFacts>(&Query::by_id()).await?)?;
    let stride = (all / wanted.max(1)).max(1);
    let facts = scope.query::<GateFacts>(&Query::by_id().limit(stride * wanted)).await?;
    Ok(facts.iter().step_by(stride).take(wanted).map(|facts| facts.person.to_string()).collect())
}

/// A brand with a sender, and an approved mail of it.
pub(super) async fn approved_draft(scope: &Scope, slug: &str) -> Result<DraftId> {
    let brand = CreateBrand {
        name: "Bench".to_owned(),
        slug: Some(slug.to_owned()),
        domains: vec![format!("{slug}.example")],
        postal_address: Some("1 Example Street, 10001 New York".to_owned()),
        locale: None,
        timezone: None,
        window: None,
    };
    let brand = scope.call(brand).await?;
    let sender = SetSender {
        brand: brand.id.to_string(),
        channel: Channel::Email,
        from: format!("news@{slug}.example"),
        name: None,
        reply_to: None,
        postal_address: None,
        unsubscribe_url: Some(format!("https://{slug}.example/leave")),
    };
    scope.call(sender).await?;
    let draft = CreateDraft {
        brand: brand.id.to_string(),
        channel: Channel::Email,
        sender: None,
        category: None,
        parts: Parts {
            subject: Some("News for {{ first_name }}".to_owned()),
            html: Some(
                "<p>Hello {{ first_name }},</p><p>the spring collection is here.</p>\
                 <p>{{ sender_name }}, {{ sender_address }} · <a href=\"{{ unsubscribe_url }}\">Unsubscribe</a></p>"
                    .to_owned(),
            ),
            text: Some(
                "Hello {{ first_name }}, the spring collection is here.\n\n\
                 {{ sender_name }}, {{ sender_address }}\nUnsubscribe: {{ unsubscribe_url }}\n"
                    .to_owned(),
            ),
            ..Parts::default()
        },
        ..serde_json::from_value(json!({ "brand": slug, "channel": "email", "parts": {} }))?
    };
    let draft = scope.call(draft).await?;
    scope.call(ApproveDraft { draft: draft.id.clone(), hash: None, note: None }).await?;
    Ok(draft.id)
}

fn tenant() -> Result<TenantFacts> {
    Ok(TenantFacts {
        workspace: ActiveState::Active,
        organization: ActiveState::Active,
        brand: ActiveState::Active,
        brand_id: Some("brd_1".to_owned()),
        expires_at: None,
        is_production: true,
        allow_offline_output: false,
        zone: zone("zone", "Europe/Vienna")?,
        brand_window: None,
    })
}

fn draft() -> DraftFacts {
    let content = ContentFacts {
        moderation_passed: Some(true),
        guardrail_blocks: Some(Vec::new()),
        has_postal_address: true,
        has_opt_out: true,
        has_sender: true,
        ..ContentFacts::default()
    };
    DraftFacts {
        id: "dft_1".to_owned(),
        channel: Channel::Email,
        category: Category::Marketing,
        status: DraftStatus::Approved,
        needs_approval: true,
        origin: Origin::Human,
        content,
        is_bulk: true,
        preflight_red: Vec::new(),
        has_platform_template: false,
    }
}

fn person() -> PersonFacts {
    PersonFacts {
        id: "per_1".to_owned(),
        identity: Some(IdentityFact { id: "idn_1".to_owned(), is_verified: true, ..IdentityFact::default() }),
        consent: ConsentFact {
            state: Some(Status::Granted),
            row: Some("con_1".to_owned()),
            identity: None,
            scope: "marketing".to_owned(),
        },
        place: Place { country: Some("US".to_owned()), region: Some("NY".to_owned()), ..Place::default() },
        ..PersonFacts::default()
    }
}
