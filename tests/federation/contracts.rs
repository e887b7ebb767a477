//! Contracts that several tests share.

/// An open table of wards and their beds.
pub(crate) const WARD: &str = r#"
name = "ward"
version = 1
protection = "open"
[[columns]]
name = "ward"
type = "utf8"
roles = ["open"]
[[columns]]
name = "beds"
type = "int64"
roles = ["open"]
"#;

/// An open table of numbers and a word for each.
pub(crate) const NUMBER: &str = r#"
name = "number"
version = 1
protection = "open"
[[columns]]
name = "n"
type = "int64"
roles = ["open"]
[[columns]]
name = "word"
type = "utf8"
roles = ["open"]
"#;

/// A protected table of visits of people to sites.
pub(crate) const VISIT: &str = r#"
name = "visit"
version = 1
person = { column = "person_number", scope = "organisation" }
[[columns]]
name = "person_number"
type = "int64"
roles = ["identifier"]
[[columns]]
name = "site"
type = "utf8"
roles = ["dimension"]
[[columns]]
name = "units"
type = "int64"
roles = ["measure"]
"#;
