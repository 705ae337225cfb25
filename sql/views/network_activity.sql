-- Calls through VPC endpoints that network activity events record, with those an endpoint's policy denied
SELECT
    event_time,
    account,
    region,
    event_source,
    event_name,
    vpc_endpoint_id,
    vpc_endpoint_account_id,
    error_code = 'VpceAccessDenied' AS denied_by_endpoint,
    error_code,
    error_message,
    principal,
    user_identity_type,
    user_identity_arn,
    user_identity_account_id,
    user_identity_access_key_id,
    source_ip_address,
    request_id,
    shared_event_id,
    event_id,
    event_date
FROM events
WHERE event_category = 'NetworkActivity'
