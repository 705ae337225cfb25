//! Finding the objects.
use std::collections::{BTreeMap, BTreeSet};
use chrono::NaiveDate;
use super::key::Kind;
use crate::{error::Result, store::Location};

/// What to list. Empty sets and `None` mean everything.
#[derive(Debug, Clone, Default)]
pub struct Filter { /// Accounts of the key.
    pub accounts: BTreeSet<String>, /// Regions of the key.
    pub regions: BTreeSet<String>, /// First path day, inclusive.
    pub first_day: Option<NaiveDate>, /// Last path day, inclusive.
    pub last_day: Option<NaiveDate> }

/// What the objects of one folder share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder { /// The path below the store's root, without a trailing slash.
    pub path: String, /// Account in the key, where it follows the grammar.
    pub account: Option<String>, /// Region in the key.
    pub region: Option<String>, /// Path day.
    pub day: Option<NaiveDate>, /// Which of CloudTrail's folders.
    pub kind: Option<Kind> }

/// One object to convert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object { /// Index into [`Listing::folders`].
    pub folder: u32, /// The last step of the path.
    pub name: Box<str>, /// Bytes as stored.
    pub size: u64, /// The ETag, else the modification time: changes when the content does.
    pub version: Box<str> }

/// What a listing found.
#[derive(Debug, Clone, Default)]
pub struct Listing { /// Folders with objects to convert.
    pub folders: Vec<Folder>, /// Objects to convert, in path order.
    pub objects: Vec<Object>, /// Why and how often something was left out: reason -> objects or folders.
    pub skipped: BTreeMap<String, u64> }

/// Lists a source.
pub async fn list(location: &Location, filter: &Filter, progress: &(dyn Fn(u64) + Sync)) -> Result<Listing> { let _ = (location, filter, progress); todo!() }
