//! The events: what a caller does in a row, and the kinds of events that are no calls.

use std::fmt::Write;

use super::account::{Account, Caller, Identity, Via};
use super::catalogue::{ACTIONS, Action, By, FAILURES, Kind, denial};
use super::names::{Names, Scene, iso};
use super::record::{Record, RequestId};
use super::rng::Rng;

/// A stretch of one caller's calls in one trail.
pub struct Burst<'a> {
    account: &'a Account,
    caller: &'a Caller,
    /// What is called most of the time.
    action: &'static Action,
    others: Vec<&'static Action>,
    names: Names<'a>,
    denied: bool,
    opening: Opening,
}

/// What a stretch of calls starts with.
enum Opening {
    None,
    SignIn,
    Exchange,
    ServiceEvent,
}

impl<'a> Burst<'a> {
    /// `home` says that the trail's Region is the one where global services record.
    pub fn new(account: &'a Account, home: bool, rng: &mut Rng) -> Burst<'a> {
        let by = match rng.below(100) {
            0..66 => By::Workload,
            66..82 => By::Service,
            82..92 => By::Person,
            _ => By::Deployer,
        };
        let callers: Vec<&Caller> = account.callers.iter().filter(|caller| caller.by == by).collect();
        let mut caller = *rng.favour(&callers);
        if matches!(caller.identity, Identity::Root) && !home {
            caller = callers[0];
        }
        // A trail outside the home Region sees global services only where it is an old single-Region one.
        let others: Vec<&'static Action> = ACTIONS
            .iter()
            .filter(|action| action.by == by && (!action.global || home || rng.chance(0.01)))
            .collect();
        let opening = match (by, rng.below(100)) {
            (By::Person, 0..12) => Opening::SignIn,
            (By::Deployer, 0..15) => Opening::Exchange,
            (By::Service, 0..3) => Opening::ServiceEvent,
            _ => Opening::None,
        };
        Burst {
            account,
            caller,
            action: weighted(&others, rng),
            others,
            names: Names::of(account, rng),
            denied: rng.chance(0.01),
            opening,
        }
    }

    /// Writes the burst's next record, of a request that was completed at `time`.
    pub fn record(&mut self, to: &mut String, region: &str, time: i64, rng: &mut Rng) {
        match std::mem::replace(&mut self.opening, Opening::None) {
            Opening::SignIn => return self.sign_in(to, time, rng),
            Opening::Exchange => return self.exchange(to, region, time, rng),
            Opening::ServiceEvent => return self.service_event(to, region, time, rng),
            Opening::None => {}
        }
        let action = if rng.chance(0.5) { self.action } else { weighted(&self.others, rng) };
        let region = if action.global { "us-east-1" } else { region };
        // Callers go through what there is: an inventory, a queue of work.
        if rng.chance(0.3) {
            self.names = Names::of(self.account, rng);
        }
        self.names.next_key(rng, time);
        let scene = Scene { account: self.account, region, time };
        let mut filled = |template: &str| {
            let mut text = String::new();
            self.names.fill(&mut text, template, &scene, rng);
            text
        };
        let request = filled(action.request);
        let response = filled(action.response);
        let additional = filled(action.additional);
        let resources = filled(action.resources);
        let service = action.service;

        let mut error = None;
        if self.denied || rng.chance(0.04) {
            let arn = self.caller.arn(self.account);
            let name =
                action.name.trim_end_matches(|last: char| last.is_ascii_digit() || "_v".contains(last));
            error = Some((
                denial(service),
                format!(
                    "User: {arn} is not authorized to perform: {service}:{name} because no identity-based policy allows the {service}:{name} action"
                ),
            ));
        } else if rng.chance(0.03) {
            let (code, message) = rng.pick(FAILURES);
            error = Some((*code, (*message).to_owned()));
        }
        let data = matches!(action.kind, Kind::DataRead | Kind::DataWrite);
        let read_only = matches!(action.kind, Kind::Read | Kind::DataRead);
        let s3 = service == "s3";
        let mut identity = String::new();
        self.caller.user_identity(&mut identity, self.account, time);
        let by_service = self.caller.by == By::Service
            || matches!(self.caller.identity, Identity::Role { via: Via::Service(_), .. });
        let shared =
            self.caller.by == By::Service || matches!(self.caller.identity, Identity::OtherAccount { .. });
        let tls = !by_service && !self.caller.from_console && service != "dynamodb" && service != "lambda";
        let bracketed = if s3 { format!("[{}]", self.caller.agent) } else { self.caller.agent.to_owned() };
        let host = format!("{service}.{region}.amazonaws.com");
        Record {
            event_version: action.event_version,
            user_identity: &identity,
            time,
            source: service,
            name: action.name,
            region,
            address: &self.caller.address,
            agent: &bracketed,
            error: error.as_ref().map(|(code, message)| (*code, message.as_str())),
            request: &request,
            response: if error.is_some() { "null" } else { &response },
            additional: &additional,
            request_id: if s3 { RequestId::Short } else { RequestId::Uuid },
            read_only: Some(read_only),
            resources: &resources,
            event_type: "AwsApiCall",
            api_version: action.api_version,
            management: Some(!data),
            recipient: &self.account.id,
            shared,
            vpc_endpoint: self.caller.vpc_endpoint.as_deref().unwrap_or_default(),
            vpc_endpoint_account: if data && self.caller.vpc_endpoint.is_some() {
                &self.account.id
            } else {
                ""
            },
            category: if data { "Data" } else { "Management" },
            tls_host: if tls { &host } else { "" },
            console: self.caller.from_console && self.caller.agent == "AWS Internal",
            ..Record::default()
        }
        .write(to, rng);
    }

    fn sign_in(&self, to: &mut String, time: i64, rng: &mut Rng) {
        let id = &self.account.id;
        let (mut identity, mut failed) = (String::new(), rng.chance(0.15));
        let mut response =
            if failed { r#"{"ConsoleLogin":"Failure"}"# } else { r#"{"ConsoleLogin":"Success"}"# };
        let mut name = "ConsoleLogin";
        match &self.caller.identity {
            Identity::Root => {
                let _ = write!(
                    identity,
                    r#"{{"type":"Root","principalId":"{id}","arn":"arn:aws:iam::{id}:root","accountId":"{id}","accessKeyId":""}}"#
                );
            }
            Identity::User { .. } if failed && rng.chance(0.5) => {
                let _ = write!(
                    identity,
                    r#"{{"type":"IAMUser","accountId":"{id}","accessKeyId":"","userName":"HIDDEN_DUE_TO_SECURITY_REASONS"}}"#
                );
            }
            Identity::User { user } => {
                let user = &self.account.users[*user];
                let (name, user_id) = (&user.name, &user.id);
                let _ = write!(
                    identity,
                    r#"{{"type":"IAMUser","principalId":"{user_id}","arn":"arn:aws:iam::{id}:user/{name}","accountId":"{id}","userName":"{name}"}}"#
                );
            }
            _ => {
                self.caller.user_identity(&mut identity, self.account, time);
                if rng.chance(0.3) {
                    (name, response, failed) = ("SwitchRole", r#"{"SwitchRole":"Success"}"#, false);
                }
            }
        }
        let additional = match name {
            "SwitchRole" => format!(r#"{{"RedirectTo":"https://console.aws.amazon.com/console/home","SwitchFrom":"{}"}}"#, self.caller.arn(self.account)),
            _ if rng.chance(0.6) => format!(r#"{{"LoginTo":"https://console.aws.amazon.com/console/home?hashArgs=%23&isauthcode=true","MobileVersion":"No","MFAIdentifier":"arn:aws:iam::{id}:mfa/phone","MFAUsed":"Yes"}}"#),
            _ => r#"{"LoginTo":"https://console.aws.amazon.com/console/home","MobileVersion":"No","MFAUsed":"No"}"#.to_owned(),
        };
        Record {
            event_version: "1.08",
            user_identity: &identity,
            time,
            source: "signin",
            name,
            region: "us-east-1",
            address: &self.caller.address,
            agent: "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.3 Safari/605.1.15",
            // A failed sign-in has a message and no code.
            error: failed.then_some(("", "Failed authentication")),
            request: "null",
            response,
            additional: &additional,
            request_id: RequestId::None,
            read_only: Some(false),
            event_type: "AwsConsoleSignIn",
            management: Some(true),
            recipient: id,
            category: "Management",
            tls_host: "signin.aws.amazon.com",
            ..Record::default()
        }
        .write(to, rng);
    }

    /// A SAML assertion or a web identity token for a role's credentials.
    fn exchange(&mut self, to: &mut String, region: &str, time: i64, rng: &mut Rng) {
        let id = &self.account.id;
        let saml = rng.chance(0.4);
        let (name, identity, request) = if saml {
            let person = &self.account.users[0].name;
            (
                "AssumeRoleWithSAML",
                format!(
                    r#"{{"type":"SAMLUser","principalId":"0yAfQiXdUo7BtEK9P8mHXw==:{person}@example.com","userName":"{person}@example.com","identityProvider":"https://idp.example.com/saml"}}"#
                ),
                r#"{"sAMLAssertionID":"_<uuid>","roleSessionName":"<session>","principalArn":"arn:aws:iam::<account>:saml-provider/corp","roleArn":"arn:aws:iam::<account>:role/<role>","durationSeconds":3600}"#,
            )
        } else {
            (
                "AssumeRoleWithWebIdentity",
                format!(
                    r#"{{"type":"WebIdentityUser","principalId":"arn:aws:iam::{id}:oidc-provider/token.actions.githubusercontent.com:sts.amazonaws.com:repo:example/app:ref:refs/heads/main","userName":"repo:example/app:ref:refs/heads/main","identityProvider":"arn:aws:iam::{id}:oidc-provider/token.actions.githubusercontent.com"}}"#
                ),
                r#"{"roleArn":"arn:aws:iam::<account>:role/<role>","roleSessionName":"GitHubActions","durationSeconds":3600}"#,
            )
        };
        let scene = Scene { account: self.account, region, time };
        let (mut sent, mut answered, mut resources) = (String::new(), String::new(), String::new());
        self.names.fill(&mut sent, request, &scene, rng);
        self.names.fill(&mut answered, r#"{"credentials":{"accessKeyId":"ASIA<upper:16>","sessionToken":"<base64:220>","expiration":"<java-time>"},"assumedRoleUser":{"assumedRoleId":"AROA<upper:17>:<session>","arn":"arn:aws:sts::<account>:assumed-role/<role>/<session>"},"audience":"sts.amazonaws.com"}"#, &scene, rng);
        self.names.fill(&mut resources, r#"[{"accountId":"<account>","type":"AWS::IAM::Role","ARN":"arn:aws:iam::<account>:role/<role>"}]"#, &scene, rng);
        Record {
            event_version: "1.08",
            user_identity: &identity,
            time,
            source: "sts",
            name,
            region,
            address: &self.caller.address,
            agent: self.caller.agent,
            request: &sent,
            response: &answered,
            request_id: RequestId::Uuid,
            read_only: Some(true),
            resources: &resources,
            event_type: "AwsApiCall",
            management: Some(true),
            recipient: id,
            category: "Management",
            tls_host: &format!("sts.{region}.amazonaws.com"),
            ..Record::default()
        }
        .write(to, rng);
    }

    fn service_event(&mut self, to: &mut String, region: &str, time: i64, rng: &mut Rng) {
        let scene = Scene { account: self.account, region, time };
        let (mut details, mut resources) = (String::new(), String::new());
        self.names.fill(&mut details, r#"{"keyId":"<kms>","rotationType":"AUTOMATIC"}"#, &scene, rng);
        self.names.fill(&mut resources, r#"[{"accountId":"<account>","type":"AWS::KMS::Key","ARN":"arn:aws:kms:<region>:<account>:key/<kms>"}]"#, &scene, rng);
        Record {
            event_version: "1.08",
            user_identity: &format!(r#"{{"accountId":"{}","invokedBy":"AWS Internal"}}"#, self.account.id),
            time,
            source: "kms",
            name: "RotateKey",
            region,
            address: "AWS Internal",
            agent: "AWS Internal",
            request: "null",
            response: "null",
            read_only: Some(false),
            resources: &resources,
            event_type: "AwsServiceEvent",
            management: Some(true),
            recipient: &self.account.id,
            service_event_details: &details,
            category: "Management",
            ..Record::default()
        }
        .write(to, rng);
    }

    /// The same call as a VPC endpoint saw it.
    pub fn network_activity(&mut self, to: &mut String, region: &str, time: i64, rng: &mut Rng) {
        let id = &self.account.id;
        let denied = rng.chance(0.3);
        let endpoint = self.caller.vpc_endpoint.as_deref().unwrap_or("vpce-0a1b2c3d4e5f60718");
        Record {
            event_version: "1.09",
            user_identity: &format!(
                r#"{{"type":"AWSAccount","principalId":"{}","accountId":"{id}"}}"#,
                self.account.roles[3].id
            ),
            time,
            source: self.action.service,
            name: self.action.name,
            region,
            address: "10.20.1.17",
            error: denied
                .then_some(("VpceAccessDenied", "The request was denied due to a VPC endpoint policy")),
            request_id: RequestId::Uuid,
            event_type: "AwsVpceEvent",
            recipient: id,
            shared: true,
            vpc_endpoint: endpoint,
            vpc_endpoint_account: id,
            category: "NetworkActivity",
            ..Record::default()
        }
        .write(to, rng);
    }
}

/// A count of data events over five minutes, which has no time, name or caller of its own.
pub fn aggregated(to: &mut String, account: &Account, region: &str, time: i64, rng: &mut Rng) {
    let (start, names) = (time.div_euclid(300) * 300, Names::of(account, rng));
    let mut text = String::new();
    let template = r#""eventVersion":"1.0","accountId":"<account>","eventId":"<uuid>","eventCategory":"Aggregated","eventType":"AwsAggregatedEvent","awsRegion":"<region>","eventSource":"s3.amazonaws.com","#;
    names.fill(&mut text, template, &Scene { account, region, time }, rng);
    let (most, rest) = (200 + rng.below(90_000), rng.below(200));
    let _ = write!(
        to,
        r#"{{{text}"timeWindow":{{"windowStart":"{}","windowEnd":"{}","windowSize":"PT5M"}},"summary":{{"primaryDimension":{{"dimension":"eventName","statistics":[{{"name":"GetObject","value":{}}}],"aggregationType":"Count"}},"details":[{{"dimension":"resourceARN","statistics":[{{"name":"arn:aws:s3:::data-one","value":{most}}},{{"name":"arn:aws:s3:::data-two","value":{rest}}}],"aggregationType":"Count"}}]}}}}"#,
        iso(start),
        iso(start + 300),
        most + rest,
    );
}

/// The start, or the end, of an unusual rate of calls; both have the same shared id.
pub fn insight(
    to: &mut String,
    account: &Account,
    region: &str,
    time: i64,
    shared: &str,
    ended: bool,
    rng: &mut Rng,
) {
    let mut event_id = String::new();
    rng.uuid(&mut event_id);
    let (state, id) = (if ended { "End" } else { "Start" }, &account.id);
    let role = &account.roles[3].name;
    let minutes = if ended { 3 } else { 1 };
    let _ = write!(
        to,
        r#"{{"eventVersion":"1.09","eventTime":"{}","awsRegion":"{region}","eventID":"{event_id}","eventType":"AwsCloudTrailInsight","recipientAccountId":"{id}","sharedEventID":"{shared}","insightDetails":{{"state":"{state}","eventSource":"ssm.amazonaws.com","eventName":"UpdateInstanceInformation","insightType":"ApiCallRateInsight","insightContext":{{"statistics":{{"baseline":{{"average":9.82222E-5}},"insight":{{"average":{}.6}},"insightDuration":{minutes},"baselineDuration":10079}},"attributions":[{{"attribute":"userIdentityArn","insight":[{{"value":"arn:aws:sts::{id}:assumed-role/{role}","average":5}}],"baseline":[]}},{{"attribute":"userAgent","insight":[{{"value":"amazon-ssm-agent","average":5.6}}],"baseline":[{{"value":"amazon-ssm-agent","average":9.82222E-5}}]}},{{"attribute":"errorCode","insight":[{{"value":"null","average":5.6}}],"baseline":[]}}]}}}},"eventCategory":"Insight"}}"#,
        iso(time),
        rng.below(40),
    );
}

fn weighted(actions: &[&'static Action], rng: &mut Rng) -> &'static Action {
    let mut left = rng.below(actions.iter().map(|action| action.weight).sum());
    for action in actions {
        if left < action.weight {
            return action;
        }
        left -= action.weight;
    }
    actions[0]
}
