//! Values that are written in a short or a long form.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::reglet::{GrantSet, Reglet};
use super::{
    Directory, HostEntry, HostTable, HttpEntry, HttpTable, Kv, KvTable, NamedDirectory, Net,
    NetWord, Rule, RuleTable, TestCommand, TestTable,
};

/// A value in a short or a long form. Serde's own `untagged` would lose the places of the values inside.
trait Forms: Sized {
    fn text(text: &str) -> Result<Self, String> {
        Err(format!("unexpected string `{text}`"))
    }

    fn whether(whether: bool) -> Result<Self, String> {
        Err(format!("unexpected boolean `{whether}`"))
    }

    fn table<'de, A: MapAccess<'de>>(_: A) -> Result<Self, A::Error> {
        Err(A::Error::custom("unexpected table"))
    }

    fn list<'de, A: SeqAccess<'de>>(_: A) -> Result<Self, A::Error> {
        Err(A::Error::custom("unexpected array"))
    }
}

struct FormsVisitor<T>(PhantomData<T>);

impl<'de, T: Forms> Visitor<'de> for FormsVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one of its forms")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::text(text).map_err(E::custom)
    }

    fn visit_bool<E: Error>(self, whether: bool) -> Result<T, E> {
        T::whether(whether).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::table(map)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<T, A::Error> {
        T::list(list)
    }
}

macro_rules! deserialize_forms {
    ($($name:ident),+) => {
        $(impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(FormsVisitor(PhantomData))
            }
        })+
    };
}

deserialize_forms!(
    Rule,
    Directory,
    Net,
    HostEntry,
    HttpEntry,
    TestCommand,
    Kv,
    Reglet
);

impl Forms for Reglet {
    fn table<'de, A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        let set = GrantSet::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Self::Set(Box::new(set)))
    }

    fn list<'de, A: SeqAccess<'de>>(list: A) -> Result<Self, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(Self::List)
    }
}

impl Forms for Kv {
    fn whether(whether: bool) -> Result<Self, String> {
        Ok(Self::Whether(whether))
    }

    fn table<'de, A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        KvTable::deserialize(MapAccessDeserializer::new(map)).map(Self::Size)
    }
}

impl Forms for Rule {
    fn text(text: &str) -> Result<Self, String> {
        Ok(Self::Program(text.to_owned()))
    }

    fn table<'de, A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        RuleTable::deserialize(MapAccessDeserializer::new(map))
            .map(|table| Self::Table(Box::new(table)))
    }
}

impl Forms for Directory {
    fn text(text: &str) -> Result<Self, String> {
        Ok(Self::Path(text.to_owned()))
    }

    fn table<'de, A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        NamedDirectory::deserialize(MapAccessDeserializer::new(map))
            .map(|named| Self::Named(Box::new(named)))
    }
}

impl Forms for Net {
    fn text(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::Word(NetWord::None)),
            "loopback" => Ok(Self::Word(NetWord::Loopback)),
            "open" => Ok(Self::Word(NetWord::Open)),
            _ => Err(format!("unexpected string `{text}`")),
        }
    }

    fn list<'de, A: SeqAccess<'de>>(list: A) -> Result<Self, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(Self::Hosts)
    }
}

impl Forms for TestCommand {
    fn list<'de, A: SeqAccess<'de>>(list: A) -> Result<Self, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(Self::Words)
    }

    fn table<'de, A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        TestTable::deserialize(MapAccessDeserializer::new(map))
            .map(|table| Self::Table(Box::new(table)))
    }
}

impl Forms for HttpEntry {
    fn text(text: &str) -> Result<Self, String> {
        Ok(Self::Text(text.to_owned()))
    }

    fn table<'de, A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        HttpTable::deserialize(MapAccessDeserializer::new(map))
            .map(|table| Self::Table(Box::new(table)))
    }
}

impl Forms for HostEntry {
    fn text(text: &str) -> Result<Self, String> {
        Ok(Self::Text(text.to_owned()))
    }

    fn table<'de, A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        HostTable::deserialize(MapAccessDeserializer::new(map))
            .map(|table| Self::Table(Box::new(table)))
    }
}
