//! The columns of CSV files: names from the header, types from a sample. The reading itself is DataFusion's.

use std::collections::HashSet;
use std::io::Cursor;
use std::sync::Arc;

use ::object_store::{ObjectMeta, ObjectStore};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::csv::ReaderBuilder;
use arrow::csv::reader::Format;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::config::CsvOptions;
use datafusion::common::parsers::CompressionTypeVariant;

use super::ReadOptions;
use super::sample::{Sample, compression_of, sample};
use super::values::ValueType;
use crate::error::{Error, Kind, Result};

/// Files whose values are looked at; of the others only the header counts.
const FILES_SAMPLED_MAX: usize = 16;
/// Bytes that hold a header.
const HEADER_BYTES: usize = 64 << 10;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Files with the same columns in the same order and the same compression.
#[derive(Debug, Clone)]
pub struct CsvGroup {
    pub compression: CompressionTypeVariant,
    pub names: Vec<String>,
    pub files: Vec<ObjectMeta>,
}

/// Finds the columns of `files`: all that any of them has, with types that hold the values of each; and groups the
/// files.
///
/// # Errors
/// `WrongArguments` for a file whose sample is not CSV; the message names the file.
pub async fn columns(
    store: &Arc<dyn ObjectStore>,
    files: Vec<ObjectMeta>,
    options: &ReadOptions,
) -> Result<(SchemaRef, Vec<CsvGroup>)> {
    let mut types: Vec<(String, ValueType)> = Vec::new();
    let mut groups: Vec<CsvGroup> = Vec::new();
    for (number, file) in files.into_iter().enumerate() {
        let bytes_max = if number < FILES_SAMPLED_MAX { options.sample_bytes } else { HEADER_BYTES };
        let compression = compression_of(&file);
        let sample = sample(store, &file, compression, bytes_max.max(HEADER_BYTES)).await?;
        let found = columns_of(&sample, options).map_err(|error| {
            Error::new(Kind::WrongArguments, format!("file '{}': {error}", file.location)).with_source(error)
        })?;
        for (name, value_type) in &found {
            match types.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => *known = known.merge(*value_type),
                None => types.push((name.clone(), *value_type)),
            }
        }
        let names: Vec<String> = found.into_iter().map(|(name, _)| name).collect();
        let compression = *compression.get_variant();
        match groups.iter_mut().find(|group| group.compression == compression && group.names == names) {
            Some(group) => group.files.push(file),
            None => groups.push(CsvGroup { compression, names, files: vec![file] }),
        }
    }
    let fields: Vec<Field> = types.into_iter().map(|(name, found)| Field::new(name, found.arrow(), true)).collect();
    Ok((Arc::new(Schema::new(fields)), groups))
}

/// How DataFusion reads a group.
pub fn reader_options(options: &ReadOptions, compression: CompressionTypeVariant) -> CsvOptions {
    CsvOptions {
        has_header: Some(options.header),
        delimiter: options.delimiter,
        quote: options.quote,
        escape: options.escape,
        // A quoted field may hold line ends, so a file cannot be entered in the middle.
        newlines_in_values: Some(true),
        compression,
        ..Default::default()
    }
}

fn columns_of(sample: &Sample, options: &ReadOptions) -> Result<Vec<(String, ValueType)>> {
    let bytes = sample.bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&sample.bytes);
    let bytes = if sample.whole { bytes } else { whole_records(bytes, options) };
    let mut format =
        Format::default().with_header(options.header).with_delimiter(options.delimiter).with_quote(options.quote);
    if let Some(escape) = options.escape {
        format = format.with_escape(escape);
    }
    let (header, _) = format.infer_schema(Cursor::new(bytes), Some(0))?;
    let names = header.fields().iter().enumerate().map(|(index, field)| match field.name().trim() {
        "" => format!("column_{}", index + 1),
        name => name.to_owned(),
    });
    let names: Vec<String> = names.collect();
    let mut seen = HashSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(name.to_lowercase())) {
        return Err(Error::new(Kind::DuplicateColumn, format!("Duplicate column name '{twice}'")));
    }
    if options.as_text {
        return Ok(names.into_iter().map(|name| (name, ValueType::Text)).collect());
    }
    let fields: Vec<Field> = names.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
    let reader = ReaderBuilder::new(Arc::new(Schema::new(fields))).with_format(format).build(Cursor::new(bytes))?;
    let mut types = vec![ValueType::Unknown; names.len()];
    for batch in reader {
        widen(&mut types, &batch?);
    }
    Ok(names.into_iter().zip(types).collect())
}

fn widen(types: &mut [ValueType], batch: &RecordBatch) {
    for (known, column) in types.iter_mut().zip(batch.columns()) {
        let texts = column.as_string::<i32>();
        for text in texts.iter().flatten().filter(|text| !text.is_empty()) {
            if *known == ValueType::Text {
                break;
            }
            *known = known.merge(ValueType::of_text(text));
        }
        debug_assert_eq!(texts.len(), batch.num_rows());
    }
}

/// `bytes` up to the last line end outside quotes: a sample may end inside a record.
fn whole_records<'a>(bytes: &'a [u8], options: &ReadOptions) -> &'a [u8] {
    let (mut quoted, mut escaped, mut end) = (false, false, bytes.len());
    for (index, &byte) in bytes.iter().enumerate() {
        if escaped {
            escaped = false;
        } else if quoted && options.escape == Some(byte) {
            escaped = true;
        } else if byte == options.quote {
            quoted = !quoted;
        } else if byte == b'\n' && !quoted {
            end = index + 1;
        }
    }
    &bytes[..end]
}
