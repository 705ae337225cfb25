//! Where everything is in a lake: partition folders, and the names of data, rejected and ledger files.
//!
//! ```text
//! LAKE/_delta_log/…                               the table
//! LAKE/event_date=2026-03-01/part-….parquet       data files
//! LAKE/_trailhouse/ledger/….parquet               what became of every object
//! LAKE/_trailhouse/rejected/….ndjson.zst          what could not be converted
//! ```

use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;

use object_store::path::Path;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Context, Error, Result};
use crate::store::Location;

/// The folder of what is not the table's: readers skip names that begin with an underscore.
pub const OWN_FOLDER: &str = "_trailhouse";

/// How Hive, and with it every reader of hive-partitioned folders, writes a null partition value.
pub const NULL_VALUE: &str = "__HIVE_DEFAULT_PARTITION__";

/// Bytes of an escaped value, so that `COLUMN=VALUE` with a hash at its end is within the 255 bytes that file systems
/// allow.
const LONGEST_VALUE: usize = 180;

/// A column that data files can be partitioned by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionColumn {
    /// The UTC date of the event.
    Date,
    /// The account whose trail has the event.
    Account,
    /// The Region of the event.
    Region,
}

impl PartitionColumn {
    const ALL: [PartitionColumn; 3] =
        [PartitionColumn::Date, PartitionColumn::Account, PartitionColumn::Region];

    /// The column's name in the table; `date` itself is a keyword in many engines.
    pub const fn column(self) -> &'static str {
        match self {
            PartitionColumn::Date => crate::schema::EVENT_DATE.name,
            PartitionColumn::Account => "account",
            PartitionColumn::Region => "region",
        }
    }

    /// The word for it on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            PartitionColumn::Date => "date",
            PartitionColumn::Account => "account",
            PartitionColumn::Region => "region",
        }
    }
}

/// What a table is partitioned by, in the order of its folders: no column twice, and the date among them, because the
/// files have no such column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Partitioning(Vec<PartitionColumn>);

/// The value of each partition column of one folder, in the order of the folders.
pub type Partition = Vec<(String, Option<String>)>;

impl Partitioning {
    /// The columns, outermost folder first.
    pub fn columns(&self) -> &[PartitionColumn] {
        &self.0
    }

    /// The names of the columns, outermost folder first.
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|column| column.column().to_owned()).collect()
    }

    /// Whether the table's column `name` is one of them.
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|column| column.column() == name)
    }

    /// The partitioning whose columns are called `names`; `None` where one of them is no partition column of ours.
    pub fn from_names<S: AsRef<str>>(names: &[S]) -> Option<Partitioning> {
        let find =
            |name: &S| PartitionColumn::ALL.into_iter().find(|column| column.column() == name.as_ref());
        Partitioning::new(names.iter().map(find).collect::<Option<Vec<_>>>()?).ok()
    }

    /// The partition that rows of this date (`YYYY-MM-DD`), account and Region belong to. The empty string counts as
    /// null: the Delta protocol ("Partition Value Serialization") and Hive know no empty partition value.
    pub fn partition(&self, date: Option<&str>, account: Option<&str>, region: Option<&str>) -> Partition {
        let value = |column: &PartitionColumn| match column {
            PartitionColumn::Date => date,
            PartitionColumn::Account => account,
            PartitionColumn::Region => region,
        };
        let text = |column| value(column).filter(|text| !text.is_empty()).map(str::to_owned);
        self.0.iter().map(|column| (column.column().to_owned(), text(column))).collect()
    }

    fn new(columns: Vec<PartitionColumn>) -> Result<Partitioning> {
        if !columns.contains(&PartitionColumn::Date) {
            return Err(Error::usage(
                "a lake is always partitioned by date, beside what else it is partitioned by",
            )
            .hint("add date, in any place: account,date"));
        }
        for (at, column) in columns.iter().enumerate() {
            if columns[..at].contains(column) {
                return Err(Error::usage(format!("cannot partition by {} twice", column.word())));
            }
        }
        Ok(Partitioning(columns))
    }
}

impl Default for Partitioning {
    fn default() -> Self {
        Partitioning(vec![PartitionColumn::Date])
    }
}

