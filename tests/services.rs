//! Services on three real nodes: what one spends that shares is its owner's, to the last credit, whoever spends it where.
//! Not here: every corner of the books (`ledger`'s scripts).

use serde_json::{Value, json};
use tests::{Api, Cluster, assert_conserved, text};

const WORKSPACE: &str = "/v1/workspaces/acme";

async fn put(api: &mut Api, path: &str, body: &Value) -> Value {
    let answer = api.write("PUT", &format!("{WORKSPACE}/{path}"), &body.to_string()).await;
    assert!(matches!(answer.status, 200 | 202), "{path}: {}", answer.text());
    answer.json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_spends_the_allocation_of_its_owner_and_nothing_else() {
    let cluster = Cluster::start(3).await;
    let mut admin = cluster.api(1);
    admin.make_workspace("acme", "1000").await;
    put(&mut admin, "members/ann", &json!({})).await;
    put(&mut admin, "allocations/ann", &json!({"amount": "100", "overflow": "none"})).await;
    let agent =
        put(&mut admin, "members/agent", &json!({"kind": "service", "owner": "ann", "shares": "owner"}))
            .await;
    assert_eq!(
        ["kind", "owner", "shares"].map(|name| text(&agent[name])),
        ["service", "ann", "owner"],
        "{agent}"
    );
    // What is left on the lease of one is asked for before the other is refused.
    cluster.api(2).consume("acme", "agent", "60").await.allowed();
    cluster.api(3).consume("acme", "ann", "40").await.allowed();
    assert_eq!(cluster.api(1).consume("acme", "agent", "1").await.refused(), "allocation_exhausted");
    put(&mut admin, "allocations/ann", &json!({"amount": "200", "overflow": "none"})).await;
    put(&mut admin, "members/ann", &json!({"ai_access": false})).await;
    assert_eq!(cluster.api(1).consume("acme", "agent", "1").await.refused(), "access_disabled");
    put(&mut admin, "members/ann", &json!({"ai_access": true})).await;
    cluster.api(2).consume("acme", "agent", "100").await.allowed();
    let listed = admin.read(&format!("{WORKSPACE}/members?kind=service&owner=ann")).await;
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(text(&listed["items"][0]["user"]), "agent", "{listed}");
    let in_use = admin
        .answer("PUT", &format!("{WORKSPACE}/members/ann"), Some(r#"{"kind":"service","owner":"bob"}"#))
        .await;
    assert!(in_use.status >= 400, "{}", in_use.text());
    for node in cluster.numbers() {
        assert_conserved(&mut cluster.api(node)).await;
    }
}
