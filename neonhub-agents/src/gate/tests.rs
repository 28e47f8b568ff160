//! Table tests of every rule and every category skip, on a virtual clock.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::tz::TimeZone;
use neonhub_core::connector::{Decision, Reason};
use neonhub_core::{Clock as _, ErrorKind, ManualClock, Timestamp};

use super::facts::*;
use super::*;
use crate::consent::Status;
use crate::consent::suppression::SuppressionReason;
use crate::people::model::PersonStatus;
use crate::people::normalise::Quality;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A case that allows; each test changes one thing.
struct Case {
    tenant: TenantFacts,
    source: Option<SourceFacts>,
    draft: DraftFacts,
    person: Option<PersonFacts>,
    send: SendFacts,
    clock: ManualClock,
}

/// Wednesday noon in New York.
fn noon() -> Timestamp {
    at("2026-11-18T12:00:00-05:00")
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse("at", text).unwrap()
}

fn clean_content() -> ContentFacts {
    ContentFacts {
        moderation_passed: Some(true),
        guardrail_blocks: Some(Vec::new()),
        has_postal_address: true,
        has_opt_out: true,
        has_sender: true,
        ..ContentFacts::default()
    }
}

fn case(channel: Channel, category: Category) -> Case {
    let tenant = TenantFacts {
        workspace: ActiveState::Active,
        organization: ActiveState::Active,
        brand: ActiveState::Active,
        brand_id: Some("brd_1".into()),
        expires_at: None,
        is_production: true,
        allow_offline_output: false,
        zone: TimeZone::get("Europe/Vienna").unwrap(),
        brand_window: None,
    };
    let draft = DraftFacts {
        id: "dft_1".into(),
        channel,
        category,
        status: DraftStatus::Approved,
        needs_approval: true,
        origin: Origin::Human,
        content: clean_content(),
        is_bulk: true,
        preflight_red: Vec::new(),
        has_platform_template: false,
    };
    let person = PersonFacts {
        id: "per_1".into(),
        identity: Some(IdentityFact { id: "idn_1".into(), is_verified: false, quality: Quality::Valid }),
        consent: ConsentFact {
            state: Some(Status::Granted),
            row: Some("con_1".into()),
            identity: None,
            scope: "marketing".into(),
        },
        place: Place { country: Some("US".into()), region: Some("NY".into()), ..Place::default() },
        last_inbound_at: Some(noon().minus(HOUR)),
        ..PersonFacts::default()
    };
    Case {
        tenant,
        source: Some(SourceFacts { id: "cmp_1".into(), ..SourceFacts::default() }),
        draft,
        person: Some(person),
        send: SendFacts::default(),
        clock: ManualClock::at(noon()),
    }
}

impl Case {
    fn person(&mut self) -> &mut PersonFacts {
        self.person.as_mut().unwrap()
    }
    fn judge(&self) -> Ruling {
        let policy = Policy::default();
        let facts = Facts {
            tenant: &self.tenant,
            source: self.source.as_ref(),
            draft: &self.draft,
            person: self.person.as_ref(),
            policy: &policy,
            send: self.send,
        };
        evaluate(&facts, self.clock.now())
    }
    /// `(rule, decision, code)` of every reason.
    fn said(&self) -> Vec<(String, Decision, String)> {
        self.judge().reasons.into_iter().map(|r| (r.rule, r.decision, r.code)).collect()
    }
    fn denies(&self, rule: &str, code: &str) {
        assert_eq!(self.judge().decision, Decision::Deny, "{:?}", self.said());
        assert!(
            self.said().iter().any(|(r, d, c)| r == rule && *d == Decision::Deny && c == code),
            "{:?}",
            self.said()
        );
    }
    fn defers(&self, rule: &str, code: &str, until: Timestamp) {
        let judged = self.judge();
        assert_eq!((judged.decision, judged.until), (Decision::Defer, Some(until)), "{:?}", self.said());
        let latest = judged.reasons.iter().find(|r| r.until == judged.until).unwrap();
        assert_eq!((latest.rule.as_str(), latest.code.as_str()), (rule, code));
    }
    fn rule(&self) -> String {
        let judged = self.judge();
        deciding(judged.decision, &judged.reasons).unwrap().rule.clone()
    }
    fn error(&self) -> neonhub_core::Error {
        let judged = self.judge();
        denial(judged.decision, &judged.reasons, "sends.create").unwrap()
    }
    fn allows(&self) {
        assert_eq!(self.judge().decision, Decision::Allow, "{:?}", self.said());
    }
}

