//! In which mode the next experiments are sought (specification 4, "Adaptive Director Strategy"), and on what evidence.

use crate::words::words;


words! {
    /// Where to look.
    pub enum Mode {
        /// Everywhere, by the acquisition alone.
        Explore = "explore",
        /// Close to the best so far.
        Exploit = "exploit",
        /// Far from the best so far.
        Recover = "recover",
    }
}
