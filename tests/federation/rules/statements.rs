//! Statements that the rules allow, drawn from the contracts. Main type: [`Statement`].
//!
//! ```text
//! table      a table, joined to people, open tables and inline tables, with EXISTS and IN
//! person     a subquery grouped by the person
//! windows    a subquery with windows within one person's rows
//! uptake     everybody, and who has a match in an optional subquery
//! estimates  percentiles of one column
//! values     the number of different values of a dimension
//! ```

use std::sync::Arc;

use arrow::datatypes::DataType;
use hedgerow_policies::{ColumnContract, Role, TableContract};

use super::columns::{Column, Draw, Kind, Place};

/// A subquery in FROM, in parts.
#[derive(Debug, Clone)]
pub(super) struct Inner {
    /// Its table, under the alias `i`.
    pub(super) table: Place,
    /// `expression AS name`.
    pub(super) columns: Vec<String>,
    /// From FROM on, to the end.
    pub(super) rest: String,
    /// It is of windows, and not of groups.
    pub(super) windows: bool,
}

/// A statement in parts.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    /// Relations in scope, the one whose people are counted first.
    pub(super) places: Vec<Place>,
    /// Contract of the first table.
    pub(super) contract: Arc<TableContract>,
    /// What stands before the names of tables about people: nothing, or an organisation.
    pub(super) prefix: String,
    /// The table in FROM; empty where that is a subquery.
    pub(super) from: String,
    pub(super) inner: Option<Inner>,
    pub(super) joins: Vec<String>,
    pub(super) filter: Vec<String>,
    pub(super) keys: Vec<String>,
    pub(super) measures: Vec<String>,
    pub(super) having: Option<String>,
    pub(super) tail: String,
}

impl Statement {
    /// FROM to WHERE.
    pub(super) fn body(&self) -> String {
        let alias = &self.places[0].alias;
        let mut sql = match &self.inner {
            Some(inner) => format!(" FROM ({}) AS {alias}", inner.sql()),
            None => format!(" FROM {} AS {alias}", self.from),
        };
        for join in &self.joins {
            sql.push_str(&format!(" {join}"));
        }
        if !self.filter.is_empty() {
            sql.push_str(&format!(" WHERE {}", self.filter.join(" AND ")));
        }
        sql
    }

    pub(super) fn sql(&self) -> String {
        let name =
            |(letter, place, sql): (char, usize, &String)| format!("{sql} AS {letter}{place}");
        let keys = self.keys.iter().enumerate().map(|(i, key)| ('k', i, key));
        let measures = self.measures.iter().enumerate().map(|(i, measure)| ('m', i, measure));
        let list: Vec<String> = keys.chain(measures).map(name).collect();
        let mut sql = format!("SELECT {}{}", list.join(", "), self.body());
        if !self.keys.is_empty() {
            let places: Vec<String> = (1..=self.keys.len()).map(|key| key.to_string()).collect();
            sql.push_str(&format!(" GROUP BY {}", places.join(", ")));
        }
        if let Some(having) = &self.having {
            sql.push_str(&format!(" HAVING {having}"));
        }
        sql.push_str(&self.tail);
        sql
    }

    /// A statement without joins, conditions, keys and measures.
    fn bare(contract: &Arc<TableContract>, place: Place) -> Self {
        Self {
            from: contract.name.clone(),
            contract: Arc::clone(contract),
            places: vec![place],
            prefix: String::new(),
            inner: None,
            joins: vec![],
            filter: vec![],
            keys: vec![],
            measures: vec![],
            having: None,
            tail: String::new(),
        }
    }

    pub(super) fn draw(draw: &mut Draw<'_>) -> Self {
        let mut statement = match draw.below(100) {
            0..38 => Self::table(draw),
            38..58 => Self::person(draw),
            58..72 => Self::windows(draw),
            72..82 => return Self::uptake(draw),
            82..91 => return Self::estimates(draw),
            _ => return Self::values(draw),
        };
        statement.add_keys(draw);
        statement.add_measures(draw);
        statement.add_end(draw);
        statement
    }

    // ------------------------------------------------------------------------- what is asked

