//! What is asked, of whom, and what is aimed at. Main item: [`COMPARISONS`].

/// TPC-H Q1, the pricing summary report.
pub(crate) const Q1: &str = include_str!("../../tests/tpch/q01.sql");

/// TPC-H Q6, the forecast of a revenue change.
const Q6: &str = include_str!("../../tests/tpch/q06.sql");

/// Q1 as protected tables allow it: sums and means of plain columns.
macro_rules! plain_q1 {
    ($table:literal) => {
        concat!(
            "
select
    l_returnflag,
    l_linestatus,
    sum(l_quantity) as sum_qty,
    sum(l_extendedprice) as sum_base_price,
    avg(l_quantity) as avg_qty,
    avg(l_extendedprice) as avg_price,
    avg(l_discount) as avg_disc,
    count(*) as count_order
from
    ",
            $table,
            "
where
    l_shipdate <= date '1998-12-01' - interval '90' day
group by
    l_returnflag,
    l_linestatus
order by
    l_returnflag,
    l_linestatus"
        )
    };
}

/// A question so small that only the way there and back counts.
pub(crate) const SMALL: &str =
    "select n_regionkey, count(*) as nations from nation_part group by n_regionkey order by 1";

/// A question that one node answers for all, from its reference table.
pub(crate) const TRIVIAL: &str = "select count(*) as regions from region";

/// Who answers the question a federation is compared with.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Against {
    /// One DataFusion process, the same question.
    DataFusion,
    /// The same federation, another question.
    Federation(&'static str),
}

/// What is aimed at.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// At most so many times as long, at the median.
    Ratio(f64),
    /// At most so many milliseconds more, at the median.
    MoreMs(f64),
}

/// Two questions that are measured in turns.
#[derive(Debug)]
pub(crate) struct Comparison {
    /// Its name in arguments and in the line of JSON.
    pub(crate) key: &'static str,
    pub(crate) title: &'static str,
    pub(crate) sql: &'static str,
    pub(crate) against: Against,
    pub(crate) target: Target,
    /// How many times more often than others it is asked, for questions that take little.
    pub(crate) times: usize,
}

/// Every comparison, in the order they are made.
pub(crate) const COMPARISONS: [Comparison; 5] = [
    Comparison {
        key: "q1",
        title: "TPC-H Q1, federation / DataFusion",
        sql: Q1,
        against: Against::DataFusion,
        target: Target::Ratio(1.15),
        times: 1,
    },
    Comparison {
        key: "q6",
        title: "TPC-H Q6, federation / DataFusion",
        sql: Q6,
        against: Against::DataFusion,
        target: Target::Ratio(1.15),
        times: 2,
    },
    Comparison {
        key: "gate",
        title: "plain Q1, gate on / gate off",
        sql: plain_q1!("lineitem_protected"),
        against: Against::Federation(plain_q1!("lineitem")),
        target: Target::Ratio(1.35),
        times: 1,
    },
    Comparison {
        key: "small",
        title: "small count, federation / DataFusion",
        sql: SMALL,
        against: Against::DataFusion,
        target: Target::MoreMs(5.0),
        times: 10,
    },
    Comparison {
        key: "repeat",
        title: "trivial count, federation / DataFusion",
        sql: TRIVIAL,
        against: Against::DataFusion,
        target: Target::MoreMs(4.0),
        times: 10,
    },
];
