//! `trailhouse export`: the original records of a lake's rows.

use clap::Args;
use futures::StreamExt;

use super::lake::{LakeArgs, MemoryArgs};
use super::{Outcome, ui};
use crate::error::{Context, Result};
use crate::event::rebuild::Rebuilder;
use crate::query::{Session, export_stream};

/// Rebuild the original records of a lake's events
///
/// Writes one JSON object a line on standard output. Each equals the record that was converted, as a JSON value: every
/// field is there, in another order perhaps and without white space.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct ExportArgs {
    #[command(flatten)]
    lake: LakeArgs,

    /// Rebuild only the events for which this SQL condition holds
    #[arg(long, value_name = "SQL")]
    r#where: Option<String>,

    #[command(flatten)]
    memory: MemoryArgs,
}

const EXAMPLES: &str = "\
Examples:
  Everything one access key did, as CloudTrail delivered it:
    trailhouse export s3://org-lake/ --where \"user_identity_access_key_id = 'AKIAEXAMPLE'\"

  A day's events in the form of a delivered log file:
    trailhouse export lake --where \"event_date = '2026-03-01'\" | jq -s '{Records: .}'";

/// Writes the records.
///
/// # Errors
/// Where the lake cannot be read, or the condition is none.
pub async fn run(args: ExportArgs) -> Result<Outcome> {
    let lake = args.lake.open().await?;
    let session = Session::open(&lake, args.memory.memory)?;
    let mut batches = export_stream(&session, args.r#where.as_deref()).await?;
    let rebuilder = Rebuilder;
    let mut lines = Vec::new();
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(crate::query::explain)?;
        lines.clear();
        rebuilder.lines(&batch, &mut lines).context(|| "rebuilding records".into())?;
        if !ui::print_rows(&lines)? {
            break;
        }
    }
    Ok(Outcome::Done)
}
