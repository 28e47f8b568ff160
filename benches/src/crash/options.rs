//! How often to kill, and the seed of the points.

use neonhub_core::{Rng, Seed};

use crate::Result;

/// Jobs of a fleet unless told.
const JOBS: u64 = 20_000;

/// Options of a crash check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How many children are killed; of the group `runs`, how many runs.
    pub kills: u64,
    /// Seed of the points at which they are killed.
    pub seed: u64,
    /// How many jobs a fleet works.
    pub jobs: u64,
}

impl Options {
    /// Reads `--kills N`, `--seed N` and `--jobs N`. Default: the group's number of kills, seed 1, 20 000 jobs.
    ///
    /// # Errors
    /// Names the option that is unknown or holds no number.
    pub fn read(arguments: &[String], kills: u64) -> Result<Self> {
        let mut options = Self { kills, seed: 1, jobs: JOBS };
        let mut arguments = arguments.iter();
        while let Some(name) = arguments.next() {
            let mut number = || -> Result<u64> {
                let value = arguments.next().ok_or_else(|| format!("{name} needs a number"))?;
                value.parse().map_err(|_| format!("{name} needs a number, not `{value}`").into())
            };
            match name.as_str() {
                "--kills" => options.kills = number()?,
                "--seed" => options.seed = number()?,
                "--jobs" => options.jobs = number()?,
                other => {
                    return Err(format!("no option `{other}`: choose --kills N, --seed N or --jobs N").into());
                }
            }
        }
        Ok(options)
    }

    /// The generator of the points.
    #[must_use]
    pub fn rng(&self) -> Rng {
        Seed::from_number(self.seed).rng()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Options> {
        Options::read(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(), 100)
    }

    #[test]
    fn defaults_hold_until_told_otherwise() {
        assert_eq!(read(&[]).unwrap(), Options { kills: 100, seed: 1, jobs: JOBS });
        let told = read(&["--seed", "9", "--kills", "3", "--jobs", "50"]).unwrap();
        assert_eq!(told, Options { kills: 3, seed: 9, jobs: 50 });
        assert!(
            read(&["--kills"]).is_err()
                && read(&["--kills", "x"]).is_err()
                && read(&["--kill", "3"]).is_err()
        );
    }
}