    fn table(draw: &mut Draw<'_>) -> Self {
        let contract = draw.one(&draw.schema.protected).unwrap();
        let mut statement = Self::bare(&contract, Place::table(&contract, "a"));
        if draw.chance(15) {
            statement.prefix = format!("{}.", draw.schema.organisations[0]);
            statement.from = format!("{}{}", statement.prefix, contract.name);
        }
        statement.add_people(draw);
        if statement.prefix.is_empty() && draw.chance(35) {
            let kind = draw.of(&["JOIN", "JOIN", "LEFT JOIN"].map(str::to_owned));
            statement.add_open(draw, "o", &kind);
        }
        if draw.chance(15) {
            statement.add_inline(draw);
        }
        statement.add_filter(draw);
        if draw.chance(40) {
            statement.add_existence(draw);
        }
        statement
    }

    fn person(draw: &mut Draw<'_>) -> Self {
        let contract = draw.one(&draw.schema.protected).unwrap();
        let table = Place::table(&contract, "i");
        let person = table.person.clone().unwrap();
        let mut columns = vec!["i.organisation".to_owned(), format!("i.{person}")];
        let mut derived = Place { many: false, ..derived_from(&table, "a") };
        derived.columns = vec![column_of(&table, &person)];
        let mut group = format!("i.organisation, i.{person}");
        if draw.chance(20) {
            let key = draw.one(&table.dimensions()).unwrap();
            columns.push(format!("{} AS part", key.sql));
            derived
                .columns
                .push(ColumnContract { name: "part".to_owned(), ..key.contract.clone() });
            derived.many = true;
            group.push_str(&format!(", {}", key.sql));
        }
        columns.push("count(*) AS n".to_owned());
        derived.columns.push(number("n", DataType::Int64, Some((0.0, 1e18))));
        for (place, measure) in table.measures().into_iter().enumerate() {
            let name = format!("x{place}");
            let function = draw.of(&["sum", "max", "min", "avg"].map(str::to_owned));
            columns.push(format!("{function}({}) AS {name}", measure.sql));
            let same = ColumnContract { name, range: None, ..measure.contract.clone() };
            derived.columns.push(ColumnContract { roles: vec![Role::Measure], ..same });
        }
        if draw.chance(60) {
            let key = draw.one(&table.dimensions()).unwrap();
            if key.kind == Kind::Flag {
                columns.push(format!("bool_or({}) AS d", draw.on(&key)));
            } else {
                columns.push(format!("min({}) AS d", key.sql));
            }
            derived.columns.push(ColumnContract {
                name: "d".to_owned(),
                nullable: true,
                ..key.contract
            });
        }
        let mut rest = format!("FROM {} AS i", contract.name);
        if draw.chance(40) {
            rest.push_str(&format!(" WHERE {}", draw.condition(&table)));
        }
        rest.push_str(&format!(" GROUP BY {group}"));
        let mut statement = Self::bare(&contract, derived);
        statement.inner = Some(Inner { table, columns, rest, windows: false });
        if draw.chance(30) {
            statement.add_people(draw);
        }
        statement.add_filter(draw);
        if draw.chance(20) {
            statement.add_existence(draw);
        }
        statement
    }

    fn windows(draw: &mut Draw<'_>) -> Self {
        let many: Vec<_> =
            draw.schema.protected.iter().filter(|c| !c.one_row_per_person()).collect();
        let contract = Arc::clone(draw.one(&many).unwrap());
        let table = Place::table(&contract, "i");
        let person = table.person.clone().unwrap();
        let kept = |c: &&ColumnContract| !c.has_role(Role::Identifier) || c.name == person;
        let mut derived = derived_from(&table, "a");
        derived.columns = table.columns.iter().filter(kept).cloned().collect();
        let mut columns = vec!["i.organisation".to_owned()];
        columns.extend(derived.columns.iter().map(|column| format!("i.{}", column.name)));
        let orders: Vec<Column> = table
            .dimensions()
            .into_iter()
            .filter(|c| matches!(c.kind, Kind::Date | Kind::Moment))
            .collect();
        let order = draw.one(&orders).or_else(|| draw.one(&table.dimensions())).unwrap();
        let ties = table.identifiers().into_iter().find(|c| c.contract.within_person);
        let ties = ties.filter(|_| draw.chance(60)).map(|c| format!(", {}", c.sql));
        let over = format!(
            "OVER (PARTITION BY i.organisation, i.{person} ORDER BY {}{})",
            order.sql,
            ties.unwrap_or_default()
        );
        let rank = draw.of(&["row_number", "rank", "dense_rank"].map(str::to_owned));
        columns.push(format!("{rank}() {over} AS place"));
        derived.columns.push(number("place", DataType::Int64, Some((0.0, 1e18))));
        let beside = draw.of(&["lag", "lead", "first_value"].map(str::to_owned));
        columns.push(format!("{beside}({}) {over} AS beside", order.sql));
        let own = ColumnContract { name: "beside".to_owned(), nullable: true, ..order.contract };
        derived.columns.push(own);
        let rest = format!("FROM {} AS i", contract.name);
        let mut statement = Self::bare(&contract, derived);
        statement.inner = Some(Inner { table, columns, rest, windows: true });
        statement.filter.push(format!("a.place = {}", 1 + draw.below(2)));
        // What a window counts is not added up.
        for column in &mut statement.places[0].columns {
            if column.name == "place" {
                column.roles.clear();
            }
        }
        statement
    }

