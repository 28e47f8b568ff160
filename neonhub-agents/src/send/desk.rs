//! Writing the messages of a batch: every record loaded once, every message rendered for its recipient.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use neonhub_core::connector::{Outbound, Proposal};
use neonhub_core::store::{Expected, Stored};
use neonhub_core::{Error, ErrorKind, Result, Scope, Secret, Timestamp};

use super::create::{ask, last_same_text};
use super::render::{self, Compiled, Ready, To, core_channel};
use super::{Draft, Reach, Send};
use crate::brand::SenderProfile;
use crate::consent::signing_keys;
use crate::consent::token::SigningKey;
use crate::gate::facts::RecentSend;
use crate::gate::{Ask, Channel, Preloaded};
use crate::people::{GateFacts, Identity, IdentityId, Person, PersonId};

/// Everything a batch needs to write its messages, each record loaded once.
pub(super) struct Desk {
    signing: Option<SigningKey>,
    compiled: BTreeMap<String, Compiled>,
    pub(super) loaded: Arc<Preloaded>,
    people: BTreeMap<PersonId, Person>,
    identities: BTreeMap<IdentityId, Secret>,
}

pub(super) struct Written {
    has_placeholder: bool,
    pub(super) segments: Option<u32>,
    pub(super) shows_opt_out: bool,
    pub(super) identity: Option<IdentityId>,
    pub(super) reach: Option<PersonId>,
    number: Option<String>,
}

impl Written {
    fn of(
        ready: Ready,
        identity: Option<IdentityId>,
        reach: Option<PersonId>,
        number: Option<String>,
    ) -> (Written, Outbound) {
        let Ready { outbound, has_placeholder, segments, shows_opt_out } = ready;
        (Written { has_placeholder, segments, shows_opt_out, identity, reach, number }, outbound)
    }

    pub(super) async fn proposal(&self, cx: &Scope, send: &Send) -> Result<Proposal> {
        let same_text_at = match &send.fingerprint {
            Some(fingerprint) => last_same_text(cx, fingerprint).await?,
            None => None,
        };
        let phone = self.number.as_deref().map(|number| {
            let place = crate::gate::load::phone_place(number);
            (place.country, place.area)
        });
        let ask = Ask { has_placeholder: self.has_placeholder, phone, same_text_at, ..ask(send) };
        Ok(Proposal {
            send: send.id.to_string(),
            person: send.person.as_ref().map(ToString::to_string),
            channel: core_channel(send.channel)?,
            at: cx.now(),
            facts: ask.to_value(),
        })
    }
}

impl Desk {
    pub(super) async fn load(cx: &Scope, sends: &[Stored<Send>]) -> Result<Desk> {
        let compiled = compile(cx, sends).await?;
        let signing = match compiled.values().any(Compiled::has_unsubscribe) {
            true => signing_keys(cx).await?.pop(),
            false => None,
        };
        let asked: Vec<PersonId> = sends.iter().filter_map(|s| s.person.clone()).collect();
        let loaded = Arc::new(Preloaded::load(cx, &asked).await?);
        let speakers: Vec<String> = loaded.facts.values().map(|f| f.person.to_string()).collect();
        let people = cx.get_many::<Person>(&speakers).await?.into_iter().flatten();
        let ids: BTreeSet<String> =
            sends.iter().filter_map(|s| identity_of(s, &loaded.facts)).map(|i| i.to_string()).collect();
        let ids: Vec<String> = ids.into_iter().collect();
        let mut identities = BTreeMap::new();
        for identity in cx.get_many::<Identity>(&ids).await?.into_iter().flatten() {
            let address = cx.sealer().open("identity", "key", &identity.key)?;
            identities.insert(identity.body.id, address);
        }
        Ok(Desk {
            signing,
            compiled,
            loaded,
            people: people.map(|p| (p.body.id.clone(), p.body)).collect(),
            identities,
        })
    }

    pub(super) fn write(&self, cx: &Scope, send: &Send) -> Result<(Written, Outbound)> {
        let gone = || Error::new(ErrorKind::NotFound, "sends.render", "the draft of the send is gone");
        let compiled = self.compiled.get(send.draft.as_str()).ok_or_else(gone)?;
        if compiled.draft().hash != send.draft_hash {
            return Err(Error::new(
                ErrorKind::Conflict,
                "sends.render",
                "the draft changed since the send was made",
            )
            .with_code("draft_changed"));
        }
        let Some(person) = &send.person else {
            let ready = render::public(compiled, send)?;
            return Ok(Written::of(ready, None, None, None));
        };
        let facts = self.loaded.facts.get(person);
        let reach = facts.map(|f| f.person.clone());
        let identity = identity_of(send, &self.loaded.facts).cloned();
        let address = identity.as_ref().and_then(|id| self.identities.get(id));
        let record = reach.as_ref().and_then(|id| self.people.get(id));
        let (Some(id), Some(address), Some(record)) = (&identity, address, record) else {
            let ready = render::unaddressed(compiled, send)?;
            return Ok(Written::of(ready, None, reach, None));
        };
        let ready = render::personal(
            cx,
            self.signing.as_ref(),
            compiled,
            send,
            &To { person: record, identity: id, address },
        )?;
        let by_number = matches!(send.channel, Channel::Sms | Channel::Phone);
        let number = by_number.then(|| address.expose().to_owned());
        Ok(Written::of(ready, identity, reach, number))
    }

    /// Takes the frequency slot; the commit expects the revision that the verdict saw.
    pub(super) fn take_slot(
        &self,
        cx: &Scope,
        send: &Send,
        person: &PersonId,
        shows_opt_out: bool,
        now: Timestamp,
    ) -> Result<()> {
        let known = self.loaded.reaches.get(person);
        let mut reach = known.map_or_else(|| Reach::new(person.clone()), |r| r.body.clone());
        if !send.test {
            reach.take(&send.id, RecentSend { at: now, channel: send.channel, category: send.category });
        }
        if shows_opt_out {
            reach.opt_out_shown_at.insert(send.channel.word().into_owned(), now);
        }
        let expected = known.map_or(Expected::Absent, |r| Expected::Rev(r.rev));
        cx.put(&reach, expected)
    }
}

fn identity_of<'a>(send: &Send, facts: &'a BTreeMap<PersonId, Stored<GateFacts>>) -> Option<&'a IdentityId> {
    let facts = facts.get(send.person.as_ref()?)?;
    facts.identity_for(&send.channel.consent_channel()?).map(|i| &i.identity)
}

async fn compile(cx: &Scope, sends: &[Stored<Send>]) -> Result<BTreeMap<String, Compiled>> {
    let ids: BTreeSet<String> = sends.iter().map(|s| s.draft.to_string()).collect();
    let ids: Vec<String> = ids.into_iter().collect();
    let drafts: Vec<Stored<Draft>> = cx.get_many::<Draft>(&ids).await?.into_iter().flatten().collect();
    let senders: Vec<String> = drafts.iter().map(|d| d.sender.to_string()).collect();
    let senders = cx.get_many::<SenderProfile>(&senders).await?;
    let mut out = BTreeMap::new();
    for (draft, sender) in drafts.into_iter().zip(senders) {
        if let Some(sender) = sender {
            out.insert(draft.id.to_string(), Compiled::new(&draft, &sender)?);
        }
    }
    Ok(out)
}
