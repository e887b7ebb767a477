//! `MergeState`: an aggregate that merges what nodes computed by DataFusion's own `merge_batch`.
//!
//! Nodes send standard SQL (counts, means, centred moments); here those columns are put in the order
//! of the inner aggregate's state and merged by the inner aggregate itself, so a federation's
//! variance is merged exactly as DataFusion merges its own partitions.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, BooleanArray};
use datafusion::arrow::compute::kernels::cmp::gt;
use datafusion::arrow::compute::{and_kleene, cast, filter, is_not_null, prep_null_mask_filter};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;

/// Merges node-side parts of `inner` into its final value. The first part is the count.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct MergeState {
    name: String,
    inner: Arc<AggregateUDF>,
    inputs: Vec<DataType>,
    returns: DataType,
    signature: Signature,
}

impl MergeState {
    /// `inputs` are the inner aggregate's argument types after coercion, `returns` its result type.
    pub(crate) fn udaf(
        inner: Arc<AggregateUDF>,
        inputs: Vec<DataType>,
        returns: DataType,
    ) -> Arc<AggregateUDF> {
        Arc::new(AggregateUDF::from(Self {
            name: format!("merge_{}", inner.name()),
            inner,
            inputs,
            returns,
            signature: Signature::variadic_any(Volatility::Immutable),
        }))
    }

    fn input_fields(&self) -> Vec<FieldRef> {
        let field = |(index, data_type): (usize, &DataType)| {
            Arc::new(Field::new(format!("x{index}"), data_type.clone(), true))
        };
        self.inputs.iter().enumerate().map(field).collect()
    }

    fn return_field(&self) -> FieldRef {
        Arc::new(Field::new(&self.name, self.returns.clone(), true))
    }
}

impl AggregateUDFImpl for MergeState {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(StateFieldsArgs {
            name: args.name,
            input_fields: &self.input_fields(),
            return_field: self.return_field(),
            ordering_fields: &[],
            is_distinct: false,
        })
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let fields = self.input_fields();
        let schema = Schema::new(fields.clone());
        let exprs: Vec<Arc<dyn PhysicalExpr>> = fields
            .iter()
            .enumerate()
            .map(|(index, field)| Arc::new(Column::new(field.name(), index)) as _)
            .collect();
        let inner = self.inner.accumulator(AccumulatorArgs {
            return_field: self.return_field(),
            schema: &schema,
            ignore_nulls: false,
            order_bys: &[],
            is_reversed: false,
            name: args.name,
            is_distinct: false,
            exprs: &exprs,
            expr_fields: &fields,
        })?;
        let state = self.inner.state_fields(StateFieldsArgs {
            name: args.name,
            input_fields: &fields,
            return_field: self.return_field(),
            ordering_fields: &[],
            is_distinct: false,
        })?;
        let types = state.iter().map(|field| field.data_type().clone()).collect();
        Ok(Box::new(Merging { inner, types }))
    }
}

#[derive(Debug)]
struct Merging {
    inner: Box<dyn Accumulator>,
    types: Vec<DataType>,
}

impl Accumulator for Merging {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        if values.len() != self.types.len() {
            return internal_err!("{} parts for a state of {}", values.len(), self.types.len());
        }
        let Some(count) = values.first() else { return Ok(()) };
        // A part that nobody contributed to, or that was withheld, adds nothing.
        let zero = ScalarValue::new_zero(count.data_type())?.to_scalar()?;
        let mut useful: BooleanArray = gt(count, &zero)?;
        for value in values {
            useful = and_kleene(&useful, &is_not_null(value)?)?;
        }
        let useful = if useful.null_count() > 0 { prep_null_mask_filter(&useful) } else { useful };
        let states = values
            .iter()
            .zip(&self.types)
            .map(|(value, to)| Ok(cast(&filter(value, &useful)?, to)?))
            .collect::<Result<Vec<_>>>()?;
        self.inner.merge_batch(&states)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.inner.evaluate()
    }

    fn size(&self) -> usize {
        self.inner.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.inner.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.inner.merge_batch(states)
    }
}