fn mail() -> Case {
    case(Channel::Email, Category::Marketing)
}
fn text() -> Case {
    case(Channel::Sms, Category::Marketing)
}
fn post() -> Case {
    let mut post = case(Channel::Post(Network::X), Category::Marketing);
    post.person = None;
    post
}

#[test]
fn a_clean_send_is_allowed_in_every_category_and_channel() {
    for category in Category::ALL {
        for channel in [Channel::Email, Channel::Sms, Channel::Whatsapp, Channel::Dm(Network::Instagram)] {
            case(channel, category).allows();
        }
    }
    post().allows();
}

#[test]
fn g01_tenant_denies_whatever_is_not_active() {
    for state in [ActiveState::Paused, ActiveState::Suspended, ActiveState::Closed] {
        let code = serde_json::to_value(state).unwrap();
        let sets: [fn(&mut TenantFacts, ActiveState); 3] =
            [|t, s| t.workspace = s, |t, s| t.organization = s, |t, s| t.brand = s];
        for set in sets {
            let mut c = mail();
            set(&mut c.tenant, state);
            c.denies("G01.tenant", code.as_str().unwrap());
        }
    }
    let mut c = mail();
    c.tenant.expires_at = Some(noon());
    c.denies("G01.tenant", "expired");
}

#[test]
fn g01_source_follows_what_the_send_comes_from() {
    let with = |change: fn(&mut SourceFacts)| {
        let mut c = mail();
        change(c.source.as_mut().unwrap());
        c
    };
    with(|s| s.state = SourceState::Cancelled).denies("G01.source", "cancelled");
    with(|s| s.state = SourceState::Finished).denies("G01.source", "finished");
    with(|s| s.has_reply = true).denies("G01.source", "replied");
    with(|s| s.person_exit = Some("goal".into())).denies("G01.source", "person_left");
    with(|s| s.end = Some(noon())).denies("G01.source", "ended");
    with(|s| s.end = Some(noon().plus(HOUR))).allows();
    with(|s| s.state = SourceState::Paused).defers("G01.source", "paused", noon().plus(HOUR));
    with(|s| s.start = Some(noon().plus(DAY * 5))).defers("G01.source", "not_started", noon().plus(DAY * 5));
    with(|s| s.start = Some(noon())).allows();
    let mut c = mail();
    c.source = None;
    c.allows();
    c.send.expires_at = Some(noon());
    c.denies("G01.source", "expired");
}

#[test]
fn a_start_after_now_defers_every_channel_and_category() {
    for category in Category::ALL {
        for channel in [Channel::Email, Channel::Sms] {
            let mut c = case(channel, category);
            c.source.as_mut().unwrap().start = Some(noon().plus(DAY * 2));
            c.defers("G01.source", "not_started", noon().plus(DAY * 2));
        }
    }
}

