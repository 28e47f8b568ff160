//! Each rule by its number in people.md section 4, then properties over random ledgers.

use proptest::prelude::*;

use super::*;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn address(n: u8) -> IdentityId {
    format!("idn_{n:026}").try_into().unwrap()
}

/// A row that took effect and was recorded at `ms`.
fn row(n: u32, scope: &str, status: Status, ms: i64) -> ConsentFact {
    ConsentFact {
        row: format!("con_{n:026}").try_into().unwrap(),
        member: 0,
        identity: None,
        channel: Channel::Email,
        scope: scope.parse().unwrap(),
        brand: None,
        status,
        effective_at: at(ms),
        recorded_at: at(ms),
        sequence: 0,
        expires_at: None,
    }
}

fn ask_at<'a>(scope: &'a ConsentScope, ms: i64) -> Ask<'a> {
    Ask { channel: &Channel::Email, scope, brand: None, identity: None, at: at(ms), known_at: at(ms) }
}

fn status(rows: &[ConsentFact], scope: &str, ms: i64) -> Option<Status> {
    check(rows, None, &ask_at(&scope.parse().unwrap(), ms)).status
}

use Status::{Denied, Granted, Pending, Revoked};

#[test]
fn rule_1_newest_row_decides_whatever_the_order() {
    let rows = [row(1, "marketing", Revoked, 200), row(2, "marketing", Granted, 100)];
    assert_eq!(status(&rows, "marketing", 300), Some(Revoked));
    assert_eq!(status(&rows, "marketing", 150), Some(Granted));
    let reversed = [rows[1].clone(), rows[0].clone()];
    assert_eq!(status(&reversed, "marketing", 300), Some(Revoked));
}

#[test]
fn rule_1_ties_are_broken_by_recording_then_sequence() {
    let mut late = row(1, "marketing", Granted, 100);
    late.recorded_at = at(150);
    assert_eq!(status(&[late, row(2, "marketing", Revoked, 100)], "marketing", 300), Some(Granted));
    let mut second = row(1, "marketing", Granted, 100);
    second.sequence = 1;
    assert_eq!(status(&[second, row(2, "marketing", Revoked, 100)], "marketing", 300), Some(Granted));
}

#[test]
fn rule_1_nothing_pending_denied_revoked_and_lapsed_are_not_granted() {
    assert_eq!(status(&[], "marketing", 1), None);
    for no in [Pending, Denied, Revoked] {
        let rows = [row(1, "marketing", no, 100)];
        assert!(!check(&rows, None, &ask_at(&ConsentScope::Marketing, 200)).is_granted());
    }
    let mut lapsing = row(1, "marketing", Granted, 100);
    lapsing.expires_at = Some(at(200));
    assert_eq!(status(std::slice::from_ref(&lapsing), "marketing", 199), Some(Granted));
    assert_eq!(status(&[lapsing], "marketing", 200), None);
}

#[test]
fn rule_1_grant_of_one_address_covers_only_that_one() {
    let mut rows = [row(1, "marketing", Granted, 100)];
    rows[0].identity = Some(address(1));
    let (one, two) = (address(1), address(2));
    let base = ask_at(&ConsentScope::Marketing, 200);
    assert!(check(&rows, None, &Ask { identity: Some(&one), ..base }).is_granted());
    assert!(!check(&rows, None, &Ask { identity: Some(&two), ..base }).is_granted());
    assert!(!check(&rows, None, &base).is_granted());
}

#[test]
fn rule_2_wide_revoke_beats_older_narrow_grant() {
    let rows = [row(1, "marketing.offers", Granted, 100), row(2, "all", Revoked, 200)];
    assert_eq!(status(&rows, "marketing.offers", 300), Some(Revoked));
}

#[test]
fn rule_2_newer_narrow_grant_reopens_only_that_scope() {
    let rows = [row(1, "marketing", Revoked, 100), row(2, "marketing.offers", Granted, 200)];
    assert_eq!(status(&rows, "marketing.offers", 300), Some(Granted));
    assert_eq!(status(&rows, "marketing", 300), Some(Revoked));
    assert_eq!(status(&rows, "marketing.news", 300), Some(Revoked));
}

