//! `window_funnel`: how many steps of a funnel each group completed. Argument forms, checks at plan time, and the
//! accumulators around [`Chain`], which has the algorithm.
//!
//! The accumulators buffer matched rows only. The other companions (path, durations) and the modes `deduplication`,
//! `fixed` and ClickHouse's strict ones are not here; they are refused by name.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, LargeBinaryArray};
use datafusion::arrow::buffer::{Buffer, OffsetBuffer};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::function::{AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, EmitTo, Expr, ExprSchemable, GroupsAccumulator, Signature, Volatility, lit,
};
use datafusion::physical_expr::expressions::Literal;

use crate::error::Error;
use crate::functions::arguments::{array_elements, constant, wrong};
use crate::functions::conditions::{self, Masks};
use crate::functions::funnel_chain::{Chain, Mode};
use crate::functions::matched_rows::{MatchedRow, MatchedRows, TieRule};
use crate::functions::time_window::{TimeScale, Window, ticks};

const NAME: &str = "window_funnel";

/// `window_funnel(window, 'mode', ts, c1, ..., cN)`, `(window, ts, mode, [c1, ..., cN])` and `(window, ts, c1, ...,
/// cN)`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct WindowFunnel {
    signature: Signature,
    aliases: Vec<String>,
}

impl WindowFunnel {
    pub fn new() -> Self {
        WindowFunnel {
            // The types are checked in return_field: there an error keeps its number, in coerce_types it does not.
            signature: Signature::variadic_any(Volatility::Immutable),
            aliases: vec!["windowfunnel".to_owned(), "windowFunnel".to_owned()],
        }
    }
}

impl Default for WindowFunnel {
    fn default() -> Self {
        WindowFunnel::new()
    }
}

impl AggregateUDFImpl for WindowFunnel {
    fn name(&self) -> &str {
        NAME
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Layout::of(types)?;
        Ok(DataType::Int64)
    }

    fn return_field(&self, fields: &[FieldRef]) -> Result<FieldRef> {
        let types: Vec<DataType> = fields.iter().map(|field| field.data_type().clone()).collect();
        Ok(Arc::new(Field::new(NAME, self.return_type(&types)?, false)))
    }

    fn is_nullable(&self) -> bool {
        false
    }

    fn default_value(&self, _data_type: &DataType) -> Result<ScalarValue> {
        Ok(ScalarValue::Int64(Some(0)))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        Some(Box::new(canonical))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format_state_name(args.name, "rows"), DataType::LargeBinary, true))])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(FunnelAccumulator(Funnels::new(&args)?)))
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Funnels::new(&args)?))
    }
}

/// Where the arguments of a call stand.
#[derive(Debug, Clone, Copy)]
struct Layout {
    mode: Option<usize>,
    time: usize,
    /// The first condition; the rest follow to the end.
    conditions: usize,
    /// Whether the conditions are one array, which [`canonical`] takes apart.
    array: bool,
    scale: TimeScale,
}

impl Layout {
    /// Tells the argument forms apart and checks the types.
    ///
    /// # Errors
    /// `WrongArguments` naming the argument.
    fn of(types: &[DataType]) -> Result<Layout> {
        if types.len() < 3 {
            let problem = format!("a window, a time and at least one condition are needed, got {}", types.len());
            return Err(wrong(NAME, problem).into());
        }
        let is_list = |at: usize| matches!(types[at], DataType::List(_) | DataType::FixedSizeList(_, _));
        let (mode, time, conditions) = if types[1].is_string() || types[1] == DataType::Null {
            (Some(1), 2, 3)
        } else if types.len() == 4 && is_list(3) {
            (Some(2), 1, 3)
        } else {
            (None, 1, 2)
        };
        let Some(scale) = TimeScale::of(&types[time]) else {
            let problem = format!("the time must be a DATE, DATETIME, TIMESTAMP or integer, it is {}", types[time]);
            return Err(wrong(NAME, problem).into());
        };
        let array = types.len() == conditions + 1 && is_list(conditions);
        if !array {
            conditions::check(NAME, &types[conditions..])?;
        }
        Ok(Layout { mode, time, conditions, array, scale })
    }
}

