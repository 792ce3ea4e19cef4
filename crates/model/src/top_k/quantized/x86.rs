//! The comparison in the vector registers of x86-64 processors.

use std::arch::x86_64::*;

use pulp::bytemuck::cast;

use super::{GROUP, Group, TILE};

/// Users handled together, so that loaded items serve all of them.
const TOGETHER: usize = 4;

/// Fills `masks`; `false` if this processor has none of the instructions.
pub fn reaching(tile: &[Group], readers: &[[i8; GROUP]], limits: &[i32], masks: &mut [u64]) -> bool {
    let [wide, new, old] = there();
    // SAFETY: `there` found the instructions on this processor.
    unsafe {
        match () {
            () if wide => avx512(tile, readers, limits, masks),
            () if new => avx_vnni(tile, readers, limits, masks),
            () if old => avx2(tile, readers, limits, masks),
            () => return false,
        }
    }
    true
}

/// Which of the kernels this processor can run.
fn there() -> [bool; 3] {
    [
        is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vnni"),
        is_x86_feature_detected!("avxvnni"),
        is_x86_feature_detected!("avx2"),
    ]
}

/// The masks of each kernel that this processor can run.
#[cfg(test)]
pub fn all(tile: &[Group], readers: &[[i8; GROUP]], limits: &[i32]) -> Vec<Vec<u64>> {
    type Kernel = unsafe fn(&[Group], &[[i8; GROUP]], &[i32], &mut [u64]);
    let kernels: [Kernel; 3] = [avx512, avx_vnni, avx2];
    let kernels = kernels.into_iter().zip(there()).filter(|(_, there)| *there);
    kernels
        .map(|(kernel, _)| {
            let mut masks = vec![0; limits.len()];
            // SAFETY: the processor was asked for the instructions.
            unsafe { kernel(tile, readers, limits, &mut masks) };
            masks
        })
        .collect()
}

/// A kernel from the instructions of one kind of processor. A macro rather than a generic function, because
/// `target_feature` must stand at each function that uses the instructions.
macro_rules! kernel {
    (
        $(#[$doc:meta])* $name:ident, $features:literal, $lanes:literal lanes, $columns:literal columns,
        $vector:ty: $zero:ident, $load:ident, $splat:ident, $products:ident, $reach:ident
    ) => {
        $(#[$doc])*
        #[target_feature(enable = $features)]
        fn $name(tile: &[Group], readers: &[[i8; GROUP]], limits: &[i32], masks: &mut [u64]) {
            #[target_feature(enable = $features)]
            fn some<const R: usize>(tile: &[Group], readers: [&[[i8; GROUP]]; R], limits: &[i32], masks: &mut [u64]) {
                const { assert!(TILE % ($lanes * $columns) == 0) };
                masks[..R].fill(0);
                for first in (0..TILE).step_by($lanes * $columns) {
                    let mut sums = [[$zero(); $columns]; R];
                    for (at, items) in tile.iter().enumerate() {
                        let mut loaded: [$vector; $columns] = [$zero(); $columns];
                        for column in 0..$columns {
                            let from = &items[first + column * $lanes..][..$lanes];
                            // SAFETY: as many items as the register has lanes, four bytes each.
                            loaded[column] = unsafe { $load(from.as_ptr().cast()) };
                        }
                        for reader in 0..R {
                            let group = $splat(cast::<[i8; GROUP], i32>(readers[reader][at]));
                            for column in 0..$columns {
                                sums[reader][column] = $products(sums[reader][column], loaded[column], group);
                            }
                        }
                    }
                    for reader in 0..R {
                        for column in 0..$columns {
                            let reached = $reach(sums[reader][column], limits[reader]);
                            masks[reader] |= u64::from(reached) << (first + column * $lanes);
                        }
                    }
                }
            }
            let groups = tile.len();
            let row = |at: usize| &readers[at * groups..][..groups];
            let mut at = 0;
            while at + TOGETHER <= limits.len() {
                some::<TOGETHER>(tile, [row(at), row(at + 1), row(at + 2), row(at + 3)], &limits[at..], &mut masks[at..]);
                at += TOGETHER;
            }
            while at < limits.len() {
                some::<1>(tile, [row(at)], &limits[at..], &mut masks[at..]);
                at += 1;
            }
        }
    };
}

kernel! {
    /// Servers since 2019.
    avx512, "avx512f,avx512bw,avx512vnni", 16 lanes, 4 columns,
    __m512i: _mm512_setzero_si512, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_dpbusd_epi32, reach512
}

kernel! {
    /// Laptops since 2021.
    avx_vnni, "avx2,avxvnni", 8 lanes, 2 columns,
    __m256i: _mm256_setzero_si256, _mm256_loadu_si256, _mm256_set1_epi32, _mm256_dpbusd_avx_epi32, reach256
}

kernel! {
    /// Nearly everything since 2013.
    avx2, "avx2", 8 lanes, 2 columns,
    __m256i: _mm256_setzero_si256, _mm256_loadu_si256, _mm256_set1_epi32, products256, reach256
}

#[target_feature(enable = "avx2")]
fn products256(sums: __m256i, items: __m256i, reader: __m256i) -> __m256i {
    let pairs = _mm256_maddubs_epi16(items, reader);
    _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
}

#[target_feature(enable = "avx512f")]
fn reach512(sums: __m512i, limit: i32) -> u16 {
    _mm512_cmpge_epi32_mask(sums, _mm512_set1_epi32(limit))
}

#[target_feature(enable = "avx2")]
fn reach256(sums: __m256i, limit: i32) -> u8 {
    let over = _mm256_cmpgt_epi32(sums, _mm256_set1_epi32(limit.saturating_sub(1)));
    _mm256_movemask_ps(_mm256_castsi256_ps(over)) as u8
}
