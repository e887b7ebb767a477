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
