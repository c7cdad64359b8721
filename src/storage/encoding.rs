//! How the columns of a table lie in a Parquet file: encoding, dictionary, compression, page and row group sizes.
//!
//! | column | encoding | codec | why |
//! |---|---|---|---|
//! | user, a number | PLAIN, bloom filter | lz4 | sorted and repeated, so lz4 halves it; cheapest to decode |
//! | user, a text | dictionary, bloom filter | lz4 | runs of codes: one text a user and row group, not one a row |
//! | event, short texts, numbers, decimals, dates | dictionary, PLAIN once too big | lz4 | few values |
//! | DATETIME, TIMESTAMP | DELTA_BINARY_PACKED | lz4 | 1.6–3 ns a row, zstd over PLAIN 13 |
//! | JSON, TEXT, BLOB, BINARY | dictionary, PLAIN once too big | zstd 1 | wide: here size pays |
//!
//! BYTE_STREAM_SPLIT would do as well for times, but Spark 3 cannot read it for integers.
//!
//! NOT NULL columns are REQUIRED, so no levels are stored (1.5–1.7 times faster questions). Integers of 64 bits stay
//! INT64, decimals are INT32, INT64 or fixed bytes by their precision, times INT64 microseconds. The Arrow schema is
//! not embedded: the types above say all, and other engines read the files as theirs.

use datafusion::arrow::datatypes::Schema;
use datafusion::parquet::arrow::arrow_writer::ArrowWriterOptions;
use datafusion::parquet::basic::{Compression, Encoding, ZstdLevel};
use datafusion::parquet::file::metadata::SortingColumn;
use datafusion::parquet::file::properties::{BloomFilterProperties, EnabledStatistics, WriterProperties};
use datafusion::parquet::schema::types::ColumnPath;

use crate::storage::types::{ColumnType, TableSchema};
use crate::storage::write::WriteLimits;

/// Rows a page: what a look-up of one user decodes at least.
const PAGE_ROWS: usize = 8192;
/// A dictionary of more bytes is given up for the rest of its row group.
const DICTIONARY_BYTES_MAX: usize = 1 << 20;
/// The same for users that are texts: all users of a row group should fit.
const USER_DICTIONARY_BYTES_MAX: usize = 4 << 20;
/// Look-ups of a user that is not in the row group and read it nevertheless.
const BLOOM_FALSE_POSITIVES: f64 = 0.01;
const CREATED_BY: &str = concat!("desirepath version ", env!("CARGO_PKG_VERSION"), " (build parquet-rs)");

/// Options for a writer of the table's files. `sorted_by`: the columns (by position) rows are in order of.
pub(super) fn options(schema: &TableSchema, limits: &WriteLimits, sorted_by: &[usize]) -> ArrowWriterOptions {
    let sorting = sorted_by
        .iter()
        .filter_map(|column| i32::try_from(*column).ok())
        .map(|column_idx| SortingColumn { column_idx, descending: false, nulls_first: true })
        .collect::<Vec<_>>();
    let mut properties = WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_compression(Compression::LZ4_RAW)
        .set_max_row_group_row_count(Some(limits.row_group_rows))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES_MAX)
        .set_sorting_columns((!sorting.is_empty()).then_some(sorting));
    let user = schema.event.as_ref().and_then(|event| schema.column(&event.user)).map(|(index, _)| index);
    for (index, column) in schema.columns.iter().enumerate() {
        let path = ColumnPath::new(vec![column.name.clone()]);
        if user == Some(index) {
            let bloom = BloomFilterProperties::builder()
                .with_fpp(BLOOM_FALSE_POSITIVES)
                .with_max_ndv(limits.row_group_rows as u64)
                .build();
            properties = properties
                .set_column_bloom_filter_properties(path.clone(), bloom)
                .set_column_dictionary_enabled(path.clone(), is_text(&column.column_type))
                .set_column_dictionary_page_size_limit(path, USER_DICTIONARY_BYTES_MAX);
            continue;
        }
        properties = match column.column_type {
            ColumnType::DateTime { .. } | ColumnType::Timestamp { .. } => properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED),
            ColumnType::Json
            | ColumnType::Text { .. }
            | ColumnType::Blob { .. }
            | ColumnType::Binary { .. }
            | ColumnType::VarBinary { .. } => properties
                .set_column_compression(path.clone(), wide_compression())
                // Bounds of every page of such a column would prune nothing.
                .set_column_statistics_enabled(path, EnabledStatistics::Chunk),
            _ => properties,
        };
    }
    ArrowWriterOptions::new().with_properties(properties.build()).with_skip_arrow_metadata(true)
}

/// The types (by position) of `fields` a writer can be given as they are: text and byte kinds are one to Parquet.
pub(super) fn same_in_parquet(given: &Schema, declared: &Schema, column: usize) -> bool {
    use datafusion::arrow::datatypes::DataType::*;
    let (given, declared) = (given.field(column).data_type(), declared.field(column).data_type());
    let kind = |data_type| match data_type {
        &Utf8 | &LargeUtf8 | &Utf8View => Utf8,
        &Binary | &LargeBinary | &BinaryView => Binary,
        other => other.clone(),
    };
    match given {
        Dictionary(_, values) => kind(values) == Utf8 && kind(declared) == Utf8,
        given => kind(given) == kind(declared),
    }
}

fn is_text(column_type: &ColumnType) -> bool {
    matches!(column_type, ColumnType::VarChar { .. } | ColumnType::Char { .. } | ColumnType::Text { .. })
}

fn wide_compression() -> Compression {
    // Its default level is 1.
    Compression::ZSTD(ZstdLevel::default())
}
