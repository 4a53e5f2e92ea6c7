//! Values with one text form, as given in requests and as shown in answers. Not here: which values there are.

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use utoipa::openapi::schema::{Object, Schema};
use utoipa::openapi::{RefOr, schema};

/// How a value stands in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A string.
    Text,
    /// An integer.
    Integer,
    /// Read as a string or a number, written as a string: an amount.
    Amount,
}

/// A value with exactly one text form.
pub trait Word: Sized + Clone + fmt::Debug + Send + Sync + 'static {
    /// Why a text is no such value; its message tells the caller what is accepted.
    type Bad: fmt::Display + fmt::Debug + Clone;
    /// Name of the schema in the OpenAPI document.
    const NAME: &'static str;
    const FORM: Form = Form::Text;

    /// The value of a text. For a JSON number: of its characters as they were sent.
    fn read(text: &str) -> Result<Self, Self::Bad>;
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
    /// Pattern, choices and an example, for the OpenAPI document.
    fn describe(schema: schema::ObjectBuilder) -> schema::ObjectBuilder;
}

/// A word's text, for printing.
#[derive(Debug)]
pub struct Shown<'a, T>(pub &'a T);

impl<T: Word> fmt::Display for Shown<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show(f)
    }
}

/// A value of a request: good, or bad and why. Whoever reads it must look ([`Given::value`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given<T: Word>(Result<T, T::Bad>);

impl<T: Word> Given<T> {
    pub fn value(self) -> Result<T, T::Bad> {
        self.0
    }
}

impl<T: Word> From<T> for Given<T> {
    fn from(value: T) -> Self {
        Self(Ok(value))
    }
}

impl<T: Word> Serialize for Given<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = self.0.as_ref().map_err(|bad| serde::ser::Error::custom(bad.to_string()))?;
        if T::FORM == Form::Integer {
            let raw = RawValue::from_string(Shown(value).to_string());
            return raw.map_err(serde::ser::Error::custom)?.serialize(serializer);
        }
        serializer.collect_str(&Shown(value))
    }
}

impl<'de, T: Word> Deserialize<'de> for Given<T> {
    /// From `serde_json` over a slice or a string where numbers are taken: their characters are needed as sent.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match T::FORM {
            Form::Text => deserializer.deserialize_str(TextOf::<T>(std::marker::PhantomData)).map(Self),
            form @ (Form::Integer | Form::Amount) => {
                let raw = <&RawValue>::deserialize(deserializer)?.get();
                scalar(form, raw).map(|text| Self(T::read(&text))).map_err(D::Error::custom)
            }
        }
    }
}

/// The characters of a number, or of a string where the form takes one.
fn scalar(form: Form, raw: &str) -> Result<Cow<'_, str>, String> {
    let expected = if form == Form::Integer { "an integer" } else { "a string or a number" };
    match raw.as_bytes().first() {
        Some(b'0'..=b'9' | b'-') => Ok(Cow::Borrowed(raw)),
        Some(b'"') if form == Form::Amount => {
            let plain = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            match plain.filter(|text| !text.contains('\\')) {
                Some(text) => Ok(Cow::Borrowed(text)),
                None => serde_json::from_str(raw).map(Cow::Owned).map_err(|error| error.to_string()),
            }
        }
        Some(b'"') => Err(format!("invalid type: string, expected {expected}")),
        Some(b'{') => Err(format!("invalid type: map, expected {expected}")),
        Some(b'[') => Err(format!("invalid type: sequence, expected {expected}")),
        Some(b't' | b'f') => Err(format!("invalid type: boolean, expected {expected}")),
        _ => Err(format!("invalid type: null, expected {expected}")),
    }
}

/// Reads a string without making one.
struct TextOf<T>(std::marker::PhantomData<T>);

impl<T: Word> Visitor<'_> for TextOf<T> {
    type Value = Result<T, T::Bad>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(T::read(text))
    }
}

/// A value of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text<T>(pub T);

impl<T: Word> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Shown(&self.0))
    }
}

impl<'de, T: Word> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = deserializer.deserialize_str(TextOf::<T>(std::marker::PhantomData))?;
        read.map(Self).map_err(|bad| D::Error::invalid_value(Unexpected::Other("text"), &&*bad.to_string()))
    }
}

fn schema_of<T: Word>(types: schema::SchemaType) -> RefOr<Schema> {
    RefOr::T(Schema::Object(T::describe(Object::builder().schema_type(types)).build()))
}

impl<T: Word> utoipa::PartialSchema for Given<T> {
    fn schema() -> RefOr<Schema> {
        schema_of::<T>(match T::FORM {
            Form::Text => schema::Type::String.into(),
            Form::Integer => schema::Type::Integer.into(),
            Form::Amount => schema::SchemaType::from_iter([schema::Type::String, schema::Type::Number]),
        })
    }
}

