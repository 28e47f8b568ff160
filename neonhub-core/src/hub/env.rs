//! Settings from the environment: read when the host asks for it, by the names listed here, and never otherwise.

use std::sync::Arc;

use super::builder::{HubBuilder, KEY_VARIABLE as ROOT_KEY};
use crate::vault::RootKey;
use crate::{Error, ErrorKind, Result, Secret};

/// What `HubBuilder::from_env` found beside the store. The crates above find it as a service of the hub.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct EnvSettings {
    /// `DIRECT_DATABASE_URL`: the store for migrations, past a connection pooler.
    pub direct_database_url: Option<Secret>,
    /// `OPENAI_API_KEY`.
    pub openai_api_key: Option<Secret>,
    /// `ANTHROPIC_API_KEY`.
    pub anthropic_api_key: Option<Secret>,
    /// `RESEND_API_KEY`.
    pub resend_api_key: Option<Secret>,
    /// `TWILIO_SID`.
    pub twilio_sid: Option<String>,
    /// `TWILIO_AUTH_TOKEN`.
    pub twilio_auth_token: Option<Secret>,
    /// `STRIPE_SECRET_KEY`.
    pub stripe_secret_key: Option<Secret>,
    /// `STRIPE_WEBHOOK_SECRET`.
    pub stripe_webhook_secret: Option<Secret>,
    /// `SENTRY_DSN`: for an error sink of the host; nothing is sent without one.
    pub sentry_dsn: Option<Secret>,
    /// `CORS_ORIGINS`, split at commas: for an HTTP host.
    pub cors_origins: Vec<String>,
    /// `USE_MOCK_CONNECTORS` is `true`: connectors reach nobody.
    pub use_mock_connectors: bool,
    /// Names that are accepted and do nothing here.
    pub unused: Vec<String>,
}

impl HubBuilder {
    /// Takes settings from the environment: `DATABASE_URL` as the store, `NEONHUB_KEY` as the root key,
    /// `USE_MOCK_CONNECTORS`, and for the crates above `DIRECT_DATABASE_URL`, `OPENAI_API_KEY`, `ANTHROPIC_API_KEY`,
    /// `RESEND_API_KEY`, `TWILIO_SID`, `TWILIO_AUTH_TOKEN`, `STRIPE_SECRET_KEY`, `STRIPE_WEBHOOK_SECRET`, `SENTRY_DSN`
    /// and `CORS_ORIGINS`. `REDIS_URL` is accepted and reported as unused. What was set by hand after this stays.
    ///
    /// # Errors
    /// `Config` naming the variable with a wrong value.
    #[allow(clippy::wrong_self_convention, reason = "a builder takes itself by value")]
    pub fn from_env(self) -> Result<Self> {
        self.from_vars(|name| std::env::var(name).ok())
    }

    /// As [`from_env`](Self::from_env), from another source of variables.
    ///
    /// # Errors
    /// `Config` naming the variable with a wrong value.
    #[allow(clippy::wrong_self_convention, reason = "a builder takes itself by value")]
    pub fn from_vars(mut self, read: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let text = |name: &str| read(name).filter(|value| !value.trim().is_empty());
        let secret = |name: &str| text(name).map(Secret::new);
        let mut settings = EnvSettings {
            direct_database_url: secret("DIRECT_DATABASE_URL"),
            openai_api_key: secret("OPENAI_API_KEY"),
            anthropic_api_key: secret("ANTHROPIC_API_KEY"),
            resend_api_key: secret("RESEND_API_KEY"),
            twilio_sid: text("TWILIO_SID"),
            twilio_auth_token: secret("TWILIO_AUTH_TOKEN"),
            stripe_secret_key: secret("STRIPE_SECRET_KEY"),
            stripe_webhook_secret: secret("STRIPE_WEBHOOK_SECRET"),
            sentry_dsn: secret("SENTRY_DSN"),
            ..EnvSettings::default()
        };
        let origins = text("CORS_ORIGINS").unwrap_or_default();
        settings.cors_origins =
            origins.split(',').map(|o| o.trim().to_owned()).filter(|o| !o.is_empty()).collect();
        settings.use_mock_connectors = match text("USE_MOCK_CONNECTORS").as_deref() {
            None | Some("false" | "0") => false,
            Some("true" | "1") => true,
            Some(_) => {
                return Err(Error::new(ErrorKind::Config, "hub.from_env", "expected true or false")
                    .with_context("variable", "USE_MOCK_CONNECTORS"));
            }
        };
        if text("REDIS_URL").is_some() {
            tracing::info!("REDIS_URL is set and not used: queues and events live in the store");
            settings.unused.push("REDIS_URL".to_owned());
        }
        if let Some(url) = text("DATABASE_URL") {
            self = self.store(url);
        }
        if let Some(key) = secret(ROOT_KEY) {
            self = self.root_key(RootKey::from_hex(key.expose(), format!("variable {ROOT_KEY}"))?);
        }
        if settings.use_mock_connectors {
            self = self.mock_connectors();
        }
        Ok(self.service(Arc::new(settings)))
    }
}
