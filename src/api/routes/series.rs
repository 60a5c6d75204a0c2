//! What is known of the series that fit a selector: last value, expected band, surprise, state.

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use url::form_urlencoded;

use crate::api::error::ApiError;
use crate::api::handle::{Ask, Handle};
use crate::api::select::Select;
use crate::engine::SeriesView;

const LIMIT_DEFAULT: usize = 1_000;
const LIMIT_MAX: usize = 10_000;
const SELECTORS_MAX: usize = 16;

#[derive(Serialize)]
pub struct Found {
    series: Vec<SeriesView>,
    /// More fit than were asked for.
    truncated: bool,
}

/// `GET /api/v1/series?match[]=SELECTOR&limit=N`; without a selector every series fits.
pub async fn list(State(handle): State<Handle>, RawQuery(query): RawQuery) -> Result<Json<Found>, ApiError> {
    let (select, limit) = read(query.as_deref().unwrap_or(""))?;
    let mut series = handle.ask(|reply| Ask::Series { select, limit: limit + 1, reply }).await?;
    let truncated = series.len() > limit;
    series.truncate(limit);
    Ok(Json(Found { series, truncated }))
}

fn read(query: &str) -> Result<(Select, usize), ApiError> {
    let (mut selectors, mut limit) = (Vec::new(), LIMIT_DEFAULT);
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match key.as_ref() {
            "match[]" if selectors.len() < SELECTORS_MAX => selectors.push(value),
            "match[]" => return Err(ApiError::Invalid(format!("more than {SELECTORS_MAX} selectors"))),
            "limit" => match value.parse() {
                Ok(n @ 1..=LIMIT_MAX) => limit = n,
                _ => return Err(ApiError::Invalid(format!("limit is 1 to {LIMIT_MAX}, not {value}"))),
            },
            other => {
                return Err(ApiError::Invalid(format!(
                    "unknown parameter {other}; match[] and limit are known"
                )));
            }
        }
    }
    let select =
        Select::parse(selectors.iter().map(AsRef::as_ref)).map_err(|e| ApiError::Invalid(e.to_string()))?;
    Ok((select, limit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Labels;

    #[test]
    fn several_selectors_and_a_limit() {
        let (select, limit) = read("match%5B%5D=up&match[]=%7Bhost%3D%22mx1%22%7D&limit=5").unwrap();
        assert_eq!(limit, 5);
        assert!(select.has(&Labels::new(&[("__name__", "up")])));
        assert!(select.has(&Labels::new(&[("__name__", "x"), ("host", "mx1")])));
        assert!(!select.has(&Labels::new(&[("__name__", "x")])));
    }

    #[test]
    fn what_is_not_understood_is_said() {
        for query in ["limit=0", "limit=x", "limit=10001", "matches=up", "match[]=up{"] {
            assert!(matches!(read(query), Err(ApiError::Invalid(_))), "{query}");
        }
    }
}
