use neonhub_core::{ErrorKind, Timestamp};
use proptest::prelude::*;

use super::super::{Brief, CampaignChannel, Plan, PlanFacts, StepKind};

fn at(text: &str) -> Timestamp {
    Timestamp::parse("at", text).unwrap()
}

fn brief() -> Brief {
    Brief::from_toml(
        r#"
goal = "Win members"
brand = "Brightmoor Coffee"
audience_text = "Customers of this year"
key_messages = ["One", "Two", "Three guaranteed", "Four"]
channels = ["email", "sms", "x", "linkedin", "instagram", "facebook", "ads", "blog"]
start = 2026-11-24T09:00:00Z
end = 2026-12-15T00:00:00Z
must_not_say = ["guaranteed"]
locale = "en-GB"
timezone = "Europe/London"
landing_url = "https://brightmoor.example/"
budget = { amount = 500001, currency = "GBP" }
[sender]
email = "hello@brightmoor.example"
name = "Brightmoor Coffee"
postal_address = "12 Kiln Lane, Ashdale"
unsubscribe_url = "https://brightmoor.example/u"
"#,
    )
    .unwrap()
}

fn facts() -> PlanFacts {
    PlanFacts {
        now: at("2026-11-24T10:00:00Z"),
        people: 250,
        price_micros: vec![(CampaignChannel::Email, 900)],
    }
}

#[test]
fn full_brief_has_every_step_in_a_runnable_order() {
    let plan = Plan::build(&brief(), &facts()).unwrap();
    plan.check().unwrap();
    assert_eq!(plan.steps_of(StepKind::Asset).count(), 10);
    assert_eq!(plan.steps_of(StepKind::Send).count(), 4);
    assert_eq!(plan.steps_of(StepKind::Publish).count(), 4);
    assert_eq!(plan.steps_of(StepKind::Ad).count(), 1);
    assert_eq!(plan.steps_of(StepKind::Wait).count(), 2);
    for (i, step) in plan.steps.iter().enumerate() {
        for need in &step.depends_on {
            assert!(plan.steps[..i].iter().any(|s| s.key == *need), "{} before {need}", step.key);
        }
    }
    assert_eq!(plan.steps.last().unwrap().key, "report.final");
}

#[test]
fn only_the_first_mail_is_due_at_launch() {
    let plan = Plan::build(&brief(), &facts()).unwrap();
    let due = |key: &str| plan.step(key).unwrap().at.unwrap();
    assert_eq!(due("send.email.1"), facts().now);
    assert_eq!(due("send.sms.1"), facts().now);
    assert_eq!(due("send.email.2"), at("2026-11-27T10:00:00Z"));
    assert_eq!(due("send.email.3"), at("2026-12-01T10:00:00Z"));
    assert!(plan.schedule.iter().all(|e| e.at >= brief().start && e.at <= brief().end));
    assert!(plan.schedule.is_sorted_by_key(|e| e.at));
}

#[test]
fn start_ahead_of_now_moves_everything_to_it() {
    let early = PlanFacts { now: at("2026-11-01T00:00:00Z"), ..facts() };
    let plan = Plan::build(&brief(), &early).unwrap();
    assert_eq!(plan.step("send.email.1").unwrap().at, Some(brief().start));
    assert!(plan.risks.iter().any(|r| r.contains("start lies ahead")));
}

#[test]
fn campaign_of_the_past_is_refused_with_its_cure() {
    let err = Plan::build(&brief(), &PlanFacts { now: at("2027-01-01T00:00:00Z"), ..facts() }).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::InvalidInput);
    assert_eq!(err.field_faults()[0].field, "end");
}

#[test]
fn each_mail_leads_with_its_own_message_and_none_is_forbidden() {
    let plan = Plan::build(&brief(), &facts()).unwrap();
    let lead = |key: &str| plan.step(key).unwrap().params.messages[0].clone();
    assert_eq!(
        (lead("asset.email.1"), lead("asset.email.2"), lead("asset.email.3")),
        ("One".into(), "Two".into(), "Four".into())
    );
    assert!(plan.steps.iter().flat_map(|s| &s.params.messages).all(|m| !m.contains("guaranteed")));
    assert!(plan.risks.iter().any(|r| r.contains("Three guaranteed")));
}

#[test]
fn cost_names_what_is_unknown_and_sums_what_is_known() {
    let plan = Plan::build(&brief(), &facts()).unwrap();
    let personal: i64 =
        plan.budget_split.iter().filter(|s| s.channel.is_personal()).map(|s| s.amount.minor).sum();
    // 250 people x 3 mails x 0.0009 GBP = 0.675 GBP, rounded up to 68 pence.
    assert_eq!(plan.cost.estimate.minor, 500_001 - personal + 68);
    assert_eq!(plan.cost.high, plan.cost.estimate);
    assert!(plan.cost.low.minor < plan.cost.estimate.minor);
    assert_eq!(plan.cost.unknown.len(), 1);
    assert!(plan.cost.unknown[0].contains("SMS"));
}

#[test]
fn cancelling_undoes_the_last_step_first() {
    let plan = Plan::build(&brief(), &facts()).unwrap();
    let position = |key: &String| plan.steps.iter().position(|s| s.key == *key).unwrap();
    assert_eq!(plan.rollback.len(), 5);
    assert!(plan.rollback.iter().map(position).is_sorted_by(|a, b| a > b));
}

#[test]
fn same_brief_same_plan() {
    let first = serde_json::to_string(&Plan::build(&brief(), &facts()).unwrap()).unwrap();
    let again = serde_json::to_string(&Plan::build(&brief(), &facts()).unwrap()).unwrap();
    assert_eq!(first, again);
}

proptest! {
    #[test]
    fn any_channels_and_amount_split_exactly_and_run(
        mask in 1_u32..256, amount in 0_i64..10_000_000_000, hours in 1_u64..2_000, late in 0_u64..1_000,
    ) {
        let mut brief = brief();
        brief.channels = CampaignChannel::ALL.iter().enumerate()
            .filter(|(i, _)| mask & (1 << i) != 0).map(|(_, c)| *c).collect();
        brief.budget.minor = amount;
        brief.end = brief.start.plus(std::time::Duration::from_secs(hours * 3_600));
        let now = brief.start.plus(std::time::Duration::from_secs(late.min(hours - 1) * 3_600));
        let plan = Plan::build(&brief, &PlanFacts { now, ..facts() }).unwrap();
        plan.check().unwrap();
        prop_assert_eq!(plan.budget_split.iter().map(|s| s.amount.minor).sum::<i64>(), amount);
        prop_assert!(plan.schedule.iter().all(|e| e.at >= now && e.at <= brief.end));
        prop_assert_eq!(plan.schedule.is_empty(), brief.channels == [CampaignChannel::Blog]);
    }
}
