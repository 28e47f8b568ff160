//! Who speaks in a campaign: the brand of its brief, and what it sends from on each channel.

use neonhub_core::{ErrorKind, Result, Scope};
use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization as _;

use super::{Brief, CampaignChannel};
use crate::brand::{Brand, CreateBrand, GetBrand, SetSender};
use crate::gate::{Channel, Network};

/// The brand a brief names, made when the workspace does not know it, with the brief's sender on its channels.
pub(super) async fn speaker(cx: &Scope, brief: &Brief) -> Result<Brand> {
    let slug = slug(&brief.brand);
    let brand = match cx.call(GetBrand { brand: slug.clone() }).await {
        Ok(brand) => brand,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            cx.call(CreateBrand {
                name: brief.brand.clone(),
                slug: Some(slug),
                postal_address: Some(brief.sender.postal_address.clone()),
                locale: Some(brief.locale.clone()),
                timezone: Some(brief.timezone.clone()),
                ..CreateBrand::default()
            })
            .await?
        }
        Err(error) => return Err(error),
    };
    for channel in &brief.channels {
        set_sender(cx, brief, &brand, *channel).await?;
    }
    Ok(brand)
}

async fn set_sender(cx: &Scope, brief: &Brief, brand: &Brand, channel: CampaignChannel) -> Result<()> {
    let Some(place) = gate_channel(channel) else { return Ok(()) };
    let is_mail = channel == CampaignChannel::Email;
    cx.call(SetSender {
        brand: brand.id.to_string(),
        channel: place,
        from: address(brief, channel),
        name: Some(brief.sender.name.clone()),
        reply_to: None,
        postal_address: is_mail.then(|| brief.sender.postal_address.clone()),
        unsubscribe_url: is_mail.then(|| brief.sender.unsubscribe_url.clone()),
    })
    .await
    .map(|_| ())
}

/// What the brand of a brief sends from on a channel.
pub(super) fn address(brief: &Brief, channel: CampaignChannel) -> String {
    match channel {
        CampaignChannel::Email => brief.sender.email.clone(),
        CampaignChannel::Sms => brief.sender.name.clone(),
        // The account of a network until a connection names another one.
        _ => slug(&brief.brand),
    }
}

/// The gate's word for a channel; ads and blog outlines go to nobody.
pub(super) fn gate_channel(channel: CampaignChannel) -> Option<Channel> {
    Some(match channel {
        CampaignChannel::Email => Channel::Email,
        CampaignChannel::Sms => Channel::Sms,
        CampaignChannel::X => Channel::Post(Network::X),
        CampaignChannel::Linkedin => Channel::Post(Network::Linkedin),
        CampaignChannel::Instagram => Channel::Post(Network::Instagram),
        CampaignChannel::Facebook => Channel::Post(Network::Facebook),
        CampaignChannel::Ads | CampaignChannel::Blog => return None,
    })
}

/// The short name of a brand: its letters and digits in ASCII, or a part of its hash when it has none.
pub(super) fn slug(name: &str) -> String {
    let plain: String = name.nfkd().filter(char::is_ascii).collect::<String>().to_lowercase();
    let words: Vec<&str> =
        plain.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).collect();
    let slug: String = words.join("-").chars().take(48).collect();
    let slug = slug.trim_end_matches('-');
    if slug.len() >= 2 {
        return slug.to_owned();
    }
    let hash: String = Sha256::digest(name.as_bytes()).iter().take(4).map(|b| format!("{b:02x}")).collect();
    format!("brand-{hash}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_short_one() {
        assert_eq!(slug("Brightmoor Coffee"), "brightmoor-coffee");
        assert_eq!(slug("Bergkaffee & Söhne"), "bergkaffee-sohne");
        assert!(slug("日本茶").starts_with("brand-"));
        assert_ne!(slug("日本茶"), slug("中国茶"));
    }
}
