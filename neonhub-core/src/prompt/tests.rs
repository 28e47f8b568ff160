//! The registry over a hub in memory.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::audit::AuditEntry;
use crate::permission::{Permission, PermissionSet};
use crate::store::Query;
use crate::{ErrorKind, Hub, ManualClock, Scope, Timestamp};

async fn open() -> (Scope, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
    let hub = Hub::builder().clock(Arc::clone(&clock) as _).seed(3).build().await.unwrap();
    (hub.workspace("default").await.unwrap(), clock)
}

fn subject(text: &str) -> Prompt {
    Prompt::new("mail/subject", 0, format!("{text} {{{{ topic }}}}"))
        .var(PromptVar::required("topic", VarKind::Text))
        .offline_template("{{ topic }} today")
}

async fn publish(cx: &Scope, text: &str) -> PromptVersion {
    cx.call(PutPrompt { prompt: subject(text), notes: text.into() }).await.unwrap();
    cx.call(PublishPrompt { name: "mail/subject".into() }).await.unwrap()
}

fn label(version: u32) -> LabelPrompt {
    LabelPrompt {
        name: "mail/subject".into(),
        label: "production".into(),
        version: Some(version),
        reason: None,
    }
}

async fn get(cx: &Scope, reference: &str) -> crate::Result<FoundPrompt> {
    cx.call(GetPrompt { reference: reference.into(), ..GetPrompt::default() }).await
}

#[tokio::test]
async fn a_draft_becomes_a_version_that_never_changes() {
    let (cx, _) = open().await;
    let head = cx.call(PutPrompt { prompt: subject("One"), notes: String::new() }).await.unwrap();
    assert_eq!((head.latest, head.draft.unwrap().prompt.version), (0, 1));
    assert_eq!(get(&cx, "mail/subject").await.unwrap_err().code(), "unknown_label");
    assert_eq!(get(&cx, "mail/subject@draft").await.unwrap().prompt.version, 1);
    let one = cx.call(PublishPrompt { name: "mail/subject".into() }).await.unwrap();
    assert_eq!((one.prompt.version, &one.hash), (1, &one.prompt.hash().unwrap()));
    let empty = cx.call(PublishPrompt { name: "mail/subject".into() }).await.unwrap_err();
    assert_eq!((empty.kind(), empty.code()), (ErrorKind::NotFound, "no_draft"));
    let two = publish(&cx, "Two").await;
    assert_eq!(two.prompt.version, 2);
    assert_eq!(get(&cx, "mail/subject").await.unwrap().prompt, two.prompt);
    assert_eq!(get(&cx, "mail/subject@1").await.unwrap().prompt, one.prompt);
    let chat = Prompt::new("mail/subject", 0, "").message(crate::llm::Role::User, "hi");
    let changed = cx.call(PutPrompt { prompt: chat, notes: String::new() }).await.unwrap_err();
    assert_eq!(changed.code(), "kind_changed");
}

#[tokio::test]
async fn a_label_that_is_not_there_is_an_error_unless_the_caller_brings_a_fallback() {
    let (cx, _) = open().await;
    publish(&cx, "One").await;
    for (reference, code) in [
        ("mail/subject@production", "unknown_label"),
        ("mail/subject@9", "unknown_version"),
        ("mail/other", "unknown_prompt"),
    ] {
        let error = get(&cx, reference).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::NotFound, code));
        let own = Prompt::new("own", 1, "x");
        let op = GetPrompt { reference: reference.into(), fallback: Some(own.clone()), unit: None };
        let found = cx.call(op).await.unwrap();
        assert_eq!((found.prompt, found.is_fallback), (own, true));
    }
}

