//! Two servers on one store. The rule: who commits second fails if a file he removes is gone or the columns changed;
//! rows that others added never hurt.

use desirepath::storage::delta::DataFile;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn appends_never_fail_and_none_is_lost() {
    let bench = Arc::new(Bench::new());
    bench.events().await;
    let mut writers = Vec::new();
    for writer in 0..4 {
        let bench = bench.clone();
        writers.push(tokio::spawn(async move {
            let table = bench.open().await;
            for commit in 0..5 {
                bench.append(&table, &[(writer * 10 + commit, commit, "a")]).await.expect("an append never fails");
            }
        }));
    }
    for writer in writers {
        writer.await.expect("a writer ends");
    }
    let table = Arc::new(bench.open().await);
    assert_eq!(table.snapshot().await.expect("a snapshot").version(), 20);
    let expected: Vec<i64> = (0..4).flat_map(|writer| (0..5).map(move |commit| writer * 10 + commit)).collect();
    assert_eq!(bench.users(&table).await, expected);
}

/// Rewrites the files without the rows of `user`, from what `table` has seen; not committed yet.
async fn files_without(bench: &Bench, table: &Table, rows: &[Event]) -> (Vec<Add>, Vec<DataFile>) {
    let adds = bench.write(table, batch(rows), &limits()).await.expect("files");
    (adds, table.snapshot().await.expect("a snapshot").files().to_vec())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_deletes_of_one_file_are_a_conflict() {
    let bench = Bench::new();
    let (here, there) = (Arc::new(bench.events().await), Arc::new(bench.open().await));
    bench.append(&here, &[(1, 0, "a"), (2, 0, "a"), (3, 0, "a")]).await.expect("a commit");
    let read = there.snapshot().await.expect("a snapshot");
    let (adds, removes) = files_without(&bench, &there, &[(1, 0, "a"), (2, 0, "a")]).await;

    let (first, removed) = files_without(&bench, &here, &[(1, 0, "a"), (3, 0, "a")]).await;
    let seen = here.snapshot().await.expect("a snapshot");
    let delete = Operation::Delete { predicate: "user_id = 2".into() };
    here.commit(&seen, delete, first, &removed).await.expect("the first DELETE");

    let delete = Operation::Delete { predicate: "user_id = 3".into() };
    let second = there.commit(&read, delete, adds, &removes).await.expect_err("its file is gone");
    assert_eq!(second.kind(), Kind::Conflict);
    assert!(second.row().retry);
    assert_eq!(bench.users(&there).await, [1, 3]);
    assert_eq!(bench.data_files().await.len(), 2, "the refused commit's file is deleted");
}

/// deltalake-core's own check lets this pass: OPTIMIZE does not "change data", so the DELETE's old rows came back
/// beside the ones it kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_sees_that_optimize_moved_its_rows() {
    let bench = Bench::new();
    let (here, there) = (Arc::new(bench.events().await), Arc::new(bench.open().await));
    bench.append(&here, &[(1, 0, "a"), (2, 0, "a")]).await.expect("a commit");
    bench.append(&here, &[(3, 0, "a")]).await.expect("a commit");
    let read = there.snapshot().await.expect("a snapshot");
    let (adds, removes) = files_without(&bench, &there, &[(1, 0, "a"), (3, 0, "a")]).await;
    let limits = limits();
    compact::optimize(&here, &bench.session.state(), &limits, &|_| {}).await.expect("optimize");
    let delete = Operation::Delete { predicate: "user_id = 2".into() };
    let late = there.commit(&read, delete, adds, &removes).await.expect_err("its files are gone");
    assert_eq!(late.kind(), Kind::Conflict);
    assert_eq!(bench.users(&there).await, [1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_does_not_mind_appends() {
    let bench = Bench::new();
    let (here, there) = (Arc::new(bench.events().await), Arc::new(bench.open().await));
    bench.append(&here, &[(1, 0, "a"), (2, 0, "a")]).await.expect("a commit");
    let read = there.snapshot().await.expect("a snapshot");
    let (adds, removes) = files_without(&bench, &there, &[(1, 0, "a")]).await;
    bench.append(&here, &[(2, 0, "later")]).await.expect("a commit");
    let delete = Operation::Delete { predicate: "user_id = 2".into() };
    assert_eq!(there.commit(&read, delete, adds, &removes).await.expect("a commit"), 3);
    assert_eq!(bench.users(&there).await, [1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_two_creates_wins() {
    let bench = Bench::new();
    let schema = event_schema();
    let (left, right) = tokio::join!(
        Table::create(&bench.stores, &bench.url, &schema),
        Table::create(&bench.stores, &bench.url, &schema),
    );
    let lost: Vec<Kind> = [left, right].into_iter().filter_map(Result::err).map(|error| error.kind()).collect();
    assert_eq!(lost, [Kind::TableExists]);
}

/// A killed statement (its future dropped) leaves no finished files behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_write_deletes_its_files() {
    use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
    use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
    use futures::StreamExt;

    /// Rows of a plain table, each its own file, and then never an end.
    #[derive(Debug)]
    struct Endless(arrow::datatypes::SchemaRef);

    impl PartitionStream for Endless {
        fn schema(&self) -> &arrow::datatypes::SchemaRef {
            &self.0
        }

        fn execute(
            &self,
            _context: Arc<datafusion::execution::TaskContext>,
        ) -> datafusion::execution::SendableRecordBatchStream {
            let rows =
                futures::stream::iter((0..3).map(|_| Ok(batch(&[(1, 0, "a")])))).chain(futures::stream::pending());
            Box::pin(RecordBatchStreamAdapter::new(self.0.clone(), rows))
        }
    }

    let bench = Bench::new();
    let plain = TableSchema { event: None, ..event_schema() };
    let table = Table::create(&bench.stores, &bench.url, &plain).await.expect("a plain table");
    let fields = plain.arrow();
    let rows = Arc::new(Endless(fields.clone()));
    let input = StreamingTableExec::try_new(fields, vec![rows], None, [], false, None).expect("a plan");
    let limits = WriteLimits { target_file_bytes: 1, ..limits() };
    let (seen, mut written) = tokio::sync::watch::channel(0u64);
    let progress = |rows: u64| {
        seen.send_replace(rows);
    };
    tokio::select! {
        result = write_rows(&table, &plain, Arc::new(input), bench.session.task_ctx(), &limits, &progress) => {
            panic!("the input has no end: {result:?}")
        }
        _ = written.wait_for(|rows| *rows == 3) => {}
    }
    // The third batch begins a third file, so two are finished; the parts clean up on their own now.
    while !bench.data_files().await.is_empty() {
        tokio::task::yield_now().await;
    }
}
