//! What became of people's credits, month by month, told as their platforms would: a seat that changes hands, a pack that is
//! bought on the eve of a renewal, a trial, prices shown before an action. Not here: corners of each rule, which have tests of
//! their own; seventy seats (`plans`), seats that share nothing (`pooling`).

use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use tempfile::TempDir;
use tests::dev::{base_port, interrupted, started_with};
use tests::{Api, PATIENCE, Process, assert_conserved, eventually, instant_ms, number, one_at_a_time, text};

const DAY_MS: i64 = 86_400_000;
const NODES: u16 = 3;

/// A cluster whose clock a test moves, and one workspace that is billed on the 15th.
struct Platform {
    _directory: TempDir,
    process: Process,
    port: u16,
    key: String,
    workspace: &'static str,
    admin: Api,
}

impl Platform {
    async fn new(workspace: &'static str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let data: PathBuf = directory.path().join("data");
        let port = base_port(NODES);
        let process = started_with(&data, port, NODES, &["--test-clock"]).await;
        let key = std::fs::read_to_string(data.join("operator.key")).expect("the key is kept");
        let key = key.trim().to_owned();
        let admin = Api::new((Ipv4Addr::LOCALHOST, port + 1).into(), &key);
        let mut platform = Self { _directory: directory, process, port, key, workspace, admin };
        platform.put("", json!({"cycle": {"every": "month", "anchor": "2026-01-15"}})).await;
        platform
    }

    fn node(&self, number: u16) -> Api {
        Api::new((Ipv4Addr::LOCALHOST, self.port + number).into(), &self.key)
    }

    fn path(&self, below: &str) -> String {
        format!("/v1/workspaces/{}{below}", self.workspace)
    }

    async fn put(&mut self, below: &str, body: Value) -> Value {
        self.admin.write("PUT", &self.path(below), &body.to_string()).await.expect(200).json()
    }

    async fn post(&mut self, below: &str, body: Value, status: u16) -> Value {
        self.admin.write("POST", &self.path(below), &body.to_string()).await.expect(status).json()
    }

    async fn read(&mut self, below: &str) -> Value {
        self.admin.read(&self.path(below)).await
    }

    async fn of(&mut self, below: &str, names: &[&str]) -> Vec<String> {
        let answer = self.read(below).await;
        names.iter().map(|name| text(&answer[name])).collect()
    }

    /// Once all that was spent is reported.
    async fn uses(&mut self, used: &str, remaining: &str) {
        let path = self.path("");
        eventually("what is used is known", PATIENCE, async || {
            let pool = self.admin.read(&path).await;
            ([text(&pool["used"]), text(&pool["remaining"])] == [used, remaining]).then_some(())
        })
        .await;
    }

    async fn access(&mut self, user: &str, on: bool) {
        self.put(&format!("/members/{user}"), json!({ "ai_access": on })).await;
    }

    /// By way of each node in turn, so much each time.
    async fn spends(&mut self, user: &str, amounts: &[&str]) {
        for (at, amount) in (0..).zip(amounts) {
            self.node(at % NODES + 1).consume(self.workspace, user, amount).await.allowed();
        }
    }

    /// Which code each node refuses so much with.
    async fn is_refused(&mut self, user: &str, amount: &str, code: &str) {
        for node in 1..=NODES {
            assert_eq!(self.node(node).consume(self.workspace, user, amount).await.refused(), code);
        }
    }

    /// In whole seconds, past it rather than short of it.
    async fn passes(&mut self, ms: i64) {
        let body = json!({"advance": format!("{}s", ms.div_euclid(1_000) + 1)}).to_string();
        self.admin.answer("POST", "/v1/test/clock", Some(&body)).await.expect(200);
    }

    /// The clock goes to so long before the cycle's end, or after it.
    async fn goes_to_renewal(&mut self, after_ms: i64) {
        let pool = self.read("").await;
        let left_ms = instant_ms(&pool["cycle"]["ends_at"]) - instant_ms(&pool["as_of"]["time"]);
        if left_ms + after_ms > 0 {
            self.passes(left_ms + after_ms).await;
        }
    }

    /// What was out on leases has come back: of the pool, or of one member.
    async fn leases_are_back(&mut self, below: &str) {
        let path = self.path(below);
        eventually("leases are back", PATIENCE, async || {
            (self.admin.read(&path).await["leased"] == "0").then_some(())
        })
        .await;
    }

