//! What travels between two nodes: a fixed header before each body, and the shape of a failure. Not here: lengths on
//! the stream (a big-endian `u32` before each frame, written by `transport`) and what a body means.
//!
//! ```text
//! header   kind u8 | request kind u8 | request id u64 | deadline u32, in ms | body
//! ```
//!
//! All numbers are big-endian. The layout is frozen; a changed one is a new protocol version (see [`crate::hello`]).

/// Bytes of a header.
pub const HEADER_BYTES: usize = 14;
/// The largest frame, header and body: 8 MiB. Who sends a larger one breaks the protocol.
pub const FRAME_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The largest body that fits a frame.
pub const BODY_BYTES_MAX: usize = FRAME_BYTES_MAX - HEADER_BYTES;
/// The longest text of a failure, in bytes; a longer one is cut.
pub const FAILURE_TEXT_BYTES_MAX: usize = 1024;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// Wants a response or a failure with the same id.
    Request = 1,
    /// The body a handler answered with.
    Response = 2,
    /// A [`Failure`].
    Failure = 3,
    /// Wants no answer.
    Notify = 4,
    /// Says that the sender lives. No body.
    Alive = 5,
}

impl FrameKind {
    const ALL: [Self; 5] = [Self::Request, Self::Response, Self::Failure, Self::Notify, Self::Alive];
}

/// The first [`HEADER_BYTES`] of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub kind: FrameKind,
    /// Which request this is; opaque here. 0 in all but requests and notifies.
    pub request_kind: u8,
    /// Chosen by the side that asks, unique on its connection. 0 in notifies and signs of life.
    pub id: u64,
    /// How long the receiver may work on it. 0 in answers and signs of life.
    pub deadline_ms: u32,
}

/// Why bytes are not a frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    #[error("a frame of {0} bytes is shorter than its header of 14")]
    Short(usize),
    #[error("no frame is of kind {0}")]
    Kind(u8),
    #[error("a failure is not readable: {0}")]
    Failure(&'static str),
}

impl Header {
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0] = self.kind as u8;
        bytes[1] = self.request_kind;
        bytes[2..10].copy_from_slice(&self.id.to_be_bytes());
        bytes[10..].copy_from_slice(&self.deadline_ms.to_be_bytes());
        bytes
    }

    /// The header `frame` begins with; its body is all that follows the first [`HEADER_BYTES`].
    pub fn decode(frame: &[u8]) -> Result<Self, BadFrame> {
        let Some(([kind, request_kind, rest @ ..], _body)) = frame.split_first_chunk::<HEADER_BYTES>() else {
            return Err(BadFrame::Short(frame.len()));
        };
        let [i0, i1, i2, i3, i4, i5, i6, i7, d0, d1, d2, d3] = *rest;
        let known = FrameKind::ALL.into_iter().find(|known| *known as u8 == *kind);
        Ok(Self {
            kind: known.ok_or(BadFrame::Kind(*kind))?,
            request_kind: *request_kind,
            id: u64::from_be_bytes([i0, i1, i2, i3, i4, i5, i6, i7]),
            deadline_ms: u32::from_be_bytes([d0, d1, d2, d3]),
        })
    }
}

/// The body of a [`FrameKind::Failure`]: why there is no response. A tag byte, then the fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The handler said no, in its own words (UTF-8, to the end of the body).
    Refused(String),
    /// The receiver handles as many requests as it may; this one was not begun.
    Overloaded,
    /// The receiver is shutting down; the request was not begun.
    Leaving,
    /// The body is larger than the receiver takes; the request was not begun.
    TooLarge { bytes: u64, max: u64 },
    /// The request was executed, but its answer is larger than may be sent.
    AnswerTooLarge { bytes: u64, max: u64 },
}

impl Failure {
    pub fn encode(&self) -> Vec<u8> {
        let sizes = |tag: u8, bytes: u64, max: u64| {
            let mut body = vec![tag];
            body.extend(bytes.to_be_bytes());
            body.extend(max.to_be_bytes());
            body
        };
        match self {
            Self::Refused(text) => {
                let cut = text.floor_char_boundary(FAILURE_TEXT_BYTES_MAX);
                [&[1], &text.as_bytes()[..cut]].concat()
            }
            Self::Overloaded => vec![2],
            Self::Leaving => vec![3],
            Self::TooLarge { bytes, max } => sizes(4, *bytes, *max),
            Self::AnswerTooLarge { bytes, max } => sizes(5, *bytes, *max),
        }
    }

