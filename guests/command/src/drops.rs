//! Everything of a child dropped in every order.

use crate::portcullis::cli::command::Child;
use crate::start;
use crate::wasi::io::poll::Pollable;
use crate::wasi::io::streams::{InputStream, OutputStream};
use crate::words::Words;

/// One thing to drop.
#[expect(dead_code, reason = "it is there to be dropped")]
enum Thing {
    Child(Child),
    Stdin(OutputStream),
    Output(InputStream),
    Pollables([Pollable; 5]),
}

fn things(words: &Words) -> Result<Vec<Thing>, String> {
    let child = start(&words.request(), words.stdio())?;
    let (stdin, stdout, stderr) = (
        child.stdin().unwrap(),
        child.stdout().unwrap(),
        child.stderr().unwrap(),
    );
    let pollables = [
        child.subscribe(),
        stdin.subscribe(),
        stdout.subscribe(),
        stdout.subscribe(),
        stderr.subscribe(),
    ];
    Ok(vec![
        Thing::Child(child),
        Thing::Stdin(stdin),
        Thing::Output(stdout),
        Thing::Output(stderr),
        Thing::Pollables(pollables),
    ])
}

/// All orders of five things: 120.
pub fn all(words: &Words) -> Result<String, String> {
    let mut orders = 0;
    for order in 0..120 {
        let mut things = things(words)?;
        let mut code = order;
        while !things.is_empty() {
            let next = code % things.len();
            code /= things.len();
            match things.remove(next) {
                // What a pollable waits for may be gone by now; it is asked all the same.
                Thing::Pollables(pollables) => pollables.iter().for_each(|one| {
                    one.ready();
                }),
                other => drop(other),
            }
        }
        orders += 1;
    }
    Ok(format!("orders={orders}\n"))
}
