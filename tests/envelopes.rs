//! Events are found in whatever people keep them in, and only the events: a wrapping's own fields are transport.

use std::collections::BTreeSet;

use crate::support::envelope;
use crate::support::json::Value;
use crate::support::lake::{data, documented, exported, files, lake_of, rows};

#[test]
fn every_envelope_gives_its_events() {
    let documented = documented("envelopes");
    assert_eq!(documented.keys().collect::<Vec<_>>(), files("envelopes").iter().collect::<Vec<_>>());
    for (file, events) in documented {
        let events: usize = events.parse().unwrap();
        let path = data("envelopes").join(&file);
        let env = lake_of(&path);
        let count = &rows(&env, "SELECT count(*) AS n FROM events")[0]["n"];
        assert_eq!(*count, events, "{file}");

        let inside = envelope::records(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(inside.len(), events, "{file}");
        let inside: BTreeSet<Value> = inside.into_iter().collect();
        let back: BTreeSet<Value> = exported(&env).iter().map(|line| Value::read(line).unwrap()).collect();
        assert_eq!(back, inside, "{file}");
    }
}

#[test]
fn a_row_says_which_record_it_was() {
    let env = lake_of(&data("envelopes/mixed.json"));
    let records = rows(&env, "SELECT row_source_record AS n FROM events ORDER BY n");
    let numbers: Vec<u64> = records.iter().map(|row| row["n"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
}
