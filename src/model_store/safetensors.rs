//! Factors on disk as safetensors, which numpy, PyTorch and others can read.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use ::safetensors::tensor::{Dtype, Metadata, TensorInfo, TensorView};

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

/// Longer headers are damaged: ours have a few hundred bytes.
const LONGEST_HEADER: u64 = 1 << 20;

/// Bytes that are read at a time, so that they are still near when they are sealed.
const PIECE: usize = 1 << 18;

/// Reads a file of `length` bytes that [`write()`] wrote, each table straight to where it stays.
///
/// # Errors
/// [`Kind::Io`] if it is damaged, saying in what way.
pub fn read(mut file: impl Read, length: u64) -> Result<(Factors, Option<RatingModel>)> {
    let damaged = |what: String| Error::new(Kind::Io, what);
    let failed = |error: std::io::Error| damaged(error.to_string());
    let mut first = [0; 8];
    file.read_exact(&mut first).map_err(failed)?;
    let mut header = Vec::new();
    file.by_ref()
        .take(u64::from_le_bytes(first).min(LONGEST_HEADER))
        .read_to_end(&mut header)
        .map_err(failed)?;
    let header: Metadata = serde_json::from_slice(&header).map_err(|error| damaged(error.to_string()))?;
    let mut tables: HashMap<String, (usize, Vec<f32>)> = HashMap::new();
    for name in header.offset_keys() {
        let info = header.info(&name);
        let Some(TensorInfo { dtype: Dtype::F32, shape, data_offsets }) = info else {
            return Err(damaged(format!("{name} is no table of 32-bit numbers")));
        };
        let [_, width] = shape[..] else {
            return Err(damaged(format!("{name} is no table")));
        };
        if data_offsets.1 as u64 > length {
            return Err(damaged("it ends too early".into()));
        }
        let mut numbers = vec![0.0f32; (data_offsets.1 - data_offsets.0) / size_of::<f32>()];
        for piece in bytemuck::cast_slice_mut(&mut numbers).chunks_mut(PIECE) {
            file.read_exact(piece).map_err(failed)?;
        }
        numbers.iter_mut().for_each(|number| *number = f32::from_bits(u32::from_le(number.to_bits())));
        tables.insert(name, (width, numbers));
    }
    let has_rating = tables.contains_key("rating_users");
    let mut table = |name: &str| -> Result<(usize, Vec<f32>)> {
        tables.remove(name).ok_or_else(|| damaged(format!("{name} is missing")))
    };
    let mut pair = |users: &str, items: &str| -> Result<Factors> {
        match (table(users)?, table(items)?) {
            ((width, users), (same, items)) if width == same => Ok(Factors { width, users, items }),
            _ => Err(damaged(format!("{users} and {items} do not belong together"))),
        }
    };
    let ranking = pair("users", "items")?;
    if !has_rating {
        return Ok((ranking, None));
    }
    let number = |name: &str| -> Result<f32> {
        let text = header.metadata().as_ref().and_then(|metadata| metadata.get(name));
        text.and_then(|text| text.parse().ok()).ok_or_else(|| damaged(format!("{name} is missing")))
    };
    let [mean, low, high, deviation, user_start, user_slope, item_start, item_slope] = NUMBERS.map(number);
    let biases = pair("rating_user_biases", "rating_item_biases")?;
    let factors = pair("rating_users", "rating_items")?;
    let rating = RatingModel {
        epochs: 0,
        mean: mean?,
        factors,
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
        let read = |bytes: &[u8]| super::read(bytes, bytes.len() as u64);
        assert_eq!(read(&whole).expect("read"), (factors.clone(), Some(model)));
        assert_eq!(read(&whole[..whole.len() - 3]).expect_err("damaged").kind(), Kind::Io);
        write(&path, &factors, None).expect("written");
        assert_eq!(read(&std::fs::read(&path).expect("bytes")).expect("read"), (factors, None));
    }
}
