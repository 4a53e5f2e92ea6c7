//! Teams and reserves on three real nodes: members spend their own, their reserve and what is shared to the last credit, nobody
//! else ever spends a reserve, whatever is cut, moved and killed meanwhile. Not here: every corner of the books (`ledger`'s
//! scripts).

use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tests::{Api, Books, Cluster, NOT_SENT, Spent, Tally, assert_conserved, credits, micros, text, whole};
use types::Credits;

const WORKSPACE: &str = "/v1/workspaces/acme";

async fn put(api: &mut Api, path: &str, body: &Value) -> Value {
    let answer = api.write("PUT", &format!("{WORKSPACE}/{path}"), &body.to_string()).await;
    assert!(matches!(answer.status, 200 | 202), "{path}: {}", answer.text());
    answer.json()
}

async fn refused(api: &mut Api, method: &str, path: &str, body: Option<&str>) -> (u16, Value) {
    let answer = api.answer(method, &format!("{WORKSPACE}/{path}"), body).await;
    assert!(answer.status >= 400, "{path}: {}", answer.text());
    (answer.status, answer.json())
}

/// What became of one user's consumes, and how much of it a reserve paid.
#[derive(Debug, Default)]
struct Part {
    told: Tally,
    of_reserves: Credits,
}

impl Part {
    fn note(&mut self, amount: Credits, spent: &Spent) {
        self.told.note(amount, spent);
        if let Spent::Allowed { bytes, .. } = spent {
            let answer: Value = serde_json::from_slice(bytes).expect("an answer");
            let sources = answer["sources"].as_array().expect("a list").iter();
            for source in sources.filter(|source| source["from"] == "reserve") {
                self.of_reserves.grow(credits(&source["amount"]));
            }
        }
    }
}

/// Spends `amount` again and again until it is refused for want of credits; a node that is away is asked no more.
async fn spend_all(mut api: Api, user: &'static str, amount: Credits) -> Part {
    let mut part = Part::default();
    loop {
        let spent = api.consume("acme", user, &amount.to_string()).await;
        part.note(amount, &spent);
        match spent {
            Spent::Allowed { .. } => {}
            Spent::Refused { code, .. } if code == "credits_unreachable" || code == "no_leader" => {}
            Spent::Refused { .. } | Spent::Unknown => return part,
        }
    }
}

async fn spend_some(mut api: Api, user: &'static str, times: u32) -> Part {
    let mut part = Part::default();
    for _ in 0..times {
        part.note(whole(10), &api.consume("acme", user, "10").await);
    }
    part
}

