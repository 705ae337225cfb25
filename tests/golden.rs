//! Every column of the documented examples, and the quirks of each: nothing is repaired, nothing is guessed.

use serde_json::Value;
use trailhouse::schema::{COLUMNS, EVENT_DATE, Form};

use crate::support::lake::{data, exported, lake_of, rows};

/// Converts a file of `records/` and compares every column of its events with the snapshot of its name. Also, what
/// `export` gives back must be what is in the file.
fn golden(name: &str) -> Vec<Value> {
    let file = data("records").join(format!("{name}.json"));
    let env = lake_of(&file);
    let events = rows(&env, "SELECT * FROM events ORDER BY row_source_record");
    let shown: Vec<String> = events.iter().map(shown).collect();
    insta::assert_snapshot!(name, shown.join("\n\n"));

    let text = std::fs::read_to_string(file).unwrap();
    let delivered: Value = serde_json::from_str(&text).unwrap();
    let delivered = if let Value::Array(records) = delivered { records } else { vec![delivered] };
    let mut rebuilt: Vec<Value> =
        exported(&env).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let place = |record: &Value| delivered.iter().position(|other| other == record);
    rebuilt.sort_by_key(place);
    assert_eq!(rebuilt, delivered);
    events
}

/// One event: the columns that have a value, and the names of those that have none.
fn shown(event: &Value) -> String {
    let event = event.as_object().unwrap();
    let mut text = String::new();
    let mut without = Vec::new();
    for column in std::iter::once(&EVENT_DATE).chain(COLUMNS) {
        let value = event.get(column.name).unwrap_or_else(|| panic!("no {}", column.name));
        let value = match (value, column.form) {
            (Value::Null, _) => {
                without.push(column.name);
                continue;
            }
            (Value::String(json), Form::Json) => json.clone(),
            (value, _) => value.to_string(),
        };
        let here = concat!("file://", env!("CARGO_MANIFEST_DIR"));
        text += &format!("{}: {}\n", column.name, value.replace(here, "[repository]"));
    }
    assert_eq!(event.len(), COLUMNS.len() + 1, "a column that the schema does not have");
    format!("{text}null:\n  {}", without.join("\n  "))
}

/// Asserts columns of an event.
fn assert_columns<const N: usize>(event: &Value, expected: [(&str, Value); N]) {
    for (column, value) in expected {
        assert_eq!(event[column], value, "{column}");
    }
}

