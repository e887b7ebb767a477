//! One DataFusion over the union of what nodes serve, and questions narrowed to one organisation.
//!
//! Main entries: [`union`], [`narrowed`].

use datafusion::prelude::SessionContext;
use hedgerow::demo::CONTRACTS;
use hedgerow_catalog::{Contracts, NodeTables, TableState};

use crate::answers::{Value, values};
use crate::world::World;

/// One DataFusion over the union of what the nodes of `organisations` serve.
pub(crate) async fn union(world: &World, organisations: &[String]) -> SessionContext {
    let context = SessionContext::new();
    let contracts = Contracts::load(&world.config(&organisations[0]).contracts).unwrap();
    let mut opened = vec![];
    for organisation in organisations {
        let config = world.config(organisation);
        let tables = NodeTables::open(&config, &contracts, &context.state()).await.unwrap();
        opened.push((organisation, tables));
    }
    for contract in contracts.iter() {
        let name = &contract.name;
        let mut parts = vec![];
        for (organisation, tables) in &opened {
            let Some(state) = tables.get(name) else { continue };
            let TableState::Conforming(table) = state else {
                panic!("{name} of {organisation} does not conform: {state:?}");
            };
            let own = format!("{organisation}__{name}");
            context.register_table(&own, table.provider.clone()).unwrap();
            parts.push(format!("SELECT '{organisation}' AS organisation, * FROM {own}"));
            if contract.reference {
                break;
            }
        }
        let view = format!("CREATE VIEW {name} AS {}", parts.join(" UNION ALL "));
        context.sql(&view).await.unwrap().collect().await.unwrap();
    }
    context
}

/// What a DataFusion answers.
pub(crate) async fn over(context: &SessionContext, sql: &str) -> Vec<Vec<Value>> {
    let run = async || context.sql(sql).await?.collect().await;
    values(&run().await.unwrap_or_else(|error| panic!("{error}\n{sql}")))
}

/// The question with every table taken from the schema of one organisation.
pub(super) fn narrowed(sql: &str, organisation: &str) -> String {
    let mut text = String::new();
    let mut before = "";
    for word in sql.split_inclusive(char::is_whitespace) {
        let name = word.trim_end();
        let named = before == "FROM" || before == "JOIN";
        if named && CONTRACTS.iter().any(|(table, _)| *table == name) {
            text.push_str(&format!("{organisation}."));
        }
        text.push_str(word);
        if !name.is_empty() {
            before = name;
        }
    }
    assert_ne!(text, sql, "no table was found");
    text
}
