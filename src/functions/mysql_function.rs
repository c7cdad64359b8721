//! What every MySQL scalar function is made of here: a name, a number of arguments, a result type and a loop over
//! rows. No function of its own.

use std::hash::{Hash, Hasher};
use std::ops::RangeInclusive;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};
use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Float64Array, Int64Array, StringArray, StringBuilder,
    TimestampMicrosecondArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Date32Type, Field, FieldRef, Int64Type, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::{Error, Kind};
use crate::functions::arguments::wrong;
use crate::functions::mysql_convert::{doubles_of, instant, micros_of, text_of, timestamps};

/// Text that one batch of a function's answers may take: REPEAT could ask for anything.
const BATCH_TEXT_BYTES_MAX: usize = 256 << 20;

/// Field metadata that says which MySQL type an expression has where its Arrow type does not tell. The same key as
/// `storage::types::META_TYPE`, which this room may not see; `tests/functions.rs` holds them together.
pub const TYPE_KEY: &str = "desirepath.type";

/// DATETIME in memory.
pub const DATETIME: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// One scalar function.
#[derive(Debug)]
pub struct MysqlFunction {
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    pub arguments: RangeInclusive<usize>,
    /// The result field (its name does not matter); constant arguments are known.
    pub returns: fn(&ReturnFieldArgs) -> Result<Field>,
    pub evaluate: fn(&Call) -> Result<ArrayRef>,
    /// What the planner may put in place of a call, None for the call itself.
    pub simplify: Option<Simplify>,
    /// The days, first and first after, in which the function of a time has that value: `DATE(t) = '2024-01-05'`
    /// becomes a range of t, and files outside it are not read.
    pub days: Option<DaysOfValue>,
    pub volatility: Volatility,
}

/// What the planner may put in place of a call with these arguments.
pub type Simplify = fn(&[Expr], &SimplifyContext) -> Result<Option<Expr>>;
/// The days, first and first after, in which a function of a time has a value.
pub type DaysOfValue = fn(&ScalarValue) -> Option<[NaiveDate; 2]>;

impl MysqlFunction {
    /// A function of its arguments alone.
    pub fn new(
        name: &'static str,
        arguments: RangeInclusive<usize>,
        returns: fn(&ReturnFieldArgs) -> Result<Field>,
        evaluate: fn(&Call) -> Result<ArrayRef>,
    ) -> Self {
        let volatility = Volatility::Immutable;
        MysqlFunction { name, aliases: &[], arguments, returns, evaluate, simplify: None, days: None, volatility }
    }

    pub fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// As DataFusion takes it.
    pub fn udf(self) -> Arc<ScalarUDF> {
        let aliases = self.aliases.iter().map(|alias| (*alias).to_owned()).collect();
        // Any types pass: `returns` checks them, where an error keeps its number.
        let signature = Signature::user_defined(self.volatility);
        Arc::new(ScalarUDF::from(Adapter { function: self, aliases, signature }))
    }
}

/// [`MysqlFunction`] under DataFusion's trait; its name identifies it.
#[derive(Debug)]
struct Adapter {
    function: MysqlFunction,
    aliases: Vec<String>,
    signature: Signature,
}

impl PartialEq for Adapter {
    fn eq(&self, other: &Self) -> bool {
        self.function.name == other.function.name
    }
}

impl Eq for Adapter {}

impl Hash for Adapter {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.name.hash(state);
    }
}

