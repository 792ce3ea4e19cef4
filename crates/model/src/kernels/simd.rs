//! The few vector operations that everything on the CPU is made of.
//!
//! They use the vector registers found at run time ([`pulp`]) and fused multiply-adds, which a compiler may
//! not make of a product and a sum by itself. All slices may have any length.

use pulp::Simd;

/// Rows handled together: what they share is loaded once for all of them.
pub const TOGETHER: usize = 4;

/// Prefetches a row that will be needed soon: rows lie all over memory, and fetching one takes longer than
/// working with it.
#[inline(always)]
pub fn expect(row: &[f32]) {
    /// Numbers in a cache line.
    const LINE: usize = 16;
    #[cfg(target_arch = "x86_64")]
    for line in row.chunks(LINE) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint, which reads nothing; the address is that of a slice anyway.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (row, LINE);
}

/// a·b.
#[inline(always)]
pub fn dot<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_tail), (b, b_tail)) = (S::as_simd_f32s(a), S::as_simd_f32s(b));
    // Four sums at once, because each addition has to wait for the one before it in its sum.
    let mut sums = [simd.splat_f32s(0.0); 4];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    for (a, b) in a.iter().zip(b) {
        for at in 0..4 {
            sums[at] = simd.mul_add_e_f32s(a[at], b[at], sums[at]);
        }
    }
    for (at, (a, b)) in a_rest.iter().zip(b_rest).enumerate() {
        sums[at] = simd.mul_add_e_f32s(*a, *b, sums[at]);
    }
    if !a_tail.is_empty() {
        let (a, b) = (simd.partial_load_f32s(a_tail), simd.partial_load_f32s(b_tail));
        sums[3] = simd.mul_add_e_f32s(a, b, sums[3]);
    }
    let [p, q, r, s] = sums;
    simd.reduce_sum_f32s(simd.add_f32s(simd.add_f32s(p, q), simd.add_f32s(r, s)))
}

/// Four rows, each as whole registers and the rest. (No closures in this file: the code in a closure is
/// compiled for any processor, without its vector registers.)
#[inline(always)]
fn four<S: Simd>(rows: &[f32], d: usize) -> [(&[S::f32s], &[f32]); TOGETHER] {
    let (a, rows) = rows.split_at(d);
    let (b, rows) = rows.split_at(d);
    let (c, rows) = rows.split_at(d);
    [S::as_simd_f32s(a), S::as_simd_f32s(b), S::as_simd_f32s(c), S::as_simd_f32s(&rows[..d])]
}

/// The products of [`TOGETHER`] rows with a vector of their length.
#[inline(always)]
pub fn dots<S: Simd>(simd: S, rows: &[f32], vector: &[f32]) -> [f32; TOGETHER] {
    let d = vector.len();
    let rows = four::<S>(rows, d);
    let (vector, tail) = S::as_simd_f32s(vector);
    let mut sums = [simd.splat_f32s(0.0); TOGETHER];
    for (k, vector) in vector.iter().enumerate() {
        for at in 0..TOGETHER {
            sums[at] = simd.mul_add_e_f32s(rows[at].0[k], *vector, sums[at]);
        }
    }
    if !tail.is_empty() {
        let tail = simd.partial_load_f32s(tail);
        for at in 0..TOGETHER {
            sums[at] = simd.mul_add_e_f32s(simd.partial_load_f32s(rows[at].1), tail, sums[at]);
        }
    }
    let [p, q, r, s] = sums;
    [simd.reduce_sum_f32s(p), simd.reduce_sum_f32s(q), simd.reduce_sum_f32s(r), simd.reduce_sum_f32s(s)]
}

/// sum += number · row.
#[inline(always)]
pub fn add<S: Simd>(simd: S, number: f32, row: &[f32], sum: &mut [f32]) {
    let number = simd.splat_f32s(number);
    let ((row, row_tail), (sum, sum_tail)) = (S::as_simd_f32s(row), S::as_mut_simd_f32s(sum));
    for (row, sum) in row.iter().zip(sum) {
        *sum = simd.mul_add_e_f32s(number, *row, *sum);
    }
    if !row_tail.is_empty() {
        let (row, before) = (simd.partial_load_f32s(row_tail), simd.partial_load_f32s(sum_tail));
        simd.partial_store_f32s(sum_tail, simd.mul_add_e_f32s(number, row, before));
    }
}

/// sum += Σ number · row over [`TOGETHER`] rows.
#[inline(always)]
pub fn add_all<S: Simd>(simd: S, numbers: [f32; TOGETHER], rows: &[f32], sum: &mut [f32]) {
    let d = sum.len();
    let rows = four::<S>(rows, d);
    let (sum, tail) = S::as_mut_simd_f32s(sum);
    let [p, q, r, s] = numbers;
    let numbers = [simd.splat_f32s(p), simd.splat_f32s(q), simd.splat_f32s(r), simd.splat_f32s(s)];
    for (k, sum) in sum.iter_mut().enumerate() {
        let mut new = *sum;
        for at in 0..TOGETHER {
            new = simd.mul_add_e_f32s(numbers[at], rows[at].0[k], new);
        }
        *sum = new;
    }
    if !tail.is_empty() {
        let mut new = simd.partial_load_f32s(tail);
        for at in 0..TOGETHER {
            new = simd.mul_add_e_f32s(numbers[at], simd.partial_load_f32s(rows[at].1), new);
        }
        simd.partial_store_f32s(tail, new);
    }
}