#[test]
fn rule_2_narrow_revoke_survives_later_wide_grant() {
    let rows = [row(1, "marketing.offers", Revoked, 100), row(2, "marketing", Granted, 200)];
    assert_eq!(status(&rows, "marketing.offers", 300), Some(Revoked));
    assert_eq!(status(&rows, "marketing.news", 300), Some(Granted));
}

#[test]
fn rule_2_pending_replaces_and_a_grant_below_replaces_pending() {
    let rows = [row(1, "all", Granted, 50), row(2, "marketing", Pending, 100)];
    assert_eq!(status(&rows, "marketing", 300), Some(Pending));
    assert_eq!(status(&rows, "share", 300), Some(Granted));
    let reopened = [rows[1].clone(), row(3, "marketing.offers", Granted, 90)];
    assert_eq!(status(&reopened, "marketing.offers", 300), Some(Granted));
}

#[test]
fn rule_2_brand_row_comes_after_the_row_without_brand() {
    let mut branded = row(2, "marketing", Granted, 200);
    branded.brand = Some("acme".into());
    let rows = [row(1, "marketing", Revoked, 100), branded];
    let base = ask_at(&ConsentScope::Marketing, 300);
    let acme = check(&rows, None, &Ask { brand: Some("acme"), ..base });
    assert!(acme.is_granted());
    assert_eq!(acme.path.len(), 4);
    assert!(!check(&rows, None, &Ask { brand: Some("other"), ..base }).is_granted());
    assert!(!check(&rows, None, &base).is_granted());
}

#[test]
fn rule_2_path_names_every_level_and_what_it_did() {
    let rows = [row(1, "all", Revoked, 200), row(2, "marketing", Granted, 100)];
    let answer = check(&rows, None, &ask_at(&ConsentScope::Marketing, 300));
    let effects: Vec<_> = answer.path.iter().map(|s| s.effect).collect();
    assert_eq!(effects, [StepEffect::Replaced, StepEffect::OlderThanRevoke]);
    assert_eq!(answer.row.unwrap(), rows[0].row);
}

#[test]
fn rule_4_known_time_hides_what_was_recorded_later() {
    let mut back_dated = row(2, "marketing", Revoked, 150);
    back_dated.recorded_at = at(400);
    let rows = [row(1, "marketing", Granted, 100), back_dated];
    let scope = ConsentScope::Marketing;
    let now = Ask { known_at: at(500), ..ask_at(&scope, 200) };
    assert_eq!(check(&rows, None, &now).status, Some(Revoked));
    assert_eq!(check(&rows, None, &Ask { known_at: at(399), ..now }).status, Some(Granted));
}

#[test]
fn merge_rule_5_restrictive_until_a_row_after_the_merge_decides() {
    let mut other = row(2, "marketing", Revoked, 50);
    other.member = 1;
    let mut rows = vec![row(1, "marketing", Granted, 100), other];
    let scope = ConsentScope::Marketing;
    let ask = ask_at(&scope, 1_000);
    assert_eq!(check(&rows, Some(at(200)), &ask).status, Some(Revoked));
    rows.push(row(3, "marketing", Granted, 300));
    assert_eq!(check(&rows, Some(at(200)), &ask).status, Some(Granted));
}

#[test]
fn merge_rule_5_member_without_row_or_with_lapsed_grant_has_no_say() {
    let mut lapsed = row(2, "marketing", Granted, 50);
    lapsed.member = 1;
    lapsed.expires_at = Some(at(60));
    let rows = [row(1, "marketing", Granted, 40), lapsed];
    let scope = ConsentScope::Marketing;
    assert!(check(&rows, Some(at(200)), &ask_at(&scope, 300)).is_granted());
}

prop_compose! {
    fn any_row()(
        n in 0_u32..100_000, member in 0_u32..3, identity in prop::option::of(1_u8..3),
        scope in prop::sample::select(vec!["all", "marketing", "marketing.a", "marketing.b", "profiling", "memory"]),
        brand in prop::option::of(prop::sample::select(vec!["acme", "other"])),
        status in prop::sample::select(vec![Granted, Revoked, Denied, Pending]),
        effective in 0_i64..40, recorded in 0_i64..40, sequence in 0_u64..3,
        expires in prop::option::of(0_i64..120), sms in any::<bool>(),
    ) -> ConsentFact {
        ConsentFact {
            member,
            identity: identity.map(address),
            brand: brand.map(str::to_owned),
            effective_at: at(effective),
            recorded_at: at(recorded),
            sequence,
            expires_at: expires.map(at),
            channel: if sms { Channel::Sms } else { Channel::Email },
            ..row(n, scope, status, 0)
        }
    }
}

