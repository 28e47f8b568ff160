//! The story itself: one public operation after the other.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use neonhub::campaign::{
    ApproveCampaign, Brief, Campaign, CreateCampaign, GenerateAssets, PlanCampaign, Report, ReportCampaign,
    StartCampaign,
};
use neonhub::connectors::outbox::Outbox;
use neonhub::hub::Work;
use neonhub::people::import::{ImportErrors, ImportJob, ImportStart};
use neonhub::{CancelToken, Error, Hub, ManualClock, Result, Scope};

use crate::args::Args;
use crate::folder::OutFolder;
use crate::screen::{Screen, summary};

/// Runs the whole campaign and gives the last words.
pub async fn run(args: &Args, stop: CancelToken) -> Result<String> {
    // Everything the user gave is looked at before any work begins.
    let brief = Brief::from_toml(&args.brief()?)?;
    let (documents, contacts) = (args.brand()?, args.contacts()?);
    let out = OutFolder::open(&args.out)?;
    let hub = open(args, &out).await?;
    let cx = hub.workspace("default").await?.with_cancel(stop);
    let done = campaign(&cx, brief, &documents, &contacts, &out).await;
    let closed = hub.close().await;
    let report = done?;
    closed?;
    Ok(summary(&report, &out))
}

/// Opens the store with an outbox in the out folder. Without `--seed` and `--now` this is `neonhub::open`.
async fn open(args: &Args, out: &OutFolder) -> Result<Hub> {
    let mut builder = neonhub::builder().store(args.store());
    if let Some(seed) = args.seed {
        builder = builder.seed(seed);
    }
    if let Some(now) = args.now()? {
        builder = builder.clock(Arc::new(ManualClock::at(now)));
    }
    builder.connector(Arc::new(Outbox::open(out.path("outbox"))?)).build().await
}

async fn campaign(cx: &Scope, brief: Brief, documents: &Path, contacts: &Path, out: &OutFolder) -> Result<Report> {
    let mut screen = Screen::follow(cx).await?;
    let campaign = cx.call(CreateCampaign { brief, name: None }).await?;
    screen.timed("knowledge", knowledge(cx, &campaign, documents)).await?;
    let import = screen.timed("contacts", import(cx, contacts, out)).await?;
    screen.timed("campaign", write(cx, &campaign, out)).await?;
    let before = report(cx, &campaign, &import).await?;
    screen.timed("launch", cx.call(StartCampaign { id: campaign.id.clone() })).await?;
    screen.timed("send", cx.call(Work {})).await?;
    let mut report = report(cx, &campaign, &import).await?;
    report.sends.sent_now = report.sends.sent - before.sends.sent;
    report.timings_ms = screen.close();
    out.report(&report)?;
    Ok(report)
}
