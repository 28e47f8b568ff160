//! A composed text as the report shows it, as a draft holds it, and as a brief asks for it.

use std::collections::BTreeMap;

use neonhub_core::{Error, Result};

use super::model::AssetText;
use super::report::{AssetFinding, AssetPart, Citation, LimitCheck};
use super::speaker::slug;
use super::{Brief, CampaignChannel};
use crate::email::{Button, Footer, Layout};
use crate::link::{Utm, apply};
use crate::send;
use crate::voice::ComposedText;
use crate::voice::compose::{self, EmailParts, Parts, PostParts};

/// What the composer is asked for: the brief without what it forbids itself, with a link that tells the channel.
pub(super) fn ask(brief: &Brief, messages: &[String], link: &str) -> compose::Brief {
    let sayable = |text: &String| !brief.forbids(text);
    compose::Brief {
        goal: if brief.forbids(&brief.goal) { String::new() } else { brief.goal.clone() },
        topic: None,
        audience_text: if brief.forbids(&brief.audience_text) {
            String::new()
        } else {
            brief.audience_text.clone()
        },
        key_messages: messages.to_vec(),
        offer: brief.offer.clone().filter(sayable),
        must_say: brief.must_say.clone(),
        must_not_say: brief.must_not_say.clone(),
        landing_url: link.to_owned(),
        locale: brief.locale.clone(),
        sender_name: Some(brief.sender.name.clone()),
        own_contacts: vec![brief.sender.email.clone(), brief.sender.postal_address.clone()],
    }
}

/// The landing address with the parameters that tell where a click came from.
pub(super) fn link(brief: &Brief, channel: CampaignChannel, position: u32) -> Result<String> {
    let (source, medium) = match channel {
        CampaignChannel::Email => ("newsletter", "email"),
        CampaignChannel::Sms => ("text", "sms"),
        CampaignChannel::Ads => ("search", "cpc"),
        CampaignChannel::Blog => ("blog", "content"),
        post => (post.word(), "social"),
    };
    let key = brief.key();
    let utm = Utm {
        source: source.to_owned(),
        medium: medium.to_owned(),
        // The start of the key tells two campaigns of a brand apart, and no word of the goal leaks into a link.
        campaign: format!("{}-{}", slug(&brief.brand), key.get(..8).unwrap_or_default()),
        content: Some(format!("{channel}-{position}")),
        ..Utm::default()
    };
    apply(&brief.landing_url, &utm, &[]).map_err(|e| e.for_operation("campaign.generate_assets"))
}

/// One version of an asset, from what the composer gave. `titles` names a document for readers.
pub(super) fn text(
    composed: ComposedText,
    titles: &BTreeMap<String, String>,
    left_out: &[AssetFinding],
) -> AssetText {
    let title = |id: &String| titles.get(id).unwrap_or(id).clone();
    let cite = |c: &compose::Cited| Citation {
        document: title(&c.document),
        chunk: c.chunk.clone(),
        quote: c.quote.clone(),
    };
    AssetText {
        voice_score: composed.alignment.as_ref().map(|a| a.score),
        findings: left_out.iter().cloned().chain(composed.guardrail.findings.iter().map(finding)).collect(),
        limits: composed.counts.iter().map(limit).collect(),
        citations: composed.citations.iter().map(cite).collect(),
        parts: composed.parts,
    }
}

fn finding(found: &crate::guardrail::Finding) -> AssetFinding {
    use crate::guardrail::Level;
    let level = match found.level {
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Block => "block",
    };
    let fix = if found.fix.is_empty() { String::new() } else { format!(": {}", found.fix) };
    AssetFinding { rule: found.rule.clone(), level: level.into(), message: format!("{}{fix}", found.message) }
}

fn limit(count: &compose::Count) -> LimitCheck {
    LimitCheck {
        field: count.field.replace('_', " "),
        count: count.length.into(),
        limit: count.limit.into(),
        unit: count.unit.clone(),
    }
}