    fn uptake(draw: &mut Draw<'_>) -> Self {
        let (people, many) = tables_of(draw);
        let place = Place::table(&people, "a");
        let other = Place { optional: true, ..Place::table(&many, "u") };
        let inner = Place::table(&many, "j");
        let person = other.person.clone().unwrap();
        let mut statement = Self::bare(&people, place.clone());
        statement.joins.push(format!(
            "LEFT JOIN (SELECT DISTINCT j.organisation, j.{person} FROM {} AS j WHERE {}) AS u ON {}",
            many.name,
            draw.condition(&inner),
            other.same_person(&place)
        ));
        statement.measures = vec!["count(*)".to_owned(), format!("count({})", other.person_sql())];
        if draw.chance(50) {
            statement.measures.push(format!("count(DISTINCT {})", place.person_sql()));
        }
        statement.add_filter(draw);
        statement.add_keys(draw);
        statement.add_end(draw);
        statement
    }

    fn estimates(draw: &mut Draw<'_>) -> Self {
        let with_bins = |c: &Column| !c.contract.bins.is_empty();
        let all: Vec<_> = draw.schema.protected.to_vec();
        let has = |c: &Arc<TableContract>| Place::table(c, "a").measures().iter().any(with_bins);
        let all: Vec<_> = all.into_iter().filter(has).collect();
        let contract = draw.one(&all).unwrap();
        let mut statement = Self::bare(&contract, Place::table(&contract, "a"));
        statement.add_filter(draw);
        let mut measures = statement.places[0].measures();
        measures.retain(with_bins);
        let c = draw.one(&measures).unwrap().sql;
        let all = [
            format!("median({c})"),
            format!("approx_median({c})"),
            format!("approx_percentile_cont({c}, 0.{})", 10 + draw.below(80)),
            format!("percentile_cont(0.25) WITHIN GROUP (ORDER BY {c})"),
            format!("approx_percentile_cont(0.75) WITHIN GROUP (ORDER BY {c} DESC)"),
        ];
        statement.measures = (0..=draw.below(2)).map(|_| draw.of(&all)).collect();
        if draw.chance(60) {
            statement.add_keys(draw);
        }
        statement
    }

    fn values(draw: &mut Draw<'_>) -> Self {
        let contract = draw.one(&draw.schema.protected).unwrap();
        let mut statement = Self::bare(&contract, Place::table(&contract, "a"));
        statement.add_filter(draw);
        let column = draw.one(&statement.places[0].dimensions()).unwrap();
        statement.measures.push(format!("count(DISTINCT {})", column.sql));
        if draw.chance(40) {
            statement.add_keys(draw);
        }
        statement
    }

    // ------------------------------------------------------------------------- joins

    /// Perhaps joins the table with one row per person.
    fn add_people(&mut self, draw: &mut Draw<'_>) {
        if !draw.chance(40) {
            return;
        }
        let (people, _) = tables_of(draw);
        let mut other = Place { optional: draw.chance(40), ..Place::table(&people, "p") };
        let kind = if other.optional { "LEFT JOIN" } else { "JOIN" };
        let mut on = other.same_person(&self.places[0]);
        // By the number that a person has everywhere, where both have it.
        let wide = |c: &&ColumnContract| {
            c.within_person && c.unique && other.columns.iter().any(|own| own == *c)
        };
        let shared = self.places[0].columns.iter().find(wide).map(|c| c.name.clone());
        if let Some(name) = shared.filter(|_| self.inner.is_none() && draw.chance(50)) {
            on = format!("p.organisation = a.organisation AND p.{name} = a.{name}");
        }
        self.joins.push(format!("{kind} {}{} AS p ON {on}", self.prefix, people.name));
        other.many = false;
        self.places.push(other);
    }

