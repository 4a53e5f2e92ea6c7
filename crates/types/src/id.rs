//! Names and numbers of things. A text id is checked once, when it is made; behind that no empty id exists.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest text id, in bytes.
pub const ID_BYTES_MAX: usize = 128;

/// Why a text is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadId {
    #[error("an id must not be empty")]
    Empty,
    #[error("an id has at most 128 characters, this one has {0}")]
    TooLong(usize),
    #[error("an id has only letters, digits and . _ : @ + = - ; this one has {0:?}")]
    BadCharacter(char),
    #[error("a node id is n1 to n65535; this one is {0:?}")]
    NotANode(String),
    #[error("a hold's id is a node's and a number, like n1.h42; this one is {0:?}")]
    NotAHold(String),
    #[error(
        "a charge's id is a node's and two numbers, like n1.42.7, or a hold's, like n1.h42; this one is {0:?}"
    )]
    NotACharge(String),
}

fn check(text: &str) -> Result<(), BadId> {
    if text.is_empty() {
        return Err(BadId::Empty);
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._:@+=-".contains(c);
    if let Some(bad) = text.chars().find(|c| !allowed(*c)) {
        return Err(BadId::BadCharacter(bad));
    }
    if text.len() > ID_BYTES_MAX {
        return Err(BadId::TooLong(text.len()));
    }
    Ok(())
}

macro_rules! text_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// 1 to 128 of `A-Z a-z 0-9 . _ : @ + = -`; cheap to clone.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn parse(text: &str) -> Result<Self, BadId> {
                check(text).map(|()| Self(text.into()))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                Self::parse(text)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

text_id! {
    /// The tenant: owns one pool.
    WorkspaceId;
    /// A member of a workspace: a person or a service identity.
    UserId;
    /// A group of members.
    TeamId;
    /// A grant, named by whoever made it; permanent within its workspace.
    GrantId;
    /// What a workspace has subscribed to.
    PlanId;
    /// A reallocation, named by whoever asked for it; permanent within its workspace.
    ReallocationId;
    /// A refund, named by whoever asked for it, or by its charge; permanent as long as the charge can be refunded.
    RefundId;
    /// Usage that happened elsewhere, named by whoever tells of it; permanent as long as it can be told of.
    ImportId;
    /// What is being paid for: `chat`, `image`.
    Feature;
    /// The model behind a feature: `m-1`.
    Model;
    /// What usage is counted in: `input_token`, `image`, `call`.
    Unit;
    /// The caller's name for one write, so that a retry is not a second one.
    IdempotencyKey;
}

impl Unit {
    /// Usage counts `input_tokens`, a price is per `input_token`: both are the same unit, whose name is the singular.
    pub fn singular(self) -> Self {
        match self.0.strip_suffix('s') {
            Some(one) if !one.is_empty() => Self(one.into()),
            Some(_) | None => self,
        }
    }
}

/// A node of the cluster; its text is `n` and the number. Never reused for another machine's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u16);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

impl FromStr for NodeId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let bad = || BadId::NotANode(text.chars().take(32).collect());
        let digits =
            text.strip_prefix('n').filter(|d| !d.starts_with('0') && !d.starts_with('+')).ok_or_else(bad)?;
        digits.parse().map(Self).map_err(|_| bad())
    }
}

/// A data directory, by a random number drawn when it was made. An emptied directory is another disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DiskId(pub u64);

impl fmt::Display for DiskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Whoever decides consumes from leases: a node together with its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HolderId {
    pub node: NodeId,
    pub disk: DiskId,
}

impl fmt::Display for HolderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.node, self.disk)
    }
}

/// One Raft group that is home of many pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_at_their_bounds() {
        assert!(UserId::parse("a").is_ok());
        assert!(UserId::parse("A.z_0:9@+=-").is_ok());
        assert!(UserId::parse(&"x".repeat(128)).is_ok());
        assert_eq!(UserId::parse(&"x".repeat(129)), Err(BadId::TooLong(129)));
        assert_eq!(UserId::parse(""), Err(BadId::Empty));
        assert_eq!(UserId::parse("a/b"), Err(BadId::BadCharacter('/')));
        assert_eq!(UserId::parse("ü"), Err(BadId::BadCharacter('ü')));
    }

    #[test]
    fn a_unit_is_one_of_what_is_counted() {
        let unit = |text: &str| Unit::parse(text).unwrap().singular().to_string();
        assert_eq!(
            [unit("input_tokens"), unit("input_token"), unit("s")],
            ["input_token", "input_token", "s"]
        );
    }

    #[test]
    fn node_ids_have_one_spelling() {
        assert_eq!("n1".parse(), Ok(NodeId(1)));
        assert_eq!("n65535".parse(), Ok(NodeId(65_535)));
        for bad in ["n0", "n01", "n65536", "1", "n", "n-1", "n+1", "N1", "node1"] {
            assert!(bad.parse::<NodeId>().is_err(), "{bad}");
        }
        assert_eq!(NodeId(7).to_string(), "n7");
    }
}
