-- Role sessions: who took the role, from where, in the account's and the caller's own words, and what the session did
SELECT
    taken.session_arn,
    taken.role_arn,
    taken.session_name,
    taken.issued_access_key_id AS access_key_id,
    min(taken.event_time) AS assumed_at,
    any_value(coalesce(own.user_identity_arn, taken.user_identity_arn, taken.principal)) AS assumed_by,
    any_value(coalesce(own.user_identity_access_key_id, taken.user_identity_access_key_id))
        AS assumed_with_access_key_id,
    any_value(coalesce(taken.user_identity_account_id, own.account)) AS from_account,
    any_value(taken.source_ip_address) AS from_ip_address,
    any_value(split_part(taken.role_arn, ':', 5)) AS in_account,
    any_value(used.first_used) AS first_used,
    any_value(used.last_used) AS last_used,
    coalesce(any_value(used.events), 0) AS events,
    coalesce(any_value(used.errors), 0) AS errors,
    any_value(used.ip_addresses) AS ip_addresses,
    any_value(taken.event_date) AS event_date
FROM role_assumptions AS taken
LEFT JOIN role_assumptions AS own
    ON own.shared_event_id = taken.shared_event_id AND own.event_id <> taken.event_id
LEFT JOIN (
    SELECT
        user_identity_access_key_id,
        min(event_time) AS first_used,
        max(event_time) AS last_used,
        count(*) AS events,
        count(error_code) AS errors,
        array_agg(DISTINCT source_ip_address) AS ip_addresses
    FROM events
    WHERE user_identity_access_key_id IS NOT NULL
    GROUP BY user_identity_access_key_id
) AS used ON used.user_identity_access_key_id = taken.issued_access_key_id
WHERE taken.issued_access_key_id IS NOT NULL
GROUP BY taken.session_arn, taken.role_arn, taken.session_name, taken.issued_access_key_id
