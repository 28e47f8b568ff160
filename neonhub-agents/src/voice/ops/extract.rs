//! Reading a voice from the brand's documents: uploading a guide, and reading all of them again.

use std::time::Duration;

use neonhub_core::bus::Event;
use neonhub_core::op::{Effect, Operation};
use neonhub_core::{Error, ErrorKind, Permission, Result, Scope};
use neonhub_rag::{Document, DocumentId, DocumentState, UploadDocument, WarningCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::profile::{VoiceView, current, put_version};
use crate::brand::{Brand, by_id_or_slug};
use crate::voice::extract::{Proposal, Skipped, extract};
use crate::voice::library;
use crate::voice::model::Rule;
use crate::voice::record::{VoiceRule, VoiceStatus};
use crate::voice::text::Span;

/// What a new reading adds to and takes from the voice that held before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VoiceDiff {
    /// Rules that are new.
    pub added: Vec<Rule>,
    /// Rules that are no longer found.
    pub removed: Vec<Rule>,
    /// Number of rules that stay.
    pub kept: u32,
}

/// A passage that was not read as voice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SkippedPassage {
    /// Document.
    pub document: String,
    /// Byte range in its text.
    pub span: Span,
    /// Why: `instruction` for text that talks to a model.
    pub reason: String,
}

/// A voice as read from documents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VoiceProposal {
    /// The voice. It holds at once while no version was confirmed; else it is a proposal.
    pub voice: VoiceView,
    /// What it changes.
    pub diff: VoiceDiff,
    /// Passages that were left out.
    pub skipped: Vec<SkippedPassage>,
}

/// Reads a brand's voice from its documents in the dataset `brand-voice`, by patterns and measures.
///
/// A proposal only: each rule names the place it was read, and `voice.update_settings` changes or confirms it.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ExtractVoice {
    /// Id or slug of the brand.
    pub brand: String,
    /// Documents to read; empty = all of the brand.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<DocumentId>,
}

impl Operation for ExtractVoice {
    type Output = VoiceProposal;
    const NAME: &'static str = "voice.extract";
    const NEEDS: &'static [Permission] = &[Permission::WriteBrand];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    const DEADLINE: Duration = Duration::from_secs(120);
    async fn run(self, cx: &Scope) -> Result<VoiceProposal> {
        let brand = by_id_or_slug(cx, &self.brand).await?;
        let mut documents = library::documents(cx, &brand).await?;
        if !self.documents.is_empty() {
            documents.retain(|d| self.documents.contains(&d.id));
        }
        if documents.len() < self.documents.len() {
            return Err(cx.missing("document"));
        }
        if documents.is_empty() {
            let message = "the brand has no readable document: upload its guide with voice.upload_guide";
            return Err(Error::new(ErrorKind::NotFound, Self::NAME, message).with_code("no_documents"));
        }
        read(cx, &brand, documents).await
    }
    fn examples() -> Vec<Self> {
        vec![ExtractVoice { brand: "bergkaffee".into(), documents: Vec::new() }]
    }
}

/// Reads documents and stages the next version, unless nothing changed.
async fn read(cx: &Scope, brand: &Brand, documents: Vec<Document>) -> Result<VoiceProposal> {
    let mut guides = Vec::with_capacity(documents.len());
    for document in &documents {
        guides.push(library::guide(cx, document).await?);
    }
    let Proposal { voice, rules, skipped } = extract(&brand.name, &guides, &brand.locale);
    let before = current(cx, brand).await?;
    let old: &[VoiceRule] = before.as_ref().map(|v| v.rules.as_slice()).unwrap_or_default();
    let diff = diff(old, &rules);
    let skipped: Vec<SkippedPassage> = skipped.into_iter().map(passage).collect();
    if let Some(before) = before
        .filter(|b| diff.added.is_empty() && diff.removed.is_empty() && b.voice.exemplars == voice.exemplars)
    {
        return Ok(VoiceProposal { voice: before, diff, skipped });
    }
    let ids = documents.iter().map(|d| d.id.to_string()).collect();
    let rules = rules.into_iter().map(|r| (r, None)).collect();
    let view = put_version(cx, brand, voice, rules, ids, VoiceStatus::Proposed).await?;
    let data = json!({ "version": view.version, "rules": view.rules.len(), "documents": documents.len() });
    cx.emit(Event::new(cx, "voice.extracted", "voice_profile", view.id.as_str(), data))?;
    Ok(VoiceProposal { voice: view, diff, skipped })
}

fn passage(skipped: Skipped) -> SkippedPassage {
    SkippedPassage { document: skipped.document, span: skipped.span, reason: skipped.reason.to_owned() }
}

