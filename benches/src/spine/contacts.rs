//! A contacts file of any size, the same for every run: addresses of reserved names, numbers of reserved ranges.

use std::fmt::Write as _;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use neonhub_core::Seed;

use crate::Result;

/// One row in fifty repeats an earlier address, so that there is something to resolve.
const REPEATS: u64 = 50;

/// Two rows of three have a number.
const NUMBERS: u64 = 3;

const HEADER: &str = "email,phone,first_name,last_name,locale,timezone,country,consent_email,consent_sms,\
                      consent_at,consent_source,consent_text,tags,plan\n";

const FIRST: [&str; 8] = ["Ada", "Bela", "Chiara", "Dmitri", "Emine", "Farid", "Grace", "Hana"];
const LAST: [&str; 7] = ["Lovelace", "Novak", "Rossi", "Petrov", "Yilmaz", "Haddad", "Hopper"];

/// Writes the file; gives the number of different people in it.
pub(super) fn write(path: &Path, rows: usize) -> Result<usize> {
    let mut file = BufWriter::new(std::fs::File::create(path)?);
    file.write_all(HEADER.as_bytes())?;
    let mut rng = Seed::from_number(1).rng();
    let mut people = 0;
    let mut line = String::new();
    for row in 0..rows {
        let is_repeat = row > 0 && rng.below(REPEATS) == 0;
        let who = if is_repeat { rng.below(people as u64) as usize } else { people };
        people += usize::from(!is_repeat);
        line.clear();
        let first = FIRST.get(who % FIRST.len()).copied().unwrap_or_default();
        let last = LAST.get(who % LAST.len()).copied().unwrap_or_default();
        let sms = if (who as u64).is_multiple_of(NUMBERS) { "" } else { "granted" };
        write!(line, "{}.{who}@people.example,{},", first.to_lowercase(), number(who).unwrap_or_default())?;
        write!(
            line,
            "{first},{last},en-US,America/New_York,US,granted,{sms},2026-01-15T08:00:00Z,signup form,"
        )?;
        writeln!(line, "Yes please: send me news and offers.,customer;spring,plan {}", who % 4)?;
        file.write_all(line.as_bytes())?;
    }
    file.flush()?;
    Ok(people)
}

/// A number of the range that the numbering plan keeps for fiction (555-0100 to 555-0199 in every area code), a
/// different one for each of the first 70,000 people with a number.
fn number(who: usize) -> Option<String> {
    if (who as u64).is_multiple_of(NUMBERS) {
        return None;
    }
    let nth = who - who / 3 - 1;
    let area = (201..=989).filter(|code| code % 100 != 11 && (code / 10) % 10 != 9).nth(nth / 100)?;
    Some(format!("+1{area}55501{:02}", nth % 100))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn numbers_differ_and_people_are_counted() {
        let numbers: Vec<String> = (0..90_000).filter_map(number).collect();
        assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), numbers.len());
        assert_eq!((numbers[0].as_str(), numbers[101].as_str()), ("+12015550100", "+12025550101"));

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("contacts.csv");
        let people = write(&path, 1_000).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let addresses: BTreeSet<&str> =
            text.lines().skip(1).filter_map(|line| line.split(',').next()).collect();
        assert_eq!((text.lines().count(), addresses.len()), (1_001, people));
        assert!(people < 1_000);
    }
}
