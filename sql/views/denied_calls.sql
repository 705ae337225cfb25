-- Calls that were refused for want of a permission, and the action that was wanted
SELECT
    event_time,
    account,
    region,
    principal,
    event_source,
    event_name,
    split_part(event_source, '.', 1) || ':' || event_name AS action,
    error_code,
    error_message,
    source_ip_address,
    user_agent,
    user_identity_arn,
    user_identity_access_key_id,
    request_parameters,
    vpc_endpoint_id,
    event_id,
    event_date
FROM events
WHERE error_code IN (
    'AccessDenied', 'AccessDeniedException', 'Client.UnauthorizedOperation', 'UnauthorizedOperation', 'Forbidden',
    'NotAuthorized', 'VpceAccessDenied', 'AuthorizationError', 'AuthorizationErrorException',
    'UnauthorizedException', 'InsufficientPermissionsException', 'KMS.AccessDeniedException'
)
