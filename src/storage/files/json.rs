//! JSON files: one object after another (newline-delimited or not), or one array of objects. Objects and arrays inside
//! an object stay JSON text, so that a JSON column receives what the file says.
//!
//! Columns and types come from a sample. What the rest of a file holds beyond it is an error, never dropped or bent.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use ::object_store::{ObjectMeta, ObjectStore};
use arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Float64Builder, Int64Builder, RecordBatch, RecordBatchOptions,
    StringViewBuilder, TimestampMicrosecondBuilder,
};
use arrow::compute::kernels::cast_utils::{Parser, string_to_datetime};
use arrow::datatypes::{Date32Type, Field, Schema, SchemaRef};
use chrono::Utc;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::TryStreamExt;
use futures::stream::{self, BoxStream};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::ReadOptions;
use super::sample::{compression_of, open, sample};
use super::values::ValueType;
use crate::error::{Error, Kind, Result};
use crate::storage::types::{ColumnType, META_TYPE};

/// Files whose values are looked at.
const FILES_SAMPLED_MAX: usize = 16;
/// Bytes one object may have.
const OBJECT_BYTES_MAX: usize = 64 << 20;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The columns of JSON files, in the order they first appear.
#[derive(Debug, Clone)]
pub struct JsonColumns {
    pub schema: SchemaRef,
    types: Vec<ValueType>,
}

/// Finds the columns of `files` from samples.
///
/// # Errors
/// `InvalidJson` naming the file and the object.
pub async fn columns(store: &Arc<dyn ObjectStore>, files: &[ObjectMeta], options: &ReadOptions) -> Result<JsonColumns> {
    let mut found: Vec<(String, ValueType)> = Vec::new();
    for file in files.iter().take(FILES_SAMPLED_MAX) {
        let sample = sample(store, file, compression_of(file), options.sample_bytes).await?;
        let mut objects = Objects::new(file);
        objects.push(&sample.bytes);
        while let Some(object) = objects.next()? {
            for (name, value) in object.0 {
                let value_type = type_of(&value);
                match found.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, known)) => *known = known.merge(value_type),
                    None => found.push((name, value_type)),
                }
            }
        }
        if sample.whole {
            objects.finish()?;
        }
    }
    if found.is_empty() {
        return Err(Error::new(Kind::InvalidJson, "the files hold no object with a name and a value"));
    }
    let field = |(name, found): &(String, ValueType)| {
        let field = Field::new(name, found.arrow(), true);
        match found {
            ValueType::Json => field.with_metadata([(META_TYPE.to_owned(), ColumnType::Json.to_string())].into()),
            _ => field,
        }
    };
    let schema = Arc::new(Schema::new(found.iter().map(field).collect::<Vec<_>>()));
    Ok(JsonColumns { schema, types: found.into_iter().map(|(_, found)| found).collect() })
}

fn type_of(value: &Value) -> ValueType {
    match value {
        Value::Null => ValueType::Unknown,
        Value::Bool(_) => ValueType::Boolean,
        Value::Number(number) if number.is_i64() => ValueType::Integer,
        // Above 2^63: a float would round it.
        Value::Number(number) if number.is_u64() => ValueType::Text,
        Value::Number(_) => ValueType::Float,
        Value::String(text) => ValueType::of_time(text),
        Value::Array(_) | Value::Object(_) => ValueType::Json,
    }
}

/// Some files, read one after the other.
pub struct JsonFiles {
    pub store: Arc<dyn ObjectStore>,
    pub columns: JsonColumns,
    pub files: Vec<ObjectMeta>,
}

impl fmt::Debug for JsonFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonFiles").field("files", &self.files.len()).finish_non_exhaustive()
    }
}

impl PartitionStream for JsonFiles {
    fn schema(&self) -> &SchemaRef {
        &self.columns.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let reader = Reader {
            store: self.store.clone(),
            columns: self.columns.clone(),
            waiting: self.files.iter().cloned().collect(),
            current: None,
            rows: Rows::new(&self.columns),
            batch_rows: context.session_config().batch_size(),
        };
        let batches = stream::try_unfold(reader, |mut reader| async move {
            let batch = reader.next_batch().await?;
            Ok(batch.map(|batch| (batch, reader)))
        });
        Box::pin(RecordBatchStreamAdapter::new(self.columns.schema.clone(), batches))
    }
}

type Chunks = BoxStream<'static, datafusion::common::Result<bytes::Bytes>>;

struct Reader {
    store: Arc<dyn ObjectStore>,
    columns: JsonColumns,
    waiting: VecDeque<ObjectMeta>,
    current: Option<(Chunks, Objects)>,
    rows: Rows,
    batch_rows: usize,
}

