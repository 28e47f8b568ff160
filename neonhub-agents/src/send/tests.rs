//! Stories from draft to outcome over the memory store, with a connector that is told what to answer.

mod meddle;
mod other_name;
mod personal;
mod support;

use std::time::Duration;

use neonhub_core::connector::Payload;
use neonhub_core::store::Query;
use neonhub_core::{ErrorKind, Retry};

use super::*;
use crate::consent::Status;
use crate::gate::facts::SourceState;
use support::{Answer, World};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn create(draft: &Draft, person: &crate::people::PersonId) -> CreateSend {
    CreateSend { person: Some(person.clone()), ..CreateSend::of(draft.id.clone()) }
}

#[tokio::test]
async fn an_allowed_mail_goes_out_once() {
    let w = World::open().await;
    let jane = w.person("jane@example.org", None, Some(Status::Granted)).await;
    let draft = w.email_draft(None).await;
    let send = w.cx.call(create(&draft, &jane)).await.unwrap();
    assert_eq!(send.state, SendState::Queued);
    assert_eq!(w.work().await, 1);
    let again = w.cx.call(create(&draft, &jane)).await.unwrap();
    assert_eq!((again.id.clone(), again.state), (send.id.clone(), SendState::Accepted));
    assert_eq!(w.work().await, 0);
    let out = w.outbox.delivered();
    assert_eq!(out.len(), 1);
    assert_eq!(out[0].effect, send.effect);
    let Payload::Email { from, to, message } = &out[0].payload else { panic!("expected a mail") };
    assert_eq!((from.as_str(), to.expose()), ("news@shop.example", "jane@example.org"));
    let text = String::from_utf8(message.clone()).unwrap();
    assert!(text.contains("Subject: Hello Jane\r\n") && text.contains("To: Jane Doe <jane@example.org>\r\n"));
    assert!(text.contains("List-Unsubscribe: <https://shop.example/leave?token="));
    assert!(text.contains("List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"));
    assert_eq!(again.verdicts.len(), 2, "judged when made and again at the moment of sending");
}

#[tokio::test]
async fn the_token_of_the_mail_verifies() {
    let w = World::open().await;
    let jane = w.person("jane@example.org", None, Some(Status::Granted)).await;
    let draft = w.email_draft(None).await;
    w.cx.call(create(&draft, &jane)).await.unwrap();
    w.work().await;
    let Payload::Email { message, .. } = &w.outbox.delivered()[0].payload else { panic!("expected a mail") };
    let text = String::from_utf8(message.clone()).unwrap();
    let token = text.split("leave?token=").nth(1).unwrap().split('>').next().unwrap();
    let claim =
        crate::consent::token::verify(&crate::consent::signing_keys(&w.cx).await.unwrap(), token).unwrap();
    assert_eq!((claim.person, claim.channel), (jane, crate::consent::Channel::Email));
}

#[tokio::test]
async fn a_refused_send_is_an_error_and_is_kept_with_its_reasons() {
    let w = World::open().await;
    let jane = w.person("jane@example.org", None, Some(Status::Revoked)).await;
    let draft = w.email_draft(None).await;
    let error = w.cx.call(create(&draft, &jane)).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::ConsentRequired, "revoked"));
    let id = error.context().find(|(k, _)| *k == "send").unwrap().1.to_owned();
    let explained = w.cx.call(ExplainSend { send: id.parse().unwrap() }).await.unwrap();
    assert_eq!(explained.state, SendState::Denied);
    let rules: Vec<&str> = explained.verdicts[0].reasons.iter().map(|r| r.rule.as_str()).collect();
    assert_eq!(rules, ["G05.consent"]);
    w.work().await;
    assert!(w.outbox.delivered().is_empty());
    assert!(w.cx.call(create(&draft, &jane)).await.is_err(), "the same send stays refused");
}