#[test]
fn g02_judges_the_content() {
    let with = |change: fn(&mut DraftFacts)| {
        let mut c = mail();
        change(&mut c.draft);
        c
    };
    with(|d| d.status = DraftStatus::InReview).defers("G02.approval", "not_approved", noon().plus(HOUR));
    with(|d| d.status = DraftStatus::Draft).defers("G02.approval", "not_approved", noon().plus(HOUR));
    with(|d| (d.status, d.needs_approval) = (DraftStatus::Draft, false)).allows();
    with(|d| d.status = DraftStatus::Rejected).denies("G02.approval", "rejected");
    with(|d| d.status = DraftStatus::Archived).denies("G02.approval", "archived");
    with(|d| d.content.moderation_passed = None).denies("G02.moderation", "no_moderation");
    with(|d| d.content.moderation_passed = Some(false)).denies("G02.moderation", "moderation_failed");
    with(|d| d.content.guardrail_blocks = None).denies("G02.guardrail", "unchecked");
    with(|d| d.content.guardrail_blocks = Some(vec!["pii.card".into()]))
        .denies("G02.guardrail", "guardrail_block");
    with(|d| d.content.has_placeholder = true).denies("G02.guardrail", "placeholder");
    with(|d| d.content.has_postal_address = false).denies("G02.footer", "no_postal_address");
    with(|d| d.content.has_opt_out = false).denies("G02.footer", "no_opt_out");
    with(|d| d.content.has_sender = false).denies("G02.footer", "no_sender");
    with(|d| d.preflight_red = vec!["dkim.missing".into()]).denies("G02.deliverability", "preflight_red");
    with(|d| (d.preflight_red, d.is_bulk) = (vec!["dkim.missing".into()], false)).allows();
}

#[test]
fn no_category_skips_offline_text_in_production() {
    for category in Category::ALL {
        let mut c = case(Channel::Email, category);
        c.draft.origin = Origin::Offline;
        c.denies("G02.offline", "offline_output");
        c.tenant.allow_offline_output = true;
        c.allows();
        (c.tenant.allow_offline_output, c.tenant.is_production) = (false, false);
        c.allows();
    }
}

#[test]
fn footers_bind_marketing_mail_and_text_messages() {
    for (category, needs_footer) in
        [(Category::Marketing, true), (Category::Transactional, false), (Category::Legal, false)]
    {
        let mut c = case(Channel::Email, category);
        c.draft.content.has_postal_address = false;
        assert_eq!(c.judge().decision == Decision::Deny, needs_footer, "{category:?}");
    }
    let mut c = text();
    c.draft.content.has_opt_out = false;
    c.denies("G02.footer", "no_opt_out");
    c.person().opt_out_shown_at = Some(noon().minus(DAY * 29));
    c.allows();
    c.person().opt_out_shown_at = Some(noon().minus(DAY * 30));
    c.denies("G02.footer", "no_opt_out");
    c.draft.category = Category::Transactional;
    c.allows();
    c.draft.content.has_sender = false;
    c.denies("G02.footer", "no_sender");
}

#[test]
fn g03_needs_a_person_and_a_usable_address() {
    let mut c = mail();
    c.person = None;
    c.denies("G03.person", "no_person");
    let mut c = mail();
    c.person().state = PersonStatus::Erased;
    c.denies("G03.person", "erased");
    c.person().state = PersonStatus::Restricted;
    c.denies("G03.person", "restricted");
    c.draft.category = Category::Legal;
    c.allows();
    let mut c = mail();
    c.person().identity = None;
    c.denies("G03.identity", "no_identity");
    let mut c = mail();
    c.person().consent.identity = Some("idn_other".into());
    c.denies("G03.identity", "not_verified");
    c.denies("G05.consent", "other_address");
    c.person().consent.identity = Some("idn_1".into());
    c.allows();
    for (quality, is_allowed) in
        [(Quality::Valid, true), (Quality::Possible, false), (Quality::Unchecked, false)]
    {
        let mut c = text();
        c.person().identity.as_mut().unwrap().quality = quality;
        assert_eq!(c.judge().decision == Decision::Allow, is_allowed, "{quality:?}");
    }
}

#[test]
fn a_person_without_the_identity_is_decided_by_g03() {
    let mut c = text();
    (c.person().identity, c.person().consent) = (None, ConsentFact::default());
    assert_eq!(c.rule(), "G03.identity");
    let error = c.error();
    assert_eq!((error.kind(), error.code()), (ErrorKind::NotFound, "no_identity"));
}