impl FromStr for Partitioning {
    type Err = Error;

    fn from_str(text: &str) -> Result<Partitioning> {
        let column = |word: &str| {
            PartitionColumn::ALL.into_iter().find(|column| column.word() == word.trim()).ok_or_else(|| {
                Error::usage(format!("cannot partition by {word:?}"))
                    .hint("choose date, and account and region beside it, in any order, separated by commas")
            })
        };
        Partitioning::new(text.split(',').map(column).collect::<Result<Vec<_>>>()?)
    }
}

impl fmt::Display for Partitioning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.0.iter().map(|column| column.word()).collect();
        f.write_str(&words.join(","))
    }
}

impl TryFrom<String> for Partitioning {
    type Error = Error;

    fn try_from(text: String) -> Result<Partitioning> {
        text.parse()
    }
}

impl From<Partitioning> for String {
    fn from(partitioning: Partitioning) -> String {
        partitioning.to_string()
    }
}

/// A Parquet file of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFile {
    /// The object's path below the lake's root, as the store knows it. A partition value with special characters is
    /// percent-encoded in it, once, as hive readers expect; in the Delta log the path as a whole is a URI and so is
    /// encoded a second time (`%` becomes `%25`), which `deltalake-core` does and undoes by itself.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// How many rows it has.
    pub rows: u64,
    /// The values of the partition columns, in the order of the folders. Not percent-encoded, and never empty text.
    pub partition: Partition,
    /// The file's statistics in Delta's JSON form (Delta protocol, "Per-file Statistics").
    pub stats: String,
}

/// The folder of a partition below the lake's root: `event_date=2026-03-01/account=123456789012`.
pub fn folder(partition: &[(String, Option<String>)]) -> String {
    let step = |(name, value): &(String, Option<String>)| match value.as_deref() {
        Some(value) if !value.is_empty() => format!("{name}={}", escape(value)),
        _ => format!("{name}={NULL_VALUE}"),
    };
    partition.iter().map(step).collect::<Vec<_>>().join("/")
}

/// The path of a data file below the lake's root. `task_hash` stands for everything the file's content depends on,
/// `index` counts the files of one task.
pub fn data_file(partition: &[(String, Option<String>)], task_hash: &[u8], index: usize) -> String {
    format!("{}/part-{}-{index:05}.parquet", folder(partition), hex(task_hash))
}

/// Whether a path below the lake's root is of the form that [`data_file`] gives, in a table partitioned by these columns.
pub fn is_data_file(path: &str, columns: &[String]) -> bool {
    let Some((folder, name)) = path.rsplit_once('/') else { return false };
    let steps: Vec<&str> = folder.split('/').collect();
    let is_step = |(step, column): (&&str, &String)| {
        step.strip_prefix(column.as_str()).is_some_and(|value| value.starts_with('='))
    };
    let number = || name.strip_prefix("part-")?.strip_suffix(".parquet")?.split_once('-');
    steps.len() == columns.len()
        && steps.iter().zip(columns).all(is_step)
        && number().is_some_and(|(hash, index)| {
            hash.len() == 32
                && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
                && index.len() >= 5
                && index.bytes().all(|byte| byte.is_ascii_digit())
        })
}

/// The path of a file of rejected input below the lake's root.
pub fn rejected_file(name: &str) -> String {
    format!("{OWN_FOLDER}/rejected/{name}.ndjson.zst")
}

/// The path of a ledger file below the lake's root.
pub fn ledger_file(name: &str) -> String {
    format!("{OWN_FOLDER}/ledger/{name}.parquet")
}

/// The object that `relative`, a path below the lake's root, stands for in the lake's store.
pub fn object(lake: &Location, relative: &str) -> Result<Path> {
    let below =
        Path::parse(relative).context(|| format!("no path of a file in {}: {relative:?}", lake.url))?;
    Ok(lake.prefix.parts().chain(below.parts()).collect())
}

