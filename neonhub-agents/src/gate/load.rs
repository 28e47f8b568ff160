//! Turns stored records into the snapshot the rules read.

use jiff::tz::TimeZone;
use neonhub_core::tenancy::{Mode, Workspace, WorkspaceStatus};
use neonhub_core::{Result, Scope, Timestamp};

use super::facts::{
    ActiveState, ConsentFact, DraftFacts, IdentityFact, PersonFacts, PreferenceFacts, SourceFacts,
    SuppressionFact, TenantFacts,
};
use super::{Cap, CapScope, Category, Channel, PhonePlace, Place};
use crate::brand::{Brand, BrandStatus};
use crate::consent::ConsentScope;
use crate::consent::suppression::SuppressionFact as Suppressed;
use crate::people::GateFacts;
use crate::send::{Draft, Reach, SendId, SendSource};

impl Channel {
    /// The same channel in the words of the consent ledger; `None` for public posts.
    #[must_use]
    pub fn consent_channel(self) -> Option<crate::consent::Channel> {
        use crate::consent::Channel as C;
        Some(match self {
            Channel::Email => C::Email,
            Channel::Sms => C::Sms,
            Channel::Whatsapp => C::Whatsapp,
            Channel::Push => C::Push,
            Channel::WebPush => C::WebPush,
            Channel::Inapp => C::Inapp,
            Channel::Phone => C::Phone,
            Channel::Mail => C::Mail,
            Channel::Dm(network) => C::Dm(network.as_str().into()),
            Channel::Post(_) => return None,
        })
    }
}

/// The scope of consent that a category needs.
fn scope_of(category: Category) -> ConsentScope {
    match category {
        Category::Marketing => ConsentScope::Marketing,
        Category::Transactional | Category::Conversational | Category::Confirmation | Category::Legal => {
            ConsentScope::Transactional
        }
    }
}

pub(super) fn tenant(workspace: &Workspace, brand: Option<&Brand>) -> TenantFacts {
    let zone = |name: &str| neonhub_core::zone("timezone", name).unwrap_or(TimeZone::UTC);
    TenantFacts {
        workspace: match workspace.status {
            WorkspaceStatus::Active => ActiveState::Active,
            WorkspaceStatus::Paused => ActiveState::Paused,
            WorkspaceStatus::Suspended => ActiveState::Suspended,
            WorkspaceStatus::Closed => ActiveState::Closed,
        },
        organization: ActiveState::Active,
        // A brand that is gone cannot speak.
        brand: match brand.map(|b| b.status) {
            Some(BrandStatus::Active) => ActiveState::Active,
            Some(BrandStatus::Archived) | None => ActiveState::Closed,
        },
        brand_id: brand.map(|b| b.id.to_string()),
        expires_at: None,
        is_production: workspace.mode == Mode::Production,
        allow_offline_output: workspace.allow_offline_output,
        zone: zone(&workspace.timezone),
        brand_window: brand.and_then(|b| b.window),
    }
}

pub(super) fn source(source: &SendSource) -> SourceFacts {
    SourceFacts {
        id: source.id.clone(),
        state: source.state,
        start: source.start,
        end: source.end,
        person_exit: None,
        has_reply: false,
    }
}

pub(super) fn draft(draft: &Draft) -> DraftFacts {
    DraftFacts {
        id: draft.id.to_string(),
        channel: draft.channel,
        category: draft.category,
        status: draft.status,
        needs_approval: draft.needs_approval,
        origin: draft.origin,
        content: draft.content.clone(),
        is_bulk: draft.campaign.is_some(),
        preflight_red: Vec::new(),
        has_platform_template: false,
    }
}

/// What is asked about one person.
pub(super) struct Recipient<'a> {
    pub(super) facts: &'a GateFacts,
    pub(super) reach: Option<&'a Reach>,
    pub(super) phone: Option<PhonePlace>,
    pub(super) channel: Channel,
    pub(super) category: Category,
    pub(super) brand: Option<&'a str>,
    pub(super) send: Option<&'a SendId>,
    pub(super) at: Timestamp,
}

