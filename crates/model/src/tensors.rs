//! Moves numbers to a device and back.

use burn::tensor::backend::Backend;
use burn::tensor::{BasicOps, Int, Tensor, TensorData};

use crate::error::{Error, Result};

/// A tensor `[rows, width]`, from numbers row by row.
pub fn table<B: Backend>(rows: Vec<f32>, width: usize, device: &B::Device) -> Tensor<B, 2> {
    let shape = [rows.len() / width.max(1), width];
    Tensor::from_data(TensorData::new(rows, shape), device)
}

/// A tensor `[length]`.
pub fn vector<B: Backend>(numbers: Vec<f32>, device: &B::Device) -> Tensor<B, 1> {
    let length = numbers.len();
    Tensor::from_data(TensorData::new(numbers, [length]), device)
}

/// A tensor of codes or places.
pub fn integers<B: Backend>(numbers: Vec<i32>, device: &B::Device) -> Tensor<B, 1, Int> {
    let length = numbers.len();
    Tensor::from_data(TensorData::new(numbers, [length]), device)
}

/// 1 / x of each number. Burn's own on the CPU is the processor's approximation for what lies well in memory and exact
/// for the rest: another result each time.
pub fn reciprocal<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Tensor<B, D> {
    tensor.ones_like() / tensor
}

/// The numbers of a tensor, row by row.
///
/// # Errors
/// [`Error::DeviceFailed`] if the device fails.
pub fn numbers<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Result<Vec<f32>> {
    data(tensor)?.into_vec().map_err(failed)
}

/// As [`numbers`], for codes or places.
pub fn whole<B: Backend, const D: usize>(tensor: Tensor<B, D, Int>) -> Result<Vec<u32>> {
    data(tensor)?.convert::<u32>().into_vec().map_err(failed)
}

fn data<B: Backend, const D: usize, K: BasicOps<B>>(tensor: Tensor<B, D, K>) -> Result<TensorData> {
    tensor.try_into_data().map_err(failed)
}

fn failed(what: impl std::fmt::Debug) -> Error {
    Error::DeviceFailed(format!("{what:?}"))
}
