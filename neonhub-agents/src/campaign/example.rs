//! Sample values for the docs of the operations.

use neonhub_core::{Currency, Money, Timestamp};

use super::{Brief, BriefSender, CampaignChannel, CampaignId};

pub(super) fn campaign_id() -> CampaignId {
    let id = "cmp_01kaf3w0000000000000000000".parse();
    id.unwrap_or_else(|_| unreachable!("a well-formed id"))
}

pub(super) fn brief() -> Brief {
    let eur = Currency::parse("budget.currency", "EUR");
    Brief {
        goal: "Win 200 members for the refill club before Christmas".into(),
        brand: "Brightmoor Coffee".into(),
        audience_text: "People who bought beans from us this year".into(),
        key_messages: vec!["The ReBag is a coffee bag that comes back".into()],
        offer: Some("Your first refill is half price".into()),
        channels: vec![CampaignChannel::Email, CampaignChannel::Sms, CampaignChannel::Linkedin],
        budget: Money {
            minor: 500_000,
            currency: eur.unwrap_or_else(|_| unreachable!("EUR is in ISO 4217")),
        },
        // 2026-11-24T08:00:00Z and 2026-12-15T22:00:00Z.
        start: Timestamp::from_millis(1_795_507_200_000),
        end: Timestamp::from_millis(1_797_372_000_000),
        must_say: vec!["Pause or cancel any time".into()],
        must_not_say: vec!["guaranteed".into()],
        locale: "en-GB".into(),
        timezone: "Europe/London".into(),
        sender: BriefSender {
            email: "hello@brightmoor.example".into(),
            name: "Brightmoor Coffee".into(),
            postal_address: "48 Kiln Street, Ashdale".into(),
            unsubscribe_url: "https://brightmoor.example/unsubscribe".into(),
        },
        landing_url: "https://brightmoor.example/circle".into(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn sample_brief_is_good() {
        let brief = super::brief();
        brief.check().unwrap();
        assert_eq!(brief.start.to_string(), "2026-11-24T08:00:00Z");
        assert_eq!(brief.end.to_string(), "2026-12-15T22:00:00Z");
        assert_eq!(super::campaign_id().as_str().len(), 30);
    }
}
