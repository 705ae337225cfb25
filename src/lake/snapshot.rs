//! What the table holds: creating a lake, opening it at its newest version, and listing its data files.
//!
//! The table log is read and written by `deltalake-core`, over our own store: no second client, no global registry.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, NaiveDate, Utc};
use deltalake_core::DeltaTableError;
use deltalake_core::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake_core::kernel::{
    Action, ArrayType, DataType, Metadata, MetadataExt, Protocol, StructField, StructType, new_metadata,
};
use deltalake_core::logstore::{LogStoreRef, StorageConfig, default_logstore};
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::table::config::TablePropertiesExt;
use deltalake_core::table::state::DeltaTableState;
use futures::StreamExt;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::json;
use url::Url;

use super::layout::{self, DataFile, OWN_FOLDER, Partitioning};
use super::write::STATS_COLUMNS;
use crate::error::{Context, Error, Result};
use crate::schema::{self, Column, Form, SCHEMA_VERSION};
use crate::store::{self, Location};

pub(super) const LOG_FOLDER: &str = "_delta_log";
const SCHEMA_VERSION_PROPERTY: &str = "trailhouse.schemaVersion";
const EXPIRED_BEFORE_PROPERTY: &str = "trailhouse.expiredBefore";

/// A lake at one version of its table.
#[derive(Clone)]
pub struct Lake {
    location: Location,
    partitioning: Partitioning,
    pub(super) log: LogStoreRef,
    pub(super) state: DeltaTableState,
}

impl Lake {
    /// Opens the newest version of the lake; `None` where there is no table.
    ///
    /// # Errors
    /// Where the table is not one of ours, needs more of a reader than this program, or a newer program wrote it; and
    /// where the store fails.
    pub async fn open(location: &Location) -> Result<Option<Lake>> {
        // Asked of our own store first: an empty place is the ordinary case, and its failures are explained best.
        let log_folder = location.prefix.clone().join(LOG_FOLDER);
        match location.store.list(Some(&log_folder)).next().await {
            None => return Ok(None),
            Some(listed) => {
                listed.map_err(store::explain).context(|| format!("opening the lake {}", location.url))?
            }
        };
        let log = log_store(location)?;
        let state = match DeltaTableState::try_new(&log, None).await {
            Err(DeltaTableError::NotATable(_)) => return Ok(None),
            state => state.map_err(cause).context(|| format!("reading the table log of {}", location.url))?,
        };
        let partitioning = check(location, &state)?;
        Ok(Some(Lake { location: location.clone(), partitioning, log, state }))
    }

    /// Opens the newest version of a lake that was there before.
    ///
    /// # Errors
    /// As [`Lake::open`]; and where it is gone.
    pub async fn newest(&self) -> Result<Lake> {
        let gone = || Error::failed(format!("the lake {} has disappeared", self.location.url));
        Lake::open(&self.location).await?.ok_or_else(gone)
    }

    /// Opens the lake, making it first where there is none. Where somebody else makes it at the same moment, theirs is
    /// opened: compare with [`Lake::expect_partitioning`].
    ///
    /// # Errors
    /// As [`Lake::open`]; and where the folder holds other files.
    pub async fn create(location: &Location, partitioning: &Partitioning) -> Result<Lake> {
        Lake::create_with(location, partitioning, &table_columns()).await
    }

    pub(super) async fn create_with(
        location: &Location,
        partitioning: &Partitioning,
        columns: &[Column],
    ) -> Result<Lake> {
        if let Some(lake) = Lake::open(location).await? {
            return Ok(lake);
        }
        refuse_other_files(location).await?;

        let making = || format!("making the lake {}", location.url);
        let log = log_store(location)?;
        let protocol: Protocol =
            serde_json::from_value(json!({"minReaderVersion": 1, "minWriterVersion": 2})).context(making)?;
        let metadata = new_table(partitioning, columns).context(making)?;
        let operation = DeltaOperation::Create {
            mode: SaveMode::ErrorIfExists,
            location: Url::parse(&location.url).context(making)?,
            protocol: protocol.clone(),
            metadata: metadata.clone(),
        };
        let made = CommitBuilder::from(CommitProperties::default().with_max_retries(0))
            .with_actions(vec![Action::Protocol(protocol), Action::Metadata(metadata)])
            .build(None, log, operation)
            .await;
        match (made, Lake::open(location).await?) {
            (_, Some(lake)) => Ok(lake),
            (Err(error), None) => Err(cause(error)).context(making),
            (Ok(_), None) => {
                Err(Error::failed(format!("the lake {} vanished while it was made", location.url)))
            }
        }
    }

