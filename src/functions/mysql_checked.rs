//! `+`, `-` and `*` of integers as MySQL computes them: in 64 bits, and out of range is error 1690, never a wrapped
//! value. The planner puts them in place of the operators.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Datum};
use datafusion::arrow::compute::kernels::numeric::{add, mul, sub};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::error::ArrowError;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::error::{Error, Kind};

/// Which operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    Add,
    Subtract,
    Multiply,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    operation: Operation,
    signature: Signature,
}

/// The function of an operator; both arguments must be BIGINT.
pub fn checked(operation: Operation) -> Arc<ScalarUDF> {
    let signature = Signature::uniform(2, vec![DataType::Int64], Volatility::Immutable);
    Arc::new(ScalarUDF::from(Checked { operation, signature }))
}

/// All of them, for the registry.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    [Operation::Add, Operation::Subtract, Operation::Multiply].map(checked).into()
}

impl Operation {
    fn apply(self, left: &dyn Datum, right: &dyn Datum) -> Result<ArrayRef, ArrowError> {
        match self {
            Operation::Add => add(left, right),
            Operation::Subtract => sub(left, right),
            Operation::Multiply => mul(left, right),
        }
    }
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        match self.operation {
            Operation::Add => "mysql_add",
            Operation::Subtract => "mysql_subtract",
            Operation::Multiply => "mysql_multiply",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let out_of_range = |error: ArrowError| {
            Error::new(Kind::ExpressionOutOfRange, format!("BIGINT value is out of range: {error}"))
        };
        // A constant stays one value; the kernels take it beside an array.
        let datum = |value: &ColumnarValue| -> Result<Box<dyn Datum>> {
            Ok(match value {
                ColumnarValue::Array(array) => Box::new(Arc::clone(array)),
                ColumnarValue::Scalar(scalar) => Box::new(scalar.to_scalar()?),
            })
        };
        let [left, right] = args.args.as_slice() else {
            return Err(Error::internal(format!("{} takes two arguments", self.name())).into());
        };
        let answer = self.operation.apply(datum(left)?.as_ref(), datum(right)?.as_ref()).map_err(out_of_range)?;
        match (left, right) {
            (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_)) => {
                Ok(ColumnarValue::Scalar(datafusion::scalar::ScalarValue::try_from_array(&answer, 0)?))
            }
            _ => Ok(ColumnarValue::Array(answer)),
        }
    }
}
