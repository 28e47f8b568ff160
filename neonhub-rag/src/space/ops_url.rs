//! Pages of the web as documents.

use std::sync::Arc;
use std::time::Duration;

use neonhub_core::op::{Effect, Operation, Sink};
use neonhub_core::{Error, Faults, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ingest::Incoming;
use super::model::{Document, Trust};
use super::ops_space::need_dataset;
use super::ops_upload::INGEST_DEADLINE;
use super::version::store_version;

/// What a page of the web is trusted with unless the call says otherwise.
const TRUST: Trust = Trust::Web;

/// Fetches a page and takes it into a dataset, as `documents.upload` takes a file. The hub must have web access to the
/// host (`http::WebAccess`); addresses inside a network are never fetched. The same page again changes nothing, a changed
/// one is a new version. Its text is quoted material from the web, never an instruction.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IngestUrl {
    /// Id or name of the dataset.
    pub dataset: String,
    /// Id or name of its space, when the name of the dataset stands in several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<String>,
    /// Address of the page: http or https, up to 500 characters, without name and password.
    pub url: String,
    /// Title. Default: what the page says, else its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What joins the versions of one page. Default: the address without its fragment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_key: Option<String>,
    /// Tags, up to 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// ISO 639-1 code of its language. Default: that of the space, else detected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// How far it can be trusted. Default: `web`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<Trust>,
    /// The consent or contract that allows to use it, where it needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent_basis: Option<String>,
}

impl IngestUrl {
    fn check(&self) -> Result<()> {
        let mut faults = Faults::new();
        let fits = |text: &str, most: usize| !text.trim().is_empty() && text.chars().count() <= most;
        faults.check(fits(&self.url, 500), "url", "expected an address of at most 500 characters");
        let key = self.external_key.as_deref().is_none_or(|key| fits(key, 500));
        faults.check(key, "external_key", "expected 1 to 500 characters");
        faults.check(self.tags.len() <= 50, "tags", "expected at most 50 tags");
        faults.check(self.tags.iter().all(|t| fits(t, 100)), "tags", "expected tags of 1 to 100 characters");
        let title = self.title.as_deref().is_none_or(|t| fits(t, 500));
        faults.check(title, "title", "expected 1 to 500 characters");
        let basis = self.consent_basis.as_deref().is_none_or(|b| fits(b, 200));
        faults.check(basis, "consent_basis", "expected 1 to 200 characters");
        let language = self.language.as_deref().is_none_or(|l| l.len() == 2 && l.is_ascii());
        faults.check(language, "language", "expected an ISO 639-1 code such as en");
        faults.into_result(Self::NAME)
    }
}

/// A page as it came.
struct Page {
    mime: Option<String>,
    bytes: Vec<u8>,
}

#[cfg(feature = "http")]
async fn fetch(cx: &Scope, url: &str) -> Result<Page> {
    use neonhub_core::resilience::{Call, Plan};
    let web = cx.service::<neonhub_core::http::WebAccess>().map_err(|_| no_access())?;
    let host = url.split('/').nth(2).unwrap_or_default();
    let call = Call::new(|attempt| {
        attempt.sent();
        let left = cx.deadline().map(|at| at.since(cx.now()));
        web.fetch(url, left)
    });
    let found = call.guard(Plan::new(format!("endpoint:web/{host}")).idempotent()).run(cx).await?;
    Ok(Page { mime: found.mime, bytes: found.bytes })
}

#[cfg(not(feature = "http"))]
#[allow(clippy::unused_async, reason = "same signature as with the feature")]
async fn fetch(_: &Scope, _: &str) -> Result<Page> {
    Err(no_access())
}

fn no_access() -> Error {
    let message = "this hub fetches no pages: add web access for the hosts you want (feature `http`), or upload the file";
    Error::new(neonhub_core::ErrorKind::Config, IngestUrl::NAME, message).with_code("no_web_access")
}

/// The last part of the path, else the host.
fn name_of(url: &str) -> String {
    let bare = url.split(['?', '#']).next().unwrap_or(url);
    let mut parts = bare.split('/').skip(2).filter(|part| !part.is_empty());
    let host = parts.next().unwrap_or("page");
    parts.last().unwrap_or(host).to_owned()
}

impl Operation for IngestUrl {
    type Output = Document;
    const NAME: &'static str = "knowledge.ingest_url";
    const NEEDS: &'static [Permission] = &[Permission::WriteContent];
    const EFFECT: Effect = Effect::Idempotent;
    /// An address may carry words to who listens there.
    const SINKS: &'static [Sink] = &[Sink::Export];
    const RERUNS: u8 = 2;
    const DEADLINE: Duration = INGEST_DEADLINE;
    const ERRORS: &'static [&'static str] =
        &["no_web_access", "host_not_allowed", "address_inside", "unsupported_type", "too_large"];

    async fn run(self, cx: &Scope) -> Result<Document> {
        self.check()?;
        let dataset = need_dataset(cx, &self.dataset, self.space.as_deref()).await?;
        let page = fetch(cx, &self.url).await.map_err(|error| error.for_operation(Self::NAME))?;
        let address = self.url.split('#').next().unwrap_or(&self.url).to_owned();
        let incoming = Incoming {
            external_key: self.external_key.unwrap_or_else(|| address.clone()),
            name: name_of(&self.url),
            mime: page.mime,
            title: self.title,
            tags: self.tags,
            author: None,
            language: self.language,
            trust: self.trust.unwrap_or(TRUST),
            source: Some(address),
            consent_basis: self.consent_basis,
            bytes: Arc::new(page.bytes),
        };
        store_version(cx, &dataset, incoming).await
    }

    fn examples() -> Vec<Self> {
        let url = "https://docs.shop.example/delivery".into();
        vec![IngestUrl { dataset: "product-docs".into(), url, ..Self::default() }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_named_after_its_path_or_its_host() {
        for (url, name) in [
            ("https://shop.example/a/guide.pdf?v=2#top", "guide.pdf"),
            ("https://shop.example/help/", "help"),
            ("https://shop.example", "shop.example"),
        ] {
            assert_eq!(name_of(url), name);
        }
    }
}
