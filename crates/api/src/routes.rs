//! Every route there is, and the router made of them. The OpenAPI document is tested against this list.

use crate::app::App;
use crate::door::{self, Door};
use crate::error::{Code, Refused};
use crate::extract::forget;
use crate::{
    allocations, cluster, consume, feature_limits, grants, holds, imports, members, model_limits, operation,
    overage, plans, pooling, prices, reallocations, refunds, shadow, team_limits, teams, test_clock, usage,
    user_limits, workspaces,
};
use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post, put};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

pub(crate) struct Route {
    /// Method and path; also the label in metrics.
    pub name: &'static str,
    pub handler: MethodRouter<Arc<App>>,
}

impl Route {
    pub fn path(&self) -> &'static str {
        self.name.split_once(' ').expect("a route's name is its method and its path").1
    }

    /// Whether only who has a key may enter.
    fn needs_key(&self) -> bool {
        self.path().starts_with("/v1/")
    }
}

pub(crate) fn all() -> Vec<Route> {
    let route = |name, handler| Route { name, handler };
    vec![
        route("POST /v1/workspaces/{ws}/consume", post(consume::consume)),
        route("POST /v1/workspaces/{ws}/consume/batch", post(consume::batch)),
        route("POST /v1/workspaces/{ws}/quote", post(consume::quote)),
        route("POST /v1/workspaces/{ws}/holds", post(holds::open)),
        route("POST /v1/workspaces/{ws}/holds/{hold}/extend", post(holds::extend)),
        route("POST /v1/workspaces/{ws}/holds/{hold}/settle", post(holds::settle)),
        route("POST /v1/workspaces/{ws}/holds/{hold}/release", post(holds::release)),
        route("PUT /v1/workspaces/{ws}", put(workspaces::put)),
        route("GET /v1/workspaces/{ws}", get(workspaces::get)),
        route("POST /v1/workspaces/{ws}/grants", post(grants::make)),
        route("GET /v1/workspaces/{ws}/grants", get(grants::list)),
        route("GET /v1/workspaces/{ws}/grants/{grant}", get(grants::get)),
        route("DELETE /v1/workspaces/{ws}/grants/{grant}", delete(grants::void)),
        route("GET /v1/workspaces/{ws}/members", get(members::list)),
        route("PUT /v1/workspaces/{ws}/members/{user}", put(members::put)),
        route("GET /v1/workspaces/{ws}/members/{user}", get(members::get)),
        route("PUT /v1/workspaces/{ws}/allocations/{user}", put(allocations::put)),
        route("GET /v1/workspaces/{ws}/allocations/{user}", get(allocations::get)),
        route("DELETE /v1/workspaces/{ws}/allocations/{user}", delete(allocations::remove)),
        route("POST /v1/workspaces/{ws}/allocations/{user}/adjust", post(allocations::adjust)),
        route("POST /v1/workspaces/{ws}/reallocations", post(reallocations::make)),
        route("GET /v1/workspaces/{ws}/reallocations/{reallocation}", get(reallocations::get)),
        route("POST /v1/workspaces/{ws}/refunds", post(refunds::make)),
        route("GET /v1/workspaces/{ws}/refunds/{refund}", get(refunds::get)),
        route("GET /v1/workspaces/{ws}/charges/{charge}", get(refunds::charge)),
        route("GET /v1/workspaces/{ws}/teams", get(teams::list)),
        route("PUT /v1/workspaces/{ws}/teams/{team}", put(teams::put)),
        route("GET /v1/workspaces/{ws}/teams/{team}", get(teams::get)),
        route("DELETE /v1/workspaces/{ws}/teams/{team}", delete(teams::remove)),
        route("PUT /v1/workspaces/{ws}/teams/{team}/reserve", put(teams::set_reserve)),
        route("DELETE /v1/workspaces/{ws}/teams/{team}/reserve", delete(teams::remove_reserve)),
        route("POST /v1/workspaces/{ws}/teams/{team}/reserve/adjust", post(teams::adjust_reserve)),
        route("PUT /v1/workspaces/{ws}/limits/{user}", put(user_limits::put)),
        route("GET /v1/workspaces/{ws}/limits/{user}", get(user_limits::get)),
        route("DELETE /v1/workspaces/{ws}/limits/{user}", delete(user_limits::lift)),
        route("PUT /v1/workspaces/{ws}/limits/teams/{team}", put(team_limits::put)),
        route("GET /v1/workspaces/{ws}/limits/teams/{team}", get(team_limits::get)),
        route("DELETE /v1/workspaces/{ws}/limits/teams/{team}", delete(team_limits::lift)),
        route("PUT /v1/workspaces/{ws}/limits/features/{feature}", put(feature_limits::put)),
        route("GET /v1/workspaces/{ws}/limits/features/{feature}", get(feature_limits::get)),
        route("DELETE /v1/workspaces/{ws}/limits/features/{feature}", delete(feature_limits::lift)),
        route("PUT /v1/workspaces/{ws}/limits/models/{model}", put(model_limits::put)),
        route("GET /v1/workspaces/{ws}/limits/models/{model}", get(model_limits::get)),
        route("DELETE /v1/workspaces/{ws}/limits/models/{model}", delete(model_limits::lift)),
        route("PUT /v1/workspaces/{ws}/overage", put(overage::put)),
        route("GET /v1/workspaces/{ws}/overage", get(overage::get)),
        route("DELETE /v1/workspaces/{ws}/overage", delete(overage::remove)),
        route("PUT /v1/workspaces/{ws}/overage/{user}", put(overage::put_user)),
        route("GET /v1/workspaces/{ws}/overage/{user}", get(overage::get_user)),
        route("DELETE /v1/workspaces/{ws}/overage/{user}", delete(overage::remove_user)),
        route("PUT /v1/workspaces/{ws}/pooling", put(pooling::put)),
        route("GET /v1/workspaces/{ws}/pooling", get(pooling::get)),
        route("PUT /v1/workspaces/{ws}/plan", put(plans::put)),
        route("GET /v1/workspaces/{ws}/plan", get(plans::get)),
        route("DELETE /v1/workspaces/{ws}/plan", delete(plans::cancel)),
        route("POST /v1/workspaces/{ws}/plan/preview", post(plans::preview)),
        route("GET /v1/workspaces/{ws}/usage", get(usage::usage)),
        route("GET /v1/workspaces/{ws}/shadow", get(shadow::report)),
        route("POST /v1/workspaces/{ws}/usage/import", post(imports::import)),
        route("PUT /v1/workspaces/{ws}/prices", put(prices::put_own)),
        route("GET /v1/workspaces/{ws}/prices", get(prices::get_own)),
        route("DELETE /v1/workspaces/{ws}/prices", delete(prices::remove_own)),
        route("GET /v1/rate-card", get(prices::get)),
        route("PUT /v1/rate-card", put(prices::put)),
        route("GET /v1/rate-card/versions", get(prices::versions)),
        route("GET /v1/rate-card/versions/{version}", get(prices::version)),
        route("DELETE /v1/rate-card/versions/{version}", delete(prices::remove)),
        route("GET /v1/cluster", get(cluster::cluster)),
        route("POST /v1/nodes/{node}/forget", post(cluster::forget)),
        route("GET /v1/debug/conservation", get(cluster::conservation)),
        route("POST /v1/test/clock", post(test_clock::advance)),
        route("GET /healthz", get(operation::healthz)),
        route("GET /readyz", get(operation::readyz)),
        route("GET /metrics", get(operation::metrics)),
        route("GET /openapi.json", get(operation::openapi_json)),
        route("GET /docs", get(operation::docs)),
        route("GET /docs/errors", get(operation::error_table)),
        // Parts of the page /docs, which the document does not list one by one.
        route("GET /docs/", get(operation::docs_page)),
        route("GET /docs/{*file}", get(operation::docs_file)),
    ]
}

