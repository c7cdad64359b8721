//! MySQL's arithmetic where it is not DataFusion's: exact division, division by zero is NULL, rounding half away
//! from zero.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Float64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Field, i256};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::ReturnFieldArgs;

use crate::error::{Error, Kind};
use crate::functions::arguments::wrong;
use crate::functions::mysql_convert::doubles_of;
use crate::functions::mysql_function::{Call, MysqlFunction, field, returns_integer};

/// Digits a division adds to the scale of the dividend: MySQL's div_precision_increment.
const DIVISION_SCALE: i8 = 4;
/// Digits after the point at most, as in MySQL.
const SCALE_MAX: i8 = 30;
/// Digits of a DECIMAL in 128 bits.
const PRECISION_MAX: u8 = 38;

pub fn functions() -> Vec<MysqlFunction> {
    vec![
        division(),
        MysqlFunction::new("mysql_int_divide", 2..=2, int_divide_type, int_divide),
        MysqlFunction::new("mod", 2..=2, modulo_type, modulo).aliases(&["mysql_mod"]),
        MysqlFunction::new("round", 1..=2, round_type, |call| rounded(call, Rounding::Half)),
        MysqlFunction::new("truncate", 2..=2, truncate_type, |call| rounded(call, Rounding::Down)),
        MysqlFunction::new("ceil", 1..=1, round_type, |call| rounded(call, Rounding::Ceiling)).aliases(&["ceiling"]),
        MysqlFunction::new("floor", 1..=1, round_type, |call| rounded(call, Rounding::Floor)),
        MysqlFunction::new("sign", 1..=1, returns_integer, sign),
    ]
}

/// MySQL's `/`.
pub fn division() -> MysqlFunction {
    MysqlFunction::new("mysql_divide", 2..=2, divide_type, divide)
}

/// Precision and scale of an exact number, None for what MySQL computes with as double.
pub fn exact(data_type: &DataType) -> Option<(u8, i8)> {
    match data_type {
        DataType::Boolean | DataType::Null => Some((1, 0)),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale) => Some((*precision, *scale)),
        DataType::Int8 | DataType::UInt8 => Some((3, 0)),
        DataType::Int16 | DataType::UInt16 => Some((5, 0)),
        DataType::Int32 | DataType::UInt32 => Some((10, 0)),
        DataType::Int64 => Some((19, 0)),
        DataType::UInt64 => Some((20, 0)),
        _ => None,
    }
}

/// Refuses what is no number and cannot be read as one.
fn check(function: &str, data_type: &DataType) -> Result<()> {
    let usable = exact(data_type).is_some() || data_type.is_floating() || data_type.is_string();
    match usable {
        true => Ok(()),
        false => Err(wrong(function, format!("{data_type} is not a number")).into()),
    }
}

/// The exact types of both arguments, None when one of them is a double.
fn exact_pair(function: &str, args: &ReturnFieldArgs) -> Result<Option<[(u8, i8); 2]>> {
    let (left, right) = (args.arg_fields[0].data_type(), args.arg_fields[1].data_type());
    check(function, left)?;
    check(function, right)?;
    Ok(exact(left).zip(exact(right)).map(|(left, right)| [left, right]))
}

/// The unscaled values of an exact argument, whose scale is that of its type.
fn unscaled(call: &Call, argument: usize) -> Result<(Decimal128Array, i8)> {
    let array = call.array(argument)?;
    let scale = exact(array.data_type()).map_or(0, |(_, scale)| scale);
    let target = DataType::Decimal128(PRECISION_MAX, scale);
    let array = match array.data_type() {
        DataType::Boolean => cast(&cast(&array, &DataType::Int64)?, &target)?,
        _ => cast(&array, &target)?,
    };
    Ok((array.as_primitive::<Decimal128Type>().clone(), scale))
}

fn is_exact(call: &Call) -> bool {
    call.fields.iter().all(|field| exact(field.data_type()).is_some())
}

fn out_of_range(call: &Call) -> datafusion::error::DataFusionError {
    let name = if *call.returns == DataType::Int64 { "BIGINT" } else { "DECIMAL" };
    let message = format!("{name} value is out of range in '{}'", call.name);
    Error::new(Kind::ExpressionOutOfRange, message).into()
}

