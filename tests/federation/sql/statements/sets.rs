//! Sets of queries, and queries over queries.

use super::*;

impl Draw<'_> {
    /// UNION, INTERSECT, EXCEPT of two or three queries with the same columns.
    pub(super) fn combined(&mut self, depth: usize) -> Select {
        let from = self.from(depth - 1);
        let scope: Vec<Item> =
            from.scope().into_iter().filter(|item| item.kind.is_exact()).collect();
        let grouped = self.chance(45);
        let (mut outputs, mut group_by) = (vec![], String::new());
        if grouped {
            let keys = self.keys(&scope, false, &[0, 1, 1, 2]);
            group_by = self.group_by(&keys);
            outputs = keys;
            let mut measure = self.measure(&scope);
            while !measure.kind.is_exact() {
                measure = self.measure(&scope);
            }
            outputs.push(measure);
        } else {
            for _ in 0..=self.below(3) {
                outputs.push(self.value(&scope));
            }
        }
        let tables = self.tables_with(&from, &outputs).filter(|_| self.chance(60));
        let (list, outputs) = self.list(&from, outputs);
        let mut sql =
            format!("SELECT {list} FROM {}{}{group_by}", from.text, self.filter(&from, 1));
        let word = self.one(&["UNION ALL", "UNION ALL", "UNION", "UNION", "INTERSECT", "EXCEPT"]);
        for _ in 0..self.one(&[1, 1, 1, 2]) {
            let filter = self.filter(&from, 1);
            let mut next = format!("SELECT {list} FROM {}{filter}{group_by}", from.text);
            if let Some(tables) = &tables {
                let other = self.one(tables);
                let alias = &from.relations[0].alias;
                next = format!("SELECT {list} FROM {other} {alias}{group_by}");
            }
            sql.push_str(&format!(" {word} {next}"));
        }
        // Sets of a left side that is itself a set are read from the left, as long as words agree.
        let unique = (word != "UNION ALL").then(|| (0..outputs.len()).collect());
        let outputs = outputs.into_iter().map(|item| Item { origin: None, ..item }).collect();
        Select { sql, outputs, unique }
    }

    /// Other tables that have all columns that are named.
    fn tables_with(&self, from: &From, outputs: &[Item]) -> Option<Vec<String>> {
        let [only] = from.relations.as_slice() else { return None };
        let named: Vec<(String, Kind)> = only
            .items
            .iter()
            .filter(|item| outputs.iter().any(|o| o.sql.contains(&only.qualified(&item.sql))))
            .map(|item| (item.sql.clone(), item.kind))
            .collect();
        let has = |table: &crate::sql::schema::Table| {
            named.iter().all(|(name, kind)| {
                table.columns.iter().any(|column| column.name == *name && column.kind == *kind)
            })
        };
        let tables = self.schema.tables.iter().filter(|table| has(table));
        let names: Vec<String> =
            tables.map(|table| table.name.clone()).filter(|name| *name != only.text).collect();
        (!names.is_empty()).then_some(names)
    }

    /// A query over a query.
    pub(super) fn wrapped(&mut self, depth: usize) -> Select {
        let inner = self.select(depth - 1);
        let unique = inner.unique.clone().filter(|unique| !unique.is_empty());
        let alias = self.alias();
        let text = format!("({})", inner.sql);
        let derived = Relation { alias, ..relation(text, inner) };
        let scope = derived.scope();
        let from = From::of(derived);
        let filter = match self.chance(60) {
            true => format!(" WHERE {}", self.condition(&scope, 1)),
            false => String::new(),
        };
        if self.chance(45) {
            let outputs = from.relations[0].items.clone();
            let outputs = outputs.into_iter().map(|item| Item { origin: None, ..item }).collect();
            return Select { sql: format!("SELECT * FROM {}{filter}", from.text), outputs, unique };
        }
        let keys = self.keys(&scope, false, &[0, 0, 1, 1, 2]);
        let count = keys.len();
        let mut outputs = keys.clone();
        for _ in 0..=self.below(3) {
            outputs.push(self.measure(&scope));
        }
        let group_by = self.group_by(&keys);
        let (list, outputs) = self.list(&from, outputs);
        let sql = format!("SELECT {list} FROM {}{filter}{group_by}", from.text);
        Select { sql, outputs, unique: Some((0..count).collect()) }
    }

    /// What WITH defines, joined with itself.
    pub(super) fn self_joined(&mut self) -> Select {
        let named = self.one(&self.named.clone());
        let [left, right] = [0; 2].map(|_| Relation { alias: self.alias(), ..named.clone() });
        let pair = |name: &String| (left.qualified(name), right.qualified(name));
        let mut pairs: Pairs = named.unique.iter().map(pair).collect();
        let whole = self.chance(70);
        if !whole {
            pairs.truncate(1);
        }
        if !within(&pairs) {
            return self.select(2);
        }
        let unique: Vec<String> = named.unique.iter().map(|name| left.qualified(name)).collect();
        let word = self.one(&["JOIN", "LEFT JOIN", "FULL JOIN"]);
        let mut from = From::of(left);
        from.text.push_str(&format!(" {word} {} ON {}", right.from(), equalities(&pairs)));
        from.relations.push(right);
        let scope = from.scope();
        let mut outputs: Vec<Item> =
            scope.iter().filter(|item| unique.contains(&item.sql)).cloned().collect();
        let count = outputs.len();
        for _ in 0..=self.below(3) {
            outputs.push(self.value(&scope));
        }
        let filter = self.filter(&from, 0);
        let (list, outputs) = self.list(&from, outputs);
        let sql = format!("SELECT {list} FROM {}{filter}", from.text);
        // What is only on the right has no number on the left.
        let unique = (whole && word != "FULL JOIN").then(|| (0..count).collect());
        Select { sql, outputs, unique }
    }

    /// Two aggregates by the same keys, side by side.
    pub(super) fn joined_groups(&mut self, depth: usize) -> Select {
        let from = self.from(depth - 1);
        let scope = from.scope();
        let keys = self.keys(&scope, false, &[1, 1, 2]);
        if keys.is_empty() {
            return self.groups(depth);
        }
        let mut sides = vec![];
        for _ in 0..2 {
            let mut outputs = keys.clone();
            for _ in 0..=self.below(2) {
                outputs.push(self.measure(&scope));
            }
            let (filter, group_by) = (self.filter(&from, depth - 1), self.group_by(&keys));
            let (list, outputs) = self.list(&from, outputs);
            let sql = format!("(SELECT {list} FROM {}{filter}{group_by})", from.text);
            let select = Select { sql: String::new(), outputs, unique: None };
            sides.push(Relation { alias: self.alias(), ..relation(sql, select) });
        }
        let [left, right]: [Relation; 2] = sides.try_into().unwrap();
        let both = |index: usize| {
            (left.qualified(&left.items[index].sql), right.qualified(&right.items[index].sql))
        };
        let pairs: Pairs = (0..keys.len()).map(both).collect();
        let word = self.one(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "FULL JOIN"]);
        let kept = |(a, b): &(String, String)| match word {
            "RIGHT JOIN" => b.clone(),
            "FULL JOIN" => format!("coalesce({a}, {b})"),
            _ => a.clone(),
        };
        let mut outputs: Vec<Item> = pairs
            .iter()
            .zip(&left.items)
            .map(|(pair, item)| Item { sql: kept(pair), origin: None, ..item.clone() })
            .collect();
        let mut measures = left.scope().split_off(keys.len());
        measures.extend(right.scope().split_off(keys.len()));
        for _ in 0..=self.below(3) {
            outputs.push(self.value(&measures));
        }
        // Groups whose key is NULL meet none, so there may be two of them.
        let unique = (word != "FULL JOIN").then(|| (0..keys.len()).collect());
        let mut from = From::of(left);
        from.text.push_str(&format!(" {word} {} ON {}", right.from(), equalities(&pairs)));
        from.relations.push(right);
        let filter = match self.chance(30) {
            true => format!(" WHERE {}", self.condition(&measures, 1)),
            false => String::new(),
        };
        let (list, outputs) = self.list(&from, outputs);
        Select { sql: format!("SELECT {list} FROM {}{filter}", from.text), outputs, unique }
    }

    /// Groups of an outer join, grouped again by fewer of their keys.
    pub(super) fn regrouped(&mut self, depth: usize) -> Select {
        let first = self.base();
        let mut from = From::of(first);
        self.join_by(&mut from, 0, &["LEFT JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
        let scope = from.scope();
        let numbers: Vec<Item> =
            scope.iter().filter(|item| item.key || item.is_organisation()).cloned().collect();
        if numbers.is_empty() {
            return self.groups(depth);
        }
        let mut keys: Vec<Item> = vec![];
        for _ in 0..3 {
            let key = self.one(&numbers);
            if keys.iter().all(|known| known.sql != key.sql) {
                keys.push(key);
            }
        }
        let mut outputs = keys.clone();
        outputs.push(self.measure(&scope));
        let (filter, group_by) = (self.filter(&from, 0), self.group_by(&keys));
        let (list, outputs) = self.list(&from, outputs);
        let sql = format!("(SELECT {list} FROM {}{filter}{group_by})", from.text);
        let select = Select { sql: String::new(), outputs, unique: None };
        let derived = Relation { alias: self.alias(), ..relation(sql, select) };
        let scope = derived.scope();
        let mut outputs = vec![scope[self.below(keys.len())].clone()];
        let group_by = self.group_by(&outputs);
        for _ in 0..=self.below(2) {
            outputs.push(self.measure(&scope));
        }
        let from = From::of(derived);
        let filter = self.filter(&from, 0);
        let (list, outputs) = self.list(&from, outputs);
        let sql = format!("SELECT {list} FROM {}{filter}{group_by}", from.text);
        Select { sql, outputs, unique: Some(vec![0]) }
    }
}
