//! A logical plan becomes a stream of batches: optimised, planned physically, run under the statement's cancel token
//! and deadline. Memory comes from the engine's pool, which spills or refuses. Nothing is collected here.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::execution::session_state::SessionState;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::{Future, Stream, StreamExt};
use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::error::{Error, Kind, Result};

/// Batches that may wait for the reader of a result.
const BATCHES_WAITING_MAX: usize = 2;

/// Where a statement computes, and what may end it from outside.
#[derive(Debug, Clone)]
pub struct Control {
    /// The engine's runtime for queries: whatever they compute, the runtime of the connections goes on answering.
    pub runtime: Handle,
    /// Cancelled by KILL.
    pub cancel: CancellationToken,
    /// max_execution_time; None for no limit.
    pub time_max: Option<Duration>,
}

/// Runs `plan`; the stream ends with `Interrupted` or `Timeout` when `control` says so.
///
/// # Errors
/// What the optimizer and the physical planner refuse, with their kind.
pub async fn execute(plan: &LogicalPlan, state: &SessionState, control: &Control) -> Result<SendableRecordBatchStream> {
    let deadline = control.time_max.map(|time| Instant::now() + time);
    let physical = state.create_physical_plan(plan).await?;
    run(physical, state, control, deadline)
}

/// Runs a physical plan under `control`.
pub fn run(
    physical: Arc<dyn ExecutionPlan>,
    state: &SessionState,
    control: &Control,
    deadline: Option<Instant>,
) -> Result<SendableRecordBatchStream> {
    let physical = cooperative(physical)?;
    let mut rows = RecordBatchReceiverStream::builder(physical.schema(), BATCHES_WAITING_MAX);
    let (sender, context) = (rows.tx(), state.task_ctx());
    let compute = async move {
        let mut rows = execute_stream(physical, context)?;
        while let Some(batch) = rows.next().await {
            let failed = batch.is_err();
            // A reader that is gone wants no more.
            if sender.send(batch).await.is_err() || failed {
                break;
            }
        }
        Ok(())
    };
    rows.spawn_on(compute, &control.runtime);
    let rows = rows.build();
    Ok(Box::pin(Controlled {
        rows,
        cancelled: Box::pin(control.cancel.clone().cancelled_owned()),
        deadline: deadline.map(|at| Box::pin(tokio::time::sleep_until(at))),
        ended: false,
    }))
}

/// Lets every node with several inputs yield: a join can make many rows of one batch without asking its inputs again,
/// which are the only places where DataFusion yields (its rule EnsureCooperative wraps leaves and exchanges).
fn cooperative(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let wrapped = plan.transform_up(|node| match node.children().len() {
        0 | 1 => Ok(Transformed::no(node)),
        _ => Ok(Transformed::yes(Arc::new(CooperativeExec::new(node)) as Arc<dyn ExecutionPlan>)),
    })?;
    Ok(wrapped.data)
}

/// Runs `plan` to its end and returns its batches: for answers known to be small (a count, a constant).
///
/// # Errors
/// What the plan fails with.
pub async fn collect(plan: &LogicalPlan, state: &SessionState, control: &Control) -> Result<Vec<RecordBatch>> {
    let mut rows = execute(plan, state, control).await?;
    let mut batches = Vec::new();
    while let Some(batch) = rows.next().await {
        batches.push(batch?);
    }
    Ok(batches)
}

/// A stream of batches that stops when its statement is cancelled or out of time. Dropping it aborts the plan's tasks.
struct Controlled {
    rows: SendableRecordBatchStream,
    cancelled: Pin<Box<WaitForCancellationFutureOwned>>,
    deadline: Option<Pin<Box<Sleep>>>,
    ended: bool,
}

impl Stream for Controlled {
    type Item = Result<RecordBatch, DataFusionError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if self.cancelled.as_mut().poll(context).is_ready() {
            self.ended = true;
            let error = Error::new(Kind::Interrupted, "Query execution was interrupted");
            return Poll::Ready(Some(Err(error.into())));
        }
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(context).is_ready()
        {
            self.ended = true;
            let text = "Query execution was interrupted, maximum statement execution time exceeded";
            return Poll::Ready(Some(Err(Error::new(Kind::Timeout, text).into())));
        }
        self.rows.poll_next_unpin(context)
    }
}

impl RecordBatchStream for Controlled {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }
}
