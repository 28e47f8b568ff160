//! Sums of products, with the widest registers that the processor has.

/// Sum of products of two int8 rows of equal length.
///
/// AVX2 is looked for at run time; NEON belongs to every 64-bit Arm and needs no question.
pub(super) fn dot_i8(a: &[i8], b: &[i8]) -> i32 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        #[allow(unsafe_code, reason = "the one precondition, AVX2, is checked in the line above")]
        return unsafe { i8_avx2(a, b) };
    }
    i8_blocks(a, b)
}

/// Sum of products of a row of half-precision numbers with a query.
pub(super) fn dot_half(query: &[f32], row: &[u16]) -> f32 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        #[allow(unsafe_code, reason = "the one precondition, AVX2, is checked in the line above")]
        return unsafe { half_avx2(query, row) };
    }
    half_blocks(query, row)
}

/// Sum of products of full-precision numbers.
pub(super) fn dot_f32(query: &[f32], row: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 16];
    let (q_blocks, q_rest) = query.as_chunks::<16>();
    let (r_blocks, r_rest) = row.as_chunks::<16>();
    for (q, r) in q_blocks.iter().zip(r_blocks) {
        for ((sum, q), r) in sums.iter_mut().zip(q).zip(r) {
            *sum += q * r;
        }
    }
    let rest: f32 = q_rest.iter().zip(r_rest).map(|(q, r)| q * r).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn i8_avx2(a: &[i8], b: &[i8]) -> i32 {
    i8_blocks(a, b)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn half_avx2(query: &[f32], row: &[u16]) -> f32 {
    half_blocks(query, row)
}

/// Products of int8 fit int16, and the compiler knows an instruction that adds pairs of them.
#[inline(always)]
fn i8_blocks(a: &[i8], b: &[i8]) -> i32 {
    let mut sums = [0_i32; 32];
    let (a_blocks, a_rest) = a.as_chunks::<32>();
    let (b_blocks, b_rest) = b.as_chunks::<32>();
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += i32::from(i16::from(*a) * i16::from(*b));
        }
    }
    let rest: i32 = a_rest.iter().zip(b_rest).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum();
    sums.iter().sum::<i32>() + rest
}

/// The sums stand in sixteen places, so that the order of additions is the same with every register width.
#[inline(always)]
fn half_blocks(query: &[f32], row: &[u16]) -> f32 {
    let mut sums = [0.0_f32; 16];
    let (q_blocks, q_rest) = query.as_chunks::<16>();
    let (r_blocks, r_rest) = row.as_chunks::<16>();
    for (q, r) in q_blocks.iter().zip(r_blocks) {
        for ((sum, q), r) in sums.iter_mut().zip(q).zip(r) {
            *sum += q * super::half::from_half(*r);
        }
    }
    let rest: f32 = q_rest.iter().zip(r_rest).map(|(q, r)| q * super::half::from_half(*r)).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wide_way_equals_the_plain_one() {
        for len in [0_usize, 1, 31, 32, 33, 384, 512, 777] {
            let a: Vec<i8> = (0..len).map(|n| (n as i32 * 37 % 255 - 127) as i8).collect();
            let b: Vec<i8> = (0..len).map(|n| (n as i32 * 91 % 255 - 127) as i8).collect();
            let plain: i32 = a.iter().zip(&b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum();
            assert_eq!(dot_i8(&a, &b), plain, "{len}");
            assert_eq!(i8_blocks(&a, &b), plain, "{len}");
            let query: Vec<f32> = a.iter().map(|v| f32::from(*v) / 127.0).collect();
            let row: Vec<u16> = b.iter().map(|v| super::super::to_half(f32::from(*v) / 127.0)).collect();
            let wide = dot_half(&query, &row);
            assert_eq!(wide, half_blocks(&query, &row), "{len}");
            let full: Vec<f32> = row.iter().map(|h| super::super::from_half(*h)).collect();
            assert!((wide - dot_f32(&query, &full)).abs() < 1e-3, "{len}");
        }
    }
}
