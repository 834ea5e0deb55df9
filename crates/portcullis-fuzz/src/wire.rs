//! Messages between host, server and cell: what is accepted is exactly what would have been sent.

use crate::Run;

pub(crate) fn target() -> Run {
    Box::new(|data| {
        for decoded in portcullis_confine::fuzzing::decode(data) {
            assert_eq!(planted(decoded, data), data, "something hides in a message");
        }
    })
}

#[cfg(not(feature = "planted"))]
fn planted(decoded: Vec<u8>, _: &[u8]) -> Vec<u8> {
    decoded
}

/// The bug: the process number of a cell loses its highest byte.
#[cfg(feature = "planted")]
fn planted(mut decoded: Vec<u8>, data: &[u8]) -> Vec<u8> {
    if data.len() == 16 {
        decoded[7] = 0;
    }
    decoded
}
