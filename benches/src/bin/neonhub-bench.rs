//! Measures one group: `neonhub-bench GROUP [--quick] [--only PART] [--out FOLDER]`.

use std::path::PathBuf;
use std::time::Instant;

use neonhub_bench::{GROUPS, Part, Result, Runs, child, print, write};

fn main() -> Result<()> {
    let started = Instant::now();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [flag, rest @ ..] if flag == "--child" => child(started, rest),
        _ => measure(arguments),
    }
}

fn measure(arguments: Vec<String>) -> Result<()> {
    let mut arguments = arguments.into_iter();
    let (mut group, mut runs, mut out, mut only) = (None, Runs::Full, None, None);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => runs = Runs::Quick,
            "--out" => out = Some(PathBuf::from(arguments.next().ok_or("--out needs a folder")?)),
            "--only" => only = Some(arguments.next().ok_or("--only needs the name of a part")?),
            name => group = Some(name.to_owned()),
        }
    }
    let names = names(GROUPS.iter().map(|(name, _)| *name));
    let name = group.ok_or_else(|| format!("which group? There are: {names}"))?;
    let (_, parts) = GROUPS
        .iter()
        .find(|(known, _)| *known == name)
        .ok_or_else(|| format!("there is no group `{name}`: choose one of {names}"))?;
    let mut rows = Vec::new();
    for (part, measure) in chosen(parts, only.as_deref())? {
        eprintln!("measuring {part}");
        rows.extend(measure(runs)?);
    }
    print(&name, &rows);
    if let Some(out) = out {
        println!("written to {}", write(&out, &name, &rows)?.display());
    }
    Ok(())
}

fn chosen<'a>(parts: &'a [Part], only: Option<&str>) -> Result<Vec<&'a Part>> {
    let chosen: Vec<&Part> = parts.iter().filter(|(part, _)| only.is_none_or(|only| only == *part)).collect();
    if chosen.is_empty() {
        return Err(
            format!("no such part: choose one of {}", names(parts.iter().map(|(part, _)| *part))).into()
        );
    }
    Ok(chosen)
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}
