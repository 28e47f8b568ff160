//! Names that are close to a wrong one.

/// As much of a wrong name as is compared and shown, in bytes.
pub(super) const MOST_OF_A_NAME: usize = 100;

/// The three names closest to a wrong one, by edit distance.
#[must_use]
pub fn closest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    // A wrong name may be as long as an input may be; what is close to a name is about as long as one.
    let name = name.get(..name.floor_char_boundary(MOST_OF_A_NAME)).unwrap_or(name);
    let mut ranked: Vec<(usize, &str)> = names.map(|n| (distance(name, n), n)).collect();
    ranked.sort_unstable();
    ranked.into_iter().take(3).map(|(_, n)| n).collect()
}

/// Levenshtein distance over bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (slot, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let best = (diagonal + usize::from(x != y)).min(left + 1).min(*slot + 1);
            diagonal = std::mem::replace(slot, best);
            left = best;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}
