//! The entries of a Delta log: what a table is (`Definition`), its files as the log lists them, and the JSON lines of a
//! commit. Which features of the format we can read and write is decided here. Commits and retries are `delta`'s.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ::object_store::path::Path;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::scalar::ScalarValue;
use deltalake_core::kernel::engine::arrow_conversion::TryIntoArrow;
use deltalake_core::kernel::{Action, Add, EagerSnapshot, Remove};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::{Error, Kind, Result};
use crate::storage::delta::DataFile;
use crate::storage::statistics::{self, ColumnStatistics};
use crate::storage::types::{Column, ColumnType, DAY_COLUMN, EventColumns, TableSchema};

/// Tag of a file that our writer made: the columns its rows are sorted by, or the empty text.
pub(super) const SORTED_BY_TAG: &str = "desirepath.sorted_by";

/// Commits between two checkpoints of a table we made; an opening reads at most this many entries after one.
const CHECKPOINT_INTERVAL: u64 = 50;
/// How long entries before a checkpoint are kept when the table does not say; Delta's default.
const LOG_RETENTION_DAYS: i64 = 30;

/// Reader features whose tables we read as they are, or check otherwise (column mapping here, deletion vectors per
/// file).
const READABLE: [&str; 5] = ["timestampNtz", "v2Checkpoint", "vacuumProtocolCheck", "deletionVectors", "columnMapping"];

/// What a table is: everything of a snapshot but its files. Changes only with the log's `metaData` and `protocol`.
#[derive(Debug)]
pub(super) struct Definition {
    /// The columns people see.
    pub schema: Arc<TableSchema>,
    /// The same columns as Arrow fields, as the log declares them.
    pub arrow: SchemaRef,
    /// Partition columns people see.
    pub partition_columns: Vec<String>,
    /// An event table of ours: one partition per UTC day, in a column people do not see.
    pub by_day: bool,
    /// Why rows cannot be written, naming the feature.
    pub unwritable: Option<String>,
    /// `delta.appendOnly`.
    pub append_only: bool,
    pub checkpoint_interval: u64,
    pub log_retention_ms: i64,
    /// The log's own actions.
    pub metadata: Value,
    pub protocol: Value,
}

impl Definition {
    /// # Errors
    /// `Unsupported` naming a feature or type we cannot read; `Corrupt` when `event` names a column that is not there.
    pub fn of(snapshot: &EagerSnapshot, event: Option<EventColumns>) -> Result<Definition> {
        let metadata = serde_json::to_value(snapshot.metadata())?;
        let protocol = serde_json::to_value(snapshot.protocol())?;
        refuse_unreadable(&protocol, &metadata)?;
        let all: Schema = snapshot.schema().as_ref().try_into_arrow()?;
        let partition_columns: Vec<String> =
            texts(&metadata["partitionColumns"]).into_iter().map(ToOwned::to_owned).collect();
        let by_day = partition_columns == [DAY_COLUMN];
        let visible: Vec<_> =
            all.fields().iter().filter(|field| !by_day || field.name() != DAY_COLUMN).cloned().collect();
        let columns = visible.iter().map(|field| Column::of_field(field)).collect::<Result<Vec<_>>>()?;
        let schema = TableSchema { columns, event };
        if let Some(event) = &schema.event {
            for name in [&event.user, &event.time, &event.event] {
                if schema.column(name).is_none() {
                    return Err(Error::new(Kind::Corrupt, format!("event table has no column '{name}'")));
                }
            }
        }
        let setting = |name: &str| configuration(&metadata, name);
        Ok(Definition {
            schema: Arc::new(schema),
            arrow: Arc::new(Schema::new(visible)),
            partition_columns: if by_day { Vec::new() } else { partition_columns },
            by_day,
            unwritable: unwritable_feature(&protocol, &metadata),
            append_only: setting("delta.appendOnly").is_some_and(|value| value.eq_ignore_ascii_case("true")),
            checkpoint_interval: setting("delta.checkpointInterval")
                .and_then(|value| value.parse().ok())
                .filter(|commits| *commits > 0)
                .unwrap_or(CHECKPOINT_INTERVAL),
            log_retention_ms: snapshot
                .table_properties()
                .log_retention_duration
                .map_or(LOG_RETENTION_DAYS * 86_400_000, |kept| i64::try_from(kept.as_millis()).unwrap_or(i64::MAX)),
            metadata,
            protocol,
        })
    }

