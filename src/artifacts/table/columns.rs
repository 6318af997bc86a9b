//! Rows as the columns of a Parquet file.
//!
//! Each row is taken apart along the tree of the schema (the record shredding of the Dremel paper): every leaf gets its values
//! without gaps, and for each entry two levels. The definition level says how many of the optional and repeated nodes above
//! are there; the repetition level says which list goes on, 0 being a new row. Entries are kept until a row group is full,
//! because a file holds one column of a group after the other.

use crate::curation::schema::{Field, Schema, Type, features::features_json};
use parquet::{
    basic::Compression,
    column::writer::ColumnWriter,
    data_type::ByteArray,
    errors::ParquetError,
    file::{
        metadata::KeyValue,
        properties::{EnabledStatistics, WriterProperties},
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::types::TypePtr,
};
use serde_json::{Map, Value, json};
use std::{
    io::{self, Write},
    mem,
};

/// Memory of the values that fill a row group.
pub const GROUP: usize = 32 << 20;

/// What a text costs beside its bytes while its group is written.
const TEXT: usize = mem::size_of::<ByteArray>() + mem::size_of::<usize>();

/// The values of a leaf, without nulls.
enum Values {
    Bool(Vec<bool>),
    Int(Vec<i64>),
    Float(Vec<f64>),
    /// All texts in one piece, and where each ends.
    Text(Vec<u8>, Vec<usize>),
}

/// A leaf of the schema, with the entries of the row group in the making.
struct Leaf {
    values: Values,
    definitions: Vec<i16>,
    /// Empty for a leaf that is below no list.
    repetitions: Vec<i16>,
    repeated: bool,
}

/// Where an entry stands.
#[derive(Clone, Copy)]
struct Place {
    /// How many of the optional and repeated nodes above are there.
    defined: i16,
    /// The list that goes on here, counted from the root; 0: a new row.
    goes_on: i16,
    /// How many lists are above.
    lists: i16,
}

/// A Parquet file in the making.
pub struct Columns<W: Write + Send> {
    writer: SerializedFileWriter<W>,
    leaves: Vec<Leaf>,
    group: usize,
    held: usize,
}

impl<W: Write + Send> Columns<W> {
    /// Begins a file of a schema and its shape; a row group is written when it holds `group` bytes.
    pub fn new(to: W, schema: &Schema, shape: TypePtr, group: usize) -> io::Result<Columns<W>> {
        let mut leaves = Vec::new();
        grow(&schema.0, false, &mut leaves);
        let writer = SerializedFileWriter::new(to, shape, properties(schema).into());
        Ok(Columns {
            writer: writer.map_err(plain)?,
            leaves,
            group,
            held: 0,
        })
    }

    /// Takes a row that fits.
    pub fn push(&mut self, schema: &Schema, row: &Map<String, Value>) -> io::Result<()> {
        let root = Place {
            defined: 0,
            goes_on: 0,
            lists: 0,
        };
        let mut shredder = Shredder {
            leaves: &mut self.leaves,
            held: &mut self.held,
        };
        shredder.fields(&schema.0, Some(row), root, 0);
        if self.held >= self.group {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes what is left and the end of the file.
    pub fn finish(mut self) -> io::Result<W> {
        if self.held > 0 {
            self.flush()?;
        }
        self.writer.into_inner().map_err(plain)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.held = 0;
        let mut group = self.writer.next_row_group().map_err(plain)?;
        for leaf in &mut self.leaves {
            leaf.write(&mut group).map_err(plain)?;
        }
        group.close().map_err(plain)?;
        Ok(())
    }
}

/// The error of the file itself where there is one, so that a full disk is seen as one.
fn plain(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(other) => io::Error::other(other),
        },
        other => io::Error::other(other),
    }
}

/// Nothing of a machine or a time stands in the file. Statistics are there for numbers and short texts: a prefix is enough of
/// a long one. The dictionary is small, so that long texts give it up soon.
fn properties(schema: &Schema) -> WriterProperties {
    let features = json!({ "info": { "features": features_json(schema) } });
    let features = KeyValue::new("huggingface".to_owned(), features.to_string());
    WriterProperties::builder()
        .set_created_by("campaignd".to_owned())
        .set_key_value_metadata(Some(vec![features]))
        .set_compression(Compression::SNAPPY)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_statistics_truncate_length(Some(64))
        .set_dictionary_page_size_limit(256 << 10)
        // Between two looks at the size of a page.
        .set_write_batch_size(64)
        .set_max_row_group_row_count(None)
        .build()
}

/// The leaves below some fields, in the order of the schema.
fn grow(fields: &[Field], repeated: bool, leaves: &mut Vec<Leaf>) {
    for field in fields {
        grow_type(&field.of, repeated, leaves);
    }
}

fn grow_type(of: &Type, repeated: bool, leaves: &mut Vec<Leaf>) {
    let values = match of {
        Type::List(of) => return grow_type(of, true, leaves),
        Type::Struct(fields) => return grow(fields, repeated, leaves),
        Type::Bool => Values::Bool(Vec::new()),
        Type::Int => Values::Int(Vec::new()),
        Type::Float => Values::Float(Vec::new()),
        Type::Text => Values::Text(Vec::new(), Vec::new()),
    };
    leaves.push(Leaf {
        values,
        definitions: Vec::new(),
        repetitions: Vec::new(),
        repeated,
    });
}

/// Takes rows apart.
struct Shredder<'a> {
    leaves: &'a mut [Leaf],
    held: &'a mut usize,
}

