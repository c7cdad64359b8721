//! Which files a filter can touch, and of which it keeps every row, judged by the Delta log's statistics alone. No file
//! is opened; row groups, pages and bloom filters are the Parquet scan's own business.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::common::Column as ColumnName;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{
    BinaryExpr, CastExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, Literal, NotExpr, cast,
};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{PhysicalExpr, PhysicalExprSimplifier, ScalarFunctionExpr};
use datafusion::physical_optimizer::pruning::{PruningPredicate, PruningPredicateBuilder, PruningStatistics};
use datafusion::scalar::ScalarValue;

use crate::storage::delta::DataFile;

const MICROSECONDS_PER_DAY: i64 = 86_400_000_000;

/// Judges filters against the statistics of some files of one table.
///
/// `schema` has the table's columns in the order of [`DataFile::columns`]; filters name columns by position in it.
#[derive(Debug)]
pub struct Pruner<'a> {
    schema: SchemaRef,
    files: &'a [DataFile],
    /// Position of an event table's time column, whose values all lie in the file's day.
    time: Option<usize>,
}

/// One of the two ends of a column's range of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Minimum,
    Maximum,
}

impl<'a> Pruner<'a> {
    pub fn new(schema: SchemaRef, files: &'a [DataFile], time: Option<usize>) -> Self {
        Pruner { schema, files, time }
    }

    /// For each file, whether a row of it may pass `filter`. False is certain, true is not.
    pub fn may_match(&self, filter: &Arc<dyn PhysicalExpr>) -> Vec<bool> {
        // A filter that cannot be judged rules out nothing.
        self.prune(self.with_dates_as_casts(filter)).unwrap_or_else(|| vec![true; self.files.len()])
    }

    /// For each file, whether every row of it passes `filter`. True is certain, false is not.
    ///
    /// All rows pass when no row can make the opposite true and none can make the filter NULL.
    pub fn all_match(&self, filter: &Arc<dyn PhysicalExpr>) -> Vec<bool> {
        let none = || vec![false; self.files.len()];
        let filter = self.with_dates_as_casts(filter);
        if !self.is_judgeable(&filter) {
            return none();
        }
        let mut opposite: Arc<dyn PhysicalExpr> = Arc::new(NotExpr::new(filter.clone()));
        for column in collect_columns(&filter) {
            if self.schema.field(column.index()).is_nullable() {
                let is_null = Arc::new(IsNullExpr::new(Arc::new(column)));
                opposite = Arc::new(BinaryExpr::new(opposite, Operator::Or, is_null));
            }
        }
        match self.prune(opposite) {
            Some(may_fail) => may_fail.into_iter().map(|may_fail| !may_fail).collect(),
            None => none(),
        }
    }

    /// Whether `filter`, once the files it rules out are gone, keeps every row: the scan has nothing left to apply.
    pub fn decides(&self, filter: &Arc<dyn PhysicalExpr>) -> bool {
        let kept = self.may_match(filter);
        let whole = self.all_match(filter);
        kept.into_iter().zip(whole).all(|(kept, whole)| !kept || whole)
    }

    fn prune(&self, filter: Arc<dyn PhysicalExpr>) -> Option<Vec<bool>> {
        if self.files.is_empty() {
            return Some(Vec::new());
        }
        let filter = PhysicalExprSimplifier::new(&self.schema).simplify(filter).ok()?;
        let predicate: PruningPredicate =
            PruningPredicateBuilder::new().with_file_schema(self.schema.clone()).try_build(filter).ok()?;
        predicate.prune(self).ok()
    }

    /// `date(time)` as `CAST(time AS DATE)`, which is the same on a time without a zone and which pruning understands.
    fn with_dates_as_casts(&self, filter: &Arc<dyn PhysicalExpr>) -> Arc<dyn PhysicalExpr> {
        let rewritten = filter.clone().transform_up(|node| {
            let Some(call) = node.downcast_ref::<ScalarFunctionExpr>() else {
                return Ok(Transformed::no(node));
            };
            let [argument] = call.args() else {
                return Ok(Transformed::no(node));
            };
            let is_date = matches!(call.name(), "date" | "to_date") && call.return_type() == &DataType::Date32;
            if !is_date || !self.is_time_column(argument) {
                return Ok(Transformed::no(node));
            }
            Ok(Transformed::yes(cast(argument.clone(), &self.schema, DataType::Date32)?))
        });
        rewritten.data().unwrap_or_else(|_| filter.clone())
    }

