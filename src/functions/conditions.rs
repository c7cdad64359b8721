//! Conditions of an analysis function as bit masks: bit i of a row's mask is set when condition i holds in that row.
//! The columns come from DataFusion already evaluated; a NULL condition is false.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use datafusion::arrow::buffer::{BooleanBuffer, NullBuffer};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Decimal128Type};
use datafusion::error::Result;

use crate::functions::arguments::wrong;

/// A mask has 64 bits; more conditions are an error at plan time, never silent zeros.
pub const CONDITIONS_MAX: usize = 64;

/// Checks number and types of the conditions of a call, before anything runs.
///
/// # Errors
/// `WrongArguments` naming the condition (counted from 1) or the limit.
pub fn check(function: &str, types: &[DataType]) -> Result<()> {
    if types.is_empty() {
        return Err(wrong(function, "at least one condition is needed").into());
    }
    if types.len() > CONDITIONS_MAX {
        let problem = format!("{} conditions given, at most {CONDITIONS_MAX} are possible", types.len());
        return Err(wrong(function, problem).into());
    }
    for (at, data_type) in types.iter().enumerate() {
        // MySQL's conditions are numbers: not zero is true. BIGINT UNSIGNED is a decimal in memory.
        let usable = matches!(data_type, DataType::Boolean | DataType::Null | DataType::Decimal128(_, _))
            || data_type.is_integer()
            || data_type.is_floating();
        if !usable {
            let problem = format!("condition {} must be a boolean or a number, it is {data_type}", at + 1);
            return Err(wrong(function, problem).into());
        }
    }
    Ok(())
}

/// The conditions of one batch, 64 rows to a word.
pub struct Masks {
    conditions: Vec<Vec<u64>>,
    /// Rows that count at all; None when all do.
    selected: Option<Vec<u64>>,
    words: usize,
}

impl Masks {
    /// `valid` are the rows with a time (None: all), `filter` the FILTER clause.
    ///
    /// # Errors
    /// Those of Arrow's cast; [`check`] has refused types that cannot be cast.
    pub fn new(conditions: &[ArrayRef], valid: Option<&NullBuffer>, filter: Option<&BooleanArray>) -> Result<Masks> {
        let rows = conditions.first().map_or(0, |condition| condition.len());
        let conditions = conditions.iter().map(|array| Ok(words(&holds(array)?))).collect::<Result<Vec<_>>>()?;
        let selected = match (valid, filter.map(truth)) {
            (None, None) => None,
            (Some(valid), None) => Some(words(valid.inner())),
            (None, Some(filter)) => Some(words(&filter)),
            (Some(valid), Some(filter)) => Some(words(&(valid.inner() & &filter))),
        };
        Ok(Masks { conditions, selected, words: rows.div_ceil(64) })
    }

    /// Visits every row in which at least one condition holds, in order, with its mask.
    #[inline]
    pub fn for_each(&self, mut visit: impl FnMut(usize, u64)) {
        let mut chunk = [0u64; CONDITIONS_MAX];
        let count = self.conditions.len();
        for word in 0..self.words {
            let mut any = 0;
            for (bits, condition) in chunk.iter_mut().zip(&self.conditions) {
                *bits = condition[word];
                any |= *bits;
            }
            if let Some(selected) = &self.selected {
                any &= selected[word];
            }
            while any != 0 {
                let bit = any.trailing_zeros();
                any &= any - 1;
                let mask =
                    chunk[..count].iter().enumerate().fold(0, |mask, (at, bits)| mask | ((bits >> bit) & 1) << at);
                visit(word * 64 + bit as usize, mask);
            }
        }
    }
}

/// The rows in which a condition of any usable type holds.
fn holds(condition: &ArrayRef) -> Result<BooleanBuffer> {
    Ok(match condition.data_type() {
        DataType::Boolean => truth(condition.as_boolean()),
        DataType::Null => BooleanBuffer::new_unset(condition.len()),
        DataType::Decimal128(_, _) => {
            let values = condition.as_primitive::<Decimal128Type>();
            BooleanBuffer::collect_bool(values.len(), |row| values.is_valid(row) && values.value(row) != 0)
        }
        _ => truth(cast(condition, &DataType::Boolean)?.as_boolean()),
    })
}

/// True rows; NULL is false.
fn truth(array: &BooleanArray) -> BooleanBuffer {
    match array.nulls() {
        Some(nulls) => array.values() & nulls.inner(),
        None => array.values().clone(),
    }
}

fn words(bits: &BooleanBuffer) -> Vec<u64> {
    bits.bit_chunks().iter_padded().collect()
}
