//! Reading one object whole, as it was listed.

use std::io::Read;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};

use super::list::{Object, version_of};
use crate::error::Error;
use crate::store::Location;

/// Why one object could not be read. It costs that object, never the run.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It was deleted since it was listed.
    #[error("the object is gone: it was deleted after it was listed")]
    Vanished,
    /// It may be listed but not read.
    #[error(
        "access denied: reading it needs s3:GetObject, and kms:Decrypt where it is encrypted with a KMS key"
    )]
    Denied,
    /// It is larger than may be held in memory.
    #[error("the object has {size} bytes; at most {limit} are read, see --max-object-size")]
    TooLarge {
        /// Bytes as stored.
        size: u64,
        /// Bytes that may be read.
        limit: u64,
    },
    /// It was overwritten since it was listed: what would be read is not what was planned.
    #[error("the object changed after it was listed: it had {listed} bytes then, and has {found} now")]
    Changed {
        /// Bytes when it was listed.
        listed: u64,
        /// Bytes now; the same number where only the content differs.
        found: u64,
    },
    /// The body ended early, although the store retried.
    #[error("the store sent {received} of {size} bytes")]
    Truncated {
        /// Bytes announced.
        size: u64,
        /// Bytes received.
        received: u64,
    },
    /// The store failed, or the object is archived.
    #[error("{}", .0.chain())]
    Other(crate::error::Error),
}

/// Reads one object of a listing, `limit_bytes` at most.
///
/// The ETag, size and time that come with the content are compared with the listed ones, so that the content returned
/// is that of the listed object, whether or not the store knows conditional reads.
///
/// # Errors
///
/// See [`Failure`].
pub async fn fetch(
    location: &Location,
    path: &Path,
    object: &Object,
    limit_bytes: u64,
) -> Result<Bytes, Failure> {
    if object.size > limit_bytes {
        return Err(Failure::TooLarge { size: object.size, limit: limit_bytes });
    }
    if location.is_local() {
        return read_file(location, path, object).await;
    }
    let response = location.store.get(path).await.map_err(failure)?;
    let size = response.meta.size;
    if !is_unchanged(object, &response.meta) {
        return Err(Failure::Changed { listed: object.size, found: size });
    }
    let bytes = response.bytes().await.map_err(failure)?;
    let received = bytes.len() as u64;
    if received != size {
        return Err(Failure::Truncated { size, received });
    }
    Ok(bytes)
}

/// An object to be read, and where it is.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// The source it is in.
    pub location: &'a Location,
    /// Its path in the source's store.
    pub path: Path,
    /// What was listed.
    pub object: Object,
}

/// Reads several objects as [`fetch`] does one, local ones in one step: small files spend more time on changing threads
/// than on being read.
pub async fn fetch_all(wanted: &[Wanted<'_>], limit_bytes: u64) -> Vec<Result<Bytes, Failure>> {
    let is_local = |wanted: &Wanted<'_>| wanted.location.is_local() && wanted.object.size <= limit_bytes;
    if !wanted.iter().all(is_local) {
        let each =
            wanted.iter().map(|wanted| fetch(wanted.location, &wanted.path, &wanted.object, limit_bytes));
        return futures::future::join_all(each).await;
    }
    let files: Vec<(String, u64)> =
        wanted.iter().map(|wanted| (format!("/{}", wanted.path), wanted.object.size)).collect();
    let read = move || files.iter().map(|(file, size)| read(file, *size)).collect::<Vec<_>>();
    match tokio::task::spawn_blocking(read).await {
        Ok(read) => wanted
            .iter()
            .zip(read)
            .map(|(wanted, read)| checked(wanted.location, &wanted.object, read))
            .collect(),
        Err(error) => {
            let message = error.to_string();
            wanted.iter().map(|_| Err(unreadable(message.clone().into()))).collect()
        }
    }
}

async fn read_file(location: &Location, path: &Path, object: &Object) -> Result<Bytes, Failure> {
    let (file, size) = (format!("/{path}"), object.size);
    let read = tokio::task::spawn_blocking(move || read(&file, size)).await;
    checked(location, object, read.map_err(|error| unreadable(error.into()))?)
}

/// What a local file holds, and what the file system says of it.
fn read(file: &str, limit: u64) -> std::io::Result<(std::fs::Metadata, Vec<u8>)> {
    let file = std::fs::File::open(file)?;
    let about = file.metadata()?;
    // Never more than was planned for, also where the file grows meanwhile.
    let mut bytes = Vec::with_capacity(usize::try_from(limit).unwrap_or_default().saturating_add(1));
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((about, bytes))
}

fn checked(
    location: &Location,
    object: &Object,
    read: std::io::Result<(std::fs::Metadata, Vec<u8>)>,
) -> Result<Bytes, Failure> {
    location.meter.get.fetch_add(1, Relaxed);
    let (about, bytes) = read.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::Vanished,
        _ => unreadable(error.into()),
    })?;
    location.meter.bytes_read.fetch_add(bytes.len() as u64, Relaxed);
    let found = about.len();
    let same_time = about.modified().is_ok_and(|time| *object.version == *version_of(None, time.into()));
    if found != object.size || !same_time {
        return Err(Failure::Changed { listed: object.size, found });
    }
    let received = bytes.len() as u64;
    if received != found {
        return Err(Failure::Truncated { size: found, received });
    }
    Ok(bytes.into())
}

