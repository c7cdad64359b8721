//! Statements that define: CREATE, DROP and ALTER of databases and tables.

use std::sync::Arc;

use super::change::writable;
use super::{Answer, Running, Session, affected, done};
use crate::catalog::{EventOptions, NewTable, objects};
use crate::dialect;
use crate::dialect::statement::{AlterOperation, CreateTable, KeyClause, KeyKind, TableName};
use crate::error::{Error, Kind, Result};
use crate::executor;
use crate::ingest::{ColumnSource, Write};
use crate::storage::delta::Operation;
use crate::storage::object_store::ObjectStores;
use crate::storage::types::{Column, ColumnType, TableSchema};

impl Session {
    pub(super) async fn create_database(&mut self, name: &str, if_not_exists: bool) -> Result<Answer> {
        match self.engine.catalog().create_database(name).await {
            Err(error) if if_not_exists && error.kind() == Kind::DatabaseExists => {
                self.warn("Note", error.row().number, error.message());
                Ok(affected(1, String::new()))
            }
            Err(error) => Err(error),
            Ok(()) => Ok(affected(1, String::new())),
        }
    }

    pub(super) async fn drop_database(&mut self, name: &str, if_exists: bool) -> Result<Answer> {
        let tables = match self.engine.catalog().manifest().await?.database(name) {
            Ok(database) => database.tables.len() as u64,
            Err(_) => 0,
        };
        match self.engine.catalog().drop_database(name).await {
            Err(error) if if_exists && matches!(error.kind(), Kind::UnknownDatabase | Kind::CannotDropDatabase) => {
                self.warn("Note", error.row().number, error.message());
                return Ok(done());
            }
            result => result?,
        }
        if self.database.as_deref().is_some_and(|database| database.eq_ignore_ascii_case(name)) {
            self.database = None;
        }
        Ok(affected(tables, String::new()))
    }

    pub(super) async fn create_table(&mut self, create: CreateTable, running: &Running) -> Result<Answer> {
        let (database, name) = self.full_name(&create.table)?;
        let if_not_exists = create.if_not_exists;
        match self.try_create_table(create, &database, running).await {
            Err(error) if if_not_exists && error.kind() == Kind::TableExists => {
                let message = format!("Table '{name}' already exists");
                self.warn("Note", error.row().number, message);
                Ok(done())
            }
            result => result,
        }
    }

    async fn try_create_table(&mut self, create: CreateTable, database: &str, running: &Running) -> Result<Answer> {
        let location = match &create.location {
            Some(text) => {
                let url = ObjectStores::parse_location(text)?;
                self.engine.allowed().check(&url)?;
                Some(url)
            }
            None => None,
        };
        for warning in &create.warnings {
            self.warn("Warning", Kind::Unsupported.row().number, warning);
        }
        let mut new = NewTable {
            name: create.table.name,
            columns: create.columns,
            event: EventOptions { user: create.user_column, time: create.time_column, event: create.event_column },
            location,
            keys: create.keys.into_iter().map(key).collect(),
            comment: create.comment,
        };
        if let Some(other) = create.like {
            let (database, name) = self.full_name(&other)?;
            let open = self.engine.catalog().table(&database, &name).await?;
            new.columns = open.storage.snapshot().await?.schema().columns.clone();
            new.keys = open.object.keys;
            new.comment = open.object.comment;
            if let Some(event) = open.object.event {
                new.event = EventOptions { user: Some(event.user), time: Some(event.time), event: Some(event.event) };
            }
        }
        let Some(query) = create.query else {
            self.engine.catalog().create_table(database, new).await?;
            return Ok(done());
        };
        self.create_table_select(*query, database, new, running).await
    }

