//! `people.import.start` and the two small commits around the pages.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use neonhub_core::bus::Event;
use neonhub_core::op::{Audit, Effect, Operation};
use neonhub_core::store::Key;
use neonhub_core::{Error, ErrorKind, Faults, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::mpsc;

use super::make::Maker;
use super::read::{MadeRow, ReadPage, Source};
use super::{Desk, ImportJob, ImportPage, ImportStatus, PageResult};
use crate::consent::{Basis, ConsentScope};
use crate::people::csv::{Encoding, ReadOptions};
use crate::people::model::Identity;
use crate::people::normalise::Region;
use crate::people::{ImportId, PersonId, facts};

/// The longest an import may take.
const DEADLINE: Duration = Duration::from_secs(12 * 60 * 60);
/// One page is written while the next is made.
const PAGES_IN_WORK: usize = 2;
/// Most text in one call; larger ones come as a file.
const MAX_TEXT_BYTES: usize = 900_000;

/// Imports contacts from a CSV file: people are found or made, doubles become one person, consents are recorded
/// with their proof. Columns: `email`, `phone`, `first_name`, `last_name`, `locale`, `timezone`, `country`,
/// `consent_email`, `consent_sms` (granted, revoked, pending or empty), `consent_at` (RFC 3339), `consent_source`,
/// `consent_text`, `tags` (`;` separated); others become traits. A bad field is reported and the rest imported; a
/// row without a usable email or phone is rejected. Runs until the file is read; stopped or crashed, it goes on
/// where it was when started again. The same file again changes nothing.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportStart {
    /// Path of the file. Either this or `text`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The file's text itself, at most 900 000 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What is noted as the source of everything it brings. Default `import`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Column of the file -> known column, for files with other names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub mapping: BTreeMap<String, String>,
    /// The delimiter: comma, semicolon, tab or vertical bar. Default: found by looking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<char>,
    /// Region (ISO 3166, such as `AT`) of national phone numbers in rows without a country. Default: that of the
    /// workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_region: Option<String>,
    /// Tags for everyone in the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What the consents in the file are for. Default `marketing`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent_scope: Option<ConsentScope>,
    /// The legal basis of the consents in the file. Default `consent`.
    #[serde(default)]
    pub consent_basis: Basis,
    /// The brand the consents in the file are limited to. Default: every brand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
}

impl Operation for ImportStart {
    type Output = ImportJob;
    const NAME: &'static str = "people.import.start";
    const NEEDS: &'static [Permission] = &[Permission::WritePeople, Permission::WriteConsent];
    const EFFECT: Effect = Effect::Idempotent;
    const DEADLINE: Duration = DEADLINE;
    const ERRORS: &'static [&'static str] = &["import_in_progress"];

    async fn run(self, cx: &Scope) -> Result<ImportJob> {
        let source = self.checked()?;
        let options = self.options(cx).await?;
        let head = source.head(&options, self.settings(&options)).await?;
        // The pages commit on their own, so that what is done stays done.
        let outside = cx.outside();
        let open = OpenImport {
            key: head.key,
            file: source.name(),
            source: self.source.clone().unwrap_or_else(|| "import".to_owned()),
            delimiter: head.delimiter.to_string(),
            missing_columns: head.missing,
        };
        let mut job = outside.call(open).await?;
        if job.status == ImportStatus::Finished {
            return Ok(job);
        }
        let desk = cx.service::<Desk>()?;
        let seed = cx.seed().split(&[b"import", job.key.as_bytes()]);
        if !desk.begin(&job.id, job.pages, seed) {
            return Err(in_progress(Self::NAME));
        }
        let begun = Begun { desk: Arc::clone(&desk), import: job.id.clone() };
        let pages = source.pages(&options, self.maker(cx));
        let encoding = self.read(cx, &outside, &desk, &mut job, pages).await?;
        drop(begun);
        outside.call(FinishImport { import: job.id, encoding }).await
    }

    fn examples() -> Vec<Self> {
        vec![ImportStart {
            text: Some("email,first_name\nada@shop.example,Ada\n".into()),
            source: Some("newsletter 2026".into()),
            ..ImportStart::default()
        }]
    }
}

