//! Drafts into messages: compiled once per batch, rendered per recipient, strict about missing values.

use std::collections::BTreeMap;

use neonhub_core::connector::{EffectId, Outbound, Payload};
use neonhub_core::{Error, Faults, Result, Scope, Secret, Timestamp};
use serde_json::{Map, Value, json};

use super::{Draft, Parts, Send};
use crate::brand::SenderProfile;
use crate::consent::token::{SigningKey, UnsubscribeClaim, sign};
use crate::consent::{Channel as ConsentChannel, ConsentScope};
use crate::email::{ListUnsubscribe, Mail, Mailbox};
use crate::gate::{Category, Channel, has_placeholder};
use crate::people::{IdentityId, Person};
use crate::sms;
use crate::template::{PartKind, Template};

/// Variables that every template may read without declaring them. `traits.<name>` is one too.
pub(super) const RECIPIENT_VARIABLES: [&str; 9] = [
    "first_name",
    "last_name",
    "locale",
    "country",
    "unsubscribe_url",
    "sender_name",
    "sender_address",
    "traits",
    "tags",
];

/// A draft ready to be rendered.
#[derive(Debug)]
pub(super) struct Compiled {
    template: Template,
    draft: Draft,
    sender: SenderProfile,
    has_html: bool,
}

/// Who a message is rendered for.
#[derive(Debug)]
pub(super) struct To<'a> {
    pub(super) person: &'a Person,
    pub(super) identity: &'a IdentityId,
    pub(super) address: &'a Secret,
}

/// The parts of one rendered message.
#[derive(Clone, Debug, Default)]
pub(super) struct Rendered {
    pub(super) subject: String,
    pub(super) html: String,
    pub(super) text: String,
    pub(super) link: Option<String>,
}

impl Rendered {
    pub(super) fn has_placeholder(&self) -> bool {
        // Style sheets may hold braces: only where marks stand at all is it worth to see what a reader sees.
        if !has_placeholder(&self.html) {
            return [&self.subject, &self.text].into_iter().any(|part| has_placeholder(part));
        }
        let html = crate::gate::visible_text(&self.html);
        [self.subject.as_str(), &html, &self.text].into_iter().any(has_placeholder)
    }
}

fn sources<'a>(parts: &'a Parts, text: &'a str) -> Vec<(&'static str, PartKind, &'a str)> {
    let mut out = vec![("text", PartKind::Text, text)];
    out.extend(parts.subject.as_deref().map(|s| ("subject", PartKind::Header, s)));
    out.extend(parts.html.as_deref().map(|s| ("html", PartKind::Html, s)));
    out.extend(parts.link.as_deref().map(|s| ("link", PartKind::Header, s)));
    out
}

impl Compiled {
    pub(super) fn new(draft: &Draft, sender: &SenderProfile) -> Result<Self> {
        let derived;
        let text = match (&draft.parts.text, &draft.parts.html) {
            (Some(text), _) => text.as_str(),
            (None, Some(html)) => {
                derived = crate::email::text_of(html)?;
                &derived
            }
            (None, None) => "",
        };
        let template = Template::compile(&sources(&draft.parts, text))?;
        let has_html = draft.parts.html.is_some();
        Ok(Compiled { template, draft: draft.clone(), sender: sender.clone(), has_html })
    }

    pub(super) fn draft(&self) -> &Draft {
        &self.draft
    }

    /// True when its messages carry a link to leave the list.
    pub(super) fn has_unsubscribe(&self) -> bool {
        self.sender.unsubscribe_url.is_some()
    }

    /// Variables that neither the recipient nor the draft gives.
    pub(super) fn unknown_variables(&self) -> Vec<String> {
        let known = |name: &String| {
            let first = name.split('.').next().unwrap_or_default();
            RECIPIENT_VARIABLES.contains(&first) || self.draft.variables.contains_key(first)
        };
        self.template.reads().into_iter().filter(|name| !known(name)).collect()
    }

    pub(super) fn render(&self, vars: &Value) -> Result<Rendered> {
        let part = |name: &str, is_there: bool| {
            if is_there { self.template.render(name, vars) } else { Ok(String::new()) }
        };
        Ok(Rendered {
            subject: part("subject", self.draft.parts.subject.is_some())?,
            html: part("html", self.has_html)?,
            text: part("text", true)?,
            link: self.draft.parts.link.as_ref().map(|_| part("link", true)).transpose()?,
        })
    }

    /// The text of a public post.
    pub(super) fn public_text(&self) -> Result<String> {
        self.template.render("text", &Value::Object(self.common_vars()))
    }

    fn common_vars(&self) -> Map<String, Value> {
        let mut vars: Map<String, Value> =
            self.draft.variables.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        vars.insert("sender_name".into(), json!(self.sender.name));
        if let Some(address) = &self.sender.postal_address {
            vars.insert("sender_address".into(), json!(address));
        }
        vars
    }

