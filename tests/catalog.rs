//! The catalog: manifests under racing writers, names and their errors, tables coming and going, information_schema,
//! the allowed paths, and the durable local store. No server, no network.

mod accounts;
mod information_schema;
mod manifests;
mod paths;
mod tables;

use std::sync::Arc;

use desirepath::catalog::{Catalog, EventOptions, NewTable};
use desirepath::config::Settings;
use desirepath::storage::object_store::ObjectStores;
use desirepath::storage::types::{Column, ColumnType};
use url::Url;

/// Stores of their own; `memory://` in them is shared by the catalogs opened on them and by nobody else.
fn stores() -> Arc<ObjectStores> {
    Arc::new(ObjectStores::new(&Settings::default()).expect("default settings"))
}

fn url(text: &str) -> Url {
    Url::parse(text).expect("a URL")
}

async fn open(stores: &Arc<ObjectStores>, root: &Url) -> Catalog {
    Catalog::open(stores.clone(), root.clone()).await.expect("the catalog opens")
}

/// A catalog in memory.
async fn fresh() -> Catalog {
    open(&stores(), &url("memory://catalog/")).await
}

fn column(name: &str, column_type: &str, nullable: bool) -> Column {
    let column_type: ColumnType = column_type.parse().expect("a type");
    Column { name: name.into(), column_type, nullable, default: None, comment: String::new() }
}

fn new_table(name: &str, columns: Vec<Column>) -> NewTable {
    NewTable {
        name: name.into(),
        columns,
        event: EventOptions::default(),
        location: None,
        keys: Vec::new(),
        comment: String::new(),
    }
}

/// An event table by the default names.
fn events(name: &str) -> NewTable {
    new_table(
        name,
        vec![
            column("event_time", "datetime(6)", false),
            column("user_id", "bigint", false),
            column("event_name", "varchar(64)", false),
            column("amount", "decimal(12,2)", true),
        ],
    )
}

/// Number, SQLSTATE and message of a failure.
fn failure<T: std::fmt::Debug>(result: desirepath::error::Result<T>) -> (u16, &'static str, String) {
    let error = result.expect_err("a failure");
    (error.row().number, error.row().sqlstate, error.message().to_owned())
}
