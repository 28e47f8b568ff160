//! A process that enqueues, works and schedules is killed again and again: every acknowledged job is done exactly
//! once by the ledger of its handler, none is lost, none stays stuck, and schedules fire once for each instant.

use std::collections::BTreeSet;
use std::time::Duration;

use super::jobber::{CONCURRENCY, Place};
use super::settled::{acknowledge, repeats, settle};
use super::{Options, Victim};
use crate::Result;

/// A child is killed after so many acknowledgements at most ...
const MAX_LINES: u64 = 25;
/// ... and a pause of so many microseconds at most, which puts the kill anywhere in enqueueing, taking and ending.
const MAX_PAUSE_US: u64 = 12_000;
/// Kills between two checks of everything.
const EVERY: u64 = 20;

/// Runs the check.
///
/// # Errors
/// Names the first job that was lost, doubled or stuck.
pub(super) fn check(options: &Options) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let place = Place::file(folder.path());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut rng = options.rng();
    let mut acknowledged = BTreeSet::new();
    let mut slowest = Duration::ZERO;
    for kill in 0..options.kills {
        let mut victim = Victim::start(place.child(options.seed.wrapping_mul(1_000).wrapping_add(kill))?)?;
        victim.wait_for_lines(rng.below(MAX_LINES) as usize)?;
        let (lines, status) = victim.kill_after(Duration::from_micros(rng.below(MAX_PAUSE_US)))?;
        if status.code().is_some() {
            return Err(format!("child {kill} ended by itself with {status} instead of being killed").into());
        }
        acknowledge(&mut acknowledged, &lines)?;
        if (kill + 1) % EVERY == 0 || kill + 1 == options.kills {
            let took = runtime
                .block_on(settle(&place, &acknowledged))
                .map_err(|error| format!("after kill {kill}: {error}"))?;
            slowest = slowest.max(took);
        }
    }
    let repeats = repeats(&place)?;
    let bound = options.kills * CONCURRENCY as u64;
    if repeats > bound {
        return Err(format!("handlers ran {repeats} times too often, {bound} is the bound").into());
    }
    println!(
        "{} kills: {} jobs acknowledged, each done once; handlers repeated {repeats} of {bound}; the slowest \
         recovery took {} ms",
        options.kills,
        acknowledged.len(),
        slowest.as_millis()
    );
    // With nothing acknowledged nothing could be lost, and the check would say nothing.
    if options.kills > 0 && (acknowledged.len() as u64) < options.kills {
        return Err("too few jobs were acknowledged to say anything".into());
    }
    Ok(())
}
