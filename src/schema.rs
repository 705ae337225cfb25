//! The one table of columns. Flattening, the Arrow schema, the Delta schema, `trailhouse schema`, the README's column
//! table and the golden tests all derive from it: a new column is one line here.
//!
//! Names are mechanical: the JSON path in snake_case, its steps joined by `_`.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};

/// The version of the table below; it grows by one with every change that older programs cannot read.
/// A lake remembers the version it was written with, and a newer one is refused.
pub const SCHEMA_VERSION: u32 = 1;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A JSON string, unescaped.
    Text,
    /// Any JSON value but null, as verbatim JSON text.
    Json,
    /// A JSON boolean.
    Bool,
    /// A timestamp in microseconds since 1970, UTC.
    Time,
    /// A whole number.
    Int,
    /// The `resources` array: a list of structs.
    Resources,
}

impl Form {
    /// The type of such a column in memory. In Parquet it is the plain type every reader knows.
    pub fn arrow_type(self) -> DataType {
        match self {
            Form::Text | Form::Json => DataType::Utf8View,
            Form::Bool => DataType::Boolean,
            Form::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Form::Int => DataType::Int64,
            Form::Resources => DataType::List(RESOURCE_ITEM.clone()),
        }
    }

    /// The SQL type as `trailhouse schema` prints it.
    pub fn sql_type(self) -> &'static str {
        match self {
            Form::Text => "text",
            Form::Json => "text (JSON)",
            Form::Bool => "boolean",
            Form::Time => "timestamp (µs, UTC)",
            Form::Int => "bigint",
            Form::Resources => "list<struct>",
        }
    }
}

/// Where a column's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The record's field at the column's path; together these rebuild the record.
    Field,
    /// A field inside a payload column, repeated for convenience; rebuilding does not use it.
    Copy,
    /// Worked out from other fields, or from where the record was found.
    Derived,
}

/// One column of the `events` table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// The column's name.
    pub name: &'static str,
    /// The field's path in the record, steps joined by `.`; empty for derived columns.
    pub path: &'static str,
    /// What it holds.
    pub form: Form,
    /// Where its value comes from.
    pub origin: Origin,
    /// What it means, one line of Markdown.
    pub doc: &'static str,
}

const fn field(name: &'static str, path: &'static str, form: Form, doc: &'static str) -> Column {
    Column { name, path, form, origin: Origin::Field, doc }
}

const fn copy(name: &'static str, path: &'static str, form: Form, doc: &'static str) -> Column {
    Column { name, path, form, origin: Origin::Copy, doc }
}

const fn derived(name: &'static str, form: Form, doc: &'static str) -> Column {
    Column { name, path: "", form, origin: Origin::Derived, doc }
}

