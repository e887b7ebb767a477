//! Random statements, as analysts write them. Main type: [`Statement`].

mod inline;
mod sets;
mod subqueries;
mod windows;

use std::collections::BTreeSet;

use super::expressions::{Draw, Item};
use super::schema::{Kind, Schema};

/// One statement.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    /// Without ORDER BY.
    pub(super) sql: String,
    /// Where nothing is in it, rows come in any order.
    pub(super) order: Option<Order>,
}

/// ORDER BY, and LIMIT perhaps.
#[derive(Debug, Clone)]
pub(super) struct Order {
    /// As it is asked.
    pub(super) asked: String,
    /// With all columns that decide where rows are equal in those that are asked.
    pub(super) complete: String,
}

/// Something rows come from: a table, a query in parentheses, a name that WITH defines.
#[derive(Debug, Clone)]
pub(super) struct Relation {
    /// As FROM has it, without an alias.
    text: String,
    alias: String,
    /// Its columns, under their bare names.
    items: Vec<Item>,
    /// Names of which no two rows have the same values.
    unique: Vec<String>,
}

/// Relations joined.
struct From {
    text: String,
    relations: Vec<Relation>,
    /// Conditions of comma joins.
    conditions: Vec<String>,
}

/// A query without ORDER BY: its text, its columns, and which of them tell its rows apart.
struct Select {
    sql: String,
    outputs: Vec<Item>,
    unique: Option<Vec<usize>>,
}

/// Columns equated by a join.
type Pairs = Vec<(String, String)>;

impl Relation {
    /// Its columns, under its alias.
    fn scope(&self) -> Vec<Item> {
        let qualified = |item: &Item| Item { sql: self.qualified(&item.sql), ..item.clone() };
        self.items.iter().map(qualified).collect()
    }

    fn qualified(&self, name: &str) -> String {
        format!("{}.{name}", self.alias)
    }

    fn from(&self) -> String {
        format!("{} {}", self.text, self.alias)
    }

    /// The column with values of one column of a table.
    fn with_origin(&self, table: &str, column: &str) -> Option<String> {
        let is =
            |item: &&Item| item.origin.as_ref().is_some_and(|(t, c)| t == table && c == column);
        self.items.iter().find(is).map(|item| self.qualified(&item.sql))
    }

    /// The ways in which another relation joins this one.
    fn joins(&self, other: &Self, schema: &Schema) -> Vec<Pairs> {
        let mut found = vec![];
        for edge in &schema.edges {
            for (own, theirs, turned) in
                [(edge.left, edge.right, false), (edge.right, edge.left, true)]
            {
                let pair = |(a, b): &(&'static str, &'static str)| {
                    let (a, b) = if turned { (b, a) } else { (a, b) };
                    Some((self.with_origin(own, a)?, other.with_origin(theirs, b)?))
                };
                found.extend(edge.on.iter().map(pair).collect::<Option<Pairs>>());
            }
        }
        let unique = |name: &String| {
            let item = other.items.iter().find(|item| item.sql == *name)?;
            let (table, column) = item.origin.as_ref()?;
            Some((self.with_origin(table, column)?, other.qualified(name)))
        };
        let by_key = other.unique.iter().map(unique).collect::<Option<Pairs>>();
        found.extend(by_key.filter(|pairs| !pairs.is_empty() && within(pairs)));
        found
    }
}

/// Numbers of people mean something within their organisation only.
fn within(pairs: &Pairs) -> bool {
    let has = |name: &str| pairs.iter().any(|(_, column)| column.ends_with(name));
    !has("person_number") || has("organisation")
}

fn equalities(pairs: &Pairs) -> String {
    let list: Vec<String> = pairs.iter().map(|(a, b)| format!("{a} = {b}")).collect();
    list.join(" AND ")
}

impl From {
    fn of(relation: Relation) -> Self {
        let text = relation.from();
        Self { text, relations: vec![relation], conditions: vec![] }
    }

    fn scope(&self) -> Vec<Item> {
        self.relations.iter().flat_map(Relation::scope).collect()
    }

    fn unique(&self) -> Vec<String> {
        let mut all = vec![];
        for relation in &self.relations {
            all.extend(relation.unique.iter().map(|name| relation.qualified(name)));
        }
        all
    }
}

impl Statement {
    /// Draws the statement of a number.
    pub(super) fn draw(draw: &mut Draw<'_>) -> Self {
        (draw.aliases, draw.names) = (0, 0);
        draw.named.clear();
        let mut sql = String::new();
        if draw.chance(18) {
            let count = 1 + draw.below(2);
            let mut list = vec![];
            for name in ["first_part", "second_part"].into_iter().take(count) {
                let mut select = draw.select(1);
                while select.unique.as_ref().is_none_or(Vec::is_empty) {
                    select = draw.select(1);
                }
                list.push(format!("{name} AS ({})", select.sql));
                draw.named.push(relation(name.to_owned(), select));
            }
            sql = format!("WITH {} ", list.join(", "));
        }
        let select = match !draw.named.is_empty() && draw.chance(35) {
            true => draw.self_joined(),
            false => draw.select(2),
        };
        sql.push_str(&select.sql);
        let order = draw.order(&select);
        Self { sql, order }
    }

