//! The ridge regression of one item on its neighbours.

use super::cooccurrence::Row;

/// (G_NN + λI) w = G_Ni, of K unknowns.
pub(super) struct System {
    /// G_NN: the lower triangle, column by column.
    matrix: Vec<f32>,
    /// G_Ni, then w.
    unknowns: Vec<f32>,
}

impl System {
    /// With this right-hand side; the matrix is to be set.
    pub(super) fn new(right: &[f32]) -> Self {
        Self { matrix: vec![0.0; right.len() * right.len()], unknowns: right.to_vec() }
    }

    /// Sets column `at` of the lower triangle. `near` are the neighbours from this one on, `row` its row of G.
    pub(super) fn set(&mut self, at: usize, near: &[u32], row: &Row) {
        let size = self.unknowns.len();
        for (to, other) in self.matrix[at * size + at..].iter_mut().zip(near) {
            *to = row.value(*other);
        }
    }

    pub(super) fn solve(mut self, regularization: f32) -> Vec<f32> {
        pulp::Arch::new().dispatch(Solve { system: &mut self, regularization });
        self.unknowns
    }
}

struct Solve<'a> {
    system: &'a mut System,
    regularization: f32,
}

impl pulp::WithSimd for Solve<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, simd: S) {
        let Solve { system: System { matrix, unknowns }, regularization } = self;
        let size = unknowns.len();
        for at in 0..size {
            matrix[at * size + at] += regularization;
        }
        crate::kernels::row::cholesky(simd, matrix, size);
        crate::kernels::row::substitute(simd, matrix, unknowns, size);
    }
}