    pub fn decode(body: &[u8]) -> Result<Self, BadFrame> {
        match body {
            [1, text @ ..] if text.len() > FAILURE_TEXT_BYTES_MAX => {
                Err(BadFrame::Failure("its text is too long"))
            }
            [1, text @ ..] => String::from_utf8(text.to_vec())
                .map(Self::Refused)
                .map_err(|_| BadFrame::Failure("its text is not UTF-8")),
            [2] => Ok(Self::Overloaded),
            [3] => Ok(Self::Leaving),
            [tag @ (4 | 5), sizes @ ..] => {
                let Some((bytes, max)) = sizes.split_first_chunk::<8>() else {
                    return Err(BadFrame::Failure("its sizes are cut off"));
                };
                let max: [u8; 8] =
                    max.try_into().map_err(|_| BadFrame::Failure("its sizes have a wrong length"))?;
                let (bytes, max) = (u64::from_be_bytes(*bytes), u64::from_be_bytes(max));
                Ok(if *tag == 4 {
                    Self::TooLarge { bytes, max }
                } else {
                    Self::AnswerTooLarge { bytes, max }
                })
            }
            _ => Err(BadFrame::Failure("its tag is unknown")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn golden_header() {
        let header = Header {
            kind: FrameKind::Request,
            request_kind: 0xAB,
            id: 0x0102_0304_0506_0708,
            deadline_ms: 0x0A0B_0C0D,
        };
        let bytes = [1, 0xAB, 1, 2, 3, 4, 5, 6, 7, 8, 0x0A, 0x0B, 0x0C, 0x0D];
        assert_eq!(header.encode(), bytes);
        assert_eq!(Header::decode(&bytes), Ok(header));
    }

    #[test]
    fn golden_kinds() {
        assert_eq!(FrameKind::ALL.map(|kind| kind as u8), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn golden_failures() {
        let golden: [(Failure, &[u8]); 5] = [
            (Failure::Refused("no".into()), b"\x01no"),
            (Failure::Overloaded, &[2]),
            (Failure::Leaving, &[3]),
            (Failure::TooLarge { bytes: 258, max: 3 }, &[4, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 3]),
            (
                Failure::AnswerTooLarge { bytes: 1, max: 0 },
                &[5, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
            ),
        ];
        for (failure, bytes) in golden {
            assert_eq!(failure.encode(), bytes);
            assert_eq!(Failure::decode(bytes), Ok(failure));
        }
    }

    #[test]
    fn what_is_not_a_frame() {
        assert_eq!(Header::decode(&[1; 13]), Err(BadFrame::Short(13)));
        assert!(Header::decode(&[1; 14]).is_ok());
        assert!(Header::decode(&[1; 15]).is_ok(), "a body may follow");
        for kind in [0, 6, 255] {
            assert_eq!(Header::decode(&[kind; 14]), Err(BadFrame::Kind(kind)));
        }
        for bad in [&[][..], &[0], &[6], &[2, 0], &[4; 16], &[4; 18], &[1, 0xFF]] {
            assert!(matches!(Failure::decode(bad), Err(BadFrame::Failure(_))), "{bad:?}");
        }
    }

    #[test]
    fn a_failure_text_is_cut_at_its_bound_between_characters() {
        for (text, kept) in [("x".repeat(1024), 1024), ("x".repeat(1025), 1024), ("ü".repeat(600), 1024)] {
            let bytes = Failure::Refused(text.clone()).encode();
            assert_eq!(Failure::decode(&bytes), Ok(Failure::Refused(text[..kept].into())));
        }
        assert_eq!(Failure::Refused(format!("x{}", "ü".repeat(512))).encode().len(), 1 + 1023);
        assert!(Failure::decode(&[&[1][..], &[b'x'; 1024]].concat()).is_ok());
        assert!(Failure::decode(&[&[1][..], &[b'x'; 1025]].concat()).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(header) = Header::decode(&bytes) {
                prop_assert_eq!(&header.encode()[..], &bytes[..HEADER_BYTES]);
            }
            if let Ok(failure) = Failure::decode(&bytes) {
                prop_assert_eq!(failure.encode(), bytes);
            }
        }
    }
}