    /// The file an `add` describes.
    ///
    /// # Errors
    /// `Unsupported` for a deletion vector or a path outside the table, `Corrupt` for a partition value of a wrong
    /// type.
    pub fn file(&self, root: &Path, add: Add) -> Result<DataFile> {
        if add.deletion_vector.is_some() {
            return Err(Error::unsupported(format!("Delta feature deletionVectors (file '{}' has one)", add.path)));
        }
        if add.path.contains("://") || add.path.starts_with('/') {
            return Err(Error::unsupported(format!(
                "Delta table with files elsewhere (shallow clone): '{}'",
                add.path
            )));
        }
        let order = add.tags.as_ref().and_then(|tags| tags.get(SORTED_BY_TAG));
        let ours = order.is_some();
        let order = order.and_then(Option::as_deref).unwrap_or_default();
        let (rows, mut columns) = statistics::parse(add.stats.as_deref(), &self.arrow, ours);
        let mut partition_values = Vec::with_capacity(self.partition_columns.len());
        for name in &self.partition_columns {
            let (index, value) = self.partition_value(&add, name)?;
            columns[index] = constant(&value, rows);
            partition_values.push((name.clone(), value));
        }
        let day = if self.by_day { Some(day_of(&add)?) } else { None };
        Ok(DataFile {
            path: full_path(root, &add.path),
            size_bytes: u64::try_from(add.size).unwrap_or_default(),
            rows,
            day,
            partition_values,
            columns: columns.into(),
            sorted: !order.is_empty() && self.order().is_some_and(|declared| declared.eq_ignore_ascii_case(order)),
            add: Arc::new(add),
        })
    }

    /// The order of rows in our files of an event table, as [`SORTED_BY_TAG`] says it.
    pub fn order(&self) -> Option<String> {
        self.schema.event.as_ref().map(|event| format!("{},{}", event.user, event.time))
    }

    fn partition_value(&self, add: &Add, name: &str) -> Result<(usize, ScalarValue)> {
        let text = add.partition_values.get(name).and_then(Option::as_deref);
        let index = self.arrow.index_of(name)?;
        let value = statistics::parse_partition_value(text, self.arrow.field(index).data_type());
        value.map(|value| (index, value)).ok_or_else(|| {
            let text = text.unwrap_or_default();
            Error::new(Kind::Corrupt, format!("partition value {name}='{text}' of file '{}'", add.path))
        })
    }
}

/// What one entry of the log changes.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub adds: Vec<Add>,
    /// Paths as `Add::path` has them.
    pub removes: HashSet<String>,
    /// The entry changes the definition: read the table anew.
    pub redefines: bool,
}

impl Entry {
    /// Reads a commit; actions we do not know are for other readers.
    ///
    /// # Errors
    /// `Corrupt` when a line is not an action.
    pub fn parse(bytes: &[u8]) -> Result<Entry> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(Error::new(Kind::Corrupt, "an entry of the Delta log is empty; restore the file or the table"));
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Line {
            add: Option<Add>,
            remove: Option<Remove>,
            meta_data: Option<serde::de::IgnoredAny>,
            protocol: Option<serde::de::IgnoredAny>,
        }
        let mut entry = Entry::default();
        for line in serde_json::Deserializer::from_slice(bytes).into_iter::<Line>() {
            let line = line?;
            entry.redefines |= line.meta_data.is_some() || line.protocol.is_some();
            if let Some(remove) = line.remove {
                entry.removes.insert(remove.path);
            }
            entry.adds.extend(line.add);
        }
        Ok(entry)
    }
}

/// The `protocol` and `metaData` of a new table.
///
/// # Errors
/// `DuplicateColumn` for two columns of one name or one named like our hidden column.
pub(super) fn definition_lines(schema: &TableSchema) -> Result<[String; 2]> {
    let mut names = HashSet::new();
    for column in &schema.columns {
        if !names.insert(column.name.to_lowercase()) || column.name.eq_ignore_ascii_case(DAY_COLUMN) {
            return Err(Error::new(Kind::DuplicateColumn, format!("Duplicate column name '{}'", column.name)));
        }
    }
    let mut fields = schema.columns.iter().map(delta_field).collect::<Result<Vec<_>>>()?;
    let mut partition_columns = Vec::new();
    if schema.event.is_some() {
        fields.push(json!({"name": DAY_COLUMN, "type": "date", "nullable": false, "metadata": {}}));
        partition_columns.push(DAY_COLUMN);
    }
    // Always with timestampNtz, so that ADD COLUMN of a DATETIME needs no change of protocol.
    let protocol = json!({"protocol": {
        "minReaderVersion": 3, "minWriterVersion": 7,
        "readerFeatures": ["timestampNtz"], "writerFeatures": ["timestampNtz"],
    }});
    let metadata = json!({"metaData": {
        "id": uuid::Uuid::new_v4().to_string(),
        "format": {"provider": "parquet", "options": {}},
        "schemaString": json!({"type": "struct", "fields": fields}).to_string(),
        "partitionColumns": partition_columns,
        "configuration": {"delta.checkpointInterval": CHECKPOINT_INTERVAL.to_string()},
        "createdTime": now_ms(),
    }});
    Ok([protocol.to_string(), metadata.to_string()])
}

