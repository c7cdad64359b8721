//! The event-table engine: object stores, Delta log, Parquet writing, scan, compaction. Knows tables by their location
//! only; names and users belong to the catalog.

pub mod compact; // OPTIMIZE and vacuum
pub mod delta; // one Delta table: snapshot, commit
mod encoding; // how each column lies in a Parquet file
pub mod files; // read_parquet, read_csv, read_json
mod log; // the entries of a Delta log
pub mod object_store; // every store by its URL, and the allowed paths
pub mod pruning; // which files a filter can touch
pub mod scan; // TableProvider over a snapshot's files
pub mod statistics; // a file's rows, minima, maxima and null counts
pub mod types; // columns and their types
pub mod write; // sorted batches → Parquet files