    /// Perhaps joins an open table on a whole key.
    pub(super) fn add_open(&mut self, draw: &mut Draw<'_>, alias: &str, kind: &str) {
        let contract = draw.one(&draw.schema.open).unwrap();
        let optional = kind.starts_with("LEFT");
        let other = Place { optional, ..Place::table(&contract, alias) };
        let Some(key) = draw.one(&contract.keys) else { return };
        let mut on = vec![];
        if !contract.reference {
            on.push(format!("{alias}.organisation = a.organisation"));
        }
        for name in &key {
            let column = other.all().find(|c| c.contract.name == *name).unwrap();
            let mut all = self.places[0].dimensions();
            all.retain(|c| c.kind == column.kind);
            let Some(dimension) = draw.one(&all) else { return };
            on.push(format!("{} = {}", column.sql, dimension.sql));
        }
        self.joins.push(format!("{kind} {} AS {alias} ON {}", contract.name, on.join(" AND ")));
        self.places.push(other);
    }

    /// Perhaps joins rows of constants, each with a value of its own.
    fn add_inline(&mut self, draw: &mut Draw<'_>) {
        let mut all = self.places[0].dimensions();
        all.retain(|c| c.kind == Kind::Text && c.contract.domain.len() > 1);
        let Some(column) = draw.one(&all) else { return };
        let first = draw.below(column.contract.domain.len() - 1);
        let rows: Vec<String> = column.contract.domain[first..]
            .iter()
            .enumerate()
            .map(|(place, value)| format!("('{value}', 'label {}')", place % 2))
            .collect();
        let values = rows.join(", ");
        self.joins.push(format!("JOIN (VALUES {values}) AS v (c, label) ON v.c = {}", column.sql));
        self.keys.push("v.label".to_owned());
    }

    // ------------------------------------------------------------------------- conditions

    fn add_filter(&mut self, draw: &mut Draw<'_>) {
        for place in self.places.clone() {
            // NULLs of an optional side that no row meets would make it an inner join.
            if draw.chance(40) && !place.optional {
                self.filter.push(draw.condition(&place));
            }
        }
        if self.prefix.is_empty() && draw.chance(10) {
            let organisation = draw.of(&draw.schema.organisations);
            let operator = draw.of(&["=".to_owned(), "<>".to_owned()]);
            self.filter.push(format!("a.organisation {operator} '{organisation}'"));
        }
    }

    /// EXISTS, NOT EXISTS or IN of the same person.
    fn add_existence(&mut self, draw: &mut Draw<'_>) {
        let contract = draw.one(&draw.schema.protected).unwrap();
        let other = Place::table(&contract, "e");
        let table = format!("{}{} AS e", self.prefix, contract.name);
        let condition = draw.condition(&other);
        let (own, theirs) = (self.places[0].person_sql(), other.person_sql());
        let same = other.same_person(&self.places[0]);
        let not = if draw.chance(40) { "NOT " } else { "" };
        self.filter.push(match draw.chance(30) {
            true => format!(
                "{own} IN (SELECT {theirs} FROM {table} WHERE \
                 e.organisation = a.organisation AND {condition})"
            ),
            false => {
                format!("{not}EXISTS (SELECT 1 FROM {table} WHERE {same} AND {condition})")
            }
        });
    }

    // ------------------------------------------------------------------------- what comes out

    fn add_keys(&mut self, draw: &mut Draw<'_>) {
        for _ in 0..draw.below(3) {
            let place = draw.one(&self.places).unwrap();
            let key = draw.key(&place);
            self.keys.push(key);
        }
        if draw.chance(20) {
            let days = self.places[0].days();
            let mut all = vec!["'all'".to_owned(), "a.organisation".to_owned()];
            all.extend(days.map(|d| format!("CASE WHEN {d} < 7 THEN 'week' ELSE 'longer' END")));
            self.keys.push(draw.of(&all));
        }
    }