#[test]
fn g04_suppression_and_what_each_category_skips() {
    use SuppressionReason as S;
    let all = [
        S::HardBounce,
        S::Complaint,
        S::UnsubscribeAll,
        S::Manual,
        S::Erased,
        S::Legal,
        S::Import,
        S::RoleAddress,
    ];
    let skipped = |category: Category, has_asked: bool, reason: S| match category {
        Category::Marketing | Category::Conversational => false,
        Category::Transactional => reason == S::UnsubscribeAll,
        Category::Confirmation => has_asked && [S::Complaint, S::UnsubscribeAll, S::Erased].contains(&reason),
        Category::Legal => ![S::HardBounce, S::Erased].contains(&reason),
    };
    for category in Category::ALL {
        for reason in all {
            for has_asked in [false, true] {
                let mut c = case(Channel::Email, category);
                c.person().suppressions = vec![row(reason)];
                c.person().opt_in_requested_at = has_asked.then(|| noon().minus(Duration::from_secs(599)));
                let is_allowed = c.judge().decision == Decision::Allow;
                assert_eq!(
                    is_allowed,
                    skipped(category, has_asked, reason),
                    "{category:?} {reason:?} {has_asked}"
                );
            }
        }
    }
}

fn row(reason: SuppressionReason) -> SuppressionFact {
    SuppressionFact { id: "sup_1".into(), reason, channel: None, brand: None, expires_at: None }
}

#[test]
fn g04_looks_at_channel_brand_and_end() {
    let with = |change: fn(&mut SuppressionFact)| {
        let mut c = mail();
        let mut manual = row(SuppressionReason::Manual);
        change(&mut manual);
        c.person().suppressions = vec![manual];
        c
    };
    with(|s| s.channel = Some(Channel::Sms)).allows();
    with(|s| s.channel = Some(Channel::Email)).denies("G04.suppression", "suppressed");
    with(|s| s.brand = Some("brd_2".into())).allows();
    with(|s| s.brand = Some("brd_1".into())).denies("G04.suppression", "suppressed");
    with(|s| (s.brand, s.reason) = (Some("brd_2".into()), SuppressionReason::HardBounce))
        .denies("G04.suppression", "suppressed");
    with(|s| s.expires_at = Some(noon())).allows();
    with(|s| s.expires_at = Some(noon().plus(HOUR))).denies("G04.suppression", "suppressed");
    // A request eleven minutes old lifts nothing.
    let mut c = case(Channel::Email, Category::Confirmation);
    c.person().suppressions = vec![row(SuppressionReason::Complaint)];
    c.person().opt_in_requested_at = Some(noon().minus(Duration::from_secs(600)));
    c.denies("G04.suppression", "suppressed");
}

#[test]
fn g05_consent_by_category_and_state() {
    use Status as C;
    for state in [None, Some(C::Pending), Some(C::Granted), Some(C::Revoked), Some(C::Denied)] {
        for category in Category::ALL {
            let mut c = case(Channel::Email, category);
            c.person().consent.state = state;
            c.person().identity.as_mut().unwrap().is_verified = true;
            let expected = match category {
                Category::Marketing => state == Some(C::Granted),
                Category::Transactional => !matches!(state, Some(C::Revoked | C::Denied)),
                Category::Conversational | Category::Confirmation | Category::Legal => true,
            };
            assert_eq!(c.judge().decision == Decision::Allow, expected, "{category:?} {state:?}");
            if !expected {
                let error = c.error();
                assert_eq!(error.kind(), ErrorKind::ConsentRequired);
            }
        }
    }
    let mut c = case(Channel::Email, Category::Conversational);
    c.person().last_inbound_at = Some(noon().minus(DAY));
    c.denies("G05.consent", "no_open_thread");
    let mut c = mail();
    c.person().preferences.is_channel_off = true;
    c.denies("G05.consent", "channel_off");
}

