//! The same key gives the same bytes, on any node, also after SIGKILL and restart; another command gives 409. Not here:
//! whether a charge survives (`durability`).

use serde_json::Value;
use tests::{Answer, Api, Books, Cluster, PATIENCE, Tally, eventually};
use types::Credits;

const CONSUME: &str = "/v1/workspaces/acme/consume";

async fn keyed(api: &mut Api, method: &str, path: &str, key: &str, body: &str) -> Answer {
    api.write_keyed(method, path, key, body).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consume_is_charged_once_and_answered_alike_for_ever() {
    let mut cluster = Cluster::start(3).await;
    cluster.api(1).make_workspace("acme", "100").await;
    let body = r#"{"user":"ann","feature":"chat","amount":"1.5"}"#;
    let first = keyed(&mut cluster.api(1), "POST", CONSUME, "k-1", body).await.expect(200);
    let home = first.json()["node"].as_str().expect("a node").to_owned();
    // The same command in other words.
    let alike = [
        body,
        r#" {"feature":"chat", "user":"ann", "amount":1.50} "#,
        r#"{"user":"ann","feature":"chat","model":null,"amount":"01.500000"}"#,
    ];
    let same_everywhere = async |cluster: &Cluster| {
        for (node, body) in cluster.numbers().zip(alike) {
            let again = keyed(&mut cluster.api(node), "POST", CONSUME, "k-1", body).await.expect(200);
            assert_eq!(again.body, first.body, "{} and {}", again.text(), first.text());
        }
        let others = [
            r#"{"user":"ann","feature":"chat","amount":"1.500001"}"#,
            r#"{"user":"ann","feature":"image","amount":"1.5"}"#,
            r#"{"user":"ann","feature":"chat","model":"m-1","amount":"1.5"}"#,
        ];
        for (node, body) in cluster.numbers().zip(others) {
            let other = keyed(&mut cluster.api(node), "POST", CONSUME, "k-1", body).await.expect(409);
            assert_eq!(other.code(), "key_conflict");
        }
    };
    same_everywhere(&cluster).await;
    let number: u16 = home.trim_start_matches('n').parse().expect("n and digits");
    cluster.node(number).kill();
    cluster.all_back().await;
    same_everywhere(&cluster).await;
    cluster.numbers().for_each(|node| cluster.node(node).kill());
    cluster.all_back().await;
    same_everywhere(&cluster).await;

    let mut told = Tally::default();
    told.allowed.grow("1.5".parse().expect("an amount"));
    assert_eq!(Books::settled(&mut cluster.api(2), "acme", &told).await.used, told.allowed);

    // A key belongs to a user: somebody else's is another one.
    let bob = r#"{"user":"bob","feature":"chat","amount":"1.5"}"#;
    let other = keyed(&mut cluster.api(1), "POST", CONSUME, "k-1", bob).await.expect(200);
    assert_ne!(other.json()["id"], first.json()["id"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_with_one_key_are_one_charge() {
    let cluster = Cluster::start(3).await;
    cluster.api(1).make_workspace("acme", "100").await;
    let body = r#"{"user":"ann","feature":"chat","amount":"2"}"#;
    let callers = cluster.numbers().flat_map(|node| [node; 8]);
    let calls = callers.map(|node| {
        let mut api = cluster.api(node);
        async move { api.send("POST", CONSUME, &[("Idempotency-Key", "once")], Some(body.as_bytes())).await }
    });
    let answers = futures::future::join_all(calls).await;
    let answers: Vec<Answer> = answers.into_iter().map(|answer| answer.expect("answered")).collect();
    let charged: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert!(!charged.is_empty() && charged.iter().all(|answer| answer.body == charged[0].body));
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!((answer.status, answer.code().as_str()), (409, "key_in_flight"), "{}", answer.text());
        assert!(answer.header("retry-after").is_some());
    }
    let told = Tally { allowed: Credits::whole(2).expect("small"), ..Tally::default() };
    assert_eq!(Books::settled(&mut cluster.api(2), "acme", &told).await.used, told.allowed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_effects_are_kept_so_a_refusal_is_not_repeated_after_a_top_up() {
    let cluster = Cluster::start(3).await;
    let mut api = cluster.api(1);
    api.make_workspace("acme", "1").await;
    let body = r#"{"user":"ann","feature":"chat","amount":"5"}"#;
    assert_eq!(keyed(&mut api, "POST", CONSUME, "k", body).await.expect(402).code(), "exhausted");
    let grant = r#"{"id":"more","kind":"pack","amount":"10"}"#;
    api.write("POST", "/v1/workspaces/acme/grants", grant).await.expect(201);
    let charged = keyed(&mut api, "POST", CONSUME, "k", body).await.expect(200);
    assert_eq!(keyed(&mut cluster.api(2), "POST", CONSUME, "k", body).await.body, charged.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn items_of_a_batch_carry_their_own_keys() {
    let cluster = Cluster::start(3).await;
    let mut api = cluster.api(1);
    api.make_workspace("acme", "100").await;
    let items: Vec<String> = (0..20)
        .map(|n| format!(r#"{{"key":"b-{n}","user":"user-{}","feature":"chat","amount":"0.5"}}"#, n % 5))
        .collect();
    let body =
        format!(r#"{{"items":[{},{{"user":"x","feature":"chat","amount":"1000"}}]}}"#, items.join(","));
    let send = async |node: u16| -> Vec<Value> {
        let path = "/v1/workspaces/acme/consume/batch";
        let answer = eventually("the batch is answered", PATIENCE, async || {
            let answer = cluster.api(node).answer("POST", path, Some(&body)).await;
            (answer.status == 200).then_some(answer)
        });
        answer.await.json()["items"].as_array().expect("a list").clone()
    };
    let first = send(1).await;
    assert_eq!(first.len(), 21);
    assert!(first[..20].iter().all(|item| item["status"] == 200), "{first:?}");
    assert_eq!((&first[20]["status"], &first[20]["code"]), (&402.into(), &"exhausted".into()));
    for node in cluster.numbers() {
        assert_eq!(send(node).await[..20], first[..20]);
    }
    let told = Tally { allowed: Credits::whole(10).expect("small"), ..Tally::default() };
    assert_eq!(Books::settled(&mut api, "acme", &told).await.used, told.allowed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrators_write_is_done_once_also_when_the_leader_dies() {
    let mut cluster = Cluster::start(3).await;
    cluster.api(1).make_workspace("acme", "10000").await;
    let ann = "/v1/workspaces/acme/allocations/ann";
    keyed(&mut cluster.api(1), "PUT", ann, "a-1", r#"{"amount":"100"}"#).await.expect(200);
    let adjust = format!("{ann}/adjust");
    let raise = r#"{"delta":"50"}"#;
    let first = keyed(&mut cluster.api(2), "POST", &adjust, "a-2", raise).await.expect(200);
    let grant = r#"{"id":"pack-1","kind":"pack","amount":"5"}"#;
    let granted = cluster.api(3).answer("POST", "/v1/workspaces/acme/grants", Some(grant)).await.expect(201);
    let realloc = r#"{"id":"r-1","from":"ann","to":"bob","amount":"30"}"#;
    let path = "/v1/workspaces/acme/reallocations";
    let moved = cluster.api(1).answer("POST", path, Some(realloc)).await.expect(200);

    for round in 0..2 {
        for node in cluster.numbers() {
            let mut api = cluster.api(node);
            let again = keyed(&mut api, "POST", &adjust, "a-2", raise).await.expect(200);
            assert_eq!(again.body, first.body, "round {round}");
            let other = keyed(&mut api, "POST", &adjust, "a-2", r#"{"delta":"51"}"#).await.expect(409);
            assert_eq!(other.code(), "key_conflict");

            let again = api.write("POST", "/v1/workspaces/acme/grants", grant).await.expect(201);
            assert_eq!(again.body, granted.body, "an id is permanent");
            let other = grant.replace("\"5\"", "\"6\"");
            let other = api.write("POST", "/v1/workspaces/acme/grants", &other).await.expect(409);
            assert_eq!(other.code(), "id_conflict");

            let again = api.write("POST", path, realloc).await.expect(200);
            assert_eq!(again.body, moved.body);
            let other = api.write("POST", path, &realloc.replace("30", "31")).await.expect(409);
            assert_eq!(other.code(), "id_conflict");
        }
        let leader = cluster.shard().await.leader;
        cluster.node(leader).kill();
        cluster.all_back().await;
    }
    let allocation = cluster.api(1).read(ann).await;
    assert_eq!(allocation["allocation"], "120", "100 + 50 - 30, each once: {allocation}");
}
