//! The whole campaign on the memory store: from a brief to the outbox, and once more.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use neonhub_core::approval::ListApprovals;
use neonhub_core::connector::{Channel, Cleared, Connector, EffectId, Manifest, Payload, Probe, Receipt};
use neonhub_core::op::CallOptions;
use neonhub_core::{ErrorKind, Hub, ManualClock, PermissionSet, Result, Scope, Timestamp};

use super::*;
use crate::people::import::ImportStart;

/// Keeps what it is given, by effect.
#[derive(Debug, Default)]
struct Basket(Mutex<Vec<(String, EffectId, String)>>);

static BASKET: Manifest = Manifest {
    id: "outbox",
    title: "Basket",
    about: "keeps messages for a test",
    actions: &[],
    source: "our own",
    open: |_| Ok(Arc::new(Basket::default())),
};

#[async_trait]
impl Connector for Basket {
    fn manifest(&self) -> &'static Manifest {
        &BASKET
    }
    fn channels(&self) -> Vec<Channel> {
        ["email", "sms", "x", "linkedin", "instagram", "facebook"]
            .iter()
            .map(|c| Channel::new(c).unwrap())
            .collect()
    }
    async fn deliver(&self, cleared: Cleared) -> Result<Receipt> {
        let outbound = cleared.into_outbound();
        let text = match outbound.payload {
            Payload::Email { message, .. } => String::from_utf8(message).unwrap(),
            Payload::Text { body, .. } => body,
            Payload::Post { text, .. } => text,
        };
        let provider_id = outbound.effect.to_string();
        self.0.lock().unwrap().push((outbound.channel.to_string(), outbound.effect, text));
        Ok(Receipt { provider_id, provider_status: None })
    }
    async fn probe(&self, effect: &EffectId, _: &Channel) -> Result<Probe> {
        let found = self.0.lock().unwrap().iter().any(|(_, e, _)| e == effect);
        let receipt = || Receipt { provider_id: effect.to_string(), provider_status: None };
        Ok(if found { Probe::Landed(receipt()) } else { Probe::NotLanded })
    }
}

struct World {
    hub: Hub,
    cx: Scope,
    clock: Arc<ManualClock>,
    basket: Arc<Basket>,
}

impl World {
    async fn new() -> World {
        let clock = Arc::new(ManualClock::at(Timestamp::parse("now", "2026-11-24T15:00:00Z").unwrap()));
        let basket = Arc::new(Basket::default());
        let builder = Hub::builder().store("memory:").clock(clock.clone()).seed(7).connector(basket.clone());
        let hub = installed(builder).build().await.unwrap();
        let cx = hub.workspace("default").await.unwrap();
        World { hub, cx, clock, basket }
    }

    async fn import(&self, rows: &str) {
        let header = "email,phone,first_name,timezone,country,consent_email,consent_sms,consent_at,consent_source,consent_text\n";
        let op = ImportStart { text: Some(format!("{header}{rows}")), ..ImportStart::default() };
        self.cx.call(op).await.unwrap();
    }

    async fn campaign(&self) -> Campaign {
        let mut brief = example::brief();
        brief.channels = CampaignChannel::ALL.to_vec();
        brief.locale = "en-US".into();
        let campaign = self.cx.call(CreateCampaign { brief, name: None }).await.unwrap();
        let plan = self.cx.call(PlanCampaign { id: campaign.id.clone(), again: false }).await.unwrap();
        let assets = self.cx.call(GenerateAssets { id: campaign.id.clone(), step_keys: None }).await.unwrap();
        assert_eq!(assets.len(), 10);
        let approve = ApproveCampaign { id: campaign.id.clone(), plan_version: plan.version, note: None };
        self.cx.call(approve).await.unwrap()
    }

    async fn launch(&self, campaign: &Campaign) -> LaunchOutcome {
        let outcome = self.cx.call(StartCampaign { id: campaign.id.clone() }).await.unwrap();
        self.cx.work_until_idle().await.unwrap();
        outcome
    }

