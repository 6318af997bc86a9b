//! Who may do what over the control socket. Whoever submits runs commands as the daemon's user, so only that user, root and
//! the members of one named group may change things; who else may connect may read.

use nix::unistd::{Gid, Uid, User, geteuid, getgrouplist};
use std::ffi::CString;

/// Who is at the other end of a connection, by the kernel's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The user.
    pub uid: u32,
    /// The process's main group.
    pub gid: u32,
}

/// The rule.
#[derive(Clone, Debug)]
pub struct Access {
    own: Uid,
    group: Option<Gid>,
}

impl Access {
    /// The daemon's user, root and the members of `group`, if one is named.
    pub fn new(group: Option<Gid>) -> Self {
        Self {
            own: geteuid(),
            group,
        }
    }

    /// Whether this user may change things; none, a peer that the kernel does not name, may not. Asks the user database,
    /// which may be slow: not for an async thread.
    pub fn may_change(&self, peer: Option<Peer>) -> bool {
        let Some(peer) = peer else { return false };
        let uid = Uid::from_raw(peer.uid);
        uid == self.own || uid.is_root() || self.group.is_some_and(|group| is_in(peer, group))
    }
}

/// Whether the user database counts a user among a group. Membership that it does not know counts for nothing.
fn is_in(peer: Peer, group: Gid) -> bool {
    if peer.gid == group.as_raw() {
        return true;
    }
    let Ok(Some(user)) = User::from_uid(Uid::from_raw(peer.uid)) else {
        return false;
    };
    let groups = CString::new(user.name)
        .ok()
        .and_then(|name| getgrouplist(&name, user.gid).ok());
    groups.is_some_and(|groups| groups.contains(&group))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(uid: u32, gid: u32) -> Option<Peer> {
        Some(Peer { uid, gid })
    }

    #[test]
    fn the_daemons_user_and_root_may_change_things_and_nobody_else() {
        let own = geteuid().as_raw();
        let access = Access::new(None);
        assert!(access.may_change(peer(own, 12345)) && access.may_change(peer(0, 0)));
        let stranger = own + 54_321;
        assert!(!access.may_change(peer(stranger, 54_321)));
        assert!(!access.may_change(None), "a peer that nobody names");
    }

    #[test]
    fn members_of_the_named_group_may_too() {
        let access = Access::new(Some(Gid::from_raw(54_321)));
        let stranger = geteuid().as_raw() + 77;
        assert!(access.may_change(peer(stranger, 54_321)));
        assert!(!access.may_change(peer(stranger, 54_322)));
    }
}