impl Shredder<'_> {
    /// Shreds fields whose first leaf is `at`; the leaf behind them. Without a row each leaf gets one null.
    fn fields(
        &mut self,
        fields: &[Field],
        row: Option<&Map<String, Value>>,
        place: Place,
        at: usize,
    ) -> usize {
        fields.iter().fold(at, |at, field| {
            let value = row.and_then(|row| row.get(&field.name));
            self.value(&field.of, value, place, at)
        })
    }

    fn value(&mut self, of: &Type, value: Option<&Value>, place: Place, at: usize) -> usize {
        let value = value.filter(|value| !value.is_null());
        let there = Place {
            defined: place.defined + i16::from(value.is_some()),
            ..place
        };
        match of {
            Type::Struct(fields) => {
                self.fields(fields, value.and_then(Value::as_object), there, at)
            }
            Type::List(of) => self.list(of, value.and_then(Value::as_array), there, at),
            _ => {
                *self.held += self.leaves[at].push(value, there);
                at + 1
            }
        }
    }

    /// Shreds a list; `place` counts the list itself already, where it is there.
    fn list(&mut self, of: &Type, elements: Option<&Vec<Value>>, place: Place, at: usize) -> usize {
        let lists = place.lists + 1;
        let Some((first, others)) = elements.and_then(|elements| elements.split_first()) else {
            return self.value(of, None, Place { lists, ..place }, at);
        };
        let defined = place.defined + 1;
        let begun = Place {
            defined,
            lists,
            ..place
        };
        let end = self.value(of, Some(first), begun, at);
        for element in others {
            let next = Place {
                defined,
                goes_on: lists,
                lists,
            };
            self.value(of, Some(element), next, at);
        }
        end
    }
}

impl Leaf {
    /// Takes an entry; the memory that it costs.
    fn push(&mut self, value: Option<&Value>, place: Place) -> usize {
        self.definitions.push(place.defined);
        if self.repeated {
            self.repetitions.push(place.goes_on);
        }
        let levels = 2 * mem::size_of::<i16>();
        let Some(value) = value else { return levels };
        levels
            + match (&mut self.values, value) {
                (Values::Bool(values), Value::Bool(value)) => {
                    values.push(*value);
                    1
                }
                (Values::Text(bytes, ends), Value::String(text)) => {
                    bytes.extend_from_slice(text.as_bytes());
                    ends.push(bytes.len());
                    TEXT + text.len()
                }
                (Values::Int(values), value) => {
                    values.push(value.as_i64().expect("the row was found to fit"));
                    8
                }
                (Values::Float(values), value) => {
                    values.push(value.as_f64().expect("the row was found to fit"));
                    8
                }
                _ => unreachable!("the row was found to fit"),
            }
    }

    /// Writes the entries as the group's next column, and forgets them.
    fn write<W: Write + Send>(
        &mut self,
        group: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<(), ParquetError> {
        let mut column = group
            .next_column()?
            .expect("the file has a column for each leaf");
        let definitions = Some(self.definitions.as_slice());
        let repetitions = self.repeated.then_some(self.repetitions.as_slice());
        match (&mut self.values, column.untyped()) {
            (Values::Bool(values), ColumnWriter::BoolColumnWriter(to)) => {
                to.write_batch(values, definitions, repetitions)?;
                values.clear();
            }
            (Values::Int(values), ColumnWriter::Int64ColumnWriter(to)) => {
                to.write_batch(values, definitions, repetitions)?;
                values.clear();
            }
            (Values::Float(values), ColumnWriter::DoubleColumnWriter(to)) => {
                to.write_batch(values, definitions, repetitions)?;
                values.clear();
            }
            (Values::Text(bytes, ends), ColumnWriter::ByteArrayColumnWriter(to)) => {
                let values = texts(mem::take(bytes), &mem::take(ends));
                to.write_batch(&values, definitions, repetitions)?;
            }
            _ => unreachable!("leaves and columns are of one schema"),
        }
        column.close()?;
        self.definitions.clear();
        self.repetitions.clear();
        Ok(())
    }
}

/// Texts as slices of the one piece they are in.
fn texts(bytes: Vec<u8>, ends: &[usize]) -> Vec<ByteArray> {
    let all = ByteArray::from(bytes);
    let starts = std::iter::once(&0).chain(ends);
    let slices = starts
        .zip(ends)
        .map(|(start, end)| all.slice(*start, end - start));
    slices.collect()
}
