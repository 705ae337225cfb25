//! One record as CloudTrail writes it: the keys in the order in which real files have them.

use std::fmt::Write;

use super::names::iso;
use super::rng::Rng;

#[derive(Default)]
pub enum RequestId {
    #[default]
    None,
    Uuid,
    Short,
}

/// What a record says. Empty texts are fields that it does not have.
#[derive(Default)]
pub struct Record<'a> {
    pub event_version: &'a str,
    pub user_identity: &'a str,
    pub time: i64,
    pub source: &'a str,
    pub name: &'a str,
    pub region: &'a str,
    pub address: &'a str,
    pub agent: &'a str,
    pub error: Option<(&'a str, &'a str)>,
    pub request: &'a str,
    pub response: &'a str,
    pub additional: &'a str,
    pub request_id: RequestId,
    pub read_only: Option<bool>,
    pub resources: &'a str,
    pub event_type: &'a str,
    pub api_version: &'a str,
    pub management: Option<bool>,
    pub recipient: &'a str,
    pub shared: bool,
    pub vpc_endpoint: &'a str,
    pub vpc_endpoint_account: &'a str,
    pub service_event_details: &'a str,
    pub category: &'a str,
    pub tls_host: &'a str,
    pub console: bool,
}

impl Record<'_> {
    pub fn write(&self, to: &mut String, rng: &mut Rng) {
        let json = |to: &mut String, name: &str, value: &str| {
            if !value.is_empty() {
                let _ = write!(to, r#","{name}":{value}"#);
            }
        };
        let text = |to: &mut String, name: &str, value: &str| {
            if !value.is_empty() {
                let _ = write!(to, r#","{name}":"{value}""#);
            }
        };
        let bool = |to: &mut String, name: &str, value: Option<bool>| {
            if let Some(value) = value {
                let _ = write!(to, r#","{name}":{value}"#);
            }
        };
        let uuid = |to: &mut String, name: &str, rng: &mut Rng| {
            let _ = write!(to, r#","{name}":""#);
            rng.uuid(to);
            to.push('"');
        };
        let _ = write!(
            to,
            r#"{{"eventVersion":"{}","userIdentity":{},"eventTime":"{}","eventSource":"{}.amazonaws.com","eventName":"{}","awsRegion":"{}""#,
            self.event_version,
            self.user_identity,
            iso(self.time),
            self.source,
            self.name,
            self.region,
        );
        text(to, "sourceIPAddress", self.address);
        text(to, "userAgent", self.agent);
        if let Some((code, message)) = self.error {
            text(to, "errorCode", code);
            text(to, "errorMessage", message);
        }
        json(to, "requestParameters", self.request);
        json(to, "responseElements", self.response);
        json(to, "additionalEventData", self.additional);
        match self.request_id {
            RequestId::None => {}
            RequestId::Uuid => uuid(to, "requestID", rng),
            RequestId::Short => {
                to.push_str(r#","requestID":""#);
                rng.upper(to, 16);
                to.push('"');
            }
        }
        uuid(to, "eventID", rng);
        bool(to, "readOnly", self.read_only);
        json(to, "resources", self.resources);
        text(to, "eventType", self.event_type);
        text(to, "apiVersion", self.api_version);
        bool(to, "managementEvent", self.management);
        text(to, "recipientAccountId", self.recipient);
        json(to, "serviceEventDetails", self.service_event_details);
        if self.shared {
            uuid(to, "sharedEventID", rng);
        }
        text(to, "vpcEndpointId", self.vpc_endpoint);
        text(to, "vpcEndpointAccountId", self.vpc_endpoint_account);
        text(to, "eventCategory", self.category);
        if !self.tls_host.is_empty() {
            let _ = write!(
                to,
                r#","tlsDetails":{{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"{}""#,
                self.tls_host
            );
            if self.event_version == "1.11" {
                to.push_str(r#","keyExchange":"X25519MLKEM768""#);
            }
            to.push('}');
        }
        if self.console {
            to.push_str(r#","sessionCredentialFromConsole":"true""#);
        }
        to.push('}');
    }
}
