//! Incidents as the store has them: the list, one with its events, and "I look after it".

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use serde::{Deserialize, Serialize};
use url::form_urlencoded;

use crate::api::error::ApiError;
use crate::api::handle::{Ask, Handle};
use crate::durable::record::Case;
use crate::engine::Command;
use crate::incident::Verdict;
use crate::incident::event::{Event, Incident, SCHEMA_VERSION};

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 10_000;

#[derive(Serialize)]
pub struct List {
    v: u32,
    incidents: Vec<Incident>,
}

#[derive(Serialize)]
pub struct One {
    v: u32,
    incident: Incident,
    events: Vec<Event>,
}

/// Who says so; a missing body is "api".
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct By {
    by: String,
}

/// What it was, and who says so.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Judged {
    verdict: Verdict,
    by: Option<String>,
}

/// `GET /api/v1/incidents?state=open|all&limit=N`: newest first.
pub async fn list(State(handle): State<Handle>, RawQuery(query): RawQuery) -> Result<Json<List>, ApiError> {
    let (only_open, limit) = read(query.as_deref().unwrap_or(""))?;
    let mut cases = handle.stored(|outbox| outbox.store().cases(usize::MAX)).await?;
    cases.retain(|case| !only_open || case.is_open());
    cases.truncate(limit);
    Ok(Json(List { v: SCHEMA_VERSION, incidents: cases.into_iter().map(|case| case.incident).collect() }))
}

/// `GET /api/v1/incidents/{id}`: the incident as it is now, and what was told of it, in order.
pub async fn one(State(handle): State<Handle>, Path(id): Path<String>) -> Result<Json<One>, ApiError> {
    let case = find(&handle, id.clone()).await?;
    let events = handle.stored(move |outbox| outbox.store().events(&id)).await?;
    Ok(Json(One { v: SCHEMA_VERSION, incident: case.incident, events }))
}

/// `POST /api/v1/incidents/{id}/acknowledge`, body `{"by":"NAME"}` or none.
pub async fn acknowledge(
    State(handle): State<Handle>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<Incident>, ApiError> {
    let by = who(&body)?;
    command(&handle, id, |incident| Command::Acknowledge { incident, by }).await
}

/// `POST /api/v1/incidents/{id}/resolve`, body `{"by":"NAME"}` or none: somebody says that it is over.
pub async fn resolve(
    State(handle): State<Handle>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<Incident>, ApiError> {
    let by = who(&body)?;
    command(&handle, id, |incident| Command::Resolve { incident, by }).await
}

/// `POST /api/v1/incidents/{id}/feedback`, body `{"verdict":"false_alarm"|"normal_now"|"true_alarm","by":"NAME"}`,
/// `by` or none: what it was, open or over. Said again it changes nothing.
pub async fn feedback(
    State(handle): State<Handle>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<Incident>, ApiError> {
    let (verdict, by) = judged(&body)?;
    find(&handle, id.clone()).await?;
    let command = Command::Feedback { incident: id.clone(), verdict, by };
    if !handle.ask(|reply| Ask::Command { command, reply }).await? {
        let why = "is over for so long that how it looked is forgotten";
        return Err(ApiError::Conflict(format!("incident {id} {why}")));
    }
    Ok(Json(find(&handle, id).await?.incident))
}

/// Has the engine obey, if the incident is open; answers with the incident as it is after that.
async fn command(
    handle: &Handle,
    id: String,
    command: impl FnOnce(String) -> Command,
) -> Result<Json<Incident>, ApiError> {
    if !find(handle, id.clone()).await?.is_open() {
        return Err(ApiError::Conflict(format!("incident {id} is over")));
    }
    let command = command(id.clone());
    handle.ask(|reply| Ask::Command { command, reply }).await?;
    Ok(Json(find(handle, id).await?.incident))
}

/// Reads who asks from a request body.
pub fn who(body: &[u8]) -> Result<String, ApiError> {
    if body.trim_ascii().is_empty() {
        return Ok("api".into());
    }
    let By { by } = serde_json::from_slice(body).map_err(|e| ApiError::Invalid(format!("body: {e}")))?;
    named(&by)
}

/// Reads what is said of an incident, and by whom.
fn judged(body: &[u8]) -> Result<(Verdict, String), ApiError> {
    let Judged { verdict, by } =
        serde_json::from_slice(body).map_err(|e| ApiError::Invalid(format!("body: {e}")))?;
    Ok((verdict, by.map_or(Ok("api".into()), |by| named(&by))?))
}

fn named(by: &str) -> Result<String, ApiError> {
    match by.trim() {
        "" => Err(ApiError::Invalid("body: by is empty".into())),
        name if name.len() > 200 => Err(ApiError::Invalid("body: by is longer than 200 bytes".into())),
        name => Ok(name.into()),
    }
}

async fn find(handle: &Handle, id: String) -> Result<Case, ApiError> {
    let case = handle.stored(move |outbox| outbox.store().case(&id)).await?;
    case.ok_or(ApiError::NotFound { what: "incident" })
}

fn read(query: &str) -> Result<(bool, usize), ApiError> {
    let (mut only_open, mut limit) = (false, LIMIT_DEFAULT);
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match (key.as_ref(), value.as_ref()) {
            ("state", "open") => only_open = true,
            ("state", "all") => only_open = false,
            ("state", other) => return Err(ApiError::Invalid(format!("state is open or all, not {other}"))),
            ("limit", text) => match text.parse() {
                Ok(n @ 1..=LIMIT_MAX) => limit = n,
                _ => return Err(ApiError::Invalid(format!("limit is 1 to {LIMIT_MAX}, not {text}"))),
            },
            (other, _) => {
                return Err(ApiError::Invalid(format!(
                    "unknown parameter {other}; state and limit are known"
                )));
            }
        }
    }
    Ok((only_open, limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_is_named_or_the_api() {
        assert_eq!(who(b"").unwrap(), "api");
        assert_eq!(who(br#"{"by":" anna "}"#).unwrap(), "anna");
        for bad in [r#"{"by":""}"#, r#"{"from":"anna"}"#, "anna"] {
            assert!(matches!(who(bad.as_bytes()), Err(ApiError::Invalid(_))), "{bad}");
        }
    }

    #[test]
    fn a_verdict_is_read_or_its_field_named() {
        let heard = judged(br#"{"verdict":"normal_now","by":"anna"}"#).unwrap();
        assert_eq!(heard, (Verdict::NormalNow, "anna".into()));
        assert_eq!(judged(br#"{"verdict":"true_alarm"}"#).unwrap().1, "api");
        let named = [
            ("", "EOF"),
            (r#"{"by":"anna"}"#, "missing field `verdict`"),
            (r#"{"verdict":"false"}"#, "expected one of `false_alarm`, `normal_now`, `true_alarm`"),
            (r#"{"verdict":"false_alarm","by":""}"#, "by is empty"),
            (r#"{"verdict":"false_alarm","because":"noise"}"#, "unknown field `because`"),
        ];
        for (bad, names) in named {
            let Err(ApiError::Invalid(told)) = judged(bad.as_bytes()) else { panic!("{bad}") };
            assert!(told.contains(names), "{bad}: {told}");
        }
    }

    #[test]
    fn the_query_is_read_or_refused() {
        assert_eq!(read("").unwrap(), (false, LIMIT_DEFAULT));
        assert_eq!(read("state=open&limit=3").unwrap(), (true, 3));
        for bad in ["state=closed", "limit=0", "since=now"] {
            assert!(matches!(read(bad), Err(ApiError::Invalid(_))), "{bad}");
        }
    }
}
