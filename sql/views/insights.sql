-- CloudTrail Insights: unusual rates of calls and errors, a row for each start and end
SELECT
    event_time,
    account,
    region,
    coalesce(insight_details_state, insight_state) AS state,
    coalesce(insight_details_insight_type, insight_type) AS insight_type,
    coalesce(insight_details_event_source, insight_event_source) AS event_source,
    coalesce(insight_details_event_name, insight_event_name) AS event_name,
    coalesce(insight_details_error_code, insight_error_code) AS error_code,
    CAST(coalesce(
        insight_details_insight_context_statistics_baseline_average, insight_context->>'baselineAverage'
    ) AS DOUBLE) AS baseline_average,
    CAST(coalesce(
        insight_details_insight_context_statistics_insight_average, insight_context->>'insightAverage'
    ) AS DOUBLE) AS insight_average,
    CAST(coalesce(
        insight_details_insight_context_statistics_insight_duration, insight_context->>'insightDuration'
    ) AS DOUBLE) AS insight_minutes,
    CAST(coalesce(
        insight_details_insight_context_statistics_baseline_duration, insight_context->>'baselineDuration'
    ) AS DOUBLE) AS baseline_minutes,
    coalesce(
        insight_details_insight_context_attributions, insight_context->>'attributions'
    ) AS attributions,
    shared_event_id,
    event_id,
    event_date
FROM events
WHERE event_category = 'Insight' OR event_type = 'AwsCloudTrailInsight'