/// Every column but `event_date`, in the table's order. Field meanings follow the CloudTrail user guide
/// ("CloudTrail record contents", "CloudTrail userIdentity element").
#[rustfmt::skip]
pub const COLUMNS: &[Column] = &[
    field("event_time", "eventTime", Form::Time, "When the request was completed, UTC; where the record has no time of its own (aggregated events), the start of its window"),
    field("event_source", "eventSource", Form::Text, "The service the request was made to, such as `s3.amazonaws.com`"),
    field("event_name", "eventName", Form::Text, "The requested action, one of the service's API"),
    field("aws_region", "awsRegion", Form::Text, "The Region the request was made to"),
    derived("account", Form::Text, "The account whose trail has the event: `recipientAccountId`, else `accountId`, else the account in the object's key"),
    derived("region", Form::Text, "`awsRegion`, else the Region in the object's key"),
    derived("principal", Form::Text, "Who acted: the session issuer's ARN for an assumed role, else the ARN, the principal id, the invoking service, the account id"),
    derived("by_root_or_iam_user", Form::Bool, "True where root or IAM user credentials made the request: `userIdentity.type` is `Root` or `IAMUser`"),
    derived("by_temporary_credentials", Form::Bool, "True where temporary credentials of a role or federated user made it: `userIdentity.type` is `AssumedRole` or `FederatedUser`"),
    derived("by_aws_service", Form::Bool, "True where another AWS service made it: type `AWSService`, or `invokedBy` is set, or the source address is a service's host name"),
    field("source_ip_address", "sourceIPAddress", Form::Text, "Where the request came from: an IP address, a service's host name, or `AWS Internal`"),
    field("user_agent", "userAgent", Form::Text, "The agent through which it was made, at most 1 KB"),
    field("error_code", "errorCode", Form::Text, "The service's error; absent on success"),
    field("error_message", "errorMessage", Form::Text, "The error's description; also set without an error code by failed sign-ins"),
    field("request_parameters", "requestParameters", Form::Json, "What was sent with the request"),
    field("response_elements", "responseElements", Form::Json, "What a changing request answered; null for most reading ones"),
    field("additional_event_data", "additionalEventData", Form::Json, "Data that was part of neither request nor response"),
    field("request_id", "requestID", Form::Text, "The service's id of the request; spelled `requestId` by a few"),
    field("event_id", "eventID", Form::Text, "CloudTrail's id of the event; spelled `eventId` by aggregated events"),
    field("event_type", "eventType", Form::Text, "What kind of event: `AwsApiCall`, `AwsServiceEvent`, `AwsConsoleSignIn`, …"),
    field("event_category", "eventCategory", Form::Text, "`Management`, `Data`, `NetworkActivity`, `Insight` or `Aggregated`"),
    field("management_event", "managementEvent", Form::Bool, "Whether it is a management event"),
    field("read_only", "readOnly", Form::Bool, "Whether the action only reads"),
    field("recipient_account_id", "recipientAccountId", Form::Text, "The account that received the event, which may differ from the actor's"),
    field("shared_event_id", "sharedEventID", Form::Text, "The same in every account's copy of one action; pairs an Insight's start with its end"),
    field("user_identity_type", "userIdentity.type", Form::Text, "What kind of identity: `Root`, `IAMUser`, `AssumedRole`, `Role`, `FederatedUser`, `AWSAccount`, `AWSService`, …"),
    field("user_identity_principal_id", "userIdentity.principalId", Form::Text, "The unique id of the caller; for an assumed role `role-id:session-name`"),
    field("user_identity_arn", "userIdentity.arn", Form::Text, "The ARN of the caller"),
    field("user_identity_account_id", "userIdentity.accountId", Form::Text, "The account that owns the identity; not always twelve digits (`ANONYMOUS_PRINCIPAL`)"),
    field("user_identity_access_key_id", "userIdentity.accessKeyId", Form::Text, "The access key that signed the request: `AKIA…` long-lived, `ASIA…` temporary"),
    field("user_identity_user_name", "userIdentity.userName", Form::Text, "The friendly name of the identity"),
    field("user_identity_invoked_by", "userIdentity.invokedBy", Form::Text, "The AWS service that made the request for the caller"),
    field("user_identity_invoked_by_delegate_account_id", "userIdentity.invokedByDelegate.accountId", Form::Text, "The product provider's account under temporary delegated access"),
    field("user_identity_identity_provider", "userIdentity.identityProvider", Form::Text, "Who vouched for a SAML or web identity user"),
    field("user_identity_credential_id", "userIdentity.credentialId", Form::Text, "The bearer token's credential id (IAM Identity Center)"),
    field("user_identity_on_behalf_of_user_id", "userIdentity.onBehalfOf.userId", Form::Text, "The IAM Identity Center user on whose behalf the call was made"),
    field("user_identity_on_behalf_of_identity_store_arn", "userIdentity.onBehalfOf.identityStoreArn", Form::Text, "The identity store of that user"),
    field("user_identity_in_scope_of_source_arn", "userIdentity.inScopeOf.sourceArn", Form::Text, "The resource that credentials issued by a service were meant for"),
    field("user_identity_in_scope_of_source_account", "userIdentity.inScopeOf.sourceAccount", Form::Text, "The account of that resource"),
    field("user_identity_in_scope_of_issuer_type", "userIdentity.inScopeOf.issuerType", Form::Text, "The service that issued the credentials"),
    field("user_identity_in_scope_of_credentials_issued_to", "userIdentity.inScopeOf.credentialsIssuedTo", Form::Text, "The resource that the credentials were issued to"),
    field("user_identity_session_context_session_issuer_type", "userIdentity.sessionContext.sessionIssuer.type", Form::Text, "What issued the temporary credentials: `Role`, `IAMUser` or `Root`"),
    field("user_identity_session_context_session_issuer_principal_id", "userIdentity.sessionContext.sessionIssuer.principalId", Form::Text, "The issuer's unique id"),
    field("user_identity_session_context_session_issuer_arn", "userIdentity.sessionContext.sessionIssuer.arn", Form::Text, "The ARN of the role or user that issued the credentials"),
    field("user_identity_session_context_session_issuer_account_id", "userIdentity.sessionContext.sessionIssuer.accountId", Form::Text, "The account that owns the issuer"),
    field("user_identity_session_context_session_issuer_user_name", "userIdentity.sessionContext.sessionIssuer.userName", Form::Text, "The name of the role or user that issued the credentials"),
    field("user_identity_session_context_web_id_federation_data_federated_provider", "userIdentity.sessionContext.webIdFederationData.federatedProvider", Form::Text, "The web identity provider"),
    field("user_identity_session_context_web_id_federation_data_attributes", "userIdentity.sessionContext.webIdFederationData.attributes", Form::Json, "The application id and user id the provider gave"),
    field("user_identity_session_context_attributes_creation_date", "userIdentity.sessionContext.attributes.creationDate", Form::Text, "When the temporary credentials were issued, as delivered"),
    field("user_identity_session_context_attributes_mfa_authenticated", "userIdentity.sessionContext.attributes.mfaAuthenticated", Form::Text, "`true` where the credentials were issued with MFA"),
    field("user_identity_session_context_attributes_session_credential_from_console", "userIdentity.sessionContext.attributes.sessionCredentialFromConsole", Form::Text, "`true` for console sessions, where it is delivered here"),
    field("user_identity_session_context_source_identity", "userIdentity.sessionContext.sourceIdentity", Form::Text, "The source identity set when the role was assumed"),
    field("user_identity_session_context_ec2_role_delivery", "userIdentity.sessionContext.ec2RoleDelivery", Form::Text, "The instance metadata version that gave the credentials: `1.0` or `2.0`"),
    field("user_identity_session_context_ec2_issued_in_vpc", "userIdentity.sessionContext.ec2IssuedInVpc", Form::Text, "The VPC in which the instance's credentials were issued"),
    field("user_identity_session_context_assumed_root", "userIdentity.sessionContext.assumedRoot", Form::Text, "`true` for sessions of `sts:AssumeRoot`"),
    field("user_identity_session_context_sign_in_session_arn", "userIdentity.sessionContext.signInSessionArn", Form::Text, "The sign-in session the credentials belong to"),
    field("resources", "resources", Form::Resources, "The resources accessed: `arn`, `arn_prefix`, `account_id`, `type`"),
    field("tls_details_tls_version", "tlsDetails.tlsVersion", Form::Text, "The TLS version of the request"),
    field("tls_details_cipher_suite", "tlsDetails.cipherSuite", Form::Text, "The cipher suite"),
    field("tls_details_client_provided_host_header", "tlsDetails.clientProvidedHostHeader", Form::Text, "The host name the client asked for"),
    field("tls_details_key_exchange", "tlsDetails.keyExchange", Form::Text, "The key exchange, such as `X25519MLKEM768`"),
    field("session_credential_from_console", "sessionCredentialFromConsole", Form::Text, "`true` where the event comes from a console session"),
    field("api_version", "apiVersion", Form::Text, "The API version of the request, in whatever form the service has"),
    field("event_version", "eventVersion", Form::Text, "The version of the record format, as delivered; says nothing about which fields are there"),
    field("vpc_endpoint_id", "vpcEndpointId", Form::Text, "The VPC endpoint the request came through"),
    field("vpc_endpoint_account_id", "vpcEndpointAccountId", Form::Text, "The account that owns that endpoint"),
    field("service_event_details", "serviceEventDetails", Form::Json, "What a service event reports"),
    field("annotation", "annotation", Form::Text, "A note on the event (CloudTrail Lake)"),
    field("addendum", "addendum", Form::Json, "Why an event was delivered late or again, and which event it updates"),
    copy("addendum_reason", "addendum.reason", Form::Text, "`DELIVERY_DELAY`, `UPDATED_DATA` or `SERVICE_OUTAGE`"),
    copy("addendum_updated_fields", "addendum.updatedFields", Form::Text, "The fields that were updated, comma-separated"),
    copy("addendum_original_request_id", "addendum.originalRequestID", Form::Text, "The request id of the updated event"),
    copy("addendum_original_event_id", "addendum.originalEventID", Form::Text, "The event id of the updated event"),
    copy("addendum_original_uid", "addendum.originalUID", Form::Text, "The id of the updated activity event (CloudTrail Lake)"),
    field("edge_device_details", "edgeDeviceDetails", Form::Json, "The edge device (Outposts, Snow) the request was made to"),
    copy("edge_device_details_type", "edgeDeviceDetails.type", Form::Text, "The kind of device"),
    copy("edge_device_details_device_id", "edgeDeviceDetails.deviceId", Form::Text, "The device's id; spelled `deviceID` by some"),
    copy("edge_device_details_snow_job_id", "edgeDeviceDetails.snowJobId", Form::Text, "The Snow job"),
    copy("edge_device_details_device_family", "edgeDeviceDetails.deviceFamily", Form::Text, "The device family"),
    field("event_context", "eventContext", Form::Json, "Request and tag context (CloudTrail Lake event data stores)"),
    copy("event_context_request_context", "eventContext.requestContext", Form::Json, "The IAM condition keys of the request"),
    copy("event_context_tag_context", "eventContext.tagContext", Form::Json, "Tags of the resource and the principal"),
    field("insight_details", "insightDetails", Form::Json, "What an Insights event reports"),
    copy("insight_details_state", "insightDetails.state", Form::Text, "`Start` or `End`"),
    copy("insight_details_event_source", "insightDetails.eventSource", Form::Text, "The service with the unusual activity"),
    copy("insight_details_event_name", "insightDetails.eventName", Form::Text, "The API with the unusual activity"),
    copy("insight_details_insight_type", "insightDetails.insightType", Form::Text, "`ApiCallRateInsight` or `ApiErrorRateInsight`"),
    copy("insight_details_error_code", "insightDetails.errorCode", Form::Text, "The error whose rate is unusual"),
    copy("insight_details_source_event_category", "insightDetails.sourceEventCategory", Form::Text, "The category of the events observed"),
    copy("insight_details_insight_source", "insightDetails.insightSource", Form::Text, "The trail or event data store that observed them"),
    copy("insight_details_insight_context", "insightDetails.insightContext", Form::Json, "Statistics and attributions"),
    copy("insight_details_insight_context_statistics", "insightDetails.insightContext.statistics", Form::Json, "The averages and durations"),
    copy("insight_details_insight_context_statistics_baseline_average", "insightDetails.insightContext.statistics.baseline.average", Form::Json, "Calls or errors a minute before, a JSON number"),
    copy("insight_details_insight_context_statistics_insight_average", "insightDetails.insightContext.statistics.insight.average", Form::Json, "Calls or errors a minute during the insight, a JSON number"),
    copy("insight_details_insight_context_statistics_insight_duration", "insightDetails.insightContext.statistics.insightDuration", Form::Json, "How long the unusual activity lasted, minutes"),
    copy("insight_details_insight_context_statistics_baseline_duration", "insightDetails.insightContext.statistics.baselineDuration", Form::Json, "How long the baseline was measured, minutes"),
    copy("insight_details_insight_context_attributions", "insightDetails.insightContext.attributions", Form::Json, "The identities, agents and errors behind it"),
    field("insight_source", "insightSource", Form::Text, "As `insightDetails.insightSource`, in CloudTrail Lake's flat form"),
    field("insight_state", "insightState", Form::Text, "As `insightDetails.state`, in CloudTrail Lake's flat form"),
    field("insight_event_source", "insightEventSource", Form::Text, "As `insightDetails.eventSource`, in CloudTrail Lake's flat form"),
    field("insight_event_name", "insightEventName", Form::Text, "As `insightDetails.eventName`, in CloudTrail Lake's flat form"),
    field("insight_error_code", "insightErrorCode", Form::Text, "As `insightDetails.errorCode`, in CloudTrail Lake's flat form"),
    field("insight_type", "insightType", Form::Text, "As `insightDetails.insightType`, in CloudTrail Lake's flat form"),
    field("insight_context", "insightContext", Form::Json, "As `insightDetails.insightContext`, in CloudTrail Lake's flat form"),
    field("account_id", "accountId", Form::Text, "The account of an aggregated event, which has no `recipientAccountId`"),
    field("time_window_window_start", "timeWindow.windowStart", Form::Text, "Start of an aggregated event's window, as delivered"),
    field("time_window_window_end", "timeWindow.windowEnd", Form::Text, "End of that window, as delivered"),
    field("time_window_window_size", "timeWindow.windowSize", Form::Text, "Length of that window, an ISO 8601 duration"),
    field("summary_primary_dimension_dimension", "summary.primaryDimension.dimension", Form::Text, "What an aggregated event counts by"),
    field("summary_primary_dimension_statistics", "summary.primaryDimension.statistics", Form::Json, "The counts by name"),
    field("summary_primary_dimension_aggregation_type", "summary.primaryDimension.aggregationType", Form::Text, "How they were aggregated: `Count`"),
    field("summary_details", "summary.details", Form::Json, "Further dimensions, of the same form"),
    derived("unmapped", Form::Json, "Every field that has no column, and every value that its column cannot hold, as one JSON object; null where there is none"),
    derived("row_shape", Form::Text, "How the delivered form differs from what the columns say: known fields that were null (`path`), empty objects (`path{}`), or absent and filled in (`path!`), comma-separated"),
    derived("row_source_object", Form::Text, "The URL of the object the row came from"),
    derived("row_source_record", Form::Int, "Which record of that object, from 1"),
];