    /// As it is asked.
    pub(super) fn asked(&self) -> String {
        let order = self.order.as_ref().map(|order| order.asked.as_str());
        format!("{}{}", self.sql, order.unwrap_or_default())
    }
}

fn relation(text: String, select: Select) -> Relation {
    let names: Vec<String> = select.outputs.iter().map(|item| item.sql.clone()).collect();
    let unique = select.unique.into_iter().flatten().map(|index| names[index].clone());
    let unique = unique.collect();
    Relation { text, alias: String::new(), items: select.outputs, unique }
}

impl Draw<'_> {
    fn alias(&mut self) -> String {
        self.aliases += 1;
        match self.aliases {
            number @ 1..=26 => char::from(b'a' + number as u8 - 1).to_string(),
            number => format!("t{number}"),
        }
    }

    /// ORDER BY and LIMIT, or neither.
    fn order(&mut self, select: &Select) -> Option<Order> {
        let all = 0..select.outputs.len();
        let exact = |index: &usize| select.outputs[*index].kind.is_exact();
        let orderable = all.clone().all(|index| exact(&index));
        let complete = match &select.unique {
            Some(unique) => unique.clone(),
            None if orderable => all.clone().collect(),
            None => return None,
        };
        if complete.is_empty() || self.chance(45) {
            return None;
        }
        let mut columns = vec![];
        if self.chance(50) {
            let first = self.below(select.outputs.len());
            columns.extend(Some(first).filter(exact));
        }
        // Rows that are equal in what is asked come in the order of all their columns.
        let ties = orderable && !columns.is_empty() && self.chance(40);
        let first = columns.first().copied();
        if !ties {
            columns.extend(complete.into_iter().filter(|index| Some(*index) != first));
        }
        let by_name = self.chance(50);
        let term = |index: usize, direction: &str| match by_name {
            true => format!("{}{direction}", select.outputs[index].sql),
            false => format!("{}{direction}", index + 1),
        };
        let mut list: Vec<String> = vec![];
        for index in columns {
            let directions = ["", "", "", " DESC", " ASC NULLS FIRST", " DESC NULLS LAST"];
            list.push(term(index, self.one(&directions)));
        }
        let mut limit = String::new();
        if self.chance(55) {
            limit.push_str(&format!(" LIMIT {}", self.one(&[1, 3, 5, 10, 40])));
            if self.chance(15) {
                limit.push_str(&format!(" OFFSET {}", self.one(&[1, 2, 7])));
            }
        }
        let asked = format!(" ORDER BY {}{limit}", list.join(", "));
        if ties {
            list.extend(all.filter(|index| Some(*index) != first).map(|index| term(index, "")));
        }
        Some(Order { asked, complete: format!(" ORDER BY {}{limit}", list.join(", ")) })
    }

    /// A query of any form.
    fn select(&mut self, depth: usize) -> Select {
        match self.below(if depth > 0 { 100 } else { 60 }) {
            0..=14 => self.rows(depth),
            15..=43 => self.groups(depth),
            44..=50 => self.distinct(depth),
            51..=59 => self.grouping_sets(depth),
            60..=67 => self.windows_over_rows(depth),
            68..=75 => self.windows_over_groups(depth),
            76..=85 => self.combined(depth),
            86..=90 => self.joined_groups(depth),
            91..=94 => self.regrouped(depth),
            _ => self.wrapped(depth),
        }
    }

    // ---- FROM ----------------------------------------------------------------------------

    fn base(&mut self) -> Relation {
        let schema = self.schema;
        let table = self.one(&schema.tables);
        let item = |column: super::schema::Column| Item {
            origin: Some((table.name.clone(), column.name.clone())),
            sql: column.name,
            kind: column.kind,
            key: column.key,
            literals: column.literals,
        };
        let items = table.columns.iter().cloned().map(item).collect();
        let unique = table.unique.iter().map(|name| (*name).to_owned()).collect();
        let alias = self.alias();
        Relation { text: table.name.clone(), alias, items, unique }
    }

    /// A table or, where there is one, a name that WITH defines.
    fn plain(&mut self) -> Relation {
        if self.named.is_empty() || self.chance(45) {
            return self.base();
        }
        let named = self.one(&self.named.clone());
        Relation { alias: self.alias(), ..named }
    }

    fn relation(&mut self, depth: usize) -> Relation {
        if depth == 0 || self.chance(88) {
            return self.plain();
        }
        let select = self.select(depth - 1);
        if select.unique.as_ref().is_none_or(Vec::is_empty) {
            return self.plain();
        }
        let text = format!("({})", select.sql);
        Relation { alias: self.alias(), ..relation(text, select) }
    }

    fn from(&mut self, depth: usize) -> From {
        let first = self.relation(depth);
        let mut from = From::of(first);
        let more = self.one(&[0, 0, 0, 0, 1, 1, 1, 2]);
        for _ in 0..more {
            self.join(&mut from, depth);
        }
        from
    }

    /// Joins one more relation, if one is found that joins.
    fn join(&mut self, from: &mut From, depth: usize) {
        let words = ["JOIN", "JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"];
        self.join_by(from, depth, &words);
    }

    fn join_by(&mut self, from: &mut From, depth: usize, words: &[&'static str]) {
        let Some((other, pairs)) = self.joining(&from.relations, depth) else { return };
        let on = equalities(&pairs);
        if !from.conditions.is_empty() || self.chance(12) {
            from.text.push_str(&format!(", {}", other.from()));
            from.conditions.push(on);
        } else {
            let word = self.one(words);
            let mut on = on;
            if self.chance(12) {
                let condition = self.condition(&other.scope(), 0);
                on = format!("{on} AND {condition}");
            }
            from.text.push_str(&format!(" {word} {} ON {on}", other.from()));
        }
        from.relations.push(other);
    }

    fn joining(&mut self, relations: &[Relation], depth: usize) -> Option<(Relation, Pairs)> {
        if self.chance(8)
            && let Some(found) = self.inline(relations)
        {
            return Some(found);
        }
        for _ in 0..12 {
            let before = self.aliases;
            let other = if depth > 0 { self.relation(depth - 1) } else { self.plain() };
            let ways: Vec<Pairs> =
                relations.iter().flat_map(|one| one.joins(&other, self.schema)).collect();
            if !ways.is_empty() {
                let way = self.one(&ways);
                return Some((other, way));
            }
            self.aliases = before;
        }
        None
    }

    /// WHERE, or nothing.
    fn filter(&mut self, from: &From, depth: usize) -> String {
        let mut all = from.conditions.clone();
        let scope = from.scope();
        if !scope.is_empty() && self.chance(60) {
            all.push(self.condition(&scope, 2));
        }
        if depth > 0 && self.chance(30) {
            all.extend(self.subquery_condition(&from.relations));
        }
        if all.is_empty() { String::new() } else { format!(" WHERE {}", all.join(" AND ")) }
    }

    /// Names the columns: bare ones of a single relation keep theirs.
    fn list(&mut self, from: &From, outputs: Vec<Item>) -> (String, Vec<Item>) {
        let mut names = BTreeSet::new();
        let mut texts = vec![];
        let mut named = vec![];
        for item in outputs {
            let bare = item.sql.split_once('.').filter(|(alias, name)| {
                let is_name = |text: &str| text.chars().all(|c| c.is_alphanumeric() || c == '_');
                from.relations.len() == 1 && is_name(alias) && is_name(name)
            });
            let own = bare.map(|(_, name)| name.to_owned());
            let own = own.filter(|name| !names.contains(name));
            let name = own.clone().unwrap_or_else(|| {
                self.names += 1;
                format!("x{}", self.names)
            });
            match own {
                Some(_) => texts.push(item.sql.clone()),
                None => texts.push(format!("{} AS {name}", item.sql)),
            }
            names.insert(name.clone());
            named.push(Item { sql: name, ..item });
        }
        (texts.join(", "), named)
    }

    /// Rows with some of their columns.
    fn rows(&mut self, depth: usize) -> Select {
        let from = self.from(depth);
        let scope = from.scope();
        let mut outputs = vec![];
        let mut unique = None;
        if self.chance(65) {
            let names = from.unique();
            outputs.extend(scope.iter().filter(|item| names.contains(&item.sql)).cloned());
            unique = Some((0..outputs.len()).collect());
        }
        for _ in 0..=self.below(4) {
            outputs.push(self.value(&scope));
        }
        if depth > 0 && self.chance(15) {
            let scalar = match self.chance(60) {
                true => self.correlated_subquery(&from.relations),
                false => self.scalar_subquery(),
            };
            outputs.extend(scalar);
        }
        let filter = self.filter(&from, depth);
        let (list, outputs) = self.list(&from, outputs);
        Select { sql: format!("SELECT {list} FROM {}{filter}", from.text), outputs, unique }
    }

    /// Different rows.
    fn distinct(&mut self, depth: usize) -> Select {
        let from = self.from(depth);
        let scope: Vec<Item> =
            from.scope().into_iter().filter(|item| item.kind.is_exact()).collect();
        let outputs = (0..=self.below(3)).map(|_| self.value(&scope)).collect();
        let filter = self.filter(&from, depth);
        let (list, outputs) = self.list(&from, outputs);
        let unique = Some((0..outputs.len()).collect());
        Select {
            sql: format!("SELECT DISTINCT {list} FROM {}{filter}", from.text),
            outputs,
            unique,
        }
    }

    /// Columns to group by.
    fn keys(&mut self, scope: &[Item], bare: bool, counts: &[usize]) -> Vec<Item> {
        let all = scope;
        let numbers = self.chance(15);
        let scope: Vec<Item> = scope
            .iter()
            .filter(|item| item.kind.is_exact() && (numbers || !item.key))
            .cloned()
            .collect();
        let mut keys: Vec<Item> = vec![];
        for _ in 0..self.one(counts) {
            if scope.is_empty() {
                break;
            }
            let key = if bare { self.one(&scope) } else { self.value(&scope) };
            if keys.iter().all(|known| known.sql != key.sql) {
                keys.push(key);
            }
        }
        // Numbers of people mean something within their organisation only.
        let people = keys.iter().find_map(|key| key.sql.strip_suffix(".person_number"));
        if let Some(alias) = people {
            let organisation = format!("{alias}.organisation");
            if keys.iter().all(|key| key.sql != organisation) {
                keys.extend(all.iter().find(|item| item.sql == organisation).cloned());
            }
        }
        keys
    }

    /// HAVING, or nothing.
    fn having(&mut self, scope: &[Item], depth: usize) -> String {
        if !self.chance(25) {
            return String::new();
        }
        let measure = self.measure(scope);
        let scalar = if depth > 0 && self.chance(20) { self.scalar_subquery() } else { None };
        match scalar.filter(|_| measure.kind.is_number()) {
            Some(scalar) => format!(" HAVING {} > {}", measure.sql, scalar.sql),
            None => format!(" HAVING {}", self.condition(&[measure], 0)),
        }
    }

    /// Groups with aggregates.
    fn groups(&mut self, depth: usize) -> Select {
        let from = self.from(depth);
        let scope = from.scope();
        let keys = self.keys(&scope, false, &[0, 1, 1, 1, 2, 2, 3]);
        let count = keys.len();
        let mut outputs = keys.clone();
        for _ in 0..=self.below(3) {
            outputs.push(self.measure(&scope));
        }
        if depth > 0 && self.chance(6) {
            outputs.extend(self.scalar_subquery());
        }
        let filter = self.filter(&from, depth);
        let group_by = self.group_by(&keys);
        let having = if keys.is_empty() { String::new() } else { self.having(&scope, depth) };
        let (list, outputs) = self.list(&from, outputs);
        let sql = format!("SELECT {list} FROM {}{filter}{group_by}{having}", from.text);
        Select { sql, outputs, unique: Some((0..count).collect()) }
    }

    fn group_by(&mut self, keys: &[Item]) -> String {
        if keys.is_empty() {
            return String::new();
        }
        let by_number = self.chance(40);
        let keys = keys.iter().enumerate().map(|(number, key)| match by_number {
            true => (number + 1).to_string(),
            false => key.sql.clone(),
        });
        format!(" GROUP BY {}", keys.collect::<Vec<_>>().join(", "))
    }

    /// ROLLUP, CUBE, GROUPING SETS.
    fn grouping_sets(&mut self, depth: usize) -> Select {
        let from = self.from(depth);
        let scope = from.scope();
        let keys = self.keys(&scope, true, &[1, 2, 2, 3]);
        if keys.is_empty() {
            return self.groups(depth);
        }
        let names: Vec<&str> = keys.iter().map(|key| key.sql.as_str()).collect();
        let all = names.join(", ");
        let sets = match self.below(3) {
            0 => format!("ROLLUP ({all})"),
            1 => format!("CUBE ({all})"),
            _ => format!("GROUPING SETS (({all}), ({}), ())", names[0]),
        };
        // With one key the first two sets of GROUPING SETS are the same, and groups come twice.
        let sets = match names.len() {
            1 => format!("ROLLUP ({all})"),
            _ => sets,
        };
        let mut outputs = keys.clone();
        let groupings = keys.iter().map(|key| format!("grouping({})", key.sql));
        outputs.extend(groupings.map(|sql| Item::new(sql, Kind::Int)));
        for output in &mut outputs {
            output.origin = None;
        }
        let unique = Some((0..outputs.len()).collect());
        for _ in 0..=self.below(2) {
            outputs.push(self.measure(&scope));
        }
        let filter = self.filter(&from, depth);
        let having = self.having(&scope, 0);
        let (list, outputs) = self.list(&from, outputs);
        let sql = format!("SELECT {list} FROM {}{filter} GROUP BY {sets}{having}", from.text);
        Select { sql, outputs, unique }
    }
}
