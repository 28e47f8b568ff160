//! A connector whose service is called by the host language.

use std::fmt;

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use neonhub_core::connector::{
    Action, Channel, Cleared, Connector, EffectId, Manifest, Outbound, Payload, Probe, Receipt,
};
use neonhub_core::{Error, ErrorKind, Result, Retry};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Callback, HOST_ERROR, unreadable};

static ACTIONS: &[Action] = &[Action {
    name: "deliver",
    about: "Hands a cleared message to a function of the host application",
    idempotent: false,
}];

/// What a host says about its connector.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectorSettings {
    /// Short name, `snake_case`.
    pub name: String,
    /// Channels it delivers for.
    pub channels: Vec<String>,
}

/// A connector over callbacks.
pub struct HostConnector {
    manifest: &'static Manifest,
    channels: Vec<Channel>,
    deliver: Callback,
    probe: Option<Callback>,
}

impl fmt::Debug for HostConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostConnector").field("name", &self.manifest.id).finish_non_exhaustive()
    }
}

impl HostConnector {
    /// Checks the settings. `deliver` gets the message as JSON and answers the service's id as a string, or
    /// `{provider_id, provider_status?}`. `probe` gets `{effect, channel}` and answers the same, `false` for "did
    /// not happen", or `null` for "cannot tell".
    ///
    /// # Errors
    /// `InvalidInput` for an empty name or a word that is no channel.
    pub fn new(settings: ConnectorSettings, deliver: Callback, probe: Option<Callback>) -> Result<Self> {
        let shaped = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        if settings.name.is_empty() || settings.name.len() > 64 || !settings.name.bytes().all(shaped) {
            return Err(Error::invalid(
                "hub.add_connector",
                "name",
                "expected 1..64 characters of a-z, 0-9 and underscore",
            ));
        }
        if settings.channels.is_empty() {
            return Err(Error::invalid(
                "hub.add_connector",
                "channels",
                "expected at least one channel such as email",
            ));
        }
        let channels = settings.channels.iter().map(|word| Channel::new(word)).collect::<Result<Vec<_>>>()?;
        // Manifests are static data; an application adds a handful of connectors in its life.
        let name: &'static str = Box::leak(settings.name.into_boxed_str());
        let manifest = Box::leak(Box::new(Manifest {
            id: name,
            title: name,
            about: "A connector of the host application",
            actions: ACTIONS,
            source: "the host application",
            open: |_| {
                let message = "a connector of the host is added to the open hub, not opened from settings";
                Err(Error::new(ErrorKind::Unsupported, "connector.open", message))
            },
        }));
        Ok(HostConnector { manifest, channels, deliver, probe })
    }
}

#[async_trait]
impl Connector for HostConnector {
    fn manifest(&self) -> &'static Manifest {
        self.manifest
    }

    fn channels(&self) -> Vec<Channel> {
        self.channels.clone()
    }

    async fn deliver(&self, cleared: Cleared) -> Result<Receipt> {
        let answer =
            (self.deliver)(message(&cleared.into_outbound())).await.map_err(|e| self.classified(e))?;
        receipt(answer).ok_or_else(|| {
            // The function ended without an exception, so the service may well have the message.
            let error = unreadable(
                "connector.deliver",
                "the service's id as text, or provider_id with provider_status",
            );
            Error::new(ErrorKind::OutcomeUnknown, "connector.deliver", error.message().to_owned())
                .with_code("host_answer")
                .with_context("connector", self.manifest.id)
        })
    }

    async fn probe(&self, effect: &EffectId, channel: &Channel) -> Result<Probe> {
        let Some(probe) = &self.probe else { return Ok(Probe::Unknown) };
        let asked = json!({ "effect": effect.as_str(), "channel": channel.as_str() });
        match probe(asked).await.map_err(|e| e.for_operation("connector.probe"))? {
            Value::Null => Ok(Probe::Unknown),
            Value::Bool(false) => Ok(Probe::NotLanded),
            other => receipt(other).map(Probe::Landed).ok_or_else(|| {
                unreadable("connector.probe", "the service's id, False when it did not happen, or None")
            }),
        }
    }
}

impl HostConnector {
    /// An exception of unknown kind may have been raised after the service took the message.
    fn classified(&self, error: Error) -> Error {
        let error = if error.code() == HOST_ERROR {
            Error::new(ErrorKind::OutcomeUnknown, "connector.deliver", error.message().to_owned())
                .with_code(HOST_ERROR)
                .with_retry(Retry::Never)
                .with_source(error)
        } else {
            error.for_operation("connector.deliver")
        };
        error.with_context("connector", self.manifest.id)
    }
}

fn receipt(answer: Value) -> Option<Receipt> {
    match answer {
        Value::String(provider_id) => Some(Receipt { provider_id, provider_status: None }),
        Value::Object(_) => serde_json::from_value(answer).ok(),
        _ => None,
    }
}

/// The message as JSON. This is the one place where a recipient leaves its `Secret`.
fn message(outbound: &Outbound) -> Value {
    let payload = match &outbound.payload {
        Payload::Email { from, to, message } => json!({
            "kind": "email", "from": from, "to": to.expose(), "message_base64": BASE64_STANDARD.encode(message),
        }),
        Payload::Text { from, to, body } => {
            json!({ "kind": "text", "from": from, "to": to.expose(), "body": body })
        }
        Payload::Post { account, text, link, alt_texts } => json!({
            "kind": "post", "account": account, "text": text, "link": link, "alt_texts": alt_texts,
        }),
    };
    json!({
        "channel": outbound.channel.as_str(),
        "effect": outbound.effect.as_str(),
        "facts": outbound.facts,
        "payload": payload,
    })
}
