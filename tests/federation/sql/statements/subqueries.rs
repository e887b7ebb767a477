//! Subqueries in conditions and columns, correlated and not.

use super::*;

impl Draw<'_> {
    /// A condition with a subquery in it.
    pub(super) fn subquery_condition(&mut self, outer: &[Relation]) -> Option<String> {
        let not = self.one(&["", "", "NOT "]);
        let condition = match self.below(8) {
            0..=2 => {
                let (inner, pairs) = self.joining(outer, 0)?;
                let list = self.one(&["1", "*"]);
                let and = self.and_condition(&inner);
                format!(
                    "{not}EXISTS (SELECT {list} FROM {} WHERE {}{and})",
                    inner.from(),
                    equalities(&pairs)
                )
            }
            3..=5 => {
                let (inner, mut pairs) = self.joining(outer, 0)?;
                let at = self.below(pairs.len());
                let (x, y) = pairs.remove(at);
                let (mut words, mut rest) = (" WHERE ", String::new());
                if !pairs.is_empty() {
                    rest = format!("{words}{}", equalities(&pairs));
                    words = " AND ";
                }
                if self.chance(60) {
                    rest.push_str(&format!("{words}{}", self.condition(&inner.scope(), 1)));
                }
                if pairs.is_empty() && self.chance(30) {
                    let having = self.measure(&inner.scope());
                    let having = self.condition(&[having], 0);
                    rest.push_str(&format!(" GROUP BY {y} HAVING {having}"));
                }
                format!("{x} {not}IN (SELECT {y} FROM {}{rest})", inner.from())
            }
            6 => {
                let scalar = self.scalar_subquery()?;
                let scope: Vec<Item> = outer.iter().flat_map(Relation::scope).collect();
                let fits = |item: &Item| item.kind.is_number() && !item.key;
                let x = self.pick(&scope, fits)?;
                let operator = self.one(&["<", ">", "<=", ">="]);
                format!("{} {operator} {}", x.sql, scalar.sql)
            }
            _ => {
                // More, or less, than usual among those like it.
                let outer = self.one(outer);
                let inner = Relation { alias: self.alias(), ..outer.clone() };
                if inner.text.starts_with('(') {
                    return None;
                }
                let fits =
                    |item: &Item| matches!(item.kind, Kind::Int | Kind::Decimal) && !item.key;
                let x = self.pick(&outer.items, fits)?;
                let like = self.pick(&outer.items, |item| item.kind == Kind::Text)?;
                let function = self.one(&["avg", "max", "min"]);
                let operator = self.one(&["<", ">", "<=", ">="]);
                format!(
                    "{} {operator} (SELECT {function}({}) FROM {} WHERE {} = {})",
                    outer.qualified(&x.sql),
                    inner.qualified(&x.sql),
                    inner.from(),
                    inner.qualified(&like.sql),
                    outer.qualified(&like.sql),
                )
            }
        };
        Some(condition)
    }

    pub(super) fn and_condition(&mut self, relation: &Relation) -> String {
        match self.chance(60) {
            true => format!(" AND {}", self.condition(&relation.scope(), 1)),
            false => String::new(),
        }
    }

    /// One number about a table.
    pub(super) fn scalar_subquery(&mut self) -> Option<Item> {
        let inner = self.plain();
        let mut measure = self.measure(&inner.scope());
        while !measure.kind.is_number() {
            measure = self.measure(&inner.scope());
        }
        let filter = match self.chance(50) {
            true => format!(" WHERE {}", self.condition(&inner.scope(), 1)),
            false => String::new(),
        };
        let sql = format!("(SELECT {} FROM {}{filter})", measure.sql, inner.from());
        Some(Item::new(sql, measure.kind))
    }

    /// One value about what belongs to each row.
    pub(super) fn correlated_subquery(&mut self, outer: &[Relation]) -> Option<Item> {
        let (inner, pairs) = self.joining(outer, 0)?;
        let measure = self.measure(&inner.scope());
        let and = self.and_condition(&inner);
        let sql = format!(
            "(SELECT {} FROM {} WHERE {}{and})",
            measure.sql,
            inner.from(),
            equalities(&pairs)
        );
        Some(Item::new(sql, measure.kind))
    }
}
