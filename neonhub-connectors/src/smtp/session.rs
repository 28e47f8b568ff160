//! One connection: greeting, protection, sign-in, and the dialogue of a transaction step by step, so that an
//! error says whether the message can have been taken.

use std::time::Duration;

use lettre::Address;
use lettre::address::AddressError;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::ClientId;
use neonhub_core::connector::{RECIPIENT_DEFERRED, Receipt};
use neonhub_core::{Error, ErrorKind, Result, Retry, Secret};

use super::{Security, SmtpConfig};

pub(super) struct Session {
    connection: AsyncSmtpConnection,
    timeout: Duration,
    broken: bool,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("broken", &self.broken).finish_non_exhaustive()
    }
}

/// Where in a transaction an error came.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Before the first byte of the message: it was not taken.
    Before,
    /// The whole message was written and the answer is missing: it may have been taken.
    After,
}

impl Session {
    pub(super) async fn open(config: &SmtpConfig, port: u16, timeout: Duration) -> Result<Self> {
        let hello = config.hello.clone().map_or_else(ClientId::default, ClientId::Domain);
        let tls = match config.security {
            Security::None => None,
            Security::Starttls | Security::Tls => Some(tls(config)?),
        };
        let wrapped = tls.clone().filter(|_| config.security == Security::Tls);
        neonhub_core::network::check("smtp.connect", &config.host)?;
        let address = (config.host.as_str(), port);
        let connecting = AsyncSmtpConnection::connect_tokio1(address, Some(timeout), &hello, wrapped, None);
        let mut connection = within(timeout, connecting).await?;
        if let Some(tls) = tls.filter(|_| config.security == Security::Starttls) {
            if !connection.can_starttls() {
                return Err(Error::new(
                    ErrorKind::Config,
                    "smtp.connect",
                    "the server does not offer STARTTLS: use `tls`, or another server",
                ));
            }
            within(timeout, connection.starttls(tls, &hello)).await?;
        }
        if let (Some(user), Some(password)) = (&config.username, &config.password) {
            let credentials = Credentials::new(user.clone(), password.expose().to_owned());
            within(timeout, connection.auth(DEFAULT_MECHANISMS, &credentials)).await.map_err(sign_in)?;
        }
        Ok(Session { connection, timeout, broken: false })
    }

    /// True when the server still answers on this connection.
    pub(super) async fn answers(&mut self) -> bool {
        !self.broken
            && tokio::time::timeout(self.timeout, self.connection.test_connected()).await.unwrap_or(false)
    }

    pub(super) fn is_sound(&self) -> bool {
        !self.broken && !self.connection.has_broken()
    }

    pub(super) async fn send(&mut self, from: &str, to: &Secret, message: &[u8]) -> Result<Receipt> {
        let from: Address = from.parse().map_err(|e| bad_address("from", &e))?;
        let to: Address = to.expose().parse().map_err(|e| bad_address("to", &e))?;
        self.step(Mail::new(Some(from), Vec::new())).await?;
        if let Err(error) = self.step(Rcpt::new(to, Vec::new())).await {
            // The transaction is open: without a reset the next message would go to both.
            if self.step(Rset).await.is_err() {
                self.broken = true;
            }
            return Err(deferred(error));
        }
        self.step(Data).await?;
        let answer = tokio::time::timeout(self.timeout, self.connection.message(message)).await;
        match answer {
            Ok(Ok(response)) => {
                let said = response.first_line().unwrap_or_default().to_owned();
                Ok(Receipt {
                    provider_id: queue_id(&said),
                    provider_status: Some(response.code().to_string()),
                })
            }
            Ok(Err(cause)) => Err(self.failed(cause, Stage::After)),
            Err(_) => {
                self.broken = true;
                Err(unknown("the server did not answer in time after the message was handed over"))
            }
        }
    }

