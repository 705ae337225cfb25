//! The commits that made a table what it is, as its log describes them.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStoreExt;
use serde_json::Value;

use super::snapshot::{LOG_FOLDER, Lake};
use crate::error::{Context, Result};
use crate::store;

/// Log files read at once.
const AT_ONCE: usize = 16;

/// A commit describes itself in the first line of its log file, which is rarely longer than this (that of a new table
/// is); the files that follow in it may be many.
const FIRST_LINE: u64 = 16 << 10;

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The version of the table that it made.
    pub version: u64,
    /// When it was made.
    pub time: Option<DateTime<Utc>>,
    /// What it did, as Delta calls it: `WRITE`, `OPTIMIZE`, `DELETE`, `CREATE TABLE`.
    pub operation: String,
    /// The run that made it.
    pub run_id: Option<String>,
    /// What the run says it changed, in numbers.
    pub counts: BTreeMap<String, u64>,
}

/// The newest commits, at most this many, the newest first. Those whose log files were deleted are left out.
///
/// # Errors
/// Where the log cannot be read.
pub async fn history(lake: &Lake, most: u64) -> Result<Vec<Commit>> {
    let location = lake.location();
    let first = (lake.version() + 1).saturating_sub(most);
    let read = |version: u64| async move {
        let path = location.prefix.clone().join(LOG_FOLDER).join(format!("{version:020}.json"));
        let start = location.store.get_range(&path, 0..FIRST_LINE).await;
        let Some(start) = found(start, lake)? else { return Ok(None) };
        if let Some(commit) = describe(version, &start) {
            return Ok(Some(commit));
        }
        let whole = match location.store.get(&path).await {
            Ok(got) => got.bytes().await,
            Err(error) => Err(error),
        };
        Ok(found(whole, lake)?.and_then(|whole| describe(version, &whole)))
    };
    let commits = stream::iter((first..=lake.version()).rev()).map(read).buffered(AT_ONCE);
    Ok(commits.try_collect::<Vec<_>>().await?.into_iter().flatten().collect())
}

/// What was read, if it is there.
fn found(read: object_store::Result<Bytes>, lake: &Lake) -> Result<Option<Bytes>> {
    match read {
        Ok(bytes) => Ok(Some(bytes)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => {
            let reading = || format!("reading the history of {}", lake.location().url);
            Err(store::explain(error)).context(reading)
        }
    }
}

fn describe(version: u64, text: &[u8]) -> Option<Commit> {
    let action = |line: &[u8]| serde_json::from_slice::<Value>(line).ok();
    let info = text
        .split(|&byte| byte == b'\n')
        .filter_map(action)
        .find_map(|mut action| action.get_mut("commitInfo").map(Value::take))?;
    let parameters = info.get("operationParameters").and_then(Value::as_object);
    // The table library writes all of them as text.
    let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
    let counts = parameters.into_iter().flatten();
    // Counts are named by one word; what else looks like a number, an id or `targetSize`, is not.
    let is_count = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase());
    let counts = counts.filter(|(name, _)| is_count(name));
    let counts = counts.filter_map(|(name, value)| Some((name.clone(), number(value)?))).collect();
    Some(Commit {
        version,
        time: info.get("timestamp").and_then(Value::as_i64).and_then(DateTime::from_timestamp_millis),
        operation: info.get("operation").and_then(Value::as_str).unwrap_or_default().to_owned(),
        run_id: parameters.and_then(|all| all.get("runId")?.as_str()).map(str::to_owned),
        counts,
    })
}

#[cfg(test)]
mod tests {
    use object_store::path::Path;

    use super::*;
    use crate::lake::commit::{About, Change, Outcome, Purpose, commit};
    use crate::lake::layout::Partitioning;
    use crate::lake::snapshot::tests::in_memory;

    #[tokio::test]
    async fn commits_say_what_they_did() {
        let location = in_memory();
        Lake::create(&location, &Partitioning::default()).await.unwrap();
        for (run, purpose) in [("1", Purpose::Convert), ("b", Purpose::Compact), ("c", Purpose::Expire)] {
            let lake = Lake::open(&location).await.unwrap().unwrap();
            let counts = BTreeMap::from([("rows".to_owned(), 7)]);
            let about = About { purpose, run_id: run.into(), time: DateTime::UNIX_EPOCH, counts };
            let outcome = commit(&lake, &Change::default(), &about).await.unwrap();
            assert!(matches!(outcome, Outcome::Committed { .. }));
        }
        let lake = Lake::open(&location).await.unwrap().unwrap();
        let commits = history(&lake, 10).await.unwrap();
        let found: Vec<(u64, &str, Option<&str>)> = commits
            .iter()
            .map(|commit| (commit.version, commit.operation.as_str(), commit.run_id.as_deref()))
            .collect();
        let expected = [
            (3, "DELETE", Some("c")),
            (2, "OPTIMIZE", Some("b")),
            (1, "WRITE", Some("1")),
            (0, "CREATE TABLE", None),
        ];
        assert_eq!(found, expected);
        assert_eq!((commits[0].counts["rows"], commits[0].time.is_some()), (7, true));
        assert_eq!(history(&lake, 2).await.unwrap(), commits[..2]);
        location.store.delete(&Path::from(format!("lake/_delta_log/{:020}.json", 1))).await.unwrap();
        assert_eq!(history(&lake, 9).await.unwrap().len(), 3);
    }
}
