//! The campaign example is killed at seeded points and run again: the second run goes on where the first one was
//! stopped, and every allowed person has exactly one mail in the end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Options, Victim};
use crate::Result;

/// Path of the built example.
const PROGRAM: &str = "NEONHUB_CAMPAIGN";

/// The same moment and seed for all runs, so that all of them aim at the same result.
const FIXED: [&str; 4] = ["--seed", "7", "--now", "2026-11-23T15:00:00Z"];

/// How often the outbox is looked at while a point given in mails is waited for.
const LOOK: Duration = Duration::from_micros(500);

/// A run that ended before its point is no kill; so many tries per kill are made at most.
const TRIES: u64 = 4;

/// Counts of `sends` in the report that belong to one run alone.
const OF_ONE_RUN: [&str; 1] = ["sent_now"];

/// Runs the check.
///
/// # Errors
/// Names the point after which the result differs from that of a run in peace.
pub(super) fn check(options: &Options) -> Result<()> {
    let program =
        std::env::var_os(PROGRAM).ok_or_else(|| format!("{PROGRAM} must name the built example"))?;
    let program = PathBuf::from(program);
    let folder = tempfile::tempdir()?;
    let start = Instant::now();
    let reference = finish(&program, &folder.path().join("reference"))?;
    let peaceful = start.elapsed();
    if reference.mails.is_empty() {
        return Err("the run in peace wrote no mail, so nothing can be checked".into());
    }
    let mut rng = options.rng();
    let (mut kills, mut midway) = (0, 0);
    for attempt in 0..options.kills * TRIES {
        if kills == options.kills {
            break;
        }
        let out = folder.path().join(format!("run-{attempt}"));
        // Half of the points lie anywhere in the run, half where mails are being written.
        let point = if rng.below(2) == 0 {
            Point::After(peaceful.mul_f64(rng.below(1_000) as f64 / 1_000.0))
        } else {
            Point::Mails(rng.below(reference.mails.len() as u64) as usize)
        };
        if kill_at(&program, &out, &point)? {
            kills += 1;
            let written = mail_files(&out)?.len();
            midway += u64::from(written > 0 && written < reference.mails.len());
            let result =
                finish(&program, &out).map_err(|error| format!("after a kill at {point:?}: {error}"))?;
            result.compare(&reference).map_err(|error| format!("after a kill at {point:?}: {error}"))?;
        }
        std::fs::remove_dir_all(&out)?;
    }
    if kills < options.kills {
        return Err(format!("only {kills} of {} runs could be killed before their end", options.kills).into());
    }
    println!(
        "{kills} kills, {midway} of them between two mails: {} mails each time, one per person",
        reference.mails.len()
    );
    Ok(())
}

/// Where a run is killed.
#[derive(Debug)]
enum Point {
    /// After so much time.
    After(Duration),
    /// When the outbox holds so many mails.
    Mails(usize),
}

/// What a finished run left behind.
#[derive(Debug, PartialEq)]
struct Outcome {
    /// Number of mails per recipient.
    mails: BTreeMap<String, usize>,
    /// Number of files per other channel of the outbox.
    others: BTreeMap<String, usize>,
    /// Counts of the report.
    sends: Value,
    people: Value,
}

impl Outcome {
    fn compare(&self, reference: &Self) -> Result<()> {
        if let Some((to, count)) = self.mails.iter().find(|(_, count)| **count != 1) {
            return Err(format!("{count} mails to recipient {}", position(to, &reference.mails)).into());
        }
        let missing = reference.mails.keys().filter(|to| !self.mails.contains_key(*to)).count();
        let added = self.mails.keys().filter(|to| !reference.mails.contains_key(*to)).count();
        if missing + added > 0 {
            return Err(format!("{missing} recipients have no mail, {added} should have none").into());
        }
        if self != reference {
            return Err(format!("the result differs: {self:?} instead of {reference:?}").into());
        }
        Ok(())
    }
}

/// Which of the expected recipients this is: an address does not belong in a message.
fn position(to: &str, expected: &BTreeMap<String, usize>) -> String {
    let index = expected.keys().position(|known| known == to);
    index.map_or_else(|| "nobody expected".to_owned(), |index| format!("number {}", index + 1))
}

