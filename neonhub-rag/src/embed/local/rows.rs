//! What a sentence encoder does to each row of a matrix, written so that the compiler uses wide registers.
//!
//! The library of the matrices calls a function of C for every single number, which no wide register can hold, and makes
//! a new matrix at every step. Ours are good to 1e-6, far below what half-precision vectors keep.

use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Tensor, bail};

/// Work on every row of a matrix, in place.
struct EachRow<F> {
    width: usize,
    work: F,
}

impl<F: Fn(&mut [f32])> InplaceOp1 for EachRow<F> {
    fn name(&self) -> &'static str {
        "each-row"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let (CpuStorage::F32(numbers), Some((start, end))) = (storage, layout.contiguous_offsets()) else {
            bail!("rows are worked on in one piece of f32 numbers")
        };
        let Some(rows) = numbers.get_mut(start..end) else { bail!("the matrix is longer than its storage") };
        rows.chunks_exact_mut(self.width).for_each(&self.work);
        Ok(())
    }
}

/// Runs `work` on every row, in place.
pub(super) fn each_row(matrix: &Tensor, work: impl Fn(&mut [f32])) -> Result<()> {
    let width = matrix.dims().last().copied().unwrap_or_default();
    if width == 0 {
        return Ok(());
    }
    matrix.inplace_op1(&EachRow { width, work })
}

/// Adds a row.
pub(super) fn add(row: &mut [f32], other: &[f32]) {
    for (value, other) in row.iter_mut().zip(other) {
        *value += other;
    }
}

/// Brings a row to mean 0 and variance 1, then stretches and moves it by what was learned.
pub(super) fn normalise(row: &mut [f32], weight: &[f32], bias: &[f32], epsilon: f32) {
    let count = row.len() as f32;
    let mean = sum(row, |value| value) / count;
    let variance = sum(row, |value| (value - mean) * (value - mean)) / count;
    let scale = 1.0 / (variance + epsilon).sqrt();
    for ((value, weight), bias) in row.iter_mut().zip(weight).zip(bias) {
        *value = (*value - mean) * scale * weight + bias;
    }
}

/// Turns scores, each times `scale`, into shares that sum to 1.
pub(super) fn shares(row: &mut [f32], scale: f32) {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for value in row.iter_mut() {
        *value = exp((*value - largest) * scale);
    }
    let total = 1.0 / sum(row, |value| value);
    row.iter_mut().for_each(|value| *value *= total);
}

/// `x Φ(x)`, the activation of BERT, with Φ the distribution function of the normal distribution.
pub(super) fn gelu(row: &mut [f32]) {
    for value in row {
        let x = *value;
        *value = x * 0.5 * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2));
    }
}

/// A sum in sixteen lanes, which the compiler keeps in registers; a plain sum would fix the order.
fn sum(row: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0_f32; 16];
    let (blocks, rest) = row.as_chunks::<16>();
    for block in blocks {
        for (lane, value) in lanes.iter_mut().zip(block) {
            *lane += of(*value);
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().map(|value| of(*value)).sum::<f32>()
}

/// The error function to 1.5e-7: Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26.
#[inline(always)]
#[expect(clippy::excessive_precision, reason = "the digits of the handbook")]
fn erf(x: f32) -> f32 {
    let size = x.abs();
    let t = 1.0 / (1.0 + 0.327_591_1 * size);
    let series = 1.061_405_429 * t - 1.453_152_027;
    let series = series * t + 1.421_413_741;
    let series = series * t - 0.284_496_736;
    let series = (series * t + 0.254_829_592) * t;
    (1.0 - series * exp(-size * size)).copysign(x)
}

/// `e^x` for `x <= 0`, to about two units in the last place; 0 below -87, where f32 has no normal numbers left.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Adding it leaves no room for fractions in the significand: what is left is x rounded to a whole number.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, so that whole multiples of the first one are exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let clamped = x.max(-87.0);
    let shifted = clamped * std::f32::consts::LOG2_E + ROUND;
    let twos = shifted - ROUND;
    let rest = clamped - twos * LN2_HIGH - twos * LN2_LOW;
    // The series of e^x: the first term left out is below 2e-9 for |rest| <= ln(2) / 2.
    let series = rest / 5040.0 + 1.0 / 720.0;
    let series = series * rest + 1.0 / 120.0;
    let series = series * rest + 1.0 / 24.0;
    let series = series * rest + 1.0 / 6.0;
    let series = series * rest + 0.5;
    let series = (series * rest + 1.0) * rest + 1.0;
    let power = f32::from_bits(((twos as i32 + 127) as u32) << 23);
    if x < -87.0 { 0.0 } else { series * power }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_agrees_with_the_library() {
        for n in 0..=8_700 {
            let x = -0.01 * n as f32;
            let (ours, exact) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((ours - exact).abs() <= exact * 4e-7, "{x}: {ours} {exact}");
        }
        assert_eq!((exp(-90.0), exp(f32::NEG_INFINITY), exp(0.0)), (0.0, 0.0, 1.0));
    }

    #[test]
    fn erf_agrees_with_its_series() {
        // Values of table 7.1 of the handbook, and the series of 7.1.5 between them.
        for (x, value) in [(0.5, 0.520_499_877_8), (1.0, 0.842_700_792_9), (2.0, 0.995_322_265_0)] {
            assert!((f64::from(erf(x)) - value).abs() < 4e-7, "{x}");
            assert!((f64::from(erf(-x)) + value).abs() < 4e-7, "{x}");
        }
        for n in 0..300 {
            let x = 0.01 * n as f32;
            assert!((f64::from(erf(x)) - crate::embed::local::tests::erf(f64::from(x))).abs() < 4e-7, "{x}");
        }
        assert!(erf(f32::NAN).is_nan() && erf(20.0) == 1.0 && erf(-20.0) == -1.0);
    }

    #[test]
    fn shares_sum_to_one_whatever_the_scores() {
        for scores in [[0.0; 5], [1e4, -1e4, 3.0, 1e4, 2.0], [-50.0, -51.0, -52.0, -53.0, -54.0]] {
            let mut row = scores;
            shares(&mut row, 0.3);
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{row:?}");
        }
    }

    #[test]
    fn a_normalised_row_has_mean_zero_and_variance_one() {
        let mut row: Vec<f32> = (0..37).map(|n| 3.0 + (n * n) as f32).collect();
        normalise(&mut row, &[1.0; 37], &[0.0; 37], 0.0);
        assert!(row.iter().sum::<f32>().abs() < 1e-3);
        assert!((row.iter().map(|v| v * v).sum::<f32>() / 37.0 - 1.0).abs() < 1e-4);
    }
}
