//! Lines as SLURM 22.05.8 printed them, and as a fault leaves them.

use super::*;
use crate::executor::slurm::words::Word;

/// Lines with `|` for the separator.
fn printed(text: &str) -> Vec<u8> {
    text.replace('|', "\u{1f}").into_bytes()
}

fn ranges_of(indices: &Indices) -> &[(u32, u32)] {
    match indices {
        Indices::Some(ranges) => ranges,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_queue_reads() {
    let rows = queue(&printed(
        "64|1,3%1|a-2|PENDING|JobArrayTaskLimit||main\n\
         64|0|a-2|RUNNING|None|node1|main\n\
         61|N/A|a-1|CANCELLED|PartitionTimeLimit||short\n",
    ));
    assert_eq!(rows.len(), 3);
    assert_eq!(ranges_of(&rows[0].indices), [(1, 1), (3, 3)]);
    assert_eq!(rows[0].reason, "JobArrayTaskLimit");
    assert_eq!(rows[0].nodes, "");
    assert_eq!(rows[1].indices, Indices::Some(vec![(0, 0)]));
    assert_eq!(rows[1].state, State::Known(Word::Running));
    assert_eq!(
        (rows[1].reason.as_str(), rows[1].nodes.as_str()),
        ("", "node1")
    );
    assert_eq!(rows[2].indices, Indices::Whole);
    assert_eq!(rows[2].state, State::Cancelled { by: None });
    assert_eq!(rows[2].partition, "short");
}

#[test]
fn a_line_that_is_not_whole_is_no_line() {
    // A name with a line feed tears its line in two; a foreign name with pipes does not.
    let torn = printed("3|1,3|weird\nme|PENDING|None||main\n4|N/A|a-4|RUNNING|None|n1|main\n");
    let ids: Vec<u64> = queue(&torn).iter().map(|row| row.id).collect();
    assert_eq!(ids, [4]);
    let piped = b"5\x1fN/A\x1fa|b|c\x1fRUNNING\x1fNone\x1fn1\x1fmain\n";
    assert_eq!(queue(piped)[0].name, "a|b|c");
    // Whatever the output is cut at, what is read was there.
    let whole = printed("64|1,3%1|a-2|PENDING|None||main\n65|N/A|b|RUNNING|None|n1|main\n");
    let rows = queue(&whole);
    for cut in 0..whole.len() {
        let part = queue(&whole[..cut]);
        assert_eq!(part[..], rows[..part.len()], "cut at {cut}");
    }
    assert_eq!(queue(b"CLUSTER: local\n\xff\xfe\n\n"), []);
    assert_eq!(queue(&printed("x|N/A|a|RUNNING|None||main\n")), []);
}

#[test]
fn lists_of_indices_read_and_cut_ones_do_not() {
    assert_eq!(ranges_of(&indices_of("0-9%2")), [(0, 9)]);
    assert_eq!(ranges_of(&indices_of("[0-3,7%5]")), [(0, 3), (7, 7)]);
    assert_eq!(ranges_of(&indices_of("1-8:3%3")), [(1, 1), (4, 4), (7, 7)]);
    for unclear in [
        "[0-3,7",
        "1,3,...",
        "0-",
        "7-3",
        "-1",
        "+1",
        "a",
        "",
        "1-9:0",
        "0-9%",
        "0-4294967295:2",
        "4294967296",
    ] {
        assert_eq!(indices_of(unclear), Indices::Unclear(unclear.into()));
    }
    assert!(!Indices::Unclear("x".into()).has(0));
}

#[test]
fn the_accounts_read() {
    let rows = accounts(&printed(
        "60|a-1|CANCELLED by 0|0:0|0|1795321396|None assigned|1795321395\n\
         63_[0-3]|a-2|CANCELLED by 0|0:0|0|None|None assigned|1795321395\n\
         7_[0-9%2]|a-3|PENDING|0:0|0|Unknown|None assigned|1795321147\n\
         1_2|a-4|FAILED|3:0|2|1795321150|node1|1795321147\n\
         1_2.batch|batch|FAILED|3:0|2|1795321150|node1|1795321147\n\
         2.batch|batch|FAILED|3:0|2|1795321150|node1|1795321147\n",
    ));
    let seen: Vec<_> = rows.iter().map(|row| (row.id, row.name.as_str())).collect();
    assert_eq!(seen, [(7, "a-3"), (1, "a-4"), (60, "a-1"), (63, "a-2")]);
    assert_eq!(rows[1].indices, Indices::Some(vec![(2, 2)]));
    assert_eq!(rows[1].exit, "3:0");
    assert_eq!(
        (rows[1].elapsed_seconds, rows[1].nodes.as_str()),
        (Some(2), "node1")
    );
    assert_eq!(
        (rows[0].elapsed_seconds, rows[0].nodes.as_str()),
        (None, "")
    );
    assert_eq!(rows[2].state, State::Cancelled { by: Some(0) });
    assert_eq!(rows[2].elapsed_seconds, None);
    assert_eq!(ranges_of(&rows[3].indices), [(0, 3)]);
}

#[test]
fn the_latest_submission_comes_last_and_odd_times_do_no_harm() {
    let names = |text: &str| -> Vec<String> {
        accounts(&printed(text))
            .into_iter()
            .map(|row| row.name)
            .collect()
    };
    let by_seconds = "5|new|FAILED|1:0|2|9|n|1000000000\n5|old|COMPLETED|0:0|2|9|n|999999999\n";
    assert_eq!(names(by_seconds), ["old", "new"]);
    let by_date =
        "5|new|FAILED|1:0|2|9|n|2026-11-22T04:19:07\n5|old|FAILED|1:0|2|9|n|2025-11-22T04:19:07\n";
    assert_eq!(names(by_date), ["old", "new"]);
    let unknown = "5|a|FAILED|1:0|2|Unknown|n|Unknown\n";
    assert_eq!(names(unknown), ["a"]);
    assert_eq!(
        accounts(&printed("5+1|het|RUNNING|0:0|1|9|n|1\n"))[0].indices,
        Indices::Unclear("+1".into())
    );
}

#[test]
fn an_id_is_found_among_banners() {
    assert_eq!(submitted(b"10;local\n"), Some(10));
    assert_eq!(submitted(b"11\n"), Some(11));
    assert_eq!(
        submitted(b"Submitted batch job 11 on cluster local\n"),
        Some(11)
    );
    assert_eq!(submitted(b"Submitted batch job 12\n"), Some(12));
    let banner =
        b"*** 2026 maintenance: 3 nodes ***\n--------\nquota 80\n4711;c1\nHave a nice day\nbye";
    assert_eq!(submitted(banner), Some(4711));
    for none in [
        &b""[..],
        b"12",
        b"0\n",
        b"job 12\n",
        b"12 queued\n",
        b"-3\n",
        b"12;\n",
        b"12;a b\n",
        b"99999999999999999999\n",
        b"Submitted batch job x\n",
    ] {
        assert_eq!(submitted(none), None, "{}", String::from_utf8_lossy(none));
    }
}
