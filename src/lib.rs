//! Desirepath: a SQL server for event data. The rooms in the order a statement walks through them, apart by blank
//! lines so that they stay in it; an arrow may only go to a room on a lower line of the table in ARCHITECTURE.md
//! (`tests/tidy.rs` checks).

/// Protocols: the MySQL wire, HTTP, scripts.
pub mod server;

/// What one connection remembers, and the life of a statement: `Session::execute`.
pub mod session;

/// Opens the parts once and owns them.
pub mod engine;

/// Text to `Statement`.
pub mod dialect;

/// `Statement` and catalog to a plan.
pub mod planner;

/// A plan to a stream of batches.
pub mod executor;

/// The one door for writes.
pub mod ingest;

/// Everything a name can mean.
pub mod catalog;

/// Analysis functions and MySQL's.
pub mod functions;

/// Event tables: Parquet, Delta log, scan.
pub mod storage;

/// Every setting, default and limit.
pub mod config;

/// One `Error`; its kind has a MySQL number, SQLSTATE and HTTP status.
pub mod error;
