//! What a table of `information_schema` is: a name and columns, and the Arrow schema they make. The list of tables is
//! in
//! `layout`, the rows are made elsewhere.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::DATABASE;
use super::layout::TABLES;
use crate::error::Result;
use crate::storage::types::{Column, ColumnType, META_COLUMN, META_DATABASE, META_TABLE};

/// One table of `information_schema`.
#[derive(Debug)]
pub struct Definition {
    pub name: &'static str,
    /// Not listed in TABLES: only SHOW statements read it.
    pub hidden: bool,
    pub(super) columns: &'static [ColumnDefinition],
}

/// Name, MySQL type, nullable.
pub(super) type ColumnDefinition = (&'static str, &'static str, bool);

impl Definition {
    /// The columns as those of a stored table.
    ///
    /// # Errors
    /// `Corrupt` for a type text that is none: a mistake in this file.
    pub fn columns(&self) -> Result<Vec<Column>> {
        let column = |&(name, text, nullable): &ColumnDefinition| {
            let column_type = text.parse()?;
            Ok(Column { name: name.to_owned(), column_type, nullable, default: None, comment: String::new() })
        };
        self.columns.iter().map(column).collect()
    }

    /// The Arrow schema of the rows.
    ///
    /// # Errors
    /// As [`columns`](Self::columns).
    pub fn schema(&self) -> Result<SchemaRef> {
        let fields = self.columns()?.into_iter().map(|column| self.field(&column)).collect::<Vec<_>>();
        Ok(Arc::new(Schema::new(fields)))
    }

    fn field(&self, column: &Column) -> Field {
        let field = match column.column_type {
            // Stored columns keep it as a decimal, which Delta has; nothing is stored here, and sums stay integers.
            ColumnType::BigInt { unsigned: true } => Field::new(&column.name, DataType::UInt64, column.nullable),
            _ => column.field(),
        };
        let mut metadata: HashMap<String, String> = field.metadata().clone();
        metadata.insert(META_DATABASE.into(), DATABASE.into());
        metadata.insert(META_TABLE.into(), self.name.into());
        metadata.insert(META_COLUMN.into(), column.name.clone());
        field.with_metadata(metadata)
    }
}

/// The table of that name, compared without case.
pub fn find(name: &str) -> Option<&'static Definition> {
    TABLES.iter().find(|definition| definition.name.eq_ignore_ascii_case(name))
}