#[test]
fn g06_law_by_place_category_and_channel() {
    // (country, region, local instant, category, allowed)
    let cases = [
        ("US", "NY", "2026-11-18T07:59:59-05:00", Category::Marketing, false),
        ("US", "NY", "2026-11-18T08:00:00-05:00", Category::Marketing, true),
        ("US", "NY", "2026-11-18T20:59:59-05:00", Category::Marketing, true),
        ("US", "NY", "2026-11-18T21:00:00-05:00", Category::Marketing, false),
        ("US", "NY", "2026-11-18T23:00:00-05:00", Category::Transactional, true),
        ("US", "FL", "2026-11-18T20:00:00-05:00", Category::Marketing, false),
        ("US", "FL", "2026-11-18T20:00:00-05:00", Category::Transactional, false),
        ("US", "FL", "2026-11-18T20:00:00-05:00", Category::Legal, false),
        ("US", "FL", "2026-11-18T20:00:00-05:00", Category::Confirmation, true),
        // The western part of Florida is on Central time: both clocks must allow.
        ("US", "FL", "2026-11-18T08:30:00-05:00", Category::Marketing, false),
        ("AT", "", "2026-11-18T08:59:59+01:00", Category::Marketing, false),
        ("AT", "", "2026-11-18T09:00:00+01:00", Category::Marketing, true),
        ("AT", "", "2026-11-18T20:00:00+01:00", Category::Marketing, false),
        ("", "", "2026-11-18T08:59:59+01:00", Category::Marketing, false),
        ("", "", "2026-11-18T19:59:59+01:00", Category::Marketing, true),
    ];
    for (country, region, now, category, is_allowed) in cases {
        let mut c = case(Channel::Sms, category);
        c.clock.set(at(now));
        c.person().last_inbound_at = None;
        let some = |word: &str| (!word.is_empty()).then(|| word.to_owned());
        c.person().place = Place { country: some(country), region: some(region), ..Place::default() };
        assert_eq!(
            c.judge().decision == Decision::Allow,
            is_allowed,
            "{country}-{region} {now} {category:?}"
        );
        if !is_allowed {
            assert_eq!(c.rule(), "G06.law");
        }
        c.draft.channel = Channel::Email;
        if category != Category::Conversational {
            c.allows();
        }
    }
}

#[test]
fn g06_law_defers_to_the_next_opening_and_then_allows() {
    let c = text();
    c.clock.set(at("2026-11-18T22:15:00-05:00"));
    c.defers("G06.law", "legal_hours", at("2026-11-19T08:00:00-05:00"));
    assert_eq!(c.judge().zones_used, ["America/New_York"]);
    c.clock.set(c.judge().until.unwrap());
    c.allows();
    // An answer within 24 hours of the person's message may go at night.
    let mut c = case(Channel::Sms, Category::Conversational);
    c.person().place = Place { country: Some("AT".into()), ..Place::default() };
    c.clock.set(at("2026-11-18T23:00:00+01:00"));
    c.person().last_inbound_at = Some(at("2026-11-18T22:00:00+01:00"));
    c.allows();
}

#[test]
fn g06_law_takes_the_state_of_the_area_code_too() {
    let mut c = text();
    c.clock.set(at("2026-11-18T20:30:00-05:00"));
    let phone = Some(PhonePlace::of("+13055550100", Some("US")));
    c.person().place = Place { phone, ..Place::default() };
    c.defers("G06.law", "legal_hours", at("2026-11-19T08:00:00-05:00"));
    assert_eq!(c.judge().reasons[0].evidence["hours"], "US,US-FL");
    // An unknown state binds every row of the country: from 9 in Honolulu to 8 in the evening in New York.
    c.person().place = Place { country: Some("US".into()), ..Place::default() };
    c.clock.set(at("2026-11-18T12:00:00-05:00"));
    c.defers("G06.law", "legal_hours", at("2026-11-18T09:00:00-10:00"));
}