    /// Checks that a lake could be made here, where there is none.
    ///
    /// # Errors
    /// Where the folder holds other files, and where the store fails.
    pub async fn expect_place(location: &Location) -> Result<()> {
        refuse_other_files(location).await
    }

    /// Checks that the table is partitioned as `wanted`.
    ///
    /// # Errors
    /// Where it is not; the error says what to do.
    pub fn expect_partitioning(&self, wanted: &Partitioning) -> Result<()> {
        if self.partitioning == *wanted {
            return Ok(());
        }
        Err(Error::usage(format!(
            "the lake {} is partitioned by {}, not by {wanted}",
            self.location.url, self.partitioning
        ))
        .hint(format!("leave --partition-by out, or give --partition-by {}", self.partitioning))
        .hint("a lake keeps the partitioning it was made with; for another one, convert into a new lake"))
    }

    /// Where the lake is.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// The whole of a file at `path` below the lake's root.
    ///
    /// # Errors
    /// Where it is not there, and where the store fails.
    pub async fn fetch(&self, path: &str) -> Result<Bytes> {
        let reading = || format!("reading {}{path}", self.location.url);
        let object = layout::object(&self.location, path)?;
        let got = self.location.store.get(&object).await.map_err(store::explain).context(reading)?;
        got.bytes().await.map_err(store::explain).context(reading)
    }

    /// The version of the table that this is.
    pub fn version(&self) -> u64 {
        self.state.version()
    }

    /// What the table is partitioned by.
    pub fn partitioning(&self) -> &Partitioning {
        &self.partitioning
    }

    /// The data files of this version, made one at a time from the log's columns: a lake may have very many.
    ///
    /// # Errors
    /// Where the log is not as this program writes it.
    pub fn files(&self) -> Result<impl Iterator<Item = DataFile> + '_> {
        let log = self.state.snapshot().try_log_data();
        let log = log.context(|| format!("listing the files of {}", self.location.url))?;
        let names = self.partitioning.names();
        Ok(log.into_iter().map(move |file| {
            let mut values = file.partition_values_map();
            DataFile {
                path: file.path().into_owned(),
                size: u64::try_from(file.size()).unwrap_or_default(),
                rows: file.num_records().unwrap_or_default() as u64,
                partition: names.iter().map(|name| (name.clone(), values.remove(name).flatten())).collect(),
                stats: file.stats().unwrap_or_default(),
            }
        }))
    }

    /// Calls `each` with the path of every data file that was removed from the table at `time` or later.
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub async fn removed_since(&self, time: DateTime<Utc>, mut each: impl FnMut(&str)) -> Result<()> {
        let reading = || format!("reading the table log of {}", self.location.url);
        let mut removed = self.state.all_tombstones(self.log.as_ref());
        while let Some(file) = removed.next().await {
            let file = file.map_err(cause).context(reading)?;
            // Of other programs' commits that do not say when, nothing is known: what they removed stays.
            if file
                .deletion_timestamp()
                .is_none_or(|removed| removed >= time.timestamp_millis() || removed == 0)
            {
                each(&file.path());
            }
        }
        Ok(())
    }

    /// The first day whose events are kept, where earlier ones were expired.
    pub fn expired_before(&self) -> Option<NaiveDate> {
        self.state.metadata().configuration().get(EXPIRED_BEFORE_PROPERTY)?.parse().ok()
    }

    /// How long a file that is no longer in the table is mentioned in its log: what vacuuming goes by.
    pub fn removed_files_are_known_for(&self) -> std::time::Duration {
        self.state.table_config().deleted_file_retention_duration()
    }

    /// The table's description with the columns that this program knows and the table lacks, and with this first day;
    /// `None` where both are as they should be.
    pub(super) fn described(&self, expire_before: Option<NaiveDate>) -> Result<Option<Metadata>> {
        let schema = self.state.schema();
        let mut fields: Vec<StructField> = schema.fields().cloned().collect();
        fields.extend(
            table_columns().iter().filter(|column| schema.field(column.name).is_none()).map(delta_field),
        );
        let grown = fields.len() != schema.fields().len();
        if !grown && expire_before.is_none() {
            return Ok(None);
        }
        let describing = || format!("changing the description of the table of {}", self.location.url);
        let mut metadata = self.state.metadata().clone();
        if grown {
            let schema = StructType::try_new(fields).context(describing)?;
            metadata = metadata.with_schema(&schema).context(describing)?;
            let version = SCHEMA_VERSION.to_string();
            metadata =
                metadata.add_config_key(SCHEMA_VERSION_PROPERTY.to_owned(), version).context(describing)?;
        }
        if let Some(day) = expire_before {
            metadata = metadata
                .add_config_key(EXPIRED_BEFORE_PROPERTY.to_owned(), day.to_string())
                .context(describing)?;
        }
        Ok(Some(metadata))
    }
}

