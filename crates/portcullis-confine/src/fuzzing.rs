//! The decoders of messages, for a harness that tries hostile ones.

use crate::wire::{self, CellReply, Outcome};
use crate::{Event, Report, Status, Tier};

/// A report of nothing that was enforced.
#[must_use]
pub fn report() -> Report {
    Report::new(Tier::Limits, 0, [])
}

/// What a message is, decoded in every way there is and encoded again: each must be the message itself.
#[must_use]
pub fn decode(message: &[u8]) -> Vec<Vec<u8>> {
    let mut again = Vec::new();
    if let Ok(reply) = CellReply::parse(message) {
        again.push(reply.encode().to_vec());
    }
    if let Ok(event) = wire::parse_event(message) {
        again.push(wire::outcome(outcome(event, message)).to_vec());
    }
    if let Some(most) = wire::parse_watch(message) {
        again.push(wire::watch_memory(most).to_vec());
    }
    if wire::parse_make_cell(message).is_ok() {
        again.push(wire::make_cell().to_vec());
    }
    if let Ok(request) = wire::parse_request(message) {
        let strings = [request.argv, request.env].concat();
        let head = message.len() - strings.len();
        again.push([&message[..head], &strings].concat());
        let count = strings.iter().filter(|&&byte| byte == 0).count();
        assert_eq!(
            count,
            request.argc + request.envc,
            "strings and their number"
        );
    }
    if let Ok(plan) = wire::plan::parse(message, Vec::new())
        && let Some((encoded, _)) = wire::plan::encode(&plan)
    {
        again.push(encoded);
    }
    again
}

/// What an init would have said. Whether a core was written is not told further, so that bit is taken from the message.
fn outcome(event: Event, message: &[u8]) -> Outcome {
    match event {
        Event::Failed { step, errno } => Outcome::Failed { step, errno },
        Event::Exited {
            status,
            stragglers,
            usage,
        } => {
            let raw = match status {
                Status::Code(code) => i32::from(code) << 8,
                Status::Signal(signal) => signal,
            };
            let core = message.get(4).map_or(0, |byte| i32::from(byte & 0x80));
            Outcome::Exited {
                wait_status: raw | core,
                stragglers,
                usage,
            }
        }
        Event::Killed { processes, usage } => Outcome::Killed { processes, usage },
        Event::OverMemory { processes, usage } => Outcome::OverMemory { processes, usage },
    }
}