    async fn report(&self, campaign: &Campaign) -> Report {
        let op = ReportCampaign { id: campaign.id.clone(), import: None, sent_before: None };
        self.cx.call(op).await.unwrap()
    }

    fn sent(&self, channel: &str) -> Vec<String> {
        let basket = self.basket.0.lock().unwrap();
        basket.iter().filter(|(c, _, _)| c == channel).map(|(_, _, text)| text.clone()).collect()
    }
}

const TEXT: &str = "I want news by mail and text";
fn row(email: &str, phone: &str, zone: &str, mail: &str, sms: &str) -> String {
    format!("{email},{phone},Ann,{zone},US,{mail},{sms},2026-05-01T10:00:00Z,form,{TEXT}\n")
}

fn people() -> String {
    [
        row("ann@home.example", "+12025550101", "America/New_York", "granted", "granted"),
        row("bob@home.example", "", "America/New_York", "granted", ""),
        row("cat@home.example", "+14155550102", "America/Los_Angeles", "revoked", "granted"),
        row("", "+12025550103", "America/New_York", "", "granted"),
        row("dan@home.example", "+13055550104", "America/New_York", "pending", ""),
    ]
    .concat()
}

#[tokio::test]
async fn brief_goes_out_to_those_who_agreed_and_to_nobody_else() {
    let world = World::new().await;
    world.import(&people()).await;
    let campaign = world.campaign().await;
    let outcome = world.launch(&campaign).await;
    assert_eq!((outcome.people, outcome.allowed + outcome.deferred + outcome.denied), (5, 10));
    let report = world.report(&campaign).await;
    assert_eq!(report.inconsistencies(), Vec::<String>::new());
    assert_eq!(report.channels["email"].allowed, 2, "{:?}", report.reasons);
    assert_eq!(report.channels["email"].denied, 3);
    // At 15:00Z it is seven in the morning in Los Angeles: the text waits for eight.
    assert_eq!(
        (report.channels["sms"].allowed, report.channels["sms"].deferred),
        (2, 1),
        "{:?}",
        report.reasons
    );
    assert_eq!(report.sends.scheduled, 4);
    assert_eq!((world.sent("email").len(), world.sent("sms").len()), (2, 2));
    assert_eq!(report.sends.sent, 4);
    assert_eq!(report.posts, 4, "{:?}", report.reasons);
    assert!(report.is_offline);
}

#[tokio::test]
async fn mails_say_what_they_must_and_carry_the_way_out() {
    let world = World::new().await;
    world.import(&people()).await;
    let campaign = world.campaign().await;
    world.launch(&campaign).await;
    for mail in world.sent("email") {
        for part in [
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
            "multipart/alternative",
            "Message-ID:",
            "From:",
        ] {
            assert!(mail.contains(part), "{part} in\n{mail}");
        }
        let text = mail.replace("=\r\n", "").replace("\r\n", " ");
        assert!(text.contains("Pause or cancel any time") && text.contains("48 Kiln Street"), "{text}");
        assert!(text.contains("utm_medium=3Demail") || text.contains("utm_medium=email"), "{text}");
        for mark in ["{{", "}}", "{%", "%}"] {
            assert!(!mail.contains(mark), "{mark}");
        }
        assert!(!text.to_lowercase().contains("guaranteed"));
    }
}

#[tokio::test]
async fn second_launch_sends_nothing_twice_and_takes_new_people_on() {
    let world = World::new().await;
    world.import(&people()).await;
    let campaign = world.campaign().await;
    world.launch(&campaign).await;
    let again = world.launch(&campaign).await;
    assert_eq!((again.people, again.created, again.posts), (5, 0, 0));
    assert_eq!(world.sent("email").len(), 2);
    world.import(&row("eve@home.example", "", "America/New_York", "granted", "")).await;
    let outcome = world.launch(&campaign).await;
    assert_eq!((outcome.allowed, outcome.scheduled), (1, 2));
    assert_eq!(world.sent("email").len(), 3);
}

