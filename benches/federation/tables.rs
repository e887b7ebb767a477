//! Which TPC-H table is where, and the contracts it is served by. Main item: [`TABLES`].

use arrow::datatypes::{DataType, Field, Schema};

use crate::Failure;

/// Nodes of the federation.
pub(crate) const NODES: usize = 4;

/// Where the rows of a table are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Home {
    /// Each row at one node: that of the number in this column.
    Split(&'static str),
    /// All rows at every node.
    Everywhere,
}

/// One table of the data.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) home: Home,
    /// Numbers that each organisation gives on its own.
    identifiers: &'static [&'static str],
    /// Columns that together name a row.
    key: &'static [&'static str],
    /// The table once more, with customers as people.
    pub(crate) protected: Option<Protected>,
}

/// A second contract over the same files, under which rows are about people.
#[derive(Debug)]
pub(crate) struct Protected {
    pub(crate) name: &'static str,
    person: &'static str,
    /// Other columns that name one thing of one person.
    identifiers: &'static [&'static str],
    /// Columns that sums and means are taken of.
    measures: &'static [&'static str],
}

const LINEITEM_PROTECTED: Protected = Protected {
    name: "lineitem_protected",
    person: "l_custkey",
    identifiers: &["l_orderkey"],
    measures: &["l_quantity", "l_extendedprice", "l_discount", "l_tax"],
};

/// The tables that are made. `lineitem` has its order's customer in `l_custkey`; `nation_part` is
/// `nation` split by its key, as a small table with rows at every node.
pub(crate) const TABLES: [Table; 9] = [
    split("customer", "c_custkey", &["c_custkey"], &["c_custkey"]),
    split("orders", "o_custkey", &["o_orderkey", "o_custkey"], &["o_orderkey"]),
    Table {
        protected: Some(LINEITEM_PROTECTED),
        ..split(
            "lineitem",
            "l_custkey",
            &["l_orderkey", "l_custkey"],
            &["l_orderkey", "l_linenumber"],
        )
    },
    everywhere("part", &["p_partkey"]),
    everywhere("supplier", &["s_suppkey"]),
    everywhere("partsupp", &["ps_partkey", "ps_suppkey"]),
    everywhere("nation", &["n_nationkey"]),
    everywhere("region", &["r_regionkey"]),
    NATION_PART,
];

/// The small table that is split.
pub(crate) const NATION_PART: Table = split("nation_part", "n_nationkey", &[], &["n_nationkey"]);

const fn split(
    name: &'static str,
    by: &'static str,
    identifiers: &'static [&'static str],
    key: &'static [&'static str],
) -> Table {
    Table { name, home: Home::Split(by), identifiers, key, protected: None }
}

const fn everywhere(name: &'static str, key: &'static [&'static str]) -> Table {
    Table { name, home: Home::Everywhere, identifiers: &[], key, protected: None }
}

impl Table {
    /// How many files it has.
    pub(crate) fn parts(&self) -> usize {
        match self.home {
            Home::Split(_) => NODES,
            Home::Everywhere => 1,
        }
    }

    /// Number of the file with a node's rows.
    pub(crate) fn part_of(&self, node: usize) -> usize {
        node.min(self.parts() - 1)
    }

    /// Its contracts as TOML, by name.
    pub(crate) fn contracts(
        &self,
        schema: &Schema,
    ) -> Result<Vec<(&'static str, String)>, Failure> {
        let mut contracts = vec![(self.name, self.open_contract(schema)?)];
        if let Some(protected) = &self.protected {
            contracts.push((protected.name, protected.contract(schema)?));
        }
        Ok(contracts)
    }

    fn open_contract(&self, schema: &Schema) -> Result<String, Failure> {
        let head = format!(
            "name = \"{}\"\nversion = 1\nprotection = \"open\"\nreference = {}\n\
             keys = [{:?}]\n",
            self.name,
            self.home == Home::Everywhere,
            self.key
        );
        contract(head, schema, |name| match self.identifiers.contains(&name) {
            true => {
                "roles = [\"identifier\"]\nscope = \"organisation\"\n\
                     within_organisation = true\n"
            }
            false => "roles = [\"open\"]\n",
        })
    }
}

impl Protected {
    fn contract(&self, schema: &Schema) -> Result<String, Failure> {
        let head = format!(
            "name = \"{}\"\nversion = 1\nprotection = \"protected\"\n\
             person = {{ column = \"{}\", scope = \"organisation\" }}\n",
            self.name, self.person
        );
        contract(head, schema, |name| {
            if name == self.person {
                "roles = [\"identifier\"]\n"
            } else if self.identifiers.contains(&name) {
                "roles = [\"identifier\"]\nscope = \"organisation\"\nwithin_person = true\n"
            } else if self.measures.contains(&name) {
                "roles = [\"measure\"]\n"
            } else {
                "roles = [\"dimension\"]\n"
            }
        })
    }
}

/// A contract with these columns; `roles` is the rest of a column's table.
pub(crate) fn contract(
    head: String,
    schema: &Schema,
    roles: impl Fn(&str) -> &'static str,
) -> Result<String, Failure> {
    let mut text = head;
    for field in schema.fields() {
        let (name, nullable) = (field.name(), field.is_nullable());
        text.push_str(&format!(
            "[[columns]]\nname = \"{name}\"\ntype = \"{}\"\nnullable = {nullable}\n{}",
            type_name(field)?,
            roles(name)
        ));
    }
    Ok(text)
}

fn type_name(field: &Field) -> Result<String, Failure> {
    Ok(match field.data_type() {
        DataType::Int32 => "int32".to_owned(),
        DataType::Int64 => "int64".to_owned(),
        DataType::Utf8 => "utf8".to_owned(),
        DataType::Date32 => "date32".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal128({precision},{scale})"),
        other => return Err(format!("{other} has no type in contracts").into()),
    })
}