/// Reads a mode: one word or a comma list of them, or StarRocks' number.
///
/// # Errors
/// `Unsupported` naming a mode we know and do not have, `WrongArguments` for any other.
fn mode_of(value: &ScalarValue) -> Result<Mode> {
    let unknown = || Err(wrong(NAME, format!("mode must be 'default' or 'strict_increase', it is {value}")).into());
    let words = match value {
        ScalarValue::Utf8(Some(words)) | ScalarValue::LargeUtf8(Some(words)) | ScalarValue::Utf8View(Some(words)) => {
            words.to_lowercase()
        }
        number if number.data_type().is_integer() && !number.is_null() => match number.to_string().as_str() {
            "0" => "default".to_owned(),
            "1" => "deduplication".to_owned(),
            "2" => "fixed".to_owned(),
            "4" => "strict_increase".to_owned(),
            // StarRocks adds the numbers up: some mode in there is one we do not have.
            "3" | "5" | "6" | "7" => return Err(Error::unsupported(format!("{NAME} mode {number}")).into()),
            _ => return unknown(),
        },
        _ => return unknown(),
    };
    let mut mode = Mode::Default;
    for word in words.split(',').map(str::trim) {
        match word {
            // strict_once is our rule already: a row fills one step.
            "" | "default" | "strict_once" => (),
            "strict_increase" | "increase" => mode = Mode::StrictIncrease,
            "deduplication"
            | "fixed"
            | "strict_order"
            | "strict_deduplication"
            | "allow_same_row"
            | "allow_reentry"
            | "strict" => {
                return Err(Error::unsupported(format!("{NAME} mode '{word}'")).into());
            }
            _ => return unknown(),
        }
    }
    Ok(mode)
}

/// Checks the constants of a call and takes an array of conditions apart, so that every later stage sees
/// `(window, [mode,] ts, c1, ..., cN)`.
fn canonical(mut function: AggregateFunction, info: &SimplifyContext) -> Result<Expr> {
    if function.params.distinct {
        return Err(Error::unsupported(format!("{NAME}(DISTINCT ...)")).into());
    }
    let args = &function.params.args;
    let schema = info.schema().as_ref();
    let types = args.iter().map(|arg| arg.get_type(schema)).collect::<Result<Vec<_>>>()?;
    let layout = Layout::of(&types)?;
    if let Some(window) = constant(NAME, "window", &args[0])? {
        Window::new(NAME, window, layout.scale)?;
    }
    let mode = match layout.mode {
        Some(at) => constant(NAME, "mode", &args[at])?.map(mode_of).transpose()?,
        None => None,
    };
    if layout.array {
        let Some(elements) = array_elements(&args[layout.conditions])? else {
            let problem = "the conditions must be listed, [c1, ..., cN], not taken from an array column";
            return Err(wrong(NAME, problem).into());
        };
        let types = elements.iter().map(|arg| arg.get_type(schema)).collect::<Result<Vec<_>>>()?;
        conditions::check(NAME, &types)?;
        let mut listed = vec![args[0].clone()];
        match mode {
            Some(Mode::Default) => listed.push(lit("default")),
            Some(Mode::StrictIncrease) => listed.push(lit("strict_increase")),
            // A mode that is a parameter still: leave the call until it is bound.
            None if layout.mode.is_some() => return Ok(Expr::AggregateFunction(function)),
            None => (),
        }
        listed.push(args[layout.time].clone());
        listed.extend(elements);
        function.params.args = listed;
    }
    Ok(Expr::AggregateFunction(function))
}

/// The funnels of all groups.
#[derive(Debug)]
struct Funnels {
    layout: Layout,
    steps: usize,
    chain: Chain,
    rows: MatchedRows,
}

impl Funnels {
    fn new(args: &AccumulatorArgs) -> Result<Self> {
        if args.is_distinct {
            return Err(Error::unsupported(format!("{NAME}(DISTINCT ...)")).into());
        }
        let types: Vec<DataType> = args.expr_fields.iter().map(|field| field.data_type().clone()).collect();
        let layout = Layout::of(&types)?;
        if layout.array {
            return Err(wrong(NAME, "the conditions must be listed here, not given as an array").into());
        }
        let literal = |argument: &str, at: usize| match args.exprs[at].downcast_ref::<Literal>() {
            Some(literal) => Ok(literal.value()),
            None => Err(wrong(NAME, format!("{argument} must be a constant, it is {}", args.exprs[at]))),
        };
        let window = Window::new(NAME, literal("window", 0)?, layout.scale)?;
        let mode = match layout.mode {
            Some(at) => mode_of(literal("mode", at)?)?,
            None => Mode::Default,
        };
        let ties = match mode {
            Mode::Default => TieRule::KeepEnough,
            Mode::StrictIncrease => TieRule::Unite,
        };
        let steps = types.len() - layout.conditions;
        Ok(Funnels { layout, steps, chain: Chain::new(steps, mode, window), rows: MatchedRows::new(steps, ties) })
    }

