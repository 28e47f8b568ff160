//! A folder of the machine as documents.

use std::path::{Path, PathBuf};
use std::time::Duration;

use neonhub_core::op::{Effect, Operation};
use neonhub_core::{Error, ErrorKind, Faults, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::{Failure, Trust};
use super::ops_batch::{UploadDocuments, UploadReport};
use super::ops_space::need_dataset;
use super::ops_upload::UploadDocument;
use crate::extract::{Format, MAX_FILE_BYTES};

/// The task that progress is told of.
const TASK: &str = "ingest";
/// Most files of one folder. Our choice.
const MAX_FILES: usize = 100_000;
/// Most files that are named one by one in the report.
const MAX_NAMED: usize = 1_000;
/// Most files of one commit, and the bytes after which it takes no further one. Our choice: the chunks of so many fill the
/// batches of an embedder, and what a crash undoes is done again within a second or two.
const GROUP: (usize, usize) = (64, 1 << 20);
/// Bytes of a file that go through the call; a larger one is written to the store before.
const INLINE: usize = 256 << 10;
/// A day: ten thousand PDF files on a slow machine.
const DEADLINE: Duration = Duration::from_secs(86_400);

/// Takes the files of a folder, and of the folders in it, into a dataset, and tells its progress as the task `ingest`. Some
/// files at a time, up to 64 and about 1 MiB, are a commit of their own, and what is there already costs nothing: a call
/// that was broken off is made again. Hidden files and links are passed over; a file that cannot be taken is named, and the
/// others go on. For hosts alone: agents read no files by their path.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IngestFolder {
    /// Id or name of the dataset.
    pub dataset: String,
    /// Id or name of its space, when the name of the dataset stands in several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<String>,
    /// Path of the folder on this machine. A file's path in it, with `/`, joins the versions of its document.
    pub folder: String,
    /// Tags of every document, up to 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// ISO 639-1 code of their language. Default: that of the space, else detected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// How far they can be trusted. Default: `first_party`.
    #[serde(default)]
    pub trust: Trust,
}

/// A file that cannot be found by search now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FolderFault {
    /// Its path in the folder, with `/`.
    pub path: String,
    /// A stable word: `unsupported_type`, `too_large`, `unreadable`, or the code of an error.
    pub code: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// What became of the files of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FolderReport {
    /// Files that were found.
    pub files: u32,
    /// Files that are documents which can be found now.
    pub ready: u32,
    /// Of these: files that are new or were changed.
    pub changed: u32,
    /// Chunks that were embedded.
    pub embedded: u64,
    /// Files that cannot be found by search: broken, encrypted, of no format that can be read.
    pub failed: u32,
    /// The first 1 000 of them, by path.
    pub faults: Vec<FolderFault>,
}

impl Operation for IngestFolder {
    type Output = FolderReport;
    const NAME: &'static str = "knowledge.ingest_folder";
    const NEEDS: &'static [Permission] = &[Permission::WriteContent];
    const EFFECT: Effect = Effect::Idempotent;
    const DEADLINE: Duration = DEADLINE;
    const HOST_ONLY: bool = true;

    async fn run(self, cx: &Scope) -> Result<FolderReport> {
        let mut faults = Faults::new();
        faults.check(!self.folder.trim().is_empty(), "folder", "expected the path of a folder");
        faults.into_result(Self::NAME)?;
        need_dataset(cx, &self.dataset, self.space.as_deref()).await?;
        let root = PathBuf::from(&self.folder);
        let files = blocking(move || list(&root)).await?;
        let total = files.len() as u64;
        let mut report =
            FolderReport { files: u32::try_from(total).unwrap_or(u32::MAX), ..FolderReport::default() };
        let (mut group, mut bytes) = (Vec::new(), 0);
        for (done, (path, file)) in files.into_iter().enumerate() {
            cx.cancel_token().check(Self::NAME)?;
            cx.progress(TASK, done as u64, total, path.clone());
            match self.read(cx, &path, file).await {
                Ok((upload, size)) => {
                    bytes += size;
                    group.push(upload);
                }
                Err(error) => report.refuse(path, error)?,
            }
            if group.len() >= GROUP.0 || bytes >= GROUP.1 {
                take(cx, std::mem::take(&mut group), &mut report).await?;
                bytes = 0;
            }
        }
        take(cx, group, &mut report).await?;
        report.faults.sort_by(|a, b| a.path.cmp(&b.path));
        cx.progress(TASK, total, total, "");
        Ok(report)
    }

    fn examples() -> Vec<Self> {
        vec![IngestFolder { dataset: "brand-voice".into(), folder: "brand".into(), ..Self::default() }]
    }
}

impl FolderReport {
    fn add(&mut self, part: UploadReport) {
        self.ready += part.ready;
        self.changed += part.changed;
        self.embedded += part.embedded;
        for document in part.documents {
            if let Some(Failure { code, reason }) = document.failure {
                self.fault(document.external_key, code, reason);
            }
        }
    }

    /// Names a file that cannot be taken, unless no other can be either.
    fn refuse(&mut self, path: String, error: Error) -> Result<()> {
        if is_general(&error) {
            return Err(of_the_folder(error));
        }
        self.fault(path, error.code().to_owned(), error.message().to_owned());
        Ok(())
    }

