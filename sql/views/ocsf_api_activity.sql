-- OCSF 1.1 API Activity (class 6003), in the mapping that Security Lake documents
SELECT
    6 AS category_uid,
    'Application Activity' AS category_name,
    6003 AS class_uid,
    'API Activity' AS class_name,
    activity_id,
    activity_name,
    600300 + activity_id AS type_uid,
    'API Activity: ' || activity_name AS type_name,
    1 AS severity_id,
    'Informational' AS severity,
    CASE WHEN error_code IS NULL THEN 1 ELSE 2 END AS status_id,
    CASE WHEN error_code IS NULL THEN 'Success' ELSE 'Failure' END AS status,
    to_unixtime_ms(event_time) AS "time",
    event_time AS time_dt,
    nullable_struct(
        'uid', event_id,
        'event_code', event_type,
        'version', '1.1.0',
        'product', named_struct(
            'name', 'CloudTrail',
            'vendor_name', 'AWS',
            'version', event_version,
            'feature', named_struct('name', event_category)
        ),
        'profiles', make_array('cloud', 'datetime')
    ) AS metadata,
    named_struct(
        'operation', event_name,
        'version', api_version,
        'service', named_struct('name', event_source),
        'request', named_struct('uid', request_id, 'data', request_parameters),
        'response', named_struct('error', error_code, 'message', error_message, 'data', response_elements)
    ) AS api,
    named_struct(
        'user', named_struct(
            'type', user_identity_type,
            'name', user_identity_user_name,
            'uid', user_identity_arn,
            'uid_alt', user_identity_principal_id,
            'account', named_struct('uid', user_identity_account_id),
            'credential_uid', user_identity_access_key_id
        ),
        'session', nullable_struct(
            'created_time_dt', TRY_CAST(user_identity_session_context_attributes_creation_date AS TIMESTAMP),
            'is_mfa', TRY_CAST(user_identity_session_context_attributes_mfa_authenticated AS BOOLEAN),
            'issuer', user_identity_session_context_session_issuer_arn
        ),
        'invoked_by', user_identity_invoked_by,
        'idp', nullable_struct('name', coalesce(
            user_identity_identity_provider,
            user_identity_session_context_web_id_federation_data_federated_provider
        ))
    ) AS actor,
    named_struct(
        'ip', CASE WHEN source_ip_address ~ '^[0-9a-fA-F.:]+$' THEN source_ip_address END,
        'domain', CASE WHEN source_ip_address ~ '[^0-9a-fA-F.:]' THEN source_ip_address END,
        'uid', vpc_endpoint_id
    ) AS src_endpoint,
    named_struct('user_agent', user_agent) AS http_request,
    named_struct('provider', 'AWS', 'region', aws_region, 'account', named_struct('uid', account)) AS cloud,
    array_transform(
        resources,
        r -> named_struct('uid', r['arn'], 'type', r['type'], 'owner', named_struct(
            'account', named_struct('uid', r['account_id'])
        ))
    ) AS resources,
    account AS accountid,
    region,
    replace(event_date, '-', '') AS eventday,
    event_date
FROM (
    SELECT
        *,
        CASE activity_id
            WHEN 1 THEN 'Create' WHEN 2 THEN 'Read' WHEN 3 THEN 'Update' WHEN 4 THEN 'Delete' ELSE 'Other'
        END AS activity_name
    FROM (
        SELECT
            *,
            CASE
                WHEN read_only OR event_name ~ '^(Get|List|Describe|Head|Lookup|Search|BatchGet)' THEN 2
                WHEN event_name ~ '^(Create|Run|Import|Register)' THEN 1
                WHEN event_name ~ '^(Update|Put|Modify|Set|Attach|Associate|Enable|Tag)' THEN 3
                WHEN event_name ~ '^(Delete|Terminate|Deregister|Remove)' THEN 4
                ELSE 99
            END AS activity_id
        FROM events
    )
)
