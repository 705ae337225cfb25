-- The table that the Athena user guide defines for CloudTrail logs, with the partition columns of all its variants
SELECT
    event_version AS eventversion,
    nullable_struct(
        'type', user_identity_type,
        'principalid', user_identity_principal_id,
        'arn', user_identity_arn,
        'accountid', user_identity_account_id,
        'invokedby', user_identity_invoked_by,
        'accesskeyid', user_identity_access_key_id,
        'username', user_identity_user_name,
        'onbehalfof', nullable_struct(
            'userid', user_identity_on_behalf_of_user_id,
            'identitystorearn', user_identity_on_behalf_of_identity_store_arn
        ),
        'sessioncontext', nullable_struct(
            'attributes', nullable_struct(
                'mfaauthenticated', user_identity_session_context_attributes_mfa_authenticated,
                'creationdate', user_identity_session_context_attributes_creation_date
            ),
            'sessionissuer', nullable_struct(
                'type', user_identity_session_context_session_issuer_type,
                'principalid', user_identity_session_context_session_issuer_principal_id,
                'arn', user_identity_session_context_session_issuer_arn,
                'accountid', user_identity_session_context_session_issuer_account_id,
                'username', user_identity_session_context_session_issuer_user_name
            ),
            'ec2roledelivery', user_identity_session_context_ec2_role_delivery,
            'webidfederationdata', nullable_struct(
                'federatedprovider', user_identity_session_context_web_id_federation_data_federated_provider,
                'attributes', json_map(user_identity_session_context_web_id_federation_data_attributes)
            ),
            'sourceidentity', user_identity_session_context_source_identity,
            'ec2issuedinvpc', user_identity_session_context_ec2_issued_in_vpc,
            'assumedroot', user_identity_session_context_assumed_root
        ),
        'identityprovider', user_identity_identity_provider,
        'credentialid', user_identity_credential_id,
        'inscopeof', nullable_struct(
            'sourcearn', user_identity_in_scope_of_source_arn,
            'sourceaccount', user_identity_in_scope_of_source_account,
            'issuertype', user_identity_in_scope_of_issuer_type,
            'credentialsissuedto', user_identity_in_scope_of_credentials_issued_to
        )
    ) AS useridentity,
    event_time_text(event_time) AS eventtime,
    event_source AS eventsource,
    event_name AS eventname,
    aws_region AS awsregion,
    source_ip_address AS sourceipaddress,
    user_agent AS useragent,
    error_code AS errorcode,
    error_message AS errormessage,
    request_parameters AS requestparameters,
    response_elements AS responseelements,
    additional_event_data AS additionaleventdata,
    request_id AS requestid,
    event_id AS eventid,
    array_transform(
        resources,
        r -> named_struct('arn', r['arn'], 'accountid', r['account_id'], 'type', r['type'])
    ) AS resources,
    event_type AS eventtype,
    api_version AS apiversion,
    CAST(read_only AS VARCHAR) AS readonly,
    recipient_account_id AS recipientaccountid,
    service_event_details AS serviceeventdetails,
    shared_event_id AS sharedeventid,
    vpc_endpoint_id AS vpcendpointid,
    vpc_endpoint_account_id AS vpcendpointaccountid,
    event_category AS eventcategory,
    nullable_struct(
        'reason', addendum_reason,
        'updatedfields', addendum_updated_fields,
        'originalrequestid', addendum_original_request_id,
        'originaleventid', addendum_original_event_id
    ) AS addendum,
    session_credential_from_console AS sessioncredentialfromconsole,
    edge_device_details AS edgedevicedetails,
    nullable_struct(
        'tlsversion', tls_details_tls_version,
        'ciphersuite', tls_details_cipher_suite,
        'clientprovidedhostheader', tls_details_client_provided_host_header
    ) AS tlsdetails,
    CAST(management_event AS VARCHAR) AS managementevent,
    insight_details AS insightdetails,
    account,
    region,
    substr(event_date, 1, 4) AS year,
    substr(event_date, 6, 2) AS month,
    substr(event_date, 9, 2) AS day,
    replace(event_date, '-', '/') AS "timestamp",
    account AS account_partition,
    region AS region_partition,
    translate(event_date, '-', '/') AS date_partition
FROM events
