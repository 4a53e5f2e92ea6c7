//! The peer of P7: a route of axum that reads a body, does nothing, and answers always the same. Not here: load.

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::routing::post;
use benches::NotMeasured;
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// Serves until it is killed.
pub fn serve(address: SocketAddr, body: String) -> Result<bool, NotMeasured> {
    // As the binary `tranche` makes its own: a worker for each core this process may use.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let answer = Bytes::from(body);
    let route = post(move |asked: Bytes| {
        let answer = answer.clone();
        async move {
            std::hint::black_box(asked);
            ([(CONTENT_TYPE, "application/json")], answer)
        }
    });
    let router = Router::new().route("/v1/workspaces/{ws}/consume", route);
    runtime.map_err(NotMeasured::io("a runtime"))?.block_on(async {
        let listener =
            TcpListener::bind(address).await.map_err(NotMeasured::io(format!("listening on {address}")))?;
        axum::serve(listener, router).await.map_err(NotMeasured::io("the empty route")).map(|()| true)
    })
}
