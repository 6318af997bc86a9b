//! Templates that are kept out of training, to see what a model does with forms of questions it never saw.

use super::{Member, Settings, Summary, components::Components, draw};
use crate::curation::words::Split;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A template that was kept out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KeptOut {
    /// The kind whose template it is.
    pub kind: u32,
    /// The template.
    pub template: u32,
    /// Rows that it has there, wherever they were placed.
    pub rows: u32,
}

/// Places every component with a row of a template that is kept out, unless it is frozen elsewhere.
pub(super) fn keep_out(
    members: &[Member],
    components: &Components,
    settings: &Settings,
    giant: u32,
    fates: &mut [Option<Split>],
    summary: &mut Summary,
) {
    let mut forms: BTreeMap<(u32, u32), u32> = BTreeMap::new();
    // A template of a frozen or a giant component cannot be unseen: the component would have to go with it.
    let mut bound = BTreeSet::new();
    for (row, member) in members.iter().enumerate() {
        let component = components.component[row] as usize;
        if let (Some(kind), Some(template)) = (member.kind, member.template) {
            *forms.entry((kind, template)).or_default() += 1;
            if fates[component].is_some() || components.rows(component) > giant {
                bound.insert(template);
            }
        }
    }
    let mut out = settings.keep_out.clone();
    if settings.unseen_template {
        out.extend(chosen(&forms, &bound, settings, &mut summary.not_kept_out));
    }
    let kept = forms
        .into_iter()
        .filter(|((_, template), _)| out.contains(template));
    summary.kept_out = kept
        .map(|((kind, template), rows)| KeptOut {
            kind,
            template,
            rows,
        })
        .collect();
    for (row, member) in members.iter().enumerate() {
        if member
            .template
            .is_some_and(|template| out.contains(&template))
        {
            let fate = &mut fates[components.component[row] as usize];
            *fate = fate.or(Some(Split::TestUnseenTemplate));
        }
    }
}

/// One template of each kind that has enough and of which none is kept out already.
fn chosen(
    forms: &BTreeMap<(u32, u32), u32>,
    bound: &BTreeSet<u32>,
    settings: &Settings,
    without: &mut Vec<u32>,
) -> Vec<u32> {
    let mut kinds: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (kind, template) in forms.keys() {
        kinds.entry(*kind).or_default().push(*template);
    }
    let mut out = Vec::new();
    for (kind, templates) in kinds {
        let kept = templates
            .iter()
            .any(|template| settings.keep_out.contains(template));
        if kept || (templates.len() as u64) < u64::from(settings.least_forms.max(2)) {
            continue;
        }
        // The smallest draw stays the smallest when other templates come later, mostly.
        let key = |template: &u32| u128::from(kind) << 64 | u128::from(*template);
        let free = templates
            .iter()
            .filter(|template| !bound.contains(template));
        match free.min_by_key(|template| (draw(settings.seed, key(template)), **template)) {
            Some(template) => out.push(*template),
            None => without.push(kind),
        }
    }
    out
}