/// Percent-encodes what the Delta protocol's writers and Hive's encode in a partition folder's name, and nothing
/// beyond ASCII: Hive's decoder takes every `%XX` for a character, not for a byte of UTF-8. A value too long for a
/// folder's name, which no real account or Region is, is cut and told apart by its hash; Delta readers have the whole
/// of it from the log.
fn escape(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for this in value.chars() {
        if text.len() > LONGEST_VALUE {
            return format!("{text}~{}", hex(&Sha256::digest(value)));
        }
        if this.is_ascii() && !this.is_ascii_alphanumeric() && !"-._~".contains(this) {
            let _ = write!(text, "%{:02X}", u32::from(this));
        } else {
            text.push(this);
        }
    }
    if text == NULL_VALUE { text.replacen('_', "%5F", 1) } else { text }
}

/// Lower-case hexadecimal of at most the first 16 bytes: enough that no two tasks meet.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(16).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A folder's name as Hive and Spark read it (`unescapePathName`): `%XX` is the character with that number.
    fn read_by_hive(step: &str) -> (String, Option<String>) {
        let (name, value) = step.split_once('=').unwrap();
        if value == NULL_VALUE {
            return (name.to_owned(), None);
        }
        let mut text = String::new();
        let mut rest = value;
        while let Some(this) = rest.chars().next() {
            if this == '%' {
                text.push(char::from(u8::from_str_radix(&rest[1..3], 16).unwrap()));
                rest = &rest[3..];
            } else {
                text.push(this);
                rest = &rest[this.len_utf8()..];
            }
        }
        (name.to_owned(), Some(text))
    }

    #[test]
    fn a_partitioning_is_what_its_words_say() {
        let both: Partitioning = "region, account,date".parse().unwrap();
        assert_eq!(both.names(), ["region", "account", "event_date"]);
        assert_eq!(both.to_string(), "region,account,date");
        assert_eq!(Partitioning::from_names(&both.names()), Some(both.clone()));
        assert_eq!(serde_json::to_string(&both).unwrap(), r#""region,account,date""#);
        assert_eq!(serde_json::from_str::<Partitioning>(r#""region,account,date""#).unwrap(), both);
        assert_eq!(Partitioning::default(), "date".parse().unwrap());
        assert_eq!(Partitioning::from_names(&["year"]), None);
        assert_eq!(Partitioning::from_names::<&str>(&[]), None);
        for wrong in ["", "date,", "day", "account,region", "date,account,date", "Date"] {
            assert!(wrong.parse::<Partitioning>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn names_are_as_documented() {
        let by: Partitioning = "date,account".parse().unwrap();
        let partition = by.partition(Some("2026-03-01"), Some(" a/b%é "), Some("eu-west-1"));
        assert_eq!(folder(&partition), "event_date=2026-03-01/account=%20a%2Fb%25é%20");
        assert_eq!(
            data_file(&partition[..1], &[0xab; 32], 7),
            "event_date=2026-03-01/part-abababababababababababababababab-00007.parquet"
        );
        assert_eq!(
            folder(&by.partition(None, Some(""), None)),
            format!("event_date={NULL_VALUE}/account={NULL_VALUE}")
        );
        let [odd, long, longer] = [NULL_VALUE, &"é".repeat(300), &"é".repeat(301)]
            .map(|account| folder(&by.partition(None, Some(account), None)[1..]));
        assert_eq!(odd, "account=%5F_HIVE_DEFAULT_PARTITION__");
        assert!(long.len() <= 255 && long != longer, "{long}");
        assert_eq!(rejected_file("x"), "_trailhouse/rejected/x.ndjson.zst");
        assert_eq!(ledger_file("x"), "_trailhouse/ledger/x.parquet");
    }

    proptest! {
        #[test]
        fn hive_readers_see_the_values_that_were_written(account in "\\PC{1,20}|[ -~]{1,20}|[\\x00-\\x20]{1,3}", region in "[a-z0-9-]{1,12}") {
            let by: Partitioning = "account,region,date".parse().unwrap();
            let partition = by.partition(Some("2026-03-01"), Some(&account), Some(&region));
            let path = data_file(&partition, &[1; 16], 0);
            let object = Path::parse(&path).unwrap();
            prop_assert_eq!(object.as_ref(), &path);
            let steps: Vec<_> = path.split('/').collect();
            prop_assert_eq!(steps.len(), 4);
            let read: Partition = steps[..3].iter().map(|step| read_by_hive(step)).collect();
            prop_assert_eq!(read, partition);
        }
    }
}
