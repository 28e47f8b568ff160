//! Imports against a real hub on the memory store.

mod errors;

use std::sync::Arc;

use neonhub_core::store::Query;
use neonhub_core::{ErrorKind, Hub, ManualClock, Scope, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::consent::ops::{AddSuppression, CheckConsent, ConsentHistory};
use crate::consent::suppression::SuppressionReason;
use crate::consent::{Channel, Status};
use crate::people::normalise::Identifier;
use crate::people::ops::{ListPeople, ResolvePerson};
use crate::people::view::PersonView;
use crate::people::{GateFacts, Person};

const HEADER: &str = "email,phone,first_name,last_name,locale,timezone,country,consent_email,consent_sms,consent_at,consent_source,consent_text,tags";

async fn workspace_at(seed: u64) -> (Hub, Scope) {
    let clock = Arc::new(ManualClock::at(Timestamp::parse("now", "2026-11-21T09:00:00Z").unwrap()));
    let builder = Hub::builder().store("memory:").clock(clock).seed(seed);
    let hub = crate::consent::install(crate::people::install(builder)).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    (hub, cx)
}

async fn workspace() -> (Hub, Scope) {
    workspace_at(1).await
}

fn file(rows: &str) -> ImportStart {
    ImportStart { text: Some(format!("{HEADER},size\n{rows}")), ..ImportStart::default() }
}

async fn people(cx: &Scope) -> Vec<PersonView> {
    cx.call(ListPeople::default()).await.unwrap().items
}

async fn faults(cx: &Scope, job: &ImportJob) -> Vec<(u64, String, bool)> {
    let page = cx.call(ImportErrors { import: job.id.clone(), limit: None, cursor: None }).await.unwrap();
    page.items.into_iter().map(|f| (f.row, f.field, f.row_rejected)).collect()
}

async fn consent(cx: &Scope, mail: &str, channel: Channel) -> Option<Status> {
    let person = cx
        .call(ResolvePerson { lookup_only: true, ..ResolvePerson::email(mail) })
        .await
        .unwrap()
        .person
        .unwrap();
    let ask = CheckConsent {
        person,
        channel: Some(channel),
        scope: None,
        brand: None,
        identity: None,
        at: None,
        known_at: None,
    };
    cx.call(ask).await.unwrap().status
}

const GRANT: &str = "2026-01-02T03:04:05Z,form,I agree";

#[tokio::test]
async fn rows_are_people_with_fields_consents_and_traits() {
    let (_hub, cx) = workspace().await;
    let rows = format!(
        "Ann@Shop.example,+1 202 555 0143,Ann,Lee,en-US,America/New_York,US,granted,granted,{GRANT},vip;beta,42\n"
    );
    let job = cx.call(file(&rows)).await.unwrap();
    assert_eq!(
        (job.rows, job.imported, job.rejected, job.people, job.created, job.consents),
        (1, 1, 0, 1, 1, 2)
    );
    assert_eq!(job.status, ImportStatus::Finished);
    let ann = people(&cx).await.remove(0);
    assert_eq!((ann.first_name.as_deref(), ann.country.as_deref()), (Some("Ann"), Some("US")));
    assert_eq!(ann.tags, ["beta", "vip"]);
    assert_eq!(ann.traits["size"].value, "42");
    let values: Vec<_> = ann.identities.iter().map(|i| (i.value.as_str(), i.is_primary)).collect();
    assert!(
        values.contains(&("ann@shop.example", true)) && values.contains(&("+12025550143", true)),
        "{values:?}"
    );
    assert_eq!(consent(&cx, "ann@shop.example", Channel::Email).await, Some(Status::Granted));
    assert_eq!(consent(&cx, "ann@shop.example", Channel::Sms).await, Some(Status::Granted));
}

#[tokio::test]
async fn rows_are_imported_plus_rejected_and_every_fault_is_kept() {
    let (_hub, cx) = workspace().await;
    let job = cx
        .call(file(
            "a@shop.example,12,,,,,,,,,,,\nnobody,,,,,,,,,,,,\nb@shop.example,,,,,Mars/Base,,granted,,,,,\n",
        ))
        .await
        .unwrap();
    assert_eq!((job.rows, job.imported, job.rejected, job.people), (3, 2, 1, 2));
    let found = faults(&cx, &job).await;
    let expect = [
        (1, "phone", false),
        (2, "email", true),
        (2, "row", true),
        (3, "timezone", false),
        (3, "consent_email", false),
    ];
    assert_eq!(found, expect.map(|(row, field, rejected)| (row, field.to_owned(), rejected)));
    assert_eq!(job.faults, 5);
    assert_eq!(consent(&cx, "b@shop.example", Channel::Email).await, None);
}

#[tokio::test]
async fn doubles_in_one_page_and_across_pages_are_one_person() {
    let (_hub, cx) = workspace().await;
    let mut rows = String::from(
        "Jane@Shop.example,,Jane,,,,,,,,,,\n\"J <JANE@shop.example>\",+12025550101,,Doe,,,,,,,,,\n",
    );
    for n in 0..PAGE_ROWS {
        rows.push_str(&format!("a{n}@shop.example,,,,,,,,,,,,\n"));
    }
    rows.push_str(",+1 202 555 0101,,,,,,,,,,,late\n");
    let job = cx.call(file(&rows)).await.unwrap();
    assert_eq!(job.pages, 2);
    assert_eq!((job.rows, job.people), (PAGE_ROWS as u64 + 3, PAGE_ROWS as u64 + 1));
    assert_eq!(cx.count::<Person>(&Query::by_id()).await.unwrap(), job.people);
    let jane = cx
        .call(ResolvePerson { lookup_only: true, ..ResolvePerson::email("jane@shop.example") })
        .await
        .unwrap();
    let view = cx.call(crate::people::ops::GetPerson { person: jane.person.unwrap() }).await.unwrap();
    assert_eq!(
        (view.first_name.as_deref(), view.last_name.as_deref(), view.tags),
        (Some("Jane"), Some("Doe"), vec!["late".into()])
    );
}

#[tokio::test]
async fn newest_consent_decides_whatever_its_row() {
    let (_hub, cx) = workspace().await;
    let row = |mail: &str, status: &str, at: &str| format!("{mail},,,,,,,{status},,{at},form,I agree,\n");
    let rows = [
        row("a@shop.example", "revoked", "2026-03-01T00:00:00Z"),
        row("a@shop.example", "granted", "2026-02-01T00:00:00Z"),
        row("b@shop.example", "granted", "2026-02-01T00:00:00Z"),
        row("b@shop.example", "revoked", "2026-03-01T00:00:00Z"),
        row("c@shop.example", "granted", "2026-03-01T00:00:00Z"),
        row("c@shop.example", "revoked", "2026-02-01T00:00:00Z"),
    ];
    cx.call(file(&rows.concat())).await.unwrap();
    assert_eq!(consent(&cx, "a@shop.example", Channel::Email).await, Some(Status::Revoked));
    assert_eq!(consent(&cx, "b@shop.example", Channel::Email).await, Some(Status::Revoked));
    assert_eq!(consent(&cx, "c@shop.example", Channel::Email).await, Some(Status::Granted));
}

#[tokio::test]
async fn the_same_file_again_changes_nothing() {
    let (_hub, cx) = workspace().await;
    let rows = format!(
        "a@shop.example,,Ann,,,,,granted,,{GRANT},x,\nb@shop.example,,,,,,,revoked,,,,,\na@shop.example,,Anna,,,,,,,,,,\n"
    );
    let first = cx.call(file(&rows)).await.unwrap();
    let before = cx.query::<GateFacts>(&Query::by_id()).await.unwrap();
    let second = cx.call(file(&rows)).await.unwrap();
    assert_eq!(first, second);
    // The same rows in another file say nothing new either.
    let other = cx.call(ImportStart { tags: Vec::new(), ..file(&format!("{rows}\n")) }).await.unwrap();
    assert_ne!(other.id, first.id);
    assert_eq!((other.created, other.consents, other.people), (0, 0, 2));
    assert_eq!(cx.query::<GateFacts>(&Query::by_id()).await.unwrap(), before);
    let b = cx
        .call(ResolvePerson { lookup_only: true, ..ResolvePerson::email("b@shop.example") })
        .await
        .unwrap()
        .person
        .unwrap();
    assert_eq!(cx.call(ConsentHistory { person: b, channel: None }).await.unwrap().len(), 1);
}

#[tokio::test]
async fn future_grants_are_refused_and_a_future_no_holds_now() {
    let (_hub, cx) = workspace().await;
    let job = cx.call(file("a@shop.example,,,,,,,granted,,2027-01-01T00:00:00Z,form,yes,\nb@shop.example,,,,,,,revoked,,2027-01-01T00:00:00Z,form,no,\n")).await.unwrap();
    assert_eq!(faults(&cx, &job).await, [(1, "consent_email".to_owned(), false)]);
    assert_eq!(consent(&cx, "a@shop.example", Channel::Email).await, None);
    assert_eq!(consent(&cx, "b@shop.example", Channel::Email).await, Some(Status::Revoked));
}

#[tokio::test]
async fn shared_phone_stays_with_its_holder_and_is_reported() {
    let (_hub, cx) = workspace().await;
    let rows = format!(
        "ann@shop.example,+12025550143,,,,,,,granted,{GRANT},\nbob@shop.example,+12025550143,,,,,,,granted,{GRANT},\n"
    );
    let job = cx.call(file(&rows)).await.unwrap();
    assert_eq!((job.people, job.candidates), (2, 1));
    assert_eq!(
        faults(&cx, &job).await,
        [(2, "phone".to_owned(), false), (2, "consent_sms".to_owned(), false)]
    );
    assert_eq!(consent(&cx, "bob@shop.example", Channel::Sms).await, None);
}

#[tokio::test]
async fn rule_12_import_never_unsuppresses() {
    let (_hub, cx) = workspace().await;
    let mut add = <AddSuppression as neonhub_core::op::Operation>::examples().remove(0);
    add.identifier = Some(Identifier::email("left@shop.example"));
    cx.call(add.clone()).await.unwrap();
    cx.call(AddSuppression {
        identifier: None,
        domain: Some("Gone.example".into()),
        channel: None,
        reason: SuppressionReason::Legal,
        ..add
    })
    .await
    .unwrap();
    let job = cx.call(file(&format!("Left@shop.example,,,,,,,granted,,{GRANT},\nx@gone.example,,,,,,,granted,,{GRANT},\nok@shop.example,,,,,,,granted,,{GRANT},\n"))).await.unwrap();
    assert_eq!((job.imported, job.suppressed), (3, 2));
    for (mail, expected) in [("left@shop.example", 1), ("x@gone.example", 1), ("ok@shop.example", 0)] {
        let person = cx
            .call(ResolvePerson { lookup_only: true, ..ResolvePerson::email(mail) })
            .await
            .unwrap()
            .person
            .unwrap();
        let facts = crate::people::facts_of(&cx, &person).await.unwrap();
        let identity = facts.identity_for(&Channel::Email).unwrap().identity.clone();
        assert_eq!(
            facts.suppressed(&Channel::Email, None, Some(&identity), cx.now()).len(),
            expected,
            "{mail}"
        );
    }
}

#[tokio::test]
async fn identifiers_of_two_people_merge_them_and_later_pages_see_it() {
    let (_hub, cx) = workspace().await;
    let mut rows = String::from(
        "ann@shop.example,,Ann,,,,,,,,,,\n,+12025550143,,Lee,,,,,,,,,\nann@shop.example,+12025550143,,,,,,,,,,,\n",
    );
    for n in 0..PAGE_ROWS {
        rows.push_str(&format!("a{n}@shop.example,,,,,,,,,,,,\n"));
    }
    rows.push_str(",+1 202 555 0143,,,,,,,,,,,late\n");
    let job = cx.call(file(&rows)).await.unwrap();
    assert_eq!((job.merged, job.people), (1, PAGE_ROWS as u64 + 1));
    let found = cx
        .call(ResolvePerson { lookup_only: true, ..ResolvePerson::email("ann@shop.example") })
        .await
        .unwrap();
    let view = cx.call(crate::people::ops::GetPerson { person: found.person.unwrap() }).await.unwrap();
    assert_eq!((view.first_name.as_deref(), view.last_name.as_deref()), (Some("Ann"), Some("Lee")));
    assert_eq!((view.members.len(), view.identities.len()), (2, 2));
    assert_eq!(view.tags, ["late"]);
}

#[tokio::test]
async fn people_merged_by_a_later_page_count_once() {
    let (_hub, cx) = workspace().await;
    let mut rows = String::from("ann@shop.example,,Ann,,,,,,,,,,\n,+12025550143,,Lee,,,,,,,,,\n");
    for n in 0..PAGE_ROWS * 2 {
        rows.push_str(&format!("a{n}@shop.example,,,,,,,,,,,,\n"));
    }
    rows.push_str("ann@shop.example,+12025550143,,,,,,,,,,,\n");
    let job = cx.call(file(&rows)).await.unwrap();
    assert_eq!((job.merged, job.people), (1, PAGE_ROWS as u64 * 2 + 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn neighbouring_pages_with_the_same_people_end_as_one_after_the_other() {
    // Every page meets the people of the one before: each of them loses its race and is made again.
    let rows: String =
        (0..PAGE_ROWS * 6).map(|n| format!("a{}@shop.example,,N{n},,,,,,,,,,\n", n % 300)).collect();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let (_hub, cx) = workspace().await;
        let job = cx.call(file(&rows)).await.unwrap();
        assert_eq!((job.rows, job.people, job.created), (PAGE_ROWS as u64 * 6, 300, 300));
        let found = people(&cx).await;
        let names: Vec<_> = found.into_iter().map(|p| (p.id, p.first_name)).collect();
        seen.push(names);
    }
    assert_eq!(seen[0], seen[1]);
    let last = PAGE_ROWS * 6 - 300;
    assert!(seen[0].iter().all(|(_, n)| n.as_ref().unwrap()[1..].parse::<usize>().unwrap() >= last));
}

#[tokio::test]
async fn a_stopped_import_goes_on_and_ends_the_same() {
    let rows: String = (0..PAGE_ROWS * 2 + 7)
        .map(|n| format!("a{}@shop.example,,Ann,,,,,granted,,{GRANT},,\n", n % 900))
        .collect();
    let (_hub, whole) = workspace().await;
    let expected = whole.call(file(&rows)).await.unwrap();
    assert_eq!(expected.people, 900);

    let (_hub, cx) = workspace().await;
    let start = file(&rows);
    // The first page by hand, as an import that was killed after it.
    let open = OpenImport {
        key: expected.key.clone(),
        file: None,
        source: "import".into(),
        delimiter: ",".into(),
        missing_columns: Vec::new(),
    };
    let job = cx.call(open).await.unwrap();
    let desk = cx.service::<Desk>().unwrap();
    let text = start.text.as_ref().unwrap().as_bytes();
    let mut reader = crate::people::csv::ContactReader::open(text, &Default::default()).unwrap();
    let mut maker = make::Maker {
        cx: cx.clone(),
        source: "import".into(),
        tags: Vec::new(),
        scope: crate::consent::ConsentScope::Marketing,
        basis: crate::consent::Basis::Consent,
        brand: None,
        wordings: Default::default(),
    };
    let page = (0..PAGE_ROWS).map(|_| maker.make(reader.next_row().unwrap().unwrap()).unwrap()).collect();
    assert!(desk.begin(&job.id, 0, cx.seed()));
    desk.lay(&job.id, 0, page);
    let first = ImportPage { import: job.id.clone(), page: 0 };
    cx.call(first.clone()).await.unwrap();
    // The same page twice is refused, not doubled; nor is the import started a second time beside itself.
    assert_eq!(cx.call(first).await.unwrap_err().code(), "import_in_progress");
    assert_eq!(cx.call(start.clone()).await.unwrap_err().code(), "import_in_progress");
    desk.end(&job.id);
    let job = cx.call(start).await.unwrap();
    let counts = |j: &ImportJob| {
        (j.rows, j.imported, j.rejected, j.people, j.created, j.updated, j.unchanged, j.consents, j.pages)
    };
    assert_eq!(counts(&job), counts(&expected));
    assert_eq!(cx.count::<Person>(&Query::by_id()).await.unwrap(), 900);
}

#[tokio::test]
async fn an_import_the_caller_gave_up_can_be_started_again() {
    let (_hub, cx) = workspace().await;
    let rows: String = (0..PAGE_ROWS * 8).map(|n| format!("a{n}@shop.example,,,,,,,,,,,,\n")).collect();
    let start = file(&rows);
    for turns in [1, 5, 40] {
        // Polled a few times, then dropped, as the door does when a caller cancels.
        let mut call = std::pin::pin!(cx.call(start.clone()));
        for _ in 0..turns {
            tokio::select! {
                biased;
                _ = &mut call => {}
                () = tokio::task::yield_now() => {}
            }
        }
    }
    let job = cx.call(start).await.unwrap();
    assert_eq!(
        (job.rows, job.people, job.created),
        (PAGE_ROWS as u64 * 8, PAGE_ROWS as u64 * 8, PAGE_ROWS as u64 * 8)
    );
}

#[tokio::test]
async fn ids_hang_on_seed_and_row_alone() {
    let rows = format!("a@shop.example,+12025550143,,,,,,granted,,{GRANT},,\nb@shop.example,,,,,,,,,,,,\n");
    let mut seen = Vec::new();
    for _ in 0..2 {
        let (_hub, cx) = workspace_at(7).await;
        cx.call(file(&rows)).await.unwrap();
        let ids: Vec<_> =
            people(&cx).await.into_iter().flat_map(|p| p.identities.into_iter().map(|i| i.id)).collect();
        seen.push(ids);
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0].len(), 3);
}

#[tokio::test]
async fn files_that_cannot_be_read_are_one_clear_error_and_start_nothing() {
    let (_hub, cx) = workspace().await;
    let missing = cx
        .call(ImportStart { path: Some("/nowhere/contacts.csv".into()), ..ImportStart::default() })
        .await
        .unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    let columns = cx
        .call(ImportStart { text: Some("name\nAnn\n".into()), ..ImportStart::default() })
        .await
        .unwrap_err();
    assert_eq!(columns.kind(), ErrorKind::InvalidInput);
    assert!(columns.to_string().contains("email"));
    let both = ImportStart { text: Some("email\n".into()), path: Some("x".into()), ..ImportStart::default() };
    assert_eq!(cx.call(both).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(cx.count::<ImportJob>(&Query::by_id()).await.unwrap(), 0);
}

#[tokio::test]
async fn a_file_on_disk_is_streamed() {
    let (_hub, cx) = workspace().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("contacts.csv");
    let (latin, _, _) =
        encoding_rs::WINDOWS_1252.encode("email;first_name\r\nren\u{e9}@shop.example;Ren\u{e9}\r\n");
    std::fs::write(&path, latin).unwrap();
    let job = cx
        .call(ImportStart { path: Some(path.display().to_string()), ..ImportStart::default() })
        .await
        .unwrap();
    assert_eq!((job.delimiter.as_str(), job.encoding), (";", crate::people::csv::Encoding::Windows1252));
    assert_eq!(job.file.as_deref(), Some("contacts.csv"));
    assert_eq!(people(&cx).await[0].first_name.as_deref(), Some("Ren\u{e9}"));
}

#[tokio::test]
async fn the_embedded_store_keeps_an_import_and_counts_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("people.neon").display().to_string();
    let rows: String = (0..PAGE_ROWS * 3)
        .map(|n| format!("a{}@shop.example,,Ann,,,,,granted,,{GRANT},,\n", n % 1_400))
        .collect();
    let mut jobs = Vec::new();
    for _ in 0..2 {
        let clock = Arc::new(ManualClock::at(Timestamp::parse("now", "2026-11-21T09:00:00Z").unwrap()));
        let builder = Hub::builder().store(&store).clock(clock).seed(1);
        let hub = crate::consent::install(crate::people::install(builder)).build().await.unwrap();
        let cx = hub.workspace("default").await.unwrap();
        jobs.push(cx.call(file(&rows)).await.unwrap());
        assert_eq!(cx.count::<Person>(&Query::by_id()).await.unwrap(), 1_400);
        assert_eq!(consent(&cx, "a7@shop.example", Channel::Email).await, Some(Status::Granted));
        hub.close().await.unwrap();
    }
    assert_eq!(jobs[0], jobs[1]);
    assert_eq!((jobs[0].people, jobs[0].created, jobs[0].pages), (1_400, 1_400, 3));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::cut::cases(24), ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_consent_rows_ends_in_the_same_states(
        rows in prop::collection::vec((0_usize..4, 0_usize..3, 1_u32..28), 1..25), seed in any::<u64>(),
    ) {
        // One instant per row, so that the newest is one row.
        let mut lines: Vec<String> = rows
            .iter()
            .enumerate()
            .map(|(n, (who, status, day))| {
                let status = ["granted", "revoked", "pending"][*status];
                format!("p{who}@shop.example,,,,,,,{status},,2026-05-{day:02}T00:00:{n:02}Z,form,yes,\n")
            })
            .collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let states = |text: String| runtime.block_on(async {
            let (_hub, cx) = workspace().await;
            cx.call(file(&text)).await.unwrap();
            let mut states = Vec::new();
            for who in rows.iter().map(|r| r.0) {
                states.push(consent(&cx, &format!("p{who}@shop.example"), Channel::Email).await);
            }
            states
        });
        let first = states(lines.concat());
        let n = lines.len();
        for at in 0..n {
            lines.swap(at, (seed as usize).wrapping_mul(at + 3) % n);
        }
        prop_assert_eq!(first, states(lines.concat()));
    }
}
