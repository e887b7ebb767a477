//! Window functions, over rows and over groups.

use super::*;

impl Draw<'_> {
    /// A window function, where `complete` orders all rows.
    pub(super) fn window(&mut self, items: &[Item], complete: &str) -> Item {
        let exact = |item: &Item| item.kind.is_exact();
        let number = |item: &Item| item.key || item.is_organisation();
        let part = match self.chance(35) {
            true => self.pick(items, number),
            false => self.pick(items, exact).filter(|_| self.chance(65)),
        };
        let part = part.map(|item| format!("PARTITION BY {}", item.sql)).unwrap_or_default();
        let order = format!("{part} ORDER BY {complete}");
        let number = |item: &Item| matches!(item.kind, Kind::Int | Kind::Decimal) && !item.key;
        if let Some(x) = self.pick(items, number).filter(|_| self.chance(50)) {
            let sql = &x.sql;
            return match self.below(5) {
                0 => Item::new(format!("sum({sql}) OVER ({part})"), x.kind),
                1 => Item::new(format!("sum({sql}) OVER ({order})"), x.kind),
                2 => Item::new(
                    format!("sum({sql}) OVER ({order} ROWS BETWEEN 2 PRECEDING AND CURRENT ROW)"),
                    x.kind,
                ),
                3 => Item::new(format!("max({sql}) OVER ({part})"), x.kind),
                _ => Item::new(format!("rank() OVER ({part} ORDER BY {sql} DESC)"), Kind::Int),
            };
        }
        let any = self.pick(items, exact);
        match (self.below(6), any) {
            (0, Some(x)) => Item::new(format!("lag({}) OVER ({order})", x.sql), x.kind),
            (1, Some(x)) => Item::new(format!("first_value({}) OVER ({order})", x.sql), x.kind),
            (2, Some(x)) => {
                let dense = format!("dense_rank() OVER ({part} ORDER BY {})", x.sql);
                Item::new(dense, Kind::Int)
            }
            (3, _) => Item::new(format!("count(*) OVER ({part})"), Kind::Int),
            (4, _) => Item::new(format!("ntile(4) OVER ({order})"), Kind::Int),
            _ => Item::new(format!("row_number() OVER ({order})"), Kind::Int),
        }
    }

    pub(super) fn windows_over_rows(&mut self, depth: usize) -> Select {
        let from = self.from(depth);
        let scope = from.scope();
        let names = from.unique();
        let complete = names.join(", ");
        let mut outputs: Vec<Item> =
            scope.iter().filter(|item| names.contains(&item.sql)).cloned().collect();
        let unique: Option<Vec<usize>> = Some((0..outputs.len()).collect());
        outputs.push(self.one(&scope));
        for _ in 0..=self.below(2) {
            outputs.push(self.window(&scope, &complete));
        }
        let filter = self.filter(&from, depth);
        let (list, outputs) = self.list(&from, outputs);
        let sql = format!("SELECT {list} FROM {}{filter}", from.text);
        Select { sql, outputs, unique }
    }

    pub(super) fn windows_over_groups(&mut self, depth: usize) -> Select {
        let from = self.from(depth);
        let scope = from.scope();
        let keys = self.keys(&scope, false, &[1, 1, 2]);
        if keys.is_empty() {
            return self.groups(depth);
        }
        let complete: Vec<&str> = keys.iter().map(|key| key.sql.as_str()).collect();
        let complete = complete.join(", ");
        let measures: Vec<Item> = (0..=self.below(2)).map(|_| self.measure(&scope)).collect();
        let unique = Some((0..keys.len()).collect());
        let mut over = keys.clone();
        over.extend(measures.iter().cloned());
        let mut outputs = over.clone();
        for _ in 0..=self.below(2) {
            outputs.push(self.window(&over, &complete));
        }
        if self.chance(20) {
            let share = "100.0 * count(*) / sum(count(*)) OVER ()".to_owned();
            outputs.push(Item::new(share, Kind::Float));
        }
        let filter = self.filter(&from, depth);
        let group_by = self.group_by(&keys);
        let (list, outputs) = self.list(&from, outputs);
        let sql = format!("SELECT {list} FROM {}{filter}{group_by}", from.text);
        Select { sql, outputs, unique }
    }
}