impl std::fmt::Debug for Lake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lake({} at version {}, by {})", self.location.url, self.version(), self.partitioning)
    }
}

/// The log store of a lake: rooted at the lake's folder, so that no prefix of ours is ever encoded into a URL and
/// decoded differently. Of the URL the crate takes the paths below it, and from `file` that a listing may be unsorted,
/// which is so for directories and for S3 Express.
fn log_store(location: &Location) -> Result<LogStoreRef> {
    let root: Arc<dyn ObjectStore> =
        Arc::new(PrefixStore::new(location.store.clone(), location.prefix.clone()));
    let url = Url::parse("file:///").context(|| "opening the table log".into())?;
    Ok(default_logstore(root.clone(), root, &url, &StorageConfig::default()))
}

/// The crate's failure, or what the store's behind it means.
pub(super) fn cause(error: DeltaTableError) -> Box<dyn std::error::Error + Send + Sync> {
    match error {
        DeltaTableError::ObjectStore { source } => store::explain(source).into(),
        other => other.into(),
    }
}

/// Refuses tables that this program must not touch, and says how the others are partitioned.
fn check(location: &Location, state: &DeltaTableState) -> Result<Partitioning> {
    let url = &location.url;
    let metadata = state.metadata();
    let ours =
        metadata.configuration().get(SCHEMA_VERSION_PROPERTY).and_then(|text| text.parse::<u32>().ok());
    let partitioning = Partitioning::from_names(metadata.partition_columns());
    let (Some(version), Some(partitioning)) = (ours, partitioning) else {
        return Err(Error::usage(format!("{url} is a Delta table, but not one that trailhouse made"))
            .hint("give another folder for the lake"));
    };
    if version > SCHEMA_VERSION {
        let text = format!(
            "the lake {url} was written by a newer trailhouse: it has schema version {version}, and this program knows \
             up to {SCHEMA_VERSION}"
        );
        return Err(Error::usage(text).hint("upgrade trailhouse"));
    }
    let reader = state.protocol().min_reader_version();
    if reader > 1 {
        let text = format!(
            "the lake {url} needs a Delta reader of version {reader}, and this program is one of version 1"
        );
        return Err(Error::usage(text).hint(
            "another program has turned on a table feature, such as deletion vectors or column mapping",
        ));
    }
    Ok(partitioning)
}

/// A folder without a table may be made a lake only where nothing of anybody else's is in it. What a run that broke
/// off leaves behind does not count, nor do hidden files.
async fn refuse_other_files(location: &Location) -> Result<()> {
    let looking = || format!("looking into {}", location.url);
    let prefix = Some(&location.prefix);
    let listed = location.store.list_with_delimiter(prefix).await.map_err(store::explain).context(looking)?;
    let objects = listed.objects.into_iter().map(|object| object.location);
    let other = |path: &Path| {
        path.filename().is_some_and(|name| name != LOG_FOLDER && name != OWN_FOLDER && !name.starts_with('.'))
            && *path != location.prefix
    };
    let Some(other) = objects.chain(listed.common_prefixes).find(other) else { return Ok(()) };
    let name = other.filename().unwrap_or_default();
    Err(Error::usage(format!("{} is no lake, and not empty: it holds {name:?}", location.url))
        .hint("give an empty folder, or one that does not exist yet, for the lake"))
}