/// Wᵀ a: the sum of the rows of W, each times its number.
#[inline(always)]
pub fn combine<S: Simd>(simd: S, w: &[f32], numbers: &[f32], sum: &mut [f32]) {
    sum.fill(0.0);
    let d = sum.len();
    let (together, rest) = numbers.as_chunks::<TOGETHER>();
    let (blocks, rows) = w.split_at(together.len() * TOGETHER * d);
    for (numbers, block) in together.iter().zip(blocks.chunks_exact(TOGETHER * d)) {
        add_all(simd, *numbers, block, sum);
    }
    for (number, row) in rest.iter().zip(rows.chunks_exact(d)) {
        add(simd, *number, row, sum);
    }
}

/// (I + WᵀW) z, in one pass over W.
#[inline(always)]
pub fn apply<S: Simd>(simd: S, w: &[f32], z: &[f32], product: &mut [f32]) {
    product.copy_from_slice(z);
    let d = z.len();
    let blocks = w.chunks_exact(TOGETHER * d);
    let rest = blocks.remainder();
    for block in blocks {
        add_all(simd, dots(simd, block, z), block, product);
    }
    for row in rest.chunks_exact(d) {
        add(simd, dot(simd, row, z), row, product);
    }
}

/// out = number · a ∘ b.
#[inline(always)]
pub fn scaled<S: Simd>(simd: S, number: f32, a: &[f32], b: &[f32], out: &mut [f32]) {
    let number = simd.splat_f32s(number);
    let ((a, a_tail), (b, b_tail)) = (S::as_simd_f32s(a), S::as_simd_f32s(b));
    let (out, out_tail) = S::as_mut_simd_f32s(out);
    for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
        *out = simd.mul_f32s(simd.mul_f32s(*a, *b), number);
    }
    if !a_tail.is_empty() {
        let product = simd.mul_f32s(simd.partial_load_f32s(a_tail), simd.partial_load_f32s(b_tail));
        simd.partial_store_f32s(out_tail, simd.mul_f32s(product, number));
    }
}

/// The result in each kind of registers that this processor has, not only in the widest.
#[cfg(test)]
pub fn in_all_registers<W: pulp::WithSimd>(work: impl Fn() -> W) -> Vec<(&'static str, W::Output)> {
    #[allow(unused_mut)]
    let mut all = vec![("one number", work().with_simd(pulp::Scalar::new()))];
    #[cfg(target_arch = "x86_64")]
    {
        let (v3, v4) = (pulp::x86::V3::try_new(), pulp::x86::V4::try_new());
        all.extend(v3.map(|simd| ("8 numbers", Simd::vectorize(simd, work()))));
        all.extend(v4.map(|simd| ("16 numbers", Simd::vectorize(simd, work()))));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::initial;
    use proptest::prelude::*;

    struct Check {
        d: usize,
        length: usize,
        seed: u64,
    }

    impl pulp::WithSimd for Check {
        type Output = ();

        fn with_simd<S: Simd>(self, simd: S) {
            let Self { d, length, seed } = self;
            let (w, z, a) =
                (initial(length, d, seed), initial(1, d, seed + 1), initial(1, length.max(1), seed + 2));
            let plain = |a: &[f32], b: &[f32]| -> f64 {
                a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
            };
            let close = |one: f32, other: f64| {
                assert!((f64::from(one) - other).abs() < 1e-6, "{one} {other}");
            };
            let rows = || w.chunks_exact(d);
            rows().for_each(|row| close(dot(simd, row, &z), plain(row, &z)));
            let mut sum = vec![9.0; d];
            combine(simd, &w, &a[..length], &mut sum);
            for (k, sum) in sum.iter().enumerate() {
                close(*sum, rows().zip(&a).map(|(row, a)| f64::from(row[k]) * f64::from(*a)).sum());
            }
            apply(simd, &w, &z, &mut sum);
            for (k, sum) in sum.iter().enumerate() {
                let expected: f64 = rows().map(|row| f64::from(row[k]) * plain(row, &z)).sum();
                close(*sum, f64::from(z[k]) + expected);
            }
            scaled(simd, 3.0, &z, &z, &mut sum);
            sum.iter().zip(&z).for_each(|(sum, z)| close(*sum, f64::from(3.0 * z * z)));
        }
    }

    proptest! {
        #[test]
        fn whatever_the_length_it_is_what_plain_loops_give(d in 1usize..70, length in 0usize..11, seed in 0u64..99) {
            pulp::Arch::new().dispatch(Check { d, length, seed });
            in_all_registers(|| Check { d, length, seed });
        }
    }
}