fn power(exponent: i8) -> i256 {
    (0..exponent).fold(i256::ONE, |power, _| power.wrapping_mul(i256::from_i128(10)))
}

/// A quotient rounded half away from zero.
fn divide_rounded(dividend: i256, divisor: i256) -> i256 {
    let quotient = dividend.wrapping_div(divisor);
    let rest = dividend.wrapping_rem(divisor);
    let half_or_more = rest.wrapping_abs() >= divisor.wrapping_abs().wrapping_sub(rest.wrapping_abs());
    match (half_or_more && rest != i256::ZERO, (dividend < i256::ZERO) != (divisor < i256::ZERO)) {
        (false, _) => quotient,
        (true, false) => quotient.wrapping_add(i256::ONE),
        (true, true) => quotient.wrapping_sub(i256::ONE),
    }
}

/// A quotient rounded down; the divisor is positive.
fn floor(dividend: i256, divisor: i256) -> i256 {
    let quotient = dividend.wrapping_div(divisor);
    let below = dividend.wrapping_rem(divisor) < i256::ZERO;
    if below { quotient.wrapping_sub(i256::ONE) } else { quotient }
}

/// A quotient with so many more digits after the point than its dividend, rounded half away from zero; None when it
/// does not fit. The divisor is a whole number and not 0.
pub fn divide_exact(dividend: i128, divisor: i128, digits: i8) -> Option<i128> {
    let dividend = i256::from_i128(dividend).checked_mul(power(digits))?;
    divide_rounded(dividend, i256::from_i128(divisor)).to_i128()
}

/// `a / b` of exact numbers: the dividend's scale and four digits more.
pub fn quotient_type(left: (u8, i8), right: (u8, i8)) -> DataType {
    let scale = (left.1 + DIVISION_SCALE).min(SCALE_MAX).max(left.1);
    let whole = i16::from(left.0) - i16::from(left.1) + i16::from(right.1);
    let precision = (whole + i16::from(scale)).clamp(i16::from(scale) + 1, i16::from(PRECISION_MAX));
    DataType::Decimal128(precision as u8, scale)
}

fn divide_type(args: &ReturnFieldArgs) -> Result<Field> {
    Ok(match exact_pair("/", args)? {
        Some([left, right]) => field(quotient_type(left, right))?,
        None => field(DataType::Float64)?,
    })
}

fn divide(call: &Call) -> Result<ArrayRef> {
    if !is_exact(call) {
        return doubles(call, |left, right| (right != 0.0).then(|| left / right));
    }
    let ((left, left_scale), (right, right_scale)) = (unscaled(call, 0)?, unscaled(call, 1)?);
    let DataType::Decimal128(_, scale) = *call.returns else { return Err(out_of_range(call)) };
    let factor = power(scale + right_scale - left_scale);
    decimals(call, |row| {
        if left.is_null(row) || right.is_null(row) || right.value(row) == 0 {
            return Ok(None);
        }
        let dividend = i256::from_i128(left.value(row)).checked_mul(factor).ok_or_else(|| out_of_range(call))?;
        Ok(Some(divide_rounded(dividend, i256::from_i128(right.value(row)))))
    })
}

fn int_divide_type(args: &ReturnFieldArgs) -> Result<Field> {
    exact_pair("DIV", args)?;
    field(DataType::Int64)
}

