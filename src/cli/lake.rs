//! What several commands are told in the same way.

use clap::Args;

use super::size::parse_size;
use crate::error::{Error, Result};
use crate::lake::snapshot::Lake;
use crate::store::{Location, Options};

/// Which lake, and how it is reached.
#[derive(Debug, Args)]
pub struct LakeArgs {
    /// The lake, a URL or a path
    #[arg(value_name = "LAKE")]
    lake: String,

    /// Set an option of the lake's store, over the environment (can be repeated)
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_option, display_order = 800)]
    lake_option: Vec<(String, String)>,
}

impl LakeArgs {
    /// Opens the lake, which must be there.
    ///
    /// # Errors
    /// Where it is not, or cannot be read.
    pub async fn open(&self) -> Result<Lake> {
        open_lake(&self.lake, &self.lake_option).await
    }
}

/// Opens a lake, which must be there, with these options of its store.
pub(super) async fn open_lake(text: &str, options: &[(String, String)]) -> Result<Lake> {
    let location = Location::open(text, &Options { pairs: options.to_vec() }).await?;
    Lake::open(&location).await?.ok_or_else(|| {
        Error::failed(format!("there is no lake at {}", location.url))
            .hint(format!("make one: trailhouse convert SOURCE --to {text}"))
    })
}

/// How much memory.
#[derive(Debug, Args)]
pub struct MemoryArgs {
    /// Use about this much memory
    ///
    /// What does not fit is spilled to temporary files by a query, and merged in smaller parts by a compaction.
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_size, display_order = 700)]
    pub memory: u64,
}

/// Reads `KEY=VALUE`.
pub(super) fn parse_option(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Alone {
        #[command(flatten)]
        lake: LakeArgs,
        #[command(flatten)]
        memory: MemoryArgs,
    }

    #[test]
    fn flags_mean_what_their_help_says() {
        let args = ["", "lake/", "--lake-option", "region=eu-west-1=x", "--memory", "512MiB"];
        let alone = Alone::try_parse_from(args).unwrap();
        assert_eq!(alone.lake.lake_option, [("region".to_owned(), "eu-west-1=x".to_owned())]);
        assert_eq!((alone.lake.lake.as_str(), alone.memory.memory), ("lake/", 512 << 20));
        assert_eq!(Alone::try_parse_from(&args[..2]).unwrap().memory.memory, 1 << 30);
        for option in ["region", "=x", ""] {
            assert!(parse_option(option).unwrap_err().contains("KEY=VALUE"), "{option:?}");
        }
    }
}