/// The partition column that is not in [`COLUMNS`]: the UTC date of `event_time`, as text `YYYY-MM-DD`; where the
/// record has no time, the day of the object's key, else null.
pub const EVENT_DATE: Column = derived(
    "event_date",
    Form::Text,
    "The UTC date of `event_time`, `YYYY-MM-DD`; where the record has no time, the day in the object's key",
);

/// Other spellings of a field that services really use, and the field they stand for.
pub const ALIASES: &[(&str, &str)] = &[
    ("eventId", "eventID"),
    ("requestId", "requestID"),
    ("edgeDeviceDetails.deviceID", "edgeDeviceDetails.deviceId"),
];

/// The members of a `resources` element: the key in the record and the field of the struct.
pub const RESOURCE_FIELDS: &[(&str, &str)] =
    &[("ARN", "arn"), ("ARNPrefix", "arn_prefix"), ("accountId", "account_id"), ("type", "type")];

static RESOURCE_ITEM: LazyLock<FieldRef> = LazyLock::new(|| {
    let members: Fields =
        RESOURCE_FIELDS.iter().map(|(_, name)| Field::new(*name, DataType::Utf8View, true)).collect();
    Arc::new(Field::new("element", DataType::Struct(members), true))
});

/// The fields of the struct that is one `resources` element.
pub fn resource_members() -> Fields {
    match RESOURCE_ITEM.data_type() {
        DataType::Struct(members) => members.clone(),
        _ => Fields::empty(),
    }
}

