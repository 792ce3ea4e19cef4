//! What needs a backend to be tried.

mod als;
mod attribution;
mod candidates;
mod deriving;
mod fold_in;
mod half_step;
mod minibatch;
mod neighbours;
mod ranker;
mod rating;

type Cpu = burn_ndarray::NdArray<f32>;
