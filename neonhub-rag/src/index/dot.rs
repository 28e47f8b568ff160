//! Sums of products, with the widest registers that the processor has.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    __m256i, __m512i, _mm256_abs_epi8, _mm256_add_epi32, _mm256_loadu_si256, _mm256_madd_epi16,
    _mm256_maddubs_epi16, _mm256_set1_epi16, _mm256_setzero_si256, _mm256_sign_epi8, _mm512_abs_epi8,
    _mm512_dpbusd_epi32, _mm512_loadu_si512, _mm512_mask_sub_epi8, _mm512_movepi8_mask,
    _mm512_reduce_add_epi32, _mm512_setzero_si512,
};

/// Sum of products of two int8 rows of equal length, without -128.
///
/// What the processor has is looked for at run time; NEON belongs to every 64-bit Arm and needs no question. On 20 000
/// rows of 384 numbers the instructions for it take 0.5 of the time that AVX2 takes as the compiler uses it (AVX-512),
/// and 0.8 (AVX2).
pub(super) fn dot_i8(a: &[i8], b: &[i8]) -> i32 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vnni") {
        #[allow(unsafe_code, reason = "the preconditions are checked in the line above")]
        return unsafe { i8_vnni(a, b) };
    }
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

/// Both instructions multiply whole numbers without a sign by ones with: the sign of the first goes to the second.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn i8_vnni(a: &[i8], b: &[i8]) -> i32 {
    let (a_blocks, a_rest) = a.as_chunks::<64>();
    let (b_blocks, b_rest) = b.as_chunks::<64>();
    let mut sums = _mm512_setzero_si512();
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        let (a, b) = (wide(a), wide(b));
        let b = _mm512_mask_sub_epi8(b, _mm512_movepi8_mask(a), _mm512_setzero_si512(), b);
        sums = _mm512_dpbusd_epi32(sums, _mm512_abs_epi8(a), b);
    }
    _mm512_reduce_add_epi32(sums) + rest(a_rest, b_rest)
}

/// Two products fit int16: 2 * 127 * 127 is below 32 768.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn i8_avx2(a: &[i8], b: &[i8]) -> i32 {
    let (a_blocks, a_rest) = a.as_chunks::<32>();
    let (b_blocks, b_rest) = b.as_chunks::<32>();
    let mut sums = _mm256_setzero_si256();
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        let (a, b) = (half_wide(a), half_wide(b));
        let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(a), _mm256_sign_epi8(b, a));
        sums = _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    }
    eight(sums).iter().sum::<i32>() + rest(a_rest, b_rest)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
#[allow(unsafe_code, reason = "64 bytes are read where 64 are")]
fn wide(bytes: &[i8; 64]) -> __m512i {
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[allow(unsafe_code, reason = "32 bytes are read where 32 are")]
fn half_wide(bytes: &[i8; 32]) -> __m256i {
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[allow(unsafe_code, reason = "both are 32 bytes of which every pattern is a value")]
fn eight(sums: __m256i) -> [i32; 8] {
    unsafe { std::mem::transmute(sums) }
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
    sums.iter().sum::<i32>() + rest(a_rest, b_rest)
}

fn rest(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
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
        for len in [0_usize, 1, 31, 32, 33, 63, 64, 65, 384, 512, 777] {
            let a: Vec<i8> = (0..len).map(|n| (n as i32 * 37 % 255 - 127) as i8).collect();
            let b: Vec<i8> = (0..len).map(|n| (n as i32 * 91 % 255 - 127) as i8).collect();
            let plain: i32 = a.iter().zip(&b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum();
            assert_eq!(dot_i8(&a, &b), plain, "{len}");
            assert_eq!(i8_blocks(&a, &b), plain, "{len}");
            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") {
                #[allow(unsafe_code, reason = "the precondition is checked in the line above")]
                let narrow = unsafe { i8_avx2(&a, &b) };
                assert_eq!(narrow, plain, "{len}");
            }
            let query: Vec<f32> = a.iter().map(|v| f32::from(*v) / 127.0).collect();
            let row: Vec<u16> = b.iter().map(|v| super::super::to_half(f32::from(*v) / 127.0)).collect();
            let wide = dot_half(&query, &row);
            assert_eq!(wide, half_blocks(&query, &row), "{len}");
            let full: Vec<f32> = row.iter().map(|h| super::super::from_half(*h)).collect();
            assert!((wide - dot_f32(&query, &full)).abs() < 1e-3, "{len}");
        }
    }
}