/// The list's element field.
pub fn resource_item() -> FieldRef {
    RESOURCE_ITEM.clone()
}

static ARROW_SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let fields: Fields =
        COLUMNS.iter().map(|column| Field::new(column.name, column.form.arrow_type(), true)).collect();
    Arc::new(Schema::new(fields))
});

/// The Arrow schema of a decoded batch: [`COLUMNS`] in order, every column nullable. `event_date` is not in it.
pub fn arrow_schema() -> SchemaRef {
    ARROW_SCHEMA.clone()
}

/// The position of a column in [`COLUMNS`].
pub const fn index(name: &str) -> Option<usize> {
    let mut at = 0;
    while at < COLUMNS.len() {
        if same(COLUMNS[at].name, name) {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// The position of a column that the program names itself; a name that is none fails to compile in a `const`.
#[allow(clippy::panic)]
pub const fn known(name: &str) -> usize {
    match index(name) {
        Some(at) => at,
        None => panic!("no such column"),
    }
}

const fn same(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    if left.len() != right.len() {
        return false;
    }
    let mut at = 0;
    while at < left.len() {
        if left[at] != right[at] {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The naming rule, as the module says it.
    fn snake_case(path: &str) -> String {
        let chars: Vec<char> = path.chars().collect();
        let mut name = String::new();
        for (at, &this) in chars.iter().enumerate() {
            if this == '.' {
                name.push('_');
                continue;
            }
            let before = at.checked_sub(1).map(|before| chars[before]);
            let next_is_lower = chars.get(at + 1).is_some_and(char::is_ascii_lowercase);
            let starts_word = this.is_ascii_uppercase()
                && before.is_some_and(|before| {
                    before.is_ascii_lowercase()
                        || before.is_ascii_digit()
                        || (before.is_ascii_uppercase() && next_is_lower)
                });
            if starts_word {
                name.push('_');
            }
            name.push(this.to_ascii_lowercase());
        }
        name
    }

    #[test]
    fn names_are_mechanical_and_unique() {
        let mut seen = std::collections::BTreeSet::new();
        for column in COLUMNS {
            if column.origin != Origin::Derived {
                assert_eq!(column.name, snake_case(column.path));
            }
            assert!(seen.insert(column.name), "{} is there twice", column.name);
            assert!(!column.doc.is_empty() && !column.doc.contains('|'), "{}: {:?}", column.name, column.doc);
        }
        assert!(!seen.contains(EVENT_DATE.name));
    }

    #[test]
    fn an_alias_stands_for_a_field_and_is_none_itself() {
        for (alias, canonical) in ALIASES {
            assert!(COLUMNS.iter().any(|column| column.path == *canonical), "{canonical}");
            assert!(COLUMNS.iter().all(|column| column.path != *alias), "{alias}");
        }
    }
}
