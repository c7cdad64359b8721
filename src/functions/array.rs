//! Aggregates over arrays: `sum_array`, the element-wise sum (`sum_array(r)` over `retention(...)` is the retention
//! curve).

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, Volatility};

use crate::error::{Error, Kind};
use crate::functions::arguments::wrong;

const NAME: &str = "sum_array";

/// Elements a sum may have: a wrong array column must not fill the memory.
const ELEMENTS_MAX: usize = 1 << 20;

/// `sum_array(array of integers)`: element i is the sum of the arrays' elements i. NULL arrays and elements count
/// nothing, shorter arrays end earlier; no array at all gives NULL, as SUM does.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct SumArray {
    signature: Signature,
}

impl SumArray {
    pub fn new() -> Self {
        SumArray { signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

impl Default for SumArray {
    fn default() -> Self {
        SumArray::new()
    }
}

fn sums_type() -> DataType {
    DataType::new_list(DataType::Int64, true)
}

impl AggregateUDFImpl for SumArray {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [DataType::List(element)] if element.data_type().is_integer() || element.data_type().is_null() => {
                Ok(sums_type())
            }
            [other] => Err(wrong(NAME, format!("the argument must be an array of integers, it is {other}")).into()),
            _ => Err(wrong(NAME, format!("one array is needed, {} arguments given", types.len())).into()),
        }
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format_state_name(args.name, "sums"), sums_type(), true))])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return Err(Error::unsupported(format!("{NAME}(DISTINCT ...)")).into());
        }
        Ok(Box::new(Sums::default()))
    }
}

/// The sums so far; None before the first array.
#[derive(Debug, Default)]
struct Sums(Option<Vec<i64>>);

impl Sums {
    fn value(&self) -> ScalarValue {
        match &self.0 {
            None => ScalarValue::new_null_list(DataType::Int64, true, 1),
            Some(sums) => {
                let elements: Vec<ScalarValue> = sums.iter().map(|sum| ScalarValue::Int64(Some(*sum))).collect();
                ScalarValue::List(ScalarValue::new_list_nullable(&elements, &DataType::Int64))
            }
        }
    }
}

impl Accumulator for Sums {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for array in values[0].as_list::<i32>().iter().flatten() {
            if array.len() > ELEMENTS_MAX {
                let problem = format!("an array of {} elements, at most {ELEMENTS_MAX} are possible", array.len());
                return Err(wrong(NAME, problem).into());
            }
            let elements = cast(&array, &DataType::Int64)?;
            let sums = self.0.get_or_insert_default();
            sums.resize(sums.len().max(elements.len()), 0);
            for (at, (sum, element)) in sums.iter_mut().zip(elements.as_primitive::<Int64Type>()).enumerate() {
                *sum = sum.checked_add(element.unwrap_or_default()).ok_or_else(|| {
                    let message = format!("BIGINT value is out of range in '{NAME}' (element {})", at + 1);
                    Error::new(Kind::ExpressionOutOfRange, message)
                })?;
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(self.value())
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.0.as_ref().map_or(0, |sums| sums.capacity() * size_of::<i64>())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.value()])
    }

    /// A partial sum is an array like the others.
    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }
}
