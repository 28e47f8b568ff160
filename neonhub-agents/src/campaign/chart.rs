//! Numbers as shapes: arcs of a ring, lengths of bars, places on a line. Plain integers and fixed decimals, so
//! that the same report gives the same bytes on every platform.

/// An arc of a ring whose whole length is 100.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Arc {
    /// Length of the arc, `12.5`.
    pub(super) length: String,
    /// Where it begins, counted clockwise from the top.
    pub(super) from: String,
}

/// The arcs of `values`, one after the other.
pub(super) fn ring(values: &[u64]) -> Vec<Arc> {
    let total: u64 = values.iter().sum();
    let mut from = 0;
    values
        .iter()
        .map(|value| {
            let length = per_mille(*value, total);
            let arc = Arc { length: tenths(length), from: tenths(from) };
            from += length;
            arc
        })
        .collect()
}

/// Share of `value` in `total` in per mille, rounded to nearest; 0 when there is no total.
pub(super) fn per_mille(value: u64, total: u64) -> u64 {
    if total == 0 { 0 } else { (value * 2_000 + total) / (total * 2) }
}

/// Per mille as percent with one decimal: `125` is `12.5`.
pub(super) fn tenths(per_mille: u64) -> String {
    format!("{}.{}", per_mille / 10, per_mille % 10)
}

/// Per mille as people read a share: whole percent from one on, else one decimal.
pub(super) fn percent(per_mille: u64) -> String {
    if per_mille == 0 || per_mille >= 10 {
        format!("{} %", (per_mille + 5) / 10)
    } else {
        format!("0.{per_mille} %")
    }
}

/// `12345` as `12,345`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ring_is_laid_end_to_end() {
        let arcs = ring(&[1, 1, 2]);
        let pairs: Vec<_> = arcs.iter().map(|a| (a.from.as_str(), a.length.as_str())).collect();
        assert_eq!(pairs, [("0.0", "25.0"), ("25.0", "25.0"), ("50.0", "50.0")]);
        assert!(ring(&[0, 0]).iter().all(|a| a.length == "0.0"));
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(percent(per_mille(1, 3)), "33 %");
        assert_eq!(percent(per_mille(1, 200)), "0.5 %");
        assert_eq!(percent(0), "0 %");
    }

    proptest! {
        #[test]
        fn ring_closes_within_one_per_mille_each(values in prop::collection::vec(0_u64..1_000_000, 1..9)) {
            let total: u64 = values.iter().sum();
            let sum: u64 = values.iter().map(|v| per_mille(*v, total)).sum();
            prop_assert!(total == 0 || sum.abs_diff(1_000) <= values.len() as u64);
        }
    }
}