#[tokio::test]
async fn a_person_without_a_number_is_denied_by_identity() {
    let w = World::open().await;
    let jane = w.person("jane@example.org", None, Some(Status::Granted)).await;
    let draft = w.sms_draft(None).await;
    let error = w.cx.call(create(&draft, &jane)).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::NotFound, "no_identity"));
}

#[tokio::test]
async fn a_text_at_night_waits_for_the_morning() {
    let w = World::open().await;
    w.clock.set(support::at("2026-11-18T22:00:00+01:00"));
    let jane = w.person("jane@example.org", Some("+436641234567"), Some(Status::Granted)).await;
    let draft = w.sms_draft(None).await;
    let send = w.cx.call(create(&draft, &jane)).await.unwrap();
    assert_eq!((send.state, send.rule()), (SendState::Deferred, Some("G06.law")));
    w.work().await;
    assert!(w.outbox.delivered().is_empty());
    w.clock.set(support::at("2026-11-19T09:00:00+01:00"));
    assert_eq!(w.work().await, 1);
    let send = w.send(&send.id).await;
    assert_eq!((send.state, send.segments), (SendState::Accepted, Some(1)));
    let Payload::Text { body, to, .. } = &w.outbox.delivered()[0].payload else { panic!("expected a text") };
    assert!(to.expose() == "+436641234567" && body.contains("STOP"));
}