    async fn end(mut self) {
        assert_conserved(&mut self.admin).await;
        interrupted(self.process).await;
    }
}

/// A month with a plan for each seat; one who leaves hands his seat on, and what he did not use to others. On the billing day all
/// begin anew, and nothing of the month before is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seat_changes_hands_and_the_month_is_reset() {
    let _turn = one_at_a_time().await;
    let mut platform = Platform::new("agency").await;
    platform.put("/plan", json!({"id": "business", "per_seat": "1000"})).await;
    for user in ["ann", "bob", "cleo"] {
        platform.access(user, true).await;
        platform.put(&format!("/allocations/{user}"), json!({"amount": "1000"})).await;
    }
    platform.spends("ann", &["100", "200", "100"]).await;
    platform.spends("bob", &["1000"]).await;
    platform.is_refused("bob", "1", "allocation_exhausted").await;

    // Ann leaves: what she has left goes to Bob, who has used his, and to her successor.
    platform.access("ann", false).await;
    platform.leases_are_back("/members/ann").await;
    platform.is_refused("ann", "1", "access_disabled").await;
    for (id, to, amount) in [("to-bob", "bob", "250"), ("to-dan", "dan", "350")] {
        let moved = json!({"id": id, "from": "ann", "to": to, "amount": amount});
        platform.post("/reallocations", moved, 200).await;
    }
    platform.access("dan", true).await;
    let plan = platform.read("/plan").await;
    assert_eq!(plan["seats"], json!({"enabled": 3, "paid": 3}), "one seat, paid once");
    assert_eq!(plan["for_seats"]["given"], "3000", "a successor brings nothing");
    platform.spends("bob", &["250"]).await;
    platform.spends("dan", &["300", "50"]).await;
    // He was given these and no allocation: what is shared would be there for him too, and is nothing.
    platform.is_refused("dan", "1", "exhausted").await;
    platform.uses("2000", "1000").await;

    platform.goes_to_renewal(1_000).await;
    platform.leases_are_back("").await;
    assert_eq!(platform.read("").await["cycle"]["number"], 2);
    assert_eq!(platform.of("", &["granted", "used", "remaining"]).await, ["3000", "0", "3000"]);
    for user in ["bob", "cleo"] {
        assert_eq!(platform.of(&format!("/allocations/{user}"), &["allocation"]).await, ["1000"]);
    }
    platform.end().await;
}

/// A pack that was bought the day before the renewal is there the day after, but for what it has paid, and pays again when the plan's
/// credits have run out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pack_that_was_bought_on_the_eve_of_a_renewal_is_still_there() {
    let _turn = one_at_a_time().await;
    let mut platform = Platform::new("sales").await;
    platform.put("/plan", json!({"id": "pro", "allowance": "300"})).await;
    platform.spends("ann", &["100", "100", "90"]).await;
    platform.goes_to_renewal(-DAY_MS).await;
    platform.is_refused("ann", "11", "exhausted").await;
    platform.post("/grants", json!({"id": "pack-1", "kind": "pack", "amount": "500"}), 201).await;
    // At once, and what the plan had left pays first.
    platform.spends("ann", &["11"]).await;
    platform.goes_to_renewal(DAY_MS).await;
    platform.leases_are_back("").await;
    let pack = ["amount", "used", "available", "expired"];
    assert_eq!(platform.of("/grants/pack-1", &pack).await, ["500", "1", "499", "0"]);
    assert_eq!(platform.of("", &["remaining", "used"]).await, ["799", "0"], "300 of the plan and the pack");
    // The plan's first, whatever was bought before.
    platform.spends("ann", &["150", "150"]).await;
    platform.access("ann", false).await;
    platform.leases_are_back("").await;
    assert_eq!(platform.of("/grants/pack-1", &pack).await, ["500", "1", "499", "0"]);
    platform.access("ann", true).await;
    platform.spends("ann", &["499"]).await;
    platform.is_refused("ann", "0.000001", "exhausted").await;
    // What each grant was used for, over both months.
    platform.leases_are_back("").await;
    let paid = platform.read("/usage?group_by=grant,user,feature").await;
    let rows = paid["rows"].as_array().expect("rows").iter();
    let rows = rows.map(|row| {
        let grant = row["grant"].as_str().map_or("nothing", |id| id.split(':').next().unwrap_or(id));
        (grant, text(&row["credits"]), number(&row["calls"]))
    });
    let rows: Vec<_> = rows.collect();
    let paid = |grant, credits: &str| (grant, credits.to_owned(), 0);
    assert_eq!(
        rows,
        [("nothing", "0".into(), 7), paid("pack-1", "500"), paid("plan", "300"), paid("plan", "300")]
    );
    platform.end().await;
}

