//! What a person wants.

use std::collections::BTreeMap;

use neonhub_core::bus::Event;
use neonhub_core::op::{Effect, Operation};
use neonhub_core::store::Expected;
use neonhub_core::{Faults, Permission, Result, Scope, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::example_person;
use crate::consent::Channel;
use crate::consent::model::{Frequency, Preference, Preferences, QuietHours};
use crate::people::facts::facts_of;
use crate::people::{PersonId, fields};

/// Reads what a person wants.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetPreferences {
    /// The person.
    pub person: PersonId,
}

impl Operation for GetPreferences {
    type Output = Preferences;
    const NAME: &'static str = "preferences.get";
    const NEEDS: &'static [Permission] = &[Permission::ReadPeople];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<Preferences> {
        Ok(facts_of(cx, &self.person).await?.body.preferences.unwrap_or_default())
    }

    fn examples() -> Vec<Self> {
        example_person().map(|person| GetPreferences { person }).into_iter().collect()
    }
}

/// Changes what a person wants. Absent fields stay as they are. Messages already in the queue see it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdatePreferences {
    /// The person.
    pub person: PersonId,
    /// Channels switched off, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels_off: Option<Vec<Channel>>,
    /// Topics switched off, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topics_off: Option<Vec<String>>,
    /// The most messages per channel word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frequency: Option<BTreeMap<String, Frequency>>,
    /// Marketing waits until then (UTC ms); an instant that is over ends the pause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause_until: Option<Timestamp>,
    /// No messages in these hours of the local day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet_hours: Option<QuietHours>,
    /// Wanted language, BCP 47.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
}

impl Operation for UpdatePreferences {
    type Output = Preferences;
    const NAME: &'static str = "preferences.update";
    const NEEDS: &'static [Permission] = &[Permission::WriteConsent];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 5;

    async fn run(self, cx: &Scope) -> Result<Preferences> {
        self.check()?;
        let mut facts = facts_of(cx, &self.person).await?;
        let mut wants = facts.body.preferences.take().unwrap_or_default();
        if let Some(channels) = self.channels_off {
            wants.channels_off = channels;
        }
        if let Some(topics) = self.topics_off {
            wants.topics_off = topics;
        }
        if let Some(frequency) = self.frequency {
            wants.frequency = frequency;
        }
        if let Some(until) = self.pause_until {
            wants.pause_until = (until > cx.now()).then_some(until);
        }
        wants.quiet_hours = self.quiet_hours.or(wants.quiet_hours);
        wants.language = self.language.as_deref().and_then(fields::locale).or(wants.language);
        cx.put(&Preference { person: facts.person.clone(), wants: wants.clone() }, Expected::Any)?;
        facts.body.preferences = Some(wants.clone());
        facts.body.epoch += 1;
        cx.save(&facts)?;
        cx.emit(Event::new(cx, "preferences.changed", "person", facts.person.as_str(), json!({})))?;
        Ok(wants)
    }

    fn examples() -> Vec<Self> {
        example_person()
            .map(|person| UpdatePreferences {
                person,
                channels_off: Some(vec![Channel::Sms]),
                topics_off: None,
                frequency: None,
                pause_until: None,
                quiet_hours: Some(QuietHours { from: 1_320, to: 480 }),
                language: None,
            })
            .into_iter()
            .collect()
    }
}

impl UpdatePreferences {
    fn check(&self) -> Result<()> {
        let mut faults = Faults::new();
        let hours = self.quiet_hours.is_none_or(|q| q.from < 1_440 && q.to < 1_440 && q.from != q.to);
        faults.check(hours, "quiet_hours", "expected two different minutes of the day, 0 to 1439");
        let language = self.language.as_deref().is_none_or(|l| fields::locale(l).is_some());
        faults.check(language, "language", "expected a language tag such as de-AT");
        for (channel, most) in self.frequency.iter().flatten() {
            let fits = channel.parse::<Channel>().is_ok() && most.max > 0 && most.days > 0;
            faults.check(fits, "frequency", "expected channel words, each with max and days above 0");
        }
        let topics = self.topics_off.as_ref().is_none_or(|t| t.len() <= 100);
        faults.check(topics, "topics_off", "expected at most 100 topics");
        faults.into_result(Self::NAME)
    }
}
