//! A natural logarithm that gives the same bits on every platform, which the one of the C library does not.

/// `ln(x)` for finite `x >= 1`, good to 1e-12.
///
/// Splits off powers of two and sums `2 artanh((m-1)/(m+1))`; only additions, multiplications and divisions,
/// which IEEE 754 defines to the bit.
pub(super) fn ln(x: f64) -> f64 {
    let mut m = x.max(1.0);
    let mut twos = 0.0;
    while m > 1.5 {
        m *= 0.5;
        twos += 1.0;
    }
    let z = (m - 1.0) / (m + 1.0);
    let square = z * z;
    let mut power = z;
    let mut sum = 0.0;
    let mut n = 1.0;
    while n < 40.0 {
        sum += power / n;
        power *= square;
        n += 2.0;
    }
    2.0 * sum + twos * std::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_library() {
        for x in [1.0, 1.2, 1.5, 2.0, 3.0, 10.0, 1234.5, 1e9] {
            assert!((ln(x) - f64::ln(x)).abs() < 1e-12, "{x}");
        }
    }
}