fn int_divide(call: &Call) -> Result<ArrayRef> {
    let mut answer = Vec::with_capacity(call.rows);
    if is_exact(call) {
        let ((left, left_scale), (right, right_scale)) = (unscaled(call, 0)?, unscaled(call, 1)?);
        let (left_factor, right_factor) = (power(right_scale), power(left_scale));
        for row in 0..call.rows {
            if left.is_null(row) || right.is_null(row) || right.value(row) == 0 {
                answer.push(None);
                continue;
            }
            let quotient = i256::from_i128(left.value(row)).checked_mul(left_factor).and_then(|dividend| {
                dividend.checked_div(i256::from_i128(right.value(row)).checked_mul(right_factor)?)
            });
            let quotient = quotient.and_then(i256::to_i128).and_then(|quotient| i64::try_from(quotient).ok());
            answer.push(Some(quotient.ok_or_else(|| out_of_range(call))?));
        }
    } else {
        let (left, right) = (call.doubles(0)?, call.doubles(1)?);
        for row in 0..call.rows {
            let quotient = match (left.get(row), right.get(row)) {
                (Some(left), Some(right)) if right != 0.0 => (left / right).trunc(),
                _ => {
                    answer.push(None);
                    continue;
                }
            };
            if quotient.is_nan() || quotient.abs() >= 9.3e18 {
                return Err(out_of_range(call));
            }
            answer.push(Some(quotient as i64));
        }
    }
    call.make_integers(|row| answer[row])
}

fn modulo_type(args: &ReturnFieldArgs) -> Result<Field> {
    Ok(match exact_pair("MOD", args)? {
        Some([(_, 0), (_, 0)]) => field(DataType::Int64)?,
        Some([left, right]) => {
            let scale = left.1.max(right.1);
            let whole = (left.0 as i8 - left.1).max(right.0 as i8 - right.1).max(1);
            field(DataType::Decimal128((whole + scale).min(PRECISION_MAX as i8) as u8, scale))?
        }
        None => field(DataType::Float64)?,
    })
}

/// The remainder has the sign of the dividend.
fn modulo(call: &Call) -> Result<ArrayRef> {
    if !is_exact(call) {
        return doubles(call, |left, right| (right != 0.0).then(|| left % right));
    }
    let ((left, left_scale), (right, right_scale)) = (unscaled(call, 0)?, unscaled(call, 1)?);
    let scale = left_scale.max(right_scale);
    let (left_factor, right_factor) = (power(scale - left_scale), power(scale - right_scale));
    let rest = |row: usize| {
        if left.is_null(row) || right.is_null(row) || right.value(row) == 0 {
            return Ok(None);
        }
        let left = i256::from_i128(left.value(row)).checked_mul(left_factor);
        let right = i256::from_i128(right.value(row)).checked_mul(right_factor);
        let rest = left.zip(right).map(|(left, right)| left.wrapping_rem(right));
        rest.map(Some).ok_or_else(|| out_of_range(call))
    };
    if *call.returns != DataType::Int64 {
        return decimals(call, rest);
    }
    let fits = |rest: i256| rest.to_i128().and_then(|rest| i64::try_from(rest).ok()).ok_or_else(|| out_of_range(call));
    let answer = (0..call.rows).map(|row| rest(row)?.map(fits).transpose()).collect::<Result<Vec<_>>>()?;
    call.make_integers(|row| answer[row])
}

fn doubles(call: &Call, value: impl Fn(f64, f64) -> Option<f64>) -> Result<ArrayRef> {
    let (left, right) = (call.doubles(0)?, call.doubles(1)?);
    let values = (0..call.rows).map(|row| value(left.get(row)?, right.get(row)?));
    Ok(Arc::new(values.collect::<Float64Array>()))
}