fn command(program: &Path, out: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(FIXED).arg("--out").arg(out).stderr(Stdio::null());
    command
}

/// Runs the example until the point and kills it. False when it ended before.
fn kill_at(program: &Path, out: &Path, point: &Point) -> Result<bool> {
    let mut victim = Victim::start(command(program, out))?;
    let pause = match point {
        Point::After(pause) => *pause,
        Point::Mails(count) => {
            while victim.is_running()? && mail_files(out)?.len() < *count {
                thread::sleep(LOOK);
            }
            Duration::ZERO
        }
    };
    let (_, status) = victim.kill_after(pause)?;
    Ok(status.code().is_none())
}

/// Runs the example to its end and reads what it left.
fn finish(program: &Path, out: &Path) -> Result<Outcome> {
    let output = command(program, out).stdin(Stdio::null()).stderr(Stdio::piped()).output()?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!("the example ended with {}: {}", output.status, errors.trim()).into());
    }
    let report: Value = serde_json::from_slice(&std::fs::read(out.join("report.json"))?)?;
    let mut sends = report.get("sends").cloned().unwrap_or_default();
    if let Some(counts) = sends.as_object_mut() {
        counts.retain(|name, _| !OF_ONE_RUN.contains(&name.as_str()));
    }
    let people = report.pointer("/contacts/people").cloned().unwrap_or_default();
    Ok(Outcome { mails: recipients(out)?, others: other_channels(out)?, sends, people })
}

/// The files of the mail outbox. A file with another ending is a temporary one that nobody renamed.
fn mail_files(out: &Path) -> Result<Vec<PathBuf>> {
    let files = files_in(&out.join("outbox/email"))?;
    Ok(files.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "eml")).collect())
}

fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        files.push(entry?.path());
    }
    Ok(files)
}

fn recipients(out: &Path) -> Result<BTreeMap<String, usize>> {
    let mut found = BTreeMap::new();
    for path in mail_files(out)? {
        let mail = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
        let to = to_header(&mail).ok_or_else(|| format!("{} has no recipient", path.display()))?;
        *found.entry(to).or_default() += 1;
    }
    Ok(found)
}

/// The To header of a mail, unfolded.
fn to_header(mail: &str) -> Option<String> {
    let mut head = mail.lines().take_while(|line| !line.is_empty()).skip_while(|line| !starts_with_to(line));
    let first = head.next()?.get("to:".len()..)?.trim().to_owned();
    let folded = head.take_while(|line| line.starts_with([' ', '\t']));
    Some(folded.fold(first, |whole, line| whole + " " + line.trim()))
}

fn starts_with_to(line: &str) -> bool {
    line.get(.."to:".len()).is_some_and(|name| name.eq_ignore_ascii_case("to:"))
}

fn other_channels(out: &Path) -> Result<BTreeMap<String, usize>> {
    let mut found = BTreeMap::new();
    for channel in files_in(&out.join("outbox"))? {
        let name = channel.file_name().unwrap_or_default().to_string_lossy().into_owned();
        found.insert(name, files_in(&channel)?.len());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(mails: &[(&str, usize)]) -> Outcome {
        Outcome {
            mails: mails.iter().map(|(to, count)| ((*to).to_owned(), *count)).collect(),
            others: BTreeMap::new(),
            sends: Value::Null,
            people: Value::Null,
        }
    }

    #[test]
    fn folded_recipient_is_read_whole() {
        let mail = "From: a@x.example\r\nTo: Ada\r\n <ada@x.example>\r\nSubject: hi\r\n\r\nTo: nobody\r\n";
        assert_eq!(to_header(mail).as_deref(), Some("Ada <ada@x.example>"));
        assert_eq!(to_header("Subject: hi\n\nTo: nobody\n"), None);
    }

    #[test]
    fn second_mail_missing_mail_and_extra_mail_are_found() {
        let reference = outcome(&[("a", 1), ("b", 1)]);
        assert!(reference.compare(&outcome(&[("a", 1), ("b", 1)])).is_ok());
        for wrong in [&[("a", 2), ("b", 1)][..], &[("a", 1)], &[("a", 1), ("b", 1), ("c", 1)]] {
            assert!(outcome(wrong).compare(&reference).is_err(), "{wrong:?}");
        }
    }
}