impl Reader {
    async fn next_batch(&mut self) -> datafusion::common::Result<Option<RecordBatch>> {
        loop {
            let Some((chunks, objects)) = &mut self.current else {
                let Some(file) = self.waiting.pop_front() else {
                    return Ok(if self.rows.count == 0 { None } else { Some(self.rows.finish(&self.columns)?) });
                };
                let chunks = open(&self.store, &file, compression_of(&file)).await?;
                self.current = Some((chunks, Objects::new(&file)));
                continue;
            };
            while let Some(object) = objects.next()? {
                self.rows.push(&self.columns, object).map_err(|error| objects.located(&error))?;
                if self.rows.count >= self.batch_rows {
                    return Ok(Some(self.rows.finish(&self.columns)?));
                }
            }
            match chunks.try_next().await? {
                Some(chunk) => objects.push(&chunk),
                None => {
                    objects.finish()?;
                    self.current = None;
                }
            }
        }
    }
}

/// Takes a file's text in pieces and gives its objects one by one.
struct Objects {
    file: String,
    /// Objects given so far.
    count: u64,
    text: Vec<u8>,
    /// Where the next look at `text` begins; what is before belongs to the object that is still open.
    position: usize,
    /// Where the open object begins.
    start: usize,
    /// Brackets open at `position`; 0 between objects.
    depth: usize,
    in_string: bool,
    escaped: bool,
    in_array: bool,
}

impl Objects {
    fn new(file: &ObjectMeta) -> Objects {
        Objects {
            file: file.location.to_string(),
            count: 0,
            text: Vec::new(),
            position: 0,
            start: 0,
            depth: 0,
            in_string: false,
            escaped: false,
            in_array: false,
        }
    }

    fn push(&mut self, chunk: &[u8]) {
        // What was given out is dropped once a chunk, not once an object.
        let done = if self.depth == 0 { self.position } else { self.start };
        self.text.drain(..done);
        self.position -= done;
        self.start = 0;
        self.text.extend_from_slice(chunk);
    }

    fn next(&mut self) -> Result<Option<Object>> {
        while let Some(&byte) = self.text.get(self.position) {
            self.position += 1;
            if self.depth == 0 {
                self.between(byte)?;
                continue;
            }
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth -= 1,
                _ => {}
            }
            if self.depth == 0 {
                let parsed = serde_json::from_slice(&self.text[self.start..self.position]);
                let object = parsed.map_err(|error| self.invalid(&error.to_string()))?;
                self.count += 1;
                return Ok(Some(object));
            }
        }
        if self.depth > 0 && self.text.len() - self.start > OBJECT_BYTES_MAX {
            return Err(self.invalid(&format!("is longer than {OBJECT_BYTES_MAX} bytes")));
        }
        Ok(None)
    }

    /// One byte outside of objects.
    fn between(&mut self, byte: u8) -> Result<()> {
        match byte {
            b'{' => {
                self.start = self.position - 1;
                self.depth = 1;
            }
            b'[' if self.count == 0 && !self.in_array => self.in_array = true,
            b',' | b']' if self.in_array => {}
            b' ' | b'\t' | b'\r' | b'\n' => {}
            _ if self.count == 0 && BYTE_ORDER_MARK.contains(&byte) => {}
            other => return Err(self.invalid(&format!("begins with '{}', not with '{{'", char::from(other)))),
        }
        Ok(())
    }

    fn finish(&self) -> Result<()> {
        if self.depth > 0 { Err(self.invalid("is cut off by the end of the file")) } else { Ok(()) }
    }

    fn invalid(&self, why: &str) -> Error {
        Error::new(Kind::InvalidJson, format!("file '{}', object {}: {why}", self.file, self.count + 1))
    }

    /// The error of the object given last, with its place.
    fn located(&self, error: &Error) -> Error {
        Error::new(error.kind(), format!("file '{}', object {}: {error}", self.file, self.count))
    }
}

/// One object, its names in the order of the file: `SELECT *` gives columns in it. Of a name given twice the last
/// counts.
struct Object(Vec<(String, Value)>);

impl Object {
    /// Takes a value out. Rows mostly have their names in the columns' order, so that it is found at once.
    fn remove(&mut self, name: &str) -> Option<Value> {
        let at = self.0.iter().rposition(|(known, _)| known == name)?;
        let (_, value) = self.0.remove(at);
        self.0.retain(|(known, _)| known != name);
        Some(value)
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Object, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Object, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Object(pairs))
            }
        }
        deserializer.deserialize_map(Names)
    }
}

/// Rows on their way into a batch.
struct Rows {
    builders: Vec<Builder>,
    count: usize,
}

