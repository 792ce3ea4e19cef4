//! One row's ridge regression, in the variables of [`super`]: |t − W z|² + |z|².

use std::mem::MaybeUninit;

use faer::dyn_stack::MemStack;
use faer::linalg::cholesky::llt;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::prelude::ReborrowMut;
use faer::{Accum, Conj, MatMut, MatRef, Par};
use pulp::Simd;

use super::spectrum::Spectrum;
use super::{Ridge, STEPS, simd};

/// Up to this many unknowns, plain loops beat the set-up of faer's blocked routines.
const SMALL: usize = 24;

/// How many ratings ahead features are prefetched.
const AHEAD: usize = 12;

/// The memory in which a row's system is built and solved: one for each thread, reused for every row.
#[derive(Debug, Default)]
pub struct RowSystem {
    d: usize,
    /// Ratings in the row.
    length: usize,
    /// D^-½, d numbers.
    scale: Vec<f32>,
    /// W, L × d, its rows times √c.
    w: Vec<f32>,
    /// t, L numbers, times √c.
    targets: Vec<f32>,
    /// I + WWᵀ or I + WᵀW, then its Cholesky factor, in the lower triangle, column by column.
    system: Vec<f32>,
    /// Right-hand side, then solution.
    unknowns: Vec<f32>,
    scratch: Vec<f32>,
    /// faer's working memory.
    memory: Vec<MaybeUninit<u8>>,
}

impl RowSystem {
    /// Builds and factorises the system of one row.
    ///
    /// `features` are rows of `d` numbers in the basis Q, `spectrum` the d eigenvalues.
    #[inline(always)]
    pub fn load<S: Simd>(
        &mut self,
        simd: S,
        ridge: &Ridge<'_>,
        row: usize,
        features: &[f32],
        spectrum: &[f32],
    ) {
        self.gather(simd, ridge, row, features, spectrum);
        self.factorise(simd);
    }

    /// Builds W and t of one row.
    #[inline(always)]
    fn gather<S: Simd>(
        &mut self,
        simd: S,
        ridge: &Ridge<'_>,
        row: usize,
        features: &[f32],
        spectrum: &[f32],
    ) {
        let (first, last) = (ridge.offsets[row], ridge.offsets[row + 1]);
        let d = spectrum.len();
        self.d = d;
        self.length = last - first;
        self.scale.clear();
        let penalty = ridge.penalties[row];
        self.scale.extend_from_slice(spectrum);
        for value in &mut self.scale {
            *value = 1.0 / (*value + penalty).sqrt();
        }
        self.w.resize((last - first) * d, 0.0);
        self.targets.clear();
        for (at, w) in (first..last).zip(self.w.chunks_exact_mut(d)) {
            // The rating may belong to a later row.
            if let Some(column) = ridge.columns.get(at + AHEAD) {
                simd::expect(&features[*column as usize * d..][..d]);
            }
            let (weight, target) = ridge.weighted(at);
            let feature = &features[ridge.columns[at] as usize * d..][..d];
            simd::scaled(simd, weight, feature, &self.scale, w);
            self.targets.push(target);
        }
    }

    /// Whether the L × L system, of the ratings, is the smaller one.
    fn is_dual(&self) -> bool {
        self.length < self.d
    }

    fn size(&self) -> usize {
        self.length.min(self.d)
    }

    /// Solves for x (in the basis Q) and returns the row's least loss.
    #[inline(always)]
    pub fn solve<S: Simd>(&mut self, simd: S, solution: &mut [f32]) -> f64 {
        self.unknowns.clear();
        let least = if self.is_dual() {
            self.unknowns.extend_from_slice(&self.targets);
            self.back_substitute(simd);
            simd::combine(simd, &self.w, &self.unknowns, solution);
            simd::dot(simd, &self.targets, &self.unknowns)
        } else {
            simd::combine(simd, &self.w, &self.targets, solution);
            self.unknowns.extend_from_slice(solution);
            self.back_substitute(simd);
            let explained = simd::dot(simd, &self.unknowns, solution);
            solution.copy_from_slice(&self.unknowns);
            simd::dot(simd, &self.targets, &self.targets) - explained
        };
        for (x, scale) in solution.iter_mut().zip(&self.scale) {
            *x *= scale;
        }
        f64::from(least)
    }

