//! The ledger's types to and from their frozen shapes. Not here: bytes (`wire`), and what any of it means (`ledger`).
//!
//! The lists in `command`, `answer` and `state` name every field twice over: one that is added to a type and not to
//! its shape does not compile.

mod answer;
mod command;
mod state;
mod window;

use std::collections::{BTreeMap, BTreeSet};
use types::{
    ByGrant, CivilDate, Credits, CycleNumber, Day, DiskId, Feature, GrantId, GrantNo, IdempotencyKey,
    ImportId, LineNumber, Model, NodeId, OneOrAny, PlanId, ReallocationId, RefundId, Revision, TeamId,
    Timestamp, Unit, UserId, WorkspaceId, ZoneName,
};

/// A type with a frozen shape.
pub trait Shaped: Sized {
    type Shape;

    fn shape(&self) -> Self::Shape;

    /// An error only where the shape was not made by [`Shaped::shape`]: damage, or a program that is wrong.
    fn from_shape(shape: Self::Shape) -> Result<Self, Misshapen>;
}

/// Why a shape is no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Misshapen(String);

/// `shaped!(struct ledger::Grant { fields })` and `shaped!(enum ledger::Wish { variants })`: the shape has the same
/// name, fields and variants.
macro_rules! shaped {
    ($(struct $room:ident::$name:ident { $($field:ident),* $(,)? })*) => {$(
        impl $crate::convert::Shaped for $room::$name {
            type Shape = wire::ledger::$name;

            fn shape(&self) -> Self::Shape {
                let $room::$name { $($field),* } = self;
                wire::ledger::$name { $($field: $crate::convert::Shaped::shape($field)),* }
            }

            fn from_shape(shape: Self::Shape) -> Result<Self, $crate::convert::Misshapen> {
                let wire::ledger::$name { $($field),* } = shape;
                Ok($room::$name { $($field: $crate::convert::Shaped::from_shape($field)?),* })
            }
        }
    )*};
    ($(enum $room:ident::$name:ident {
        $($variant:ident $(($($part:ident),*))? $({ $($field:ident),* })?),* $(,)?
    })*) => {$(
        impl $crate::convert::Shaped for $room::$name {
            type Shape = wire::ledger::$name;

            fn shape(&self) -> Self::Shape {
                match self {
                    $($room::$name::$variant $(($($part),*))? $({ $($field),* })? => {
                        wire::ledger::$name::$variant $(($($crate::convert::Shaped::shape($part)),*))?
                            $({ $($field: $crate::convert::Shaped::shape($field)),* })?
                    })*
                }
            }

            fn from_shape(shape: Self::Shape) -> Result<Self, $crate::convert::Misshapen> {
                Ok(match shape {
                    $(wire::ledger::$name::$variant $(($($part),*))? $({ $($field),* })? => {
                        $room::$name::$variant $(($($crate::convert::Shaped::from_shape($part)?),*))?
                            $({ $($field: $crate::convert::Shaped::from_shape($field)?),* })?
                    })*
                })
            }
        }
    )*};
}
use shaped;

macro_rules! as_itself {
    ($($plain:ty),*) => {$(
        impl Shaped for $plain {
            type Shape = Self;

            fn shape(&self) -> Self {
                self.clone()
            }

            fn from_shape(shape: Self) -> Result<Self, Misshapen> {
                Ok(shape)
            }
        }
    )*};
}

as_itself!(bool, u8, u32, u64, String, [u8; 32]);

macro_rules! as_number {
    ($($name:path: $number:ty),* $(,)?) => {$(
        impl Shaped for $name {
            type Shape = $number;

            fn shape(&self) -> $number {
                self.0
            }

            fn from_shape(shape: $number) -> Result<Self, Misshapen> {
                Ok($name(shape))
            }
        }
    )*};
}

as_number! {
    NodeId: u16, DiskId: u64, CycleNumber: u32, LineNumber: u64, GrantNo: u32, Revision: u64, Day: i32,
    types::HoldNumber: u64, ledger::AllocationNo: u32, ledger::IntentNo: u64,
}

macro_rules! as_text {
    ($($name:ty),*) => {$(
        impl Shaped for $name {
            type Shape = String;

            fn shape(&self) -> String {
                self.as_str().to_owned()
            }

            fn from_shape(shape: String) -> Result<Self, Misshapen> {
                <$name>::parse(&shape).map_err(|bad| Misshapen(format!("{shape:?}: {bad}")))
            }
        }
    )*};
}

as_text!(
    WorkspaceId,
    UserId,
    TeamId,
    GrantId,
    PlanId,
    ReallocationId,
    RefundId,
    ImportId,
    Feature,
    Model,
    Unit,
    IdempotencyKey,
    ZoneName
);

shaped! {
    struct types::HolderId { node, disk }
    struct types::LineId { holder, number }
    struct types::ChargeId { node, line, sequence }
    struct types::HoldId { node, number }
}

impl Shaped for Credits {
    type Shape = u64;

    fn shape(&self) -> u64 {
        self.micros()
    }

    fn from_shape(shape: u64) -> Result<Self, Misshapen> {
        Self::from_micros(shape).ok_or_else(|| Misshapen(format!("{shape} micro-credits are past the bound")))
    }
}

