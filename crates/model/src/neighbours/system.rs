//! The ridge regression of one item on its neighbours.

use super::cooccurrence::Row;

/// (G_NN + λI) w = G_Ni, of K unknowns.
pub struct System {
    /// The lower triangle of G_NN, column by column, without the upper one.
    triangle: Vec<f32>,
    /// G_Ni, then w.
    unknowns: Vec<f32>,
}

impl System {
    /// The numbers of a triangle.
    pub(super) fn numbers(size: usize) -> usize {
        size * (size + 1) / 2
    }

    /// With this right-hand side; the matrix is to be set.
    pub(super) fn new(right: &[f32]) -> Self {
        Self { triangle: vec![0.0; Self::numbers(right.len())], unknowns: right.to_vec() }
    }

    /// Sets column `at` of the lower triangle. `near` are the neighbours from this one on, `row` its row of G.
    pub(super) fn set(&mut self, at: usize, near: &[u32], row: &Row) {
        let first = at * self.unknowns.len() - Self::numbers(at) + at;
        for (to, other) in self.triangle[first..].iter_mut().zip(near) {
            *to = row.value(*other);
        }
    }

    /// K.
    pub(super) fn size(&self) -> usize {
        self.unknowns.len()
    }

    /// G_Ni.
    pub(super) fn right(&self) -> &[f32] {
        &self.unknowns
    }

    /// Writes G_NN + λI, both triangles, into rows of `width` numbers.
    pub(super) fn fill(&self, regularization: f32, width: usize, matrix: &mut [f32]) {
        let mut rest = self.triangle.as_slice();
        for at in 0..self.size() {
            let (column, others) = rest.split_at(self.size() - at);
            for (below, value) in column.iter().enumerate() {
                matrix[at * width + at + below] = *value;
                matrix[(at + below) * width + at] = *value;
            }
            matrix[at * width + at] += regularization;
            rest = others;
        }
    }

    /// w; `matrix` is room to work in.
    pub(super) fn solve(mut self, regularization: f32, matrix: &mut Vec<f32>) -> Vec<f32> {
        pulp::Arch::new().dispatch(Solve { system: &mut self, regularization, matrix });
        self.unknowns
    }
}

struct Solve<'a> {
    system: &'a mut System,
    regularization: f32,
    matrix: &'a mut Vec<f32>,
}

impl pulp::WithSimd for Solve<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, simd: S) {
        let Solve { system: System { triangle, unknowns }, regularization, matrix } = self;
        let size = unknowns.len();
        matrix.clear();
        matrix.resize(size * size, 0.0);
        let mut rest = triangle.as_slice();
        for at in 0..size {
            let (column, others) = rest.split_at(size - at);
            matrix[at * size + at..(at + 1) * size].copy_from_slice(column);
            matrix[at * size + at] += regularization;
            rest = others;
        }
        crate::kernels::row::cholesky(simd, matrix, size);
        crate::kernels::row::substitute(simd, matrix, unknowns, size);
    }
}
