//! The child of the knowledge check: takes documents in and deletes them without end, and prints what it does.

use std::io::Write as _;
use std::path::Path;

use neonhub::knowledge::{
    CompactKnowledge, CreateDataset, CreateSpace, DeleteDocument, ListDocuments, SearchKnowledge,
    UploadDocument, UploadDocuments,
};
use neonhub::{Hub, Scope};
use neonhub_core::{Rng, Seed};

use crate::Result;

/// Documents that are written over and over.
pub(super) const DOCUMENTS: u64 = 12;
/// Name of the space and of its dataset.
pub(super) const PLACE: &str = "shelf";
/// Words that many documents share.
pub(super) const WORDS: [&str; 6] = ["parcel", "letter", "garden", "coffee", "voucher", "window"];

/// The word that stands in one version of one document and nowhere else.
pub(super) fn mark(document: u64, version: u64) -> String {
    format!("mark{document}x{version}x")
}

fn text(document: u64, version: u64, rng: &mut Rng) -> String {
    let mark = mark(document, version);
    let mut out = format!("# Paper {document}\n\n");
    for section in 0..1 + rng.below(3) {
        out.push_str(&format!("## Part {section}\n\n"));
        for _ in 0..20 + rng.below(60) {
            let word = WORDS.get(rng.below(WORDS.len() as u64) as usize).copied().unwrap_or_default();
            out.push_str(&format!("The {word} of {mark} is here. "));
        }
        out.push_str("\n\n");
    }
    out
}

/// Opens the hub with the space and the dataset.
pub(super) async fn open(path: &Path) -> Result<(Hub, Scope)> {
    let hub = neonhub::builder().store(path.to_string_lossy()).build().await?;
    let scope = hub.workspace("default").await?;
    scope.call(CreateSpace { name: PLACE.into(), ..CreateSpace::default() }).await?;
    let dataset = CreateDataset { space: PLACE.into(), name: PLACE.into(), ..CreateDataset::default() };
    scope.call(dataset).await?;
    Ok((hub, scope))
}

/// Plays the child: arguments are the path of the store and a seed. Never returns unless an error ends it.
///
/// # Errors
/// Whatever an operation answers: none is expected.
pub(super) fn play(arguments: &[String]) -> Result<()> {
    let [path, seed] = arguments else { return Err("the librarian needs a path and a seed".into()) };
    let seed: u64 = seed.parse()?;
    let mut rng = Seed::from_number(seed).rng();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let (_hub, scope) = open(Path::new(path)).await?;
        for step in 0_u64.. {
            let (document, version) = (rng.below(DOCUMENTS), seed * 100_000 + step);
            match rng.below(10) {
                0 => {
                    scope.call(CompactKnowledge::default()).await?;
                }
                1..=3 => remove(&scope, document).await?,
                4..=6 => put(&scope, [document], version, &mut rng).await?,
                _ => {
                    let several = [0, 1, 2].map(|n| (document + n) % DOCUMENTS);
                    put(&scope, several, version, &mut rng).await?;
                }
            }
            // A search makes the index follow, so that kills fall into its writes as well.
            scope.call(SearchKnowledge::of("parcel")).await?;
        }
        Ok(())
    })
}

/// Takes one document in, or several by one call.
async fn put<const N: usize>(scope: &Scope, numbers: [u64; N], version: u64, rng: &mut Rng) -> Result<()> {
    let mut documents = numbers
        .map(|number| UploadDocument::of_text(PLACE, format!("{number}.md"), text(number, version, rng)));
    say(&numbers.map(|number| format!("try {number} {version}")).join("\n"))?;
    if let [only] = documents.as_mut_slice() {
        scope.call(std::mem::take(only)).await?;
    } else {
        scope.call(UploadDocuments { documents: documents.into() }).await?;
    }
    say(&numbers.map(|number| format!("put {number} {version}")).join("\n"))
}

async fn remove(scope: &Scope, document: u64) -> Result<()> {
    let name = format!("{document}.md");
    let listed = scope.call(ListDocuments { dataset: PLACE.into(), ..ListDocuments::default() }).await?;
    let Some(there) = listed.items.into_iter().find(|d| d.name == name) else { return Ok(()) };
    say(&format!("cut {document} 0"))?;
    scope.call(DeleteDocument { document: there.id }).await?;
    say(&format!("del {document} 0"))
}

/// One write for the whole line: the check counts complete lines only.
fn say(line: &str) -> Result<()> {
    Ok(std::io::stdout().lock().write_all(format!("{line}\n").as_bytes())?)
}