impl ScalarUDFImpl for Adapter {
    fn name(&self) -> &str {
        self.function.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(types.to_vec())
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let fields: Vec<FieldRef> = types.iter().map(|t| Arc::new(Field::new("", t.clone(), true))).collect();
        let scalar_arguments = &vec![None; types.len()];
        Ok(self.return_field_from_args(ReturnFieldArgs { arg_fields: &fields, scalar_arguments })?.data_type().clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let function = &self.function;
        if !function.arguments.contains(&args.arg_fields.len()) {
            let message = format!("Incorrect parameter count in the call to native function '{}'", function.name);
            return Err(Error::new(Kind::WrongArgumentCount, message).into());
        }
        let nested = |field: &&FieldRef| field.data_type().is_nested();
        if let Some(field) = args.arg_fields.iter().find(nested) {
            return Err(
                wrong(function.name, format!("an argument of type {} is not possible", field.data_type())).into()
            );
        }
        Ok(Arc::new((function.returns)(&args)?.with_name(function.name)))
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        Ok(match self.function.simplify.map(|simplify| simplify(&args, info)).transpose()?.flatten() {
            Some(expr) => ExprSimplifyResult::Simplified(expr),
            None => ExprSimplifyResult::Original(args),
        })
    }

    fn preimage(&self, args: &[Expr], literal: &Expr, info: &SimplifyContext) -> Result<PreimageResult> {
        let (Some(days), [time], Expr::Literal(literal, _)) = (self.function.days, args, literal) else {
            return Ok(PreimageResult::None);
        };
        let time_type = info.get_data_type(time)?;
        let bound = |day: NaiveDate| match time_type {
            DataType::Date32 => Some(ScalarValue::Date32(Some(Date32Type::from_naive_date(day)))),
            DATETIME => {
                let micros = day.and_time(NaiveTime::MIN).and_utc().timestamp_micros();
                Some(ScalarValue::TimestampMicrosecond(Some(micros), None))
            }
            _ => None,
        };
        let bounds = days(literal).and_then(|[first, after]| Some((bound(first)?, bound(after)?)));
        let Some((first, after)) = bounds else { return Ok(PreimageResult::None) };
        Ok(PreimageResult::Range { expr: time.clone(), interval: Box::new(Interval::try_new(first, after)?) })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let zone = args.config_options.execution.time_zone.as_deref().unwrap_or("+00:00");
        let call = Call {
            name: self.function.name,
            args: &args.args,
            fields: &args.arg_fields,
            returns: args.return_field.data_type(),
            rows: if constant { 1 } else { args.number_rows },
            zone: zone.parse()?,
        };
        let answer = (self.function.evaluate)(&call)?;
        Ok(match constant {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&answer, 0)?),
            false => ColumnarValue::Array(answer),
        })
    }
}

/// One evaluation: the arguments of a batch.
pub struct Call<'a> {
    pub name: &'static str,
    pub args: &'a [ColumnarValue],
    pub fields: &'a [FieldRef],
    pub returns: &'a DataType,
    /// Rows of the answer; 1 when all arguments are constants.
    pub rows: usize,
    /// The session's time zone.
    pub zone: Tz,
}

/// A converted argument: one value a row, or one for all rows.
pub struct Column<A> {
    array: A,
    constant: bool,
}

impl<A: Array> Column<A> {
    fn at(&self, row: usize) -> Option<usize> {
        let row = if self.constant { 0 } else { row };
        self.array.is_valid(row).then_some(row)
    }
}

impl Column<StringArray> {
    pub fn get(&self, row: usize) -> Option<&str> {
        self.at(row).map(|at| self.array.value(at))
    }
}

impl Column<Int64Array> {
    pub fn get(&self, row: usize) -> Option<i64> {
        self.at(row).map(|at| self.array.value(at))
    }

    /// As a time, when these are microseconds of [`Call::times`].
    pub fn time(&self, row: usize) -> Option<NaiveDateTime> {
        DateTime::from_timestamp_micros(self.get(row)?).map(|time| time.naive_utc())
    }
}

impl Column<Float64Array> {
    pub fn get(&self, row: usize) -> Option<f64> {
        self.at(row).map(|at| self.array.value(at))
    }
}

