//! One proxy for one command.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use portcullis_policy::{HostRule, HostRules};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::gate::Gate;
use crate::meter::{Budget, Meter, Metered};
use crate::options::ProxyOptions;
use crate::{http, socks};

/// The first byte of a SOCKS 5 client. No method of HTTP begins with it.
const SOCKS: u8 = 5;
/// How long to wait when the host has no descriptors left for another connection.
const EXHAUSTED: Duration = Duration::from_millis(50);

/// A proxy that connects to the hosts of one command's rules and to nothing else. No rules allow nothing.
pub struct Proxy {
    gate: Arc<Gate>,
}

/// A proxy at work. Dropping it ends the listener and every connection.
#[derive(Debug)]
pub struct Serving {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Makes a proxy for one command.
    pub fn new(rules: Vec<HostRule>, options: ProxyOptions) -> Self {
        let budget = options
            .limits
            .bytes
            .map(|bytes| Arc::new(Budget::new(bytes)));
        Self {
            gate: Arc::new(Gate {
                rules: HostRules::from(rules),
                options,
                budget,
            }),
        }
    }

    /// Serves a listener, which may lie in another network namespace: clients are accepted there, hosts are
    /// connected to from here.
    ///
    /// # Errors
    /// When the listener cannot be made non-blocking or registered.
    ///
    /// # Panics
    /// Outside a Tokio runtime with I/O and time.
    pub fn serve(&self, listener: std::net::TcpListener) -> io::Result<Serving> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(accept(listener, Arc::clone(&self.gate), stopped));
        Ok(Serving {
            stop: Some(stop),
            task,
        })
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("rules", &self.gate.rules)
            .field("options", &self.gate.options)
            .finish_non_exhaustive()
    }
}

impl Serving {
    /// Ends the listener and every connection, and returns when all verdicts have been reported.
    ///
    /// # Cancellation
    /// As dropping: everything ends, and the last verdicts may be reported a little later.
    pub async fn finish(mut self) {
        drop(self.stop.take());
        // It ends by itself; a panic in it has ended all connections too.
        let _panicked: Result<(), tokio::task::JoinError> = (&mut self.task).await;
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, gate: Arc<Gate>, mut stopped: oneshot::Receiver<()>) {
    let places = Arc::new(Semaphore::new(gate.options.limits.connections));
    // Aborts what is left in it when it is dropped.
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            // Who comes when all places are taken waits in the listener's queue.
            let place = Arc::clone(&places).acquire_owned().await;
            (listener.accept().await, place)
        };
        tokio::select! {
            _ = &mut stopped => break,
            Some(_) = connections.join_next() => {}
            (accepted, place) = next => match accepted {
                Ok((client, _)) => {
                    let gate = Arc::clone(&gate);
                    connections.spawn(async move {
                        connection(client, &gate).await;
                        drop(place);
                    });
                }
                Err(_) => sleep(EXHAUSTED).await,
            },
        }
    }
    connections.shutdown().await;
}

async fn connection(client: TcpStream, gate: &Arc<Gate>) {
    let limits = &gate.options.limits;
    let mut first = [0];
    let Ok(Ok(1)) = timeout(limits.head, client.peek(&mut first)).await else {
        return;
    };
    // Small messages of both sides pass at once. A socket that cannot do it is only slower.
    let _slower: io::Result<()> = client.set_nodelay(true);
    let meter = Arc::new(Meter::default());
    let client = Metered::new(client, Arc::clone(&meter));
    let served = async {
        if first == [SOCKS] {
            socks::serve(client, gate).await;
        } else {
            http::serve(client, gate).await;
        }
    };
    tokio::select! {
        () = served => {}
        () = meter.idle(limits.idle) => {}
    }
}
