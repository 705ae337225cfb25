//! Where everything is in a lake.

use object_store::path::Path;

use crate::error::{Context, Result};
use crate::store::Location;

/// One Parquet file of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFile {
    /// The path relative to the lake's root.
    pub path: String,
    /// The size in bytes.
    pub size: u64,
    /// How many rows it holds.
    pub rows: u64,
    /// The partition columns and their values, in the table's order.
    pub partition: Vec<(String, Option<String>)>,
    /// The file's statistics, Delta's JSON.
    pub stats: String,
}

/// The partition columns of a table, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partitioning(pub Vec<String>);

impl Partitioning {
    /// The columns' names, in order.
    pub fn names(&self) -> Vec<String> {
        self.0.clone()
    }
}

/// The object that `relative`, a path below the lake's root, stands for in the lake's store.
pub fn object(lake: &Location, relative: &str) -> Result<Path> {
    let below =
        Path::parse(relative).context(|| format!("no path of a file in {}: {relative:?}", lake.url))?;
    Ok(lake.prefix.parts().chain(below.parts()).collect())
}
