//! How much of a GPU's memory one process takes: alone all that is free, beside others like it a share that leaves each the same.
//!
//! Those that compute side by side start one after the other, so what is free when one of them asks says nothing of what the
//! others will need. Their number does, and the memory of the GPU, which is the same for all.

use super::{arena::gigabytes, taken::Untaken};

/// What is left to the driver when all memory is taken: kernels that the library loads at its first product of a kind, stacks.
pub const MARGIN: u64 = 768 << 20;
/// What another process takes before it asks for its share: the driver's context, the kernels, cuBLASLt with its workspace.
const CONTEXT: u64 = 768 << 20;

/// Memory of a GPU, and who wants of it.
#[derive(Clone, Copy, Debug)]
pub struct Memory<'a> {
    /// The GPU's name.
    pub name: &'a str,
    /// Bytes of it.
    pub total: u64,
    /// Bytes that nobody uses.
    pub free: u64,
    /// How many processes are to compute on it at once, this one among them; 0 is 1.
    pub side_by_side: u32,
}

impl Memory<'_> {
    /// Bytes of the arena: as many as are wanted, or all that this process may have.
    ///
    /// # Errors
    /// There are not as many, with numbers and what to do; it may pass where it is others that use them.
    pub fn share(&self, wanted: Option<u64>) -> Result<u64, Untaken> {
        let most = self.free.saturating_sub(MARGIN);
        let own = match self.side_by_side {
            0 | 1 => most,
            many => (self.total / u64::from(many)).saturating_sub(MARGIN + CONTEXT),
        };
        match wanted.unwrap_or(own.min(most)) {
            _ if own == 0 && most > 0 => Err(Untaken::for_good(self.too_many())),
            0 => Err(Untaken::passing(self.too_little())),
            bytes if bytes > most => Err(Untaken::passing(self.too_much(bytes))),
            bytes => Ok(bytes),
        }
    }

    fn too_many(&self) -> String {
        format!(
            "{} has {} of memory, of which {} side by side leave each nothing beside the {} that the driver takes: let fewer \
             compute at once (limits.max_training_jobs)",
            self.name,
            gigabytes(self.total),
            self.side_by_side,
            gigabytes(MARGIN + CONTEXT)
        )
    }

    fn too_little(&self) -> String {
        let free = gigabytes(self.free);
        let advice = match self.side_by_side {
            0 | 1 => "",
            _ => ", or let fewer compute at once (limits.max_training_jobs)",
        };
        format!(
            "{} has {free} of memory free, which is too little to begin with: end what else uses it (nvidia-smi lists \
             it){advice}",
            self.name
        )
    }

    fn too_much(&self, bytes: u64) -> String {
        format!(
            "training needs {} of memory, and {} has {} free, {} of them kept for the driver: end what else uses it \
             (nvidia-smi lists it), or take fewer tokens to a batch",
            gigabytes(bytes),
            self.name,
            gigabytes(self.free),
            gigabytes(MARGIN)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = 1_000_000_000;

    fn memory(total: u64, free: u64, side_by_side: u32) -> Memory<'static> {
        Memory {
            name: "NVIDIA A100",
            total,
            free,
            side_by_side,
        }
    }

    #[test]
    fn the_arena_is_what_is_free_or_an_equal_share() {
        let own = MARGIN + CONTEXT;
        let cases = [
            // Alone: all that is free but for a margin, whatever there is in all.
            ((80 * GB, 79 * GB, 1), None, 79 * GB - MARGIN),
            ((80 * GB, 30 * GB, 0), None, 30 * GB - MARGIN),
            // Side by side: the same for each, whether it comes first or last.
            ((80 * GB, 79 * GB, 2), None, 40 * GB - own),
            ((80 * GB, 40 * GB, 2), None, 40 * GB - own),
            ((80 * GB, 79 * GB, 8), None, 10 * GB - own),
            // Never more than is free.
            ((80 * GB, 20 * GB, 2), None, 20 * GB - MARGIN),
            ((80 * GB, 79 * GB, 1), Some(8 * GB), 8 * GB),
            ((80 * GB, 20 * GB, 4), Some(1 << 26), 1 << 26),
        ];
        for ((total, free, many), wanted, bytes) in cases {
            let found = memory(total, free, many).share(wanted).expect("room");
            assert_eq!(found, bytes, "{total} {free} {many} {wanted:?}");
        }
    }

    /// As many as were told of find room, each with what the driver takes for it.
    #[test]
    fn all_of_them_fit() {
        for total in [8 * GB, 24 * GB, 80 * GB, 141 * GB] {
            for many in 2..=4 {
                let mut free = total;
                for _ in 0..many {
                    free -= CONTEXT;
                    let all = memory(total, free, many).share(None).expect("room");
                    assert_eq!(all, total / u64::from(many) - CONTEXT - MARGIN);
                    free -= all + MARGIN;
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_said_with_numbers() {
        let said = |total, free, many, wanted| {
            let untaken = memory(total, free, many).share(wanted);
            let Untaken { trouble, passes } = untaken.expect_err("refused");
            (trouble.0, passes)
        };
        let (text, passes) = said(80 * GB, MARGIN, 1, None);
        assert!(passes);
        assert!(text.starts_with("NVIDIA A100 has 805.3 MB of memory free, which is too little"));
        assert!(!text.contains("max_training_jobs"), "{text}");
        let (text, passes) = said(80 * GB, MARGIN, 3, None);
        assert!(
            passes && text.ends_with("(limits.max_training_jobs)"),
            "{text}"
        );
        let (text, passes) = said(24 * GB, 23 * GB, 16, None);
        assert!(!passes, "fewer is what helps");
        assert_eq!(
            text,
            "NVIDIA A100 has 24.0 GB of memory, of which 16 side by side leave each nothing beside the 1.6 GB that the driver \
             takes: let fewer compute at once (limits.max_training_jobs)"
        );
        let (text, passes) = said(24 * GB, 24 * GB, 1, Some(30 * GB));
        assert!(passes);
        assert!(text.starts_with(
            "training needs 30.0 GB of memory, and NVIDIA A100 has 24.0 GB free, 805.3 MB"
        ));
        assert!(
            memory(24 * GB, 24 * GB, 1).share(Some(24 * GB)).is_err(),
            "the margin is the driver's"
        );
    }
}