    /// Moves one row's solution a few steps of conjugate gradients towards its minimum, and returns the row's
    /// loss. `solution` begins in the basis that the features had before `spectrum` and ends in the basis Q.
    ///
    /// (Takács, Pilászy, Tikk 2011, "Applications of the conjugate gradient method for implicit feedback
    /// collaborative filtering".)
    #[inline(always)]
    pub fn approach<S: Simd>(
        &mut self,
        simd: S,
        ridge: &Ridge<'_>,
        row: usize,
        features: &[f32],
        spectrum: &Spectrum,
        solution: &mut [f32],
    ) -> f64 {
        let Spectrum { values, basis } = spectrum;
        self.gather(simd, ridge, row, features, values);
        let d = self.d;
        let Self { w, targets, scale, system: space, .. } = self;
        space.clear();
        space.resize(5 * d, 0.0);
        let [z, right, residual, direction, applied] = fifths(space, d);
        match basis.is_empty() {
            true => z.copy_from_slice(solution),
            false => simd::combine(simd, basis, solution, z),
        }
        for (z, scale) in z.iter_mut().zip(&*scale) {
            *z /= scale;
        }
        simd::combine(simd, w, targets, right);
        simd::apply(simd, w, z, applied);
        for k in 0..d {
            residual[k] = right[k] - applied[k];
        }
        direction.copy_from_slice(residual);
        let mut norm = simd::dot(simd, residual, residual);
        for _ in 0..STEPS {
            simd::apply(simd, w, direction, applied);
            let curvature = simd::dot(simd, direction, applied);
            if curvature <= 0.0 {
                // The solution is exact to the last bit.
                break;
            }
            let step = norm / curvature;
            for k in 0..d {
                z[k] += step * direction[k];
                residual[k] -= step * applied[k];
            }
            let before = std::mem::replace(&mut norm, simd::dot(simd, residual, residual));
            let turn = norm / before;
            for k in 0..d {
                direction[k] = residual[k] + turn * direction[k];
            }
        }
        for k in 0..d {
            solution[k] = z[k] * scale[k];
        }
        f64::from(
            simd::dot(simd, targets, targets) - simd::dot(simd, z, right) - simd::dot(simd, z, residual),
        )
    }

    /// How much each rating of the row contributes to the score of an item with this `feature` (in the basis
    /// Q). The contributions add up to the score.
    ///
    /// With A the row's matrix, x = A⁻¹Vᵀt, so x·y = Σ_l t_l (V A⁻¹ y)_l, with the weights inside V and t. In
    /// the variables of [`super`], V A⁻¹ y = (I + WWᵀ)⁻¹ W s = W (I + WᵀW)⁻¹ s with s = D^-½ y. (Hu, Koren,
    /// Volinsky 2008, section 5.)
    #[inline(always)]
    pub fn contributions<S: Simd>(&mut self, simd: S, feature: &[f32], contributions: &mut Vec<f32>) {
        let d = self.d;
        self.scratch.resize(d, 0.0);
        simd::scaled(simd, 1.0, feature, &self.scale, &mut self.scratch);
        self.unknowns.clear();
        contributions.clear();
        if self.is_dual() {
            for w in self.w.chunks_exact(d) {
                self.unknowns.push(simd::dot(simd, w, &self.scratch));
            }
            self.back_substitute(simd);
            contributions.extend_from_slice(&self.unknowns);
        } else {
            self.unknowns.extend_from_slice(&self.scratch);
            self.back_substitute(simd);
            for w in self.w.chunks_exact(d) {
                contributions.push(simd::dot(simd, w, &self.unknowns));
            }
        }
        for (contribution, target) in contributions.iter_mut().zip(&self.targets) {
            *contribution *= target;
        }
    }