#[test]
fn g06_person_and_brand_wishes() {
    let mut c = mail();
    c.person().preferences.quiet_minutes = Some((11 * 60, 13 * 60));
    c.defers("G06.person", "quiet_hours", at("2026-11-18T13:00:00-05:00"));
    c.person().preferences.pause_until = Some(noon().plus(DAY));
    c.defers("G06.person", "paused", noon().plus(DAY));
    for (category, is_allowed) in [
        (Category::Transactional, true),
        (Category::Legal, true),
        (Category::Conversational, false),
        (Category::Confirmation, false),
    ] {
        c.draft.category = category;
        assert_eq!(c.judge().decision == Decision::Allow, is_allowed, "{category:?}");
    }
    let mut c = mail();
    c.tenant.brand_window = Some(Week::daily(DayWindow::hours(14, 16)));
    c.defers("G06.brand", "brand_window", at("2026-11-18T14:00:00-05:00"));
    c.draft.category = Category::Transactional;
    c.allows();
}

#[test]
fn g07_windows_of_messaging_platforms() {
    let old = noon().minus(DAY);
    let mut c = case(Channel::Whatsapp, Category::Transactional);
    c.person().last_inbound_at = Some(old);
    c.denies("G07.window", "template_required");
    c.draft.has_platform_template = true;
    c.allows();
    c.person().consent.state = None;
    c.denies("G07.window", "not_opted_in");
    assert_eq!(c.error().kind(), ErrorKind::ConsentRequired);
    let mut c = case(Channel::Dm(Network::Instagram), Category::Transactional);
    c.person().last_inbound_at = Some(old);
    c.allows();
    c.draft.origin = Origin::Model;
    c.denies("G07.window", "window_closed");
    c.draft.origin = Origin::Human;
    c.person().last_inbound_at = Some(noon().minus(DAY * 7));
    c.denies("G07.window", "window_closed");
    c.person().last_inbound_at = None;
    c.denies("G07.window", "no_prior_contact");
}

#[test]
fn g07_limits_and_duplicates_bind_posts() {
    let mut c = post();
    let long = "a".repeat(281);
    c.draft.content.violations =
        limits::check(Network::X, &limits::PostParts { text: &long, ..Default::default() });
    c.denies("G07.limits", "over_limit");
    let mut c = post();
    c.send.same_text_at = Some(noon().minus(Duration::from_secs(24 * 3600 - 1)));
    c.denies("G07.duplicate", "duplicate_text");
    c.send.same_text_at = Some(noon().minus(DAY));
    c.allows();
    assert_eq!(c.said(), [("G07.duplicate".to_owned(), Decision::Allow, "duplicate_text".to_owned())]);
    c.send.same_text_at = Some(noon().minus(DAY * 30));
    assert!(c.said().is_empty());
}

#[test]
fn posts_skip_the_rules_that_need_a_recipient() {
    let mut c = post();
    c.clock.set(at("2026-11-18T03:00:00+01:00"));
    c.tenant.brand_window = Some(Week::daily(DayWindow::hours(14, 16)));
    c.allows();
    c.draft.content.moderation_passed = None;
    c.denies("G02.moderation", "no_moderation");
}

#[test]
fn g08_frequency_by_category() {
    let sent = |days: u32| RecentSend {
        at: noon().minus(DAY * days),
        channel: Channel::Email,
        category: Category::Marketing,
    };
    let mut c = mail();
    c.person().recent = vec![sent(1), sent(3), sent(5)];
    c.defers("G08.frequency", "frequency_cap", noon().plus(DAY * 2));
    c.send.is_test = true;
    c.send.is_on_test_list = true;
    c.allows();
    c.send.is_on_test_list = false;
    c.denies("G01.source", "not_on_test_list");
    c.send = SendFacts::default();
    for category in
        [Category::Transactional, Category::Conversational, Category::Confirmation, Category::Legal]
    {
        c.draft.category = category;
        c.allows();
    }
    // Five over all channels: the other channel waits too.
    let mut c = text();
    c.person().recent = (1..=5).map(sent).collect();
    c.defers("G08.frequency", "frequency_cap", noon().plus(DAY * 2));
    // The person's own cap is smaller and holds.
    let mut c = mail();
    c.person().recent = vec![sent(1)];
    c.allows();
    let own = Cap { scope: CapScope::Channel, category: Category::Marketing, max: 1, window: DAY * 30 };
    c.person().preferences.cap = Some(own);
    c.defers("G08.frequency", "frequency_cap", noon().plus(DAY * 29));
}