impl Shaped for ByGrant {
    type Shape = Vec<(u32, u64)>;

    fn shape(&self) -> Self::Shape {
        self.iter().map(|(grant, part)| (grant.shape(), part.shape())).collect()
    }

    fn from_shape(shape: Self::Shape) -> Result<Self, Misshapen> {
        let parts: Vec<(GrantNo, Credits)> = Shaped::from_shape(shape)?;
        Self::from_sorted(parts).ok_or_else(|| Misshapen("what grants paid is out of order".to_owned()))
    }
}

impl<T: Shaped<Shape = String>> Shaped for OneOrAny<T> {
    type Shape = String;

    fn shape(&self) -> String {
        match self {
            Self::Any => Self::ANY.to_owned(),
            Self::One(one) => one.shape(),
        }
    }

    fn from_shape(shape: String) -> Result<Self, Misshapen> {
        if shape == Self::ANY { Ok(Self::Any) } else { T::from_shape(shape).map(Self::One) }
    }
}

impl Shaped for Timestamp {
    type Shape = i64;

    fn shape(&self) -> i64 {
        self.millis()
    }

    fn from_shape(shape: i64) -> Result<Self, Misshapen> {
        Ok(Self::from_millis(shape))
    }
}

impl Shaped for CivilDate {
    type Shape = (u16, u8, u8);

    fn shape(&self) -> Self::Shape {
        (self.year(), self.month(), self.day())
    }

    fn from_shape((year, month, day): Self::Shape) -> Result<Self, Misshapen> {
        Self::new(year, month, day).map_err(|bad| Misshapen(bad.to_string()))
    }
}

impl Shaped for usize {
    type Shape = u64;

    fn shape(&self) -> u64 {
        u64::try_from(*self).expect("a usize has at most 64 bits")
    }

    fn from_shape(shape: u64) -> Result<Self, Misshapen> {
        Self::try_from(shape).map_err(|_| Misshapen(format!("{shape} is past this machine's numbers")))
    }
}

impl<T: Shaped> Shaped for Option<T> {
    type Shape = Option<T::Shape>;

    fn shape(&self) -> Self::Shape {
        self.as_ref().map(T::shape)
    }

    fn from_shape(shape: Self::Shape) -> Result<Self, Misshapen> {
        shape.map(T::from_shape).transpose()
    }
}

impl<T: Shaped> Shaped for Box<T> {
    type Shape = Box<T::Shape>;

    fn shape(&self) -> Self::Shape {
        Box::new(T::shape(self))
    }

    fn from_shape(shape: Self::Shape) -> Result<Self, Misshapen> {
        T::from_shape(*shape).map(Self::new)
    }
}

impl<T: Shaped, E: Shaped> Shaped for Result<T, E> {
    type Shape = Result<T::Shape, E::Shape>;

    fn shape(&self) -> Self::Shape {
        self.as_ref().map(T::shape).map_err(E::shape)
    }

    fn from_shape(shape: Self::Shape) -> Result<Self, Misshapen> {
        Ok(match shape {
            Ok(value) => Ok(T::from_shape(value)?),
            Err(error) => Err(E::from_shape(error)?),
        })
    }
}

impl<T: Shaped> Shaped for Vec<T> {
    type Shape = Vec<T::Shape>;

    fn shape(&self) -> Self::Shape {
        self.iter().map(T::shape).collect()
    }

    fn from_shape(shape: Self::Shape) -> Result<Self, Misshapen> {
        shape.into_iter().map(T::from_shape).collect()
    }
}

impl<T: Shaped + Ord> Shaped for BTreeSet<T> {
    type Shape = Vec<T::Shape>;

    fn shape(&self) -> Self::Shape {
        self.iter().map(T::shape).collect()
    }

    fn from_shape(shape: Self::Shape) -> Result<Self, Misshapen> {
        shape.into_iter().map(T::from_shape).collect()
    }
}

impl<K: Shaped + Ord, V: Shaped> Shaped for BTreeMap<K, V> {
    type Shape = Vec<(K::Shape, V::Shape)>;

    fn shape(&self) -> Self::Shape {
        self.iter().map(|(key, value)| (key.shape(), value.shape())).collect()
    }

    fn from_shape(shape: Self::Shape) -> Result<Self, Misshapen> {
        shape.into_iter().map(<(K, V)>::from_shape).collect()
    }
}

impl<A: Shaped, B: Shaped> Shaped for (A, B) {
    type Shape = (A::Shape, B::Shape);

    fn shape(&self) -> Self::Shape {
        (self.0.shape(), self.1.shape())
    }

    fn from_shape((a, b): Self::Shape) -> Result<Self, Misshapen> {
        Ok((A::from_shape(a)?, B::from_shape(b)?))
    }
}

impl<A: Shaped, B: Shaped, C: Shaped> Shaped for (A, B, C) {
    type Shape = (A::Shape, B::Shape, C::Shape);

    fn shape(&self) -> Self::Shape {
        (self.0.shape(), self.1.shape(), self.2.shape())
    }

    fn from_shape((a, b, c): Self::Shape) -> Result<Self, Misshapen> {
        Ok((A::from_shape(a)?, B::from_shape(b)?, C::from_shape(c)?))
    }
}