    /// Measures, with at most one condition among them.
    fn add_measures(&mut self, draw: &mut Draw<'_>) {
        let people: Vec<Place> =
            self.places.iter().filter(|p| p.person.is_some()).cloned().collect();
        let whole: Vec<Place> = people.into_iter().filter(|p| !p.optional).collect();
        let condition = draw.chance(45).then(|| draw.condition(&self.places[0]));
        let person = self.places[0].person_sql();
        let filter = |draw: &mut Draw<'_>| match &condition {
            Some(condition) if draw.chance(60) => format!(" FILTER (WHERE {condition})"),
            _ => String::new(),
        };
        for _ in 0..=draw.below(3) {
            let place = draw.one(&whole).unwrap();
            let mut all = vec!["count(*)".to_owned(), format!("count(DISTINCT {person})")];
            all.extend(place.counts(draw));
            all.extend(place.sums(draw));
            let measure = format!("{}{}", draw.of(&all), filter(draw));
            let plain = measure.ends_with(')') && measure.starts_with("sum(");
            self.measures.push(match draw.below(6) {
                0 if plain => format!("2 * {measure}"),
                1 if plain => format!("round({measure}, 1)"),
                _ => measure,
            });
        }
        // A CASE is read as a whole, and so for what is added up: what a window repeats is no part of it.
        let simple =
            |condition: &String| !condition.contains(".beside") && !condition.contains("CASE");
        let condition = condition.filter(simple);
        if let Some(condition) = condition.filter(|_| draw.chance(40)) {
            let mut all = vec![
                format!("sum(CASE WHEN {condition} THEN 1 ELSE 0 END)"),
                format!("count(CASE WHEN {condition} THEN 1 END)"),
            ];
            all.extend(
                draw.one(&self.places[0].measures())
                    .map(|c| format!("sum(CASE WHEN {condition} THEN {} ELSE 0 END)", c.sql)),
            );
            self.measures.push(draw.of(&all));
        }
    }

    fn add_end(&mut self, draw: &mut Draw<'_>) {
        if draw.chance(25) {
            self.having = Some("count(*) > 20".to_owned());
        }
        if draw.chance(25) {
            self.tail = format!(" ORDER BY {} DESC LIMIT 5", self.keys.len() + 1);
        }
    }
}

impl Inner {
    pub(super) fn sql(&self) -> String {
        format!("SELECT {} {}", self.columns.join(", "), self.rest)
    }
}

impl Place {
    /// The days between two dates of this relation.
    pub(super) fn days(&self) -> Option<String> {
        let mut dates = self.dimensions().into_iter().filter(|c| c.kind == Kind::Date);
        let (first, second) = (dates.next()?, dates.next()?);
        Some(format!("{} - {}", first.sql, second.sql))
    }

    fn counts(&self, draw: &mut Draw<'_>) -> Option<String> {
        let mut all = if self.derived { vec![] } else { self.dimensions() };
        all.extend(self.measures());
        draw.one(&all).map(|c| format!("count({})", c.sql))
    }

    fn sums(&self, draw: &mut Draw<'_>) -> Vec<String> {
        let measures = self.measures();
        let mut all = vec![];
        for c in measures.iter().map(|c| &c.sql) {
            all.push(format!("sum({c})"));
            all.push(format!("avg({c})"));
        }
        if let [a, b, ..] = measures.as_slice() {
            all.push(format!("sum({} + {})", a.sql, b.sql));
            all.push(format!("avg({} - {})", a.sql, b.sql));
        }
        for (a, b) in &self.products {
            all.push(format!("sum({0}.{a} * {0}.{b})", self.alias));
        }
        all.extend(self.days().filter(|_| !self.derived).map(|days| format!("avg({days})")));
        let continuous: Vec<Column> =
            measures.into_iter().filter(|c| c.contract.continuous).collect();
        for c in &continuous {
            for function in ["stddev", "var_pop", "stddev_pop"] {
                all.push(format!("{function}({})", c.sql));
            }
        }
        if let [a, b, ..] = continuous.as_slice() {
            let functions = ["corr", "covar_samp", "regr_slope", "regr_r2"].map(str::to_owned);
            all.push(format!("{}({}, {})", draw.of(&functions), a.sql, b.sql));
        }
        all
    }
}

/// The table with one row per person, and one with several.
fn tables_of(draw: &mut Draw<'_>) -> (Arc<TableContract>, Arc<TableContract>) {
    let all = draw.schema.protected.to_vec();
    let (one, many): (Vec<_>, Vec<_>) = all.into_iter().partition(|c| c.one_row_per_person());
    (draw.one(&one).unwrap(), draw.one(&many).unwrap())
}

fn derived_from(table: &Place, alias: &str) -> Place {
    Place { alias: alias.to_owned(), derived: true, products: vec![], ..table.clone() }
}

fn column_of(table: &Place, name: &str) -> ColumnContract {
    table.columns.iter().find(|column| column.name == name).unwrap().clone()
}

fn number(name: &str, data_type: DataType, range: Option<(f64, f64)>) -> ColumnContract {
    ColumnContract {
        name: name.to_owned(),
        data_type,
        nullable: false,
        roles: vec![Role::Measure],
        scope: None,
        within_person: false,
        within_organisation: false,
        unique: false,
        continuous: false,
        range,
        bins: vec![],
        domain: vec![],
        description: String::new(),
    }
}
