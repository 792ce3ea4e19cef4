//! One row's ridge regression, in the variables of [`super`]: |t − W z|² + |z|².

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::prelude::ReborrowMut;
use faer::{Accum, Conj, MatMut, MatRef, Par};

use super::Ridge;

/// Up to this many unknowns, plain loops beat the set-up of faer's blocked routines.
const SMALL: usize = 24;

/// The space to build and solve one row's system in; made once a thread, used for every row.
#[derive(Debug, Default)]
pub struct RowSystem {
    /// Features' width.
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
}

impl RowSystem {
    /// Builds and factorises the system of one row.
    ///
    /// `features` are rows of `d` numbers in the basis Q, `spectrum` the d eigenvalues.
    #[inline(always)]
    pub fn load(&mut self, ridge: &Ridge<'_>, row: usize, features: &[f32], spectrum: &[f32]) {
        let (first, last) = (ridge.offsets[row], ridge.offsets[row + 1]);
        let d = spectrum.len();
        self.d = d;
        self.length = last - first;
        self.scale.clear();
        let penalty = ridge.penalties[row];
        self.scale.extend(spectrum.iter().map(|value| 1.0 / (value + penalty).sqrt()));
        self.w.clear();
        self.targets.clear();
        for at in first..last {
            let (weight, target) = ridge.weighted(at);
            let feature = &features[ridge.columns[at] as usize * d..][..d];
            self.w.extend(feature.iter().zip(&self.scale).map(|(feature, scale)| feature * scale * weight));
            self.targets.push(target);
        }
        self.factorise();
    }

    /// Whether the smaller system is the one of the ratings, L × L.
    fn is_dual(&self) -> bool {
        self.length < self.d
    }

    fn size(&self) -> usize {
        self.length.min(self.d)
    }

    /// Solves for x (in the basis Q), and returns the least loss of the row.
    #[inline(always)]
    pub fn solve(&mut self, solution: &mut [f32]) -> f64 {
        self.unknowns.clear();
        let least = if self.is_dual() {
            self.unknowns.extend_from_slice(&self.targets);
            self.back_substitute();
            combine(&self.w, &self.unknowns, solution);
            dot(&self.targets, &self.unknowns)
        } else {
            combine(&self.w, &self.targets, solution);
            self.unknowns.extend_from_slice(solution);
            self.back_substitute();
            let explained = dot(&self.unknowns, solution);
            solution.copy_from_slice(&self.unknowns);
            dot(&self.targets, &self.targets) - explained
        };
        for (x, scale) in solution.iter_mut().zip(&self.scale) {
            *x *= scale;
        }
        f64::from(least)
    }

    /// How much each rating of the row contributes to the score of an item with these features (in
    /// the basis Q). The contributions add up to the score.
    ///
    /// With A the row's matrix, x = A⁻¹Vᵀt, so x·y = Σ_l t_l (V A⁻¹ y)_l, weights being within V and
    /// t; in the variables of [`super`], V A⁻¹ y = (I + WWᵀ)⁻¹ W s = W (I + WᵀW)⁻¹ s with s = D^-½ y.
    /// (Hu, Koren, Volinsky 2008, section 5.)
    #[inline(always)]
    pub fn contributions(&mut self, feature: &[f32], contributions: &mut Vec<f32>) {
        let d = self.d;
        self.scratch.clear();
        self.scratch.extend(feature.iter().zip(&self.scale).map(|(feature, scale)| feature * scale));
        self.unknowns.clear();
        contributions.clear();
        if self.is_dual() {
            self.unknowns.extend(self.w.chunks_exact(d).map(|w| dot(w, &self.scratch)));
            self.back_substitute();
            contributions.extend_from_slice(&self.unknowns);
        } else {
            self.unknowns.extend_from_slice(&self.scratch);
            self.back_substitute();
            contributions.extend(self.w.chunks_exact(d).map(|w| dot(w, &self.unknowns)));
        }
        for (contribution, target) in contributions.iter_mut().zip(&self.targets) {
            *contribution *= target;
        }
    }

    #[inline(always)]
    fn factorise(&mut self) {
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
                        dot(&self.w[row * d..][..d], &self.w[column * d..][..d]);
                }
                self.system[column * size + column] += 1.0;
            }
            cholesky(&mut self.system, size);
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
        let mut buffer = MemBuffer::new(request);
        let factorised = llt::factor::cholesky_in_place(
            system,
            Default::default(),
            Par::Seq,
            MemStack::new(&mut buffer),
            Default::default(),
        );
        if factorised.is_err() {
            // Cannot happen to finite numbers: no eigenvalue is under 1. What is not finite shall
            // be seen as such at the end of the half-step.
            self.system.fill(f32::NAN);
        }
    }

    /// Solves the factorised system in place of its right-hand side.
    #[inline(always)]
    fn back_substitute(&mut self) {
        let size = self.size();
        if size == 0 {
            return;
        }
        if size <= SMALL && self.is_dual() {
            substitute(&self.system, &mut self.unknowns, size);
            return;
        }
        let factor = MatRef::from_column_major_slice(&self.system, size, size);
        let unknowns = MatMut::from_column_major_slice_mut(&mut self.unknowns, size, 1);
        llt::solve::solve_in_place_with_conj(
            factor,
            Conj::No,
            unknowns,
            Par::Seq,
            MemStack::new(&mut MemBuffer::new(faer::dyn_stack::StackReq::EMPTY)),
        );
    }
}

/// Wᵀ a: the rows of W, each times its number, added up.
#[inline(always)]
fn combine(w: &[f32], numbers: &[f32], sum: &mut [f32]) {
    sum.fill(0.0);
    for (row, number) in w.chunks_exact(sum.len()).zip(numbers) {
        for (sum, value) in sum.iter_mut().zip(row) {
            *sum += number * value;
        }
    }
}

/// Cholesky factor of a small matrix in place: lower triangle, column by column.
#[inline(always)]
fn cholesky(matrix: &mut [f32], size: usize) {
    for column in 0..size {
        let (done, rest) = matrix.split_at_mut(column * size);
        let current = &mut rest[column..size];
        for before in done.chunks_exact(size) {
            let factor = before[column];
            for (value, earlier) in current.iter_mut().zip(&before[column..]) {
                *value -= factor * earlier;
            }
        }
        let inverse = 1.0 / current[0].sqrt();
        current.iter_mut().for_each(|value| *value *= inverse);
    }
}

/// Solves LLᵀ x = b in place of b.
#[inline(always)]
fn substitute(factor: &[f32], unknowns: &mut [f32], size: usize) {
    for column in 0..size {
        let (solved, rest) = unknowns.split_at_mut(column + 1);
        let value = &mut solved[column];
        *value /= factor[column * size + column];
        for (rest, factor) in rest.iter_mut().zip(&factor[column * size + column + 1..]) {
            *rest -= *value * factor;
        }
    }
    for column in (0..size).rev() {
        let (current, solved) = unknowns[column..].split_at_mut(1);
        let below = &factor[column * size + column + 1..(column + 1) * size];
        current[0] = (current[0] - dot(below, solved)) / factor[column * size + column];
    }
}

/// The product of two rows, in sixteen running sums that a compiler turns into vector registers.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0.0f32; LANES];
    let (a_blocks, b_blocks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a_blocks.remainder().iter().zip(b_blocks.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a_blocks.zip(b_blocks) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}
