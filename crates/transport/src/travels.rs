//! What rooms ask of each other across nodes, to and from its frozen shapes. Not here: bytes (`wire::rpc`), connections
//! (`mux`), and the ledger's own types, whose shapes `replication` makes for its log.
//!
//! The lists in `leader`, `query` and `consume` name every field twice over: one that is added to a type and not to its
//! shape does not compile.

mod charge;
mod consume;
mod hold;
mod leader;
mod query;

use actors::{LeaderAnswer, LeaderRefusal};
use bytes::Bytes;
use replication::Shaped;
use types::{
    Backing, Credits, CycleNumber, Day, DiskId, Durability, Enforcement, Feature, GrantId, GrantNo, HolderId,
    IdempotencyKey, LineId, LineNumber, Metered, Model, NodeId, ReallocationId, RefundId, Revision, Source,
    TeamId, Timestamp, Unit, UserId, WorkspaceId,
};
use wire::envelope::{BadBytes, Frozen, encode};
use wire::rpc;

/// A type with a frozen shape in `wire::rpc`.
pub(crate) trait Travels: Sized {
    type Shape;

    fn shape(&self) -> Self::Shape;

    /// An error where a peer sent what no node may send.
    fn from_shape(shape: Self::Shape) -> Result<Self, BadShape>;
}

/// Why a shape is no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadShape(String);

/// The bytes of a value.
pub(crate) fn to_bytes<T>(value: &T) -> Result<Bytes, BadBytes>
where
    T: Travels,
    T::Shape: Frozen,
{
    encode(&value.shape()).map(Bytes::from)
}

/// The value whose bytes a peer sent.
pub(crate) fn from_bytes<T>(bytes: &[u8]) -> Result<T, BadBytes>
where
    T: Travels,
    T::Shape: Frozen,
{
    let shape: T::Shape = wire::envelope::decode(bytes)?;
    T::from_shape(shape).map_err(|bad| BadBytes::Damaged { type_id: T::Shape::TYPE_ID, why: bad.to_string() })
}

/// A node that starts, and its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Introduce {
    pub(crate) node: NodeId,
    pub(crate) disk: DiskId,
}

/// What the asked node knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known(pub(crate) Option<DiskId>);

