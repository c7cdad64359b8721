//! `read_parquet`, `read_csv` and `read_json` in FROM: opened before planning, under names that no person can write.

use std::ops::ControlFlow;

use datafusion::common::TableReference;
use datafusion::scalar::ScalarValue;
use sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArgOperator, GroupByExpr, Ident, ObjectName, Query, SelectItem,
    SetExpr, TableAlias, TableFactor, VisitMut, VisitorMut,
};

use super::{Planner, literal, names::Names};
use crate::error::{Error, Kind, Result};
use crate::storage::files::{self, ReadOptions, SourceFormat};

/// A file reader found in a statement.
struct Source {
    name: String,
    format: SourceFormat,
    pattern: String,
    options: ReadOptions,
}

/// Opens the file readers of `query` and lets the query name them as tables.
pub(super) async fn open(query: &mut Query, planner: &Planner<'_>, names: &mut Names<'_>) -> Result<()> {
    let mut finder = Finder { sources: Vec::new() };
    let as_text = planner.for_insert && copies_columns(query);
    if let ControlFlow::Break(error) = query.visit(&mut finder) {
        return Err(error);
    }
    for Source { name, format, pattern, mut options } in finder.sources {
        options.as_text = as_text;
        let provider =
            files::read_files(planner.state, planner.stores, planner.allowed, format, &pattern, &options).await?;
        names.add(TableReference::bare(name), provider);
    }
    Ok(())
}

/// Whether the query does nothing with its values: `SELECT columns FROM one source`. Then a CSV's `01000` goes into a
/// VARCHAR column as it is, and into an INT column by strict mode's rules, whatever the sample of the file looks like.
fn copies_columns(query: &Query) -> bool {
    let SetExpr::Select(select) = query.body.as_ref() else { return false };
    let plain = |item: &SelectItem| match item {
        SelectItem::Wildcard(_) => true,
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
            matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
        }
        _ => false,
    };
    let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(exprs, _) if exprs.is_empty());
    let one_source = matches!(select.from.as_slice(), [from] if from.joins.is_empty());
    let untouched = select.selection.is_none() && select.having.is_none() && select.distinct.is_none() && !grouped;
    query.with.is_none() && query.order_by.is_none() && one_source && untouched && select.projection.iter().all(plain)
}

struct Finder {
    sources: Vec<Source>,
}

impl VisitorMut for Finder {
    type Break = Error;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        let TableFactor::Table { name, args: Some(arguments), alias, .. } = factor else {
            return ControlFlow::Continue(());
        };
        let function = name.to_string().to_lowercase();
        let format = match function.as_str() {
            "read_parquet" => SourceFormat::Parquet,
            "read_csv" => SourceFormat::Csv,
            "read_json" => SourceFormat::Json,
            _ => return ControlFlow::Continue(()),
        };
        match arguments_of(&function, &arguments.args) {
            Err(error) => ControlFlow::Break(error),
            Ok((pattern, options)) => {
                let hidden = format!("\u{1f}{function} {}", self.sources.len());
                if alias.is_none() {
                    let columns = Vec::new();
                    *alias = Some(TableAlias { explicit: true, name: Ident::new(function), columns, at: None });
                }
                let source = Source { name: hidden.clone(), format, pattern, options };
                self.sources.push(source);
                *factor = table_factor(hidden, alias.take());
                ControlFlow::Continue(())
            }
        }
    }
}

fn table_factor(name: String, alias: Option<TableAlias>) -> TableFactor {
    TableFactor::Table {
        name: ObjectName::from(vec![Ident::with_quote('`', name)]),
        alias,
        args: None,
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    }
}

fn arguments_of(function: &str, arguments: &[FunctionArg]) -> Result<(String, ReadOptions)> {
    let wrong = |what: String| Error::new(Kind::WrongArguments, format!("{function}: {what}"));
    let mut pattern = None;
    let mut options = ReadOptions::default();
    for argument in arguments {
        match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) if pattern.is_none() => match literal::value(expr) {
                Some(ScalarValue::Utf8(Some(text))) => pattern = Some(text),
                _ => return Err(wrong(format!("the path must be a string literal, not {expr}"))),
            },
            FunctionArg::Named {
                name,
                arg: FunctionArgExpr::Expr(expr),
                operator: FunctionArgOperator::RightArrow,
            } => {
                let value = literal::value(expr);
                match (name.value.to_lowercase().as_str(), value) {
                    ("header", Some(ScalarValue::Int8(Some(truth)))) => options.header = truth != 0,
                    ("delimiter", Some(ScalarValue::Utf8(Some(text)))) if text.len() == 1 => {
                        options.delimiter = text.as_bytes()[0];
                    }
                    ("quote", Some(ScalarValue::Utf8(Some(text)))) if text.len() == 1 => {
                        options.quote = text.as_bytes()[0];
                    }
                    ("escape", Some(ScalarValue::Utf8(Some(text)))) if text.len() == 1 => {
                        options.escape = Some(text.as_bytes()[0]);
                    }
                    ("sample_bytes", Some(ScalarValue::Int64(Some(bytes @ 1..)))) => {
                        options.sample_bytes = bytes as usize;
                    }
                    _ => {
                        return Err(wrong(format!(
                            "unknown or wrong option {name} => {expr}; there are header => TRUE or FALSE, \
                             delimiter => ',', quote => '\"', escape => '\\', sample_bytes => 4194304"
                        )));
                    }
                }
            }
            other => return Err(wrong(format!("unexpected argument {other}"))),
        }
    }
    pattern.map(|pattern| (pattern, options)).ok_or_else(|| wrong("a path is needed".into()))
}
