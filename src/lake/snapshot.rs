//! What the table holds.

use crate::error::Result;
use crate::lake::layout::{DataFile, Partitioning};
use crate::store::Location;

/// One version of a lake.
#[derive(Debug, Clone)]
pub struct Lake {
    location: Location,
    partitioning: Partitioning,
}

impl Lake {
    /// The newest version of the lake, or none where there is no lake.
    pub async fn open(location: &Location) -> Result<Option<Lake>> {
        let _ = location;
        todo!()
    }

    /// Where it is.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// How it is partitioned.
    pub fn partitioning(&self) -> &Partitioning {
        &self.partitioning
    }

    /// The data files.
    pub fn files(&self) -> Result<impl Iterator<Item = DataFile> + '_> {
        Ok(std::iter::empty())
    }
}
