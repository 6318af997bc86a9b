//! What the files must be: models and adapters made here, those of the fixtures where they are beside the checkout, and damage of
//! all kinds.

mod adapter;
mod config;
mod header;
mod made;
mod merge;
mod model;
mod parity;
mod tensors;
