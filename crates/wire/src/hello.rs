//! The first words on a connection between nodes: who dials whom, and the answer. Not here: who is let in.
//!
//! ```text
//! hello    magic 8 | version min u16 | version max u16 | cluster u64 | from u16 | to u16
//! answer   magic 8 | 0 | version u16 | cluster u64 | from u16           welcome
//!          magic 8 | 1 | cluster u64                                    refused: wrong cluster
//!          magic 8 | 2 | node u16                                       refused: wrong node
//!          magic 8 | 3 | version min u16 | version max u16              refused: no common version
//!          magic 8 | 4 | node u16                                       refused: not a peer
//! ```
//!
//! All numbers are big-endian. These two shapes are the same in every protocol version, for ever: they are how two
//! programs find out which version they have in common.

use types::NodeId;

/// What every hello and every answer begins with.
pub const MAGIC: [u8; 8] = *b"TRANCHE\0";
/// Bytes of a hello, always.
pub const HELLO_BYTES: usize = 24;
/// The longest answer to one.
pub const ANSWER_BYTES_MAX: usize = 21;

/// The protocol versions a program speaks, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    pub min: u16,
    pub max: u16,
}

impl Versions {
    /// The newest version both speak.
    pub fn common(self, other: Self) -> Option<u16> {
        let newest = self.max.min(other.max);
        (newest >= self.min && newest >= other.min).then_some(newest)
    }
}

/// What the dialling node says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    pub versions: Versions,
    pub cluster_id: u64,
    pub from: NodeId,
    /// Whom the dialler believes to be talking to.
    pub to: NodeId,
}

/// What the accepting node answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The version both now speak, and who the accepting node is.
    Welcome {
        version: u16,
        cluster_id: u64,
        from: NodeId,
    },
    Refused(Refusal),
}

/// Why two nodes do not talk to each other. Trying again does not help until a setting is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("it belongs to cluster {theirs:016x}: check the address and the cluster id of both nodes")]
    WrongCluster { theirs: u64 },
    #[error("at that address is {theirs}: check the addresses of the peers")]
    WrongNode { theirs: NodeId },
    #[error("it speaks protocol {min} to {max}, which this program does not: upgrade the older one")]
    NoCommonVersion { min: u16, max: u16 },
    #[error("{theirs} does not expect this node to dial it: check that each knows the other as a peer")]
    NotAPeer { theirs: NodeId },
}

/// Why bytes are no hello or no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHello {
    #[error("what talks here is not a node of Tranche")]
    Magic,
    #[error("a hello has a wrong length or tag")]
    Shape,
}

