-- Sign-ins to the console: who, from where, with MFA or not, and whether they succeeded
SELECT
    event_time,
    account,
    region,
    user_identity_type,
    coalesce(user_identity_user_name, principal) AS user_name,
    principal,
    response_elements->>'ConsoleLogin' = 'Success' AS succeeded,
    CASE additional_event_data->>'MFAUsed' WHEN 'Yes' THEN true WHEN 'No' THEN false END AS mfa_used,
    additional_event_data->>'MfaType' AS mfa_type,
    error_message,
    source_ip_address,
    user_agent,
    additional_event_data->>'LoginTo' AS login_to,
    user_identity_session_context_session_issuer_arn AS issuer_arn,
    event_id,
    event_date
FROM events
WHERE event_source = 'signin.amazonaws.com' AND event_name = 'ConsoleLogin'
