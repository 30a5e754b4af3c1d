//! Headers in which browsers describe each request by themselves (Fetch Metadata).

use axum::http::HeaderName;

/// Where a browser's request comes from.
pub(crate) const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What a browser does with the answer.
pub(crate) const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