impl<T: Word> utoipa::ToSchema for Given<T> {
    fn name() -> Cow<'static, str> {
        match T::FORM {
            Form::Text | Form::Integer => T::NAME.into(),
            Form::Amount => format!("{}Given", T::NAME).into(),
        }
    }
}

impl<T: Word> utoipa::PartialSchema for Text<T> {
    fn schema() -> RefOr<Schema> {
        schema_of::<T>(schema::Type::String.into())
    }
}

impl<T: Word> utoipa::ToSchema for Text<T> {
    fn name() -> Cow<'static, str> {
        T::NAME.into()
    }
}

macro_rules! ids {
    ($($name:ident $example:literal;)*) => {$(
        impl Word for types::$name {
            type Bad = types::BadId;
            const NAME: &'static str = stringify!($name);

            fn read(text: &str) -> Result<Self, Self::Bad> {
                Self::parse(text)
            }

            fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }

            fn describe(schema: schema::ObjectBuilder) -> schema::ObjectBuilder {
                schema.pattern(Some("^[A-Za-z0-9._:@+=-]{1,128}$")).examples([$example])
            }
        }
    )*};
}

ids! {
    WorkspaceId "acme";
    UserId "ann";
    TeamId "design";
    GrantId "plan-2026-11";
    PlanId "pro";
    ReallocationId "move-17";
    RefundId "n1.42.7:1";
    ImportId "bill-2026-11:17";
    Feature "chat";
    Model "m-1";
    Unit "input_token";
    IdempotencyKey "c0ffee-1";
}

macro_rules! ids_or_any {
    ($($id:ident $name:literal $example:literal;)*) => {$(
        impl Word for types::OneOrAny<types::$id> {
            type Bad = types::BadId;
            const NAME: &'static str = $name;

            fn read(text: &str) -> Result<Self, Self::Bad> {
                text.parse()
            }

            fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }

            fn describe(schema: schema::ObjectBuilder) -> schema::ObjectBuilder {
                schema.pattern(Some(r"^(\*|[A-Za-z0-9._:@+=-]{1,128})$")).examples([$example, Self::ANY])
            }
        }
    )*};
}

ids_or_any! {
    Feature "FeatureOrAny" "chat";
    Model "ModelOrAny" "m-1";
}

impl Word for types::PriceVersion {
    type Bad = types::BadPriceVersion;
    const NAME: &'static str = "PriceVersion";

    fn read(text: &str) -> Result<Self, Self::Bad> {
        text.parse()
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }

    fn describe(schema: schema::ObjectBuilder) -> schema::ObjectBuilder {
        schema.pattern(Some(r"^[0-9]+(\.[0-9]+)?$")).examples(["7", "7.9"])
    }
}

impl Word for types::NodeId {
    type Bad = types::BadId;
    const NAME: &'static str = "NodeId";

    fn read(text: &str) -> Result<Self, Self::Bad> {
        text.parse()
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }

    fn describe(schema: schema::ObjectBuilder) -> schema::ObjectBuilder {
        schema.pattern(Some("^n[1-9][0-9]{0,4}$")).examples(["n1"])
    }
}

impl Word for types::HoldId {
    type Bad = types::BadId;
    const NAME: &'static str = "HoldId";

    fn read(text: &str) -> Result<Self, Self::Bad> {
        text.parse()
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }

    fn describe(schema: schema::ObjectBuilder) -> schema::ObjectBuilder {
        schema.pattern(Some("^n[1-9][0-9]{0,4}\\.h[1-9][0-9]{0,19}$")).examples(["n1.h42"])
    }
}

impl Word for types::AnyCharge {
    type Bad = types::BadId;
    const NAME: &'static str = "AnyCharge";

    fn read(text: &str) -> Result<Self, Self::Bad> {
        text.parse()
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }

    fn describe(schema: schema::ObjectBuilder) -> schema::ObjectBuilder {
        schema.examples(["n1.42.7", "n1.h42"])
    }
}

/// Why a text is no charge id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a charge id is a node, a line and a sequence, for example n1.42.7")]
pub struct BadChargeId;

impl Word for types::ChargeId {
    type Bad = BadChargeId;
    const NAME: &'static str = "ChargeId";

    fn read(text: &str) -> Result<Self, BadChargeId> {
        let mut parts = text.split('.');
        let [Some(node), Some(line), Some(sequence), None] = std::array::from_fn(|_| parts.next()) else {
            return Err(BadChargeId);
        };
        let number = |digits: &str| digits.parse().map_err(|_| BadChargeId);
        Ok(Self {
            node: node.parse().map_err(|_| BadChargeId)?,
            line: types::LineNumber(number(line)?),
            sequence: number(sequence)?,
        })
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }

    fn describe(schema: schema::ObjectBuilder) -> schema::ObjectBuilder {
        schema.examples(["n1.42.7"])
    }
}
