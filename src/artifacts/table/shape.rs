//! A schema as Parquet has it: everything optional, texts as UTF-8, lists in the three levels of the standard.

use crate::curation::schema::{Field, Schema, Type};
use parquet::{
    basic::{LogicalType, Repetition, Type as Physical},
    errors::ParquetError,
    schema::types::{Type as Node, TypePtr},
};
use std::{collections::BTreeSet, io, sync::Arc};

/// The root of the tree.
///
/// # Errors
/// `InvalidInput` for what is no table.
pub fn shape(schema: &Schema) -> io::Result<TypePtr> {
    check(&schema.0, "the schema")?;
    let root = Node::group_type_builder("schema").with_fields(nodes(&schema.0)?);
    Ok(Arc::new(root.build().map_err(io::Error::from)?))
}

fn check(fields: &[Field], place: &str) -> io::Result<()> {
    let mut names = BTreeSet::new();
    let twice = fields.iter().find(|field| !names.insert(&field.name));
    let said = match twice {
        Some(field) => format!("{place} has \"{}\" twice", field.name),
        None if fields.is_empty() => format!("{place} has no fields"),
        None => {
            return fields
                .iter()
                .try_for_each(|field| check_type(&field.of, &field.name));
        }
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, said))
}

fn check_type(of: &Type, name: &str) -> io::Result<()> {
    match of {
        Type::List(of) => check_type(of, name),
        Type::Struct(fields) => check(fields, &format!("\"{name}\"")),
        _ => Ok(()),
    }
}

fn nodes(fields: &[Field]) -> Result<Vec<TypePtr>, ParquetError> {
    let nodes = fields.iter().map(|field| node(&field.name, &field.of));
    nodes.collect()
}

fn node(name: &str, of: &Type) -> Result<TypePtr, ParquetError> {
    let leaf = |physical, logical| {
        Node::primitive_type_builder(name, physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(logical)
            .build()
    };
    let group = |repetition, logical, fields| {
        Node::group_type_builder(name)
            .with_repetition(repetition)
            .with_logical_type(logical)
            .with_fields(fields)
            .build()
    };
    let built = match of {
        Type::Bool => leaf(Physical::BOOLEAN, None),
        Type::Int => leaf(Physical::INT64, None),
        Type::Float => leaf(Physical::DOUBLE, None),
        Type::Text => leaf(Physical::BYTE_ARRAY, Some(LogicalType::String)),
        Type::Struct(fields) => group(Repetition::OPTIONAL, None, nodes(fields)?),
        Type::List(of) => {
            let repeated = Node::group_type_builder("list")
                .with_repetition(Repetition::REPEATED)
                .with_fields(vec![node("element", of)?])
                .build()?;
            group(
                Repetition::OPTIONAL,
                Some(LogicalType::List),
                vec![Arc::new(repeated)],
            )
        }
    };
    built.map(Arc::new)
}
