//! Factors on disk as safetensors, which numpy, PyTorch and others can read.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use ::safetensors::tensor::{Dtype, SafeTensors, TensorView};
use rayon::prelude::*;

use crate::error::{Error, Kind, Result};
use crate::model::Factors;
use crate::model::biases::{Biases, Prior};
use crate::model::rating::{Directions, RatingModel};

/// The metadata of a rating model, by name.
const NUMBERS: [&str; 8] = [
    "mean",
    "scale_low",
    "scale_high",
    "deviation",
    "user_prior_start",
    "user_prior_slope",
    "item_prior_start",
    "item_prior_slope",
];

/// Numbers as little-endian bytes, as the format wants them; on nearly all machines without a copy.
fn little_endian(numbers: &[f32]) -> Cow<'_, [u8]> {
    match cfg!(target_endian = "little") {
        true => bytemuck::cast_slice(numbers).into(),
        false => numbers.iter().flat_map(|value| value.to_le_bytes()).collect(),
    }
}

/// Writes `users` and `items`, tables with a row for each code. If there is a rating model, also its
/// `rating_users`, `rating_items`, `rating_user_biases`, `rating_item_biases`, and `rating_center`, the mean
/// direction. Its mean, scale and priors go into the metadata.
///
/// # Errors
/// [`Kind::Io`] if the file cannot be written.
pub fn write(path: &Path, ranking: &Factors, rating: Option<&RatingModel>) -> Result<()> {
    let mut tables = vec![("users", &ranking.users, ranking.width), ("items", &ranking.items, ranking.width)];
    let mut metadata = HashMap::new();
    if let Some(model) = rating {
        let (factors, biases) = (&model.factors, &model.biases);
        tables.push(("rating_users", &factors.users, factors.width));
        tables.push(("rating_items", &factors.items, factors.width));
        tables.push(("rating_user_biases", &biases.users, 1));
        tables.push(("rating_item_biases", &biases.items, 1));
        tables.push(("rating_center", &model.directions.center, 1));
        let numbers = [model.mean, model.scale.0, model.scale.1, model.deviation].into_iter();
        let priors = biases.priors.iter().flat_map(|prior| [prior.start, prior.slope]);
        for (name, value) in NUMBERS.into_iter().zip(numbers.chain(priors)) {
            metadata.insert(name.to_owned(), value.to_string());
        }
    }
    let bytes: Vec<Cow<'_, [u8]>> = tables.iter().map(|(_, rows, _)| little_endian(rows)).collect();
    let failed = |error: ::safetensors::SafeTensorError| match error {
        ::safetensors::SafeTensorError::IoError(error) => Error::file(&error, "write", path),
        other => Error::new(Kind::Io, format!("cannot write {}: {other}", path.display())),
    };
    let views = tables
        .iter()
        .zip(&bytes)
        .map(|((name, rows, width), bytes)| {
            Ok((*name, TensorView::new(Dtype::F32, vec![rows.len() / width, *width], bytes)?))
        })
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(failed)?;
    ::safetensors::serialize_to_file(views, Some(metadata), path).map_err(failed)
}

/// Reads the bytes of a file that [`write()`] wrote.
///
/// # Errors
/// [`Kind::Io`] if they are damaged, saying in what way.
pub fn read(bytes: &[u8]) -> Result<(Factors, Option<RatingModel>)> {
    let damaged = |what: String| Error::new(Kind::Io, what);
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| damaged(error.to_string()))?;
    let file = SafeTensors::deserialize(bytes).map_err(|error| damaged(error.to_string()))?;
    let table = |name: &str| -> Result<(usize, Vec<f32>)> {
        let view = file.tensor(name).map_err(|error| damaged(error.to_string()))?;
        let (Dtype::F32, [_, width]) = (view.dtype(), view.shape()) else {
            return Err(damaged(format!("{name} is no table of 32-bit numbers")));
        };
        let (numbers, _) = view.data().as_chunks::<4>();
        Ok((*width, numbers.par_iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()))
    };
    let pair = |users: &str, items: &str| -> Result<Factors> {
        match (table(users)?, table(items)?) {
            ((width, users), (same, items)) if width == same => Ok(Factors { width, users, items }),
            _ => Err(damaged(format!("{users} and {items} do not belong together"))),
        }
    };
    let ranking = pair("users", "items")?;
    if !file.names().contains(&"rating_users") {
        return Ok((ranking, None));
    }
    let number = |name: &str| -> Result<f32> {
        let text = header.metadata().as_ref().and_then(|metadata| metadata.get(name));
        text.and_then(|text| text.parse().ok()).ok_or_else(|| damaged(format!("{name} is missing")))
    };
    let [mean, low, high, deviation, user_start, user_slope, item_start, item_slope] = NUMBERS.map(number);
    let biases = pair("rating_user_biases", "rating_item_biases")?;
    let rating = RatingModel {
        epochs: 0,
        mean: mean?,
        factors: pair("rating_users", "rating_items")?,
        biases: Biases {
            users: biases.users,
            items: biases.items,
            priors: [
                Prior { start: user_start?, slope: user_slope? },
                Prior { start: item_start?, slope: item_slope? },
            ],
        },
        directions: Directions { center: table("rating_center")?.1 },
        scale: (low?, high?),
        deviation: deviation?,
    };
    Ok((ranking, Some(rating)))
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
        let prior = |start: f32| Prior { start, slope: -0.1 };
        let model = RatingModel {
            epochs: 0,
            mean: 7.25,
            factors: factors.clone(),
            biases: Biases { users: vec![0.5, 1.5], items: vec![-1.0], priors: [prior(0.25), prior(4.0)] },
            directions: Directions { center: vec![0.3, 0.7] },
            scale: (1.0, 10.0),
            deviation: 1.75,
        };
        write(&path, &factors, Some(&model)).expect("written");
        let whole = std::fs::read(&path).expect("bytes");
        assert_eq!(read(&whole).expect("read"), (factors.clone(), Some(model)));
        assert_eq!(read(&whole[..whole.len() - 3]).expect_err("damaged").kind(), Kind::Io);
        write(&path, &factors, None).expect("written");
        assert_eq!(read(&std::fs::read(&path).expect("bytes")).expect("read"), (factors, None));
    }
}
