//! Connections: the pool, what each is told when it is made, and requests sent ahead of their answers.

use std::sync::Arc;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use futures_util::future::BoxFuture;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio_postgres::{Config, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::config::PostgresOptions;
use super::error::{failed, is_away, no_connection};
use crate::{Error, ErrorKind, Result};

/// Waiting for a free connection.
const WAIT: std::time::Duration = std::time::Duration::from_secs(30);

/// TLS with the roots of the system or of the given file. Certificates are always verified.
pub(super) fn tls(options: &PostgresOptions) -> Result<MakeRustlsConnect> {
    let mut roots = rustls::RootCertStore::empty();
    match &options.root_certificates {
        Some(path) => {
            let fail = |cause: String| {
                Error::new(ErrorKind::Config, "hub.open", "`sslrootcert` cannot be read: expected a PEM file")
                    .with_context("path", path.display())
                    .with_source(cause)
            };
            let found = CertificateDer::pem_file_iter(path).map_err(|e| fail(e.to_string()))?;
            for certificate in found {
                let certificate = certificate.map_err(|e| fail(e.to_string()))?;
                roots.add(certificate).map_err(|e| fail(e.to_string()))?;
            }
        }
        // A system without certificates still reaches servers that need none.
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|cause| Error::internal("hub.open", cause))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// A pool whose connections act as the app role, when there is one.
pub(super) fn pool(
    server: &Config,
    options: &PostgresOptions,
    tls: MakeRustlsConnect,
    setup: String,
) -> Result<Pool> {
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(server.clone(), tls, recycling);
    let setup = Arc::new(setup);
    Pool::builder(manager)
        .max_size(options.pool)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(WAIT))
        .post_create(Hook::async_fn(move |client, _| {
            let setup = Arc::clone(&setup);
            Box::pin(async move { client.batch_execute(&setup).await.map_err(HookError::Backend) })
        }))
        .build()
        .map_err(|cause| Error::internal("hub.open", cause))
}

/// One connection outside of the pool, with the task that drives it.
pub(super) async fn connect(config: &Config, tls: MakeRustlsConnect) -> Result<tokio_postgres::Client> {
    let (client, connection) = config.connect(tls).await.map_err(|e| failed("hub.open", &e))?;
    tokio::spawn(async move {
        if let Err(cause) = connection.await {
            tracing::debug!(%cause, "a database connection ended");
        }
    });
    Ok(client)
}

pub(super) async fn take(pool: &Pool, operation: &'static str) -> Result<Object> {
    pool.get().await.map_err(|e| no_connection(operation, &e))
}

/// A read on a connection of the pool; once more on a fresh one when the first was cut. Writes never come by here: nobody
/// knows whether one that was cut took effect.
pub(super) async fn reading<T, F>(
    pool: &Pool,
    operation: &'static str,
    read: impl Fn(Object) -> F,
) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    match read(take(pool, operation).await?).await {
        Err(error) if is_away(&error) => {
            // What else lies in the pool may have been cut with it.
            pool.retain(|_, _| false);
            read(take(pool, operation).await?).await
        }
        done => done,
    }
}

pub(super) async fn prepare(client: &Object, text: &str, operation: &'static str) -> Result<Statement> {
    client.prepare_cached(text).await.map_err(|e| failed(operation, &e))
}

/// Runs requests so that all are on their way before the first answer is awaited; answers come in order.
pub(super) async fn pipeline<T>(mut requests: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    let mut early: Vec<Option<T>> = Vec::with_capacity(requests.len());
    std::future::poll_fn(|cx| {
        for request in requests.iter_mut().skip(early.len()) {
            early.push(match request.as_mut().poll(cx) {
                std::task::Poll::Ready(answer) => Some(answer),
                std::task::Poll::Pending => None,
            });
        }
        std::task::Poll::Ready(())
    })
    .await;
    let mut out = Vec::with_capacity(requests.len());
    for (request, answer) in requests.into_iter().zip(early) {
        out.push(match answer {
            Some(answer) => answer,
            None => request.await,
        });
    }
    out
}