#[tokio::test]
async fn labels_move_and_are_rolled_back_step_by_step() {
    let (cx, _) = open().await;
    for text in ["One", "Two", "Three"] {
        publish(&cx, text).await;
    }
    let roll = || cx.call(RollbackPrompt { name: "mail/subject".into(), label: None, reason: None });
    assert_eq!(roll().await.unwrap_err().code(), "unknown_label");
    for version in [1, 2, 2, 3] {
        cx.call(label(version)).await.unwrap();
    }
    assert_eq!(get(&cx, "mail/subject@production").await.unwrap().prompt.version, 3);
    assert_eq!(roll().await.unwrap().labels["production"], 2);
    assert_eq!(roll().await.unwrap().labels["production"], 1);
    let none = roll().await.unwrap_err();
    assert_eq!((none.kind(), none.code()), (ErrorKind::Conflict, "nothing_to_roll_back"));
    let audit = cx.query::<AuditEntry>(&Query::by_id().limit(500)).await.unwrap();
    let moves = audit.iter().filter(|row| row.action == "prompt.label_moved").count();
    assert_eq!(moves, 5);
    for bad in ["latest", "draft"] {
        let error = cx.call(LabelPrompt { label: bad.into(), ..label(1) }).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}

#[tokio::test]
async fn production_needs_an_approver_and_voices_belong_to_the_brand() {
    let (cx, _) = open().await;
    publish(&cx, "One").await;
    let writer = cx.with_permissions(PermissionSet::of(&[Permission::ReadContent, Permission::WriteContent]));
    assert_eq!(writer.call(label(1)).await.unwrap_err().kind(), ErrorKind::PermissionDenied);
    writer.call(LabelPrompt { label: "staging".into(), ..label(1) }).await.unwrap();
    let voice = Prompt::new("voice/acme/mail", 0, "x");
    let put = PutPrompt { prompt: voice, notes: String::new() };
    assert_eq!(writer.call(put.clone()).await.unwrap_err().kind(), ErrorKind::PermissionDenied);
    let brand = cx.with_permissions(PermissionSet::of(&[Permission::ReadContent, Permission::WriteBrand]));
    brand.call(put).await.unwrap();
}

#[tokio::test]
async fn prompts_are_listed_compared_rendered_tested_and_thrown_away() {
    let (cx, _) = open().await;
    publish(&cx, "One").await;
    publish(&cx, "Two").await;
    let diff = DiffPrompts { from: "mail/subject@1".into(), to: "mail/subject".into() };
    let diff = cx.call(diff).await.unwrap();
    assert_eq!((diff.from, diff.to, diff.fields), (1, 2, vec!["template".to_owned()]));
    assert_eq!(diff.lines.len(), 2);
    let values: std::collections::BTreeMap<_, _> = [("topic".to_owned(), "tea".into())].into();
    let reference = Some("mail/subject@1".to_owned());
    let render = RenderPrompt { reference, values: values.clone(), ..RenderPrompt::default() };
    assert_eq!(cx.call(render).await.unwrap().text, "One tea");
    let test = TestPrompt { reference: "mail/subject".into(), values, ..TestPrompt::default() };
    let tested = cx.call(test).await.unwrap();
    assert_eq!((tested.text.as_str(), tested.is_offline), ("tea today", true));
    cx.call(PutPrompt { prompt: Prompt::new("other", 0, "x"), notes: String::new() }).await.unwrap();
    let names = |page: crate::op::Page<NamedPrompt>| page.items.into_iter().map(|p| p.id).collect::<Vec<_>>();
    assert_eq!(names(cx.call(ListPrompts::default()).await.unwrap()), ["mail/subject", "other"]);
    cx.call(DeletePromptDraft { name: "other".into() }).await.unwrap();
    assert_eq!(names(cx.call(ListPrompts::default()).await.unwrap()), ["mail/subject"]);
    cx.call(DeletePromptDraft { name: "mail/subject".into() }).await.unwrap();
    assert_eq!(get(&cx, "mail/subject").await.unwrap().prompt.version, 2);
}

#[tokio::test]
async fn an_import_is_whole_and_changes_nothing_the_second_time() {
    let (cx, _) = open().await;
    publish(&cx, "One").await;
    publish(&cx, "Two").await;
    cx.call(label(1)).await.unwrap();
    let bundle = cx.call(ExportPrompts { names: vec!["mail/subject".into()] }).await.unwrap();
    let (other, _) = open().await;
    let import = |bundle: &PromptBundle| other.call(ImportPrompts { bundle: bundle.clone() });
    let first = import(&bundle).await.unwrap();
    assert_eq!(first, ImportedPrompts { versions: 2, labels: 1, known: 0 });
    assert_eq!(get(&other, "mail/subject@production").await.unwrap().prompt.version, 1);
    assert_eq!(import(&bundle).await.unwrap(), ImportedPrompts { versions: 0, labels: 0, known: 2 });
    let again = other.call(ExportPrompts { names: vec!["mail/subject".into()] }).await.unwrap();
    assert_eq!(again, bundle);
    let mut forged = bundle.clone();
    forged.prompts[0].versions[1].prompt.template = "changed".into();
    assert!(import(&forged).await.unwrap_err().message().contains("hash"));
    let mut rival = bundle;
    let second = &mut rival.prompts[0].versions[1];
    second.prompt.offline_template = None;
    second.hash = second.prompt.hash().unwrap();
    assert_eq!(import(&rival).await.unwrap_err().code(), "version_taken");
}

fn experiment(weights: [f64; 2]) -> StartPromptExperiment {
    let variant = |to: &str, weight| PromptVariant { to: to.into(), weight, version: 0 };
    StartPromptExperiment {
        key: "exp1".into(),
        prompt: "mail/subject".into(),
        variants: vec![variant("production", weights[0]), variant("2", weights[1])],
        ..StartPromptExperiment::default()
    }
}

#[tokio::test]
async fn units_keep_their_variant_and_the_rule_names_the_winner() {
    let (cx, clock) = open().await;
    publish(&cx, "One").await;
    publish(&cx, "Two").await;
    cx.call(label(1)).await.unwrap();
    assert_eq!(cx.call(experiment([0.9, 0.9])).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    cx.call(experiment([0.5, 0.5])).await.unwrap();
    let rival = StartPromptExperiment { key: "exp2".into(), ..experiment([0.5, 0.5]) };
    assert_eq!(cx.call(rival).await.unwrap_err().code(), "experiment_running");
    let of = |unit: String| {
        let reference = "mail/subject@production".into();
        cx.call(GetPrompt { reference, unit: Some(unit), fallback: None })
    };
    // 0.202 is in the first half.
    let seven = of("user-7".into()).await.unwrap();
    let assigned = seven.assigned.clone().unwrap();
    assert_eq!((seven.prompt.version, assigned.variant, assigned.propensity), (1, 0, 0.5));
    // The label moves, the variant does not.
    cx.call(label(2)).await.unwrap();
    assert_eq!(of("user-7".into()).await.unwrap(), seven);
    let mut shown = [0_u64; 2];
    for n in 0..500 {
        let unit = format!("unit-{n}");
        let at = of(unit.clone()).await.unwrap().assigned.unwrap().variant as usize;
        shown[at] += 1;
        // One of ten likes the control, one of two the other.
        let is_success = if at == 0 { shown[at] % 10 == 0 } else { shown[at] % 2 == 0 };
        let reference = "mail/subject@production".to_owned();
        let used = RecordPromptUse { reference, unit: Some(unit), is_success, ..RecordPromptUse::default() };
        cx.call(used.clone()).await.unwrap();
        if n == 0 {
            // A unit is exposed once.
            cx.call(RecordPromptUse { runs: Some(0), is_success: false, ..used }).await.unwrap();
        }
    }
    let stats = || cx.call(PromptStats { name: "mail/subject".into() });
    let early = stats().await.unwrap();
    let report = &early.experiments[0];
    assert_eq!([report.variants[0].shown, report.variants[1].shown], shown);
    assert_eq!((report.winner.as_deref(), report.reason.as_str()), (None, "min_days"));
    assert_eq!(early.versions.iter().map(|v| v.runs).collect::<Vec<_>>(), shown);
    clock.advance(Duration::from_secs(8 * 86_400));
    let late = stats().await.unwrap().experiments.remove(0);
    assert_eq!((late.winner.as_deref(), late.reason.as_str()), (Some("2"), "decided"));
    cx.call(StopPromptExperiment { key: "exp1".into() }).await.unwrap();
    let after = of("user-7".into()).await.unwrap();
    assert_eq!((after.prompt.version, after.assigned), (2, None));
}

#[tokio::test]
async fn a_broken_split_has_no_winner() {
    let (cx, clock) = open().await;
    publish(&cx, "One").await;
    publish(&cx, "Two").await;
    cx.call(label(1)).await.unwrap();
    let running = cx.call(experiment([0.5, 0.5])).await.unwrap();
    let mut left = [400, 110];
    for n in 0.. {
        let unit = format!("u{n}");
        let at = running.assign(&unit).unwrap().variant as usize;
        if left == [0, 0] {
            break;
        }
        if left[at] == 0 {
            continue;
        }
        left[at] -= 1;
        let reference = "mail/subject@production".to_owned();
        let is_success = at == 1;
        let op = RecordPromptUse { reference, unit: Some(unit), is_success, ..RecordPromptUse::default() };
        cx.call(op).await.unwrap();
    }
    clock.advance(Duration::from_secs(8 * 86_400));
    let report = cx.call(PromptStats { name: "mail/subject".into() }).await.unwrap().experiments.remove(0);
    assert_eq!((report.winner, report.reason.as_str()), (None, "split_broken"));
    assert!(report.is_split_broken && report.split_p.unwrap() < 0.001);
}

#[test]
fn every_operation_has_an_example_that_its_own_type_reads() {
    for entry in CATALOGUE {
        let examples = (entry.examples)();
        assert!(!examples.is_empty(), "{}", entry.name);
        for example in examples {
            (entry.normal)(example).unwrap();
        }
    }
    assert_eq!(json!(ExperimentStatus::Running), "running");
}
