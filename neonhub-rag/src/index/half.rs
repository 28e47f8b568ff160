//! Half-precision numbers (IEEE 754 binary16) as stored bits.

/// Nearest half-precision number, ties to even; beyond its range it saturates.
pub(crate) fn to_half(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16) as u16 & 0x8000;
    let magnitude = bits & 0x7fff_ffff;
    // 65 504 is the largest; values below 2^-25 round to zero.
    if magnitude >= 0x477f_e000 {
        return sign | if magnitude > 0x7f80_0000 { 0x7e00 } else { 0x7bff };
    }
    if magnitude < 0x3880_0000 {
        // Subnormal: steps of 2^-24.
        let steps = f32::from_bits(magnitude) * 16_777_216.0;
        return sign | steps.round_ties_even() as u16;
    }
    let rounded = magnitude + 0x0fff + (magnitude >> 13 & 1);
    sign | ((rounded >> 13) as u16).wrapping_sub(112 << 10)
}

/// The number that these bits stand for. Infinities are never stored.
///
/// Without branches, so that a row is decoded in wide registers: the bits are moved to where single precision has
/// them, and the product with 2^112 sets the bias of the exponent right, for subnormal numbers too.
#[inline(always)]
pub(crate) fn from_half(bits: u16) -> f32 {
    let bits = u32::from(bits);
    let magnitude = f32::from_bits((bits & 0x7fff) << 13) * f32::from_bits(0x7780_0000);
    f32::from_bits(magnitude.to_bits() | (bits & 0x8000) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finite_half_survives_the_round_trip() {
        for bits in (0..=u16::MAX).filter(|b| b >> 10 & 31 != 31) {
            assert_eq!(to_half(from_half(bits)), bits, "{bits:#x}");
        }
    }

    #[test]
    fn rounding_is_to_the_nearest() {
        assert_eq!(from_half(to_half(0.1)), 0.099_975_586);
        assert_eq!(from_half(to_half(1e9)), 65_504.0);
        assert_eq!(to_half(1e-9), 0);
    }
}