impl ImportStart {
    fn checked(&self) -> Result<Source> {
        let mut faults = Faults::new();
        faults.check(self.path.is_some() != self.text.is_some(), "path", "expected either path or text");
        faults.check(
            self.text.as_ref().is_none_or(|t| t.len() <= MAX_TEXT_BYTES),
            "text",
            "expected at most 900 000 bytes: give the path of the file instead",
        );
        faults.check(
            self.default_region.as_deref().is_none_or(|r| Region::parse(r).is_some()),
            "default_region",
            "expected a country code of ISO 3166 such as AT",
        );
        faults.into_result(Self::NAME)?;
        Ok(match (&self.path, &self.text) {
            (Some(path), _) => Source::File(PathBuf::from(path)),
            (None, text) => Source::Text(text.as_deref().unwrap_or_default().into()),
        })
    }

    async fn options(&self, cx: &Scope) -> Result<ReadOptions> {
        let region = match &self.default_region {
            Some(region) => Some(region.clone()),
            None => cx.hub().workspace_of(cx).await?.body.default_region,
        };
        let mapping = self.mapping.iter().map(|(from, to)| (from.clone(), to.clone())).collect();
        Ok(ReadOptions { delimiter: self.delimiter, mapping, default_region: region })
    }

    /// Everything beside the content that changes what an import does. The path is not part of it.
    fn settings(&self, options: &ReadOptions) -> String {
        json!([
            self.source,
            self.mapping,
            self.delimiter,
            options.default_region,
            self.tags,
            self.consent_scope,
            self.consent_basis,
            self.brand
        ])
        .to_string()
    }

    fn maker(&self, cx: &Scope) -> Maker {
        Maker {
            cx: cx.clone(),
            source: self.source.clone().unwrap_or_else(|| "import".to_owned()),
            tags: self.tags.clone(),
            scope: self.consent_scope.clone().unwrap_or(ConsentScope::Marketing),
            basis: self.consent_basis,
            brand: self.brand.clone(),
            wordings: BTreeMap::new(),
        }
    }

    /// Commits page after page. While one is being written, the next is being made: it lost its race when both
    /// touch the same people, and is then made again.
    async fn read(
        &self,
        cx: &Scope,
        outside: &Scope,
        desk: &Desk,
        job: &mut ImportJob,
        mut pages: mpsc::Receiver<Result<ReadPage>>,
    ) -> Result<Encoding> {
        let (mut encoding, mut seen, mut next) = (Encoding::default(), 0_u64, job.pages);
        let mut in_work: VecDeque<PageTask> = VecDeque::new();
        while let Some(page) = pages.recv().await {
            cx.cancel_token().check(Self::NAME)?;
            let page = page?;
            encoding = page.encoding;
            if page.rows.is_empty() {
                break;
            }
            seen += page.rows.len() as u64;
            if seen <= job.rows && next == job.pages && in_work.is_empty() {
                // Committed by an earlier start: only who they are is needed for the count of people.
                remember(cx, desk, &job.id, &page.rows).await?;
                continue;
            }
            desk.lay(&job.id, next, page.rows);
            let call = ImportPage { import: job.id.clone(), page: next };
            let scope = outside.clone();
            in_work.push_back(PageTask(tokio::spawn(async move { scope.call(call).await })));
            next += 1;
            if in_work.len() >= PAGES_IN_WORK {
                settle(cx, desk, job, &mut in_work).await?;
            }
        }
        while !in_work.is_empty() {
            settle(cx, desk, job, &mut in_work).await?;
        }
        Ok(encoding)
    }
}

/// An import in work in this process. However it ends, also when the caller gives up, it can be started again.
struct Begun {
    desk: Arc<Desk>,
    import: ImportId,
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.desk.end(&self.import);
    }
}

/// A page in work. It stops when nobody waits for it any more.
struct PageTask(tokio::task::JoinHandle<Result<PageResult>>);

