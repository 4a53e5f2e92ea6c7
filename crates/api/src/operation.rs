//! What a load balancer, a scraper and a reader of the documentation ask for. No key needed, nothing about workspaces.

use crate::app::App;
use crate::error::{Code, Refused};
use crate::openapi;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use std::fmt::Write;
use std::sync::{Arc, LazyLock};
use utoipa_swagger_ui::Config;

/// 200 as long as this process answers at all.
#[utoipa::path(get, path = "/healthz", tag = "operation",
    responses((status = 200, description = "It lives", content_type = "text/plain", body = String)))]
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// 200 when the journal is replayed and takes charges, and every group of this node knows a leader.
#[utoipa::path(get, path = "/readyz", tag = "operation",
    responses((status = 200, description = "Ready", content_type = "text/plain", body = String),
        (status = 503, description = "What is not ready yet", content_type = "text/plain", body = String)))]
pub(crate) async fn readyz(State(app): State<Arc<App>>) -> (StatusCode, String) {
    let ready =
        app.quota.get().map_or_else(|| Err("this node is still starting".into()), quota::Quota::ready);
    match ready {
        Ok(()) => (StatusCode::OK, "ready\n".into()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
    }
}

/// Metrics in the OpenMetrics text format.
#[utoipa::path(get, path = "/metrics", tag = "operation",
    responses((status = 200, description = "Metrics", content_type = "application/openmetrics-text", body = String)))]
pub(crate) async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    let openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, openmetrics)], app.metrics.text())
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "operation",
    responses((status = 200, description = "OpenAPI", content_type = "application/json", body = String)))]
pub(crate) async fn openapi_json() -> impl IntoResponse {
    static TEXT: LazyLock<String> =
        LazyLock::new(|| openapi::document().to_json().expect("a generated document is plain data"));
    ([(header::CONTENT_TYPE, "application/json")], TEXT.as_str())
}

/// The documentation, to read and to try.
#[utoipa::path(get, path = "/docs", tag = "operation",
    responses((status = 308, description = "The page is /docs/")))]
pub(crate) async fn docs() -> Redirect {
    Redirect::permanent("/docs/")
}

pub(crate) async fn docs_page() -> Response {
    docs_asset("index.html")
}

pub(crate) async fn docs_file(Path(file): Path<String>) -> Response {
    docs_asset(&file)
}

/// A file of the documentation's pages, all of which are in this binary: no other host is asked.
fn docs_asset(file: &str) -> Response {
    static CONFIG: LazyLock<Arc<Config<'static>>> =
        LazyLock::new(|| Arc::new(Config::from("/openapi.json").validator_url("none")));
    match utoipa_swagger_ui::serve(file, CONFIG.clone()) {
        Ok(Some(file)) => ([(header::CONTENT_TYPE, file.content_type)], file.bytes.to_vec()).into_response(),
        Ok(None) => Refused::new(Code::UnknownRoute, "there is no such page").into_response(),
        Err(why) => Refused::new(Code::Internal, why.to_string()).into_response(),
    }
}

/// What stands between backticks is code.
fn with_code(text: &str) -> String {
    let part = |(at, part): (usize, &str)| {
        if at % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() }
    };
    text.split('`').enumerate().map(part).collect()
}

/// The error table, where the `type` of a problem leads.
#[utoipa::path(get, path = "/docs/errors", tag = "operation",
    responses((status = 200, description = "The error table", content_type = "text/html", body = String)))]
pub(crate) async fn error_table() -> Html<String> {
    let mut rows = String::new();
    for code in Code::ALL {
        let row = code.row();
        let (code, status, title, help) = (row.code, row.status, row.title, with_code(row.would_help));
        let _ =
            writeln!(rows, "<tr id=\"{code}\"><td>{status}<td><code>{code}</code><td>{title}<td>{help}</tr>");
    }
    Html(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Tranche: errors</title>\n\
         <style>body{{font:1rem/1.5 system-ui;margin:2rem}}td{{padding:.3rem .8rem;vertical-align:top}}\
         tr:target{{background:#ffeb99}}</style>\n<h1>Errors</h1>\n<table>\n{rows}</table></html>\n"
    ))
}
