//! DataFusion's rules over plans, with what they get wrong kept away from them.
//!
//! | fault | what is done |
//! | --- | --- |
//! | two conditions of a join that say the same of a column, once from the left and once from the right, count as a contradiction | constants stand to the right |
//! | sums of decimals beside one distinct aggregate get a wider type | they are cast back |
//! | the difference of two dates, compared in a filter, has no plan where the range of the dates is known | it is a function (`days`) |
//! | filters find their column by its name, also where a join has two of that name | below such a join only |
//! | a column that a condition fixes counts as fixed where grouping sets or outer joins make it NULL | nothing is known of their columns |
//! | sorts of a union count on columns that are equal in some of its parts only | nothing is known of their columns |
//! | LIMIT leaves windows without rows they look at | never below a window (`dialect`) |
//! | a sort that is not needed hands its LIMIT on to sorts below filters and windows | LIMIT stands above such a sort |
//!
//! The first three are kept away by rules over logical plans.

mod days;
mod logical;
mod physical;

pub(crate) use logical::logical_rules;
pub(crate) use physical::physical_rules;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use datafusion::arrow::util::display::array_value_to_string;
    use datafusion::prelude::SessionContext;
    use hedgerow_catalog::Limits;

    use crate::dialect::{session_config, state_builder};

    const TABLES: [&str; 2] = [
        "CREATE TABLE a AS SELECT * FROM (VALUES (1, 'x', 10), (2, 'y', 20), (3, 'x', 30), \
         (4, NULL, 40)) t(id, k, n)",
        "CREATE TABLE b AS SELECT * FROM (VALUES (1, 'x', 5), (2, 'y', 6), (2, 'z', 7), \
         (5, 'x', 5)) t(id, k, n)",
    ];

    /// The rows of an answer, each with its values in a line.
    async fn rows(sql: &str) -> Vec<String> {
        let config = session_config(2).with_create_default_catalog_and_schema(true);
        let state = state_builder(config, &Limits::default()).build();
        let context = SessionContext::new_with_state(state);
        for table in TABLES {
            context.sql(table).await.unwrap().collect().await.unwrap();
        }
        let mut rows = vec![];
        for batch in context.sql(sql).await.unwrap().collect().await.unwrap() {
            for row in 0..batch.num_rows() {
                let cells = batch.columns().iter().map(|c| array_value_to_string(c, row).unwrap());
                rows.push(cells.map(|cell| format!("{cell}|")).collect());
            }
        }
        rows
    }

    #[tokio::test]
    async fn conditions_of_joins_say_the_same_twice() {
        let twice = "a.k = 'x' AND 'x' = a.k";
        assert_eq!(rows(&format!("SELECT count(*) FROM a JOIN b ON {twice}")).await, ["8|"]);
        let optional = format!("SELECT count(*) FROM b LEFT JOIN a ON {twice} WHERE a.n >= 10");
        assert_eq!(rows(&optional).await, ["8|"]);
        let between = "SELECT count(*) FROM a JOIN b ON a.n > 10 AND 20 >= a.n AND 10 < a.n";
        assert_eq!(rows(between).await, ["4|"]);
    }

    #[tokio::test]
    async fn days_between_dates_are_compared() {
        let dates = "FROM (SELECT DATE '2025-03-01' + id AS d, id FROM a WHERE id < 4) AS t";
        for (condition, expected) in [
            ("d - DATE '2025-03-01' > 1", "2|"),
            ("DATE '2025-03-03' - d >= 0", "2|"),
            ("d + INTERVAL '2 days' < DATE '2025-03-05'", "1|"),
        ] {
            let sql = format!("SELECT count(*) {dates} WHERE {condition}");
            assert_eq!(rows(&sql).await, [expected], "{condition}");
        }
    }

    #[tokio::test]
    async fn sums_beside_distinct_counts_keep_their_type() {
        let sql = "SELECT arrow_typeof(s) FROM (SELECT k, sum(CAST(n AS DECIMAL(15, 2))) AS s, \
                   count(DISTINCT id) AS c FROM a GROUP BY k) AS t LIMIT 1";
        assert_eq!(rows(sql).await, ["Decimal128(25, 2)|"]);
    }

    #[tokio::test]
    async fn what_grouping_sets_make_null_is_sorted_by() {
        let of = |order: &str| {
            format!(
                "SELECT k, count(*) FROM a WHERE k = 'x' GROUP BY ROLLUP (k) ORDER BY k {order}"
            )
        };
        assert_eq!(rows(&of("NULLS FIRST")).await, ["|2|", "x|2|"]);
        assert_eq!(rows(&of("NULLS LAST")).await, ["x|2|", "|2|"]);
    }

    #[tokio::test]
    async fn what_outer_joins_make_null_is_sorted_and_grouped_by() {
        let joined = "FROM a LEFT JOIN b ON a.id = b.id AND b.k = 'x'";
        let sorted = format!("SELECT a.id, b.k {joined} ORDER BY b.k NULLS FIRST, a.id");
        assert_eq!(rows(&sorted).await, ["2||", "3||", "4||", "1|x|"]);
        let grouped = format!("SELECT b.k, count(*) AS c {joined} GROUP BY b.k ORDER BY c");
        assert_eq!(rows(&grouped).await, ["x|1|", "|3|"]);
        let windows =
            format!("SELECT a.id, count(*) OVER (PARTITION BY b.k) {joined} ORDER BY a.id");
        assert_eq!(rows(&windows).await, ["1|1|", "2|3|", "3|3|", "4|3|"]);
    }

    #[tokio::test]
    async fn unions_are_sorted_where_columns_are_equal_in_some_parts() {
        let sql = "SELECT id, nullif(id, 2) AS x, id AS y FROM a UNION ALL \
                   SELECT id, nullif(id, 2), n FROM b ORDER BY 2, 1 DESC, 3 LIMIT 4";
        assert_eq!(rows(sql).await, ["1|1|1|", "1|1|5|", "3|3|3|", "4|4|4|"]);
    }

    #[tokio::test]
    async fn filters_keep_to_their_column_where_names_repeat() {
        let joined = "FROM a RIGHT JOIN b ON a.id = b.id";
        let absent = format!("SELECT b.id {joined} WHERE a.k IS NULL AND b.k = 'x'");
        assert_eq!(rows(&absent).await, ["5|"]);
        let either = format!("SELECT b.id, b.k {joined} WHERE a.k = 'y' OR b.n = 5 ORDER BY 1, 2");
        assert_eq!(rows(&either).await, ["1|x|", "2|y|", "2|z|", "5|x|"]);
    }

    #[tokio::test]
    async fn windows_see_rows_behind_a_limit() {
        let ahead = "SELECT id, lead(n) OVER (ORDER BY id), ntile(4) OVER (ORDER BY id) FROM a \
                     ORDER BY id LIMIT 2";
        assert_eq!(rows(ahead).await, ["1|20|1|", "2|30|2|"]);
        let parts = "SELECT id, first_value(n) OVER (PARTITION BY k ORDER BY n DESC) FROM a \
                     WHERE k = 'x' ORDER BY id LIMIT 1";
        assert_eq!(rows(parts).await, ["1|30|"]);
    }

    #[tokio::test]
    async fn filters_and_windows_see_rows_behind_the_limit_of_a_sort() {
        let sql = "SELECT id FROM (SELECT id, n, count(*) OVER () AS all_rows, \
                     ntile(4) OVER (ORDER BY id) AS part FROM a) AS t \
                   WHERE n >= 20 AND part < all_rows ORDER BY id LIMIT 2";
        assert_eq!(rows(sql).await, ["2|", "3|"]);
    }
}