impl Call<'_> {
    /// The argument as it is: one value for all rows, or one a row.
    pub fn raw(&self, argument: usize) -> Result<(ArrayRef, bool)> {
        Ok(match &self.args[argument] {
            ColumnarValue::Array(array) => (Arc::clone(array), false),
            ColumnarValue::Scalar(value) => (value.to_array()?, true),
        })
    }

    /// The argument as one array of all rows.
    pub fn array(&self, argument: usize) -> Result<ArrayRef> {
        self.args[argument].to_array(self.rows)
    }

    /// The argument as text, as MySQL prints it.
    pub fn texts(&self, argument: usize) -> Result<Column<StringArray>> {
        let (array, constant) = self.raw(argument)?;
        Ok(Column { array: text_of(&array, fraction_digits(&self.fields[argument]), self.zone)?, constant })
    }

    /// The argument as an integer: fractions are rounded, text is read as far as it is a number.
    pub fn integers(&self, argument: usize) -> Result<Column<Int64Array>> {
        let (array, constant) = self.raw(argument)?;
        let array = if array.data_type().is_integer() || *array.data_type() == DataType::Boolean {
            cast(&array, &DataType::Int64)?.as_primitive::<Int64Type>().clone()
        } else {
            // The cast to i64 saturates, which is what a position or a length beyond it means.
            doubles_of(&array)?.iter().map(|value| value.map(|value| value.round() as i64)).collect()
        };
        Ok(Column { array, constant })
    }

    /// The argument as a double: text is read as far as it is a number.
    pub fn doubles(&self, argument: usize) -> Result<Column<Float64Array>> {
        let (array, constant) = self.raw(argument)?;
        Ok(Column { array: doubles_of(&array)?, constant })
    }

    /// The argument as DATETIME in microseconds; what is no time is NULL.
    pub fn times(&self, argument: usize) -> Result<Column<Int64Array>> {
        let (array, constant) = self.raw(argument)?;
        Ok(Column { array: micros_of(&array, self.zone)?, constant })
    }

    /// The argument as an instant in microseconds: a TIMESTAMP itself, anything else as shown by the session's clock.
    pub fn instants(&self, argument: usize) -> Result<Column<Int64Array>> {
        let (array, constant) = self.raw(argument)?;
        if matches!(array.data_type(), DataType::Timestamp(_, Some(_))) {
            return Ok(Column { array: timestamps(&array)?, constant });
        }
        let local = |micros: i64| DateTime::from_timestamp_micros(micros).map(|time| time.naive_utc());
        let array = micros_of(&array, self.zone)?.unary_opt(|micros| instant(local(micros)?, self.zone));
        Ok(Column { array, constant })
    }

    pub fn make_integers(&self, value: impl Fn(usize) -> Option<i64>) -> Result<ArrayRef> {
        Ok(Arc::new((0..self.rows).map(value).collect::<Int64Array>()))
    }

    /// From days since 1970.
    pub fn make_dates(&self, value: impl Fn(usize) -> Option<i32>) -> Result<ArrayRef> {
        Ok(Arc::new((0..self.rows).map(value).collect::<Date32Array>()))
    }

    /// From microseconds since 1970.
    pub fn make_times(&self, value: impl Fn(usize) -> Option<i64>) -> Result<ArrayRef> {
        Ok(Arc::new((0..self.rows).map(value).collect::<TimestampMicrosecondArray>()))
    }

    /// `write` appends a row's text and says whether the row has one at all.
    pub fn make_texts(&self, mut write: impl FnMut(usize, &mut String) -> Option<()>) -> Result<ArrayRef> {
        let mut builder = StringBuilder::with_capacity(self.rows, self.rows * 16);
        let mut text = String::new();
        let mut bytes = 0;
        for row in 0..self.rows {
            text.clear();
            let written = write(row, &mut text);
            bytes += text.len();
            if bytes > BATCH_TEXT_BYTES_MAX {
                let message = format!("Out of memory: a batch's texts have more than {BATCH_TEXT_BYTES_MAX} bytes");
                return Err(Error::new(Kind::OutOfMemory, message).into());
            }
            builder.append_option(written.map(|()| text.as_str()));
        }
        Ok(Arc::new(builder.finish()))
    }
}

/// A result field of that type.
pub fn field(data_type: DataType) -> Result<Field> {
    Ok(Field::new("", data_type, true))
}

pub fn returns_integer(_: &ReturnFieldArgs) -> Result<Field> {
    field(DataType::Int64)
}

pub fn returns_text(_: &ReturnFieldArgs) -> Result<Field> {
    field(DataType::Utf8)
}

/// DATETIME with that many fraction digits.
pub fn returns_datetime(digits: u32) -> Result<Field> {
    let name = if digits == 0 { "datetime".to_owned() } else { format!("datetime({digits})") };
    Ok(field(DATETIME)?.with_metadata([(TYPE_KEY.to_owned(), name)].into()))
}

/// Fraction digits of a time: as declared, else as its Arrow unit can hold.
pub fn fraction_digits(field: &Field) -> u32 {
    if let Some(declared) = field.metadata().get(TYPE_KEY).filter(|name| name.starts_with(['d', 't'])) {
        let digits = declared.split_once('(').and_then(|(_, rest)| rest.trim_end_matches(')').parse().ok());
        return digits.unwrap_or(0).min(6);
    }
    match field.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => 0,
        DataType::Timestamp(TimeUnit::Millisecond, _) => 3,
        DataType::Timestamp(_, _) => 6,
        _ => 0,
    }
}

/// Fraction digits of an argument's time; those written when it is a literal text.
pub fn digits_of(args: &ReturnFieldArgs, argument: usize) -> u32 {
    let field = &args.arg_fields[argument];
    match args.scalar_arguments.get(argument).copied().flatten().and_then(|value| value.try_as_str().flatten()) {
        Some(text) => {
            let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
            fraction.bytes().take(6).take_while(u8::is_ascii_digit).count() as u32
        }
        None if field.data_type().is_string() => 6,
        None => fraction_digits(field),
    }
}