/// Rule 1 and 2 written down again in the plainest way, for people that were never merged.
fn plain(rows: &[ConsentFact], ask: &Ask<'_>) -> Option<Status> {
    let (mut state, mut refusals): (Option<ConsentFact>, Vec<ConsentFact>) = (None, Vec::new());
    for scope in ask.scope.path() {
        for brand in [None, ask.brand] {
            let mut level: Vec<_> = rows
                .iter()
                .filter(|r| {
                    r.channel == *ask.channel
                        && r.scope == scope
                        && r.brand.as_deref() == brand
                        && (r.identity.is_none() || r.identity.as_ref() == ask.identity)
                        && r.effective_at <= ask.at
                        && r.recorded_at <= ask.known_at
                })
                .cloned()
                .collect();
            level.sort_by(|a, b| a.age().cmp(&b.age()));
            let Some(newest) = level.pop() else { continue };
            if newest.status == Granted {
                let lapsed = newest.expires_at.is_some_and(|e| e <= ask.at);
                if lapsed || refusals.iter().any(|above| above.age() > newest.age()) {
                    continue;
                }
            }
            if matches!(newest.status, Revoked | Denied) {
                refusals.push(newest.clone());
            }
            state = Some(newest);
        }
    }
    state.map(|s| s.status)
}

fn question(scope: &str) -> ConsentScope {
    scope.parse().unwrap()
}

proptest! {
    #[test]
    fn rule_4_check_equals_a_plain_fold_at_any_instant(
        rows in prop::collection::vec(any_row(), 0..25), now in 0_i64..60, known in 0_i64..60,
        scope in prop::sample::select(vec!["all", "marketing", "marketing.a", "memory", "transactional"]),
        brand in prop::option::of(prop::sample::select(vec!["acme", "third"])),
        identity in prop::option::of(1_u8..3),
    ) {
        let (scope, identity) = (question(scope), identity.map(address));
        let ask = Ask { channel: &Channel::Email, scope: &scope, brand, identity: identity.as_ref(), at: at(now), known_at: at(known) };
        prop_assert_eq!(check(&rows, None, &ask).status, plain(&rows, &ask));
    }

    #[test]
    fn fold_answers_as_the_rows_do_from_the_newest_row_on(
        rows in prop::collection::vec(any_row(), 0..25), later in 40_i64..140, merged in prop::option::of(0_i64..50),
        identity in prop::option::of(1_u8..3), brand in prop::option::of(Just("acme")),
        scope in prop::sample::select(vec!["all", "marketing", "marketing.a", "memory"]),
    ) {
        let (scope, identity, merged) = (question(scope), identity.map(address), merged.map(at));
        let ask = Ask { channel: &Channel::Email, scope: &scope, brand, identity: identity.as_ref(), at: at(later), known_at: at(later) };
        let folded = fold(rows.clone(), merged);
        prop_assert!(folded.len() <= rows.len());
        prop_assert_eq!(check(&folded, merged, &ask), check(&rows, merged, &ask));
    }

    #[test]
    fn order_of_the_ledger_does_not_matter(
        rows in prop::collection::vec(any_row(), 0..15).prop_shuffle(), merged in prop::option::of(0_i64..50),
    ) {
        let mut sorted = rows.clone();
        sorted.sort_by(|a, b| a.row.cmp(&b.row));
        sorted.dedup_by(|a, b| a.row == b.row);
        let mut rows: Vec<_> = rows.into_iter().filter(|r| sorted.contains(r)).collect();
        rows.dedup();
        let merged = merged.map(at);
        prop_assert_eq!(fold(sorted, merged), fold(rows, merged));
    }

    #[test]
    fn a_revoke_of_all_after_everything_leaves_nothing_granted(
        rows in prop::collection::vec(any_row(), 0..20),
        scope in prop::sample::select(vec!["all", "marketing", "marketing.a", "memory"]),
    ) {
        let mut rows = rows;
        rows.push(row(999_999, "all", Revoked, 50));
        let scope = question(scope);
        prop_assert!(!check(&rows, None, &ask_at(&scope, 60)).is_granted());
    }
}