/// Decimals of the call's type; more digits than it has are an error.
fn decimals(call: &Call, value: impl Fn(usize) -> Result<Option<i256>>) -> Result<ArrayRef> {
    let DataType::Decimal128(precision, scale) = *call.returns else { return Err(out_of_range(call)) };
    let limit = power(precision as i8);
    let fits = |value: i256| match value.wrapping_abs() < limit {
        true => value.to_i128().ok_or_else(|| out_of_range(call)),
        false => Err(out_of_range(call)),
    };
    let values = (0..call.rows).map(|row| value(row)?.map(fits).transpose()).collect::<Result<Decimal128Array>>()?;
    Ok(Arc::new(values.with_precision_and_scale(precision, scale)?))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Rounding {
    Half,
    Down,
    Ceiling,
    Floor,
}

fn round_type(args: &ReturnFieldArgs) -> Result<Field> {
    rounded_type("ROUND", args, 1)
}

fn truncate_type(args: &ReturnFieldArgs) -> Result<Field> {
    rounded_type("TRUNCATE", args, 0)
}

/// The scale of the answer is the number of digits asked for when that is a constant. Rounding up may need one
/// digit more.
fn rounded_type(function: &str, args: &ReturnFieldArgs, carry: i16) -> Result<Field> {
    let data_type = args.arg_fields[0].data_type();
    check(function, data_type)?;
    let Some((precision, scale)) = exact(data_type) else { return field(DataType::Float64) };
    if scale == 0 && !matches!(data_type, DataType::Decimal128(_, _)) {
        return field(DataType::Int64);
    }
    let digits = match args.scalar_arguments.get(1) {
        None => 0,
        Some(Some(digits)) => match digits.cast_to(&DataType::Int64)? {
            ScalarValue::Int64(Some(digits)) => digits.clamp(0, i64::from(SCALE_MAX)) as i8,
            _ => scale,
        },
        Some(None) => scale,
    };
    let whole = i16::from(precision) - i16::from(scale) + carry;
    let precision = (whole + i16::from(digits)).clamp(1, i16::from(PRECISION_MAX)) as u8;
    field(DataType::Decimal128(precision.max(digits as u8), digits))
}

fn rounded(call: &Call, rounding: Rounding) -> Result<ArrayRef> {
    let digits = if call.args.len() > 1 { Some(call.integers(1)?) } else { None };
    let digits = |row: usize| match &digits {
        Some(digits) => digits.get(row).map(|digits| digits.clamp(-38, i64::from(SCALE_MAX)) as i8),
        None => Some(0),
    };
    if *call.returns == DataType::Float64 {
        let values = doubles_of(&call.array(0)?)?;
        let answer = (0..call.rows).map(|row| {
            let digits = digits(row)?;
            values.is_valid(row).then(|| round_double(values.value(row), digits, rounding))
        });
        return Ok(Arc::new(answer.collect::<Float64Array>()));
    }
    let (values, scale) = unscaled(call, 0)?;
    let target = match call.returns {
        DataType::Decimal128(_, target) => *target,
        _ => 0,
    };
    let round = |row: usize| {
        let Some(digits) = digits(row).filter(|_| values.is_valid(row)) else { return Ok(None) };
        let value = i256::from_i128(values.value(row));
        // Cut to the digits asked for, then give it the scale of the type.
        let cut = power((scale - digits).max(0));
        let value = match rounding {
            Rounding::Half => divide_rounded(value, cut),
            Rounding::Down => value.wrapping_div(cut),
            Rounding::Floor => floor(value, cut),
            Rounding::Ceiling => floor(value.wrapping_neg(), cut).wrapping_neg(),
        };
        let value = value.checked_mul(cut).and_then(|value| match target >= scale {
            true => value.checked_mul(power(target - scale)),
            false => value.checked_div(power(scale - target)),
        });
        value.map(Some).ok_or_else(|| out_of_range(call))
    };
    if *call.returns != DataType::Int64 {
        return decimals(call, round);
    }
    let fits =
        |value: i256| value.to_i128().and_then(|value| i64::try_from(value).ok()).ok_or_else(|| out_of_range(call));
    let answer = (0..call.rows).map(|row| round(row)?.map(fits).transpose()).collect::<Result<Vec<_>>>()?;
    call.make_integers(|row| answer[row])
}

/// Doubles are rounded half to even after scaling, as the C library does for MySQL.
fn round_double(value: f64, digits: i8, rounding: Rounding) -> f64 {
    let power = 10f64.powi(i32::from(digits.unsigned_abs()));
    let scaled = if digits < 0 { value / power } else { value * power };
    if !scaled.is_finite() {
        return value;
    }
    let whole = match rounding {
        Rounding::Half => scaled.round_ties_even(),
        Rounding::Down => scaled.trunc(),
        Rounding::Ceiling => scaled.ceil(),
        Rounding::Floor => scaled.floor(),
    };
    if digits < 0 { whole * power } else { whole / power }
}

fn sign(call: &Call) -> Result<ArrayRef> {
    let values = call.doubles(0)?;
    call.make_integers(|row| values.get(row).map(|value| i64::from(value > 0.0) - i64::from(value < 0.0)))
}