enum Builder {
    Boolean(BooleanBuilder),
    Integer(Int64Builder),
    Float(Float64Builder),
    Date(Date32Builder),
    DateTime(TimestampMicrosecondBuilder),
    Instant(TimestampMicrosecondBuilder),
    Text(StringViewBuilder),
    Json(StringViewBuilder),
}

impl Rows {
    fn new(columns: &JsonColumns) -> Rows {
        Rows { builders: columns.types.iter().map(|value_type| Builder::new(*value_type)).collect(), count: 0 }
    }

    fn push(&mut self, columns: &JsonColumns, mut object: Object) -> Result<()> {
        for (builder, field) in self.builders.iter_mut().zip(columns.schema.fields()) {
            let value = object.remove(field.name()).unwrap_or(Value::Null);
            if !builder.append(&value) {
                let message = format!(
                    "value {value} of '{}' is no {}, which the sample of the files says; raise sample_bytes",
                    field.name(),
                    ColumnType::of_field(field)?.data_type(),
                );
                return Err(Error::new(Kind::IncorrectValue, message));
            }
        }
        if let Some(name) = object.0.first().map(|(name, _)| name) {
            let message = format!("'{name}' is in no object of the sample of the files; raise sample_bytes");
            return Err(Error::new(Kind::IncorrectValue, message));
        }
        self.count += 1;
        Ok(())
    }

    fn finish(&mut self, columns: &JsonColumns) -> Result<RecordBatch> {
        let arrays = self.builders.iter_mut().map(Builder::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.count));
        self.count = 0;
        Ok(RecordBatch::try_new_with_options(columns.schema.clone(), arrays, &options)?)
    }
}

impl Builder {
    fn new(value_type: ValueType) -> Builder {
        match value_type {
            ValueType::Boolean => Builder::Boolean(BooleanBuilder::new()),
            ValueType::Integer => Builder::Integer(Int64Builder::new()),
            ValueType::Float => Builder::Float(Float64Builder::new()),
            ValueType::Date => Builder::Date(Date32Builder::new()),
            ValueType::DateTime => Builder::DateTime(TimestampMicrosecondBuilder::new()),
            ValueType::Instant => Builder::Instant(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            ValueType::Unknown | ValueType::Text => Builder::Text(StringViewBuilder::new()),
            ValueType::Json => Builder::Json(StringViewBuilder::new()),
        }
    }

    /// Appends a value; false when it does not fit the column.
    fn append(&mut self, value: &Value) -> bool {
        let null = value.is_null();
        let text = value.as_str();
        let time = |kinds: &[ValueType]| {
            let text = text.filter(|text| kinds.contains(&ValueType::of_time(text)))?;
            string_to_datetime(&Utc, text).ok().map(|time| time.timestamp_micros())
        };
        match self {
            Builder::Boolean(builder) => accept(null, value.as_bool(), |value| builder.append_option(value)),
            Builder::Integer(builder) => accept(null, value.as_i64(), |value| builder.append_option(value)),
            Builder::Float(builder) => accept(null, value.as_f64(), |value| builder.append_option(value)),
            Builder::Date(builder) => {
                accept(null, text.and_then(Date32Type::parse), |value| builder.append_option(value))
            }
            Builder::DateTime(builder) => {
                accept(null, time(&[ValueType::Date, ValueType::DateTime]), |value| builder.append_option(value))
            }
            Builder::Instant(builder) => {
                accept(null, time(&[ValueType::Instant]), |value| builder.append_option(value))
            }
            Builder::Json(builder) => {
                accept(null, (!null).then(|| value.to_string()), |value| builder.append_option(value))
            }
            Builder::Text(builder) => match value {
                Value::Bool(_) | Value::Number(_) => {
                    accept(null, Some(value.to_string()), |value| builder.append_option(value))
                }
                _ => accept(null, text, |value| builder.append_option(value)),
            },
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Builder::Boolean(builder) => Arc::new(builder.finish()),
            Builder::Integer(builder) => Arc::new(builder.finish()),
            Builder::Float(builder) => Arc::new(builder.finish()),
            Builder::Date(builder) => Arc::new(builder.finish()),
            Builder::DateTime(builder) | Builder::Instant(builder) => Arc::new(builder.finish()),
            Builder::Text(builder) | Builder::Json(builder) => Arc::new(builder.finish()),
        }
    }
}

/// Appends a value that has the column's type, or NULL for null; anything else is refused.
fn accept<T>(null: bool, value: Option<T>, append: impl FnOnce(Option<T>)) -> bool {
    let fits = null || value.is_some();
    if fits {
        append(value);
    }
    fits
}
