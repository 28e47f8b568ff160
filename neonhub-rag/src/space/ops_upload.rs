//! Operations that take files and texts into a dataset.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use neonhub_core::op::{Effect, Operation};
use neonhub_core::{Error, ErrorKind, Faults, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ingest::Incoming;
use super::model::{Document, Trust};
use super::ops_space::need_dataset;
use super::version::store_version;
use crate::extract::MAX_FILE_BYTES;

/// Time for one document: a hundred megabytes of PDF take minutes.
pub(super) const INGEST_DEADLINE: Duration = Duration::from_secs(600);

/// Reads a file into a dataset: text, chunks, vectors. It can be searched when the call returns.
///
/// The same file under the same key changes nothing. Another file under the same key is a new version, and only
/// its new chunks are embedded; search then answers from the new version. A file that is encrypted, truncated
/// or empty becomes a document of state `failed` with the reason, so that the others go on.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UploadDocument {
    /// Id or name of the dataset.
    pub dataset: String,
    /// Id or name of its space, when the name of the dataset stands in several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<String>,
    /// File name, such as `guide.pdf`; its ending says the type unless `mime` does.
    pub name: String,
    /// The file in base64. A call by name carries up to 1 MiB in all: give larger files, of up to 100 MiB, as a `blob`.
    /// One of `content_base64`, `text` and `blob` is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_base64: Option<String>,
    /// The file as it is, where it is text in UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// SHA-256 of a file that the store keeps, as hex: what `put_blob` gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob: Option<String>,
    /// MIME type, such as `application/pdf`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime: Option<String>,
    /// Title. Default: what the document says, else its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What joins the versions of one document. Default: the file name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_key: Option<String>,
    /// Tags, up to 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Author. Default: what the document says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// ISO 639-1 code of its language. Default: that of the space, else detected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// How far its text can be trusted. Default: `first_party`.
    #[serde(default)]
    pub trust: Trust,
    /// Where it comes from, such as an address of 1 to 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The consent or contract that allows to use it, where it needs one: `knowledge.context` leaves it out where that
    /// does not hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent_basis: Option<String>,
}

impl UploadDocument {
    /// An upload of these bytes.
    #[must_use]
    pub fn of(dataset: impl Into<String>, name: impl Into<String>, bytes: &[u8]) -> Self {
        Self {
            dataset: dataset.into(),
            name: name.into(),
            content_base64: Some(BASE64_STANDARD.encode(bytes)),
            ..Self::default()
        }
    }

    /// An upload of this text, as a plain text of this name.
    #[must_use]
    pub fn of_text(dataset: impl Into<String>, name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { dataset: dataset.into(), name: name.into(), text: Some(text.into()), ..Self::default() }
    }

    async fn bytes(&mut self, cx: &Scope) -> Result<Vec<u8>> {
        match (self.content_base64.take(), self.text.take(), &self.blob) {
            (Some(base64), None, None) => BASE64_STANDARD
                .decode(base64.trim())
                .map_err(|_| Error::invalid(cx.operation(), "content_base64", "expected standard base64")),
            (None, Some(text), None) => Ok(text.into_bytes()),
            (None, None, Some(hash)) => cx.blob(hash).await?.ok_or_else(|| {
                Error::new(ErrorKind::NotFound, cx.operation(), "the store keeps no file with this hash")
                    .with_context("blob", hash)
            }),
            _ => Err(Error::invalid(
                cx.operation(),
                "content_base64",
                "expected exactly one of content_base64, text and blob",
            )),
        }
    }

    /// What it says, with the file.
    pub(super) async fn incoming(mut self, cx: &Scope) -> Result<Incoming> {
        let bytes = self.bytes(cx).await?;
        if bytes.len() > MAX_FILE_BYTES {
            let expected = "expected at most 100 MiB: split the file";
            return Err(Error::invalid(cx.operation(), "content_base64", expected));
        }
        Ok(Incoming {
            external_key: self.external_key.unwrap_or_else(|| self.name.clone()),
            name: self.name,
            mime: self.mime,
            title: self.title,
            tags: self.tags,
            author: self.author,
            language: self.language,
            trust: self.trust,
            source: self.source,
            consent_basis: self.consent_basis,
            bytes: Arc::new(bytes),
        })
    }

