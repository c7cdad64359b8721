//! The analysis functions and the MySQL functions: pure Arrow in, Arrow out. One list registers them all, for the
//! server and for executors alike. Knows no catalog, session or storage.

pub mod array; // aggregates over arrays
pub mod funnel_chain; // the funnel of one group
pub mod matched_rows; // matched rows of many groups
pub mod retention; // retention, retention_bitmap
pub mod time_window; // time columns and window lengths
pub mod window_funnel; // window_funnel: arguments and accumulators

pub mod mysql_aggregate; // SUM, AVG, STDDEV as MySQL has them
pub mod mysql_cast; // CAST(x AS SIGNED), CAST(x AS UNSIGNED)
pub mod mysql_checked; // + - * that do not wrap
pub mod mysql_control; // IF, IFNULL, GREATEST, LEAST
pub mod mysql_convert; // implicit conversions of columns
pub mod mysql_date; // parts of dates, differences, the clock, time zones
pub mod mysql_date_format; // DATE_FORMAT, STR_TO_DATE
pub mod mysql_function; // what a MySQL function is made of
pub mod mysql_json; // JSON_EXTRACT and others that read
pub mod mysql_math; // exact division, rounding
pub mod mysql_string; // CONCAT, SUBSTRING, LOCATE and others
pub mod mysql_time_text; // dates and times as text

mod arguments; // what is wrong with an argument; `[c1, c2]` taken apart
mod conditions; // boolean columns → one bit mask a row

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

/// Every aggregate function of ours.
pub fn aggregates() -> Vec<Arc<AggregateUDF>> {
    let mut aggregates = vec![
        Arc::new(AggregateUDF::from(window_funnel::WindowFunnel::new())),
        Arc::new(AggregateUDF::from(retention::Retention::array())),
        Arc::new(AggregateUDF::from(retention::Retention::bitmap())),
        Arc::new(AggregateUDF::from(array::SumArray::new())),
    ];
    aggregates.extend(mysql_aggregate::aggregates());
    aggregates
}

/// Every scalar function of ours.
pub fn scalars() -> Vec<Arc<ScalarUDF>> {
    let families = [
        mysql_math::functions(),
        mysql_cast::functions(),
        mysql_string::functions(),
        mysql_date::functions(),
        mysql_date_format::functions(),
        mysql_json::functions(),
    ];
    let mut functions: Vec<_> = families.into_iter().flatten().map(mysql_function::MysqlFunction::udf).collect();
    functions.extend(mysql_control::functions());
    functions.extend(mysql_checked::functions());
    functions
}

/// Registers all of them; a name DataFusion has already means ours afterwards.
///
/// # Errors
/// Those of the registry.
pub fn register_all(registry: &mut dyn FunctionRegistry) -> Result<()> {
    for function in aggregates() {
        registry.register_udaf(function)?;
    }
    for function in scalars() {
        registry.register_udf(function)?;
    }
    Ok(())
}