/// The parts in reading order, by names for people.
pub(super) fn shown(parts: &Parts) -> Vec<AssetPart> {
    let part = |name: &str, text: &str| AssetPart { name: name.to_owned(), text: text.to_owned() };
    let numbered = |name: &str, list: &[String]| -> Vec<AssetPart> {
        list.iter().enumerate().map(|(i, text)| part(&format!("{name} {}", i + 1), text)).collect()
    };
    match parts {
        Parts::Email(mail) => {
            let mut list = vec![part("subject", &mail.subject), part("preheader", &mail.preheader)];
            list.push(part("heading", &mail.heading));
            list.push(part("greeting", &mail.greeting.general));
            list.extend(numbered("paragraph", &mail.paragraphs));
            list.push(part("button", &mail.cta.label));
            list.push(part("sign-off", &mail.sign_off));
            list
        }
        Parts::Sms(sms) => vec![part("body", &sms.body)],
        Parts::Post(post) => vec![part("text", &post.text)],
        Parts::Ads(ad) => {
            let mut list = numbered("headline", &ad.headlines);
            list.extend(numbered("description", &ad.descriptions));
            list.push(part("shown path", &ad.paths.join("/")));
            list
        }
        Parts::Blog(blog) => {
            let mut list = vec![part("title", &blog.title), part("summary", &blog.meta_description)];
            list.push(part("opening", &blog.intro));
            for section in &blog.sections {
                let points: Vec<String> = section.points.iter().map(|p| format!("\u{2022} {p}")).collect();
                list.push(part(&section.heading, &points.join("\n")));
            }
            list.push(part("button", &blog.cta.label));
            list
        }
    }
}

/// The parts of the draft that is sent or posted; `None` for what goes to nobody.
///
/// # Errors
/// `Internal` when the parts are not of the channel.
pub(super) fn draft_parts(
    brief: &Brief,
    channel: CampaignChannel,
    parts: &Parts,
) -> Result<Option<send::Parts>> {
    let text_of = |text: &str| send::Parts { text: Some(text.to_owned()), ..send::Parts::default() };
    match (channel, parts) {
        (CampaignChannel::Email, Parts::Email(mail)) => Ok(Some(mail_parts(brief, mail))),
        (CampaignChannel::Sms, Parts::Sms(sms)) => Ok(Some(text_of(&sms.body))),
        (channel, Parts::Post(post)) if channel.is_post() => Ok(Some(post_parts(brief, channel, post))),
        (CampaignChannel::Ads, Parts::Ads(_)) | (CampaignChannel::Blog, Parts::Blog(_)) => Ok(None),
        _ => {
            let why = "the composer answered for another channel";
            Err(Error::new(neonhub_core::ErrorKind::Internal, "campaign.generate_assets", why))
        }
    }
}

/// Mail in both twins. The greeting is chosen per recipient, everything else is fixed.
fn mail_parts(brief: &Brief, mail: &EmailParts) -> send::Parts {
    let greeting = &mail.greeting;
    let hello = if greeting.personal.is_empty() {
        greeting.general.clone()
    } else {
        format!(
            "{{% if first_name is defined %}}{}{{% else %}}{}{{% endif %}}",
            greeting.personal, greeting.general
        )
    };
    let mut paragraphs = vec![hello];
    paragraphs.extend(mail.paragraphs.iter().cloned());
    let layout = Layout {
        locale: brief.locale.clone(),
        preheader: mail.preheader.clone(),
        heading: mail.heading.clone(),
        paragraphs,
        button: Some(Button { label: mail.cta.label.clone(), url: mail.cta.url.clone() }),
        sign_off: mail.sign_off.clone(),
        footer: Footer {
            sender: brief.sender.name.clone(),
            postal_address: brief.sender.postal_address.clone(),
            unsubscribe_url: "{{ unsubscribe_url }}".into(),
            unsubscribe_label: "Unsubscribe".into(),
            reason: format!("You get this mail because you agreed to hear from {}.", brief.brand),
        },
        accent: String::new(),
    };
    let twins = layout.render();
    send::Parts {
        subject: Some(mail.subject.clone()),
        html: Some(twins.html),
        text: Some(twins.text),
        ..send::Parts::default()
    }
}

fn post_parts(brief: &Brief, channel: CampaignChannel, post: &PostParts) -> send::Parts {
    let mut parts = send::Parts { text: Some(post.text.clone()), ..send::Parts::default() };
    if channel == CampaignChannel::Instagram {
        // Instagram takes no post without a picture: its alternative text says which one belongs here.
        let about = brief.sayable_messages().next().unwrap_or(&brief.brand);
        parts.alt_texts = vec![format!("{}: {about}", brief.brand)];
    }
    parts
}