/// The `metaData` of `definition` with one column more, before our hidden one.
///
/// # Errors
/// `DuplicateColumn`; `Unsupported` when the table's protocol has no DATETIME.
pub(super) fn metadata_line_with(definition: &Definition, column: &Column) -> Result<String> {
    if definition.schema.column(&column.name).is_some() || column.name.eq_ignore_ascii_case(DAY_COLUMN) {
        return Err(Error::new(Kind::DuplicateColumn, format!("Duplicate column name '{}'", column.name)));
    }
    let features = texts(&definition.protocol["writerFeatures"]);
    if matches!(column.column_type, ColumnType::DateTime { .. }) && !features.contains(&"timestampNtz") {
        let what = format!("DATETIME column '{}' in a Delta table without the feature timestampNtz", column.name);
        return Err(Error::unsupported(what));
    }
    let mut metadata = definition.metadata.clone();
    let text = metadata["schemaString"].as_str().unwrap_or_default();
    let mut schema: Value = serde_json::from_str(text)?;
    let Some(fields) = schema["fields"].as_array_mut() else {
        return Err(Error::new(Kind::Corrupt, "the table's schema in the Delta log has no fields"));
    };
    let place = fields.len() - usize::from(definition.by_day);
    fields.insert(place, delta_field(column)?);
    metadata["schemaString"] = Value::String(schema.to_string());
    Ok(json!({ "metaData": metadata }).to_string())
}

/// The first line of a commit. `transaction` tells a writer that lost the answer whether the commit is its own.
pub(super) fn commit_info_line(operation: &str, parameters: Value, read_version: u64, transaction: &str) -> String {
    let append = operation == "WRITE";
    json!({"commitInfo": {
        "timestamp": now_ms(),
        "operation": operation,
        "operationParameters": parameters,
        "readVersion": read_version,
        "isolationLevel": "WriteSerializable",
        "isBlindAppend": append,
        "engineInfo": concat!("desirepath/", env!("CARGO_PKG_VERSION")),
        "txnId": transaction,
    }})
    .to_string()
}

/// An `add` line. `data_change`: its rows are new, not only moved.
pub(super) fn add_line(add: &Add, data_change: bool) -> Result<String> {
    Ok(serde_json::to_string(&Action::Add(Add { data_change, ..add.clone() }))?)
}

/// A `remove` line for a file of the table. `data_change`: its rows are gone or changed, not only moved.
pub(super) fn remove_line(add: &Add, data_change: bool) -> Result<String> {
    let remove = Remove {
        path: add.path.clone(),
        data_change,
        deletion_timestamp: Some(now_ms()),
        extended_file_metadata: Some(true),
        partition_values: Some(add.partition_values.clone()),
        size: Some(add.size),
        tags: add.tags.clone(),
        deletion_vector: None,
        base_row_id: add.base_row_id,
        default_row_commit_version: add.default_row_commit_version,
    };
    Ok(serde_json::to_string(&Action::Remove(remove))?)
}

