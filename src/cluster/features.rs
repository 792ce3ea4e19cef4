//! One side's factors in a file that every process of a machine shares: turned into the basis in which each row of the other
//! side is easy, as [`crate::model::kernels`] says, so that nobody has to turn them again.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::error::{Error, Kind, Result};
use crate::model::kernels::spectrum::{self, Spectrum};

/// Writes `rows` of `d` numbers, turned, and the eigenvalues Λ of α₀ YᵀY.
///
/// # Errors
/// [`Kind::Failed`] if the rows are not finite; [`Kind::Io`] if the file cannot be written.
pub fn write(path: &Path, mut rows: Vec<f32>, d: usize, unobserved_weight: f32) -> Result<()> {
    let Spectrum { values, basis } = Spectrum::of_features(&rows, d, unobserved_weight)?;
    if !basis.is_empty() {
        spectrum::rotate(&mut rows, &basis, d);
    }
    let failed = |error: safetensors::SafeTensorError| match error {
        safetensors::SafeTensorError::IoError(error) => Error::file(&error, "write", path),
        other => Error::new(Kind::Io, format!("cannot write {}: {other}", path.display())),
    };
    let tables = [("features", vec![rows.len() / d, d], &rows), ("values", vec![d], &values)];
    let tables = tables.map(|(name, shape, numbers)| {
        TensorView::new(Dtype::F32, shape, bytemuck::cast_slice(numbers)).map(|view| (name, view))
    });
    let tables = tables.into_iter().collect::<std::result::Result<Vec<_>, _>>().map_err(failed)?;
    // Under another name until it is whole: a process beside may look for it.
    let unfinished = path.with_extension("unfinished");
    safetensors::serialize_to_file(tables, None::<HashMap<String, String>>, &unfinished).map_err(failed)?;
    std::fs::rename(&unfinished, path).map_err(|error| Error::file(&error, "write", path))
}

/// Such a file, mapped into memory.
pub struct Features {
    path: PathBuf,
    map: Mmap,
}

impl Features {
    /// # Errors
    /// [`Kind::NoInput`] if it cannot be opened.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |error| Error::file(&error, "read", path);
        let file = File::open(path).map_err(failed)?;
        // SAFETY: a file that changes under us would be undefined behaviour; this one is renamed into place whole, and nobody
        // writes to it again.
        let map = unsafe { Mmap::map(&file) }.map_err(failed)?;
        Ok(Self { path: path.to_owned(), map })
    }

    /// The features, rows of d, and the eigenvalues.
    ///
    /// # Errors
    /// [`Kind::NoRatings`] if it is no such file, or not of `rows` rows of `d` numbers.
    pub fn tables(&self, rows: usize, d: usize) -> Result<(&[f32], &[f32])> {
        let unusable = |what: String| Error::new(Kind::NoRatings, format!("{}: {what}", self.path.display()));
        let tensors =
            SafeTensors::deserialize(&self.map).map_err(|error| unusable(format!("no features: {error}")))?;
        let table = |name: &str, shape: &[usize]| -> Result<&[f32]> {
            let tensor = tensors.tensor(name).map_err(|error| unusable(format!("no features: {error}")))?;
            if tensor.dtype() != Dtype::F32 || tensor.shape() != shape {
                return Err(unusable(format!(
                    "{name} is {:?} of {:?}, and not {shape:?} of F32",
                    tensor.shape(),
                    tensor.dtype()
                )));
            }
            bytemuck::try_cast_slice(tensor.data())
                .map_err(|_| unusable(format!("{name} does not begin at a number")))
        };
        Ok((table("features", &[rows, d])?, table("values", &[d])?))
    }
}