#[test]
fn codeguru_reviewer_associate_repository() {
    let events = golden("codeguru-reviewer-AssociateRepository");
    assert_columns(
        &events[0],
        [
            ("event_version", "1.05".into()),
            // Fields that came with later versions are absent, not false and not guessed.
            ("management_event", Value::Null),
            ("event_category", Value::Null),
            ("read_only", false.into()),
            ("request_id", "d2f4a6b8-SAMPLE".into()),
            ("principal", "arn:aws:iam::111122223333:role/ReviewRole".into()),
            ("unmapped", Value::Null),
        ],
    );
    // Numbers keep every digit.
    assert!(
        events[0]["response_elements"].as_str().unwrap().contains(r#""CreatedTimeStamp": 1772360435.204"#)
    );
}

#[test]
fn codeguru_profiler_configure_agent() {
    let events = golden("codeguru-profiler-ConfigureAgent");
    assert_columns(
        &events[0],
        [
            ("user_identity_type", "AssumedRole".into()),
            ("user_identity_arn", "arn:aws:sts::444455556666:assumed-role/profiled-service".into()),
            ("user_identity_access_key_id", "AKIAEXAMPLEPROFILER1".into()),
            ("user_identity_session_context_ec2_role_delivery", "1.0".into()),
            ("user_identity_session_context_web_id_federation_data_federated_provider", Value::Null),
            // The empty object is there again when the record is rebuilt.
            ("row_shape", "userIdentity.sessionContext.webIdFederationData{}".into()),
            ("by_temporary_credentials", true.into()),
            ("by_root_or_iam_user", false.into()),
            ("by_aws_service", false.into()),
        ],
    );
}

#[test]
fn codeguru_profiler_post_agent_profile() {
    let events = golden("codeguru-profiler-PostAgentProfile");
    assert_columns(
        &events[0],
        [
            ("response_elements", Value::Null),
            // `null` was delivered, which is not the same as nothing.
            ("row_shape", "userIdentity.sessionContext.webIdFederationData{},responseElements".into()),
            ("user_identity_session_context_ec2_role_delivery", "1.0".into()),
        ],
    );
}

#[test]
fn devops_guru_update_resource_collection() {
    let events = golden("devops-guru-UpdateResourceCollection");
    assert_columns(
        &events[0],
        [
            // Blanks around ids are the service's, and stay.
            ("request_id", " 5b7d9f11-SAMPLE ".into()),
            ("event_id", " 8ca0e2f4-SAMPLE ".into()),
            ("source_ip_address", "example-ip-address".into()),
            ("account", "012345678901".into()),
            ("event_time", "2026-03-03T12:34:56Z".into()),
            ("user_identity_session_context_attributes_creation_date", "2026-03-03T15:00:01Z".into()),
            ("by_aws_service", false.into()),
        ],
    );
}

#[test]
fn codestar_create_project() {
    let events = golden("codestar-CreateProject");
    assert_columns(
        &events[0],
        [
            // Placeholders are taken as delivered, also where they become the account and the Region.
            ("aws_region", "your-region".into()),
            ("region", "your-region".into()),
            ("recipient_account_id", "your-account".into()),
            ("account", "your-account".into()),
            ("read_only", Value::Null),
            ("user_identity_invoked_by", "codestar.amazonaws.com".into()),
            ("source_ip_address", "codestar.amazonaws.com".into()),
            ("by_temporary_credentials", true.into()),
            ("by_aws_service", true.into()),
        ],
    );
}

#[test]
fn insights_come_in_pairs() {
    let events = golden("insight");
    let states: Vec<&Value> = events.iter().map(|event| &event["insight_details_state"]).collect();
    assert_eq!(states, ["Start", "End"]);
    assert_eq!(events[0]["shared_event_id"], events[1]["shared_event_id"]);
    assert_columns(
        &events[0],
        [
            ("event_source", Value::Null),
            ("event_name", Value::Null),
            ("error_code", Value::Null),
            ("insight_details_event_name", "ListAccessKeys".into()),
            ("insight_details_insight_context_statistics_baseline_average", "0.00012345".into()),
            ("insight_details_insight_context_statistics_insight_average", "7".into()),
            ("principal", Value::Null),
        ],
    );
}

#[test]
fn network_activity() {
    let events = golden("network-activity");
    assert_columns(
        &events[0],
        [
            ("event_category", "NetworkActivity".into()),
            ("vpc_endpoint_account_id", "444455556666".into()),
            ("read_only", Value::Null),
            ("user_agent", Value::Null),
            ("principal", "AROAEXAMPLEREADER0001:alina-audit".into()),
        ],
    );
}

#[test]
fn aggregated_events_have_the_time_of_their_window() {
    let events = golden("aggregated");
    assert_columns(
        &events[0],
        [
            ("event_time", "2026-03-03T16:20:00Z".into()),
            ("event_date", "2026-03-03".into()),
            ("event_id", "abcdef01-2345-4678-89ab-cdef01234567".into()),
            ("account", "012345678901".into()),
            ("recipient_account_id", Value::Null),
            ("event_name", Value::Null),
            ("addendum_reason", "DELIVERY_DELAY".into()),
        ],
    );
}

#[test]
fn console_logins() {
    let events = golden("console-logins");
    let outcomes: Vec<&Value> = events.iter().map(|event| &event["error_message"]).collect();
    let failed = Value::from("Failed authentication");
    assert_eq!(outcomes, [&Value::Null, &failed, &failed, &Value::Null]);
    assert_columns(
        &events[1],
        [
            ("error_code", Value::Null),
            // The empty text is no null.
            ("user_identity_access_key_id", "".into()),
            ("user_identity_user_name", "HIDDEN_DUE_TO_SECURITY_REASONS".into()),
            ("principal", "111122223333".into()),
        ],
    );
    assert_columns(&events[3], [("user_identity_type", "Root".into()), ("by_root_or_iam_user", true.into())]);
}