/// A file's place in the store. The log's path is kept as it is where the store allows it (`%` in partition folders).
pub(super) fn full_path(root: &Path, relative: &str) -> Path {
    let joined = if root.is_root() { relative.to_owned() } else { format!("{root}/{relative}") };
    Path::parse(&joined).unwrap_or_else(|_| Path::from(joined))
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

/// A column as a field of the log's schema.
fn delta_field(column: &Column) -> Result<Value> {
    let field: Field = column.field();
    let metadata: HashMap<&String, &String> = field.metadata().iter().collect();
    let data_type = delta_type(field.data_type())
        .ok_or_else(|| Error::unsupported(format!("column '{}' of type {}", column.name, column.column_type)))?;
    Ok(json!({"name": column.name, "type": data_type, "nullable": column.nullable, "metadata": metadata}))
}

fn delta_type(data_type: &DataType) -> Option<String> {
    Some(match data_type {
        DataType::Int8 => "byte".to_owned(),
        DataType::Int16 => "short".to_owned(),
        DataType::Int32 => "integer".to_owned(),
        DataType::Int64 => "long".to_owned(),
        DataType::Float32 => "float".to_owned(),
        DataType::Float64 => "double".to_owned(),
        // Delta's decimals end at 38 digits, as Arrow's Decimal128.
        DataType::Decimal128(precision, scale) if *precision <= 38 => format!("decimal({precision},{scale})"),
        DataType::Date32 => "date".to_owned(),
        DataType::Timestamp(_, None) => "timestamp_ntz".to_owned(),
        DataType::Timestamp(_, Some(_)) => "timestamp".to_owned(),
        DataType::Utf8 => "string".to_owned(),
        DataType::Binary => "binary".to_owned(),
        _ => return None,
    })
}

/// A column that has one value in the whole file.
fn constant(value: &ScalarValue, rows: Option<u64>) -> ColumnStatistics {
    let null = value.is_null();
    let bound = (!null).then(|| value.clone());
    let null_count = if null { rows } else { Some(0) };
    ColumnStatistics { minimum: bound.clone(), maximum: bound, exact: !null, null_count }
}

fn day_of(add: &Add) -> Result<i32> {
    let text = add.partition_values.get(DAY_COLUMN).and_then(Option::as_deref);
    match statistics::parse_partition_value(text, &DataType::Date32) {
        Some(ScalarValue::Date32(Some(day))) => Ok(day),
        _ => Err(Error::new(Kind::Corrupt, format!("file '{}' has no day (partition {DAY_COLUMN})", add.path))),
    }
}

/// Protocol check for readers: a feature we do not know may change what the files mean.
fn refuse_unreadable(protocol: &Value, metadata: &Value) -> Result<()> {
    let refuse = |feature: &str| Err(Error::unsupported(format!("Delta table feature {feature}")));
    let version = protocol["minReaderVersion"].as_i64().unwrap_or(1);
    if version > 3 {
        return refuse(&format!("reader version {version}"));
    }
    for feature in texts(&protocol["readerFeatures"]) {
        if !READABLE.contains(&feature) {
            return refuse(feature);
        }
    }
    match configuration(metadata, "delta.columnMapping.mode") {
        None | Some("none") => Ok(()),
        Some(mode) => refuse(&format!("columnMapping (mode {mode})")),
    }
}

/// Protocol check for writers: the first feature in use that asks of writers what we do not do.
fn unwritable_feature(protocol: &Value, metadata: &Value) -> Option<String> {
    let version = protocol["minWriterVersion"].as_i64().unwrap_or(1);
    // What each of the old numbers stands for; from 7 on features are listed by name.
    let legacy = [
        (2, "invariants"),
        (3, "checkConstraints"),
        (4, "changeDataFeed"),
        (4, "generatedColumns"),
        (5, "columnMapping"),
        (6, "identityColumns"),
    ];
    let features: Vec<&str> = match version {
        ..7 => legacy.iter().filter(|(since, _)| version >= *since).map(|(_, feature)| *feature).collect(),
        7 => texts(&protocol["writerFeatures"]),
        _ => return Some(format!("writer version {version}")),
    };
    features.into_iter().find(|feature| asks_of_writers(feature, metadata)).map(ToOwned::to_owned)
}

/// Whether a listed feature is really used in a way a writer has to act on.
fn asks_of_writers(feature: &str, metadata: &Value) -> bool {
    let schema = metadata["schemaString"].as_str().unwrap_or_default();
    let enabled = |name: &str| configuration(metadata, name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    match feature {
        "appendOnly" | "timestampNtz" | "v2Checkpoint" | "vacuumProtocolCheck" | "deletionVectors" => false,
        // Their traces in the schema are keys of fields' metadata; a column name in that form is refused needlessly.
        "invariants" => schema.contains("\"delta.invariants\""),
        "generatedColumns" => schema.contains("\"delta.generationExpression\""),
        "identityColumns" => schema.contains("\"delta.identity."),
        "allowColumnDefaults" => schema.contains("\"CURRENT_DEFAULT\""),
        "checkConstraints" => metadata["configuration"]
            .as_object()
            .is_some_and(|settings| settings.keys().any(|key| key.starts_with("delta.constraints."))),
        "changeDataFeed" => enabled("delta.enableChangeDataFeed"),
        "columnMapping" => false, // Refused for reading when in use.
        // Kept by the log; nothing to do for domains of others.
        "domainMetadata" => false,
        _ => true,
    }
}

fn configuration<'v>(metadata: &'v Value, name: &str) -> Option<&'v str> {
    metadata["configuration"].get(name).and_then(Value::as_str)
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}
