//! OPTIMIZE: many small files become few sorted ones; vacuum: files no version needs any more are deleted. A scan that
//! runs meanwhile keeps its files: OPTIMIZE only takes them out of the newest version, and vacuum waits until they are
//! old.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use ::object_store::ObjectStoreExt;
use datafusion::catalog::TableProvider;
use datafusion::execution::context::SessionState;
use deltalake_core::kernel::Add;
use futures::StreamExt;

use crate::error::{Error, Kind, Result};
use crate::storage::delta::{DataFile, Operation, Snapshot, Table};
use crate::storage::log;
use crate::storage::scan::TableScan;
use crate::storage::types::DAY_COLUMN;
use crate::storage::write::{WriteLimits, discard, write_rows};

/// Files below this share of the target size are worth joining.
const SMALL_SHARE: u64 = 2;

/// What OPTIMIZE did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OptimizeReport {
    pub files_before: u64,
    pub files_after: u64,
    pub rows_rewritten: u64,
}

/// Rewrites the days (or the plain table) that have more files than their bytes need, or rows out of order; one commit.
/// As many days at a time as there are cores, each sorted again, spilling when memory is short.
///
/// # Errors
/// `Conflict` when a file was removed meanwhile (rows added meanwhile do no harm); else as `write_rows`. The table is
/// then as before.
pub async fn optimize(
    table: &Arc<Table>,
    state: &SessionState,
    limits: &WriteLimits,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<OptimizeReport> {
    let snapshot = table.snapshot().await?;
    let files_before = snapshot.files().len() as u64;
    let groups = worth_rewriting(&snapshot, limits.target_file_bytes);
    let mut report = OptimizeReport { files_before, files_after: files_before, rows_rewritten: 0 };
    if groups.is_empty() {
        return Ok(report);
    }
    let mut adds: Vec<Add> = Vec::new();
    for days in groups.chunks(state.config().target_partitions().max(1)) {
        let done = report.rows_rewritten;
        let files: Vec<DataFile> = days.iter().flatten().cloned().collect();
        let rows = files.iter().filter_map(|file| file.rows).sum::<u64>();
        match rewrite(table, &snapshot, state, files, limits, &|rows| progress(done + rows)).await {
            Ok(written) => adds.extend(written),
            Err(error) => {
                discard(table, &adds).await;
                return Err(error);
            }
        }
        report.rows_rewritten += rows;
    }
    let removes = groups.concat();
    report.files_after = files_before - removes.len() as u64 + adds.len() as u64;
    table.commit(&snapshot, Operation::Optimize, adds, &removes).await?;
    Ok(report)
}

async fn rewrite(
    table: &Arc<Table>,
    snapshot: &Arc<Snapshot>,
    state: &SessionState,
    files: Vec<DataFile>,
    limits: &WriteLimits,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Vec<Add>> {
    let expected: Option<u64> = files.iter().map(|file| file.rows).sum();
    let scan = TableScan::of_files(Arc::clone(table), Arc::clone(snapshot), "", "", files);
    let plan = scan.scan(state, None, &[], None).await?;
    let adds = write_rows(table, snapshot.schema(), plan, state.task_ctx(), limits, progress).await?;
    // The commit will replace the files: nothing may be missing. A wrong count here is a fault of ours or of a file.
    let written: u64 = adds.iter().filter_map(rows_of).sum();
    if let Some(expected) = expected.filter(|expected| *expected != written) {
        discard(table, &adds).await;
        let message = format!("OPTIMIZE of '{}': files say {expected} rows, {written} were read", table.url());
        return Err(Error::new(Kind::Corrupt, message));
    }
    Ok(adds)
}

fn rows_of(add: &Add) -> Option<u64> {
    let stats: serde_json::Value = serde_json::from_str(add.stats.as_deref()?).ok()?;
    stats["numRecords"].as_u64()
}

/// Groups of files to replace: whole days of an event table, the small files of a plain one.
fn worth_rewriting(snapshot: &Snapshot, target_file_bytes: u64) -> Vec<Vec<DataFile>> {
    let target = target_file_bytes.max(1);
    if snapshot.schema().event.is_none() {
        let small: Vec<DataFile> =
            snapshot.files().iter().filter(|file| file.size_bytes < target / SMALL_SHARE).cloned().collect();
        return if small.len() > 1 { vec![small] } else { Vec::new() };
    }
    let mut days: BTreeMap<Option<i32>, Vec<DataFile>> = BTreeMap::new();
    for file in snapshot.files() {
        days.entry(file.day).or_default().push(file.clone());
    }
    days.retain(|_, files| {
        let bytes: u64 = files.iter().map(|file| file.size_bytes).sum();
        files.len() as u64 > bytes.div_ceil(target).max(1) || files.iter().any(|file| !file.sorted)
    });
    days.into_values().collect()
}

/// Deletes files below the table's folder that no commit took, or that were removed from the table, `older_than` ago or
/// before. Gives the number deleted. Shorter than the longest query or load, it would delete files they are reading or
/// writing.
///
/// # Errors
/// `Storage`; what was deleted before stays deleted.
pub async fn vacuum(table: &Table, older_than: Duration) -> Result<u64> {
    let age_ms = i64::try_from(older_than.as_millis()).unwrap_or(i64::MAX);
    let cutoff_ms = log::now_ms().saturating_sub(age_ms);
    // Listed before the snapshot is taken: a file committed between the two is in the snapshot.
    let mut listed = table.store().list(Some(table.root()));
    let mut old = Vec::new();
    while let Some(file) = listed.next().await {
        let file = file?;
        if file.last_modified.timestamp_millis() < cutoff_ms && is_data_file(table, &file.location) {
            old.push(file.location);
        }
    }
    drop(listed);
    let snapshot = table.snapshot().await?;
    let removed = table.removed_since(cutoff_ms).await?;
    let kept: HashSet<_> = removed
        .iter()
        .map(|path| log::full_path(table.root(), path))
        .chain(snapshot.files().iter().map(|file| file.path.clone()))
        .collect();
    let mut deleted = 0;
    for path in old.into_iter().filter(|path| !kept.contains(path)) {
        match table.store().delete(&path).await {
            Ok(()) => deleted += 1,
            Err(::object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(deleted)
}

/// Whether vacuum may look at a file: Parquet, and in no hidden folder but those of our days.
fn is_data_file(table: &Table, path: &::object_store::path::Path) -> bool {
    let Some(parts) = path.prefix_match(table.root()) else { return false };
    let day_folder = format!("{DAY_COLUMN}=");
    let mut hidden = false;
    let mut last = String::new();
    for part in parts {
        last = part.as_ref().to_owned();
        hidden |= last.starts_with('.') || last.starts_with('_') && !last.starts_with(&day_folder);
    }
    !hidden && last.ends_with(".parquet")
}
