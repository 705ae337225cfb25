//! What is called in a trail: one line of templates an action. `<name>` in a template is filled in by
//! [`super::names`], from the account's own buckets, keys, functions and so on.

/// Whose kind of action it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Programs on instances and in functions.
    Workload,
    /// People in the console.
    Person,
    /// Pipelines and people with a command line: changes.
    Deployer,
    /// AWS services on their own account.
    Service,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A management event that reads.
    Read,
    /// A management event that changes something.
    Write,
    /// A data event that reads.
    DataRead,
    /// A data event that changes something.
    DataWrite,
}

pub struct Action {
    pub service: &'static str,
    pub name: &'static str,
    pub by: By,
    pub kind: Kind,
    /// How often it occurs among what the same caller does.
    pub weight: u64,
    /// Recorded in us-east-1 whatever the Region.
    pub global: bool,
    pub event_version: &'static str,
    pub api_version: &'static str,
    pub request: &'static str,
    pub response: &'static str,
    pub additional: &'static str,
    pub resources: &'static str,
}

const fn action(service: &'static str, name: &'static str, by: By, kind: Kind, weight: u64) -> Action {
    Action {
        service,
        name,
        by,
        kind,
        weight,
        global: false,
        event_version: "1.11",
        api_version: "",
        request: "null",
        response: "null",
        additional: "",
        resources: "",
    }
}

impl Action {
    const fn sends(mut self, request: &'static str) -> Action {
        self.request = request;
        self
    }
    const fn answers(mut self, response: &'static str) -> Action {
        self.response = response;
        self
    }
    const fn adds(mut self, additional: &'static str) -> Action {
        self.additional = additional;
        self
    }
    const fn on(mut self, resources: &'static str) -> Action {
        self.resources = resources;
        self
    }
    const fn global(mut self) -> Action {
        self.global = true;
        self
    }
    const fn version(mut self, event_version: &'static str, api_version: &'static str) -> Action {
        self.event_version = event_version;
        self.api_version = api_version;
        self
    }
}

const S3_OBJECT: &str = r#"[{"type":"AWS::S3::Object","ARN":"arn:aws:s3:::<bucket>/<key>"},{"accountId":"<account>","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::<bucket>"}]"#;
const S3_PREFIX: &str = r#"[{"type":"AWS::S3::Object","ARNPrefix":"arn:aws:s3:::<bucket>/"},{"accountId":"<account>","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::<bucket>"}]"#;
const S3_BUCKET: &str =
    r#"[{"accountId":"<account>","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::<bucket>"}]"#;
const KMS_KEY: &str =
    r#"[{"accountId":"<account>","type":"AWS::KMS::Key","ARN":"arn:aws:kms:<region>:<account>:key/<kms>"}]"#;
const TABLE: &str = r#"[{"accountId":"<account>","type":"AWS::DynamoDB::Table","ARN":"arn:aws:dynamodb:<region>:<account>:table/<table>"}]"#;
const ROLE: &str =
    r#"[{"accountId":"<account>","type":"AWS::IAM::Role","ARN":"arn:aws:iam::<account>:role/<role>"}]"#;
const CREDENTIALS: &str = r#"{"credentials":{"accessKeyId":"ASIA<upper:16>","sessionToken":"<base64:180>","expiration":"<java-time>"},"assumedRoleUser":{"assumedRoleId":"AROA<upper:17>:<session>","arn":"arn:aws:sts::<account>:assumed-role/<role>/<session>"}}"#;

use By::{Deployer, Person, Service, Workload};
use Kind::{DataRead, DataWrite, Read, Write};