    /// Values that stand for a recipient while a draft is checked.
    pub(super) fn sample_vars(&self) -> Value {
        let mut vars = self.common_vars();
        for (name, value) in [("first_name", "Alex"), ("last_name", "Example"), ("country", "AT")] {
            vars.insert(name.into(), json!(value));
        }
        vars.insert("locale".into(), json!(self.draft.locale));
        vars.insert("tags".into(), json!([]));
        let traits: Map<String, Value> = self
            .template
            .reads()
            .iter()
            .filter_map(|name| name.strip_prefix("traits.").map(|t| (t.to_owned(), json!("value"))))
            .collect();
        vars.insert("traits".into(), Value::Object(traits));
        if let Some(url) = self.unsubscribe_url("sample") {
            vars.insert("unsubscribe_url".into(), json!(url));
        }
        Value::Object(vars)
    }

    pub(super) fn unsubscribe_url(&self, token: &str) -> Option<String> {
        let base = self.sender.unsubscribe_url.as_deref()?;
        let joint = if base.contains('?') { '&' } else { '?' };
        Some(format!("{base}{joint}token={token}"))
    }

    fn vars_of(&self, to: &To<'_>, unsubscribe_url: Option<&str>) -> Value {
        let mut vars = self.common_vars();
        let person = to.person;
        let texts = [
            ("first_name", person.first_name.as_deref()),
            ("last_name", person.last_name.as_deref()),
            ("country", person.country.as_deref()),
            ("locale", Some(person.locale.as_deref().unwrap_or(&self.draft.locale))),
            ("unsubscribe_url", unsubscribe_url),
        ];
        // An empty name is a missing one, so that `default` fills it.
        for (name, value) in texts {
            if let Some(value) = value.map(one_line).filter(|v| !v.is_empty()) {
                vars.insert(name.into(), json!(value));
            }
        }
        vars.insert("tags".into(), json!(person.tags));
        let traits: BTreeMap<&str, &Value> =
            person.traits.iter().map(|(n, t)| (n.as_str(), &t.value)).collect();
        vars.insert("traits".into(), json!(traits));
        Value::Object(vars)
    }
}

