//! A small world: one brand, its senders, people with consent, and a connector that obeys.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use neonhub_core::connector::{
    Action, Channel, Cleared, Connector, EffectId, Manifest, Outbound, Probe, Receipt,
};
use neonhub_core::op::{Effect, Operation, entry};
use neonhub_core::store::Expected;
use neonhub_core::{Error, ErrorKind, Hub, ManualClock, Permission, Result, Retry, Scope, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::brand::{CreateBrand, SetSender};
use crate::consent::rules::ConsentFact;
use crate::consent::{Channel as ConsentChannel, ConsentId, ConsentScope, Status};
use crate::gate::facts::{Origin, SourceState};
use crate::gate::{Channel as Where, Network};
use crate::people::facts::IdentityFact;
use crate::people::model::IdentityStatus;
use crate::people::normalise::Quality;
use crate::people::{GateFacts, Identity, IdentityId, IdentityKind, Person, PersonId};
use crate::send::{CreateDraft, Draft, Parts, Reach, Send, SendId, SendSource, SendState, put_source};

/// What the connector does with the next messages.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    /// Takes them.
    Take,
    /// Takes them and the answer is lost.
    LandedButLost,
    /// Nobody will ever know.
    LostForGood,
    /// Refuses them.
    Fail(ErrorKind, Retry),
}

/// A connector that is told what to answer.
#[derive(Debug)]
pub(super) struct Outbox {
    answer: Mutex<Answer>,
    delivered: Mutex<Vec<Outbound>>,
    tries: AtomicU64,
    fails_settle: AtomicBool,
}

static MANIFEST: Manifest = Manifest {
    id: "obedient",
    title: "Obedient",
    about: "Does what the test says.",
    actions: &[Action { name: "deliver", about: "Takes a message.", idempotent: false }],
    source: "test",
    open: |_| Err(Error::new(ErrorKind::Unsupported, "test", "made by the test")),
};

impl Outbox {
    pub(super) fn answer(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }
    pub(super) fn delivered(&self) -> Vec<Outbound> {
        self.delivered.lock().unwrap().clone()
    }
    pub(super) fn tries(&self) -> u64 {
        self.tries.load(Ordering::SeqCst)
    }
    pub(super) fn fail_settle(&self, fails: bool) {
        self.fails_settle.store(fails, Ordering::SeqCst);
    }
}

#[async_trait]
impl Connector for Outbox {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }
    fn channels(&self) -> Vec<Channel> {
        ["email", "sms", "x"].iter().map(|c| Channel::new(c).unwrap()).collect()
    }
    async fn deliver(&self, cleared: Cleared) -> Result<Receipt> {
        self.tries.fetch_add(1, Ordering::SeqCst);
        let answer = *self.answer.lock().unwrap();
        let outbound = cleared.into_outbound();
        let provider_id = outbound.effect.to_string();
        let lost = || Error::new(ErrorKind::OutcomeUnknown, "test.deliver", "no answer came");
        match answer {
            Answer::Fail(kind, retry) => {
                return Err(Error::new(kind, "test.deliver", "refused").with_retry(retry));
            }
            Answer::LostForGood => return Err(lost()),
            Answer::Take | Answer::LandedButLost => self.delivered.lock().unwrap().push(outbound),
        }
        if matches!(answer, Answer::LandedButLost) {
            Err(lost())
        } else {
            Ok(Receipt { provider_id, provider_status: None })
        }
    }
    async fn probe(&self, effect: &EffectId, _channel: &Channel) -> Result<Probe> {
        if matches!(*self.answer.lock().unwrap(), Answer::LostForGood) {
            return Ok(Probe::Unknown);
        }
        let found = self.delivered.lock().unwrap().iter().any(|o| o.effect == *effect);
        let receipt = Receipt { provider_id: effect.to_string(), provider_status: None };
        Ok(if found { Probe::Landed(receipt) } else { Probe::NotLanded })
    }
    async fn settle(&self) -> Result<()> {
        if self.fails_settle.load(Ordering::SeqCst) {
            let error = Error::new(ErrorKind::Unavailable, "test.settle", "the disk is gone");
            return Err(error.with_retry(Retry::After(std::time::Duration::from_secs(60))));
        }
        Ok(())
    }
}

/// Writes records as another capability would.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct Plant {
    person: Option<Person>,
    identities: Vec<Identity>,
    facts: Option<GateFacts>,
    source: Option<SendSource>,
}

