//! Training, as far as it is arithmetic on small numbers: settings, schedules, orders and chance. Pure; the heavy part is [`crate::lora`].

pub mod architecture;
pub mod base;
pub mod health;
pub mod job;
pub mod metrics;
pub mod order;
pub mod philox;
pub mod plan;
pub mod schedule;
pub mod settings;
pub mod site;
pub mod stopping;
pub mod words;
