//! Writes tables as Parquet, CSV, JSON lines or safetensors.

use polars::prelude::*;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Map, Value, json};

use crate::cli::Format;
use crate::error::{Error, Kind, Result};

/// The table's number of rows, and its bytes in this format.
pub fn table(mut frame: DataFrame, format: Format) -> Result<(usize, Vec<u8>)> {
    let rows = frame.height();
    let mut bytes = Vec::new();
    match format {
        Format::Parquet => {
            ParquetWriter::new(&mut bytes).finish(&mut frame)?;
        }
        Format::Csv => csv(&frame, &mut bytes)?,
        Format::Jsonl => jsonl(&frame, &mut bytes)?,
        Format::Safetensors => bytes = safetensors(&frame)?,
        Format::Table | Format::Svg => {}
    }
    Ok((rows, bytes))
}

/// A value as JSON; CSV has the same spelling, without the quotes.
fn value(value: &AnyValue<'_>) -> Value {
    match value {
        AnyValue::Int64(number) => json!(number),
        AnyValue::UInt32(number) => json!(number),
        // The fewest digits that give this 32-bit number again, not those of the nearest 64-bit number.
        AnyValue::Float32(number) => json!(number.to_string().parse::<f64>().ok()),
        AnyValue::Float64(number) => json!(number),
        AnyValue::Boolean(yes) => json!(yes),
        AnyValue::String(text) => json!(text),
        AnyValue::StringOwned(text) => json!(text.as_str()),
        AnyValue::List(list) => list.iter().map(|entry| self::value(&entry)).collect(),
        _ => Value::Null,
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn csv(frame: &DataFrame, bytes: &mut Vec<u8>) -> Result<()> {
    let failed = |error: csv::Error| Error::new(Kind::Io, format!("cannot write CSV: {error}"));
    let mut writer = csv::Writer::from_writer(bytes);
    let mut names: Vec<String> = Vec::new();
    for column in frame.columns() {
        match column.list().ok().and_then(|lists| lists.get_as_series(0)) {
            Some(first) => names.extend((1..=first.len()).map(|place| format!("f{place}"))),
            None => names.push(column.name().to_string()),
        }
    }
    writer.write_record(&names).map_err(failed)?;
    let mut record = Vec::with_capacity(names.len());
    for row in 0..frame.height() {
        record.clear();
        for column in frame.columns() {
            match value(&column.get(row)?) {
                Value::Array(entries) => record.extend(entries.iter().map(text)),
                other => record.push(text(&other)),
            }
        }
        writer.write_record(&record).map_err(failed)?;
    }
    writer.flush().map_err(|error| failed(error.into()))
}

fn jsonl(frame: &DataFrame, bytes: &mut Vec<u8>) -> Result<()> {
    for row in 0..frame.height() {
        let mut object = Map::new();
        for column in frame.columns() {
            object.insert(column.name().to_string(), value(&column.get(row)?));
        }
        bytes.extend_from_slice(Value::from(object).to_string().as_bytes());
        bytes.push(b'\n');
    }
    Ok(())
}

fn safetensors(frame: &DataFrame) -> Result<Vec<u8>> {
    let failed = |error| Error::new(Kind::Io, format!("cannot write safetensors: {error}"));
    let factors = frame.column("factors")?.list()?;
    let mut bytes = Vec::new();
    for row in 0..factors.len() {
        let Some(row) = factors.get_as_series(row) else { continue };
        row.f32()?.into_no_null_iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
    }
    let width = bytes.len() / 4 / factors.len().max(1);
    let view = TensorView::new(Dtype::F32, vec![factors.len(), width], &bytes).map_err(failed)?;
    safetensors::serialize([("factors", view)], None).map_err(failed)
}
