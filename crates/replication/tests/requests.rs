//! Requests of other nodes that are wrong, foreign or too large. Not here: those that are right.

mod nodes;

use bytes::Bytes;
use nodes::{N1, N2, Nodes, S0, group, guard};
use replication::HandleFault;
use wire::envelope::{decode, encode};
use wire::raft::{Answer, Call, Chunk, ChunkTaken, Request, Vote};

fn request(group: u16, call: Call) -> Bytes {
    encode(&Request { group, call }).unwrap().into()
}

fn chunk(vote: Vote, total_bytes: u64, offset: u64, bytes: &[u8]) -> Call {
    Call::Chunk(Chunk { vote, digest: [7; 32], total_bytes, offset, bytes: bytes.to_vec().into() })
}

#[tokio::test]
async fn a_request_is_readable_of_its_sender_and_of_a_known_group() {
    let nodes = Nodes::start(&[group(S0, &[])]).await;
    let replica = nodes.replica(N1);
    let unreadable = replica.handle(N2, Bytes::from_static(&[65, 1, 9])).await;
    assert!(matches!(unreadable, Err(HandleFault::BadBytes(_))), "{unreadable:?}");

    let vote = Vote { term: 1, node: 2, committed: false };
    let call = || Call::PreVote { vote, last: None };
    let foreign = replica.handle(nodes::N3, request(1, call())).await;
    assert_eq!(foreign, Err(HandleFault::OtherNode { from: nodes::N3, named: N2 }));
    let unknown = replica.handle(N2, request(2, call())).await.unwrap();
    assert_eq!(decode::<Answer>(&unknown), Ok(Answer::UnknownGroup));
    let answered = replica.handle(N2, request(1, call())).await.unwrap();
    assert!(matches!(decode::<Answer>(&answered), Ok(Answer::Vote { granted: false, .. })));
}

#[tokio::test]
async fn pieces_of_a_snapshot_in_any_order_and_of_any_size() {
    let nodes = Nodes::start_with(&[group(S0, &[])], |options| options.snapshot_bytes_max = 100).await;
    nodes.leader(S0).await;
    let replica = nodes.replica(N1);
    // Later than any vote of this test.
    let vote = Vote { term: 1_000, node: 2, committed: true };
    let ask = async |call| {
        let answer = guard(replica.handle(N2, request(1, call))).await.unwrap();
        decode::<Answer>(&answer).unwrap()
    };
    let next = |offset| Answer::Chunk(ChunkTaken::Next(offset));
    let refused = ask(chunk(vote, 101, 101, &[])).await;
    assert!(matches!(&refused, Answer::Stopped(why) if why.contains("more than 100")), "{refused:?}");
    assert_eq!(ask(chunk(vote, 100, 100, &[])).await, next(0));
    assert_eq!(ask(chunk(vote, 100, 0, &[1; 40])).await, next(40));
    assert_eq!(ask(chunk(vote, 100, 0, &[1; 40])).await, next(40), "sent twice");
    assert_eq!(ask(chunk(vote, 100, 60, &[1; 40])).await, next(40), "one was lost");
    assert_eq!(ask(chunk(vote, 100, 40, &[1; 60])).await, next(0), "it is damaged: all again");
    assert_eq!(ask(chunk(vote, 90, 0, &[1; 30])).await, next(30), "another one");
    assert_eq!(ask(chunk(vote, 100, 100, &[])).await, next(0), "and back");
    let old = Vote { term: 0, node: 2, committed: true };
    assert!(matches!(ask(chunk(old, 100, 0, &[1; 40])).await, Answer::Chunk(ChunkTaken::Done(_))));
}
