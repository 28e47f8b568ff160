//! Crashes a child process on purpose: `neonhub-crash GROUP [--kills N] [--seed N] [--jobs N]`.
//!
//! As `neonhub-crash --child PART ...` it is that child.

use neonhub_bench::Result;
use neonhub_bench::crash::{CHILDREN, GROUPS, Options};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let names: Vec<&str> = GROUPS.iter().map(|(name, _, _)| *name).collect();
    let names = names.join(", ");
    match arguments.as_slice() {
        [flag, part, rest @ ..] if flag == "--child" => {
            let (_, play) = CHILDREN
                .iter()
                .find(|(known, _)| known == part)
                .ok_or_else(|| format!("there is no child `{part}`"))?;
            play(rest)
        }
        [group, rest @ ..] => {
            let (_, kills, check) = GROUPS
                .iter()
                .find(|(known, _, _)| known == group)
                .ok_or_else(|| format!("there is no group `{group}`: choose one of {names}"))?;
            check(&Options::read(rest, *kills)?)
        }
        [] => Err(format!("which group? There are: {names}").into()),
    }
}
