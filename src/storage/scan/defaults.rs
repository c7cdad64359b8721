//! Columns that a file written before ALTER TABLE ADD COLUMN does not have: they read as the column's DEFAULT, or NULL.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{self, Column as ColumnExpr};
use datafusion::physical_expr_adapter::{
    DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory,
};
use datafusion::scalar::ScalarValue;

use crate::error::{Error, Kind};
use crate::storage::types::Column;

/// What the columns that a file lacks read as, by name; an error text for one that nothing can be said of.
#[derive(Debug, Clone, Default)]
pub struct MissingColumns {
    values: Arc<HashMap<String, Result<ScalarValue, String>>>,
}

impl MissingColumns {
    /// What each of `columns` reads as where it is missing; `data_type` gives the type the scan shows it with.
    pub fn new<'a>(columns: impl IntoIterator<Item = (&'a Column, &'a DataType)>) -> MissingColumns {
        let values = columns.into_iter().map(|(column, data_type)| (column.name.clone(), value_of(column, data_type)));
        MissingColumns { values: Arc::new(values.collect()) }
    }
}

impl PhysicalExprAdapterFactory for MissingColumns {
    fn create(
        &self,
        logical_file_schema: SchemaRef,
        physical_file_schema: SchemaRef,
    ) -> datafusion::common::Result<Arc<dyn PhysicalExprAdapter>> {
        let rest = DefaultPhysicalExprAdapterFactory.create(logical_file_schema, physical_file_schema.clone())?;
        Ok(Arc::new(Adapter { missing: self.clone(), file_schema: physical_file_schema, rest }))
    }
}

/// Puts a literal where a column is missing and leaves types and positions to DataFusion's own adapter.
#[derive(Debug)]
struct Adapter {
    missing: MissingColumns,
    file_schema: SchemaRef,
    rest: Arc<dyn PhysicalExprAdapter>,
}

impl PhysicalExprAdapter for Adapter {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> datafusion::common::Result<Arc<dyn PhysicalExpr>> {
        let filled = expr.transform_down(|node| {
            let Some(column) = node.downcast_ref::<ColumnExpr>() else {
                return Ok(Transformed::no(node));
            };
            if self.file_schema.index_of(column.name()).is_ok() {
                return Ok(Transformed::no(node));
            }
            match self.missing.values.get(column.name()) {
                None => Ok(Transformed::no(node)),
                Some(Ok(value)) => Ok(Transformed::yes(expressions::lit(value.clone()))),
                Some(Err(message)) => Err(Error::new(Kind::NoDefault, message.clone()).into()),
            }
        });
        self.rest.rewrite(filled.data()?)
    }
}

/// What `column` reads as in rows written before it existed, as MySQL fills them: its DEFAULT, or NULL. A DEFAULT that
/// is no literal (CURRENT_TIMESTAMP) says nothing about old rows, so they are NULL too.
fn value_of(column: &Column, data_type: &DataType) -> Result<ScalarValue, String> {
    let no_value = |why| format!("column '{}': {why}, and some rows were written before it was added", column.name);
    match column.default.as_deref().and_then(literal_text).flatten() {
        Some(text) => {
            let text = ScalarValue::Utf8(Some(text));
            text.cast_to(data_type).map_err(|_| no_value("its DEFAULT does not fit its type"))
        }
        None if column.nullable => ScalarValue::try_new_null(data_type).map_err(|error| error.to_string()),
        None => Err(no_value("it is NOT NULL without a DEFAULT that is a literal")),
    }
}

/// The text of a literal as written in DDL: None inside for NULL, None outside for what is no literal.
fn literal_text(sql: &str) -> Option<Option<String>> {
    let sql = sql.trim();
    if let Some(quoted) = sql.strip_prefix('\'') {
        return unquote(quoted).map(Some);
    }
    match sql.to_ascii_lowercase().as_str() {
        "null" => Some(None),
        "true" => Some(Some("1".into())),
        "false" => Some(Some("0".into())),
        _ => {
            let digits = sql.strip_prefix(['+', '-']).unwrap_or(sql);
            let is_number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
                && digits.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'));
            is_number.then(|| Some(sql.strip_prefix('+').unwrap_or(sql).to_owned()))
        }
    }
}

/// The rest of a quoted text after its opening quote; doubled quotes and MySQL's backslash escapes undone.
fn unquote(quoted: &str) -> Option<String> {
    let mut text = String::with_capacity(quoted.len());
    let mut rest = quoted.chars();
    loop {
        match rest.next()? {
            '\'' => match rest.next() {
                None => return Some(text),
                Some('\'') => text.push('\''),
                Some(_) => return None,
            },
            '\\' => text.push(match rest.next()? {
                '0' => '\0',
                'b' => '\u{8}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'Z' => '\u{1a}',
                other => other,
            }),
            other => text.push(other),
        }
    }
}
