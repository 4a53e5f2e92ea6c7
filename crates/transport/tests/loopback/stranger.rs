//! A peer made by hand: it says the bytes a test wants it to say.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use futures::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::codec::{Framed, LengthDelimitedCodec};
use types::NodeId;
use wire::frame::{FRAME_BYTES_MAX, FrameKind, HEADER_BYTES, Header};
use wire::hello::{Answer, Hello, Versions};

use crate::node::{CLUSTER, within};

pub struct Stranger(pub Framed<TcpStream, LengthDelimitedCodec>);

impl Stranger {
    pub async fn connect(addr: SocketAddr) -> Self {
        Self::over(TcpStream::connect(addr).await.unwrap())
    }

    pub async fn accept(listener: &TcpListener) -> Self {
        Self::over(within(listener.accept()).await.unwrap().0)
    }

    fn over(stream: TcpStream) -> Self {
        let codec = LengthDelimitedCodec::builder().max_frame_length(FRAME_BYTES_MAX + 1).new_codec();
        Self(Framed::new(stream, codec))
    }

    /// Dials as `from` and is welcomed by `to`.
    pub async fn welcomed(addr: SocketAddr, from: NodeId, to: NodeId) -> Self {
        let mut stranger = Self::connect(addr).await;
        let answer = stranger.hello(from, to).await;
        assert_eq!(answer, Answer::Welcome { version: 1, cluster_id: CLUSTER, from: to });
        stranger
    }

    pub async fn hello(&mut self, from: NodeId, to: NodeId) -> Answer {
        let hello = Hello { versions: Versions { min: 1, max: 1 }, cluster_id: CLUSTER, from, to };
        self.say(hello.encode()).await;
        Answer::decode(&self.hear().await.unwrap()).unwrap()
    }

    /// Accepts a dialling node and welcomes it as `me`.
    pub async fn welcoming(listener: &TcpListener, me: NodeId) -> Self {
        let mut stranger = Self::accept(listener).await;
        let hello = Hello::decode(&stranger.hear().await.unwrap()).unwrap();
        assert_eq!(hello.cluster_id, CLUSTER);
        stranger.say(Answer::Welcome { version: 1, cluster_id: CLUSTER, from: me }.encode()).await;
        stranger
    }

    pub async fn say(&mut self, bytes: Vec<u8>) {
        within(self.0.send(Bytes::from(bytes))).await.unwrap();
    }

    pub async fn frame(&mut self, kind: FrameKind, request_kind: u8, id: u64, body: &[u8]) {
        let header = Header { kind, request_kind, id, deadline_ms: 10_000 };
        self.say([&header.encode()[..], body].concat()).await;
    }

    /// The next frame; `None` once the other side has hung up.
    pub async fn hear(&mut self) -> Option<BytesMut> {
        within(self.0.next()).await?.ok()
    }

    /// The next frame that is no sign of life.
    pub async fn hear_frame(&mut self) -> Option<(Header, BytesMut)> {
        let next = async {
            loop {
                let mut frame = self.hear().await?;
                let header = Header::decode(&frame).unwrap();
                if header.kind != FrameKind::Alive {
                    return Some((header, frame.split_off(HEADER_BYTES)));
                }
            }
        };
        within(next).await
    }
}
