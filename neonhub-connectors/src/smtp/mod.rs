//! E-mail through an SMTP server.
#![doc = include_str!("docs.md")]

mod session;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use neonhub_core::connector::{Action, Channel, Cleared, Connector, Manifest, Payload, Receipt};
use neonhub_core::{Error, ErrorKind, Result, Secret};
use serde::{Deserialize, Deserializer};
use tokio::sync::Mutex;

use self::session::Session;

/// What the SMTP connector is.
pub static MANIFEST: Manifest = Manifest {
    id: "smtp",
    title: "SMTP",
    about: "Sends e-mail through an SMTP server",
    actions: &[Action { name: "deliver", about: "Sends one message to one recipient", idempotent: false }],
    source: "RFC 5321, RFC 3207, RFC 4954",
    open: |settings| Ok(Arc::new(Smtp::from_settings(crate::settings("smtp", settings)?)?)),
};

/// How the connection is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Security {
    /// Plain first, then upgraded; a server that cannot is refused. Usual port 587.
    #[default]
    Starttls,
    /// TLS from the first byte. Usual port 465.
    Tls,
    /// No protection. Accepted for loopback addresses only.
    None,
}

/// Settings of the SMTP connector.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SmtpConfig {
    /// Name or address of the server. Required.
    pub host: String,
    /// Port. Default: 587, or 465 with `tls`.
    pub port: Option<u16>,
    /// Protection. Default `starttls`.
    pub security: Security,
    /// User, when the server asks for one.
    pub username: Option<String>,
    /// Its password.
    #[serde(deserialize_with = "secret")]
    pub password: Option<Secret>,
    /// PEM file with a further root certificate to trust.
    pub ca_file: Option<PathBuf>,
    /// Name given in EHLO. Default: the machine's address literal.
    pub hello: Option<String>,
    /// Time for one step of the dialogue, in milliseconds. Default 30 000.
    pub timeout_ms: Option<u64>,
}

fn secret<'de, D: Deserializer<'de>>(d: D) -> std::result::Result<Option<Secret>, D::Error> {
    Ok(Option::<String>::deserialize(d)?.map(Secret::new))
}

/// Sends e-mail through an SMTP server, one recipient per transaction, over one connection that is kept.
#[derive(Debug)]
pub struct Smtp {
    config: SmtpConfig,
    idle: Mutex<Option<Session>>,
}

impl Smtp {
    /// A connector from settings; connects at the first message.
    ///
    /// # Errors
    /// `InvalidInput` naming a missing or wrong setting.
    pub fn from_settings(config: SmtpConfig) -> Result<Self> {
        let mut faults = neonhub_core::Faults::new();
        faults.check(!config.host.trim().is_empty(), "host", "expected the name of the server");
        let loopback = config.host == "localhost"
            || config.host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        faults.check(
            config.security != Security::None || loopback,
            "security",
            "expected starttls or tls: mail leaves this machine unprotected otherwise",
        );
        faults.check(
            config.username.is_some() == config.password.is_some(),
            "password",
            "expected both username and password, or neither",
        );
        faults.into_result("smtp.open")?;
        Ok(Smtp { config, idle: Mutex::new(None) })
    }

    fn port(&self) -> u16 {
        let usual = if self.config.security == Security::Tls { 465 } else { 587 };
        self.config.port.unwrap_or(usual)
    }

    fn timeout(&self) -> Duration {
        Duration::from_millis(self.config.timeout_ms.unwrap_or(30_000))
    }

    /// A connection that answers: the idle one if it still does.
    async fn session(&self) -> Result<Session> {
        if let Some(mut session) = self.idle.lock().await.take()
            && session.answers().await
        {
            return Ok(session);
        }
        Session::open(&self.config, self.port(), self.timeout()).await
    }
}

#[async_trait]
impl Connector for Smtp {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn channels(&self) -> Vec<Channel> {
        Channel::new("email").into_iter().collect()
    }

    async fn deliver(&self, cleared: Cleared) -> Result<Receipt> {
        let outbound = cleared.into_outbound();
        let Payload::Email { from, to, message } = outbound.payload else {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "smtp.deliver",
                "this connector sends e-mail alone",
            ));
        };
        let mut session = self.session().await?;
        let answer = session.send(&from, &to, &message).await;
        if session.is_sound() {
            *self.idle.lock().await = Some(session);
        }
        answer
    }

    async fn reconnect(&self) -> Result<()> {
        // A connection that hangs would take its time to be found out: it is dropped unasked.
        self.idle.lock().await.take();
        let session = Session::open(&self.config, self.port(), self.timeout()).await?;
        *self.idle.lock().await = Some(session);
        Ok(())
    }

    async fn health(&self) -> Result<()> {
        let session = self.session().await?;
        *self.idle.lock().await = Some(session);
        Ok(())
    }
}

#[cfg(test)]
mod tests {

    #[test]
    fn settings_are_checked_and_secrets_are_not_printed() {
        let open = |json: serde_json::Value| crate::open("smtp", json);
        let error =
            open(serde_json::json!({ "username": "u", "security": "none", "host": "mail.shop.example" }))
                .unwrap_err();
        let fields: Vec<_> = error.field_faults().iter().map(|f| f.field.as_str()).collect();
        assert_eq!(fields, ["security", "password"]);
        let good =
            open(serde_json::json!({ "host": "mail.shop.example", "username": "u", "password": "hunter2" }))
                .unwrap();
        assert!(!format!("{good:?}").contains("hunter2"));
    }
}
