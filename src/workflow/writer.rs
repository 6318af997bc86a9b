//! stub
use super::plan::Plan;
/// x
#[derive(Clone, Debug, PartialEq)]
pub struct Artefact { /// x
pub main_nf: String, /// x
pub config: String, /// x
pub readme: String }
/// x
pub fn write(_p: &Plan) -> Artefact { Artefact { main_nf: String::new(), config: String::new(), readme: String::new() } }