    /// Notes what is wrong with its fields, each after the prefix.
    pub(super) fn check(&self, faults: &mut Faults, prefix: &str) {
        let mut check = |ok: bool, field: &str, expected: &str| {
            faults.check(ok, format!("{prefix}{field}"), expected);
        };
        let fits = |text: &str, most: usize| !text.trim().is_empty() && text.chars().count() <= most;
        check(fits(&self.name, 500), "name", "expected a file name of at most 500 characters");
        let key = self.external_key.as_deref().unwrap_or(&self.name);
        check(fits(key, 500), "external_key", "expected 1 to 500 characters");
        check(self.tags.len() <= 50, "tags", "expected at most 50 tags");
        check(self.tags.iter().all(|t| fits(t, 100)), "tags", "expected tags of 1 to 100 characters");
        let title = self.title.as_deref().is_none_or(|t| fits(t, 500));
        check(title, "title", "expected 1 to 500 characters");
        let source = self.source.as_deref().is_none_or(|s| fits(s, 500));
        check(source, "source", "expected 1 to 500 characters");
        let basis = self.consent_basis.as_deref().is_none_or(|b| fits(b, 200));
        check(basis, "consent_basis", "expected 1 to 200 characters");
        let language = self.language.as_deref().is_none_or(|l| l.len() == 2 && l.is_ascii());
        check(language, "language", "expected an ISO 639-1 code such as en");
    }
}

impl Operation for UploadDocument {
    type Output = Document;
    const NAME: &'static str = "documents.upload";
    const NEEDS: &'static [Permission] = &[Permission::WriteContent];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 2;
    const DEADLINE: Duration = INGEST_DEADLINE;
    const ERRORS: &'static [&'static str] = &["unsupported_type"];

    async fn run(self, cx: &Scope) -> Result<Document> {
        let mut faults = Faults::new();
        self.check(&mut faults, "");
        faults.into_result(Self::NAME)?;
        let dataset = need_dataset(cx, &self.dataset, self.space.as_deref()).await?;
        let incoming = self.incoming(cx).await?;
        store_version(cx, &dataset, incoming).await
    }

    fn examples() -> Vec<Self> {
        vec![UploadDocument::of("brand-voice", "voice.md", b"# Voice\n\nWarm and plain.")]
    }
}

/// Takes a text into a dataset, as [`UploadDocument`] takes a file.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IngestText {
    /// Id or name of the dataset.
    pub dataset: String,
    /// Id or name of its space, when the name of the dataset stands in several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<String>,
    /// Title; it joins the versions of the text unless `external_key` does.
    pub title: String,
    /// The text, in Markdown or plain.
    pub text: String,
    /// What joins the versions of one text. Default: the title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_key: Option<String>,
    /// Tags, up to 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// ISO 639-1 code of its language. Default: that of the space, else detected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// How far it can be trusted. Default: `first_party`.
    #[serde(default)]
    pub trust: Trust,
    /// Where it comes from, such as an address of 1 to 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The consent or contract that allows to use it, where it needs one: `knowledge.context` leaves it out where that
    /// does not hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent_basis: Option<String>,
}

impl Operation for IngestText {
    type Output = Document;
    const NAME: &'static str = "knowledge.ingest_text";
    const NEEDS: &'static [Permission] = &[Permission::WriteContent];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 2;
    const DEADLINE: Duration = INGEST_DEADLINE;

    async fn run(self, cx: &Scope) -> Result<Document> {
        if self.text.trim().is_empty() {
            return Err(Error::invalid(Self::NAME, "text", "expected words"));
        }
        let upload = UploadDocument {
            mime: Some("text/markdown".into()),
            title: Some(self.title.clone()),
            external_key: self.external_key,
            tags: self.tags,
            language: self.language,
            trust: self.trust,
            source: self.source,
            consent_basis: self.consent_basis,
            space: self.space,
            ..UploadDocument::of_text(self.dataset, self.title, self.text)
        };
        upload.run(cx).await
    }

    fn examples() -> Vec<Self> {
        vec![IngestText {
            dataset: "brand-voice".into(),
            title: "Tone".into(),
            text: "We write short, warm sentences.".into(),
            ..Self::default()
        }]
    }
}
