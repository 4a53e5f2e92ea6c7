//! Frames out: what is queued is written in batches, small bodies gathered, large ones as they are. Not here: who
//! queues.

use std::io;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use wire::frame::{FrameKind, HEADER_BYTES, Header};

use crate::counters::Counters;

/// Frames taken from the queue at a time.
const BATCH_FRAMES: usize = 256;
/// Gathered bytes that are written without waiting for more frames.
const GATHER_BYTES: usize = 64 * 1024;
/// A body up to this size is copied next to its neighbours; a larger one is written from where it lies.
const COPY_BYTES_MAX: usize = 8 * 1024;

/// What is queued for a connection.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// Not written at all once `until` has passed: nobody waits for it any more.
    Frame { header: Header, body: Bytes, until: Instant },
    /// Write all that was queued before, then end the stream.
    Goodbye,
}

pub(crate) struct Writer<'a, W> {
    stream: W,
    gathered: BytesMut,
    counters: &'a Counters,
}

impl<'a, W: AsyncWrite + Unpin> Writer<'a, W> {
    pub(crate) fn new(stream: W, counters: &'a Counters) -> Self {
        Self { stream, gathered: BytesMut::with_capacity(GATHER_BYTES + COPY_BYTES_MAX + 64), counters }
    }

    /// Writes until a goodbye, or an error. A queue that is empty for `alive_every` earns a sign of life.
    pub(crate) async fn run(
        mut self,
        queue: &mut mpsc::Receiver<Outgoing>,
        alive_every: Duration,
    ) -> io::Result<()> {
        let mut batch = Vec::with_capacity(BATCH_FRAMES);
        loop {
            match timeout(alive_every, queue.recv_many(&mut batch, BATCH_FRAMES)).await {
                Ok(0) => return self.stream.shutdown().await,
                Ok(_) => {}
                Err(_) => self.gather(sign_of_life(), &Bytes::new()),
            }
            let now = Instant::now();
            for outgoing in batch.drain(..) {
                let Outgoing::Frame { mut header, body, until } = outgoing else {
                    self.write_gathered().await?;
                    return self.stream.shutdown().await;
                };
                if until <= now {
                    continue;
                }
                if matches!(header.kind, FrameKind::Request | FrameKind::Notify) {
                    header.deadline_ms = whole_ms(until - now);
                }
                self.write(header, &body).await?;
            }
            self.write_gathered().await?;
            if queue.is_empty() {
                self.stream.flush().await?;
            }
        }
    }

    async fn write(&mut self, header: Header, body: &Bytes) -> io::Result<()> {
        if body.len() <= COPY_BYTES_MAX {
            self.gather(header, body);
        } else {
            self.gather_head(header, body.len());
            self.write_gathered().await?;
            self.counters.bytes_out.add(body.len() as u64);
            self.stream.write_all(body).await?;
        }
        if self.gathered.len() >= GATHER_BYTES { self.write_gathered().await } else { Ok(()) }
    }

    fn gather(&mut self, header: Header, body: &Bytes) {
        self.gather_head(header, body.len());
        self.gathered.put_slice(body);
    }

    fn gather_head(&mut self, header: Header, body_bytes: usize) {
        let length =
            u32::try_from(HEADER_BYTES + body_bytes).expect("bodies are checked against their limit before");
        self.counters.frames_out.add(1);
        self.gathered.put_u32(length);
        self.gathered.put_slice(&header.encode());
    }

    async fn write_gathered(&mut self) -> io::Result<()> {
        self.counters.bytes_out.add(self.gathered.len() as u64);
        self.stream.write_all(&self.gathered).await?;
        self.gathered.clear();
        Ok(())
    }
}

fn sign_of_life() -> Header {
    Header { kind: FrameKind::Alive, request_kind: 0, id: 0, deadline_ms: 0 }
}

