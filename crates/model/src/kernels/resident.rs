//! The rows of a side as they are, in the memory of a device: for kernels that gather for themselves.

use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

use super::Ridge;
use crate::tensors::{integers, vector};

/// Ratings that one group of a device's units passes over by itself. A row with more is spread over several: a bestseller has
/// more ratings than the whole of a device can be kept waiting for.
pub const PIECE: usize = 1024;

/// A [`Ridge`] in tensors, and its rows by falling degree: the longest are begun first, so that none is waited for.
#[derive(Debug)]
pub struct Resident<B: Backend> {
    /// `[rows]`.
    pub order: Tensor<B, 1, Int>,
    /// `[rows + 1]`.
    pub offsets: Tensor<B, 1, Int>,
    /// `[ratings]`.
    pub columns: Tensor<B, 1, Int>,
    /// √c: `[ratings]`.
    pub weights: Tensor<B, 1>,
    /// t √c: `[ratings]`.
    pub targets: Tensor<B, 1>,
    /// λ: `[rows]`.
    pub penalties: Tensor<B, 1>,
    /// Rows of several pieces, which are the first of `order`, if there are any.
    pub pieces: Option<Pieces<B>>,
    /// The numbers of ratings in the order of `order`.
    degrees: Vec<usize>,
}

/// Rows with more than [`PIECE`] ratings, cut.
#[derive(Debug)]
pub struct Pieces<B: Backend> {
    /// How many rows there are.
    pub rows: usize,
    /// How many pieces they have.
    pub count: usize,
    /// Whose each piece is, as a place in the order of rows: `[count]`.
    pub owners: Tensor<B, 1, Int>,
    /// Where each row's pieces begin, and one past the last: `[rows + 1]`.
    pub offsets: Tensor<B, 1, Int>,
}

impl<B: Backend> Pieces<B> {
    /// `degrees` fall.
    fn new(degrees: &[usize], device: &B::Device) -> Option<Self> {
        let rows = degrees.partition_point(|degree| *degree > PIECE);
        if rows == 0 {
            return None;
        }
        let (mut owners, mut offsets) = (Vec::new(), vec![0]);
        for (row, degree) in degrees[..rows].iter().enumerate() {
            owners.resize(owners.len() + degree.div_ceil(PIECE), row as i32);
            offsets.push(owners.len() as i32);
        }
        let count = owners.len();
        Some(Self { rows, count, owners: integers(owners, device), offsets: integers(offsets, device) })
    }
}

impl<B: Backend<FloatElem = f32>> Resident<B> {
    pub(super) fn new(ridge: &Ridge<'_>, device: &B::Device) -> Self {
        let degree = |row: &usize| ridge.offsets[row + 1] - ridge.offsets[*row];
        let mut order: Vec<usize> = (0..ridge.rows()).collect();
        order.sort_by_key(|row| std::cmp::Reverse(degree(row)));
        let degrees: Vec<usize> = order.iter().map(degree).collect();
        let (weights, targets) = (0..ridge.columns.len()).map(|at| ridge.weighted(at)).unzip();
        Self {
            order: integers(order.into_iter().map(|row| row as i32).collect(), device),
            offsets: integers(ridge.offsets.iter().map(|at| *at as i32).collect(), device),
            columns: integers(ridge.columns.iter().map(|column| *column as i32).collect(), device),
            weights: vector(weights, device),
            targets: vector(targets, device),
            penalties: vector(ridge.penalties.to_vec(), device),
            pieces: Pieces::new(&degrees, device),
            degrees,
        }
    }

    /// How many rows have at least so many ratings: they are the first of `order`.
    pub fn at_least(&self, ratings: usize) -> usize {
        self.degrees.partition_point(|degree| *degree >= ratings)
    }
}
