//! What every node shows without being asked twice: health, metrics, the document of its routes, the cluster. Not here:
//! what is refused (`refusals`).

use tests::{Cluster, PATIENCE, eventually, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_metrics_documents_and_the_cluster() {
    let mut cluster = Cluster::start(3).await;
    cluster.api(1).make_workspace("acme", "100").await;
    cluster.api(1).consume("acme", "ann", "1").await.allowed();
    for node in cluster.numbers() {
        // None of these needs a key.
        let mut api = cluster.api_with_key(node, "");
        api.get("/healthz").await.expect(200);
        api.get("/readyz").await.expect(200);
        let metrics = api.get("/metrics").await.expect(200);
        for name in ["tranche_ready 1", "tranche_groups_led", "tranche_journal_records"] {
            assert!(metrics.text().contains(name), "n{node}: {name} in\n{}", metrics.text());
        }
        assert!(!metrics.text().contains("ann"), "no metric names a user");
        let document = api.get("/openapi.json").await.expect(200).json();
        assert!(text(&document["openapi"]).starts_with('3'));
        let paths = document["paths"].as_object().expect("paths");
        for path in
            ["/v1/workspaces/{ws}/consume", "/v1/workspaces/{ws}/reallocations", "/v1/cluster", "/readyz"]
        {
            assert!(paths.contains_key(path), "{path}");
        }
        let docs = api.get("/docs/").await.expect(200);
        assert!(docs.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
        assert!(!docs.text().contains("https://"), "the page loads nothing from elsewhere");
        assert!([200, 301, 302, 303, 307, 308].contains(&api.get("/docs").await.status));
        let errors = api.get("/docs/errors").await.expect(200);
        assert!(errors.text().contains("credits_unreachable"));

        let view = cluster.api(node).get("/v1/cluster").await.expect(200).json();
        let status = |index: usize| text(&view["nodes"][index]["status"]);
        let expected = |index: usize| if index + 1 == usize::from(node) { "this" } else { "connected" };
        for index in 0..3 {
            assert_eq!(status(index), expected(index), "{view}");
        }
    }
    usage(&cluster).await;

    // Who has no quorum is alive, not ready, and says why.
    cluster.node(2).kill();
    cluster.node(3).kill();
    let mut api = cluster.api_with_key(1, "");
    eventually("a node alone is not ready", PATIENCE, async || {
        (api.get("/readyz").await.status == 503).then_some(())
    })
    .await;
    let why = api.get("/readyz").await.text();
    assert!(
        why.contains("out of reach") || why.contains("no majority") || why.contains("no leader"),
        "{why}"
    );
    api.get("/healthz").await.expect(200);
}

async fn usage(cluster: &Cluster) {
    let mut admin = cluster.api(3);
    let prices = r#"{"prices":[{"feature":"chat","model":"m-1","unit":"input_token","per":1000,"credits":"1"},
        {"feature":"chat","model":"m-1","unit":"output_token","per":1000,"credits":"4"},
        {"feature":"search","unit":"call","per":1,"credits":"0"}]}"#;
    admin.answer("PUT", "/v1/rate-card", Some(prices)).await.expect(200);
    let priced =
        r#"{"user":"bob","feature":"chat","model":"m-1","usage":{"input_tokens":1200,"output_tokens":300}}"#;
    for node in cluster.numbers() {
        let mut api = cluster.api(node);
        eventually("the prices have arrived", PATIENCE, async || {
            let quote = api.answer("POST", "/v1/workspaces/acme/quote", Some(priced)).await;
            (quote.status == 200).then(|| assert_eq!(quote.json()["charge"], "2.4"))
        })
        .await;
        let charged =
            api.answer("POST", "/v1/workspaces/acme/consume", Some(priced)).await.expect(200).json();
        assert_eq!(charged["charged"], "2.4");
        let free = r#"{"user":"bob","feature":"search","usage":{"calls":1}}"#;
        let free = api.answer("POST", "/v1/workspaces/acme/consume", Some(free)).await.expect(200).json();
        assert_eq!(free["charged"], "0", "a price of 0 is a price");
    }
    let consume = "/v1/workspaces/acme/consume";
    let keyed = admin.write_keyed("POST", consume, "key-1", priced).await.expect(200);
    let path = "/v1/workspaces/acme/usage?group_by=user,feature,model";
    let page = admin.read(&format!("{path}&limit=1")).await;
    assert!(page["as_of"]["index"].as_u64().is_some_and(|index| index > 0), "{page}");
    let report = eventually("usage by user has arrived", PATIENCE, async || {
        let report = admin.read(path).await;
        let rows = report["rows"].as_array().expect("rows").clone();
        rows.into_iter().find(|row| row["user"] == "bob" && row["model"] == "m-1" && row["calls"] == 4)
    })
    .await;
    assert_eq!(report["credits"], "9.6");
    eventually("pages of one row are the same rows", PATIENCE, async || {
        let whole = admin.read(path).await;
        let (mut rows, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = admin.read(&format!("{path}&limit=1{cursor}")).await;
            rows.extend(page["rows"].as_array().expect("rows").iter().cloned());
            let Some(next) = page["cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        (rows.len() > 1 && whole["rows"] == serde_json::Value::Array(rows)).then_some(())
    })
    .await;
    let units: u64 =
        report["units"].as_object().expect("units").values().filter_map(serde_json::Value::as_u64).sum();
    assert_eq!(units, 4 * 1_500, "{report}");

    // What was answered under a key stands, also when it would have no price any more.
    admin.answer("PUT", "/v1/rate-card", Some(r#"{"prices":[]}"#)).await.expect(200);
    for node in cluster.numbers() {
        let mut api = cluster.api(node);
        eventually("the prices are gone", PATIENCE, async || {
            let quote = api.answer("POST", "/v1/workspaces/acme/quote", Some(priced)).await;
            (quote.status == 422).then(|| assert_eq!(quote.code(), "unpriced"))
        })
        .await;
        let again = api.write_keyed("POST", consume, "key-1", priced).await.expect(200);
        assert_eq!(again.body, keyed.body, "n{node}");
    }
}
