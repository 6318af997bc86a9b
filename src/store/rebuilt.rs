//! Why the state had to be made anew: the daemon logs it, for only [`Rebuilt::Missing`] may be harmless.

/// Why the state was made anew from the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rebuilt {
    /// It was not there.
    Missing,
    /// sled could not open or read it.
    Broken(String),
    /// It belongs to another store.
    OtherStore,
    /// It ends before the journal's last snapshot.
    Behind {
        /// The last entry that it included.
        applied: u64,
    },
    /// It claims to be current and has other values than the journal.
    Differs {
        /// The number of keys that do.
        keys: usize,
    },
}

impl std::fmt::Display for Rebuilt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Rebuilt::Missing => f.write_str("it was not there"),
            Rebuilt::Broken(why) => write!(f, "it could not be read: {why}"),
            Rebuilt::OtherStore => f.write_str("it belongs to another store"),
            Rebuilt::Behind { applied } => {
                write!(f, "it ended with entry {applied}, before the last snapshot")
            }
            Rebuilt::Differs { keys } => write!(f, "{keys} of its keys differed from the journal"),
        }
    }
}