#[test]
fn deny_beats_defer_and_all_reasons_are_kept_in_rule_order() {
    let mut c = text();
    c.clock.set(at("2026-11-18T23:00:00-05:00"));
    c.source.as_mut().unwrap().start = Some(noon().plus(DAY * 2));
    c.person().consent.state = Some(Status::Revoked);
    c.draft.content.has_placeholder = true;
    let judged = c.judge();
    assert_eq!((judged.decision, judged.until), (Decision::Deny, None));
    let rules: Vec<&str> = judged.reasons.iter().map(|r| r.rule.as_str()).collect();
    assert!(rules.windows(2).all(|w| w[0] <= w[1]), "{rules:?}");
    let seen: BTreeSet<_> = rules.into_iter().collect();
    assert_eq!(
        seen.into_iter().collect::<Vec<_>>(),
        ["G01.source", "G02.guardrail", "G05.consent", "G06.law"]
    );
    assert_eq!(c.rule(), "G02.guardrail");
    let error = c.error();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Blocked, "G02.guardrail"));
}

#[test]
fn until_is_the_latest_of_all_deferring_rules() {
    let mut c = text();
    c.clock.set(at("2026-11-18T22:00:00-05:00"));
    c.person().preferences.pause_until = Some(at("2026-11-20T03:00:00-05:00"));
    c.defers("G06.person", "paused", at("2026-11-20T03:00:00-05:00"));
    c.clock.set(c.judge().until.unwrap());
    c.defers("G06.law", "legal_hours", at("2026-11-20T08:00:00-05:00"));
}

#[test]
fn same_facts_and_clock_give_the_same_judgement_and_it_reads_back() {
    let c = text();
    c.clock.set(at("2026-11-18T22:00:00-05:00"));
    let judged = c.judge();
    assert_eq!(judged, c.judge());
    let json = serde_json::to_string(&judged.reasons).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Reason>>(&json).unwrap(), judged.reasons);
    assert!(json.contains("\"G06.law\""));
}

#[test]
fn content_is_seen_in_html_and_text() {
    let needs = FooterNeeds {
        postal_address: "Hauptplatz 1,\n1010 Wien",
        unsubscribe: "https://shop.example/u?t=1&x=2",
        sender: "Shop & Co",
    };
    let html = "<html><head><style>.a{{}}</style></head><body><p>Hi</p><p>Shop &amp; Co, Hauptplatz 1, 1010 \
                Wien</p><a href=\"https://shop.example/u?t=1&amp;x=2\">Stop</a></body></html>";
    let text = "Hi\nShop & Co\nHauptplatz 1, 1010 Wien\nhttps://shop.example/u?t=1&x=2";
    let seen = inspect_email(&needs, "Hello", html, text);
    assert!(
        seen.has_postal_address && seen.has_opt_out && seen.has_sender && !seen.has_placeholder,
        "{seen:?}"
    );
    assert!(!inspect_email(&needs, "Hello", html, "Hi").has_postal_address);
    assert!(inspect_email(&needs, "Hello {{ name }}", html, text).has_placeholder);
    assert!(!inspect_email(&FooterNeeds { postal_address: "", ..needs }, "", html, text).has_postal_address);
    let sms = inspect_sms("Shop: 10 % off today. Reply STOP to end", "shop");
    assert!(sms.has_opt_out && sms.has_sender);
    assert!(!inspect_sms("Shop: we never stopped. Unstoppable!", "shop").has_opt_out);
}

#[test]
fn rule_words_are_in_running_order() {
    assert!(
        RuleId::ALL
            .windows(2)
            .all(|w| w[0].as_str() < w[1].as_str() || w[0].as_str()[..3] == w[1].as_str()[..3])
    );
}
