//! `/dev` has what holds nothing, and no other device can be made.

use portcullis_confine::Plan;

use super::{OWN_ROOT, cells_of, output};
use crate::probe::{Tried, probe};

crate::tests![harmless_ones_work, others_are_not_there, none_can_be_made];

fn harmless_ones_work() {
    for tier in OWN_ROOT {
        let cells = cells_of(Plan::new(tier));
        let script = "echo x > /dev/null; head -c 3 /dev/zero | od -An -tx1; \
            head -c 100 /dev/urandom | wc -c; echo y > /dev/stdout; \
            (echo z > /dev/full) 2>/dev/null || echo full; echo in | cat /dev/fd/0";
        assert_eq!(
            output(&cells, script),
            " 00 00 00\n100\ny\nfull\nin\n",
            "{tier:?}"
        );
    }
}

fn others_are_not_there() {
    for tier in OWN_ROOT {
        let cells = cells_of(Plan::new(tier));
        assert_eq!(
            output(&cells, "ls -A /dev"),
            "fd\nfull\nnull\nrandom\nshm\nstderr\nstdin\nstdout\nurandom\nzero\n",
            "{tier:?}"
        );
        let tried = probe(&cells, &["write", "/dev/tty"]);
        assert_eq!(tried, Tried::Refused(libc::ENOENT), "{tier:?}");
    }
}

fn none_can_be_made() {
    for tier in OWN_ROOT {
        let cells = cells_of(Plan::new(tier));
        for kind in ["c 1 1", "b 8 0"] {
            let script = format!("mknod /tmp/device {kind} 2>/dev/null; echo $?");
            assert_eq!(output(&cells, &script), "1\n", "{tier:?} {kind}");
        }
        // The control: what is no device can be made the same way.
        assert_eq!(output(&cells, "mknod /tmp/pipe p; echo $?"), "0\n");
    }
}
