//! The three questions of every "Logging … API calls with AWS CloudTrail" page, each answered by one column or one line:
//! was it root or an IAM user, temporary credentials of a role or a federated user, or another AWS service?

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::command::TestEnv;
use crate::support::lake::{convert, data, lake_of, rows};

/// An identity, and the answers.
struct Case {
    name: &'static str,
    /// Members of the record.
    record: &'static str,
    root_or_user: bool,
    temporary: bool,
    service: bool,
    principal: Option<&'static str>,
}

const CASES: &[Case] = &[
    Case {
        name: "root",
        record: r#""userIdentity":{"type":"Root","principalId":"111122223333","arn":"arn:aws:iam::111122223333:root","accountId":"111122223333"}"#,
        root_or_user: true,
        temporary: false,
        service: false,
        principal: Some("arn:aws:iam::111122223333:root"),
    },
    Case {
        name: "user with a long-term key",
        record: r#""userIdentity":{"type":"IAMUser","principalId":"AIDAEXAMPLE","arn":"arn:aws:iam::111122223333:user/alina","accountId":"111122223333","accessKeyId":"AKIAEXAMPLE","userName":"alina"}"#,
        root_or_user: true,
        temporary: false,
        service: false,
        principal: Some("arn:aws:iam::111122223333:user/alina"),
    },
    Case {
        name: "user in the console",
        record: r#""userIdentity":{"type":"IAMUser","principalId":"AIDAEXAMPLE","arn":"arn:aws:iam::111122223333:user/alina","accountId":"111122223333","accessKeyId":"ASIAEXAMPLE","userName":"alina","sessionContext":{"sessionIssuer":{},"webIdFederationData":{},"attributes":{"creationDate":"2026-03-01T08:00:00Z","mfaAuthenticated":"true"}}}"#,
        root_or_user: true,
        temporary: false,
        service: false,
        principal: Some("arn:aws:iam::111122223333:user/alina"),
    },
    Case {
        name: "assumed role",
        record: r#""userIdentity":{"type":"AssumedRole","principalId":"AROAEXAMPLE:s","arn":"arn:aws:sts::111122223333:assumed-role/Admin/s","accountId":"111122223333","accessKeyId":"ASIAEXAMPLE","sessionContext":{"sessionIssuer":{"type":"Role","principalId":"AROAEXAMPLE","arn":"arn:aws:iam::111122223333:role/Admin","accountId":"111122223333","userName":"Admin"},"attributes":{"creationDate":"2026-03-01T08:00:00Z","mfaAuthenticated":"false"}}}"#,
        root_or_user: false,
        temporary: true,
        service: false,
        principal: Some("arn:aws:iam::111122223333:role/Admin"),
    },
    Case {
        name: "assumed role without an issuer",
        record: r#""userIdentity":{"type":"AssumedRole","principalId":"AROAEXAMPLE:s","arn":"arn:aws:sts::111122223333:assumed-role/Admin/s","accountId":"111122223333"}"#,
        root_or_user: false,
        temporary: true,
        service: false,
        principal: Some("arn:aws:sts::111122223333:assumed-role/Admin/s"),
    },
    Case {
        name: "federated user",
        record: r#""userIdentity":{"type":"FederatedUser","principalId":"111122223333:bo","arn":"arn:aws:sts::111122223333:federated-user/bo","accountId":"111122223333","sessionContext":{"sessionIssuer":{"type":"IAMUser","principalId":"AIDAEXAMPLE","arn":"arn:aws:iam::111122223333:user/broker","accountId":"111122223333","userName":"broker"}}}"#,
        root_or_user: false,
        temporary: true,
        service: false,
        principal: Some("arn:aws:sts::111122223333:federated-user/bo"),
    },
    Case {
        name: "service",
        record: r#""userIdentity":{"type":"AWSService","invokedBy":"ec2.amazonaws.com"},"sourceIPAddress":"ec2.amazonaws.com""#,
        root_or_user: false,
        temporary: false,
        service: true,
        principal: Some("ec2.amazonaws.com"),
    },
    Case {
        name: "service for a role",
        record: r#""userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::111122223333:assumed-role/Stack/s","invokedBy":"cloudformation.amazonaws.com","sessionContext":{"sessionIssuer":{"arn":"arn:aws:iam::111122223333:role/Stack"}}},"sourceIPAddress":"cloudformation.amazonaws.com""#,
        root_or_user: false,
        temporary: true,
        service: true,
        principal: Some("arn:aws:iam::111122223333:role/Stack"),
    },
    Case {
        name: "service for a user",
        record: r#""userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/alina","invokedBy":"athena.amazonaws.com"},"sourceIPAddress":"athena.amazonaws.com""#,
        root_or_user: true,
        temporary: false,
        service: true,
        principal: Some("arn:aws:iam::111122223333:user/alina"),
    },
    Case {
        name: "another account",
        record: r#""userIdentity":{"type":"AWSAccount","principalId":"AIDAEXAMPLE","accountId":"444455556666"},"recipientAccountId":"111122223333""#,
        root_or_user: false,
        temporary: false,
        service: false,
        principal: Some("AIDAEXAMPLE"),
    },
    Case {
        name: "anonymous",
        record: r#""userIdentity":{"type":"AWSAccount","principalId":"","accountId":"ANONYMOUS_PRINCIPAL"}"#,
        root_or_user: false,
        temporary: false,
        service: false,
        principal: Some("ANONYMOUS_PRINCIPAL"),
    },
    Case {
        name: "SAML user",
        record: r#""userIdentity":{"type":"SAMLUser","principalId":"xyz=:bo@example.com","userName":"bo@example.com","identityProvider":"xyz="}"#,
        root_or_user: false,
        temporary: false,
        service: false,
        principal: Some("xyz=:bo@example.com"),
    },
    Case {
        name: "web identity user",
        record: r#""userIdentity":{"type":"WebIdentityUser","principalId":"accounts.google.com:app:bo","userName":"bo","identityProvider":"accounts.google.com"}"#,
        root_or_user: false,
        temporary: false,
        service: false,
        principal: Some("accounts.google.com:app:bo"),
    },
    Case {
        name: "Identity Center user",
        record: r#""userIdentity":{"type":"IdentityCenterUser","accountId":"111122223333","onBehalfOf":{"userId":"94482488-3041-7062-0000-aaaaaaaaaaaa","identityStoreArn":"arn:aws:identitystore::111122223333:identitystore/d-1234567890"},"credentialId":"cred"}"#,
        root_or_user: false,
        temporary: false,
        service: false,
        principal: Some("111122223333"),
    },
    Case {
        name: "empty",
        record: r#""userIdentity":{}"#,
        root_or_user: false,
        temporary: false,
        service: false,
        principal: None,
    },
    Case {
        name: "absent",
        record: r#""eventCategory":"Insight""#,
        root_or_user: false,
        temporary: false,
        service: false,
        principal: None,
    },
    Case {
        name: "internal",
        record: r#""userIdentity":{"accountId":"111122223333","invokedBy":"AWS Internal"},"sourceIPAddress":"AWS Internal""#,
        root_or_user: false,
        temporary: false,
        service: true,
        principal: Some("AWS Internal"),
    },
    Case {
        name: "a caller that says it is a service",
        record: r#""userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/eve"},"sourceIPAddress":"198.51.100.7","userAgent":"ec2.amazonaws.com""#,
        root_or_user: true,
        temporary: false,
        service: false,
        principal: Some("arn:aws:iam::111122223333:user/eve"),
    },
];