    #[inline(always)]
    fn factorise<S: Simd>(&mut self, simd: S) {
        let (size, d) = (self.size(), self.d);
        self.system.clear();
        self.system.resize(size * size, 0.0);
        if size == 0 {
            return;
        }
        if size <= SMALL && self.is_dual() {
            for column in 0..size {
                for row in column..size {
                    self.system[column * size + row] =
                        simd::dot(simd, &self.w[row * d..][..d], &self.w[column * d..][..d]);
                }
                self.system[column * size + column] += 1.0;
            }
            cholesky(simd, &mut self.system, size);
            return;
        }
        let w = MatRef::from_row_major_slice(&self.w, self.length, d);
        let (left, right) = if self.is_dual() { (w, w.transpose()) } else { (w.transpose(), w) };
        let mut system = MatMut::from_column_major_slice_mut(&mut self.system, size, size);
        triangular::matmul(
            system.rb_mut(),
            BlockStructure::TriangularLower,
            Accum::Replace,
            left,
            BlockStructure::Rectangular,
            right,
            BlockStructure::Rectangular,
            1.0,
            Par::Seq,
        );
        for k in 0..size {
            system[(k, k)] += 1.0;
        }
        let request = llt::factor::cholesky_in_place_scratch::<f32>(size, Par::Seq, Default::default());
        self.memory.resize(request.unaligned_bytes_required(), MaybeUninit::uninit());
        let factorised = llt::factor::cholesky_in_place(
            system,
            Default::default(),
            Par::Seq,
            MemStack::new(&mut self.memory),
            Default::default(),
        );
        if factorised.is_err() {
            // Cannot happen to finite numbers: no eigenvalue is under 1. NaN makes others visible at the end
            // of the half-step.
            self.system.fill(f32::NAN);
        }
    }

    /// Solves the factorised system in place of its right-hand side.
    #[inline(always)]
    fn back_substitute<S: Simd>(&mut self, simd: S) {
        let size = self.size();
        if size == 0 {
            return;
        }
        if size <= SMALL && self.is_dual() {
            substitute(simd, &self.system, &mut self.unknowns, size);
            return;
        }
        let factor = MatRef::from_column_major_slice(&self.system, size, size);
        let unknowns = MatMut::from_column_major_slice_mut(&mut self.unknowns, size, 1);
        llt::solve::solve_in_place_with_conj(factor, Conj::No, unknowns, Par::Seq, MemStack::new(&mut []));
    }
}

/// Five rows of `d` numbers.
#[inline(always)]
fn fifths(space: &mut [f32], d: usize) -> [&mut [f32]; 5] {
    let (a, space) = space.split_at_mut(d);
    let (b, space) = space.split_at_mut(d);
    let (c, space) = space.split_at_mut(d);
    let (e, f) = space.split_at_mut(d);
    [a, b, c, e, f]
}

/// Cholesky factor of a small matrix in place: lower triangle, column by column.
#[inline(always)]
pub(crate) fn cholesky<S: Simd>(simd: S, matrix: &mut [f32], size: usize) {
    for column in 0..size {
        let (done, rest) = matrix.split_at_mut(column * size);
        let current = &mut rest[column..size];
        for before in done.chunks_exact(size) {
            let factor = before[column];
            simd::add(simd, -factor, &before[column..], current);
        }
        let inverse = 1.0 / current[0].sqrt();
        current.iter_mut().for_each(|value| *value *= inverse);
    }
}

/// Solves LLᵀ x = b in place of b.
#[inline(always)]
pub(crate) fn substitute<S: Simd>(simd: S, factor: &[f32], unknowns: &mut [f32], size: usize) {
    for column in 0..size {
        let (solved, rest) = unknowns.split_at_mut(column + 1);
        let value = &mut solved[column];
        *value /= factor[column * size + column];
        simd::add(simd, -*value, &factor[column * size + column + 1..][..rest.len()], rest);
    }
    for column in (0..size).rev() {
        let (current, solved) = unknowns[column..].split_at_mut(1);
        let below = &factor[column * size + column + 1..(column + 1) * size];
        current[0] = (current[0] - simd::dot(simd, below, solved)) / factor[column * size + column];
    }
}