#[tokio::test]
async fn time_brings_deferred_texts_and_later_mails() {
    let world = World::new().await;
    world.import(&people()).await;
    let campaign = world.campaign().await;
    world.launch(&campaign).await;
    world.clock.advance(Duration::from_secs(2 * 3600));
    world.cx.work_until_idle().await.unwrap();
    assert_eq!(world.sent("sms").len(), 3);
    world.clock.advance(Duration::from_secs(3 * 86_400));
    world.cx.work_until_idle().await.unwrap();
    assert_eq!(world.sent("email").len(), 4);
    world.clock.advance(Duration::from_secs(30 * 86_400));
    world.cx.work_until_idle().await.unwrap();
    assert_eq!(world.sent("email").len(), 4, "after its end a campaign says nothing");
    let report = world.report(&campaign).await;
    assert_eq!(report.inconsistencies(), Vec::<String>::new());
}

#[tokio::test]
async fn pause_holds_what_is_queued_and_cancel_ends_it() {
    let world = World::new().await;
    world.import(&people()).await;
    let campaign = world.campaign().await;
    world.cx.call(StartCampaign { id: campaign.id.clone() }).await.unwrap();
    world.cx.call(PauseCampaign { id: campaign.id.clone() }).await.unwrap();
    world.cx.work_until_idle().await.unwrap();
    assert!(world.sent("email").is_empty());
    let refused = world.cx.call(StartCampaign { id: campaign.id.clone() }).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    world.cx.call(CancelCampaign { id: campaign.id.clone() }).await.unwrap();
    world.clock.advance(Duration::from_secs(2 * 3600));
    world.cx.work_until_idle().await.unwrap();
    assert!(world.sent("email").is_empty());
}

#[tokio::test]
async fn a_launch_that_an_agent_asks_for_is_one_question_and_no_more() {
    let world = World::new().await;
    world.import(&people()).await;
    let campaign = world.campaign().await;
    let agent = world.cx.for_agent("mcp", "user:owner", PermissionSet::all());
    let launch = StartCampaign { id: campaign.id.clone() };
    let asked = agent.call(launch.clone()).await.unwrap_err();
    assert_eq!((asked.code(), world.sent("email").len()), ("approval_required", 0));
    let id = asked.context().find(|(key, _)| *key == "approval").unwrap().1;
    let yes = serde_json::json!({ "id": id });
    world.cx.call_by_name("approvals.approve", yes, CallOptions::new()).await.unwrap();
    let outcome = agent.call(launch).await.unwrap();
    assert!(outcome.created > 5 && outcome.posts > 0, "{outcome:?}");
    let all = world.cx.call(ListApprovals::default()).await.unwrap().items;
    assert_eq!(all.len(), 1, "neither posts nor people are asked for one by one");
}

#[tokio::test]
async fn start_ahead_of_now_defers_every_send() {
    let world = World::new().await;
    world.clock.set(Timestamp::parse("now", "2026-11-01T15:00:00Z").unwrap());
    world.import(&people()).await;
    let campaign = world.campaign().await;
    world.launch(&campaign).await;
    let report = world.report(&campaign).await;
    assert_eq!((report.sends.allowed, report.sends.sent, report.posts), (0, 0, 0));
    assert!(report.reasons["G01.source"] > 0);
    assert_eq!(report.campaign.status, "scheduled");
}

#[tokio::test]
async fn nothing_starts_before_its_release() {
    let world = World::new().await;
    let campaign = world.cx.call(CreateCampaign { brief: example::brief(), name: None }).await.unwrap();
    let refused = world.cx.call(StartCampaign { id: campaign.id.clone() }).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert!(refused.message().contains("draft"));
    world.hub.close().await.unwrap();
}

/// Everything a campaign needs of its neighbours.
fn installed(builder: neonhub_core::HubBuilder) -> neonhub_core::HubBuilder {
    let builder = neonhub_rag::install(builder);
    let builder = crate::people::install(crate::consent::install(crate::brand::install(builder)));
    install(crate::voice::install(crate::send::install(crate::gate::install(builder))))
}
