//! MySQL's aggregates where DataFusion's answer differs: SUM and AVG of integers are exact decimals, AVG rounds,
//! STDDEV and VARIANCE are those of the population. The sums themselves are DataFusion's.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, Field, FieldRef, Int64Type};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::functions_aggregate::{average, count, first_last, stddev, sum, variance};
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams, ScalarFunction};
use datafusion::logical_expr::function::{AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Expr, GroupsAccumulator, ReversedUDAF, ScalarUDF, Signature,
    Volatility,
};

use crate::error::{Error, Kind};
use crate::functions::arguments::wrong;
use crate::functions::mysql_math::{self, divide_exact, exact, quotient_type};

pub fn aggregates() -> Vec<Arc<AggregateUDF>> {
    let renamed = |aggregate: &Arc<AggregateUDF>, aliases: &'static [&'static str]| {
        Arc::new(aggregate.as_ref().clone().with_aliases(aliases.iter().copied()))
    };
    let sum = Arc::new(AggregateUDF::from(Exact::new("sum", sum::sum_udaf(), None)));
    // AVG is made of this very SUM, so that the planner sees one aggregate where a query asks for both.
    let average = Exact::new("avg", Arc::clone(&sum), Some(mysql_math::division().udf()));
    vec![
        sum,
        Arc::new(AggregateUDF::from(average)),
        renamed(&stddev::stddev_pop_udaf(), &["stddev", "std"]),
        renamed(&variance::var_pop_udaf(), &["variance"]),
        renamed(&first_last::first_value_udaf(), &["any_value"]),
    ]
}

/// SUM, or AVG as SUM / COUNT.
#[derive(Debug)]
struct Exact {
    name: &'static str,
    sum: Arc<AggregateUDF>,
    /// Given for AVG.
    divide: Option<Arc<ScalarUDF>>,
    signature: Signature,
}

impl Exact {
    fn new(name: &'static str, sum: Arc<AggregateUDF>, divide: Option<Arc<ScalarUDF>>) -> Self {
        Exact { name, sum, divide, signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl PartialEq for Exact {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Exact {}

impl Hash for Exact {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl AggregateUDFImpl for Exact {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Integers are summed as decimals: no sum of them overflows.
    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [data_type] = types else {
            return Err(wrong(self.name, format!("one argument is needed, {} given", types.len())).into());
        };
        Ok(vec![match data_type {
            // What a condition adds up to stays far from overflow, and Arrow has no cast from it to a decimal.
            DataType::Boolean | DataType::Null => DataType::Int64,
            DataType::Decimal128(_, _) | DataType::Decimal256(_, _) => data_type.clone(),
            other if other.is_floating() || other.is_string() => DataType::Float64,
            other => match exact(other) {
                Some((precision, scale)) => DataType::Decimal128(precision, scale),
                None => return Err(wrong(self.name, format!("{other} is not a number")).into()),
            },
        }])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let sum = self.sum.return_type(types)?;
        Ok(match (&self.divide, exact(&sum)) {
            (None, _) => sum,
            (Some(_), Some(exact_sum)) => quotient_type(exact_sum, (19, 0)),
            (Some(_), None) => DataType::Float64,
        })
    }

    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        let (sum, divide) = (Arc::clone(&self.sum), Arc::clone(self.divide.as_ref()?));
        Some(Box::new(move |function, _| {
            let AggregateFunctionParams { args, distinct, filter, order_by, null_treatment } = function.params;
            let part = |aggregate: Arc<AggregateUDF>| {
                let (args, filter, order_by) = (args.clone(), filter.clone(), order_by.clone());
                Expr::AggregateFunction(AggregateFunction::new_udf(
                    aggregate,
                    args,
                    distinct,
                    filter,
                    order_by,
                    null_treatment,
                ))
            };
            let args = vec![part(Arc::clone(&sum)), part(count::count_udaf())];
            Ok(Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&divide), args)))
        }))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        match (&self.divide, exact(args.input_fields[0].data_type())) {
            (None, _) => self.sum.state_fields(args),
            (Some(_), None) => average::avg_udaf().state_fields(args),
            (Some(_), Some((_, scale))) => {
                let sum = DataType::Decimal128(DECIMAL128_MAX_PRECISION, scale);
                Ok(vec![
                    Arc::new(Field::new(format_state_name(args.name, "sum"), sum, true)),
                    Arc::new(Field::new(format_state_name(args.name, "count"), DataType::Int64, true)),
                ])
            }
        }
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match (&self.divide, Average::of(&args)) {
            (None, _) => self.sum.accumulator(args),
            (Some(_), None) => average::avg_udaf().accumulator(args),
            (Some(_), Some(exact)) => Ok(Box::new(exact)),
        }
    }

    /// AVG needs none: in GROUP BY the planner has made it SUM / COUNT.
    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.divide.is_none() && self.sum.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        self.sum.create_groups_accumulator(args)
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match (&self.divide, Average::of(&args)) {
            (None, _) => self.sum.create_sliding_accumulator(args),
            (Some(_), None) => average::avg_udaf().create_sliding_accumulator(args),
            (Some(_), Some(exact)) => Ok(Box::new(exact)),
        }
    }
}

/// AVG of exact numbers where it cannot be rewritten: OVER.
#[derive(Debug)]
struct Average {
    sum: i128,
    count: i64,
    scale: i8,
    returns: DataType,
}

impl Average {
    /// None when the numbers are doubles.
    fn of(args: &AccumulatorArgs) -> Option<Average> {
        let (_, scale) = exact(args.expr_fields[0].data_type())?;
        Some(Average { sum: 0, count: 0, scale, returns: args.return_field.data_type().clone() })
    }

    fn add(&mut self, values: &ArrayRef, sign: i128) -> Result<()> {
        let numbers = cast(values, &DataType::Decimal128(DECIMAL128_MAX_PRECISION, self.scale))?;
        for value in numbers.as_primitive::<Decimal128Type>().iter().flatten() {
            self.sum = self.sum.wrapping_add(sign * value);
            self.count += sign as i64;
        }
        Ok(())
    }
}

impl Accumulator for Average {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(&values[0], 1)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(&values[0], -1)
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let DataType::Decimal128(precision, scale) = self.returns else {
            return Err(Error::internal(format!("AVG of exact numbers returns {}", self.returns)).into());
        };
        let average =
            (self.count != 0).then(|| divide_exact(self.sum, self.count.into(), scale - self.scale)).flatten();
        if self.count != 0 && average.is_none() {
            return Err(Error::new(Kind::ExpressionOutOfRange, "DECIMAL value is out of range in 'avg'").into());
        }
        Ok(ScalarValue::Decimal128(average, precision, scale))
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let sum = ScalarValue::Decimal128(Some(self.sum), DECIMAL128_MAX_PRECISION, self.scale);
        Ok(vec![sum, ScalarValue::Int64(Some(self.count))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let (sums, counts) = (states[0].as_primitive::<Decimal128Type>(), states[1].as_primitive::<Int64Type>());
        for (sum, count) in sums.iter().zip(counts) {
            self.sum = self.sum.wrapping_add(sum.unwrap_or_default());
            self.count += count.unwrap_or_default();
        }
        Ok(())
    }
}