impl Hello {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(self.versions.min.to_be_bytes());
        bytes.extend(self.versions.max.to_be_bytes());
        bytes.extend(self.cluster_id.to_be_bytes());
        bytes.extend(self.from.0.to_be_bytes());
        bytes.extend(self.to.0.to_be_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, BadHello> {
        let mut rest = after_magic(bytes)?;
        let hello = Self {
            versions: Versions { min: take_u16(&mut rest)?, max: take_u16(&mut rest)? },
            cluster_id: take_u64(&mut rest)?,
            from: NodeId(take_u16(&mut rest)?),
            to: NodeId(take_u16(&mut rest)?),
        };
        if rest.is_empty() { Ok(hello) } else { Err(BadHello::Shape) }
    }
}

impl Answer {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        match self {
            Self::Welcome { version, cluster_id, from } => {
                bytes.push(0);
                bytes.extend(version.to_be_bytes());
                bytes.extend(cluster_id.to_be_bytes());
                bytes.extend(from.0.to_be_bytes());
            }
            Self::Refused(Refusal::WrongCluster { theirs }) => {
                bytes.push(1);
                bytes.extend(theirs.to_be_bytes());
            }
            Self::Refused(Refusal::WrongNode { theirs }) => {
                bytes.push(2);
                bytes.extend(theirs.0.to_be_bytes());
            }
            Self::Refused(Refusal::NoCommonVersion { min, max }) => {
                bytes.push(3);
                bytes.extend(min.to_be_bytes());
                bytes.extend(max.to_be_bytes());
            }
            Self::Refused(Refusal::NotAPeer { theirs }) => {
                bytes.push(4);
                bytes.extend(theirs.0.to_be_bytes());
            }
        }
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, BadHello> {
        let (tag, mut rest) = after_magic(bytes)?.split_first().ok_or(BadHello::Shape)?;
        let rest = &mut rest;
        let answer = match tag {
            0 => Self::Welcome {
                version: take_u16(rest)?,
                cluster_id: take_u64(rest)?,
                from: NodeId(take_u16(rest)?),
            },
            1 => Self::Refused(Refusal::WrongCluster { theirs: take_u64(rest)? }),
            2 => Self::Refused(Refusal::WrongNode { theirs: NodeId(take_u16(rest)?) }),
            3 => Self::Refused(Refusal::NoCommonVersion { min: take_u16(rest)?, max: take_u16(rest)? }),
            4 => Self::Refused(Refusal::NotAPeer { theirs: NodeId(take_u16(rest)?) }),
            _ => return Err(BadHello::Shape),
        };
        if rest.is_empty() { Ok(answer) } else { Err(BadHello::Shape) }
    }
}

fn after_magic(bytes: &[u8]) -> Result<&[u8], BadHello> {
    bytes.strip_prefix(&MAGIC).ok_or(BadHello::Magic)
}

fn take_u16(bytes: &mut &[u8]) -> Result<u16, BadHello> {
    take(bytes).map(u16::from_be_bytes)
}

fn take_u64(bytes: &mut &[u8]) -> Result<u64, BadHello> {
    take(bytes).map(u64::from_be_bytes)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], BadHello> {
    let (head, rest) = bytes.split_first_chunk().ok_or(BadHello::Shape)?;
    *bytes = rest;
    Ok(*head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HELLO: Hello = Hello {
        versions: Versions { min: 1, max: 0x0203 },
        cluster_id: 0x1122_3344_5566_7788,
        from: NodeId(7),
        to: NodeId(0x0108),
    };
    const GOLDEN: &[u8; HELLO_BYTES] =
        b"TRANCHE\0\x00\x01\x02\x03\x11\x22\x33\x44\x55\x66\x77\x88\x00\x07\x01\x08";

    #[test]
    fn golden_hello() {
        assert_eq!(HELLO.encode(), GOLDEN);
        assert_eq!(Hello::decode(GOLDEN), Ok(HELLO));
    }

    #[test]
    fn golden_answers() {
        let refused = Answer::Refused;
        let golden: [(Answer, &[u8]); 5] = [
            (
                Answer::Welcome { version: 2, cluster_id: 9, from: NodeId(3) },
                b"TRANCHE\0\x00\x00\x02\0\0\0\0\0\0\0\x09\x00\x03",
            ),
            (refused(Refusal::WrongCluster { theirs: 0x0500 }), b"TRANCHE\0\x01\0\0\0\0\0\0\x05\0"),
            (refused(Refusal::WrongNode { theirs: NodeId(4) }), b"TRANCHE\0\x02\x00\x04"),
            (refused(Refusal::NoCommonVersion { min: 1, max: 2 }), b"TRANCHE\0\x03\x00\x01\x00\x02"),
            (refused(Refusal::NotAPeer { theirs: NodeId(5) }), b"TRANCHE\0\x04\x00\x05"),
        ];
        for (answer, bytes) in golden {
            assert_eq!(answer.encode(), bytes);
            assert!(bytes.len() <= ANSWER_BYTES_MAX);
            assert_eq!(Answer::decode(bytes), Ok(answer));
        }
    }

    #[test]
    fn the_newest_common_version() {
        let speak = |min, max| Versions { min, max };
        assert_eq!(speak(1, 3).common(speak(2, 5)), Some(3));
        assert_eq!(speak(2, 5).common(speak(1, 3)), Some(3));
        assert_eq!(speak(1, 2).common(speak(2, 2)), Some(2));
        assert_eq!(speak(1, 2).common(speak(3, 4)), None);
        assert_eq!(speak(3, 4).common(speak(1, 2)), None);
    }

    #[test]
    fn what_is_not_a_hello() {
        assert_eq!(Hello::decode(b"GET / HTTP/1.1\r\nHost: x\r\n"), Err(BadHello::Magic));
        assert_eq!(Hello::decode(&GOLDEN[..23]), Err(BadHello::Shape), "one byte short");
        assert_eq!(Hello::decode(&[&GOLDEN[..], &[0]].concat()), Err(BadHello::Shape), "one byte too many");
        assert_eq!(Answer::decode(b"TRANCHE\0"), Err(BadHello::Shape));
        assert_eq!(Answer::decode(b"TRANCHE\0\x05\x00\x05"), Err(BadHello::Shape));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(tail in proptest::collection::vec(any::<u8>(), 0..24)) {
            let bytes = [&MAGIC[..], &tail].concat();
            if let Ok(hello) = Hello::decode(&bytes) {
                prop_assert_eq!(hello.encode(), bytes.clone());
            }
            if let Ok(answer) = Answer::decode(&bytes) {
                prop_assert_eq!(answer.encode(), bytes);
            }
        }
    }
}