fn lake() -> TestEnv {
    let records: Vec<String> = CASES
        .iter()
        .map(|case| {
            format!(
                r#"{{"eventVersion":"1.11","eventTime":"2026-03-01T00:00:00Z","eventID":"{}",{}}}"#,
                case.name, case.record
            )
        })
        .collect();
    let env = TestEnv::new();
    std::fs::write(env.path("events.json"), records.join("\n")).unwrap();
    let (output, report) = convert(&env, &env.path("events.json"));
    assert_eq!((output.code, &report["records"]["rows"]), (0, &CASES.len().into()));
    env
}

/// The names of the cases for which a condition holds.
fn having(env: &TestEnv, condition: &str) -> Vec<String> {
    let sql = format!("SELECT event_id FROM events WHERE {condition} ORDER BY row_source_record");
    rows(env, &sql).iter().map(|row| row["event_id"].as_str().unwrap().to_owned()).collect()
}

fn names(wanted: impl Fn(&Case) -> bool) -> Vec<&'static str> {
    CASES.iter().filter(|case| wanted(case)).map(|case| case.name).collect()
}

#[test]
fn each_question_is_a_column() {
    let env = lake();
    assert_eq!(having(&env, "by_root_or_iam_user"), names(|case| case.root_or_user));
    assert_eq!(having(&env, "by_temporary_credentials"), names(|case| case.temporary));
    assert_eq!(having(&env, "by_aws_service"), names(|case| case.service));
    // Never null, so that NOT means what it says.
    assert_eq!(having(&env, "NOT by_aws_service"), names(|case| !case.service));
    let unknown = "by_root_or_iam_user IS NULL OR by_temporary_credentials IS NULL OR by_aws_service IS NULL";
    assert!(having(&env, unknown).is_empty());
}