/// How far the asked node has seen the journal on a disk get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Its groups are not open: it has seen nothing yet.
    Starting,
    /// The highest sequence its groups know of; 0 where none. `is_current`: nothing they should know is missing.
    UpTo { sequence: u64, is_current: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AskTime;

/// What the asked node's clock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time(pub(crate) Timestamp);

/// What a leader answers, or why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Led(pub(crate) Result<LeaderAnswer, LeaderRefusal>);

pub(crate) use charge::FoundCharge;
pub(crate) use consume::{Forward, Forwarded};
pub(crate) use hold::{ForwardHold, ForwardedHold, HoldAnswered};
pub(crate) use leader::Ask;

/// `travels!(struct actors::Recall as Recall { fields })`, and the same with `enum`: the shape has the same fields and
/// variants.
macro_rules! travels {
    ($(struct $name:path as $shape:ident { $($field:ident),* $(,)? })*) => {$(
        impl $crate::travels::Travels for $name {
            type Shape = wire::rpc::$shape;

            fn shape(&self) -> Self::Shape {
                let Self { $($field),* } = self;
                wire::rpc::$shape { $($field: $crate::travels::Travels::shape($field)),* }
            }

            fn from_shape(shape: Self::Shape) -> Result<Self, $crate::travels::BadShape> {
                let wire::rpc::$shape { $($field),* } = shape;
                Ok(Self { $($field: $crate::travels::Travels::from_shape($field)?),* })
            }
        }
    )*};
    ($(enum $name:path as $shape:ident {
        $($variant:ident $(($part:ident))? $({ $($field:ident),* })?),* $(,)?
    })*) => {$(
        impl $crate::travels::Travels for $name {
            type Shape = wire::rpc::$shape;

            fn shape(&self) -> Self::Shape {
                match self {
                    $(Self::$variant $(($part))? $({ $($field),* })? => {
                        wire::rpc::$shape::$variant $(($crate::travels::Travels::shape($part)))?
                            $({ $($field: $crate::travels::Travels::shape($field)),* })?
                    })*
                }
            }

            fn from_shape(shape: Self::Shape) -> Result<Self, $crate::travels::BadShape> {
                Ok(match shape {
                    $(wire::rpc::$shape::$variant $(($part))? $({ $($field),* })? => {
                        Self::$variant $(($crate::travels::Travels::from_shape($part)?))?
                            $({ $($field: $crate::travels::Travels::from_shape($field)?),* })?
                    })*
                })
            }
        }
    )*};
}
use travels;

travels! {
    struct Introduce as Introduce { node, disk }
}

travels! {
    enum Heard as Heard { Starting, UpTo { sequence, is_current } }
}

/// What has a shape in the log already.
macro_rules! as_in_the_log {
    ($($name:ty),* $(,)?) => {$(
        impl Travels for $name {
            type Shape = <$name as Shaped>::Shape;

            fn shape(&self) -> Self::Shape {
                Shaped::shape(self)
            }

            fn from_shape(shape: Self::Shape) -> Result<Self, BadShape> {
                Shaped::from_shape(shape).map_err(|bad: replication::Misshapen| BadShape(bad.to_string()))
            }
        }
    )*};
}

as_in_the_log! {
    bool, u32, u64, String, GrantNo, NodeId, DiskId, HolderId, LineId, LineNumber, Revision, CycleNumber, Day,
    WorkspaceId, UserId, TeamId, types::PlanId, GrantId, ReallocationId, RefundId, Feature, Model, Unit, IdempotencyKey,
    Credits, Backing, Source, Durability, Enforcement, Metered, Timestamp,
    ledger::Command, ledger::HolderBatch, ledger::LineMessage,
    ledger::Applied, ledger::LineAnswer, ledger::Rejection,
    ledger::WorkspaceView, ledger::MemberView, ledger::GrantAnswer, ledger::AllocationAnswer,
    ledger::ReallocationAnswer, ledger::OverageAnswer, ledger::PlanAnswer, ledger::PlanChange, ledger::Pooling, ledger::MemberKind, ledger::PoolingAnswer, ledger::TeamView, ledger::LimitHit, ledger::Subject, types::Scope, types::Limited, ledger::LimitsAnswer, types::AnyCharge, ledger::ChargePart, ledger::RefundAnswer,
}

macro_rules! wrapped {
    ($($name:ident),*) => {$(
        impl Travels for $name {
            type Shape = rpc::$name;

            fn shape(&self) -> Self::Shape {
                rpc::$name(Travels::shape(&self.0))
            }

            fn from_shape(shape: Self::Shape) -> Result<Self, BadShape> {
                Travels::from_shape(shape.0).map(Self)
            }
        }
    )*};
}

wrapped!(Known, Led, Forwarded, ForwardedHold, HoldAnswered, Time);

impl Travels for AskTime {
    type Shape = rpc::AskTime;

    fn shape(&self) -> Self::Shape {
        rpc::AskTime
    }

    fn from_shape(rpc::AskTime: Self::Shape) -> Result<Self, BadShape> {
        Ok(Self)
    }
}

impl<T: Travels> Travels for Option<T> {
    type Shape = Option<T::Shape>;

    fn shape(&self) -> Self::Shape {
        self.as_ref().map(T::shape)
    }

    fn from_shape(shape: Self::Shape) -> Result<Self, BadShape> {
        shape.map(T::from_shape).transpose()
    }
}

impl<T: Travels> Travels for Box<T> {
    type Shape = Box<T::Shape>;

    fn shape(&self) -> Self::Shape {
        Box::new(T::shape(self))
    }

    fn from_shape(shape: Self::Shape) -> Result<Self, BadShape> {
        T::from_shape(*shape).map(Self::new)
    }
}

impl<T: Travels> Travels for Vec<T> {
    type Shape = Vec<T::Shape>;

    fn shape(&self) -> Self::Shape {
        self.iter().map(T::shape).collect()
    }

    fn from_shape(shape: Self::Shape) -> Result<Self, BadShape> {
        shape.into_iter().map(T::from_shape).collect()
    }
}

impl<A: Travels, B: Travels> Travels for (A, B) {
    type Shape = (A::Shape, B::Shape);

    fn shape(&self) -> Self::Shape {
        (self.0.shape(), self.1.shape())
    }

    fn from_shape((a, b): Self::Shape) -> Result<Self, BadShape> {
        Ok((A::from_shape(a)?, B::from_shape(b)?))
    }
}

impl<T: Travels, E: Travels> Travels for Result<T, E> {
    type Shape = Result<T::Shape, E::Shape>;

    fn shape(&self) -> Self::Shape {
        self.as_ref().map(T::shape).map_err(E::shape)
    }

    fn from_shape(shape: Self::Shape) -> Result<Self, BadShape> {
        Ok(match shape {
            Ok(value) => Ok(T::from_shape(value)?),
            Err(error) => Err(E::from_shape(error)?),
        })
    }
}

#[cfg(test)]
mod tests;