    fn fault(&mut self, path: String, code: String, message: String) {
        self.failed += 1;
        if self.faults.len() < MAX_NAMED {
            self.faults.push(FolderFault { path, code, message });
        }
    }
}

/// Takes files in by one commit, or one by one where something is wrong with the call as a whole: the others go in.
async fn take(cx: &Scope, group: Vec<UploadDocument>, report: &mut FolderReport) -> Result<()> {
    if group.is_empty() {
        return Ok(());
    }
    // Commits of their own, whatever becomes of the others.
    let cx = cx.outside();
    if let Ok(part) = cx.call(UploadDocuments { documents: group.clone() }).await {
        report.add(part);
        return Ok(());
    }
    for upload in group {
        let path = upload.external_key.clone().unwrap_or_default();
        match cx.call(UploadDocuments { documents: vec![upload] }).await {
            Ok(part) => report.add(part),
            Err(error) => report.refuse(path, error)?,
        }
    }
    Ok(())
}

/// A fault that every file has, as one of the call.
fn of_the_folder(error: Error) -> Error {
    let mut faults = Faults::new();
    for fault in error.field_faults() {
        let field = fault.field.rsplit('.').next().unwrap_or(&fault.field);
        faults.push(field, fault.message.clone());
    }
    faults.into_result(IngestFolder::NAME).err().unwrap_or_else(|| error.for_operation(IngestFolder::NAME))
}

/// What would fail for every file.
fn is_general(error: &Error) -> bool {
    use ErrorKind as K;
    let of_all = ["tags", "language", "dataset", "space"];
    matches!(
        error.kind(),
        K::PermissionDenied | K::Cancelled | K::Config | K::BudgetExceeded | K::Unauthenticated
    ) || error
        .field_faults()
        .iter()
        .any(|fault| of_all.contains(&fault.field.rsplit('.').next().unwrap_or(&fault.field)))
}

impl IngestFolder {
    /// The upload of a file, and its size.
    async fn read(&self, cx: &Scope, path: &str, file: PathBuf) -> Result<(UploadDocument, usize)> {
        let refuse = |code: &'static str, message: &'static str| {
            Err(Error::new(ErrorKind::Unsupported, Self::NAME, message).with_code(code))
        };
        if Format::from_name(path).is_none() {
            let message = "the name says no format that is read: PDF, DOCX, HTML, Markdown, CSV or text";
            return refuse("unsupported_type", message);
        }
        let Some(bytes) = blocking(move || read(&file)).await? else {
            return refuse("too_large", "a file may have 100 MiB: split it");
        };
        let size = bytes.len();
        let name = path.rsplit('/').next().unwrap_or(path);
        let content = if size > INLINE {
            let blob = Some(cx.store().blob_put(&bytes).await?);
            UploadDocument { name: name.to_owned(), blob, ..UploadDocument::default() }
        } else {
            match String::from_utf8(bytes) {
                Ok(text) => UploadDocument::of_text("", name, text),
                Err(other) => UploadDocument::of("", name, other.as_bytes()),
            }
        };
        let upload = UploadDocument {
            dataset: self.dataset.clone(),
            space: self.space.clone(),
            external_key: Some(path.to_owned()),
            tags: self.tags.clone(),
            language: self.language.clone(),
            trust: self.trust,
            ..content
        };
        Ok((upload, size))
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|cause| Error::internal(IngestFolder::NAME, cause))?
}

/// The bytes of a file, unless it is too large.
fn read(file: &Path) -> Result<Option<Vec<u8>>> {
    let fail = |cause: std::io::Error| {
        Error::new(ErrorKind::Unavailable, IngestFolder::NAME, "the file cannot be read: look at its rights")
            .with_code("unreadable")
            .with_source(cause)
    };
    let fits = std::fs::metadata(file).map_err(fail)?.len() <= MAX_FILE_BYTES as u64;
    if fits { std::fs::read(file).map(Some).map_err(fail) } else { Ok(None) }
}

/// Files by their path in the folder, in order.
fn list(root: &Path) -> Result<Vec<(String, PathBuf)>> {
    let fail = |path: &Path, cause: std::io::Error| {
        let kind = match cause.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => ErrorKind::NotFound,
            _ => ErrorKind::Unavailable,
        };
        Error::new(kind, IngestFolder::NAME, "the folder cannot be read: look at its path and rights")
            .with_context("folder", path.display())
            .with_source(cause)
    };
    let mut found = Vec::new();
    let mut folders = vec![(String::new(), root.to_owned())];
    while let Some((prefix, folder)) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|cause| fail(&folder, cause))? {
            let entry = entry.map_err(|cause| fail(&folder, cause))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            let kind = entry.file_type().map_err(|cause| fail(&entry.path(), cause))?;
            let path = format!("{prefix}{name}");
            if kind.is_dir() {
                folders.push((format!("{path}/"), entry.path()));
            } else if kind.is_file() {
                found.push((path, entry.path()));
            }
            if found.len() > MAX_FILES {
                let expected = "expected at most 100000 files: take the folders in it one by one";
                return Err(Error::invalid(IngestFolder::NAME, "folder", expected));
            }
        }
    }
    found.sort();
    Ok(found)
}