    /// CREATE TABLE … SELECT: the table gets its name when its rows are there.
    async fn create_table_select(
        &mut self,
        query: sqlparser::ast::Query,
        database: &str,
        mut new: NewTable,
        running: &Running,
    ) -> Result<Answer> {
        let (state, view) = (self.state()?, self.view());
        let plan = self.plan(query, &state, &view).await?;
        let fields = plan.schema().fields();
        if new.columns.is_empty() {
            new.columns = fields.iter().map(|field| column_of(field)).collect::<Result<_>>()?;
        } else if new.columns.len() != fields.len() {
            return Err(Error::new(Kind::ColumnCountMismatch, "Column count doesn't match value count at row 1"));
        }
        let rows = executor::execute(&plan, &state, &running.control).await?;
        let catalog = self.engine.catalog();
        let pending = catalog.begin_table(database, new).await?;
        let written = async {
            let snapshot = pending.storage.snapshot().await?;
            let schema: Arc<TableSchema> = snapshot.schema().clone();
            let sources = (0..schema.columns.len()).map(ColumnSource::Input).collect();
            let write = Write {
                table: &pending.storage,
                snapshot: &snapshot,
                state: &state,
                limits: self.limits(),
                runtime: &running.control.runtime,
                cancel: &running.control.cancel,
                progress: self.progress.as_ref(),
            };
            write.commit(rows, sources, Operation::Append, &[]).await
        };
        match written.await {
            Ok(count) => {
                catalog.publish(pending).await?;
                self.note_write();
                Ok(affected(count, format!("Records: {count}  Duplicates: 0  Warnings: 0")))
            }
            Err(error) => {
                catalog.discard(pending).await;
                Err(error)
            }
        }
    }

    pub(super) async fn drop_tables(&mut self, tables: &[TableName], if_exists: bool) -> Result<Answer> {
        let names = tables.iter().map(|table| self.full_name(table)).collect::<Result<Vec<_>>>()?;
        for missing in self.engine.catalog().drop_tables(&names, if_exists).await? {
            self.warn("Note", Kind::UnknownTable.row().number, format!("Unknown table '{missing}'"));
        }
        Ok(done())
    }

    pub(super) async fn alter_table(
        &mut self,
        table: &TableName,
        operations: Vec<AlterOperation>,
        running: &Running,
    ) -> Result<Answer> {
        let (database, name) = self.full_name(table)?;
        let open = self.engine.catalog().table(&database, &name).await?;
        writable(&open)?;
        // Several columns would be several commits, and a failure between them half a change.
        if operations.len() > 1 {
            return Err(Error::unsupported("ALTER TABLE with several clauses"));
        }
        for operation in operations {
            let AlterOperation::AddColumn { column, if_not_exists } = operation;
            if let Some(default) = &column.default {
                // Refused now rather than at each later INSERT.
                self.constants(vec![dialect::parse_expression(default, &dialect::ParseContext::default())?], running)
                    .await?;
            }
            match self.engine.catalog().add_column(&database, &name, &column).await {
                Err(error) if if_not_exists && error.kind() == Kind::DuplicateColumn => {
                    self.warn("Note", error.row().number, error.message());
                }
                result => result?,
            }
        }
        Ok(done())
    }

    /// The database and name a statement means.
    pub(super) fn full_name(&self, table: &TableName) -> Result<(String, String)> {
        match table.database.as_ref().or(self.database.as_ref()) {
            Some(database) => Ok((database.clone(), table.name.clone())),
            None => Err(Error::new(Kind::NoDatabaseSelected, "No database selected")),
        }
    }
}

fn key(clause: KeyClause) -> objects::Key {
    let kind = match clause.kind {
        KeyKind::Primary => objects::KeyKind::Primary,
        KeyKind::Unique => objects::KeyKind::Unique,
        KeyKind::Index => objects::KeyKind::Index,
    };
    objects::Key { kind, name: clause.name, columns: clause.columns }
}

/// The column a query's output becomes in CREATE TABLE … SELECT.
fn column_of(field: &arrow::datatypes::Field) -> Result<Column> {
    let mut column = Column::of_field(field)?;
    // An expression's type has no declaration: the widest MySQL type that holds it.
    if column.column_type == (ColumnType::VarChar { length: 0 }) {
        column.column_type = ColumnType::Text { bytes_max: u32::MAX };
    }
    column.default = None;
    Ok(column)
}
