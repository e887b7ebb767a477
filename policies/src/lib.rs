//! Disclosure rules: what may be asked of a node, and what may leave it.
//!
//! Pure: no I/O, no clock, no network. The journey of a question through this crate:
//!
//! ```text
//! contract   what a shared table is: roles, person column, protection
//! block      one query block in normal form: the thing that is judged
//! derived    what a derived relation is worth: its contract, by lineage
//! admit      block + contracts -> what must hold for it to leave, or a refusal with its rule
//! gate_columns  what the gate must count for that, as columns of the block
//! gate       executed block -> Released<Bundle>, the only thing a node may send
//! cell       identity of a released cell and its ledger record
//! rounding   values to multiples of a base, for the gate and for coordinators
//! advice     what to write instead of what is refused, written out
//! preset     named, sourced sets of disclosure rules
//! ```

mod admit;
mod admit_inline;
mod advice;
mod block;
mod cell;
mod contract;
mod derived;
mod expression;
mod gate;
mod gate_columns;
mod inline;
mod joins;
mod lineage;
mod measure;
mod preset;
mod refusal;
mod rounding;
mod scalar;
mod window;

pub use admit::{Admission, admit, admit_bundle};
pub use block::{AggregateFunction, Block, Join, Measure, OrderKey, Output, Relation, Source};
pub use cell::{CellStatus, LedgerContext, LedgerRecord, cell_id, ledger_records};
pub use contract::{
    ColumnContract, ContractViolation, PersonColumn, Protection, Role, Scope, TableContract,
};
pub use derived::with_derived;
pub use expression::{is_total_function, is_total_pattern};
pub use gate::{
    Executed, GateError, Passed, Released, ReleasedFragment, ReleasedTable, Rounds, gate, pass,
    released_schema,
};
pub use gate_columns::{CellBounds, CellRule, GatedColumns, PROFILE_CONDITION_BIT, cell_bounds};
pub use inline::InlineTable;
pub use measure::{decimal_result, widened};
pub use preset::{
    DOMINANCE_N_MAX, Dominance, K_FLOOR, K_MAX, Policy, PolicyError, PolicySettings, Preset,
    ROUND_TO_MAX,
};
pub use refusal::{Refusal, Rule};
pub use rounding::{
    CellRounding, Factor, bases_of, mean_of, moment_of, round_to, round_values, rounding,
    three_digits,
};
pub use scalar::{BinaryOperator, ColumnPlace, Expr, Literal, TypeName, UnaryTest};
pub use window::{Frame, FrameBound, FrameUnits, Window, WindowFunction, WindowOrder};