/// A trial is so much for its whole window, on whichever days; with its last instant what is left of it is gone, whatever came
/// to the workspace meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trial_is_a_fixed_amount_for_its_whole_window() {
    let _turn = one_at_a_time().await;
    let mut platform = Platform::new("newcomer").await;
    // So that no renewal lies within it.
    platform.goes_to_renewal(1_000).await;
    let now_ms = instant_ms(&platform.read("").await["as_of"]["time"]);
    let ends_at = wire::json::Shown(&types::Timestamp::from_millis(now_ms + 14 * DAY_MS)).to_string();
    let trial = json!({"id": "trial", "kind": "trial", "amount": "50", "expires_at": ends_at});
    platform.post("/grants", trial, 201).await;
    // All on one day, if one likes.
    platform.spends("ann", &["10", "10", "10"]).await;
    platform.passes(13 * DAY_MS).await;
    platform.spends("ann", &["5"]).await;
    platform.post("/grants", json!({"id": "pack-1", "kind": "pack", "amount": "20"}), 201).await;
    platform.passes(DAY_MS).await;
    platform.leases_are_back("").await;
    let trial = ["state", "used", "expired", "available"];
    assert_eq!(platform.of("/grants/trial", &trial).await, ["expired", "35", "15", "0"]);
    platform.spends("ann", &["20"]).await;
    platform.is_refused("ann", "1", "exhausted").await;
    platform.end().await;
}

/// A plan, then a larger one; what an action costs is said before it is run, and is what it costs; what costs nothing goes on when
/// all is spent; and what is left meets a fifth and a twentieth of the allowance to the micro-credit, where a platform warns.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prices_are_shown_before_and_what_is_left_is_exact_where_a_platform_warns() {
    let _turn = one_at_a_time().await;
    let mut platform = Platform::new("bots").await;
    let price = |feature: &str, credits: &str| json!({"feature": feature, "unit": "call", "per": 1, "credits": credits});
    let card = json!({"prices": [price("answer", "0.35"), price("image", "7.25"), price("search", "0")]});
    platform.admin.write("PUT", "/v1/rate-card", &card.to_string()).await.expect(200);
    let call =
        |feature: &str, calls: u64| json!({"user": "ann", "feature": feature, "usage": {"calls": calls}});
    for node in 1..=NODES {
        let (mut api, path) = (platform.node(node), platform.path("/quote"));
        eventually("the card has arrived", PATIENCE, async || {
            let quote = api.answer("POST", &path, Some(&call("image", 2).to_string())).await;
            (quote.status == 200 && quote.json()["charge"] == "14.5").then_some(())
        })
        .await;
    }
    platform.put("/plan", json!({"id": "starter", "allowance": "100"})).await;
    let larger = json!({"id": "growth", "allowance": "250"});
    let previewed = platform.post("/plan/preview", larger.clone(), 200).await;
    assert_eq!(platform.put("/plan", larger).await, previewed);
    assert_eq!(platform.of("", &["granted", "remaining"]).await, ["250", "250"]);

    // A fifth of it is 50, a twentieth 12.5.
    for (feature, calls, used, remaining) in
        [("answer", 570, "199.5", "50.5"), ("answer", 2, "200.2", "49.8"), ("image", 5, "236.45", "13.55")]
    {
        let body = call(feature, calls);
        let quote = platform.admin.answer("POST", &platform.path("/quote"), Some(&body.to_string())).await;
        let charge =
            platform.node(2).answer("POST", &platform.path("/consume"), Some(&body.to_string())).await;
        assert_eq!(quote.expect(200).json()["charge"], charge.expect(200).json()["charged"]);
        platform.uses(used, remaining).await;
    }
    platform.is_refused("ann", "13.550001", "exhausted").await;
    platform.spends("ann", &["13.55"]).await;
    platform.is_refused("ann", "0.000001", "exhausted").await;
    let free = call("search", 3).to_string();
    for node in 1..=NODES {
        let charge = platform.node(node).answer("POST", &platform.path("/consume"), Some(&free)).await;
        assert_eq!(charge.expect(200).json()["charged"], "0", "a price of nothing is a price");
    }
    platform.end().await;
}
