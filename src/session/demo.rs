//! Generated events into a table: `desirepath generate --out database.table` and `desirepath serve --demo`.

use std::sync::Arc;

use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use super::{Client, Session};
use crate::catalog::{EventOptions, NewTable};
use crate::engine::Engine;
use crate::error::{Error, Kind, Result};
use crate::ingest::generate::{self, Events, Plan};
use crate::ingest::{ColumnSource, Write};
use crate::storage::delta::Operation;

/// The database `serve --demo` makes.
pub const DEMO_DATABASE: &str = "demo";

/// Makes `demo.events` with the given events, unless it is there.
///
/// # Errors
/// What creating and writing the table return.
pub async fn ensure(engine: &Arc<Engine>, plan: Plan, progress: &(dyn Fn(u64) + Sync)) -> Result<()> {
    match engine.catalog().table(DEMO_DATABASE, "events").await {
        // An empty one is what a start that was killed left.
        Ok(open) if !open.storage.snapshot().await?.files().is_empty() => Ok(()),
        Ok(_) => load(engine, plan, &format!("{DEMO_DATABASE}.events"), progress).await,
        Err(error) if matches!(error.kind(), Kind::NoSuchTable | Kind::UnknownDatabase) => {
            load(engine, plan, &format!("{DEMO_DATABASE}.events"), progress).await
        }
        Err(error) => Err(error),
    }
}

/// Adds generated events to `database.table`; both are made if they are not there.
///
/// # Errors
/// `Configuration` for a name without a database, and what creating and writing the table return.
pub async fn load(engine: &Arc<Engine>, plan: Plan, name: &str, progress: &(dyn Fn(u64) + Sync)) -> Result<()> {
    let Some((database, table)) = name.split_once('.') else {
        let message = format!("'{name}': give database.table, or a folder with a '/' in it");
        return Err(Error::new(Kind::Configuration, message));
    };
    let catalog = engine.catalog();
    match catalog.create_database(database).await {
        Err(error) if error.kind() == Kind::DatabaseExists => {}
        result => result?,
    }
    let new = NewTable {
        name: table.to_owned(),
        columns: generate::table().columns,
        event: EventOptions::default(),
        location: None,
        keys: Vec::new(),
        comment: "generated events of an online shop".into(),
    };
    match catalog.create_table(database, new).await {
        Err(error) if error.kind() == Kind::TableExists => {}
        result => result?,
    }
    let open = catalog.table(database, table).await?;
    let snapshot = open.storage.snapshot().await?;
    let session = Session::new(engine.clone(), Client::internal(engine.next_connection_id()));
    let state = session.state()?;
    let events = Events::new(plan)?;
    let schema = events.schema();
    let rows = futures::stream::iter(events).map(|batch| Ok(batch?));
    let sources = (0..schema.fields().len()).map(ColumnSource::Input).collect();
    let never = CancellationToken::new();
    let write = Write {
        table: &open.storage,
        snapshot: &snapshot,
        state: &state,
        limits: session.limits(),
        runtime: engine.runtime(),
        cancel: &never,
        progress,
    };
    let rows = Box::pin(RecordBatchStreamAdapter::new(schema, rows));
    write.commit(rows, sources, Operation::Append, &[]).await.map(|_| ())
}
