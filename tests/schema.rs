//! The columns as `trailhouse schema` and the README say them.

use trailhouse::schema::{COLUMNS, EVENT_DATE, Origin, RESOURCE_FIELDS};

use crate::support::command::TestEnv;

fn schema(format: &str) -> String {
    let output = TestEnv::new().run(["schema", "--format", format]).success();
    assert_eq!(output.stderr, "");
    output.stdout
}

#[test]
fn as_a_table() {
    let text = schema("table");
    insta::assert_snapshot!("schema", text);
    assert_eq!(TestEnv::new().run(["schema"]).success().stdout, text, "it is the default");
}

#[test]
fn as_json() {
    let columns: serde_json::Value = serde_json::from_str(&schema("json")).unwrap();
    let columns = columns.as_array().unwrap();
    assert_eq!(columns.len(), COLUMNS.len() + 1);
    for (found, column) in columns.iter().zip(std::iter::once(&EVENT_DATE).chain(COLUMNS)) {
        assert_eq!(found["name"], column.name);
        assert_eq!(found["type"], column.form.sql_type());
        assert_eq!(found["description"], column.doc);
        match column.origin {
            Origin::Derived => assert!(found["json_path"].is_null(), "{found}"),
            _ => assert_eq!(found["json_path"], column.path),
        }
    }
}

#[test]
fn the_readme_has_the_markdown_table() {
    let readme =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap_or_default();
    let table = readme
        .split_once("<!-- columns -->")
        .and_then(|(_, rest)| rest.split_once("<!-- /columns -->"))
        .map(|(table, _)| table.trim())
        .expect("README.md has no table of columns between <!-- columns --> and <!-- /columns -->");
    assert!(
        table == schema("markdown").trim(),
        "README.md's table of columns is not the program's: run `trailhouse schema --format markdown`, and paste what \
         it prints between <!-- columns --> and <!-- /columns -->"
    );
}

/// Every field that CloudTrail's records are documented or known to have: top level, `userIdentity`, Insights, network
/// activity, aggregated events (CloudTrail user guide, "CloudTrail record contents" and the pages it links).
const FIELDS: &str = "
    eventVersion userIdentity eventTime eventSource eventName awsRegion sourceIPAddress userAgent errorCode
    errorMessage requestParameters responseElements additionalEventData requestID eventID eventType apiVersion
    managementEvent readOnly resources recipientAccountId serviceEventDetails sharedEventID annotation vpcEndpointId
    vpcEndpointAccountId eventCategory sessionCredentialFromConsole

    addendum addendum.reason addendum.updatedFields addendum.originalRequestID addendum.originalEventID
    addendum.originalUID

    edgeDeviceDetails edgeDeviceDetails.type edgeDeviceDetails.deviceId edgeDeviceDetails.snowJobId
    edgeDeviceDetails.deviceFamily

    tlsDetails.tlsVersion tlsDetails.cipherSuite tlsDetails.clientProvidedHostHeader tlsDetails.keyExchange

    eventContext eventContext.requestContext eventContext.tagContext

    userIdentity.type userIdentity.principalId userIdentity.arn userIdentity.accountId userIdentity.accessKeyId
    userIdentity.userName userIdentity.invokedBy userIdentity.invokedByDelegate.accountId
    userIdentity.identityProvider userIdentity.credentialId userIdentity.onBehalfOf.userId
    userIdentity.onBehalfOf.identityStoreArn userIdentity.inScopeOf.sourceArn userIdentity.inScopeOf.sourceAccount
    userIdentity.inScopeOf.issuerType userIdentity.inScopeOf.credentialsIssuedTo

    userIdentity.sessionContext.sessionIssuer.type userIdentity.sessionContext.sessionIssuer.principalId
    userIdentity.sessionContext.sessionIssuer.arn userIdentity.sessionContext.sessionIssuer.accountId
    userIdentity.sessionContext.sessionIssuer.userName
    userIdentity.sessionContext.webIdFederationData.federatedProvider
    userIdentity.sessionContext.webIdFederationData.attributes
    userIdentity.sessionContext.attributes.creationDate userIdentity.sessionContext.attributes.mfaAuthenticated
    userIdentity.sessionContext.attributes.sessionCredentialFromConsole
    userIdentity.sessionContext.sourceIdentity userIdentity.sessionContext.ec2RoleDelivery
    userIdentity.sessionContext.ec2IssuedInVpc userIdentity.sessionContext.assumedRoot
    userIdentity.sessionContext.signInSessionArn

    insightDetails insightDetails.state insightDetails.eventSource insightDetails.eventName
    insightDetails.insightType insightDetails.errorCode insightDetails.sourceEventCategory
    insightDetails.insightSource insightDetails.insightContext insightDetails.insightContext.statistics
    insightDetails.insightContext.statistics.baseline.average insightDetails.insightContext.statistics.insight.average
    insightDetails.insightContext.statistics.insightDuration insightDetails.insightContext.statistics.baselineDuration
    insightDetails.insightContext.attributions
    insightSource insightState insightEventSource insightEventName insightErrorCode insightType insightContext

    accountId timeWindow.windowStart timeWindow.windowEnd timeWindow.windowSize
    summary.primaryDimension.dimension summary.primaryDimension.statistics summary.primaryDimension.aggregationType
    summary.details
";

#[test]
fn every_known_field_has_a_column() {
    let paths: Vec<&str> = COLUMNS.iter().map(|column| column.path).collect();
    let below = |field: &str| paths.iter().any(|path| path.starts_with(&format!("{field}.")));
    let without: Vec<&str> =
        FIELDS.split_whitespace().filter(|field| !paths.contains(field) && !below(field)).collect();
    assert_eq!(without, [""; 0]);
    let members: Vec<&str> = RESOURCE_FIELDS.iter().map(|(key, _)| *key).collect();
    assert_eq!(members, ["ARN", "ARNPrefix", "accountId", "type"]);
    // And nothing has a column that is not in the list.
    let known: Vec<&str> = FIELDS.split_whitespace().collect();
    let unknown: Vec<&&str> = paths.iter().filter(|path| !path.is_empty() && !known.contains(path)).collect();
    assert_eq!(unknown, [&""; 0]);
}