    /// Times and masks of a batch of arguments.
    fn read(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<(Int64Array, Masks)> {
        let times = ticks(&values[self.layout.time])?;
        let masks = Masks::new(&values[self.layout.conditions..], times.nulls(), filter)?;
        Ok((times, masks))
    }
}

impl GroupsAccumulator for Funnels {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.rows.grow(total_num_groups)?;
        let (times, masks) = self.read(values, filter)?;
        masks.for_each(|row, mask| self.rows.push(group_indices[row], times.value(row), mask));
        self.rows.compact_if_large();
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let mut levels = Vec::new();
        self.rows.drain(emit_to, |rows| levels.push(self.chain.level(rows)));
        Ok(Arc::new(Int64Array::from(levels)))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let mut states = States::default();
        self.rows.drain(emit_to, |rows| states.push(self.steps, rows));
        Ok(vec![states.finish()])
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.rows.grow(total_num_groups)?;
        let states = values[0].as_binary::<i64>();
        for (group, state) in group_indices.iter().zip(states) {
            self.rows.push_encoded(*group, state.unwrap_or_default())?;
        }
        self.rows.compact_if_large();
        Ok(())
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let (times, masks) = self.read(values, filter)?;
        let mut states = States::default();
        let mut next = 0;
        masks.for_each(|row, mask| {
            states.push_empty(row - next);
            states.push(self.steps, &[MatchedRow { ticks: times.value(row), mask }]);
            next = row + 1;
        });
        states.push_empty(times.len() - next);
        Ok(vec![states.finish()])
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.rows.size()
    }
}

/// The states of groups in turn, as one array: the encoded rows of each.
struct States {
    bytes: Vec<u8>,
    offsets: Vec<i64>,
}

impl Default for States {
    fn default() -> Self {
        States { bytes: Vec::new(), offsets: vec![0] }
    }
}

impl States {
    fn push(&mut self, steps: usize, rows: &[MatchedRow]) {
        for row in rows {
            MatchedRows::encode(steps, row, &mut self.bytes);
        }
        self.offsets.push(self.bytes.len() as i64);
    }

    fn push_empty(&mut self, count: usize) {
        self.offsets.resize(self.offsets.len() + count, self.bytes.len() as i64);
    }

    fn finish(self) -> ArrayRef {
        let offsets = OffsetBuffer::new(self.offsets.into());
        Arc::new(LargeBinaryArray::new(offsets, Buffer::from_vec(self.bytes), None))
    }
}

/// The funnel of one group: no GROUP BY, or OVER.
#[derive(Debug)]
struct FunnelAccumulator(Funnels);

impl Accumulator for FunnelAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let funnels = &mut self.0;
        funnels.rows.grow(1)?;
        let (times, masks) = funnels.read(values, None)?;
        masks.for_each(|row, mask| funnels.rows.push(0, times.value(row), mask));
        funnels.rows.compact_if_large();
        Ok(())
    }

    /// Keeps the rows: OVER asks again after more of them.
    fn evaluate(&mut self) -> Result<ScalarValue> {
        let level = self.0.chain.level(self.0.rows.single_group());
        Ok(ScalarValue::Int64(Some(level)))
    }

    fn size(&self) -> usize {
        self.0.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let mut bytes = Vec::new();
        for row in self.0.rows.single_group() {
            MatchedRows::encode(self.0.steps, row, &mut bytes);
        }
        Ok(vec![ScalarValue::LargeBinary(Some(bytes))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.rows.grow(1)?;
        for state in states[0].as_binary::<i64>() {
            self.0.rows.push_encoded(0, state.unwrap_or_default())?;
        }
        self.0.rows.compact_if_large();
        Ok(())
    }
}