fn unreadable(cause: Box<dyn std::error::Error + Send + Sync>) -> Failure {
    Failure::Other(Error::failed("reading the file").caused_by(cause))
}

fn is_unchanged(listed: &Object, now: &ObjectMeta) -> bool {
    if listed.size != now.size {
        return false;
    }
    let time = version_of(None, now.last_modified);
    // A response's header has the time to the second only.
    let to_the_second = |time: &str| time.split('.').next().map(str::to_owned);
    *listed.version == *time
        || (now.last_modified.timestamp_subsec_nanos() == 0
            && to_the_second(&listed.version) == to_the_second(&time))
        || now
            .e_tag
            .as_deref()
            .is_none_or(|e_tag| *listed.version == *version_of(Some(e_tag), now.last_modified))
}

fn failure(error: object_store::Error) -> Failure {
    use object_store::Error as E;
    match error {
        E::NotFound { .. } => Failure::Vanished,
        // Archived objects are refused with the same status; `explain` tells them apart.
        E::PermissionDenied { .. } if !error.to_string().contains("InvalidObjectState") => Failure::Denied,
        other => Failure::Other(crate::store::explain(other)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;
    use object_store::{ObjectStore, PutPayload, local::LocalFileSystem};

    use super::*;

    fn location(store: Arc<dyn ObjectStore>) -> Location {
        Location { store, prefix: Path::default(), url: "s3://logs/".into(), meter: Arc::default() }
    }

    fn listed(meta: &ObjectMeta, e_tag: Option<&str>) -> Object {
        let version = version_of(e_tag, meta.last_modified);
        Object { folder: 0, name: "1.json".into(), size: meta.size, version }
    }

    #[tokio::test]
    async fn what_is_read_is_what_was_listed() {
        let store = Arc::new(InMemory::new());
        let path = Path::from("1.json");
        let put = async |content: &'static str| {
            store.put(&path, PutPayload::from_static(content.as_bytes())).await.unwrap();
            store.head(&path).await.unwrap()
        };
        let location = location(store.clone());
        let meta = put("[1]").await;
        let object = listed(&meta, meta.e_tag.as_deref());
        let untagged = listed(&meta, None);
        assert_eq!(fetch(&location, &path, &object, 3).await.unwrap(), "[1]");
        assert_eq!(fetch(&location, &path, &untagged, 3).await.unwrap(), "[1]");
        let failure = fetch(&location, &path, &object, 2).await.unwrap_err();
        assert_eq!(failure.to_string(), "the object has 3 bytes; at most 2 are read, see --max-object-size");
        put("[2]").await;
        for object in [&object, &untagged] {
            let failure = fetch(&location, &path, object, 9).await.unwrap_err();
            assert!(matches!(failure, Failure::Changed { listed: 3, found: 3 }), "{failure}");
        }
        put("[1,2]").await;
        let failure = fetch(&location, &path, &object, 9).await.unwrap_err();
        assert!(matches!(failure, Failure::Changed { listed: 3, found: 5 }), "{failure}");
        store.delete(&path).await.unwrap();
        assert!(matches!(fetch(&location, &path, &object, 9).await, Err(Failure::Vanished)));
    }

    #[test]
    fn a_response_may_know_the_time_to_the_second_only() {
        let time = |text: &str| text.parse().unwrap();
        let meta = |modified: &str, e_tag: Option<&str>| ObjectMeta {
            location: Path::from("1.json"),
            last_modified: time(modified),
            size: 3,
            e_tag: e_tag.map(str::to_owned),
            version: None,
        };
        let object = listed(&meta("2024-03-01T00:05:10.250Z", None), None);
        assert!(is_unchanged(&object, &meta("2024-03-01T00:05:10Z", Some("\"abc\""))));
        assert!(!is_unchanged(&object, &meta("2024-03-01T00:05:11Z", Some("\"abc\""))));
        let tagged = listed(&meta("2024-03-01T00:05:10Z", None), Some("\"abc\""));
        assert!(is_unchanged(&tagged, &meta("2024-03-01T00:05:11Z", Some("W/\"abc\""))));
        assert!(!is_unchanged(&tagged, &meta("2024-03-01T00:05:10Z", Some("\"abd\""))));
    }

    #[tokio::test]
    async fn a_local_file_that_was_listed_is_read() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("1.json"), "[1]").unwrap();
        let root = Path::from_absolute_path(folder.path().canonicalize().unwrap()).unwrap();
        let found = super::super::local::list(&root, &Default::default(), &|_| ()).await.unwrap();
        let location = location(Arc::new(LocalFileSystem::new()));
        let object = &found.objects[0];
        assert_eq!(fetch(&location, &found.path(object), object, 9).await.unwrap(), "[1]");
        std::fs::write(folder.path().join("1.json"), "[1,2]").unwrap();
        let failure = fetch(&location, &found.path(object), object, 9).await.unwrap_err();
        assert!(matches!(failure, Failure::Changed { .. }), "{failure}");
    }

    #[tokio::test]
    async fn several_files_are_read_as_one_is() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["1.json", "2.json", "3.json", "4.json"] {
            std::fs::write(folder.path().join(name), format!("[{}]", &name[..1])).unwrap();
        }
        let root = Path::from_absolute_path(folder.path().canonicalize().unwrap()).unwrap();
        let found = super::super::local::list(&root, &Default::default(), &|_| ()).await.unwrap();
        std::fs::remove_file(folder.path().join("2.json")).unwrap();
        std::fs::write(folder.path().join("3.json"), "[3,3]").unwrap();
        let location = location(Arc::new(LocalFileSystem::new()));
        let mut wanted: Vec<Wanted<'_>> = found
            .objects
            .iter()
            .map(|object| Wanted {
                location: &location,
                path: found.path(object),
                object: Object { name: object.name.clone(), version: object.version.clone(), ..*object },
            })
            .collect();
        wanted.sort_by_key(|wanted| wanted.path.clone());
        for limit in [9, 3] {
            let read = fetch_all(&wanted, limit).await;
            assert!(matches!(&read[0], Ok(bytes) if bytes == "[1]"), "{read:?}");
            assert!(matches!(&read[1], Err(Failure::Vanished)), "{read:?}");
            assert!(matches!(&read[2], Err(Failure::Changed { .. })), "{read:?}");
            assert!(matches!(&read[3], Ok(bytes) if bytes == "[4]"), "{read:?}");
        }
        wanted[3].object.size = 100;
        let read = fetch_all(&wanted, 9).await;
        assert!(matches!(&read[0], Ok(bytes) if bytes == "[1]"), "{read:?}");
        assert!(matches!(&read[3], Err(Failure::TooLarge { .. })), "{read:?}");
    }
}
