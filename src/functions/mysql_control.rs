//! MySQL's functions of NULL and choice: IF, IFNULL, ISNULL, and GREATEST and LEAST, which are NULL when any
//! argument is.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::compute::kernels::zip::zip;
use datafusion::arrow::compute::{cast, is_not_null, is_null, nullif};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::functions::core::{greatest, least};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::type_coercion::binary::type_union_coercion;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, when,
};

use crate::functions::arguments::wrong;
use crate::functions::mysql_convert::doubles_of;
use crate::functions::mysql_function::{Call, MysqlFunction, field};

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let choose = MysqlFunction { simplify: Some(as_case), ..MysqlFunction::new("if", 3..=3, if_type, choose) };
    vec![
        choose.udf(),
        MysqlFunction::new("ifnull", 2..=2, if_null_type, if_null).aliases(&["nvl"]).udf(),
        MysqlFunction::new(
            "isnull",
            1..=1,
            |_| field(DataType::Boolean),
            |call| Ok(Arc::new(is_null(&call.array(0)?)?)),
        )
        .udf(),
        Arc::new(ScalarUDF::from(NullAware { inner: greatest() })),
        Arc::new(ScalarUDF::from(NullAware { inner: least() })),
    ]
}

/// The type both branches have.
fn common(function: &str, left: &DataType, right: &DataType) -> Result<Field> {
    if left == right {
        return field(left.clone());
    }
    match type_union_coercion(left, right) {
        Some(data_type) => field(data_type),
        None => Err(wrong(function, format!("{left} and {right} have no common type")).into()),
    }
}

fn if_type(args: &ReturnFieldArgs) -> Result<Field> {
    common("if", args.arg_fields[1].data_type(), args.arg_fields[2].data_type())
}

fn if_null_type(args: &ReturnFieldArgs) -> Result<Field> {
    common("ifnull", args.arg_fields[0].data_type(), args.arg_fields[1].data_type())
}

/// IF as CASE, which evaluates only the branch it takes.
fn as_case(args: &[Expr], info: &SimplifyContext) -> Result<Option<Expr>> {
    let [condition, yes, no] = args else { return Ok(None) };
    let same_types = info.get_data_type(yes)? == info.get_data_type(no)?;
    if !same_types || info.get_data_type(condition)? != DataType::Boolean {
        return Ok(None);
    }
    when(condition.clone(), yes.clone()).otherwise(no.clone()).map(Some)
}

fn choose(call: &Call) -> Result<ArrayRef> {
    let condition = call.array(0)?;
    let truth = match condition.data_type() {
        DataType::Boolean | DataType::Null => cast(&condition, &DataType::Boolean)?,
        // A number is true when it is not zero, a text when its number is not.
        _ => cast(&doubles_of(&condition)?, &DataType::Boolean)?,
    };
    let (yes, no) = (cast(&call.array(1)?, call.returns)?, cast(&call.array(2)?, call.returns)?);
    Ok(zip(truth.as_boolean(), &yes, &no)?)
}

fn if_null(call: &Call) -> Result<ArrayRef> {
    let (value, other) = (cast(&call.array(0)?, call.returns)?, cast(&call.array(1)?, call.returns)?);
    Ok(zip(&is_not_null(&value)?, &value, &other)?)
}

/// DataFusion's GREATEST or LEAST, but NULL when any argument is.
#[derive(Debug)]
struct NullAware {
    inner: Arc<ScalarUDF>,
}

impl PartialEq for NullAware {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner
    }
}

impl Eq for NullAware {}

impl Hash for NullAware {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.name().hash(state);
    }
}

impl ScalarUDFImpl for NullAware {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let nulls = arrays.iter().fold(None, |all: Option<NullBuffer>, array| {
            NullBuffer::union(all.as_ref(), array.logical_nulls().as_ref())
        });
        let rows = arrays.first().map_or(args.number_rows, |array| array.len());
        let answer = self.inner.invoke_with_args(args)?;
        let Some(nulls) = nulls else { return Ok(answer) };
        let any_null = BooleanArray::new(!nulls.inner(), None);
        let answer = nullif(&answer.into_array(rows)?, &any_null)?;
        Ok(match constant {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&answer, 0)?),
            false => ColumnarValue::Array(answer),
        })
    }
}