/// The description of a new table.
fn new_table(partitioning: &Partitioning, columns: &[Column]) -> Result<Metadata, DeltaTableError> {
    let skip_by =
        STATS_COLUMNS.into_iter().filter(|name| !partitioning.contains(name)).collect::<Vec<_>>().join(",");
    let properties = [
        (SCHEMA_VERSION_PROPERTY, SCHEMA_VERSION.to_string()),
        ("delta.dataSkippingStatsColumns", skip_by),
        ("delta.checkpointInterval", "10".to_owned()),
        // How long the log says of a removed file that it was: vacuuming spares what newer versions than that need.
        ("delta.deletedFileRetentionDuration", "interval 30 days".to_owned()),
    ];
    let schema = StructType::try_new(columns.iter().map(delta_field))?;
    let metadata =
        new_metadata(&schema, partitioning.names(), properties)?
            .with_name("events".to_owned())?
            .with_description("AWS CloudTrail events, one row an event, written by trailhouse".to_owned())?;
    Ok(metadata)
}

/// Every column of the table.
fn table_columns() -> Vec<Column> {
    [schema::EVENT_DATE].into_iter().chain(schema::COLUMNS.iter().copied()).collect()
}

fn delta_field(column: &Column) -> StructField {
    let data_type = match column.form {
        Form::Text | Form::Json => DataType::STRING,
        Form::Bool => DataType::BOOLEAN,
        Form::Time => DataType::TIMESTAMP,
        Form::Int => DataType::LONG,
        Form::Resources => {
            let member = |(_, name): &(&str, &str)| StructField::nullable(*name, DataType::STRING);
            let members = StructType::new_unchecked(schema::RESOURCE_FIELDS.iter().map(member));
            ArrayType::new(DataType::from(members), true).into()
        }
    };
    StructField::nullable(column.name, data_type).with_metadata([("comment", column.doc)])
}

#[cfg(test)]
pub(crate) mod tests {
    use object_store::local::LocalFileSystem;
    use object_store::memory::InMemory;
    use serde_json::Value;

    use super::*;

    pub fn at(store: Arc<dyn ObjectStore>, prefix: &str) -> Location {
        let url = format!("memory:///{prefix}/").replace(' ', "%20");
        Location { store, prefix: Path::parse(prefix).unwrap(), url, meter: Arc::default() }
    }

    pub fn in_memory() -> Location {
        at(Arc::new(InMemory::new()), "lake")
    }

    /// The actions of one version's log file.
    pub async fn actions(location: &Location, version: u64) -> Vec<Value> {
        let path = location.prefix.clone().join(LOG_FOLDER).join(format!("{version:020}.json"));
        let text = location.store.get(&path).await.unwrap().bytes().await.unwrap();
        text.split(|&byte| byte == b'\n').map(|line| serde_json::from_slice(line).unwrap()).collect()
    }