impl Operation for Plant {
    type Output = ();
    const NAME: &'static str = "test.plant";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Idempotent;
    async fn run(self, cx: &Scope) -> Result<()> {
        if let Some(person) = &self.person {
            cx.put(person, Expected::Any)?;
        }
        for identity in &self.identities {
            cx.put(identity, Expected::Any)?;
        }
        if let Some(facts) = &self.facts {
            cx.put(facts, Expected::Any)?;
        }
        match self.source {
            Some(source) => put_source(cx, source).await,
            None => Ok(()),
        }
    }
}

static PLANT: &[neonhub_core::op::Entry] = &[entry::<Plant>()];

/// The world of a test.
#[derive(Clone)]
pub(super) struct World {
    pub(super) cx: Scope,
    pub(super) clock: Arc<ManualClock>,
    pub(super) outbox: Arc<Outbox>,
}

pub(super) fn at(text: &str) -> Timestamp {
    Timestamp::parse("at", text).unwrap()
}

impl World {
    /// Wednesday noon in Vienna, a brand with senders on three channels.
    pub(super) async fn open() -> World {
        World::over(Arc::new(neonhub_core::store::MemoryStore::new())).await
    }

    /// The same over a store of one's own.
    pub(super) async fn over(store: neonhub_core::store::SharedStore) -> World {
        let clock = Arc::new(ManualClock::at(at("2026-11-18T12:00:00+01:00")));
        let outbox = Arc::new(Outbox {
            answer: Mutex::new(Answer::Take),
            delivered: Mutex::default(),
            tries: AtomicU64::new(0),
            fails_settle: AtomicBool::new(false),
        });
        let connector: Arc<dyn Connector> = outbox.clone();
        let builder = Hub::builder().store_backend(store).clock(clock.clone()).seed(7).connector(connector);
        let builder = crate::people::install(crate::consent::install(builder));
        let builder = crate::send::install(crate::brand::install(crate::gate::install(builder)));
        let hub = builder.operations(PLANT).build().await.unwrap();
        let cx = hub.workspace("default").await.unwrap();
        let world = World { cx, clock, outbox };
        world.brand().await;
        world
    }

    async fn brand(&self) {
        let brand = CreateBrand { name: "Shop".into(), ..CreateBrand::default() };
        self.cx.call(brand).await.unwrap();
        for (channel, from) in [
            (Where::Email, "news@shop.example"),
            (Where::Sms, "+436601234567"),
            (Where::Post(Network::X), "@shop"),
        ] {
            self.cx
                .call(SetSender {
                    brand: "shop".into(),
                    channel,
                    from: from.into(),
                    name: None,
                    reply_to: None,
                    postal_address: Some("Hauptplatz 1, 1010 Wien".into()),
                    unsubscribe_url: (channel == Where::Email).then(|| "https://shop.example/leave".into()),
                })
                .await
                .unwrap();
        }
    }

    pub(super) fn email_input(&self, campaign: Option<&str>) -> CreateDraft {
        let footer = "{{ sender_name }}, {{ sender_address }}";
        let parts = Parts {
            subject: Some("Hello {{ first_name | default(\"there\") }}".into()),
            html: Some(format!(
                "<p>Fresh beans</p><p>{footer}</p><a href=\"{{{{ unsubscribe_url }}}}\">Leave</a>"
            )),
            text: Some(format!("Fresh beans\n{footer}\n{{{{ unsubscribe_url }}}}")),
            ..Parts::default()
        };
        CreateDraft {
            parts,
            campaign: campaign.map(str::to_owned),
            ..self.input(Where::Email, Origin::Human)
        }
    }

    fn input(&self, channel: Where, origin: Origin) -> CreateDraft {
        CreateDraft {
            brand: "shop".into(),
            channel,
            sender: None,
            category: None,
            parts: Parts::default(),
            variables: BTreeMap::new(),
            locale: None,
            person: None,
            campaign: None,
            step: None,
            variant: None,
            origin: Some(origin),
            attribution: None,
            alignment: None,
            needs_approval: None,
            must_not_say: Vec::new(),
            max_segments: None,
        }
    }

    pub(super) async fn email_draft(&self, campaign: Option<&str>) -> Draft {
        self.cx.call(self.email_input(campaign)).await.unwrap()
    }

    pub(super) async fn sms_draft(&self, campaign: Option<&str>) -> Draft {
        let text = Some("Shop: fresh beans today. Reply STOP to end".into());
        let parts = Parts { text, ..Parts::default() };
        let input = CreateDraft {
            parts,
            campaign: campaign.map(str::to_owned),
            ..self.input(Where::Sms, Origin::Human)
        };
        self.cx.call(input).await.unwrap()
    }

