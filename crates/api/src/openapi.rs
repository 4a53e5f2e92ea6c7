//! The OpenAPI document, generated from the handlers and the shapes. Written by hand is only what every route shares:
//! ids in paths, headers of writes, the problem, the key.

use crate::error::{Code, Row};
use crate::{
    allocations, cluster, consume, feature_limits, grants, holds, imports, members, model_limits, operation,
    overage, plans, pooling, prices, reallocations, refunds, shadow, team_limits, teams, test_clock, usage,
    user_limits, workspaces,
};
use std::fmt::Write;
use types::{
    AnyCharge, GrantId, IdempotencyKey, NodeId, ReallocationId, RefundId, TeamId, UserId, WorkspaceId,
};
use utoipa::openapi::header::Header;
use utoipa::openapi::path::{HttpMethod, Operation, Parameter, ParameterIn};
use utoipa::openapi::schema::{Object, Schema, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, Required, ResponseBuilder};
use utoipa::{OpenApi as _, PartialSchema};
use wire::json::{Given, Problem};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "Tranche", description = "The credit ledger on the request path."),
    paths(
        consume::consume, consume::batch, consume::quote,
        holds::open, holds::extend, holds::settle, holds::release,
        workspaces::put, workspaces::get,
        grants::make, grants::list, grants::get, grants::void,
        members::list, members::put, members::get,
        allocations::put, allocations::get, allocations::remove, allocations::adjust,
        user_limits::put, user_limits::get, user_limits::lift,
        team_limits::put, team_limits::get, team_limits::lift,
        feature_limits::put, feature_limits::get, feature_limits::lift,
        model_limits::put, model_limits::get, model_limits::lift,
        reallocations::make, reallocations::get, refunds::make, refunds::get, refunds::charge,
        overage::put, overage::get, overage::remove, overage::put_user, overage::get_user, overage::remove_user,
        teams::list, teams::put, teams::get, teams::remove, teams::set_reserve, teams::remove_reserve,
        teams::adjust_reserve,
        plans::put, plans::get, plans::cancel, plans::preview, pooling::put, pooling::get,
        usage::usage, shadow::report, imports::import,
        prices::get, prices::put, prices::versions, prices::version, prices::remove, prices::put_own, prices::get_own,
        prices::remove_own,
        cluster::cluster, cluster::forget, cluster::conservation, test_clock::advance,
        operation::healthz, operation::readyz, operation::metrics, operation::openapi_json, operation::docs,
        operation::error_table,
    ),
    components(schemas(Problem)),
    tags(
        (name = "hot path", description = "What is asked before and after every AI action."),
        (name = "administration", description = "Workspaces, grants, members, allocations, prices."),
        (name = "operation", description = "The cluster, its health and its books."),
    )
)]
struct Generated;

/// Every route, shape and error code of this node.
pub fn document() -> OpenApi {
    let mut document = Generated::openapi();
    document.info.description =
        Some(format!("{}\n\n{}", "The credit ledger on the request path.", error_table()));
    for (path, item) in &mut document.paths.paths {
        let methods = [
            (HttpMethod::Get, item.get.as_mut()),
            (HttpMethod::Put, item.put.as_mut()),
            (HttpMethod::Post, item.post.as_mut()),
            (HttpMethod::Delete, item.delete.as_mut()),
        ];
        for (method, operation) in methods {
            if let Some(operation) = operation {
                complete(path, &method, operation);
            }
        }
    }
    let components = document.components.get_or_insert_default();
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("The operator key."));
    components.add_security_scheme("key", SecurityScheme::Http(scheme.build()));
    if let Some(RefOr::T(Schema::Object(problem))) = components.schemas.get_mut("Problem") {
        let codes = Code::ALL.iter().map(|code| code.row().code);
        let code = Object::builder().schema_type(Type::String).enum_values(Some(codes)).build();
        problem.properties.insert("code".into(), RefOr::T(Schema::Object(code)));
    }
    document
}

/// What every operation of its kind has in common.
fn complete(path: &str, method: &HttpMethod, operation: &mut Operation) {
    // Handlers are called after their verbs; an id must be unique, and a reader wants to know of what.
    operation.operation_id = Some(operation_id(path, method));
    let parameters = operation.parameters.get_or_insert_default();
    for name in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
        parameters.push(parameter(name, ParameterIn::Path, Required::True, id_schema(name), None));
    }
    if !path.starts_with("/v1/") {
        return;
    }
    operation.security = Some(vec![SecurityRequirement::new::<_, _, String>("key", [])]);
    let has_effect = *method != HttpMethod::Get && !path.ends_with("/quote") && !path.ends_with("/preview");
    let keyed = has_effect
        && path != "/v1/nodes/{node}/forget"
        && !path.ends_with("/batch")
        && !path.contains("/holds/");
    let resource = has_effect
        && !path.contains("/consume")
        && !path.contains("/holds")
        && !path.starts_with("/v1/nodes/");
    if keyed {
        let text = "The same key with the same command gives the same answer; with another command 409.";
        let schema = Given::<IdempotencyKey>::schema();
        parameters.push(parameter(
            "Idempotency-Key",
            ParameterIn::Header,
            Required::False,
            schema,
            Some(text),
        ));
    }
    if resource {
        let text = "The ETag of the resource as it was read; 412 if it changed meanwhile.";
        let schema = RefOr::T(Schema::Object(Object::with_type(Type::String)));
        parameters.push(parameter("If-Match", ParameterIn::Header, Required::False, schema, Some(text)));
    }
    let retry_after = Header::new(Object::with_type(Type::Integer));
    let problem = ResponseBuilder::new()
        .description("Refused; `code` says why")
        .header("Retry-After", retry_after)
        .content(
            "application/problem+json",
            ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build(),
        );
    operation.responses.responses.insert("default".into(), RefOr::T(problem.build()));
}