#[test]
fn further_questions_are_one_line() {
    let env = lake();
    let issued = "user_identity_session_context_attributes_creation_date";
    for (condition, expected) in [
        ("user_identity_type = 'Root'", &["root"][..]),
        (
            &format!("user_identity_type = 'IAMUser' AND {issued} IS NULL AND NOT by_aws_service"),
            &["user with a long-term key", "a caller that says it is a service"],
        ),
        (&format!("user_identity_type = 'IAMUser' AND {issued} IS NOT NULL"), &["user in the console"]),
        ("user_identity_session_context_attributes_mfa_authenticated = 'true'", &["user in the console"]),
        (
            "user_identity_account_id <> recipient_account_id AND user_identity_type = 'AWSAccount'",
            &["another account"],
        ),
        ("user_identity_account_id = 'ANONYMOUS_PRINCIPAL'", &["anonymous"]),
        ("user_identity_on_behalf_of_user_id IS NOT NULL", &["Identity Center user"]),
        ("user_identity_type IN ('SAMLUser', 'WebIdentityUser')", &["SAML user", "web identity user"]),
        ("principal IS NULL", &["empty", "absent"]),
    ] {
        assert_eq!(having(&env, condition), expected, "{condition}");
    }
}

#[test]
fn the_principal_is_whoever_can_be_named() {
    let env = lake();
    let found: BTreeMap<String, Value> = rows(&env, "SELECT event_id, principal FROM events")
        .into_iter()
        .map(|row| (row["event_id"].as_str().unwrap().to_owned(), row["principal"].clone()))
        .collect();
    for case in CASES {
        assert_eq!(found[case.name].as_str(), case.principal, "{}", case.name);
    }
}

#[test]
fn the_columns_say_what_they_answer() {
    let env = lake();
    for column in ["by_root_or_iam_user", "by_temporary_credentials", "by_aws_service", "principal"] {
        let sql = format!("SELECT description FROM columns WHERE name = '{column}'");
        assert!(rows(&env, &sql)[0]["description"].as_str().unwrap().len() > 40, "{column}");
    }
}

#[test]
fn the_documented_examples_are_answered() {
    for (file, temporary, service) in [
        ("codeguru-reviewer-AssociateRepository", true, false),
        ("codeguru-profiler-ConfigureAgent", true, false),
        ("codeguru-profiler-PostAgentProfile", true, false),
        ("devops-guru-UpdateResourceCollection", true, false),
        ("codestar-CreateProject", true, true),
    ] {
        let env = lake_of(&data("records").join(format!("{file}.json")));
        let sql = "SELECT by_root_or_iam_user, by_temporary_credentials, by_aws_service FROM events";
        let expected = serde_json::json!({
            "by_root_or_iam_user": false, "by_temporary_credentials": temporary, "by_aws_service": service,
        });
        assert_eq!(rows(&env, sql), [expected], "{file}");
    }
}