    pub(super) async fn post_draft(&self, text: &str) -> Draft {
        let parts = Parts { text: Some(text.into()), ..Parts::default() };
        let input = CreateDraft { parts, ..self.input(Where::Post(Network::X), Origin::Offline) };
        self.cx.call(input).await.unwrap()
    }

    pub(super) async fn person(&self, email: &str, phone: Option<&str>, consent: Option<Status>) -> PersonId {
        let cx = self.cx.fork(&["person", email]);
        let id = PersonId::new(&cx);
        let mut person = Person::new(id.clone(), cx.now());
        (person.first_name, person.last_name) = (Some("Jane".into()), Some("Doe".into()));
        person.country = Some("AT".into());
        let mut facts = GateFacts::of(&person);
        let mut identities = Vec::new();
        let values = [(IdentityKind::Email, Some(email)), (IdentityKind::Phone, phone)];
        for (kind, value) in values.into_iter().filter_map(|(k, v)| v.map(|v| (k, v))) {
            let identity = identity(&cx, &id, kind, value);
            facts.identities.push(IdentityFact {
                identity: identity.id.clone(),
                member: 0,
                kind,
                namespace: None,
                hash: identity.hash.clone(),
                quality: Quality::Valid,
                verified: false,
                is_primary: true,
                first_seen_at: cx.now(),
            });
            identities.push(identity);
        }
        facts.consents = consent.into_iter().flat_map(|status| grants(&cx, status)).collect();
        let plant = Plant { person: Some(person), identities, facts: Some(facts), source: None };
        self.cx.call(plant).await.unwrap();
        id
    }

    pub(super) async fn people(&self, count: usize) -> Vec<PersonId> {
        let mut out = Vec::new();
        for n in 0..count {
            out.push(self.person(&format!("p{n}@example.org"), None, Some(Status::Granted)).await);
        }
        out
    }

    pub(super) async fn set_consent(&self, person: &PersonId, status: Status) {
        let mut facts = self.cx.get::<GateFacts>(person.as_str()).await.unwrap().unwrap().body;
        facts.consents = grants(&self.cx, status);
        facts.epoch += 1;
        let plant = Plant { person: None, identities: Vec::new(), facts: Some(facts), source: None };
        self.cx.call(plant).await.unwrap();
    }

    pub(super) async fn source(&self, id: &str, state: SourceState, start: Option<Timestamp>) {
        let source = Some(SendSource { id: id.into(), state, start, end: None });
        let plant = Plant { person: None, identities: Vec::new(), facts: None, source };
        self.cx.call(plant).await.unwrap();
    }

    /// Works what is due; how many jobs were done.
    pub(super) async fn work(&self) -> u64 {
        self.cx.work_until_idle().await.unwrap().done
    }

    pub(super) fn clock_now(&self) -> Timestamp {
        self.cx.now()
    }

    pub(super) async fn send(&self, id: &SendId) -> Send {
        self.cx.need::<Send>(id.as_str()).await.unwrap().body
    }

    pub(super) async fn states(&self) -> Vec<SendState> {
        let all = self.cx.query::<Send>(&neonhub_core::store::Query::by_id().limit(500)).await.unwrap();
        all.into_iter().map(|s| s.state).collect()
    }

    pub(super) async fn reach(&self, person: &PersonId) -> Option<Reach> {
        self.cx.get::<Reach>(person.as_str()).await.unwrap().map(|r| r.body)
    }
}

fn identity(cx: &Scope, person: &PersonId, kind: IdentityKind, value: &str) -> Identity {
    Identity {
        id: IdentityId::new(cx),
        person: person.clone(),
        kind,
        namespace: None,
        key: cx.sealer().seal("identity", "key", value).unwrap(),
        value: None,
        hash: value.to_owned(),
        quality: Quality::Valid,
        verified: false,
        verification: None,
        is_primary: true,
        source: "test".into(),
        first_seen_at: cx.now(),
        last_seen_at: cx.now(),
        status: IdentityStatus::Active,
        extension: None,
    }
}

fn grants(cx: &Scope, status: Status) -> Vec<ConsentFact> {
    let row = |channel| ConsentFact {
        row: ConsentId::new(cx),
        member: 0,
        identity: None,
        channel,
        scope: ConsentScope::Marketing,
        brand: None,
        status,
        effective_at: cx.now(),
        recorded_at: cx.now(),
        sequence: 0,
        expires_at: None,
    };
    vec![row(ConsentChannel::Email), row(ConsentChannel::Sms)]
}
