//! Nodes that do not see the state directory.

use crate::{
    cluster,
    site::{QUICK, STEADY, Site},
};

#[test]
fn a_state_directory_that_the_nodes_do_not_see_is_named() {
    let Some((cluster, _alone)) = cluster::fragile("a_state_directory") else {
        return;
    };
    let mut site = Site::new(cluster, QUICK);
    site.serve();
    // The node's daemon gets an empty directory in its place, as where the file system is not shared.
    let state = site.path("state");
    if let Err(why) = cluster.start_without_sight_of(&state) {
        cluster.start();
        println!("skipped a_state_directory: {why}");
        return;
    }
    site.campaign("unseen", 2, "", "", STEADY);
    site.submit("unseen");
    site.until_state("unseen", "failed");
    let cause = site.status("unseen")["cause"].to_string();
    cluster.stop("slurmd");
    cluster.start();
    println!("unseen: {cause}");
    assert!(
        cause.contains("a job that does nothing did not come back"),
        "{cause}"
    );
    assert!(cause.contains(&*state.to_string_lossy()), "{cause}");
    assert!(site.lines("unseen").is_empty());
}
