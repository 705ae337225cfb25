-- Every principal that acted: when first and last, how often, from where, and what failed
SELECT
    principal,
    any_value(user_identity_type) AS type,
    any_value(user_identity_account_id) AS account_id,
    min(event_time) AS first_seen,
    max(event_time) AS last_seen,
    count(*) AS events,
    count(error_code) AS errors,
    count(DISTINCT account) AS accounts,
    count(DISTINCT region) AS regions,
    count(DISTINCT source_ip_address) AS source_ip_addresses,
    count(DISTINCT user_identity_access_key_id) AS access_keys
FROM events
WHERE principal IS NOT NULL
GROUP BY principal