#[tokio::test]
async fn a_revoke_stops_what_is_queued() {
    let w = World::open().await;
    let jane = w.person("jane@example.org", None, Some(Status::Granted)).await;
    let draft = w.email_draft(None).await;
    let send = w.cx.call(create(&draft, &jane)).await.unwrap();
    w.set_consent(&jane, Status::Revoked).await;
    w.work().await;
    assert!(w.outbox.delivered().is_empty());
    let send = w.send(&send.id).await;
    assert_eq!((send.state, send.rule()), (SendState::Denied, Some("G05.consent")));
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_and_never_sent_again() {
    let w = World::open().await;
    let jane = w.person("jane@example.org", None, Some(Status::Granted)).await;
    let draft = w.email_draft(None).await;
    w.outbox.answer(Answer::LandedButLost);
    let send = w.cx.call(create(&draft, &jane)).await.unwrap();
    w.work().await;
    assert_eq!(w.send(&send.id).await.state, SendState::Unknown);
    w.clock.advance(Duration::from_secs(61));
    w.work().await;
    assert_eq!(w.send(&send.id).await.state, SendState::Accepted);
    assert_eq!(w.outbox.delivered().len(), 1);
}

#[tokio::test]
async fn an_unknown_outcome_waits_for_a_person() {
    let w = World::open().await;
    let jane = w.person("jane@example.org", None, Some(Status::Granted)).await;
    let draft = w.email_draft(None).await;
    w.outbox.answer(Answer::LostForGood);
    let send = w.cx.call(create(&draft, &jane)).await.unwrap();
    w.work().await;
    w.clock.advance(Duration::from_secs(61));
    w.work().await;
    w.clock.advance(DAY);
    w.work().await;
    assert_eq!((w.send(&send.id).await.state, w.outbox.tries()), (SendState::Unknown, 1));
    let resolve = |landed| ResolveUnknown { send: send.id.clone(), landed, why: "asked the provider".into() };
    w.outbox.answer(Answer::Take);
    assert_eq!(w.cx.call(resolve(false)).await.unwrap().state, SendState::Queued);
    w.work().await;
    assert_eq!(w.send(&send.id).await.state, SendState::Accepted);
    assert_eq!(w.cx.call(resolve(true)).await.unwrap_err().kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn after_a_crash_between_delivery_and_outcome_the_probe_decides() {
    let w = World::open().await;
    let people = w.people(5).await;
    let draft = w.email_draft(None).await;
    for person in &people {
        w.cx.call(create(&draft, person)).await.unwrap();
    }
    w.outbox.fail_settle(true);
    w.work().await;
    assert_eq!(w.outbox.delivered().len(), 5, "all were handed over before the store heard of it");
    for state in w.states().await {
        assert_eq!(state, SendState::Dispatching);
    }
    w.outbox.fail_settle(false);
    w.clock.advance(HOUR);
    w.work().await;
    assert!(w.states().await.iter().all(|s| *s == SendState::Accepted));
    assert_eq!(w.outbox.delivered().len(), 5);
}

#[tokio::test]
async fn a_refused_try_is_repeated_and_keeps_no_frequency_slot() {
    let w = World::open().await;
    let jane = w.person("jane@example.org", None, Some(Status::Granted)).await;
    let draft = w.email_draft(None).await;
    w.outbox.answer(Answer::Fail(ErrorKind::Unavailable, Retry::After(HOUR)));
    let send = w.cx.call(create(&draft, &jane)).await.unwrap();
    w.work().await;
    assert_eq!(w.send(&send.id).await.state, SendState::Queued);
    assert!(w.reach(&jane).await.is_none_or(|r| r.recent.is_empty()));
    w.outbox.answer(Answer::Take);
    // The queue adds up to a tenth to the time it was told.
    w.clock.advance(2 * HOUR);
    w.work().await;
    assert_eq!(w.send(&send.id).await.state, SendState::Accepted);
    assert_eq!(w.reach(&jane).await.unwrap().recent.len(), 1);
}

#[tokio::test]
async fn an_outage_costs_no_tries_while_its_connection_is_left_alone() {
    let w = World::open().await;
    let draft = w.email_draft(None).await;
    let mut sends = Vec::new();
    for n in 0..6 {
        let person = w.person(&format!("p{n}@example.org"), None, Some(Status::Granted)).await;
        sends.push(w.cx.call(create(&draft, &person)).await.unwrap().id);
    }
    w.outbox.answer(Answer::Fail(ErrorKind::Unavailable, Retry::Backoff));
    w.work().await;
    let first = w.outbox.tries();
    assert!((9..=12).contains(&first), "three tries each, and no more once the breaker is open: {first}");
    // Two minutes of outage: now and then one call tries the connection out, the others wait without using a try.
    for _ in 0..12 {
        w.clock.advance(std::time::Duration::from_secs(10));
        w.work().await;
    }
    let jobs = w.cx.query::<neonhub_core::job::Job>(&neonhub_core::store::Query::by_id()).await.unwrap();
    let used: u64 = jobs.iter().filter(|j| j.queue == "email.send").map(|j| u64::from(j.attempts)).sum();
    assert_eq!(used * 3, w.outbox.tries(), "a try is used where the connector was asked, three times each");
    assert!(used <= first / 3 + 12, "at most one look at the connection each time: {used}, {first}");
    assert!(w.states().await.iter().all(|s| *s == SendState::Queued), "none is given up");
    w.outbox.answer(Answer::Take);
    for _ in 0..90 {
        w.clock.advance(std::time::Duration::from_secs(10));
        w.work().await;
    }
    assert!(w.states().await.iter().all(|s| *s == SendState::Accepted), "{:?}", w.states().await);
    assert_eq!(w.outbox.delivered().len(), 6, "each once");
}

#[tokio::test]
async fn a_final_refusal_fails_the_send() {
    let w = World::open().await;
    let jane = w.person("jane@example.org", None, Some(Status::Granted)).await;
    let draft = w.email_draft(None).await;
    w.outbox.answer(Answer::Fail(ErrorKind::InvalidInput, Retry::Never));
    let send = w.cx.call(create(&draft, &jane)).await.unwrap();
    w.work().await;
    w.clock.advance(DAY);
    w.work().await;
    let send = w.send(&send.id).await;
    assert_eq!(
        (send.state, send.error.as_deref(), w.outbox.tries()),
        (SendState::Failed, Some("invalid_input"), 1)
    );
}

#[tokio::test]
async fn cancel_wins_until_dispatch() {
    let w = World::open().await;
    let jane = w.person("jane@example.org", None, Some(Status::Granted)).await;
    let draft = w.email_draft(None).await;
    let send = w.cx.call(create(&draft, &jane)).await.unwrap();
    let cancel = CancelSend { send: send.id.clone() };
    assert_eq!(w.cx.call(cancel.clone()).await.unwrap().state, SendState::Cancelled);
    w.work().await;
    assert!(w.outbox.delivered().is_empty());
    let keyed = CreateSend { key: Some("second".into()), ..create(&draft, &jane) };
    let second = w.cx.call(keyed).await.unwrap();
    w.work().await;
    let error = w.cx.call(CancelSend { send: second.id }).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, "too_late"));
    let by_key = GetSendStatus { key: Some("second".into()), send: None };
    assert_eq!(w.cx.call(by_key).await.unwrap().state, SendState::Accepted);
}

#[tokio::test]
async fn caps_hold_for_sends_of_one_batch() {
    let w = World::open().await;
    let jane = w.person("jane@example.org", None, Some(Status::Granted)).await;
    let draft = w.email_draft(None).await;
    for n in 0..5 {
        let keyed = CreateSend { key: Some(format!("n{n}")), ..create(&draft, &jane) };
        assert_eq!(w.cx.call(keyed).await.unwrap().state, SendState::Queued);
    }
    w.work().await;
    assert_eq!(w.outbox.delivered().len(), 3, "three a week on one channel");
    let deferred =
        w.cx.query::<Send>(&Query::index("state").prefix(neonhub_core::store::Key::text("deferred")))
            .await
            .unwrap();
    assert_eq!(deferred.len(), 2);
    assert!(deferred.iter().all(|s| s.rule() == Some("G08.frequency")));
}

#[tokio::test]
async fn a_campaign_that_has_not_begun_defers_and_then_goes_out() {
    let w = World::open().await;
    let people = w.people(7).await;
    let nobody = w.person("nobody@example.org", None, None).await;
    let start = w.clock_now().plus(DAY * 5);
    w.source("cmp_1", SourceState::Running, Some(start)).await;
    let draft = w.email_draft(Some("cmp_1")).await;
    let all: Vec<_> = people.iter().cloned().chain([nobody]).collect();
    let page = CreateSends { draft: draft.id.clone(), people: all.clone(), send_at: None };
    let made = w.cx.call(page.clone()).await.unwrap();
    assert_eq!(made.sends.iter().filter(|s| s.rule.as_deref() == Some("G01.source")).count(), 7);
    let totals = |w: &World| {
        let cx = w.cx.clone();
        async move { cx.call(ReadTotals { campaign: "cmp_1".into(), step: None }).await.unwrap() }
    };
    let before = totals(&w).await;
    assert_eq!((before.allowed, before.deferred, before.denied), (0, 7, 1));
    assert_eq!(before.reasons.get("G01.source"), Some(&7));
    w.work().await;
    assert!(w.outbox.delivered().is_empty());
    w.clock.set(start);
    w.work().await;
    let after = totals(&w).await;
    assert_eq!((after.allowed, after.deferred, after.denied, after.sent), (7, 0, 1, 7));
    let again = w.cx.call(page).await.unwrap();
    assert!(again.sends.iter().all(|s| !s.is_new));
    w.work().await;
    assert_eq!(w.outbox.delivered().len(), 7);
}

#[tokio::test]
async fn a_paused_or_cancelled_campaign_sends_nothing_more() {
    let w = World::open().await;
    let people = w.people(3).await;
    w.source("cmp_1", SourceState::Running, None).await;
    let draft = w.email_draft(Some("cmp_1")).await;
    let page = CreateSends { draft: draft.id.clone(), people, send_at: None };
    w.cx.call(page).await.unwrap();
    w.source("cmp_1", SourceState::Paused, None).await;
    w.work().await;
    assert!(w.states().await.iter().all(|s| *s == SendState::Deferred));
    w.source("cmp_1", SourceState::Cancelled, None).await;
    let wake = WakeSends { campaign: "cmp_1".into(), step: "".into(), after: None };
    assert_eq!(w.cx.call(wake).await.unwrap(), Woken { woken: 3, next: None });
    w.work().await;
    assert!(w.states().await.iter().all(|s| *s == SendState::Cancelled));
    assert!(w.outbox.delivered().is_empty());
}

#[tokio::test]
async fn later_steps_wait_unjudged_and_expire_when_not_possible() {
    let w = World::open().await;
    let people = w.people(2).await;
    let draft = w.email_draft(None).await;
    let send_at = Some(w.clock_now().plus(DAY * 3));
    let made = w.cx.call(CreateSends { draft: draft.id.clone(), people, send_at }).await.unwrap();
    assert!(made.sends.iter().all(|s| s.state == SendState::Scheduled && s.rule.is_none()));
    w.work().await;
    assert!(w.outbox.delivered().is_empty());
    w.clock.advance(DAY * 7);
    w.work().await;
    assert!(w.states().await.iter().all(|s| *s == SendState::Expired));
}

#[tokio::test]
async fn posts_go_out_once_a_day_and_offline_text_needs_approval() {
    let w = World::open().await;
    let draft = w.post_draft("Fresh beans are here https://shop.example/a").await;
    let create = |draft: &Draft| CreateSend::of(draft.id.clone());
    let send = w.cx.call(create(&draft)).await.unwrap();
    assert_eq!(send.rule(), Some("G02.approval"));
    w.cx.call(ApproveDraft { draft: draft.id.clone(), hash: Some(draft.hash.clone()), note: None })
        .await
        .unwrap();
    w.clock.advance(HOUR);
    w.work().await;
    assert_eq!(w.send(&send.id).await.state, SendState::Accepted);
    let same = w.post_draft("FRESH beans are  here https://shop.example/b").await;
    w.cx.call(ApproveDraft { draft: same.id.clone(), hash: None, note: None }).await.unwrap();
    let error = w.cx.call(create(&same)).await.unwrap_err();
    assert_eq!(error.code(), "G07.duplicate");
    assert_eq!(w.outbox.delivered().len(), 1);
}

#[tokio::test]
async fn the_gate_can_be_asked_without_sending() {
    let w = World::open().await;
    let jane = w.person("jane@example.org", None, Some(Status::Pending)).await;
    let draft = w.email_draft(None).await;
    let check = crate::gate::CheckGate { draft: draft.id.clone(), person: Some(jane), at: None };
    let verdict = w.cx.call(check).await.unwrap();
    assert_eq!(verdict.rule.as_deref(), Some("G05.consent"));
    assert!(w.states().await.is_empty());
}

#[tokio::test]
async fn drafts_with_faults_are_refused_by_field() {
    let w = World::open().await;
    let mut bad = w.email_input(None);
    bad.parts.subject = None;
    bad.parts.link = Some("https://shop.example".into());
    let error = w.cx.call(bad).await.unwrap_err();
    let fields: Vec<&str> = error.field_faults().iter().map(|f| f.field.as_str()).collect();
    assert_eq!(fields, ["parts.subject", "parts"]);
    let mut unknown = w.email_input(None);
    unknown.parts.subject = Some("Hi {{ nickname }}".into());
    assert!(w.cx.call(unknown).await.unwrap_err().message().contains("nickname"));
    let mut footer = w.email_input(None);
    footer.parts.html = Some("<p>Hi</p>".into());
    let draft = w.cx.call(footer).await.unwrap();
    assert!(!draft.content.has_opt_out && !draft.content.has_postal_address);
}

/// A change between the verdict and the dispatch commit, and what must come of the five sends.
async fn changed_meanwhile(change: impl FnOnce(World, Vec<crate::people::PersonId>) -> Prank) -> World {
    let store = Arc::new(meddle::Meddler::default());
    let w = World::over(store.clone()).await;
    let people = w.people(5).await;
    w.source("cmp_1", SourceState::Running, None).await;
    let draft = w.email_draft(Some("cmp_1")).await;
    w.cx.call(CreateSends { draft: draft.id.clone(), people: people.clone(), send_at: None }).await.unwrap();
    store.plan(change(w.clone(), people));
    w.work().await;
    w
}

type Prank = std::pin::Pin<Box<dyn Future<Output = ()> + std::marker::Send>>;

#[tokio::test]
async fn a_revoke_before_the_dispatch_commit_stops_that_send_and_no_other() {
    let w = changed_meanwhile(|w, people| {
        Box::pin(async move { w.set_consent(&people[2], Status::Revoked).await })
    })
    .await;
    assert_eq!(w.outbox.delivered().len(), 4);
    let denied: Vec<_> = w.states().await.into_iter().filter(|s| *s == SendState::Denied).collect();
    assert_eq!(denied.len(), 1);
}

#[tokio::test]
async fn a_pause_before_the_dispatch_commit_stops_all() {
    let w =
        changed_meanwhile(|w, _| Box::pin(async move { w.source("cmp_1", SourceState::Paused, None).await }))
            .await;
    assert!(w.outbox.delivered().is_empty());
    assert!(w.states().await.iter().all(|s| *s == SendState::Deferred));
}

#[tokio::test]
async fn a_cancel_before_the_dispatch_commit_wins() {
    let w = changed_meanwhile(|w, people| {
        Box::pin(async move {
            let mine = ListSends { person: Some(people[0].clone()), ..ListSends::default() };
            let send = w.cx.call(mine).await.unwrap().items[0].id.clone();
            w.cx.call(CancelSend { send }).await.unwrap();
        })
    })
    .await;
    assert_eq!(w.outbox.delivered().len(), 4);
}

#[test]
fn every_operation_has_an_example_that_fits_its_schema_in_shape() {
    for entry in CATALOGUE.iter().chain(crate::gate::CATALOGUE).chain(crate::brand::CATALOGUE) {
        assert!(entry.internal || !(entry.examples)().is_empty(), "{}", entry.name);
        assert!((entry.input_schema)().as_object().is_some());
    }
}

#[tokio::test]
async fn pausing_the_workspace_before_the_dispatch_commit_stops_all() {
    let w = changed_meanwhile(|w, _| {
        Box::pin(async move {
            let pause = serde_json::json!({ "status": "paused" });
            w.cx.call_by_name("workspaces.update", pause, neonhub_core::op::CallOptions::new())
                .await
                .unwrap();
        })
    })
    .await;
    assert!(w.outbox.delivered().is_empty());
    assert!(w.states().await.iter().all(|s| *s == SendState::Denied));
}

#[tokio::test]
async fn who_agrees_later_gets_the_message_at_the_next_launch() {
    let w = World::open().await;
    let jane = w.person("jane@example.org", None, Some(Status::Pending)).await;
    let john = w.person("john@example.org", None, None).await;
    w.source("cmp_1", SourceState::Running, None).await;
    let draft = w.email_draft(Some("cmp_1")).await;
    let launch = CreateSends { draft: draft.id.clone(), people: vec![jane.clone(), john], send_at: None };
    let first = w.cx.call(launch.clone()).await.unwrap();
    assert!(first.sends.iter().all(|s| s.state == SendState::Denied && s.is_new));
    let again = w.cx.call(launch.clone()).await.unwrap();
    assert!(again.sends.iter().all(|s| s.state == SendState::Denied && !s.is_new));
    w.set_consent(&jane, Status::Granted).await;
    let later = w.cx.call(launch).await.unwrap();
    assert_eq!((later.sends[0].state, later.sends[0].is_new), (SendState::Queued, true));
    assert_eq!(later.sends[0].send, first.sends[0].send, "it is the same send");
    w.work().await;
    assert_eq!(w.outbox.delivered().len(), 1);
}