/// Rounded up, so that the other side never gives up first.
fn whole_ms(left: Duration) -> u32 {
    u32::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;
    use tokio_util::codec::{FramedRead, LengthDelimitedCodec};

    fn frame(kind: FrameKind, id: u64, body: &[u8], until: Instant) -> Outgoing {
        let header = Header { kind, request_kind: 9, id, deadline_ms: 0 };
        Outgoing::Frame { header, body: Bytes::copy_from_slice(body), until }
    }

    /// What is written, as the reading side sees it.
    async fn written(frames: Vec<Outgoing>, counters: &Counters) -> Vec<(Header, Vec<u8>)> {
        let (near, far) = tokio::io::duplex(1024);
        let (sender, mut queue) = mpsc::channel(frames.len().max(1));
        for frame in frames {
            sender.send(frame).await.unwrap();
        }
        let writing = Writer::new(near, counters).run(&mut queue, Duration::from_secs(60));
        let reading = FramedRead::new(far, LengthDelimitedCodec::new()).collect::<Vec<_>>();
        let (result, frames) = tokio::join!(writing, reading);
        result.unwrap();
        let split = |frame: BytesMut| (Header::decode(&frame).unwrap(), frame[HEADER_BYTES..].to_vec());
        frames.into_iter().map(|frame| split(frame.unwrap())).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_codec_reads_what_was_written_small_or_large() {
        let until = Instant::now() + Duration::from_millis(1500);
        let sizes = [0, 1, COPY_BYTES_MAX, COPY_BYTES_MAX + 1, GATHER_BYTES, 3 * GATHER_BYTES, 5];
        let mut frames: Vec<_> = sizes
            .iter()
            .map(|size| frame(FrameKind::Request, *size as u64, &vec![7; *size], until))
            .collect();
        frames.push(Outgoing::Goodbye);
        let counters = Counters::default();
        let seen = written(frames, &counters).await;
        assert_eq!(seen.iter().map(|(_, body)| body.len()).collect::<Vec<_>>(), sizes);
        assert!(seen.iter().all(|(header, body)| header.id == body.len() as u64));
        assert!(seen.iter().all(|(header, _)| header.deadline_ms == 1500 && header.request_kind == 9));
        assert_eq!(counters.frames_out.get(), sizes.len() as u64);
        let bytes: usize = sizes.iter().map(|size| 4 + HEADER_BYTES + size).sum();
        assert_eq!(counters.bytes_out.get(), bytes as u64);
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_waits_for_is_not_written_nor_what_follows_a_goodbye() {
        let now = Instant::now();
        let later = now + Duration::from_nanos(1);
        let frames = vec![
            frame(FrameKind::Request, 1, b"", now),
            frame(FrameKind::Request, 2, b"", later),
            frame(FrameKind::Response, 3, b"", later),
            Outgoing::Goodbye,
            frame(FrameKind::Request, 4, b"", later),
        ];
        let seen = written(frames, &Counters::default()).await;
        let ids: Vec<_> = seen.iter().map(|(header, _)| (header.id, header.deadline_ms)).collect();
        assert_eq!(ids, [(2, 1), (3, 0)], "a started millisecond counts; an answer has no deadline");
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_writer_gives_signs_of_life() {
        let (near, far) = tokio::io::duplex(1024);
        let (_sender, mut queue) = mpsc::channel(1);
        let counters = Counters::default();
        let writing = Writer::new(near, &counters).run(&mut queue, Duration::from_millis(10));
        let mut frames = FramedRead::new(far, LengthDelimitedCodec::new());
        let reading = async {
            for _ in 0..3 {
                let frame = frames.next().await.unwrap().unwrap();
                assert_eq!(Header::decode(&frame), Ok(sign_of_life()));
            }
        };
        tokio::select! {
            _ = writing => panic!("it never ends by itself"),
            () = reading => {}
            () = tokio::time::sleep(Duration::from_millis(35)) => panic!("it is due every 10 ms"),
        }
    }
}