fn parameter(
    name: &str,
    place: ParameterIn,
    required: Required,
    schema: RefOr<Schema>,
    description: Option<&str>,
) -> RefOr<Parameter> {
    let mut parameter = Parameter::new(name);
    parameter.parameter_in = place;
    parameter.required = required;
    parameter.schema = Some(schema);
    parameter.description = description.map(Into::into);
    RefOr::T(parameter)
}

/// `PUT /v1/workspaces/{ws}/limits/{user}` → `put_workspaces_ws_limits_user`.
fn operation_id(path: &str, method: &HttpMethod) -> String {
    let method = match method {
        HttpMethod::Get => "get",
        HttpMethod::Put => "put",
        HttpMethod::Post => "post",
        _ => "delete",
    };
    let parts = path.split(['/', '{', '}', '.', '-']).filter(|part| !part.is_empty() && *part != "v1");
    parts.fold(method.to_owned(), |id, part| id + "_" + part)
}

fn id_schema(name: &str) -> RefOr<Schema> {
    match name {
        "ws" => Given::<WorkspaceId>::schema(),
        "user" => Given::<UserId>::schema(),
        "team" => Given::<TeamId>::schema(),
        "grant" => Given::<GrantId>::schema(),
        "reallocation" => Given::<ReallocationId>::schema(),
        "refund" => Given::<RefundId>::schema(),
        "charge" => Given::<AnyCharge>::schema(),
        "version" => Given::<u64>::schema(),
        _ => Given::<NodeId>::schema(),
    }
}

fn error_table() -> String {
    let mut table = String::from(
        "Errors are `application/problem+json`:\n\n| status | code | what would help |\n|---|---|---|\n",
    );
    for code in Code::ALL {
        let Row { code, status, would_help, .. } = code.row();
        let _ = writeln!(table, "| {status} | `{code}` | {would_help} |");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes;
    use std::collections::BTreeSet;

    fn json() -> serde_json::Value {
        serde_json::to_value(document()).unwrap()
    }

    #[test]
    fn every_route_is_documented_and_every_documented_route_is_there() {
        let mut documented = BTreeSet::new();
        for (path, item) in json()["paths"].as_object().unwrap() {
            for method in item.as_object().unwrap().keys().filter(|key| *key != "parameters") {
                documented.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
        let parts_of_a_page = ["GET /docs/", "GET /docs/{*file}"];
        let routed: BTreeSet<String> = routes::all()
            .iter()
            .map(|route| route.name.to_owned())
            .filter(|name| !parts_of_a_page.contains(&name.as_str()))
            .collect();
        assert_eq!(documented, routed);
    }

    #[test]
    fn the_document_has_the_codes_of_the_table() {
        let document = json();
        let listed = document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"].clone();
        let table: Vec<&str> = Code::ALL.iter().map(|code| code.row().code).collect();
        assert_eq!(listed, serde_json::json!(table));
        let text = document["info"]["description"].as_str().unwrap();
        assert!(table.iter().all(|code| text.contains(&format!("`{code}`"))));
    }

    #[test]
    fn each_reference_leads_somewhere_and_each_operation_is_whole() {
        let document = json();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        for reference in document.to_string().split("\"$ref\":\"").skip(1) {
            let reference = reference.split('"').next().unwrap();
            let name = reference.strip_prefix("#/components/schemas/").expect(reference);
            assert!(schemas.contains_key(name), "{name}");
        }
        let mut ids = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for operation in item.as_object().unwrap().values() {
                assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{path}");
                let in_path = |p: &&serde_json::Value| p["in"] == "path";
                let parameters = operation["parameters"].as_array().map_or(&[][..], |list| &list[..]);
                assert_eq!(parameters.iter().filter(in_path).count(), path.matches('{').count(), "{path}");
                assert_eq!(operation["responses"]["default"].is_object(), path.starts_with("/v1/"), "{path}");
                assert_eq!(operation["security"].is_array(), path.starts_with("/v1/"), "{path}");
            }
        }
    }

    #[test]
    fn shapes_say_what_is_accepted() {
        let document = json();
        let schemas = &document["components"]["schemas"];
        assert_eq!(schemas["AmountGiven"]["type"], serde_json::json!(["string", "number"]));
        assert_eq!(schemas["Amount"]["type"], "string");
        assert_eq!(schemas["Consume"]["required"], serde_json::json!(["user", "feature"]));
        assert_eq!(schemas["Consume"]["additionalProperties"], false);
        assert_eq!(schemas["PutLimit"]["required"], serde_json::json!(["amount"]));
        assert_eq!(schemas["GrantKind"]["enum"][2], "pack");
        let text =
            schemas["PutGrant"]["properties"]["rollover"].to_string() + &schemas["PutWorkspace"].to_string();
        assert!(!text.contains("null"), "null is refused there: {text}");
        assert!(schemas["PutMember"]["properties"]["team"].to_string().contains("null"), "out of every team");
        assert!(!schemas["PutMember"]["properties"]["role"].to_string().contains("null"));
        assert_eq!(schemas["PutTeam"]["required"], serde_json::json!(["parent"]));
        assert!(schemas["PutLimit"]["properties"]["amount"].to_string().contains("null"));
    }
}
