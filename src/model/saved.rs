//! Factors in a file that numpy, PyTorch and everything else can read: safetensors.

use std::collections::HashMap;
use std::path::Path;

use rayon::prelude::*;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::{Factors, RatingModel};
use crate::error::{Error, Kind, Result};

/// Writes `users`, `items` and, where there is a rating model, `rating_users`, `rating_items` (the
/// last number of a row is the bias), with the mean and the scale as metadata.
///
/// # Errors
/// [`Kind::Io`] if the file cannot be written.
pub fn write(path: &Path, ranking: Option<&Factors>, rating: Option<&RatingModel>) -> Result<()> {
    let mut tables = Vec::new();
    if let Some(factors) = ranking {
        tables.push(("users", &factors.users, factors.width));
        tables.push(("items", &factors.items, factors.width));
    }
    let mut metadata = HashMap::new();
    if let Some(model) = rating {
        tables.push(("rating_users", &model.factors.users, model.factors.width));
        tables.push(("rating_items", &model.factors.items, model.factors.width));
        for (name, value) in
            [("mean", model.mean), ("scale_low", model.scale.0), ("scale_high", model.scale.1)]
        {
            metadata.insert(name.to_owned(), value.to_string());
        }
    }
    let bytes: Vec<(&str, Vec<usize>, Vec<u8>)> = tables
        .into_iter()
        .map(|(name, rows, width)| {
            let shape = vec![rows.len() / width, width];
            (name, shape, rows.iter().flat_map(|value| value.to_le_bytes()).collect())
        })
        .collect();
    let failed = |error: safetensors::SafeTensorError| match error {
        safetensors::SafeTensorError::IoError(error) => Error::file(&error, "write", path),
        other => Error::new(Kind::Io, format!("cannot write {}: {other}", path.display())),
    };
    let views = bytes
        .iter()
        .map(|(name, shape, bytes)| Ok((*name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(failed)?;
    safetensors::serialize_to_file(views, Some(metadata), path).map_err(failed)
}

/// Reads the bytes of a file that [`write()`] wrote.
///
/// # Errors
/// [`Kind::Io`] if they are damaged, saying in what way.
pub fn read(bytes: &[u8]) -> Result<(Option<Factors>, Option<RatingModel>)> {
    let damaged = |what: String| Error::new(Kind::Io, what);
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| damaged(error.to_string()))?;
    let file = SafeTensors::deserialize(bytes).map_err(|error| damaged(error.to_string()))?;
    let table = |name: &str| -> Result<Option<(usize, Vec<f32>)>> {
        let Ok(view) = file.tensor(name) else {
            return Ok(None);
        };
        let (Dtype::F32, [_, width]) = (view.dtype(), view.shape()) else {
            return Err(damaged(format!("{name} is no table of 32-bit numbers")));
        };
        let (numbers, _) = view.data().as_chunks::<4>();
        Ok(Some((*width, numbers.par_iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())))
    };
    let pair = |users: &str, items: &str| -> Result<Option<Factors>> {
        match (table(users)?, table(items)?) {
            (Some((width, users)), Some((same, items))) if width == same => {
                Ok(Some(Factors { width, users, items }))
            }
            (None, None) => Ok(None),
            _ => Err(damaged(format!("{users} and {items} do not belong together"))),
        }
    };
    let number = |name: &str| -> Result<f32> {
        let text = header.metadata().as_ref().and_then(|metadata| metadata.get(name));
        text.and_then(|text| text.parse().ok()).ok_or_else(|| damaged(format!("{name} is missing")))
    };
    let rating = match pair("rating_users", "rating_items")? {
        Some(factors) => Some(RatingModel {
            mean: number("mean")?,
            factors,
            scale: (number("scale_low")?, number("scale_high")?),
        }),
        None => None,
    };
    Ok((pair("users", "items")?, rating))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("factors.safetensors");
        let factors =
            Factors { width: 2, users: vec![1.0, 2.0, 3.0, 4.0], items: vec![-0.5, f32::MIN_POSITIVE] };
        let model = RatingModel { mean: 7.25, factors: factors.clone(), scale: (1.0, 10.0) };
        write(&path, Some(&factors), Some(&model)).expect("written");
        let whole = std::fs::read(&path).expect("bytes");
        assert_eq!(read(&whole).expect("read"), (Some(factors), Some(model)));
        assert_eq!(read(&whole[..whole.len() - 3]).expect_err("damaged").kind(), Kind::Io);
    }
}