    /// Whether `filter` is built only of parts that cannot be NULL, fail or surprise when the columns are not NULL.
    fn is_judgeable(&self, filter: &Arc<dyn PhysicalExpr>) -> bool {
        if let Some(binary) = filter.downcast_ref::<BinaryExpr>() {
            return match binary.op() {
                Operator::And | Operator::Or => self.is_judgeable(binary.left()) && self.is_judgeable(binary.right()),
                Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => {
                    self.is_plain(binary.left()) && self.is_plain(binary.right())
                }
                _ => false,
            };
        }
        if let Some(list) = filter.downcast_ref::<InListExpr>() {
            return self.is_plain(list.expr())
                && list.list().iter().all(|item| item.is::<Literal>() && self.is_plain(item));
        }
        if let Some(not) = filter.downcast_ref::<NotExpr>() {
            return self.is_judgeable(not.arg());
        }
        filter.downcast_ref::<IsNotNullExpr>().is_some_and(|test| test.arg().is::<Column>())
    }

    fn is_plain(&self, operand: &Arc<dyn PhysicalExpr>) -> bool {
        if let Some(literal) = operand.downcast_ref::<Literal>() {
            return !literal.value().is_null();
        }
        if let Some(cast) = operand.downcast_ref::<CastExpr>() {
            return cast.cast_type() == &DataType::Date32 && self.is_time_column(cast.expr());
        }
        // NaN is in no statistics, so nothing is certain about floating-point numbers.
        operand.is::<Column>() && operand.data_type(&self.schema).is_ok_and(|data_type| !data_type.is_floating())
    }

    fn is_time_column(&self, operand: &Arc<dyn PhysicalExpr>) -> bool {
        operand.is::<Column>()
            && matches!(operand.data_type(&self.schema), Ok(DataType::Timestamp(TimeUnit::Microsecond, None)))
    }

    fn position(&self, column: &ColumnName) -> Option<(usize, &Field)> {
        let position = self.schema.index_of(&column.name).ok()?;
        Some((position, self.schema.field(position)))
    }

    fn ends(&self, column: &ColumnName, end: End) -> Option<ArrayRef> {
        let (position, field) = self.position(column)?;
        let null = ScalarValue::try_new_null(field.data_type()).ok()?;
        let values = self.files.iter().map(|file| {
            bound(file, &self.schema, position, end, self.time == Some(position)).unwrap_or_else(|| null.clone())
        });
        ScalarValue::iter_to_array(values).ok()
    }
}

impl PruningStatistics for Pruner<'_> {
    fn min_values(&self, column: &ColumnName) -> Option<ArrayRef> {
        self.ends(column, End::Minimum)
    }

    fn max_values(&self, column: &ColumnName) -> Option<ArrayRef> {
        self.ends(column, End::Maximum)
    }

    fn num_containers(&self) -> usize {
        self.files.len()
    }

    fn null_counts(&self, column: &ColumnName) -> Option<ArrayRef> {
        let (position, field) = self.position(column)?;
        let counts: UInt64Array = self.files.iter().map(|file| null_count(file, field, position)).collect();
        Some(Arc::new(counts))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(self.files.iter().map(|file| file.rows).collect::<UInt64Array>()))
    }

    fn contained(&self, _: &ColumnName, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

/// A value no row of `file` lies beyond in the column at `position` of `schema`, of the column's type; None if not
/// known. `is_time` says that the column is the event time, which the file's day bounds even without statistics.
pub fn bound(file: &DataFile, schema: &Schema, position: usize, end: End, is_time: bool) -> Option<ScalarValue> {
    let field = schema.field(position);
    let value = match partition_value(file, field) {
        Some(value) => Some(value.clone()),
        None => {
            let known = file.columns.get(position);
            let known = known.and_then(|column| match end {
                End::Minimum => column.minimum.clone(),
                End::Maximum => column.maximum.clone(),
            });
            known.or_else(|| if is_time { day_bound(file, end) } else { None })
        }
    }?;
    if value.is_null() {
        return None;
    }
    if value.data_type() == *field.data_type() { Some(value) } else { value.cast_to(field.data_type()).ok() }
}

/// How many rows of `file` have NULL in the column at `position`; None if not known.
pub fn null_count(file: &DataFile, field: &Field, position: usize) -> Option<u64> {
    match partition_value(file, field) {
        Some(value) if value.is_null() => file.rows,
        Some(_) => Some(0),
        None => file.columns.get(position).and_then(|column| column.null_count),
    }
}

/// The one value all rows of `file` have in a partition column; None when `field` is not one.
pub fn partition_value<'a>(file: &'a DataFile, field: &Field) -> Option<&'a ScalarValue> {
    file.partition_values.iter().find(|(name, _)| name == field.name()).map(|(_, value)| value)
}

fn day_bound(file: &DataFile, end: End) -> Option<ScalarValue> {
    let midnight = i64::from(file.day?).checked_mul(MICROSECONDS_PER_DAY)?;
    let microseconds = match end {
        End::Minimum => midnight,
        End::Maximum => midnight + (MICROSECONDS_PER_DAY - 1),
    };
    Some(ScalarValue::TimestampMicrosecond(Some(microseconds), None))
}