/// Each of them at every node at once.
async fn spend_everywhere(cluster: &Cluster, users: &[&'static str], amount: u64) -> Vec<Part> {
    let all = cluster.numbers().flat_map(|node| users.iter().map(move |user| (node, *user)));
    let spend = |(node, user)| tokio::spawn(spend_all(cluster.api(node), user, whole(amount)));
    let parts = join_all(all.map(spend).collect::<Vec<_>>()).await;
    parts.into_iter().map(|part| part.expect("it was counted")).collect()
}

fn sum(parts: &[Part]) -> Tally {
    Tally::sum(parts.iter().map(|part| &part.told))
}

/// Seventy seats of 5,000: three users with allocations of their own, a department with a reserve, 2,000 more for one user for the
/// rest of the month, and credits of one who does not need them for another.
async fn set_up(admin: &mut Api) {
    admin.make_workspace("acme", "350000").await;
    let month = r#"{"cycle":{"every":"month","anchor":"2026-01-31"}}"#;
    admin.write("PUT", WORKSPACE, month).await.expect(200);
    put(admin, "teams/company", &json!({"parent": null})).await;
    put(admin, "teams/studio", &json!({"parent": "company"})).await;
    let studio = put(admin, "teams/studio/reserve", &json!({"amount": "50000"})).await;
    assert_eq!([&studio["reserve"], &studio["remaining"], &studio["parent"]], ["50000", "50000", "company"]);
    for (user, amount, overflow) in
        [("mia", "1000", "shared"), ("ben", "10000", "none"), ("cid", "2500", "none")]
    {
        let path = format!("allocations/{user}");
        put(admin, &path, &json!({"amount": amount, "overflow": overflow})).await;
    }
    for user in ["mia", "dora"] {
        put(admin, &format!("members/{user}"), &json!({"team": "studio"})).await;
    }
    let more = r#"{"delta":"2000"}"#;
    admin.write("POST", &format!("{WORKSPACE}/allocations/mia/adjust"), more).await.expect(200);
    let unused = r#"{"id":"unused","from":"ben","to":"cid","amount":"1500"}"#;
    admin.write("POST", &format!("{WORKSPACE}/reallocations"), unused).await.expect(200);
    let view = admin.workspace("acme").await;
    let sums = ["allocated", "reserved", "shared"].map(|name| text(&view[name]));
    assert_eq!(sums, ["15500", "50000", "284500"], "{view}");
    let mia = admin.read(&format!("{WORKSPACE}/members/mia")).await;
    let may = ["allocation", "reserve", "remaining"].map(|name| text(&mia[name]));
    assert_eq!(may, ["3000", "50000", "337500"], "{mia}");
}

/// Everybody else spends all that is shared, and nothing of the reserve, which nothing more could be added to then.
async fn others_spend(cluster: &Cluster, admin: &mut Api) -> Tally {
    let others = spend_everywhere(cluster, &["bob", "eve"], 250).await;
    let told = sum(&others);
    assert_eq!(told.refused_otherwise(&["exhausted"]), [].into(), "{others:#?}");
    assert_eq!((told.allowed, told.unknown), (whole(284_500), Credits::ZERO));
    assert!(others.iter().all(|part| part.of_reserves.is_zero()), "{others:#?}");
    let studio = admin.read(&format!("{WORKSPACE}/teams/studio")).await;
    assert_eq!(["used", "remaining"].map(|name| text(&studio[name])), ["0", "50000"], "{studio}");
    let raise = Some(r#"{"amount":"50001"}"#);
    let (status, problem) = refused(admin, "PUT", "teams/studio/reserve", raise).await;
    let why = (status, text(&problem["code"]), text(&problem["available"]));
    assert_eq!(why, (402, "insufficient_shared".into(), "0".into()), "{problem}");
    assert!(text(&problem["would_help"]).contains("reserve"), "{problem}");
    told
}

/// The department spends at every node all it has; one of them is killed meanwhile, and comes back.
async fn department_spends(cluster: &mut Cluster) -> Tally {
    let at_the_third = tokio::spawn(spend_all(cluster.api(3), "dora", whole(10)));
    let mut parts = join_all([1, 2].map(|node| spend_some(cluster.api(node), "mia", 60))).await;
    cluster.node(3).kill();
    parts.push(at_the_third.await.expect("it was counted"));
    parts.extend(join_all([1, 2].map(|node| spend_some(cluster.api(node), "dora", 60))).await);
    cluster.all_back().await;
    parts.extend(spend_everywhere(cluster, &["mia", "dora"], 10).await);
    let told = sum(&parts);
    let passing = ["exhausted", "credits_unreachable", "no_leader", "home_unreachable", NOT_SENT];
    assert_eq!(told.refused_otherwise(&passing), [].into(), "{parts:#?}");
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_department_spends_its_own_its_reserve_and_what_is_shared_to_the_last_credit() {
    let mut cluster = Cluster::start(3).await;
    let mut admin = cluster.api(1);
    set_up(&mut admin).await;
    let others = others_spend(&cluster, &mut admin).await;
    let department = department_spends(&mut cluster).await;
    let all = Tally::sum([&others, &department]);
    let books = Books::settled(&mut admin, "acme", &all).await;
    assert_eq!(books.used, whole(337_500), "all but what keeps to itself: {department:?}");
    let studio = admin.read(&format!("{WORKSPACE}/teams/studio")).await;
    let spent = ["reserve", "used", "remaining", "standing"].map(|name| text(&studio[name]));
    assert_eq!((spent, &studio["members"]), (["50000", "50000", "0", "50000"].map(Into::into), &json!(2)));
    // Those who keep to themselves have what is theirs.
    cluster.api(2).consume("acme", "ben", "8500").await.allowed();
    cluster.api(3).consume("acme", "cid", "4000").await.allowed();
    for user in ["ben", "cid"] {
        assert_eq!(cluster.api(1).consume("acme", user, "0.000001").await.refused(), "allocation_exhausted");
    }
    for node in cluster.numbers() {
        assert_conserved(&mut cluster.api(node)).await;
    }
}

async fn spend_until(mut api: Api, user: &'static str, seed: u64, stop: Arc<AtomicBool>) -> Part {
    let mut random = StdRng::seed_from_u64(seed);
    let mut part = Part::default();
    while !stop.load(Ordering::Relaxed) {
        let amount = micros(random.random_range(1..=20_000_000));
        part.note(amount, &api.consume("acme", user, &amount.to_string()).await);
    }
    part
}

/// Changes of teams that are accepted, most of them.
const CHANGES: usize = 120;

/// Reserves are raised, cut and taken away, members come and go, and teams are moved while everybody spends at full speed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reserves_are_cut_and_members_move_while_everybody_spends() {
    let cluster = Cluster::start(3).await;
    let mut admin = cluster.api(1);
    admin.make_workspace("acme", "200000").await;
    put(&mut admin, "teams/company", &json!({"parent": null})).await;
    put(&mut admin, "teams/studio", &json!({"parent": "company"})).await;
    put(&mut admin, "teams/company/reserve", &json!({"amount": "30000"})).await;
    put(&mut admin, "teams/studio/reserve", &json!({"amount": "30000"})).await;
    let stop = Arc::<AtomicBool>::default();
    let users = ["mia", "dora", "bob"];
    let spenders = users.map(|user| {
        let spend =
            |node: u16| tokio::spawn(spend_until(cluster.api(node), user, u64::from(node), stop.clone()));
        cluster.numbers().map(spend).collect::<Vec<_>>()
    });
    let mut random = StdRng::seed_from_u64(7);
    let (mut accepted, mut pending) = (0, 0);
    for _ in 0..CHANGES {
        let (path, body) = match random.random_range(0..6) {
            0..=2 => {
                let team = ["company", "studio"][random.random_range(0..2)];
                let amount = whole(random.random_range(0..40_000));
                (format!("teams/{team}/reserve"), json!({"amount": amount.to_string()}))
            }
            3 => {
                let parent = random.random::<bool>().then_some("company");
                ("teams/studio".into(), json!({ "parent": parent }))
            }
            _ => {
                let user = ["mia", "dora"][random.random_range(0..2)];
                let team = [None, Some("company"), Some("studio")][random.random_range(0..3)];
                (format!("members/{user}"), json!({ "team": team }))
            }
        };
        let answer = admin.write("PUT", &format!("{WORKSPACE}/{path}"), &body.to_string()).await;
        match answer.status {
            402 => assert_eq!(answer.code(), "insufficient_shared"),
            200 | 202 => {
                accepted += 1;
                pending += usize::from(answer.status == 202);
            }
            other => panic!("{path} {body}: {other}: {}", answer.text()),
        }
    }
    stop.store(true, Ordering::Relaxed);
    let mut told = Vec::new();
    for spenders in spenders {
        let parts = join_all(spenders).await.into_iter().map(|part| part.expect("it was counted"));
        told.push(parts.collect::<Vec<_>>());
    }
    println!("{accepted} of {CHANGES} accepted, {pending} of them pending at first; {told:?}");
    assert!(accepted > CHANGES / 2, "a run in which little happened proves little");
    assert!(told[2].iter().all(|part| part.of_reserves.is_zero()), "bob is in no team: {:?}", told[2]);
    assert!(told[..2].iter().flatten().any(|part| !part.of_reserves.is_zero()), "{told:?}");
    let all = Tally::sum(told.iter().flatten().map(|part| &part.told));
    assert_eq!(all.refused_otherwise(&["exhausted"]), [].into(), "{all:?}");
    let books = Books::settled(&mut admin, "acme", &all).await;
    assert_eq!(books.used, all.allowed);
    // What is left for a member of the innermost team is there for her, and not a micro-credit more.
    put(&mut admin, "teams/studio", &json!({"parent": "company"})).await;
    put(&mut admin, "members/mia", &json!({"team": "studio"})).await;
    let left = Books::at_rest(&mut admin, "acme", &all).await.remaining;
    if !left.is_zero() {
        cluster.api(2).consume("acme", "mia", &left.to_string()).await.allowed();
    }
    assert_eq!(cluster.api(3).consume("acme", "mia", "0.000001").await.refused(), "exhausted");
    for node in cluster.numbers() {
        assert_conserved(&mut cluster.api(node)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_makes_no_sense_is_refused_and_says_why() {
    let cluster = Cluster::start(1).await;
    let mut admin = cluster.api(1);
    admin.make_workspace("acme", "100").await;
    put(&mut admin, "members/ann", &json!({"team": "a-label"})).await;
    for n in 1..=8 {
        let parent = (n > 1).then(|| format!("t{}", n - 1));
        put(&mut admin, &format!("teams/t{n}"), &json!({ "parent": parent })).await;
    }
    for (path, body, status, code, word) in [
        ("teams/t9", r#"{"parent":"t8"}"#, 422, "invalid", "8 deep"),
        ("teams/t1", r#"{"parent":"t8"}"#, 422, "invalid", "nested in it"),
        ("teams/t1", r#"{"parent":"t1"}"#, 422, "invalid", "that team itself"),
        ("teams/t1", r#"{"parent":"t0"}"#, 404, "not_found", "team"),
        ("teams/t1", "{}", 400, "malformed", "parent"),
        ("teams/t1", r#"{"parent":"a/b"}"#, 422, "invalid", "parent"),
        ("members/bob", r#"{"team":"a-label"}"#, 404, "not_found", "team"),
        ("teams/t0/reserve", r#"{"amount":"1"}"#, 404, "not_found", "team"),
        ("teams/t1/reserve", r#"{"amount":"-1"}"#, 422, "invalid", "amount"),
        ("teams/t1/reserve", r#"{"amount":"101"}"#, 402, "insufficient_shared", "100"),
    ] {
        let (got, problem) = refused(&mut admin, "PUT", path, Some(body)).await;
        assert_eq!((got, text(&problem["code"])), (status, code.into()), "{path} {body}: {problem}");
        assert!(text(&problem["detail"]).contains(word), "{path} {body}: {problem}");
    }
    let (status, _) = refused(&mut admin, "POST", "teams/t1/reserve/adjust", Some(r#"{"delta":"1"}"#)).await;
    assert_eq!(status, 404, "there is no reserve to adjust");
    assert_eq!(refused(&mut admin, "GET", "teams/t0", None).await.0, 404);

    // A key is of one command, an ETag of one state.
    let path = format!("{WORKSPACE}/teams/t8/reserve");
    let first = admin.write_keyed("PUT", &path, "k", r#"{"amount":"60"}"#).await.expect(200);
    let again = admin.write_keyed("PUT", &path, "k", r#"{"amount":60.0}"#).await.expect(200);
    assert_eq!(first.text(), again.text());
    admin.write_keyed("PUT", &path, "k", r#"{"amount":"61"}"#).await.expect(409);
    put(&mut admin, "members/ann", &json!({"team": "t8"})).await;
    let (status, problem) = refused(&mut admin, "DELETE", "teams/t8", None).await;
    assert_eq!((status, text(&problem["code"])), (409, "conflict".into()));
    assert!(text(&problem["detail"]).contains("1 members"), "{problem}");
    let (_, _, answer) = admin.consume("acme", "ann", "61").await.allowed();
    let answer: Value = serde_json::from_slice(&answer).expect("an answer");
    let sources = json!([{"from": "reserve", "amount": "60"}, {"from": "shared", "amount": "1"}]);
    assert_eq!(answer["sources"], sources, "{answer}");
    let (status, problem) = {
        let body = r#"{"user":"bob","feature":"chat","amount":"40"}"#;
        refused(&mut admin, "POST", "consume", Some(body)).await
    };
    assert_eq!((status, text(&problem["available"])), (402, "39".into()), "{problem}");

    // Pages, and a team that is left and removed.
    let page = admin.read(&format!("{WORKSPACE}/teams?limit=5")).await;
    assert_eq!(page["items"].as_array().map(Vec::len), Some(5), "{page}");
    let rest = admin.read(&format!("{WORKSPACE}/teams?limit=5&cursor={}", text(&page["cursor"]))).await;
    let ids: Vec<String> =
        rest["items"].as_array().expect("a list").iter().map(|team| text(&team["team"])).collect();
    assert_eq!((ids, &rest["cursor"]), (vec!["t6".into(), "t7".into(), "t8".into()], &Value::Null));
    put(&mut admin, "members/ann", &json!({ "team": null })).await;
    admin.answer("DELETE", &path, None).await.expect(200);
    admin.answer("DELETE", &format!("{WORKSPACE}/teams/t8"), None).await.expect(200);
    assert_eq!(refused(&mut admin, "GET", "teams/t8", None).await.0, 404);
}
