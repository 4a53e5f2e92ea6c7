//! HTTP: parse at the edge, one error table, OpenAPI.