/// The whole HTTP surface of one node.
pub fn router(app: Arc<App>) -> Router {
    let mut router = Router::new();
    for route in all() {
        let (path, needs_key) = (route.path(), route.needs_key());
        let door = Arc::new(Door { app: app.clone(), metrics: app.metrics.of_route(route.name), needs_key });
        router = router.route(path, route.handler.route_layer(from_fn_with_state(door, door::pass)));
    }
    router.fallback(unknown_route).method_not_allowed_fallback(method_not_allowed).with_state(app)
}

async fn unknown_route(State(app): State<Arc<App>>, request: Request) -> Response {
    elsewhere(&app, request, Code::UnknownRoute, "there is nothing at this path")
}

async fn method_not_allowed(State(app): State<Arc<App>>, request: Request) -> Response {
    let detail = "there is something at this path, but not for this method";
    elsewhere(&app, request, Code::MethodNotAllowed, detail)
}

fn elsewhere(app: &App, request: Request, code: Code, detail: &str) -> Response {
    let started = Instant::now();
    let (parts, body) = request.into_parts();
    forget(&parts.headers, body, Duration::from_millis(app.deadlines.body_read_ms));
    let response = Refused::new(code, detail).into_response();
    door::note(app, &app.metrics.of_route("none"), &response, started);
    response
}
