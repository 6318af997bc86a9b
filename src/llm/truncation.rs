//! Prompts that a server cut without a word: its count against ours.
//!
//! Ollama's `/v1` ignores the window that is asked for and drops the head of a long prompt; the only trace is that the reported
//! count is far too low, or that it stands exactly at a window's length. A plateau alone proves nothing (a prompt may have 4,096
//! tokens), so both counts have to agree with the suspicion.

use super::endpoint::Usage;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The window lengths that servers fall back to.
const PLATEAUS: [u64; 7] = [2_048, 4_096, 8_192, 16_384, 32_768, 65_536, 131_072];
/// A server that counts less than this share of ours has not read all.
const SHARE: f64 = 0.6;
/// For short prompts templates and tokenizers differ by this much anyway.
const SLACK: u64 = 160;

/// A prompt that was not read whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truncated {
    /// Tokens by our count.
    pub counted: u64,
    /// Tokens that the server read.
    pub reported: u64,
    /// The window it seems to have, where its count stands exactly at one.
    pub plateau: Option<u64>,
}

impl fmt::Display for Truncated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the server read {} of about {} prompt tokens",
            self.reported, self.counted
        )?;
        match self.plateau {
            Some(plateau) => write!(
                f,
                " and seems to have a window of {plateau}: raise the server's own (num_ctx), or use api = \"ollama_native\""
            ),
            None => Ok(()),
        }
    }
}

/// Whether a prompt of `counted` tokens was cut, by what the server reports. `ended_by_length` says that the answer stopped for want of room
/// although `room` more tokens were allowed.
pub fn judge(counted: u64, usage: &Usage, context_length: u64, starved: bool) -> Option<Truncated> {
    let reported = usage.prompt;
    if usage.estimated || reported == 0 {
        // Some servers leave the count out where they had the prompt cached.
        return None;
    }
    let at = |tokens: u64| {
        PLATEAUS
            .into_iter()
            .chain([context_length])
            .find(|plateau| *plateau == tokens)
    };
    let short = (reported as f64) < SHARE * counted as f64 && counted - reported > SLACK;
    // Our count may be 15 % off, so a prompt that fills the plateau by our count is cut only if the server's stands exactly there.
    let full = at(reported).filter(|plateau| counted as f64 >= 0.9 * *plateau as f64);
    let whole = at(reported + usage.completion).filter(|_| starved);
    let plateau = full.or(whole);
    (short || plateau.is_some()).then_some(Truncated {
        counted,
        reported,
        plateau: plateau
            .or_else(|| at(reported))
            .or_else(|| at(reported + usage.completion)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(prompt: u64, completion: u64) -> Usage {
        Usage {
            prompt,
            completion,
            ..Usage::default()
        }
    }

    #[test]
    fn plateaus_and_shortfalls_are_found() {
        let cut = |counted, prompt, completion, starved| {
            judge(counted, &usage(prompt, completion), 32_768, starved)
        };
        assert_eq!(cut(9_000, 4_096, 50, false).unwrap().plateau, Some(4_096));
        assert_eq!(
            cut(4_500, 4_096, 50, false).unwrap().plateau,
            Some(4_096),
            "only a little was cut"
        );
        assert_eq!(
            cut(9_000, 4_000, 96, false).unwrap().plateau,
            Some(4_096),
            "together they fill the window"
        );
        assert_eq!(
            cut(3_900, 3_800, 296, true).unwrap().plateau,
            Some(4_096),
            "the answer had no room"
        );
        assert_eq!(cut(5_000, 2_500, 9, false).unwrap().plateau, None);
        assert!(
            cut(5_000, 2_500, 9, false)
                .unwrap()
                .to_string()
                .contains("2500 of about 5000")
        );
    }

    #[test]
    fn honest_counts_are_left_alone() {
        let cut = |counted, prompt, completion, starved| {
            judge(counted, &usage(prompt, completion), 32_768, starved)
        };
        assert_eq!(cut(3_000, 3_400, 696, false), None, "4,096 by chance");
        assert_eq!(
            cut(2_800, 4_096, 10, false),
            None,
            "our count is far from the plateau"
        );
        assert_eq!(cut(200, 60, 10, false), None, "too short to tell");
        assert_eq!(cut(5_000, 4_300, 10, false), None);
        assert_eq!(cut(5_000, 0, 10, false), None, "not reported");
        let estimated = Usage {
            estimated: true,
            ..usage(100, 1)
        };
        assert_eq!(judge(9_000, &estimated, 32_768, false), None);
    }
}
