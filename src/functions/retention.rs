//! `retention` and `retention_bitmap`: which conditions a group met, given that it met the first. No time logic.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, BooleanArray, Int8Array, Int64Array, ListArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::function::{AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, EmitTo, Expr, ExprSchemable, GroupsAccumulator, Signature, Volatility,
};

use crate::functions::arguments::{array_elements, wrong};
use crate::functions::conditions::{self, Masks};

/// What the answer looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Shape {
    /// N numbers 0 or 1.
    Array,
    /// One BIGINT, bit i-1 for condition i.
    Bitmap,
}

/// `retention(c1, ..., cN)` or `retention([c1, ..., cN])`; likewise `retention_bitmap`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Retention {
    name: &'static str,
    shape: Shape,
    signature: Signature,
}

impl Retention {
    /// r[1] = any row with c1; r[i] = r[1] and any row with ci.
    pub fn array() -> Self {
        let signature = Signature::variadic_any(Volatility::Immutable);
        Retention { name: "retention", shape: Shape::Array, signature }
    }

    /// The same as a bit mask, for cheap sums.
    pub fn bitmap() -> Self {
        let signature = Signature::variadic_any(Volatility::Immutable);
        Retention { name: "retention_bitmap", shape: Shape::Bitmap, signature }
    }

    fn accumulators(&self, args: &AccumulatorArgs) -> Result<Masked> {
        let types: Vec<DataType> = args.expr_fields.iter().map(|field| field.data_type().clone()).collect();
        if is_array(&types) {
            return Err(wrong(self.name, "the conditions must be listed here, not given as an array").into());
        }
        conditions::check(self.name, &types)?;
        Ok(Masked { shape: self.shape, conditions: types.len(), masks: Vec::new() })
    }
}

fn is_array(types: &[DataType]) -> bool {
    matches!(types, [DataType::List(_) | DataType::FixedSizeList(_, _)])
}

impl AggregateUDFImpl for Retention {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        if !is_array(types) {
            conditions::check(self.name, types)?;
        }
        Ok(match self.shape {
            Shape::Array => DataType::new_list(DataType::Int8, true),
            Shape::Bitmap => DataType::Int64,
        })
    }

    fn return_field(&self, fields: &[FieldRef]) -> Result<FieldRef> {
        let types: Vec<DataType> = fields.iter().map(|field| field.data_type().clone()).collect();
        Ok(Arc::new(Field::new(self.name, self.return_type(&types)?, self.is_nullable())))
    }

    /// The array is never NULL in fact, but the planner has no default value for an array of unknown length.
    fn is_nullable(&self) -> bool {
        self.shape == Shape::Array
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        match self.shape {
            Shape::Array => ScalarValue::try_from(data_type),
            Shape::Bitmap => Ok(ScalarValue::Int64(Some(0))),
        }
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        let name = self.name;
        Some(Box::new(move |function, info| canonical(name, function, info)))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format_state_name(args.name, "mask"), DataType::Int64, true))])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(MaskedOne(self.accumulators(&args)?)))
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(self.accumulators(&args)?))
    }
}

/// Takes an array of conditions apart.
fn canonical(name: &str, mut function: AggregateFunction, info: &SimplifyContext) -> Result<Expr> {
    let schema = info.schema().as_ref();
    let args = &function.params.args;
    let types = args.iter().map(|arg| arg.get_type(schema)).collect::<Result<Vec<_>>>()?;
    if is_array(&types) {
        let Some(elements) = array_elements(&args[0])? else {
            let problem = "the conditions must be listed, [c1, ..., cN], not taken from an array column";
            return Err(wrong(name, problem).into());
        };
        let types = elements.iter().map(|arg| arg.get_type(schema)).collect::<Result<Vec<_>>>()?;
        conditions::check(name, &types)?;
        function.params.args = elements;
    }
    Ok(Expr::AggregateFunction(function))
}

/// For each group the conditions met so far, as a bit mask.
#[derive(Debug)]
struct Masked {
    shape: Shape,
    conditions: usize,
    masks: Vec<u64>,
}

impl Masked {
    /// The answers for these groups.
    fn answers(&self, masks: &[u64]) -> ArrayRef {
        let retained = masks.iter().map(|mask| if mask & 1 == 1 { *mask } else { 0 });
        match self.shape {
            Shape::Bitmap => Arc::new(retained.map(|mask| mask as i64).collect::<Int64Array>()),
            Shape::Array => {
                let bits = retained.flat_map(|mask| (0..self.conditions).map(move |at| (mask >> at & 1) as i8));
                let values = Arc::new(bits.collect::<Int8Array>());
                let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(self.conditions, masks.len()));
                Arc::new(ListArray::new(Arc::new(Field::new_list_field(DataType::Int8, true)), offsets, values, None))
            }
        }
    }
}

impl GroupsAccumulator for Masked {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.masks.resize(total_num_groups, 0);
        Masks::new(values, None, filter)?.for_each(|row, mask| self.masks[group_indices[row]] |= mask);
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let masks = emit_to.take_needed(&mut self.masks);
        Ok(self.answers(&masks))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let masks = emit_to.take_needed(&mut self.masks).into_iter().map(|mask| mask as i64);
        Ok(vec![Arc::new(masks.collect::<Int64Array>())])
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.masks.resize(total_num_groups, 0);
        for (group, mask) in group_indices.iter().zip(values[0].as_primitive::<Int64Type>()) {
            self.masks[*group] |= mask.unwrap_or_default() as u64;
        }
        Ok(())
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let mut states = vec![0i64; values[0].len()];
        Masks::new(values, None, filter)?.for_each(|row, mask| states[row] = mask as i64);
        Ok(vec![Arc::new(Int64Array::from(states))])
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.masks.capacity() * size_of::<u64>()
    }
}

/// One group: no GROUP BY, or OVER. Its mask is the first of [`Masked`].
#[derive(Debug)]
struct MaskedOne(Masked);

impl Accumulator for MaskedOne {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.masks.resize(1, 0);
        Masks::new(values, None, None)?.for_each(|_, mask| self.0.masks[0] |= mask);
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.0.masks.resize(1, 0);
        ScalarValue::try_from_array(&self.0.answers(&self.0.masks), 0)
    }

    fn size(&self) -> usize {
        self.0.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.0.masks.resize(1, 0);
        Ok(vec![ScalarValue::Int64(Some(self.0.masks[0] as i64))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.masks.resize(1, 0);
        for mask in states[0].as_primitive::<Int64Type>().iter().flatten() {
            self.0.masks[0] |= mask as u64;
        }
        Ok(())
    }
}
