-- Roles assumed: by whom, with what session name, and the access key that was issued
SELECT
    event_time,
    account,
    region,
    event_name,
    request_parameters->>'roleArn' AS role_arn,
    request_parameters->>'roleSessionName' AS session_name,
    request_parameters->>'sourceIdentity' AS source_identity,
    CAST(request_parameters->>'durationSeconds' AS BIGINT) AS duration_seconds,
    response_elements->'credentials'->>'accessKeyId' AS issued_access_key_id,
    response_elements->'assumedRoleUser'->>'arn' AS session_arn,
    user_identity_type,
    principal,
    user_identity_arn,
    user_identity_access_key_id,
    user_identity_account_id,
    split_part(request_parameters->>'roleArn', ':', 5) <> user_identity_account_id AS cross_account,
    user_identity_invoked_by AS invoked_by,
    source_ip_address,
    user_agent,
    error_code,
    error_message,
    shared_event_id,
    event_id,
    event_date
FROM events
WHERE event_source = 'sts.amazonaws.com'
    AND event_name IN ('AssumeRole', 'AssumeRoleWithSAML', 'AssumeRoleWithWebIdentity', 'AssumeRoot')
