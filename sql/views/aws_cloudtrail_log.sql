-- Tailpipe's table of CloudTrail logs: names in snake_case, payloads as JSON, and its common tp_ columns
SELECT
    event_id AS tp_id,
    'aws_s3_bucket' AS tp_source_type,
    'default' AS tp_partition,
    'aws_cloudtrail_log' AS tp_table,
    account AS tp_index,
    CAST(event_date AS DATE) AS tp_date,
    event_time AS tp_timestamp,
    CAST(NULL AS TIMESTAMP) AS tp_ingest_timestamp,
    CAST(NULL AS VARCHAR) AS tp_format,
    row_source_object AS tp_source_location,
    CAST(NULL AS VARCHAR) AS tp_source_name,
    source_ip_address AS tp_source_ip,
    CAST(NULL AS VARCHAR) AS tp_destination_ip,
    make_array(source_ip_address) AS tp_ips,
    array_transform(resources, r -> r['arn']) AS tp_akas,
    make_array(coalesce(user_identity_user_name, user_identity_access_key_id)) AS tp_usernames,
    CAST(NULL AS VARCHAR[]) AS tp_domains,
    CAST(NULL AS VARCHAR[]) AS tp_emails,
    CAST(NULL AS VARCHAR[]) AS tp_tags,
    additional_event_data,
    api_version,
    aws_region,
    edge_device_details,
    error_code,
    error_message,
    event_category,
    event_id,
    event_name,
    event_source,
    event_time,
    event_type,
    event_version,
    management_event,
    read_only,
    recipient_account_id,
    request_id,
    request_parameters,
    json_present(
        array_transform(
            resources,
            r -> named_struct('accountId', r['account_id'], 'ARN', r['arn'], 'type', r['type'])
        )
    ) AS resources,
    response_elements,
    service_event_details,
    session_credential_from_console,
    shared_event_id,
    source_ip_address,
    nullable_struct(
        'cipher_suite', tls_details_cipher_suite,
        'client_provided_host_header', tls_details_client_provided_host_header,
        'tls_version', tls_details_tls_version
    ) AS tls_details,
    user_agent,
    nullable_struct(
        'access_key_id', user_identity_access_key_id,
        'account_id', user_identity_account_id,
        'arn', user_identity_arn,
        'identity_provider', user_identity_identity_provider,
        'invoked_by', user_identity_invoked_by,
        'principal_id', user_identity_principal_id,
        'session_context', nullable_struct(
            'attributes', nullable_struct(
                'creation_date', TRY_CAST(user_identity_session_context_attributes_creation_date AS TIMESTAMP),
                'mfa_authenticated', user_identity_session_context_attributes_mfa_authenticated
            ),
            'ec2_role_delivery', user_identity_session_context_ec2_role_delivery,
            'session_issuer', nullable_struct(
                'account_id', user_identity_session_context_session_issuer_account_id,
                'arn', user_identity_session_context_session_issuer_arn,
                'principal_id', user_identity_session_context_session_issuer_principal_id,
                'type', user_identity_session_context_session_issuer_type,
                'user_name', user_identity_session_context_session_issuer_user_name
            ),
            'web_id_federation_data', nullable_struct(
                'attributes', user_identity_session_context_web_id_federation_data_attributes,
                'federated_provider', user_identity_session_context_web_id_federation_data_federated_provider
            )
        ),
        'type', user_identity_type,
        'user_name', user_identity_user_name
    ) AS user_identity,
    vpc_endpoint_id
FROM events
