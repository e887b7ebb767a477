//! Disclosure rules: what may be asked of a node, and what may leave it.
//!
//! Pure: no I/O, no clock, no network. The journey of a question through this crate:
//!
//! ```text
//! contract   what a shared table is: roles, person column, protection
//! block      one query block in normal form: the thing that is judged
//! admit      block + contracts -> what must hold for it to leave, or a refusal with its rule
//! gate       executed block -> Released<Bundle>, the only thing a node may send
//! cell       identity of a released cell and its ledger record
//! preset     named, sourced sets of disclosure rules
//! ```

mod admit;
mod admit_inline;
mod block;
mod cell;
mod contract;
mod expression;
mod gate;
mod inline;
mod preset;
mod refusal;

pub use admit::{Admission, CellBounds, CellRule, admit, admit_bundle, cell_bounds};
pub use block::{
    AggregateFunction, BinaryOperator, Block, ColumnPlace, Expr, Join, Literal, Measure, OrderKey,
    Output, Relation, Source, TypeName, UnaryTest,
};
pub use cell::{CellStatus, LedgerContext, LedgerRecord, cell_id, ledger_records};
pub use contract::{
    ColumnContract, ContractViolation, PersonColumn, Protection, Role, Scope, TableContract,
};
pub use gate::{
    Executed, GateError, GatedColumns, Released, ReleasedFragment, ReleasedTable, gate,
    released_schema,
};
pub use inline::InlineTable;
pub use preset::{K_FLOOR, K_MAX, Policy, PolicyError, Preset};
pub use refusal::{Refusal, Rule};
