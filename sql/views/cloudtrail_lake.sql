-- An event data store of CloudTrail Lake: times and booleans are typed, payloads are maps of text
SELECT
    event_version AS eventversion,
    nullable_struct(
        'type', user_identity_type,
        'principalid', user_identity_principal_id,
        'arn', user_identity_arn,
        'accountid', user_identity_account_id,
        'accesskeyid', user_identity_access_key_id,
        'username', user_identity_user_name,
        'sessioncontext', nullable_struct(
            'attributes', nullable_struct(
                'creationdate', TRY_CAST(user_identity_session_context_attributes_creation_date AS TIMESTAMP),
                'mfaauthenticated', user_identity_session_context_attributes_mfa_authenticated
            ),
            'sessionissuer', nullable_struct(
                'type', user_identity_session_context_session_issuer_type,
                'principalid', user_identity_session_context_session_issuer_principal_id,
                'arn', user_identity_session_context_session_issuer_arn,
                'accountid', user_identity_session_context_session_issuer_account_id,
                'username', user_identity_session_context_session_issuer_user_name
            ),
            'webidfederationdata', nullable_struct(
                'federatedprovider', user_identity_session_context_web_id_federation_data_federated_provider,
                'attributes', json_map(user_identity_session_context_web_id_federation_data_attributes)
            ),
            'sourceidentity', user_identity_session_context_source_identity,
            'ec2roledelivery', user_identity_session_context_ec2_role_delivery,
            'ec2issuedinvpc', user_identity_session_context_ec2_issued_in_vpc
        ),
        'invokedby', user_identity_invoked_by,
        'identityprovider', user_identity_identity_provider,
        'credentialid', user_identity_credential_id,
        'onbehalfof', nullable_struct(
            'userid', user_identity_on_behalf_of_user_id,
            'identitystorearn', user_identity_on_behalf_of_identity_store_arn
        ),
        'inscopeof', nullable_struct(
            'sourcearn', user_identity_in_scope_of_source_arn,
            'sourceaccount', user_identity_in_scope_of_source_account,
            'issuertype', user_identity_in_scope_of_issuer_type,
            'credentialsissuedto', user_identity_in_scope_of_credentials_issued_to
        )
    ) AS useridentity,
    event_time AS eventtime,
    event_source AS eventsource,
    event_name AS eventname,
    aws_region AS awsregion,
    source_ip_address AS sourceipaddress,
    user_agent AS useragent,
    error_code AS errorcode,
    error_message AS errormessage,
    json_map(request_parameters) AS requestparameters,
    json_map(response_elements) AS responseelements,
    json_map(additional_event_data) AS additionaleventdata,
    request_id AS requestid,
    event_id AS eventid,
    read_only AS readonly,
    array_transform(
        resources,
        r -> named_struct(
            'accountid', r['account_id'], 'type', r['type'], 'arn', r['arn'], 'arnprefix', r['arn_prefix']
        )
    ) AS resources,
    event_type AS eventtype,
    api_version AS apiversion,
    management_event AS managementevent,
    recipient_account_id AS recipientaccountid,
    shared_event_id AS sharedeventid,
    annotation,
    vpc_endpoint_id AS vpcendpointid,
    vpc_endpoint_account_id AS vpcendpointaccountid,
    json_map(service_event_details) AS serviceeventdetails,
    json_map(addendum) AS addendum,
    json_map(edge_device_details) AS edgedevicedetails,
    json_map(insight_details) AS insightdetails,
    event_category AS eventcategory,
    nullable_struct(
        'tlsversion', tls_details_tls_version,
        'ciphersuite', tls_details_cipher_suite,
        'clientprovidedhostheader', tls_details_client_provided_host_header
    ) AS tlsdetails,
    session_credential_from_console AS sessioncredentialfromconsole,
    nullable_struct(
        'requestcontext', json_map(event_context_request_context),
        'tagcontext', event_context_tag_context
    ) AS eventcontext,
    json_record(
        'eventVersion', event_version,
        'userIdentity.type', user_identity_type,
        'userIdentity.principalId', user_identity_principal_id,
        'userIdentity.arn', user_identity_arn,
        'userIdentity.accountId', user_identity_account_id,
        'userIdentity.accessKeyId', user_identity_access_key_id,
        'userIdentity.userName', user_identity_user_name,
        'userIdentity.invokedBy', user_identity_invoked_by,
        'userIdentity.invokedByDelegate.accountId', user_identity_invoked_by_delegate_account_id,
        'userIdentity.identityProvider', user_identity_identity_provider,
        'userIdentity.credentialId', user_identity_credential_id,
        'userIdentity.onBehalfOf.userId', user_identity_on_behalf_of_user_id,
        'userIdentity.onBehalfOf.identityStoreArn', user_identity_on_behalf_of_identity_store_arn,
        'userIdentity.inScopeOf.sourceArn', user_identity_in_scope_of_source_arn,
        'userIdentity.inScopeOf.sourceAccount', user_identity_in_scope_of_source_account,
        'userIdentity.inScopeOf.issuerType', user_identity_in_scope_of_issuer_type,
        'userIdentity.inScopeOf.credentialsIssuedTo', user_identity_in_scope_of_credentials_issued_to,
        'userIdentity.sessionContext.sessionIssuer.type', user_identity_session_context_session_issuer_type,
        'userIdentity.sessionContext.sessionIssuer.principalId', user_identity_session_context_session_issuer_principal_id,
        'userIdentity.sessionContext.sessionIssuer.arn', user_identity_session_context_session_issuer_arn,
        'userIdentity.sessionContext.sessionIssuer.accountId', user_identity_session_context_session_issuer_account_id,
        'userIdentity.sessionContext.sessionIssuer.userName', user_identity_session_context_session_issuer_user_name,
        'userIdentity.sessionContext.webIdFederationData.federatedProvider', user_identity_session_context_web_id_federation_data_federated_provider,
        'userIdentity.sessionContext.webIdFederationData.attributes:json', user_identity_session_context_web_id_federation_data_attributes,
        'userIdentity.sessionContext.attributes.creationDate', user_identity_session_context_attributes_creation_date,
        'userIdentity.sessionContext.attributes.mfaAuthenticated', user_identity_session_context_attributes_mfa_authenticated,
        'userIdentity.sessionContext.attributes.sessionCredentialFromConsole', user_identity_session_context_attributes_session_credential_from_console,
        'userIdentity.sessionContext.sourceIdentity', user_identity_session_context_source_identity,
        'userIdentity.sessionContext.ec2RoleDelivery', user_identity_session_context_ec2_role_delivery,
        'userIdentity.sessionContext.ec2IssuedInVpc', user_identity_session_context_ec2_issued_in_vpc,
        'userIdentity.sessionContext.assumedRoot', user_identity_session_context_assumed_root,
        'userIdentity.sessionContext.signInSessionArn', user_identity_session_context_sign_in_session_arn,
        'eventTime', event_time_text(event_time),
        'eventSource', event_source,
        'eventName', event_name,
        'awsRegion', aws_region,
        'sourceIPAddress', source_ip_address,
        'userAgent', user_agent,
        'errorCode', error_code,
        'errorMessage', error_message,
        'requestParameters:json', request_parameters,
        'responseElements:json', response_elements,
        'additionalEventData:json', additional_event_data,
        'requestID', request_id,
        'eventID', event_id,
        'readOnly', read_only,
        'resources:json', json_present(
            array_transform(
                resources,
                r -> nullable_struct(
                    'accountId', r['account_id'], 'type', r['type'], 'ARN', r['arn'], 'ARNPrefix', r['arn_prefix']
                )
            )
        ),
        'eventType', event_type,
        'managementEvent', management_event,
        'recipientAccountId', recipient_account_id,
        'eventCategory', event_category,
        'sharedEventID', shared_event_id,
        'tlsDetails.tlsVersion', tls_details_tls_version,
        'tlsDetails.cipherSuite', tls_details_cipher_suite,
        'tlsDetails.clientProvidedHostHeader', tls_details_client_provided_host_header,
        'tlsDetails.keyExchange', tls_details_key_exchange,
        'sessionCredentialFromConsole', session_credential_from_console,
        'apiVersion', api_version,
        'vpcEndpointId', vpc_endpoint_id,
        'vpcEndpointAccountId', vpc_endpoint_account_id,
        'serviceEventDetails:json', service_event_details,
        'annotation', annotation,
        'addendum:json', addendum,
        'edgeDeviceDetails:json', edge_device_details,
        'eventContext:json', event_context,
        'insightDetails:json', insight_details,
        'accountId', account_id,
        'timeWindow.windowStart', time_window_window_start,
        'timeWindow.windowEnd', time_window_window_end,
        'timeWindow.windowSize', time_window_window_size,
        'summary.primaryDimension.dimension', summary_primary_dimension_dimension,
        'summary.primaryDimension.statistics:json', summary_primary_dimension_statistics,
        'summary.primaryDimension.aggregationType', summary_primary_dimension_aggregation_type,
        'summary.details:json', summary_details
    ) AS eventjson,
    CAST(NULL AS VARCHAR) AS eventjsonchecksum,
    event_date
FROM events