/// What a person is called, on one line: a stray line break is no reason to lose the message.
fn one_line(text: &str) -> String {
    text.split(|c: char| c.is_control() || c.is_whitespace())
        .filter(|w| !w.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// A message for the connector and what its send record keeps of it.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) outbound: Outbound,
    pub(super) has_placeholder: bool,
    pub(super) segments: Option<u32>,
    pub(super) shows_opt_out: bool,
}

/// Writes the message of `send` to one recipient.
///
/// # Errors
/// `InvalidInput` naming the part when a value is missing or breaks a header.
pub(super) fn personal(
    cx: &Scope,
    key: Option<&SigningKey>,
    compiled: &Compiled,
    send: &Send,
    to: &To<'_>,
) -> Result<Ready> {
    let key = key.filter(|_| compiled.has_unsubscribe());
    let token = key.map(|key| token(cx, key, send, to)).transpose()?;
    let url = token.as_deref().and_then(|t| compiled.unsubscribe_url(t));
    let rendered = compiled.render(&compiled.vars_of(to, url.as_deref()))?;
    let has_placeholder = rendered.has_placeholder();
    let (payload, segments, shows_opt_out) = match compiled.draft.channel {
        Channel::Email => (email(cx.now(), compiled, send, to, &rendered, url)?, None, false),
        _ => {
            let counted = sms::segment(&rendered.text);
            if counted.segments == 0 || counted.segments > sms::MAX_SEGMENTS {
                return Err(Error::invalid("sends.render", "text", "expected a text of 1 to 255 segments"));
            }
            let seen = crate::gate::inspect_sms(&rendered.text, &compiled.sender.name);
            let payload = Payload::Text {
                from: compiled.sender.from.clone(),
                to: to.address.clone(),
                body: rendered.text.clone(),
            };
            (payload, Some(counted.segments), seen.has_opt_out)
        }
    };
    let outbound = outbound(compiled, send, payload, segments)?;
    Ok(Ready { outbound, has_placeholder, segments, shows_opt_out })
}

/// Writes a public post.
///
/// # Errors
/// `InvalidInput` when a variable is missing.
pub(super) fn public(compiled: &Compiled, send: &Send) -> Result<Ready> {
    let rendered = compiled.render(&Value::Object(compiled.common_vars()))?;
    let has_placeholder = rendered.has_placeholder();
    let payload = Payload::Post {
        account: compiled.sender.from.clone(),
        text: rendered.text,
        link: rendered.link,
        alt_texts: compiled.draft.parts.alt_texts.clone(),
    };
    let outbound = outbound(compiled, send, payload, None)?;
    Ok(Ready { outbound, has_placeholder, segments: None, shows_opt_out: false })
}

/// What is asked of the gate about a send that cannot be written because no address is known: it will refuse.
pub(super) fn unaddressed(compiled: &Compiled, send: &Send) -> Result<Ready> {
    let (from, to) = (compiled.sender.from.clone(), Secret::new(""));
    let outbound = outbound(compiled, send, Payload::Text { from, to, body: String::new() }, None)?;
    Ok(Ready { outbound, has_placeholder: false, segments: None, shows_opt_out: false })
}

fn outbound(compiled: &Compiled, send: &Send, payload: Payload, segments: Option<u32>) -> Result<Outbound> {
    let mut facts = Map::new();
    facts.insert("send".into(), json!(send.id));
    facts.insert("draft".into(), json!(send.draft));
    facts.insert("category".into(), json!(send.category));
    for (name, value) in [("campaign", &send.campaign), ("step", &send.step)] {
        if let Some(value) = value {
            facts.insert(name.into(), json!(value));
        }
    }
    if let Some(segments) = segments {
        facts.insert("segments".into(), json!(segments));
    }
    if !compiled.draft.attribution.citations.is_empty() {
        facts.insert("citations".into(), json!(compiled.draft.attribution.citations));
    }
    Ok(Outbound {
        channel: core_channel(send.channel)?,
        effect: send.effect.clone(),
        payload,
        facts: Value::Object(facts),
    })
}

/// The channel in the words of the connectors.
pub(crate) fn core_channel(channel: Channel) -> Result<neonhub_core::connector::Channel> {
    neonhub_core::connector::Channel::new(&channel.word())
}

fn email(
    date: Timestamp,
    compiled: &Compiled,
    send: &Send,
    to: &To<'_>,
    rendered: &Rendered,
    unsubscribe: Option<String>,
) -> Result<Payload> {
    let sender = &compiled.sender;
    let from = Mailbox::new("sender.from", &sender.name, &sender.from)?;
    let name = |n: &Option<String>| n.as_deref().map(one_line).unwrap_or_default();
    let full = format!("{} {}", name(&to.person.first_name), name(&to.person.last_name));
    let recipient = Mailbox::new("to", full.trim(), to.address.expose())?;
    let reply_to = sender.reply_to.as_deref().map(|a| Mailbox::new("sender.reply_to", "", a)).transpose()?;
    let leave = unsubscribe.map(|url| ListUnsubscribe { url, mailto: None, one_click: true });
    let text_html;
    let html = if compiled.has_html {
        rendered.html.as_str()
    } else {
        text_html = crate::email::html_of(&rendered.text);
        &text_html
    };
    let mail = Mail {
        effect_id: send.effect.as_str(),
        date,
        from: &from,
        to: &recipient,
        reply_to: reply_to.as_ref(),
        subject: &rendered.subject,
        text: &rendered.text,
        html,
        unsubscribe: leave.as_ref().filter(|_| compiled.draft.category != Category::Legal),
        headers: &[],
    };
    let message = mail.write()?.bytes;
    Ok(Payload::Email { from: from.address().to_owned(), to: Secret::new(recipient.address()), message })
}

fn token(cx: &Scope, key: &SigningKey, send: &Send, to: &To<'_>) -> Result<String> {
    let claim = UnsubscribeClaim {
        workspace: cx.workspace().to_string(),
        person: to.person.id.clone(),
        identity: to.identity.clone(),
        channel: send.channel.consent_channel().unwrap_or(ConsentChannel::Email),
        list: ConsentScope::Marketing,
        brand: None,
    };
    sign(key, &claim)
}

/// Checks the parts a channel needs.
pub(super) fn check_parts(channel: Channel, parts: &Parts, faults: &mut Faults) {
    let has = |part: &Option<String>| part.as_deref().is_some_and(|p| !p.trim().is_empty());
    if channel == Channel::Email {
        faults.check(has(&parts.subject), "parts.subject", "expected a subject");
        faults.check(has(&parts.html) || has(&parts.text), "parts.html", "expected html or text");
    } else {
        faults.check(has(&parts.text), "parts.text", "expected a text");
        faults.check(
            parts.subject.is_none() && parts.html.is_none(),
            "parts",
            "expected text alone on this channel",
        );
    }
    if channel.is_personal() {
        faults.check(
            parts.link.is_none() && parts.alt_texts.is_empty(),
            "parts",
            "expected link and media on posts only",
        );
    }
}

/// The effect of a send: the same dedupe key is the same effect, in whatever process or run.
pub(super) fn effect_of(cx: &Scope, dedupe_key: &str) -> EffectId {
    EffectId::of(&["send", cx.workspace().as_str(), dedupe_key])
}
