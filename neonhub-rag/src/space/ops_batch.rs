//! Many files into datasets by one call.

use std::collections::BTreeSet;
use std::time::Duration;

use neonhub_core::op::{Effect, Operation};
use neonhub_core::{Error, Faults, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ingest::Incoming;
use super::model::{Dataset, Document, DocumentId, DocumentState, Failure};
use super::ops_space::need_dataset;
use super::ops_upload::{INGEST_DEADLINE, UploadDocument};
use super::version::{Version, store_versions};
use crate::extract::MAX_FILE_BYTES;

/// Most files of one call. Our choice: their commit holds other writers up for less than half a second.
const MAX_FILES: usize = 1_000;

/// Reads many files as `documents.upload` reads one, in a commit of their own: all that can be read are there when the call
/// returns, or none. The embedder is asked for the chunks of all of them together, which makes this several times as fast
/// as call after call. What is wrong with one file alone, such as a type that nothing reads, is said in its place, and the
/// others go in.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UploadDocuments {
    /// Files of different keys, 1 to 1 000, of at most 100 MiB in all. A call by name carries up to 16 MiB.
    pub documents: Vec<UploadDocument>,
}

/// What became of the files of a call, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UploadReport {
    /// One entry per file.
    pub documents: Vec<UploadedDocument>,
    /// Files that can be found by search now.
    pub ready: u32,
    /// Of these: files that are new or were changed.
    pub changed: u32,
    /// Chunks that were embedded.
    pub embedded: u64,
    /// Files that cannot be found: broken, encrypted, of no type that can be read.
    pub failed: u32,
}

/// What one file became.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UploadedDocument {
    /// What joins the versions of the document.
    pub external_key: String,
    /// The document; nothing where the file was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<DocumentId>,
    /// Its version, from 1; 0 where the file was refused.
    pub version: u32,
    /// True when the file is new, or another one than before.
    pub is_changed: bool,
    /// Why it cannot be found, where that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

impl Operation for UploadDocuments {
    type Output = UploadReport;
    const NAME: &'static str = "documents.upload_many";
    const NEEDS: &'static [Permission] = &[Permission::WriteContent];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 2;
    const DEADLINE: Duration = INGEST_DEADLINE;
    const MAX_INPUT: usize = 16 << 20;

    async fn run(self, cx: &Scope) -> Result<UploadReport> {
        self.check()?;
        let mut groups: Vec<Group> = Vec::new();
        let mut bytes = 0;
        for (at, upload) in self.documents.into_iter().enumerate() {
            let group = group_of(cx, &mut groups, &upload).await?;
            let incoming = upload.incoming(cx).await.map_err(|error| within(cx, error, at))?;
            bytes += incoming.bytes.len();
            if bytes > MAX_FILE_BYTES {
                let expected = "expected at most 100 MiB in all: give the rest in a second call";
                return Err(Error::invalid(Self::NAME, "documents", expected));
            }
            if !group.keys.insert(incoming.external_key.clone()) {
                let expected = "this key stands before in the call: expected different ones";
                return Err(Error::invalid(Self::NAME, format!("documents[{at}].external_key"), expected));
            }
            group.places.push(at);
            group.files.push(incoming);
        }
        store(cx, groups).await
    }

    fn examples() -> Vec<Self> {
        let text = |name: &str, text: &str| UploadDocument::of_text("brand-voice", name, text);
        vec![UploadDocuments {
            documents: vec![
                text("voice.md", "# Voice\n\nWarm and plain."),
                text("prices.md", "# Prices\n\nWe never say cheap."),
            ],
        }]
    }
}

impl UploadDocuments {
    fn check(&self) -> Result<()> {
        let mut faults = Faults::new();
        let fits = (1..=MAX_FILES).contains(&self.documents.len());
        faults.check(fits, "documents", "expected 1 to 1000 files: give more in further calls");
        for (at, upload) in self.documents.iter().enumerate() {
            upload.check(&mut faults, &format!("documents[{at}]."));
        }
        faults.into_result(Self::NAME)
    }
}

/// The files of a call that go into one dataset.
struct Group {
    /// How the call names the dataset, and its space.
    named: (String, Option<String>),
    dataset: Dataset,
    keys: BTreeSet<String>,
    /// Where each file stands in the call.
    places: Vec<usize>,
    files: Vec<Incoming>,
}

async fn group_of<'a>(
    cx: &Scope,
    groups: &'a mut Vec<Group>,
    upload: &UploadDocument,
) -> Result<&'a mut Group> {
    let named = (&upload.dataset, &upload.space);
    let at = match groups.iter().position(|group| (&group.named.0, &group.named.1) == named) {
        Some(at) => at,
        None => {
            let dataset = need_dataset(cx, &upload.dataset, upload.space.as_deref()).await?;
            let named = (upload.dataset.clone(), upload.space.clone());
            let known = groups.iter().position(|group| group.dataset.id == dataset.id);
            known.unwrap_or_else(|| {
                let (keys, places, files) = Default::default();
                groups.push(Group { named, dataset, keys, places, files });
                groups.len() - 1
            })
        }
    };
    groups.get_mut(at).ok_or_else(|| Error::internal(cx.operation(), "a group is gone"))
}

/// A fault of the file at this place, as one of the call.
fn within(cx: &Scope, error: Error, at: usize) -> Error {
    let mut faults = Faults::new();
    for fault in error.field_faults() {
        faults.push(format!("documents[{at}].{}", fault.field), fault.message.clone());
    }
    match faults.into_result(cx.operation()) {
        Ok(()) => error.with_context("documents", at),
        Err(error) => error,
    }
}

async fn store(cx: &Scope, groups: Vec<Group>) -> Result<UploadReport> {
    let mut report = UploadReport::default();
    let mut placed = Vec::new();
    for Group { dataset, keys: _, places, files, .. } in groups {
        let keys: Vec<String> = files.iter().map(|file| file.external_key.clone()).collect();
        let stored = store_versions(cx, &dataset, files).await?;
        for ((at, key), stored) in places.into_iter().zip(keys).zip(stored) {
            placed.push((at, report.add(key, stored)));
        }
    }
    placed.sort_by_key(|(at, _)| *at);
    report.documents = placed.into_iter().map(|(_, document)| document).collect();
    Ok(report)
}

impl UploadReport {
    fn add(&mut self, external_key: String, stored: Result<Version>) -> UploadedDocument {
        let Version { document, is_new } = match stored {
            Ok(version) => version,
            Err(error) => {
                self.failed += 1;
                let failure = Failure { code: error.code().to_owned(), reason: error.message().to_owned() };
                let failure = Some(failure);
                return UploadedDocument {
                    external_key,
                    document: None,
                    version: 0,
                    is_changed: false,
                    failure,
                };
            }
        };
        match document.state {
            DocumentState::Ready => {
                self.ready += 1;
                self.changed += u32::from(is_new);
                self.embedded += if is_new { u64::from(document.embedded) } else { 0 };
            }
            DocumentState::Failed | DocumentState::Deleted => self.failed += 1,
        }
        let Document { id, version, failure, .. } = document;
        UploadedDocument { external_key, document: Some(id), version, is_changed: is_new, failure }
    }
}
