//! stub
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
/// x
pub struct Asked<'a> { /// x
pub analysis_type: &'a str, /// x
pub organism: &'a str, /// x
pub complexity: &'a str, /// x
pub query: &'a str, /// x
pub slots: &'a BTreeMap<String, String> }
/// x
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step { /// x
pub id: String, /// x
pub process: String, /// x
pub tool: String }
/// x
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan { /// x
pub steps: Vec<Step>, /// x
pub container_runtime: Option<String> }
impl Plan { /// x
pub fn uses(&self, tool: &str) -> bool { self.steps.iter().any(|s| s.tool == tool) } }
/// x
pub fn plan(_a: &Asked<'_>) -> Result<Plan, String> { Ok(Plan { steps: vec![], container_runtime: None }) }
/// x
pub fn missing(_p: &Plan) -> Vec<String> { vec![] }
