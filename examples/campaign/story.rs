//! The story itself: one public operation after the other.

use std::path::Path;
use std::sync::Arc;

use neonhub::campaign::{
    ApproveCampaign, Brief, Campaign, CreateCampaign, FailedFile, GenerateAssets, PlanCampaign, Report,
    ReportCampaign, StartCampaign,
};
use neonhub::connectors::outbox::Outbox;
use neonhub::knowledge::{CreateDataset, CreateSpace, UploadDocument};
use neonhub::people::ImportId;
use neonhub::people::import::{ImportErrors, ImportStart};
use neonhub::voice::{BRAND_VOICE, ExtractVoice};
use neonhub::{CancelToken, ErrorKind, Hub, ManualClock, Result, Scope};

use crate::args::Args;
use crate::documents;
use crate::folder::OutFolder;
use crate::key;
use crate::screen::{Screen, summary};

/// Runs the whole campaign and gives the last words.
pub(crate) async fn run(args: &Args, stop: CancelToken) -> Result<String> {
    // Everything the user gave is looked at before any work begins.
    let brief = Brief::from_toml(&args.brief()?)?;
    let (brand, contacts) = (args.brand()?, args.contacts()?);
    let out = OutFolder::open(&args.out)?;
    let hub = open(args, &out).await?;
    let cx = hub.workspace("default").await?.with_cancel(stop);
    let done = tell(&cx, brief, &brand, &contacts, &out).await;
    // Closed whatever happened: what is committed stays, and the next run goes on from there.
    let closed = hub.close().await;
    let report = done?;
    closed?;
    Ok(summary(&report, &out))
}

/// Opens the store with an outbox in the out folder. `neonhub::open(path)` does as much for a program that needs
/// neither a fixed clock nor fixed chance.
async fn open(args: &Args, out: &OutFolder) -> Result<Hub> {
    let store = args.store();
    let mut builder = neonhub::builder().connector(Arc::new(Outbox::open(out.path("outbox"))?));
    if let Some(seed) = args.seed {
        builder = key::fixed(builder.seed(seed), &store, seed)?;
    }
    if let Some(now) = args.now()? {
        builder = builder.clock(Arc::new(ManualClock::at(now)));
    }
    builder.store(store).build().await
}

async fn tell(cx: &Scope, brief: Brief, brand: &Path, contacts: &Path, out: &OutFolder) -> Result<Report> {
    let mut screen = Screen::follow(cx).await?;
    // The same brief is the same campaign: a second run goes on with it.
    let campaign = cx.call(CreateCampaign { brief, name: None }).await?;
    let unread = screen.timed("knowledge", learn(cx, &campaign, brand)).await?;
    let import = screen.timed("contacts", import(cx, contacts, out)).await?;
    screen.timed("assets", write(cx, &campaign, out)).await?;
    let sent_before = report(cx, &campaign, &import, None).await?.sends.sent;
    screen.timed("launch", cx.call(StartCampaign { id: campaign.id.clone() })).await?;
    // Works every send that is due: the gate is asked once more, then the outbox takes it.
    screen.timed("send", cx.work_until_idle()).await?;
    let mut report = report(cx, &campaign, &import, Some(sent_before)).await?;
    report.knowledge.failed.extend(unread);
    report.timings_ms = screen.close();
    out.report(&report)?;
    Ok(report)
}

/// Takes the brand's documents in and reads its voice from them.
async fn learn(cx: &Scope, campaign: &Campaign, folder: &Path) -> Result<Vec<FailedFile>> {
    make_library(cx).await?;
    let brand = cx.call(neonhub::brand::GetBrand { brand: campaign.brand.to_string() }).await?;
    let files = documents::below(folder)?;
    let mut unread = Vec::new();
    for (n, file) in files.iter().enumerate() {
        cx.progress("knowledge", n as u64, files.len() as u64, file.name.clone());
        match std::fs::read(&file.path) {
            // An encrypted, truncated or empty document is kept with its reason, and the others go on.
            Ok(bytes) => {
                let document = UploadDocument::of(BRAND_VOICE, file.name.clone(), &bytes);
                let tags = vec![format!("brand:{}", brand.slug)];
                cx.call(UploadDocument { space: Some(BRAND_VOICE.into()), tags, ..document }).await?;
            }
            Err(cause) => {
                let reason = format!("the file cannot be opened: {cause}");
                unread.push(FailedFile { file: file.name.clone(), reason });
            }
        }
    }
    cx.progress("knowledge", files.len() as u64, files.len() as u64, "reading the voice");
    match cx.call(ExtractVoice { brand: brand.slug, documents: Vec::new() }).await {
        // Without a readable document there is no voice to read, and the campaign goes on without one.
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(unread),
    }
}

/// The space and dataset that the brand's documents live in.
async fn make_library(cx: &Scope) -> Result<()> {
    let space = CreateSpace { name: BRAND_VOICE.into(), ..Default::default() };
    let dataset =
        CreateDataset { space: BRAND_VOICE.into(), name: BRAND_VOICE.into(), ..CreateDataset::default() };
    let is_there = |error: &neonhub::Error| error.kind() == ErrorKind::AlreadyExists;
    cx.call(space).await.map(drop).or_else(|e| if is_there(&e) { Ok(()) } else { Err(e) })?;
    cx.call(dataset).await.map(drop).or_else(|e| if is_there(&e) { Ok(()) } else { Err(e) })
}

/// Imports the contacts; what was wrong goes to a file, row by row.
async fn import(cx: &Scope, contacts: &Path, out: &OutFolder) -> Result<ImportId> {
    let path = contacts.to_string_lossy().into_owned();
    let job = cx.call(ImportStart { path: Some(path), ..ImportStart::default() }).await?;
    let mut faults = Vec::new();
    let mut cursor = None;
    loop {
        let page = cx.call(ImportErrors { import: job.id.clone(), limit: Some(500), cursor }).await?;
        faults.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    out.rejected(&faults)?;
    Ok(job.id)
}

/// Plans, writes every text, and releases both. Here the owner of the store does all three; in an app with a team
/// the release is someone's decision.
async fn write(cx: &Scope, campaign: &Campaign, out: &OutFolder) -> Result<()> {
    let id = campaign.id.clone();
    let plan = cx.call(PlanCampaign { id: id.clone(), again: false }).await?;
    out.plan(&plan)?;
    let assets = cx.call(GenerateAssets { id: id.clone(), step_keys: None }).await?;
    if campaign.approval.is_none() {
        cx.call(ApproveCampaign { id: id.clone(), plan_version: plan.version, note: None }).await?;
    }
    // Read again: the release changed their state.
    let released =
        if assets.is_empty() { assets } else { cx.call(GenerateAssets { id, step_keys: None }).await? };
    out.assets(&released)
}

async fn report(
    cx: &Scope,
    campaign: &Campaign,
    import: &ImportId,
    sent_before: Option<u64>,
) -> Result<Report> {
    cx.call(ReportCampaign { id: campaign.id.clone(), import: Some(import.clone()), sent_before }).await
}
