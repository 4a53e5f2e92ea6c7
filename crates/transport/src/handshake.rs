//! Hellos on a fresh stream: each side learns who the other is, or why not to talk. Not here: dialling, accepting,
//! frames. The caller sets the time limit.

use std::io;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use tokio_util::codec::{Framed, LengthDelimitedCodec};
use types::NodeId;
use wire::frame::FRAME_BYTES_MAX;
use wire::hello::{ANSWER_BYTES_MAX, Answer, BadHello, HELLO_BYTES, Hello, Refusal};

use crate::options::Identity;

/// A stream cut into frames: a big-endian `u32` length, then so many bytes.
pub(crate) type Framing = Framed<Box<dyn platform::Connection>, LengthDelimitedCodec>;

/// A stream both sides agreed on.
pub(crate) struct Agreed {
    pub(crate) peer: NodeId,
    pub(crate) version: u16,
    pub(crate) framing: Framing,
}

/// Why a stream did not become a connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoHandshake {
    #[error("{0}")]
    Refused(Refusal),
    #[error("{0}")]
    Garbage(#[from] BadHello),
    #[error("no hello in time")]
    Slow,
    #[error("the stream ended before the hello")]
    Ended,
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// As the dialling side: say hello to `to`, and see that it is `to` that answers.
pub(crate) async fn dial(
    stream: Box<dyn platform::Connection>,
    me: &Identity,
    to: NodeId,
) -> Result<Agreed, NoHandshake> {
    let mut framing = framing(stream);
    let hello = Hello { versions: me.versions, cluster_id: me.cluster_id, from: me.node, to };
    framing.send(Bytes::from(hello.encode())).await?;
    let answer = framing.next().await.ok_or(NoHandshake::Ended)??;
    let version = match Answer::decode(&answer)? {
        Answer::Refused(refusal) => return Err(NoHandshake::Refused(refusal)),
        Answer::Welcome { version, cluster_id, from } => {
            let spoken = (me.versions.min..=me.versions.max).contains(&version);
            let refusal = if cluster_id != me.cluster_id {
                Some(Refusal::WrongCluster { theirs: cluster_id })
            } else if from != to {
                Some(Refusal::WrongNode { theirs: from })
            } else if !spoken {
                Some(Refusal::NoCommonVersion { min: version, max: version })
            } else {
                None
            };
            refusal.map_or(Ok(version), |refusal| Err(NoHandshake::Refused(refusal)))?
        }
    };
    Ok(agreed(framing, to, version))
}

/// As the accepting side: read a hello, and answer it. `is_expected` says whether that peer may dial this node.
pub(crate) async fn accept(
    stream: Box<dyn platform::Connection>,
    me: &Identity,
    is_expected: impl Fn(NodeId) -> bool,
) -> Result<Agreed, NoHandshake> {
    let mut framing = framing(stream);
    let hello = Hello::decode(&framing.next().await.ok_or(NoHandshake::Ended)??)?;
    let verdict = judge(&hello, me, is_expected);
    let answer = match verdict {
        Ok(version) => Answer::Welcome { version, cluster_id: me.cluster_id, from: me.node },
        Err(refusal) => Answer::Refused(refusal),
    };
    framing.send(Bytes::from(answer.encode())).await?;
    let version = verdict.map_err(NoHandshake::Refused)?;
    Ok(agreed(framing, hello.from, version))
}

/// The version to speak with whoever said `hello`. The most telling refusal first.
fn judge(hello: &Hello, me: &Identity, is_expected: impl Fn(NodeId) -> bool) -> Result<u16, Refusal> {
    if hello.cluster_id != me.cluster_id {
        return Err(Refusal::WrongCluster { theirs: me.cluster_id });
    }
    if hello.to != me.node {
        return Err(Refusal::WrongNode { theirs: me.node });
    }
    if !is_expected(hello.from) {
        return Err(Refusal::NotAPeer { theirs: me.node });
    }
    let Identity { versions, .. } = me;
    versions.common(hello.versions).ok_or(Refusal::NoCommonVersion { min: versions.min, max: versions.max })
}

fn framing(stream: Box<dyn platform::Connection>) -> Framing {
    let bytes_max = HELLO_BYTES.max(ANSWER_BYTES_MAX);
    let codec = LengthDelimitedCodec::builder().max_frame_length(bytes_max).new_codec();
    Framed::new(stream, codec)
}

fn agreed(mut framing: Framing, peer: NodeId, version: u16) -> Agreed {
    framing.codec_mut().set_max_frame_length(FRAME_BYTES_MAX);
    Agreed { peer, version, framing }
}