    fn action<'a>(actions: &'a [Value], name: &str) -> &'a Value {
        actions.iter().find_map(|action| action.get(name)).unwrap()
    }

    async fn refused(location: &Location) -> Error {
        Lake::open(location).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_new_lake_is_a_table_that_every_delta_reader_reads() {
        let location = in_memory();
        assert!(Lake::open(&location).await.unwrap().is_none());
        let by: Partitioning = "date,account".parse().unwrap();
        let lake = Lake::create(&location, &by).await.unwrap();
        assert_eq!((lake.version(), lake.partitioning()), (0, &by));
        assert_eq!(lake.files().unwrap().count(), 0);

        let log = actions(&location, 0).await;
        let protocol = action(&log, "protocol");
        assert_eq!(*protocol, json!({"minReaderVersion": 1, "minWriterVersion": 2}));
        let metadata = action(&log, "metaData");
        assert_eq!(metadata["partitionColumns"], json!(["event_date", "account"]));
        assert!(
            !metadata["configuration"]["delta.dataSkippingStatsColumns"]
                .as_str()
                .unwrap()
                .contains("account,")
        );
        let schema: Value = serde_json::from_str(metadata["schemaString"].as_str().unwrap()).unwrap();
        let fields = schema["fields"].as_array().unwrap();
        assert_eq!(fields.len(), schema::COLUMNS.len() + 1);
        assert_eq!(fields[0]["name"], "event_date");
        assert_eq!(fields[0]["metadata"]["comment"], schema::EVENT_DATE.doc);
        let field = |name: &str| &fields.iter().find(|field| field["name"] == name).unwrap()["type"];
        assert_eq!((field("event_time"), field("read_only")), (&json!("timestamp"), &json!("boolean")));
        assert_eq!(field("resources")["elementType"]["fields"][1]["name"], "arn_prefix");
    }

    #[tokio::test]
    async fn a_lake_keeps_its_partitioning() {
        let location = in_memory();
        Lake::create(&location, &Partitioning::default()).await.unwrap();
        let other: Partitioning = "account,date".parse().unwrap();
        let lake = Lake::create(&location, &other).await.unwrap();
        assert_eq!(lake.version(), 0);
        lake.expect_partitioning(&Partitioning::default()).unwrap();
        let error = lake.expect_partitioning(&other).unwrap_err();
        assert_eq!(error.chain(), "the lake memory:///lake/ is partitioned by date, not by account,date");
        assert!(error.hints()[0].contains("--partition-by date"));
    }

    #[tokio::test]
    async fn of_two_creators_one_makes_the_table_and_both_have_it() {
        let location = in_memory();
        let (by_date, by_region) = (Partitioning::default(), "region,date".parse().unwrap());
        let (one, two) = tokio::join!(Lake::create(&location, &by_date), Lake::create(&location, &by_region));
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_eq!((one.version(), two.version()), (0, 0));
        assert_eq!(one.partitioning(), two.partitioning());
    }

    #[tokio::test]
    async fn a_folder_of_other_files_is_no_place_for_a_lake() {
        let location = in_memory();
        for leftover in ["lake/_trailhouse/rejected/x.ndjson.zst", "lake/.DS_Store", "elsewhere/x.csv"] {
            location.store.put(&Path::from(leftover), "x".into()).await.unwrap();
        }
        location.store.put(&Path::from("lake/photos/a.jpg"), "x".into()).await.unwrap();
        let error = Lake::create(&location, &Partitioning::default()).await.unwrap_err();
        assert_eq!(error.chain(), "memory:///lake/ is no lake, and not empty: it holds \"photos\"");
        location.store.delete(&Path::from("lake/photos/a.jpg")).await.unwrap();
        Lake::create(&location, &Partitioning::default()).await.unwrap();
    }

    #[tokio::test]
    async fn tables_of_others_and_of_the_future_are_refused() {
        let original = in_memory();
        Lake::create(&original, &Partitioning::default()).await.unwrap();
        let log = actions(&original, 0).await;
        let with = |change: fn(&mut Value)| {
            let mut log = log.clone();
            log.iter_mut().for_each(change);
            log.iter().map(Value::to_string).collect::<Vec<_>>().join("\n")
        };
        type Spoil = fn(&mut Value);
        let cases: [(Spoil, &str); 3] = [
            (
                |action| {
                    let config = action.pointer_mut("/metaData/configuration").and_then(Value::as_object_mut);
                    config.map(|config| config.remove(SCHEMA_VERSION_PROPERTY));
                },
                "not one that trailhouse made",
            ),
            (
                |action| {
                    let config = action.pointer_mut("/metaData/configuration").and_then(Value::as_object_mut);
                    config.map(|config| config.insert(SCHEMA_VERSION_PROPERTY.into(), json!("4000000000")));
                },
                "written by a newer trailhouse: it has schema version 4000000000",
            ),
            (
                |action| {
                    if let Some(protocol) = action.get_mut("protocol") {
                        *protocol = json!({"minReaderVersion": 3, "minWriterVersion": 7,
                            "readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]});
                    }
                },
                "needs a Delta reader of version 3",
            ),
        ];
        for (change, expected) in cases {
            let location = in_memory();
            let path = Path::from(format!("lake/_delta_log/{:020}.json", 0));
            location.store.put(&path, with(change).into()).await.unwrap();
            let error = refused(&location).await;
            assert!(error.chain().contains(expected), "{}", error.chain());
            assert!(!error.hints().is_empty());
        }
    }

    #[tokio::test]
    async fn any_folder_of_any_store_will_do() {
        let folder = tempfile::tempdir().unwrap();
        let root = Path::from_absolute_path(folder.path()).unwrap();
        for (store, prefix) in [
            (Arc::new(LocalFileSystem::new()) as Arc<dyn ObjectStore>, format!("{root}/new lake/100%é")),
            (Arc::new(InMemory::new()), "a b/c%20d".to_owned()),
            (Arc::new(InMemory::new()), String::new()),
        ] {
            let location = at(store, &prefix);
            assert!(Lake::open(&location).await.unwrap().is_none());
            assert_eq!(Lake::create(&location, &Partitioning::default()).await.unwrap().version(), 0);
            assert_eq!(Lake::open(&location).await.unwrap().unwrap().version(), 0);
        }
    }
}
