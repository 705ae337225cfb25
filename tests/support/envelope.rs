//! The records of an object, taken out by rules that are simpler than the program's, to compare with.

use super::json::Value;

/// The records in the text of an object; `Err` where it is not JSON throughout.
pub fn records(text: &str) -> Result<Vec<Value>, String> {
    // An export of CloudWatch Logs has a time before each event.
    let text: String = text
        .trim_start_matches('\u{feff}')
        .split_inclusive('\n')
        .map(|line| match line.split_once(" {") {
            Some((time, _)) if time.len() == 24 && time.ends_with('Z') => &line[25..],
            _ => line,
        })
        .collect();
    let mut found = Vec::new();
    for value in Value::read_all(&text)? {
        unwrap(&value, &mut found)?;
    }
    Ok(found)
}

fn unwrap(value: &Value, found: &mut Vec<Value>) -> Result<(), String> {
    let list = |key: &str| value.get(key).and_then(Value::list);
    let text = |key: &str| value.get(key).and_then(Value::text);
    if let Some(values) = value.list() {
        return values.iter().try_for_each(|value| unwrap(value, found));
    }
    if let Some(events) = list("Records") {
        // S3's notifications and a documentation example of digests come so, too.
        let is_other = |event: &&Value| {
            let source = event.get("eventSource").and_then(Value::text).unwrap_or_default();
            source.starts_with("aws:") || event.get("digestS3Object").is_some()
        };
        found.extend(events.iter().filter(|event| !is_other(event)).cloned());
        return Ok(());
    }
    if let Some(events) = list("Events") {
        return events.iter().try_for_each(|event| unwrap(event, found));
    }
    if let Some(messages) = list("logEvents") {
        if text("messageType").as_deref() == Some("DATA_MESSAGE") || value.get("messageType").is_none() {
            for message in messages {
                let message = message.get("message").and_then(Value::text).ok_or("no message")?;
                found.push(Value::read(&message)?);
            }
        }
        return Ok(());
    }
    if let Some(event) = text("CloudTrailEvent").or_else(|| text("_raw")) {
        found.push(Value::read(&event)?);
        return Ok(());
    }
    let is_event = |value: &Value| {
        let has = |key: &str| value.get(key).is_some();
        has("eventVersion") || has("eventName") && (has("eventSource") || has("eventTime"))
    };
    let inner = [Some(value), value.get("detail"), value.get("aws")];
    found.extend(inner.into_iter().flatten().find(|value| is_event(value)).cloned());
    Ok(())
}