/// Rules are the same when they say the same, wherever they were read.
fn diff(old: &[VoiceRule], new: &[Rule]) -> VoiceDiff {
    let same = |a: &Rule, b: &Rule| a.kind == b.kind && a.text == b.text && a.pattern == b.pattern;
    let added: Vec<Rule> = new.iter().filter(|n| !old.iter().any(|o| same(&o.rule, n))).cloned().collect();
    // What a person wrote is not in the documents and does not go missing there.
    let read = old.iter().filter(|o| o.edited_by.is_none()).map(|o| &o.rule);
    let removed: Vec<Rule> = read.filter(|o| !new.iter().any(|n| same(o, n))).cloned().collect();
    let kept = u32::try_from(new.len() - added.len()).unwrap_or(u32::MAX);
    VoiceDiff { added, removed, kept }
}

/// A guide that was taken in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UploadedGuide {
    /// Id of the document in the dataset `brand-voice`.
    pub document: DocumentId,
    /// Its title.
    pub title: String,
    /// Number of passages that can be searched.
    pub chunks: u32,
    /// The voice as read from all documents of the brand.
    pub proposal: VoiceProposal,
}

/// Takes a brand guide in (PDF, DOCX, Markdown, HTML or text): keeps it in the dataset `brand-voice`, makes it
/// searchable, and reads the brand's voice from it and from the documents that are there.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UploadGuide {
    /// Id or slug of the brand.
    pub brand: String,
    /// File name, such as `guide.pdf`; its ending says the type.
    pub name: String,
    /// The file in base64, up to 100 MiB. One of `content_base64` and `text` is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_base64: Option<String>,
    /// The guide as text or Markdown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Title. Default: what the document says, else its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

impl UploadGuide {
    fn upload(&self) -> Result<UploadDocument> {
        let file = match (&self.content_base64, &self.text) {
            (Some(content), None) => UploadDocument {
                name: self.name.clone(),
                content_base64: Some(content.clone()),
                ..UploadDocument::default()
            },
            (None, Some(text)) if !text.trim().is_empty() => {
                let known = [".md", ".txt", ".markdown", ".html"]
                    .iter()
                    .any(|e| self.name.to_lowercase().ends_with(e));
                let mime = (!known).then(|| "text/markdown".to_owned());
                UploadDocument {
                    mime,
                    ..UploadDocument::of(library::BRAND_VOICE, self.name.clone(), text.as_bytes())
                }
            }
            _ => {
                return Err(Error::invalid(
                    Self::NAME,
                    "content_base64",
                    "expected exactly one of content_base64 and text, with content",
                ));
            }
        };
        Ok(UploadDocument { title: self.title.clone(), ..file })
    }
}

impl Operation for UploadGuide {
    type Output = UploadedGuide;
    const NAME: &'static str = "voice.upload_guide";
    const NEEDS: &'static [Permission] = &[Permission::WriteBrand, Permission::WriteContent];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 2;
    const DEADLINE: Duration = Duration::from_secs(600);
    const ERRORS: &'static [&'static str] = &["unsupported", "corrupted"];
    async fn run(self, cx: &Scope) -> Result<UploadedGuide> {
        let brand = by_id_or_slug(cx, &self.brand).await?;
        let document = library::keep(cx, &brand, self.upload()?).await?;
        readable(&document)?;
        let mut documents = library::documents(cx, &brand).await?;
        // What is staged is not listed yet; an older version of the same file gives way.
        documents.retain(|d| d.external_key != document.external_key);
        documents.push(document.clone());
        documents.sort_by(|a, b| a.external_key.cmp(&b.external_key));
        let proposal = read(cx, &brand, documents).await?;
        Ok(UploadedGuide { document: document.id, title: document.title, chunks: document.chunks, proposal })
    }
    fn examples() -> Vec<Self> {
        let text = "# Voice\n\nWe are warm and plain.\n\n- Never use emoji.\n";
        vec![UploadGuide {
            brand: "bergkaffee".into(),
            name: "voice.md".into(),
            text: Some(text.into()),
            ..UploadGuide::default()
        }]
    }
}

/// A guide that cannot be read is refused, with the page that needs text recognition when that is why.
fn readable(document: &Document) -> Result<()> {
    if let (DocumentState::Failed, failure) = (document.state, &document.failure) {
        let reason = failure.as_ref().map_or("the document cannot be read", |f| f.reason.as_str()).to_owned();
        let kind =
            failure.as_ref().and_then(|f| ErrorKind::from_code(&f.code)).unwrap_or(ErrorKind::Corrupted);
        return Err(Error::new(kind, UploadGuide::NAME, reason));
    }
    if document.chars > 0 {
        return Ok(());
    }
    let pages: Vec<&str> = document
        .warnings
        .iter()
        .filter(|w| w.code == WarningCode::NeedsOcr)
        .map(|w| w.detail.as_str())
        .collect();
    let message = "the guide holds no text: export it with a text layer, or run text recognition first";
    Err(Error::new(ErrorKind::Unsupported, UploadGuide::NAME, message).with_context("pages", pages.join(",")))
}