/// The facts of a recipient. What no record says yet (a last message from the person, an opt-in request) counts as
/// not there, which is the strict answer.
pub(super) fn person(r: Recipient<'_>) -> PersonFacts {
    let Some(channel) = r.channel.consent_channel() else { return PersonFacts::default() };
    let facts = r.facts;
    let identity = facts.identity_for(&channel);
    let identity_id = identity.map(|i| &i.identity);
    let scope = scope_of(r.category);
    let answer = facts.consent(&channel, &scope, r.brand, identity_id, r.at);
    let suppressed = facts.suppressed(&channel, r.brand, identity_id, r.at);
    let word = r.channel.word();
    PersonFacts {
        id: facts.person.to_string(),
        state: facts.status,
        identity: identity.map(|i| IdentityFact {
            id: i.identity.to_string(),
            is_verified: i.verified,
            quality: i.quality,
        }),
        suppressions: suppressed.into_iter().map(|s| suppression(s, r.channel)).collect(),
        consent: ConsentFact {
            state: answer.status,
            row: answer.row.map(|row| row.to_string()),
            identity: answer.identity.map(|i| i.to_string()),
            scope: scope.to_string(),
        },
        place: Place {
            timezone: facts.timezone.clone(),
            country: facts.country.as_ref().map(|c| c.to_ascii_uppercase()),
            region: facts.region.as_ref().map(|r| state_of(r)),
            phone: r.phone,
        },
        preferences: preferences(facts, &channel, &word),
        last_inbound_at: None,
        opt_in_requested_at: None,
        recent: r.reach.map(|reach| recent(reach, r.send)).unwrap_or_default(),
        opt_out_shown_at: r.reach.and_then(|reach| reach.opt_out_shown_at.get(word.as_ref()).copied()),
    }
}

fn recent(reach: &Reach, own: Option<&SendId>) -> Vec<super::facts::RecentSend> {
    reach.recent.iter().filter(|r| Some(&r.send) != own).map(|r| r.sent).collect()
}

/// `US-FL` names a state of `US` as `FL`.
fn state_of(region: &str) -> String {
    region.split_once('-').map_or(region, |(_, state)| state).to_ascii_uppercase()
}

fn suppression(row: &Suppressed, channel: Channel) -> SuppressionFact {
    // Channel, brand and end were matched with the address already.
    SuppressionFact {
        id: row.suppression.to_string(),
        reason: row.reason,
        channel: row.channel.as_ref().map(|_| channel),
        brand: None,
        expires_at: row.expires_at,
    }
}

fn preferences(facts: &GateFacts, channel: &crate::consent::Channel, word: &str) -> PreferenceFacts {
    let Some(wants) = &facts.preferences else { return PreferenceFacts::default() };
    PreferenceFacts {
        is_channel_off: wants.channels_off.contains(channel),
        pause_until: wants.pause_until,
        quiet_minutes: wants.quiet_hours.map(|q| (q.from, q.to)),
        cap: wants.frequency.get(word).map(|f| Cap {
            scope: CapScope::Channel,
            category: Category::Marketing,
            max: f.max,
            window: std::time::Duration::from_secs(u64::from(f.days) * 86_400),
        }),
    }
}

/// Where the numbers that messages would go to lie: opened, looked at, forgotten. One look-up for all.
pub(super) async fn phone_places(
    cx: &Scope,
    asked: &[(Channel, Option<&GateFacts>)],
) -> Result<Vec<Option<PhonePlace>>> {
    let identity = |(channel, facts): &(Channel, Option<&GateFacts>)| {
        let by_number = matches!(channel, Channel::Sms | Channel::Phone);
        let facts = facts.filter(|_| by_number)?;
        Some(facts.identity_for(&channel.consent_channel()?)?.identity.to_string())
    };
    let wanted: Vec<Option<String>> = asked.iter().map(identity).collect();
    let ids: Vec<String> = wanted.iter().flatten().cloned().collect();
    if ids.is_empty() {
        return Ok(wanted.into_iter().map(|_| None).collect());
    }
    let mut found = cx.get_many::<crate::people::Identity>(&ids).await?.into_iter();
    wanted
        .into_iter()
        .map(|wanted| match wanted.and_then(|_| found.next().flatten()) {
            Some(identity) => {
                let number = cx.sealer().open("identity", "key", &identity.key)?;
                Ok(Some(phone_place(number.expose())))
            }
            None => Ok(None),
        })
        .collect()
}

/// Country and area code of an E.164 number.
pub(crate) fn phone_place(number: &str) -> PhonePlace {
    let country = if super::area_code(number).is_some() {
        None
    } else {
        phonenumber::parse(None, number).ok().and_then(|n| n.country().id()).map(|id| id.as_ref().to_owned())
    };
    PhonePlace::of(number, country.as_deref())
}
