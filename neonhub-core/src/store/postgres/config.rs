//! The store URL: what PostgreSQL clients know, and a few words of ours.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Config;

use crate::{Error, Result};

/// Connections a process holds at most, unless the URL says otherwise.
// Our choice; PostgreSQL admits 100 in all by default.
const POOL: usize = 10;
/// Time for one statement, unless the URL says otherwise.
const STATEMENT: Duration = Duration::from_secs(30);
/// Time to reach the server, unless the URL says otherwise.
const CONNECT: Duration = Duration::from_secs(10);

/// Settings of a PostgreSQL store.
#[derive(Clone)]
pub struct PostgresOptions {
    pub(super) server: Config,
    /// Server that migrations go to; the same as `server` when a pooler stands between.
    pub(super) migrate: Option<Config>,
    /// Standby that may answer reads.
    pub(super) replica: Option<Config>,
    /// Schema of the tables. Default: `neonhub`.
    pub schema: String,
    /// Connections at most, 1..=1000. Default: 10.
    pub pool: usize,
    /// Time for one statement. Default: 30 s.
    pub statement_timeout: Duration,
    /// Folder of what this process keeps beside the store, such as the outbox. Default: the working directory.
    pub folder: Option<PathBuf>,
    /// PEM file with the certificates that the server's must come from. Default: those of the system.
    pub root_certificates: Option<PathBuf>,
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The configuration holds the password.
        f.debug_struct("PostgresOptions")
            .field("schema", &self.schema)
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}

fn bad(expected: impl Into<String>) -> Error {
    Error::invalid("hub.open", "store", expected.into())
}

impl PostgresOptions {
    /// Reads a store URL: `postgres://USER:PASSWORD@HOST:PORT/DATABASE` with `sslmode`, `sslrootcert`,
    /// `connect_timeout` and the other words of PostgreSQL clients, and `schema`, `pool`, `folder`, `statement_timeout_ms` and
    /// `replica=HOST:PORT` of ours: a standby that answers reads which may be a little behind
    /// ([`Consistency`](crate::store::Consistency)).
    ///
    /// # Errors
    /// `InvalidInput` for a URL that cannot be read; it never repeats the URL, which may hold a password.
    pub fn from_url(url: &str) -> Result<Self> {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let mut options = PostgresOptions {
            server: Config::new(),
            migrate: None,
            replica: None,
            schema: "neonhub".into(),
            pool: POOL,
            statement_timeout: STATEMENT,
            folder: None,
            root_certificates: None,
        };
        let (mut theirs, mut replica) = (Vec::new(), None);
        for pair in query.split('&').filter(|p| !p.is_empty()) {
            if let Some(place) = pair.strip_prefix("replica=") {
                replica = Some(place);
            } else if !options.take(pair)? {
                theirs.push(pair);
            }
        }
        let rest = if theirs.is_empty() { base.to_owned() } else { format!("{base}?{}", theirs.join("&")) };
        options.server = rest.parse().map_err(|_| {
            bad("expected postgres://USER:PASSWORD@HOST:PORT/DATABASE with options PostgreSQL clients know")
        })?;
        if options.server.get_connect_timeout().is_none() {
            options.server.connect_timeout(CONNECT);
        }
        if options.server.get_application_name().is_none() {
            options.server.application_name("neonhub");
        }
        options.replica = replica.map(|place| standby(&options.server, place)).transpose()?;
        Ok(options)
    }

    /// Sends migrations to another address, for databases behind a pooler that cannot carry them.
    ///
    /// # Errors
    /// As [`PostgresOptions::from_url`].
    pub fn migrate_url(mut self, url: &str) -> Result<Self> {
        self.migrate = Some(Self::from_url(url)?.server);
        Ok(self)
    }

    /// Path that names this store on this machine: what is kept beside it has the same path with an ending, as beside
    /// a file.
    pub(crate) fn beside(&self) -> PathBuf {
        let database = self.server.get_dbname().or(self.server.get_user()).unwrap_or("postgres");
        // The name of a database may hold any character; that of a file may not.
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' };
        let name = format!("{}.{}", database.chars().map(plain).collect::<String>(), self.schema);
        self.folder.clone().unwrap_or_default().join(name)
    }

