//! An account's world: what it owns, and who acts in it.

use std::fmt::Write;

use super::catalogue::By;
use super::names::iso;
use super::rng::Rng;

/// One who makes calls.
pub struct Caller {
    pub by: By,
    pub identity: Identity,
    /// Tells this caller's sessions from those of others.
    salt: u64,
    pub address: String,
    pub agent: &'static str,
    pub vpc_endpoint: Option<String>,
    pub from_console: bool,
}

/// Names index into the account's own.
pub enum Identity {
    /// A role's session, and who gave it the credentials.
    Role {
        role: usize,
        session: String,
        via: Via,
    },
    /// Long-term keys, or a console session of the user.
    User {
        user: usize,
    },
    Root,
    /// A service with no credentials of the account.
    Service(&'static str),
    /// Somebody in another account, who acts on a resource of this one.
    OtherAccount {
        account: String,
        principal: String,
    },
    /// `sts:GetFederationToken`.
    Federated {
        user: usize,
        name: String,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Via {
    Instance,
    Function,
    WebIdentity,
    SingleSignOn,
    /// A service that acts for the caller (forward access session).
    Service(&'static str),
}

/// A name and the unique id that goes with it.
pub struct Named {
    pub name: String,
    pub id: String,
}

pub struct Account {
    pub id: String,
    pub callers: Vec<Caller>,
    pub roles: Vec<Named>,
    pub users: Vec<Named>,
    pub buckets: Vec<String>,
    pub prefixes: Vec<String>,
    pub functions: Vec<String>,
    pub tables: Vec<String>,
    pub secrets: Vec<String>,
    pub kms_keys: Vec<String>,
    pub instances: Vec<String>,
    pub security_groups: Vec<String>,
    pub subnets: Vec<String>,
    pub images: Vec<String>,
}

/// Ids that AWS's documentation uses, one of them with the leading zero that programs like to lose; then random ones.
const ACCOUNT_IDS: &[&str] =
    &["111122223333", "444455556666", "012345678901", "777788889999", "123456789012", "000011112222"];

const WORDS: &[&str] = &[
    "orders",
    "billing",
    "ingest",
    "search",
    "media",
    "ledger",
    "fraud",
    "catalog",
    "notify",
    "export",
    "checkout",
    "identity",
    "pricing",
    "reports",
    "archive",
    "telemetry",
    "inventory",
    "shipping",
];

const PEOPLE: &[&str] = &["alina", "bo", "chidi", "dana", "emeka", "farah", "goran", "hana", "ines", "jun"];

const AGENTS: &[(By, &str)] = &[
    (
        By::Workload,
        "Boto3/1.37.4 md/Botocore#1.37.4 ua/2.0 os/linux md/arch#aarch64 lang/python#3.13.2 exec-env/AWS_Lambda_python3.13",
    ),
    (
        By::Workload,
        "aws-sdk-java/2.30.31 ua/2.1 os/Linux#5.10.233 lang/java#21.0.6 md/vendor#Amazon.com_Inc. m/D,N",
    ),
    (By::Workload, "aws-sdk-go-v2/1.36.3 ua/2.1 os/linux lang/go#1.24.1 md/GOOS#linux md/GOARCH#arm64 m/E"),
    (By::Workload, "amazon-ssm-agent/3.3.987.0"),
    (
        By::Deployer,
        "aws-cli/2.24.10 md/awscrt#0.23.8 ua/2.0 os/macos#24.3.0 md/arch#arm64 lang/python#3.12.9 md/command#sts.get-caller-identity",
    ),
    (
        By::Deployer,
        "APN/1.0 HashiCorp/1.0 Terraform/1.11.0 (+https://www.terraform.io) terraform-provider-aws/5.89.0 aws-sdk-go-v2/1.36.3",
    ),
    (
        By::Person,
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/134.0.0.0 Safari/537.36",
    ),
    (By::Person, "Mozilla/5.0 (X11; Linux x86_64; rv:136.0) Gecko/20100101 Firefox/136.0"),
    (By::Person, "AWS Internal"),
];

const SERVICES: &[&str] = &[
    "cloudtrail.amazonaws.com",
    "lambda.amazonaws.com",
    "ec2.amazonaws.com",
    "config.amazonaws.com",
    "autoscaling.amazonaws.com",
    "devops-guru.amazonaws.com",
    "codeguru-reviewer.amazonaws.com",
    "delivery.logs.amazonaws.com",
];

impl Account {
    pub fn new(seed: u64, index: usize) -> Account {
        let rng = &mut Rng::of(seed, &[1, index as u64]);
        let id = match ACCOUNT_IDS.get(index) {
            Some(known) => (*known).to_owned(),
            None => format!("{:012}", rng.below(1_000_000_000_000)),
        };
        let words: Vec<&str> = (0..8).map(|_| *rng.pick(WORDS)).collect();
        let list = |rng: &mut Rng, count: usize, each: &dyn Fn(&mut Rng, &str) -> String| -> Vec<String> {
            (0..count).map(|at| each(rng, words[at % words.len()])).collect()
        };
        let prefixed_hex = |prefix: &'static str| {
            move |rng: &mut Rng, _: &str| {
                let mut name = prefix.to_owned();
                rng.hex(&mut name, 17);
                name
            }
        };
        let uuid = |rng: &mut Rng, _: &str| {
            let mut key = String::new();
            rng.uuid(&mut key);
            key
        };
        let mut account = Account {
            buckets: list(rng, 12, &|rng, word| format!("{word}-{id}-{:04x}", rng.below(0x1_0000))),
            prefixes: list(rng, 8, &|_, word| word.to_owned()),
            functions: list(rng, 16, &|rng, word| {
                format!("{word}-{}", rng.pick(&["api", "worker", "sync", "cron", "authorizer"]))
            }),
            tables: list(rng, 6, &|_, word| format!("{word}-state")),
            secrets: list(rng, 6, &|rng, word| {
                let mut name = format!("prod/{word}/database-");
                rng.alphanumeric(&mut name, 6);
                name
            }),
            kms_keys: list(rng, 6, &uuid),
            instances: list(rng, 24, &prefixed_hex("i-0")),
            security_groups: list(rng, 8, &prefixed_hex("sg-0")),
            subnets: list(rng, 6, &prefixed_hex("subnet-0")),
            images: list(rng, 3, &prefixed_hex("ami-0")),
            roles: Vec::new(),
            users: Vec::new(),
            callers: Vec::new(),
            id,
        };
        for at in 0..14 {
            let name = match at {
                0 => {
                    let mut name = "AWSReservedSSO_AdministratorAccess_".to_owned();
                    rng.hex(&mut name, 16);
                    name
                }
                1 => "github-deployer".to_owned(),
                2 => "OrganizationAccountAccessRole".to_owned(),
                _ => {
                    format!("{}-{}-role", words[at % words.len()], rng.pick(&["service", "function", "task"]))
                }
            };
            account.roles.push(named(rng, name, "AROA"));
        }
        for person in PEOPLE.iter().take(4) {
            account.users.push(named(rng, (*person).to_owned(), "AIDA"));
        }
        account.add_callers(rng);
        account
    }

    fn add_callers(&mut self, rng: &mut Rng) {
        // More of the first kinds: `favour` picks by position.
        for at in 0..10 {
            let role = 3 + at;
            let instance = rng.pick(&self.instances).clone();
            let function = rng.pick(&self.functions).clone();
            let (session, via) =
                if at % 2 == 0 { (function, Via::Function) } else { (instance, Via::Instance) };
            self.add(rng, By::Workload, Identity::Role { role, session, via });
        }
        for service in SERVICES {
            self.add(rng, By::Service, Identity::Service(service));
        }
        let behalf = Via::Service("cloudformation.amazonaws.com");
        self.add(
            rng,
            By::Deployer,
            Identity::Role { role: 1, session: "GitHubActions".to_owned(), via: Via::WebIdentity },
        );
        self.add(
            rng,
            By::Deployer,
            Identity::Role { role: 1, session: "GitHubActions".to_owned(), via: behalf },
        );
        for person in PEOPLE.iter().take(6) {
            let session = format!("{person}@example.com");
            self.add(rng, By::Person, Identity::Role { role: 0, session, via: Via::SingleSignOn });
        }
        for user in 0..self.users.len() {
            let by = if user % 2 == 0 { By::Deployer } else { By::Person };
            self.add(rng, by, Identity::User { user });
        }
        let name = format!("{}-batch", self.prefixes[0]);
        self.add(rng, By::Deployer, Identity::Federated { user: 0, name });
        let mut principal = "AROA".to_owned();
        rng.upper(&mut principal, 17);
        principal.push_str(":audit");
        self.add(rng, By::Workload, Identity::OtherAccount { account: "999988887777".to_owned(), principal });
        self.add(rng, By::Person, Identity::Root);
    }

    fn add(&mut self, rng: &mut Rng, by: By, identity: Identity) {
        let agents: Vec<&'static str> =
            AGENTS.iter().filter(|(of, _)| *of == by).map(|(_, agent)| *agent).collect();
        let mut vpc_endpoint = None;
        let (address, agent) = match (&identity, by) {
            (Identity::Service(service), _) | (Identity::Role { via: Via::Service(service), .. }, _) => {
                ((*service).to_owned(), *service)
            }
            (_, By::Workload) if rng.chance(0.3) => {
                let mut endpoint = "vpce-0".to_owned();
                rng.hex(&mut endpoint, 16);
                vpc_endpoint = Some(endpoint);
                (format!("10.20.{}.{}", rng.below(8), rng.below(250)), *rng.pick(&agents))
            }
            _ if rng.chance(0.1) => {
                (format!("2001:db8:{:x}::{:x}", rng.below(0xffff), rng.below(0xffff)), *rng.pick(&agents))
            }
            _ => {
                let net = rng.pick(&["203.0.113", "198.51.100", "192.0.2"]);
                (format!("{net}.{}", rng.below(255)), *rng.pick(&agents))
            }
        };
        let from_console = by == By::Person;
        self.callers.push(Caller {
            by,
            identity,
            salt: rng.next(),
            address,
            agent,
            vpc_endpoint,
            from_console,
        });
    }
}

fn named(rng: &mut Rng, name: String, prefix: &str) -> Named {
    let mut id = prefix.to_owned();
    rng.upper(&mut id, 17);
    Named { name, id }
}

impl Caller {
    /// The caller's ARN, as error messages name it.
    pub fn arn(&self, account: &Account) -> String {
        let id = &account.id;
        match &self.identity {
            Identity::Role { role, session, .. } => {
                format!("arn:aws:sts::{id}:assumed-role/{}/{session}", account.roles[*role].name)
            }
            Identity::User { user } => format!("arn:aws:iam::{id}:user/{}", account.users[*user].name),
            Identity::Root => format!("arn:aws:iam::{id}:root"),
            Identity::Service(service) => (*service).to_owned(),
            Identity::OtherAccount { account, principal } => {
                format!("arn:aws:iam::{account}:role/{principal}")
            }
            Identity::Federated { name, .. } => format!("arn:aws:sts::{id}:federated-user/{name}"),
        }
    }

    /// Writes the `userIdentity` object of a call at that time. Keys and sessions last an hour.
    pub fn user_identity(&self, to: &mut String, account: &Account, time: i64) {
        let hour = (time - (self.salt % 3600) as i64).div_euclid(3600);
        let session_rng = &mut Rng::of(self.salt, &[hour as u64]);
        let created = hour * 3600 + (self.salt % 3600) as i64;
        let (id, arn) = (&account.id, self.arn(account));
        let mut key = "ASIA".to_owned();
        session_rng.upper(&mut key, 16);
        let _ = match &self.identity {
            Identity::Role { role, session, via } => {
                let Named { name, id: role_id } = &account.roles[*role];
                let _ = write!(
                    to,
                    r#"{{"type":"AssumedRole","principalId":"{role_id}:{session}","arn":"{arn}","accountId":"{id}","accessKeyId":"{key}","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"{role_id}","arn":"arn:aws:iam::{id}:role/{name}","accountId":"{id}","userName":"{name}"}},"#
                );
                let _ = match via {
                    Via::WebIdentity => write!(
                        to,
                        r#""webIdFederationData":{{"federatedProvider":"arn:aws:iam::{id}:oidc-provider/token.actions.githubusercontent.com","attributes":{{}}}},"#
                    ),
                    Via::Instance | Via::SingleSignOn => write!(to, r#""webIdFederationData":{{}},"#),
                    Via::Function | Via::Service(_) => Ok(()),
                };
                let mfa = matches!(via, Via::SingleSignOn) && self.salt.is_multiple_of(2);
                let _ = write!(
                    to,
                    r#""attributes":{{"creationDate":"{}","mfaAuthenticated":"{mfa}"}}"#,
                    iso(created)
                );
                let _ = match via {
                    Via::Instance => write!(to, r#","ec2RoleDelivery":"2.0"}}}}"#),
                    Via::Function => write!(
                        to,
                        r#"}},"inScopeOf":{{"issuerType":"AWS::Lambda::Function","credentialsIssuedTo":"arn:aws:lambda:us-east-1:{id}:function:{session}"}}}}"#
                    ),
                    Via::Service(service) => write!(to, r#"}},"invokedBy":"{service}"}}"#),
                    Via::WebIdentity | Via::SingleSignOn => write!(to, "}}}}"),
                };
                Ok(())
            }
            Identity::User { user } => {
                let Named { name, id: user_id } = &account.users[*user];
                if !self.from_console {
                    // A long-term key is the user's, whatever the hour.
                    let mut key = "AKIA".to_owned();
                    Rng::of(self.salt, &[]).upper(&mut key, 16);
                    write!(
                        to,
                        r#"{{"type":"IAMUser","principalId":"{user_id}","arn":"{arn}","accountId":"{id}","accessKeyId":"{key}","userName":"{name}"}}"#
                    )
                } else {
                    write!(
                        to,
                        r#"{{"type":"IAMUser","principalId":"{user_id}","arn":"{arn}","accountId":"{id}","accessKeyId":"{key}","userName":"{name}","sessionContext":{{"sessionIssuer":{{}},"webIdFederationData":{{}},"attributes":{{"creationDate":"{}","mfaAuthenticated":"true"}}}}}}"#,
                        iso(created)
                    )
                }
            }
            Identity::Root => write!(
                to,
                r#"{{"type":"Root","principalId":"{id}","arn":"{arn}","accountId":"{id}","accessKeyId":"{key}","sessionContext":{{"attributes":{{"creationDate":"{}","mfaAuthenticated":"true"}}}}}}"#,
                iso(created)
            ),
            Identity::Service(service) => write!(to, r#"{{"type":"AWSService","invokedBy":"{service}"}}"#),
            Identity::OtherAccount { account, principal } => {
                write!(to, r#"{{"type":"AWSAccount","principalId":"{principal}","accountId":"{account}"}}"#)
            }
            Identity::Federated { user, name } => {
                let Named { name: issuer, id: user_id } = &account.users[*user];
                write!(
                    to,
                    r#"{{"type":"FederatedUser","principalId":"{id}:{name}","arn":"{arn}","accountId":"{id}","accessKeyId":"{key}","sessionContext":{{"sessionIssuer":{{"type":"IAMUser","principalId":"{user_id}","arn":"arn:aws:iam::{id}:user/{issuer}","accountId":"{id}","userName":"{issuer}"}},"attributes":{{"creationDate":"{}","mfaAuthenticated":"false"}}}}}}"#,
                    iso(created)
                )
            }
        };
    }
}