    async fn step(&mut self, command: impl std::fmt::Display) -> Result<()> {
        match tokio::time::timeout(self.timeout, self.connection.command(command)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(cause)) => Err(self.failed(cause, Stage::Before)),
            Err(_) => {
                self.broken = true;
                Err(not_in_time())
            }
        }
    }

    fn failed(&mut self, cause: SmtpError, stage: Stage) -> Error {
        let answered = cause.status().is_some();
        self.broken |= !answered;
        if stage == Stage::After && !answered {
            return unknown("the connection broke after the message was handed over").with_source(cause);
        }
        classify(cause)
    }
}

/// A passing refusal of the mailbox, such as greylisting, says nothing about the server; 421 is the server's own goodbye
/// (RFC 5321, section 3.8).
fn deferred(error: Error) -> Error {
    let is_own =
        error.context().any(|(key, value)| key == "status" && value.starts_with('4') && value != "421");
    if is_own { error.with_code(RECIPIENT_DEFERRED) } else { error }
}

/// What the server calls the message, out of answers such as `2.0.0 Ok: queued as 4A3F`.
fn queue_id(said: &str) -> String {
    let id = said.rsplit_once("queued as ").map_or(said, |(_, id)| id);
    id.trim().chars().take(200).collect()
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = std::result::Result<T, SmtpError>>,
) -> Result<T> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done.map_err(classify),
        Err(_) => Err(not_in_time()),
    }
}

fn not_in_time() -> Error {
    Error::new(ErrorKind::Timeout, "smtp.deliver", "the server did not answer in time; nothing was sent")
        .with_retry(Retry::Backoff)
}

fn unknown(message: &'static str) -> Error {
    Error::new(ErrorKind::OutcomeUnknown, "smtp.deliver", message)
}

fn bad_address(field: &str, cause: &AddressError) -> Error {
    Error::invalid("smtp.deliver", field, format!("expected an address the protocol takes: {cause}"))
}

/// A refused certificate comes as an I/O error of invalid data around the fault of the TLS library.
fn is_handshake(cause: &SmtpError) -> bool {
    let mut next = std::error::Error::source(cause);
    while let Some(error) = next {
        if error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::InvalidData)
        {
            return true;
        }
        next = error.source();
    }
    false
}

/// RFC 5321, section 4.2.1: 4yz may be tried again, 5yz may not.
fn classify(cause: SmtpError) -> Error {
    let status = cause.status().map(|code| code.to_string());
    let (kind, message, retry) = if cause.is_transient() {
        (ErrorKind::Unavailable, "the server refused for now", Retry::Backoff)
    } else if cause.is_permanent() {
        (ErrorKind::Blocked, "the server refused for good", Retry::Never)
    } else if cause.is_tls() || is_handshake(&cause) {
        (
            ErrorKind::Config,
            "the protected connection failed: check `security` and the server's certificate",
            Retry::Never,
        )
    } else {
        (ErrorKind::Unavailable, "the server cannot be reached", Retry::Backoff)
    };
    let mut error = Error::new(kind, "smtp.deliver", message).with_retry(retry);
    if let Some(status) = status {
        error = error.with_context("status", status);
    }
    error.with_source(cause)
}

fn sign_in(error: Error) -> Error {
    if error.kind() == ErrorKind::Blocked {
        return Error::new(
            ErrorKind::Unauthenticated,
            "smtp.connect",
            "the server refused user and password",
        )
        .with_source(error);
    }
    error
}

fn tls(config: &SmtpConfig) -> Result<TlsParameters> {
    let bad = |cause: SmtpError| {
        Error::new(ErrorKind::Config, "smtp.connect", "the TLS settings are not usable").with_source(cause)
    };
    let mut builder = TlsParameters::builder(config.host.clone());
    if let Some(path) = &config.ca_file {
        let pem = std::fs::read(path).map_err(|cause| {
            Error::new(ErrorKind::Config, "smtp.connect", "the file of `ca_file` cannot be read")
                .with_context("file", path.display())
                .with_source(cause)
        })?;
        builder = builder.add_root_certificate(Certificate::from_pem(&pem).map_err(bad)?);
    }
    builder.build_rustls().map_err(bad)
}