    /// True when the pair was one of our words.
    fn take(&mut self, pair: &str) -> Result<bool> {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "schema" => {
                let shaped = (1..=40).contains(&value.len())
                    && value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
                    && !value.starts_with(|c: char| c.is_ascii_digit())
                    && !value.starts_with("pg_");
                if !shaped {
                    return Err(bad("expected `schema` as 1..40 lower-case letters, digits and _"));
                }
                value.clone_into(&mut self.schema);
            }
            "pool" => {
                self.pool = number(value, 1, 1000).ok_or_else(|| bad("expected `pool` as 1..1000"))? as usize;
            }
            "statement_timeout_ms" => {
                let ms = number(value, 1, 86_400_000);
                let ms = ms.ok_or_else(|| bad("expected `statement_timeout_ms` as 1..86400000"))?;
                self.statement_timeout = Duration::from_millis(ms);
            }
            "folder" if value.is_empty() => return Err(bad("expected `folder` as a path")),
            "folder" => self.folder = Some(PathBuf::from(value)),
            "sslrootcert" => self.root_certificates = Some(PathBuf::from(value)),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// The settings of a server, for its standby at `HOST:PORT`.
fn standby(server: &Config, place: &str) -> Result<Config> {
    let wrong = || bad("expected `replica` as HOST:PORT");
    let (host, port) = place.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse::<u16>().ok().filter(|_| !host.is_empty()).ok_or_else(wrong)?;
    let mut config = Config::new();
    config
        .host(host.trim_start_matches('[').trim_end_matches(']'))
        .port(port)
        .ssl_mode(server.get_ssl_mode());
    if let Some(user) = server.get_user() {
        config.user(user);
    }
    if let Some(password) = server.get_password() {
        config.password(password);
    }
    // Without a name the database is the user's, here as there.
    if let Some(database) = server.get_dbname() {
        config.dbname(database);
    }
    if let Some(options) = server.get_options() {
        config.options(options);
    }
    if let Some(name) = server.get_application_name() {
        config.application_name(name);
    }
    if let Some(limit) = server.get_connect_timeout() {
        config.connect_timeout(*limit);
    }
    Ok(config)
}

fn number(text: &str, from: u64, to: u64) -> Option<u64> {
    text.parse().ok().filter(|n| (from..=to).contains(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_words_are_taken_and_the_rest_is_the_clients() {
        let url = "postgres://ada:secret@db.example:6432/shop?pool=4&sslmode=require&schema=crm&statement_timeout_ms=500";
        let options = PostgresOptions::from_url(url).unwrap();
        assert_eq!((options.pool, options.schema.as_str()), (4, "crm"));
        assert_eq!(options.statement_timeout, Duration::from_millis(500));
        assert_eq!(options.server.get_dbname(), Some("shop"));
        assert!(!format!("{options:?}").contains("secret"));
    }

    #[test]
    fn a_standby_is_reached_like_its_server() {
        let url = "postgres://ada:secret@db.example/shop?sslmode=require&replica=[::1]:6432";
        let replica = PostgresOptions::from_url(url).unwrap().replica.unwrap();
        assert_eq!(replica.get_hosts(), [tokio_postgres::config::Host::Tcp("::1".into())]);
        assert_eq!((replica.get_ports(), replica.get_dbname()), (&[6432][..], Some("shop")));
        assert_eq!((replica.get_user(), replica.get_password()), (Some("ada"), Some(&b"secret"[..])));
        assert_eq!(replica.get_ssl_mode(), tokio_postgres::config::SslMode::Require);
    }

    #[test]
    fn what_lies_beside_is_named_by_database_and_schema() {
        let of = |url: &str| PostgresOptions::from_url(url).unwrap().beside();
        assert_eq!(of("postgres://ada@h/shop"), PathBuf::from("shop.neonhub"));
        assert_eq!(
            of("postgres://ada@h/a.b?schema=crm&folder=/var/lib/n"),
            PathBuf::from("/var/lib/n/a_b.crm")
        );
    }

    #[test]
    fn wrong_urls_name_the_form_and_never_the_password() {
        for url in [
            "postgres://u:secret@h/db?pool=0",
            "postgres://u:secret@h/db?schema=Drop%20it",
            "postgres://u:secret@h/db?nonsense=1",
            "postgres://u:secret@h/db?folder=",
            "postgres://u:secret@h/db?replica=standby.example",
        ] {
            let error = PostgresOptions::from_url(url).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::InvalidInput);
            assert!(
                error.message().contains("expected") || error.to_string().contains("expected"),
                "{error}"
            );
            assert!(!format!("{error:?}").contains("secret"));
        }
    }
}