#[rustfmt::skip]
pub const ACTIONS: &[Action] = &[
    // Programs: data events where they are logged, keys, secrets, logs, and what watches an account: it lists and
    // describes the same things again and again.
    action("ec2", "DescribeInstances", Workload, Read, 90)
        .sends(r#"{"maxResults":1000,"instancesSet":{},"filterSet":{}}"#),
    action("ec2", "DescribeInstances", Workload, Read, 50)
        .sends(r#"{"instancesSet":{"items":[{"instanceId":"<instance>"}]},"filterSet":{}}"#),
    action("ec2", "DescribeTags", Workload, Read, 40)
        .sends(r#"{"maxResults":1000,"filterSet":{"items":[{"name":"resource-id","valueSet":{"items":[{"value":"<instance>"}]}}]}}"#),
    action("ec2", "DescribeNetworkInterfaces", Workload, Read, 40)
        .sends(r#"{"networkInterfaceIdSet":{},"filterSet":{"items":[{"name":"group-id","valueSet":{"items":[{"value":"<sg>"}]}}]}}"#),
    action("ec2", "DescribeRouteTables", Workload, Read, 20)
        .sends(r#"{"routeTableIdSet":{},"filterSet":{"items":[{"name":"association.subnet-id","valueSet":{"items":[{"value":"<subnet>"}]}}]}}"#),
    action("ec2", "DescribeImages", Workload, Read, 15)
        .sends(r#"{"executableBySet":{},"imagesSet":{"items":[{"imageId":"<ami>"}]},"ownersSet":{},"filterSet":{},"includeDeprecated":false,"includeDisabled":false}"#),
    action("elasticloadbalancing", "DescribeTargetHealth", Workload, Read, 40).version("1.08", "2015-12-01")
        .sends(r#"{"targetGroupArn":"arn:aws:elasticloadbalancing:<region>:<account>:targetgroup/<prefix>/50dc6c495c0c9188"}"#),
    action("autoscaling", "DescribeAutoScalingInstances", Workload, Read, 25).version("1.08", "")
        .sends(r#"{"instanceIds":["<instance>"],"maxRecords":50}"#),
    action("ecs", "DescribeTasks", Workload, Read, 25).version("1.08", "")
        .sends(r#"{"cluster":"<prefix>","tasks":["arn:aws:ecs:<region>:<account>:task/<prefix>/<stack-id>"]}"#),
    action("eks", "DescribeCluster", Workload, Read, 15).version("1.08", "").sends(r#"{"name":"<prefix>"}"#),
    action("rds", "DescribeDBInstances", Workload, Read, 25).version("1.08", "")
        .sends(r#"{"dBInstanceIdentifier":"<prefix>-db"}"#),
    action("sqs", "GetQueueAttributes", Workload, Read, 25).version("1.08", "")
        .sends(r#"{"queueUrl":"https://sqs.<region>.amazonaws.com/<account>/<prefix>-jobs","attributeNames":["ApproximateNumberOfMessages"]}"#),
    action("ecr", "BatchGetImage", Workload, Read, 20).version("1.08", "")
        .sends(r#"{"registryId":"<account>","repositoryName":"<prefix>","imageIds":[{"imageTag":"latest"}],"acceptedMediaTypes":["application/vnd.docker.distribution.manifest.v2+json","application/vnd.oci.image.manifest.v1+json"]}"#),
    action("logs", "DescribeLogStreams", Workload, Read, 20).version("1.11", "20140328")
        .sends(r#"{"logGroupName":"/aws/lambda/<function>","orderBy":"LastEventTime","descending":true,"limit":5}"#),
    action("monitoring", "DescribeAlarms", Workload, Read, 20).version("1.11", "2010-08-01")
        .sends(r#"{"alarmNames":["<function>-errors"],"maxRecords":100}"#),
    action("iam", "GetRole", Workload, Read, 30).global().sends(r#"{"roleName":"<role>"}"#),
    action("iam", "ListAttachedRolePolicies", Workload, Read, 25).global().sends(r#"{"roleName":"<role>"}"#),
    action("iam", "ListAccessKeys", Workload, Read, 10).global().sends(r#"{"userName":"<user>"}"#),
    action("dynamodb", "DescribeTable", Workload, Read, 20).sends(r#"{"tableName":"<table>"}"#).on(TABLE),
    action("lambda", "GetFunctionConfiguration20150331v2", Workload, Read, 20).version("1.11", "2015-03-31")
        .sends(r#"{"functionName":"<function>"}"#),
    action("secretsmanager", "DescribeSecret", Workload, Read, 15).version("1.11", "")
        .sends(r#"{"secretId":"arn:aws:secretsmanager:<region>:<account>:secret:<secret>"}"#),
    action("s3", "GetObject", Workload, DataRead, 60)
        .sends(r#"{"bucketName":"<bucket>","Host":"<bucket>.s3.<region>.amazonaws.com","key":"<key>"}"#)
        .adds(r#"{"SignatureVersion":"SigV4","CipherSuite":"TLS_AES_128_GCM_SHA256","bytesTransferredIn":0.0,"SSEApplied":"Default_SSE_S3","AuthenticationMethod":"AuthHeader","x-amz-id-2":"<base64:75>=","bytesTransferredOut":<n:900000>.0}"#)
        .on(S3_OBJECT),
    action("s3", "PutObject", Workload, DataWrite, 28)
        .sends(r#"{"bucketName":"<bucket>","Host":"<bucket>.s3.<region>.amazonaws.com","key":"<key>","x-amz-server-side-encryption":"aws:kms"}"#)
        .answers(r#"{"x-amz-server-side-encryption":"aws:kms","x-amz-server-side-encryption-aws-kms-key-id":"arn:aws:kms:<region>:<account>:key/<kms>"}"#)
        .adds(r#"{"SignatureVersion":"SigV4","CipherSuite":"TLS_AES_128_GCM_SHA256","bytesTransferredIn":<n:500000>.0,"SSEApplied":"SSE_KMS","AuthenticationMethod":"AuthHeader","x-amz-id-2":"<base64:75>=","bytesTransferredOut":0.0}"#)
        .on(S3_OBJECT),
    action("s3", "ListObjects", Workload, DataRead, 10)
        .sends(r#"{"list-type":"2","bucketName":"<bucket>","encoding-type":"url","max-keys":"1000","prefix":"<prefix>/","delimiter":"/","Host":"<bucket>.s3.<region>.amazonaws.com"}"#)
        .adds(r#"{"SignatureVersion":"SigV4","CipherSuite":"TLS_AES_128_GCM_SHA256","bytesTransferredIn":0.0,"AuthenticationMethod":"AuthHeader","x-amz-id-2":"<base64:75>=","bytesTransferredOut":<n:9000>.0}"#)
        .on(S3_PREFIX),
    action("s3", "DeleteObjects", Workload, DataWrite, 6)
        .sends(r#"{"bucketName":"<bucket>","Host":"<bucket>.s3.<region>.amazonaws.com","delete":""}"#)
        .adds(r#"{"SignatureVersion":"SigV4","CipherSuite":"TLS_AES_128_GCM_SHA256","bytesTransferredIn":<n:4000>.0,"AuthenticationMethod":"AuthHeader","x-amz-id-2":"<base64:75>=","bytesTransferredOut":<n:4000>.0}"#)
        .on(S3_PREFIX),
    action("kms", "Decrypt", Workload, Read, 110).version("1.08", "")
        .sends(r#"{"encryptionAlgorithm":"SYMMETRIC_DEFAULT","encryptionContext":{"aws:s3:arn":"arn:aws:s3:::<bucket>/<key>"},"keyId":"arn:aws:kms:<region>:<account>:key/<kms>"}"#)
        .on(KMS_KEY),
    action("kms", "GenerateDataKey", Workload, Read, 90).version("1.11", "")
        .sends(r#"{"keyId":"arn:aws:kms:<region>:<account>:key/<kms>","encryptionContext":{"aws:s3:arn":"arn:aws:s3:::<bucket>"},"keySpec":"AES_256"}"#)
        .on(KMS_KEY),
    action("dynamodb", "GetItem", Workload, DataRead, 25)
        .sends(r#"{"tableName":"<table>","key":{"pk":"HIDDEN_DUE_TO_SECURITY_REASONS","sk":"HIDDEN_DUE_TO_SECURITY_REASONS"},"consistentRead":false,"returnConsumedCapacity":"NONE"}"#)
        .on(TABLE),
    action("dynamodb", "UpdateItem", Workload, DataWrite, 12)
        .sends(r#"{"tableName":"<table>","key":{"pk":"HIDDEN_DUE_TO_SECURITY_REASONS"},"updateExpression":"HIDDEN_DUE_TO_SECURITY_REASONS","returnValues":"ALL_NEW"}"#)
        .on(TABLE),
    action("lambda", "Invoke", Workload, DataWrite, 20)
        .sends(r#"{"functionName":"arn:aws:lambda:<region>:<account>:function:<function>","invocationType":"RequestResponse","sourceArn":"arn:aws:events:<region>:<account>:rule/<function>"}"#)
        .adds(r#"{"functionVersion":"arn:aws:lambda:<region>:<account>:function:<function>:$LATEST"}"#)
        .on(r#"[{"accountId":"<account>","type":"AWS::Lambda::Function","ARN":"arn:aws:lambda:<region>:<account>:function:<function>"}]"#),
    action("secretsmanager", "GetSecretValue", Workload, Read, 35).version("1.11", "")
        .sends(r#"{"secretId":"arn:aws:secretsmanager:<region>:<account>:secret:<secret>","versionStage":"AWSCURRENT"}"#),
    action("ssm", "GetParameters", Workload, Read, 30)
        .sends(r#"{"names":["/app/<prefix>/url","/app/<prefix>/pool-size"],"withDecryption":true}"#)
        .on(r#"[{"ARN":"arn:aws:ssm:<region>:<account>:parameter/app/<prefix>/url","accountId":"<account>"},{"ARN":"arn:aws:ssm:<region>:<account>:parameter/app/<prefix>/pool-size","accountId":"<account>"}]"#),
    action("ssm", "UpdateInstanceInformation", Workload, Write, 40)
        .sends(r#"{"agentVersion":"3.3.987.0","agentStatus":"Active","platformType":"Linux","platformName":"Amazon Linux","platformVersion":"2023","iPAddress":"10.20.<n:8>.<n:250>","computerName":"ip-10-20-<n:8>-<n:250>.<region>.compute.internal","agentName":"amazon-ssm-agent","availabilityZone":"<region>a","instanceId":"<instance>"}"#),
    action("logs", "CreateLogStream", Workload, Write, 25).version("1.11", "20140328")
        .sends(r#"{"logGroupName":"/aws/lambda/<function>","logStreamName":"2026/03/<n:28>/[$LATEST]<hex:32>"}"#),
    action("logs", "DescribeLogGroups", Workload, Read, 14).version("1.11", "20140328")
        .sends(r#"{"logGroupNamePrefix":"/aws/lambda/<function>","limit":50}"#),
    action("sts", "AssumeRole", Workload, Read, 50).version("1.08", "")
        .sends(r#"{"roleArn":"arn:aws:iam::<account>:role/<role>","roleSessionName":"<session>","durationSeconds":3600}"#)
        .answers(CREDENTIALS).on(ROLE),
    action("monitoring", "PutMetricAlarm", Workload, Write, 4).version("1.11", "2010-08-01")
        .sends(r#"{"alarmName":"<function>-errors","namespace":"AWS/Lambda","metricName":"Errors","threshold":<n:90>.0,"period":60,"evaluationPeriods":3,"comparisonOperator":"GreaterThanOrEqualToThreshold","statistic":"Sum","dimensions":[{"name":"FunctionName","value":"<function>"}]}"#),
    action("codeguru-profiler", "ConfigureAgent", Workload, Write, 8).version("1.08", "")
        .sends(r#"{"fleetInstanceId":"<instance>","profilingGroupName":"<prefix>-profiling"}"#)
        .answers(r#"{"periodInSeconds":300,"shouldProfile":true}"#),
    action("codeguru-profiler", "PostAgentProfile", Workload, Write, 8).version("1.08", "")
        .sends(r#"{"profileToken":"<upper:20>","profilingGroupName":"<prefix>-profiling"}"#),
    // People in the console: reads, and sign-in beside them.
    action("ec2", "DescribeInstances", Person, Read, 120)
        .sends(r#"{"maxResults":1000,"instancesSet":{},"filterSet":{"items":[{"name":"instance-state-name","valueSet":{"items":[{"value":"pending"},{"value":"running"},{"value":"stopping"},{"value":"stopped"}]}}]}}"#),
    action("ec2", "DescribeSecurityGroups", Person, Read, 60)
        .sends(r#"{"maxResults":1000,"securityGroupSet":{},"securityGroupIdSet":{"items":[{"groupId":"<sg>"}]},"filterSet":{}}"#),
    action("ec2", "DescribeVolumes", Person, Read, 40)
        .sends(r#"{"maxResults":500,"volumeSet":{},"filterSet":{"items":[{"name":"attachment.instance-id","valueSet":{"items":[{"value":"<instance>"}]}}]}}"#),
    action("s3", "ListBuckets", Person, Read, 25)
        .sends(r#"{"Host":"s3.<region>.amazonaws.com","max-buckets":"1000"}"#)
        .adds(r#"{"SignatureVersion":"SigV4","CipherSuite":"TLS_AES_128_GCM_SHA256","bytesTransferredIn":0,"AuthenticationMethod":"AuthHeader","x-amz-id-2":"<base64:75>=","bytesTransferredOut":<n:9000>}"#),
    action("s3", "GetBucketPolicy", Person, Read, 25)
        .sends(r#"{"bucketName":"<bucket>","Host":"<bucket>.s3.<region>.amazonaws.com","policy":""}"#)
        .adds(r#"{"SignatureVersion":"SigV4","CipherSuite":"TLS_AES_128_GCM_SHA256","bytesTransferredIn":0,"AuthenticationMethod":"AuthHeader","x-amz-id-2":"<base64:75>=","bytesTransferredOut":<n:2000>}"#)
        .on(S3_BUCKET),
    action("lambda", "ListFunctions20150331", Person, Read, 30).sends(r#"{"maxItems":50,"functionVersion":"ALL"}"#),
    action("lambda", "GetFunction20150331v2", Person, Read, 25).version("1.11", "2015-03-31")
        .sends(r#"{"functionName":"arn:aws:lambda:<region>:<account>:function:<function>"}"#),
    action("logs", "FilterLogEvents", Person, Read, 40).version("1.11", "20140328")
        .sends(r#"{"logGroupName":"/aws/lambda/<function>","startTime":<epoch-ms>,"interleaved":true,"limit":100,"filterPattern":"?ERROR ?Exception \"timed out\""}"#),
    action("iam", "ListRoles", Person, Read, 20).global().sends(r#"{"maxItems":1000}"#),
    action("iam", "GetUser", Person, Read, 20).global().sends(r#"{"userName":"<user>"}"#),
    action("organizations", "DescribeOrganization", Person, Read, 12).global(),
    action("cloudfront", "ListDistributions2020_05_31", Person, Read, 10).global().version("1.11", "2020_05_31"),
    action("monitoring", "DescribeAlarms", Person, Read, 30).version("1.11", "2010-08-01")
        .sends(r#"{"maxRecords":100,"alarmTypes":["MetricAlarm","CompositeAlarm"],"stateValue":"ALARM"}"#),
    action("dynamodb", "DescribeTable", Person, Read, 25).sends(r#"{"tableName":"<table>"}"#).on(TABLE),
    action("codeguru-reviewer", "ListRepositoryAssociations", Person, Read, 8).version("1.08", "")
        .sends(r#"{"MaxResults":100,"ProviderTypes":["CodeCommit","GitHub"]}"#),
    action("devops-guru", "DescribeAccountHealth", Person, Read, 8).version("1.08", ""),
    action("codestar", "ListProjects", Person, Read, 5).version("1.08", ""),
    action("config", "DescribeConfigRuleEvaluationStatus", Person, Read, 15).sends(r#"{"limit":50}"#),
    // Changes.
    action("ec2", "RunInstances", Deployer, Write, 14)
        .sends(r#"{"instancesSet":{"items":[{"imageId":"<ami>","minCount":1,"maxCount":1}]},"instanceType":"m7g.large","blockDeviceMapping":{"items":[{"deviceName":"/dev/xvda","ebs":{"volumeSize":<n:400>,"deleteOnTermination":true,"volumeType":"gp3","encrypted":true}}]},"monitoring":{"enabled":true},"subnetId":"<subnet>","disableApiTermination":false,"clientToken":"<uuid>","iamInstanceProfile":{"arn":"arn:aws:iam::<account>:instance-profile/<role>"},"tagSpecificationSet":{"items":[{"resourceType":"instance","tags":[{"key":"Name","value":"<prefix>"},{"key":"cost-center","value":"<n:900>"}]}]}}"#)
        .answers(r#"{"requestId":"<uuid>","reservationId":"r-<hex:17>","ownerId":"<account>","groupSet":{},"instancesSet":{"items":[{"instanceId":"<instance>","imageId":"<ami>","currentState":{"code":0,"name":"pending"},"privateDnsName":"ip-10-20-<n:8>-<n:250>.<region>.compute.internal","amiLaunchIndex":0,"productCodes":{},"instanceType":"m7g.large","launchTime":<epoch-ms>,"placement":{"availabilityZone":"<region>a","tenancy":"default"},"monitoring":{"state":"pending"},"subnetId":"<subnet>","vpcId":"vpc-<vpc-id>","privateIpAddress":"10.20.<n:8>.<n:250>","stateReason":{"code":"pending","message":"pending"},"architecture":"arm64","rootDeviceType":"ebs","rootDeviceName":"/dev/xvda","blockDeviceMapping":{},"virtualizationType":"hvm","hypervisor":"xen","groupSet":{"items":[{"groupId":"<sg>","groupName":"<prefix>"}]},"sourceDestCheck":true,"ebsOptimized":false,"cpuOptions":{"coreCount":2,"threadsPerCore":1},"metadataOptions":{"state":"pending","httpTokens":"required","httpPutResponseHopLimit":2,"httpEndpoint":"enabled"}}]}}"#),
    action("ec2", "AuthorizeSecurityGroupIngress", Deployer, Write, 8)
        .sends(r#"{"groupId":"<sg>","ipPermissions":{"items":[{"ipProtocol":"tcp","fromPort":443,"toPort":443,"groups":{},"ipRanges":{"items":[{"cidrIp":"203.0.113.<n:250>/32","description":"caf\u00e9 \ud83e\udd16"}]},"ipv6Ranges":{},"prefixListIds":{}}]}}"#)
        .answers(r#"{"requestId":"<uuid>","_return":true,"securityGroupRuleSet":{"items":[{"groupOwnerId":"<account>","groupId":"<sg>","securityGroupRuleId":"sgr-<hex:17>","isEgress":false,"ipProtocol":"tcp","fromPort":443,"toPort":443}]}}"#),
    action("autoscaling", "UpdateAutoScalingGroup", Deployer, Write, 14).version("1.08", "")
        .sends(r#"{"autoScalingGroupName":"<prefix>-asg","desiredCapacity":<n:20>,"minSize":1,"maxSize":40}"#),
    action("lambda", "UpdateFunctionCode20150331v2", Deployer, Write, 20).version("1.11", "2015-03-31")
        .sends(r#"{"functionName":"<function>","s3Bucket":"<bucket>","s3Key":"<key>","publish":true,"dryRun":false}"#)
        .answers(r#"{"functionName":"<function>","functionArn":"arn:aws:lambda:<region>:<account>:function:<function>","runtime":"python3.13","role":"arn:aws:iam::<account>:role/<role>","handler":"app.handler","codeSize":<n:9000000>,"description":"","timeout":30,"memorySize":512,"lastModified":"<iso-ms>+0000","codeSha256":"<base64:43>=","version":"<n:90>","tracingConfig":{"mode":"Active"},"revisionId":"<uuid>","state":"Active","lastUpdateStatus":"InProgress","packageType":"Zip","architectures":["arm64"],"ephemeralStorage":{"size":512}}"#),
    action("iam", "PutRolePolicy", Deployer, Write, 8).global()
        .sends(r#"{"roleName":"<role>","policyName":"inline-<prefix>","policyDocument":"{\n  \"Version\": \"2012-10-17\",\n  \"Statement\": [\n    {\n      \"Effect\": \"Allow\",\n      \"Action\": [\"s3:GetObject\", \"s3:ListBucket\"],\n      \"Resource\": [\"arn:aws:s3:::<bucket>\", \"arn:aws:s3:::<bucket>/*\"]\n    }\n  ]\n}"}"#),
    action("iam", "CreateAccessKey", Deployer, Write, 3).global()
        .sends(r#"{"userName":"<user>"}"#)
        .answers(r#"{"accessKey":{"userName":"<user>","accessKeyId":"AKIA<upper:16>","status":"Active","createDate":"<java-time>"}}"#),
    action("sts", "GetCallerIdentity", Deployer, Read, 40).version("1.08", ""),
    action("sts", "AssumeRole", Deployer, Read, 40).version("1.08", "")
        .sends(r#"{"roleArn":"arn:aws:iam::<account>:role/<role>","roleSessionName":"<session>","externalId":"<uuid>","durationSeconds":3600}"#)
        .answers(CREDENTIALS).on(ROLE),
    action("codeguru-reviewer", "AssociateRepository", Deployer, Write, 4).version("1.08", "")
        .sends(r#"{"ClientRequestToken":"<uuid>","Repository":{"CodeCommit":{"Name":"<prefix>"}}}"#)
        .answers(r#"{"RepositoryAssociation":{"AssociationArn":"arn:aws:codeguru-reviewer:<region>:<account>:association:<uuid>","AssociationId":"<uuid>","CreatedTimeStamp":<epoch>.204,"LastUpdatedTimeStamp":<epoch>.204,"Name":"<prefix>","Owner":"<account>","ProviderType":"CodeCommit","State":"Associating","StateReason":"Pending Repository Association"}}"#),
    action("devops-guru", "UpdateResourceCollection", Deployer, Write, 3).version("1.08", "")
        .sends(r#"{"Action":"ADD","ResourceCollection":{"CloudFormation":{"StackNames":["<prefix>-stack"]}}}"#),
    action("codestar", "CreateProject", Deployer, Write, 2).version("1.08", "")
        .sends(r#"{"clientRequestToken":"arn:aws:cloudformation:<region>:<account>:stack/awscodestar-<prefix>/<stack-id>","id":"<prefix>","stackId":"arn:aws:cloudformation:<region>:<account>:stack/awscodestar-<prefix>/<stack-id>","description":"","name":"<prefix>","projectTemplateId":"arn:aws:codestar:<region>::project-template/web-app"}"#)
        .answers(r#"{"projectTemplateId":"arn:aws:codestar:<region>::project-template/web-app","arn":"arn:aws:codestar:<region>:<account>:project/<prefix>","clientRequestToken":"arn:aws:cloudformation:<region>:<account>:stack/awscodestar-<prefix>/<stack-id>","id":"<prefix>"}"#),
    action("cloudformation", "DescribeStackEvents", Deployer, Read, 40).version("1.11", "")
        .sends(r#"{"stackName":"arn:aws:cloudformation:<region>:<account>:stack/<prefix>-stack/<stack-id>"}"#),
    action("cloudfront", "UpdateDistribution2020_05_31", Deployer, Write, 3).global().version("1.11", "2020_05_31")
        .sends(r#"{"id":"E<upper:13>","ifMatch":"E<upper:13>","distributionConfig":{"callerReference":"<uuid>","comment":"<prefix>","enabled":true,"priceClass":"PriceClass_100","aliases":{"quantity":1,"items":["<prefix>.example.com"]},"httpVersion":"http2and3","isIPV6Enabled":true,"defaultCacheBehavior":{"targetOriginId":"<bucket>","viewerProtocolPolicy":"redirect-to-https","compress":true,"minTTL":0}}}"#),
    action("secretsmanager", "PutSecretValue", Deployer, Write, 5).version("1.11", "")
        .sends(r#"{"secretId":"<secret>","clientRequestToken":"<uuid>"}"#)
        .answers(r#"{"arn":"arn:aws:secretsmanager:<region>:<account>:secret:<secret>"}"#),
    // Services by themselves.
    action("sts", "AssumeRole", Service, Read, 120).version("1.08", "")
        .sends(r#"{"roleArn":"arn:aws:iam::<account>:role/<role>","roleSessionName":"<session>"}"#)
        .answers(CREDENTIALS).on(ROLE),
    action("s3", "GetBucketAcl", Service, Read, 60).version("1.11", "")
        .sends(r#"{"bucketName":"<bucket>","Host":"<bucket>.s3.<region>.amazonaws.com","acl":""}"#)
        .adds(r#"{"SignatureVersion":"SigV4","CipherSuite":"ECDHE-RSA-AES128-GCM-SHA256","bytesTransferredIn":0,"AuthenticationMethod":"AuthHeader","x-amz-id-2":"<base64:75>=","bytesTransferredOut":480}"#)
        .on(S3_BUCKET),
    action("s3", "PutObject", Service, DataWrite, 20)
        .sends(r#"{"bucketName":"<bucket>","Host":"<bucket>.s3.<region>.amazonaws.com","key":"<key>","x-amz-acl":"bucket-owner-full-control","x-amz-server-side-encryption":"AES256"}"#)
        .answers(r#"{"x-amz-server-side-encryption":"AES256"}"#)
        .adds(r#"{"SignatureVersion":"SigV4","CipherSuite":"ECDHE-RSA-AES128-GCM-SHA256","bytesTransferredIn":<n:90000>.0,"SSEApplied":"SSE_S3","AuthenticationMethod":"AuthHeader","x-amz-id-2":"<base64:75>=","bytesTransferredOut":0.0}"#)
        .on(S3_OBJECT),
    action("kms", "GenerateDataKey", Service, Read, 60).version("1.11", "")
        .sends(r#"{"keyId":"arn:aws:kms:<region>:<account>:key/<kms>","keySpec":"AES_256","encryptionContext":{"aws:cloudtrail:arn":"arn:aws:cloudtrail:us-east-1:<account>:trail/main","aws:s3:arn":"arn:aws:s3:::<bucket>/<key>"}}"#)
        .on(KMS_KEY),
    action("autoscaling", "DescribeAutoScalingGroups", Service, Read, 40).version("1.08", "")
        .sends(r#"{"autoScalingGroupNames":["<prefix>-asg"],"maxRecords":100}"#),
    action("config", "PutEvaluations", Service, Write, 30)
        .sends(r#"{"testMode":false,"resultToken":"<base64:160>","evaluations":[{"complianceResourceType":"AWS::EC2::SecurityGroup","complianceResourceId":"<sg>","complianceType":"COMPLIANT","orderingTimestamp":"<java-time>"}]}"#)
        .answers(r#"{"failedEvaluations":[]}"#),
];

/// What a denied call says, and how it is spelled by which service.
pub fn denial(service: &str) -> &'static str {
    match service {
        "ec2" => "Client.UnauthorizedOperation",
        "dynamodb" | "kms" | "lambda" | "secretsmanager" | "ssm" | "codestar" => "AccessDeniedException",
        _ => "AccessDenied",
    }
}

/// Failures other than denials: code and message.
pub const FAILURES: &[(&str, &str)] = &[
    ("ThrottlingException", "Rate exceeded"),
    ("ResourceNotFoundException", "The requested resource was not found"),
    (
        "ValidationException",
        "1 validation error detected: Value at 'maxResults' failed to satisfy constraint",
    ),
];