impl Drop for PageTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Waits for the oldest page in work.
async fn settle(
    cx: &Scope,
    desk: &Desk,
    job: &mut ImportJob,
    in_work: &mut VecDeque<PageTask>,
) -> Result<()> {
    let Some(mut task) = in_work.pop_front() else { return Ok(()) };
    let result = (&mut task.0).await.map_err(|cause| Error::internal(ImportStart::NAME, cause))??;
    desk.committed(&job.id, result.job.pages - 1, result.people.iter(), result.absorbed.iter());
    *job = result.job;
    cx.progress("import", job.rows, 0, "contacts");
    Ok(())
}

/// The same file is in work.
pub(super) fn in_progress(operation: &'static str) -> Error {
    Error::new(
        ErrorKind::Conflict,
        operation,
        "the same file is being imported elsewhere: wait for it, then start again",
    )
    .with_code("import_in_progress")
}

/// Finds again whom the rows before the checkpoint meant.
async fn remember(cx: &Scope, desk: &Desk, import: &ImportId, rows: &[MadeRow]) -> Result<()> {
    let keys: Vec<Key> =
        rows.iter().filter_map(|r| r.intent.as_ref()?.given.first()).map(|g| Key::text(&g.hash)).collect();
    let held = cx.find_many::<Identity>("hash", &keys).await?;
    let people: Vec<PersonId> = held.into_iter().flatten().map(|i| i.body.person).collect();
    let speakers = facts::facts_of_many(cx, &people).await?;
    let speakers: Vec<PersonId> = speakers.into_iter().flatten().map(|f| f.body.person).collect();
    desk.meet(import, speakers.iter());
    Ok(())
}

/// Opens an import, or finds it by its key.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenImport {
    /// Hash of file and settings.
    pub key: String,
    /// Name of the file.
    pub file: Option<String>,
    /// Source that is noted.
    pub source: String,
    /// Delimiter of the file.
    pub delimiter: String,
    /// Known columns the file does not have.
    pub missing_columns: Vec<String>,
}

impl Operation for OpenImport {
    type Output = ImportJob;
    const NAME: &'static str = "people.import.open";
    const NEEDS: &'static [Permission] = &[Permission::WritePeople];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    const INTERNAL: bool = true;

    async fn run(self, cx: &Scope) -> Result<ImportJob> {
        if let Some(known) = cx.find::<ImportJob>("key", Key::text(&self.key)).await? {
            return Ok(known.body);
        }
        let job = ImportJob {
            id: ImportId::new(cx),
            key: self.key,
            file: self.file,
            source: self.source,
            status: ImportStatus::Running,
            rows: 0,
            imported: 0,
            rejected: 0,
            people: 0,
            created: 0,
            updated: 0,
            unchanged: 0,
            merged: 0,
            candidates: 0,
            consents: 0,
            faults: 0,
            suppressed: 0,
            pages: 0,
            encoding: Encoding::default(),
            delimiter: self.delimiter,
            missing_columns: self.missing_columns,
            started_at: cx.now(),
            finished_at: None,
        };
        cx.create(&job)?;
        Ok(job)
    }
}

/// Closes an import.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FinishImport {
    /// The import.
    pub import: ImportId,
    /// The encoding of the whole file.
    pub encoding: Encoding,
}

impl Operation for FinishImport {
    type Output = ImportJob;
    const NAME: &'static str = "people.import.finish";
    const NEEDS: &'static [Permission] = &[Permission::WritePeople];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    const INTERNAL: bool = true;
    const AUDIT: Audit = Audit::Business;

    async fn run(self, cx: &Scope) -> Result<ImportJob> {
        let mut job = cx.need::<ImportJob>(self.import.as_str()).await?;
        if job.status != ImportStatus::Finished {
            job.body.status = ImportStatus::Finished;
            job.body.encoding = self.encoding;
            job.body.finished_at = Some(cx.now());
            cx.save(&job)?;
            let data = json!({"rows": job.rows, "imported": job.imported, "rejected": job.rejected, "people": job.people});
            cx.emit(Event::new(cx, "people.import_finished", "import_job", job.id.as_str(), data))?;
        }
        Ok(job.body)
    }
}
