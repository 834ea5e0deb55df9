//! OTLP log records over HTTP, in JSON, to a collector nearby.
//!
//! Plain HTTP: a collector elsewhere is reached through one on this machine, which has the certificates and the
//! credentials for it.

use std::io;

use super::Outlet;

/// Opens an outlet to a collector.
pub(super) fn open(endpoint: &str) -> io::Result<Box<dyn Outlet>> {
    let place = endpoint.strip_prefix("http://").unwrap_or_default();
    if place.is_empty() || place.contains('@') {
        let why = format!("`{endpoint}` is no endpoint: expected `http://host:port/v1/logs`");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    to(endpoint)
}

#[cfg(not(feature = "otlp"))]
fn to(_: &str) -> io::Result<Box<dyn Outlet>> {
    let why =
        "this build cannot pass events on to a collector: it was made without the feature `otlp`";
    Err(io::Error::new(io::ErrorKind::Unsupported, why))
}

#[cfg(feature = "otlp")]
fn to(endpoint: &str) -> io::Result<Box<dyn Outlet>> {
    Ok(Box::new(client::Otlp::new(endpoint)?))
}

#[cfg(feature = "otlp")]
mod client {
    use std::io;
    use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError};
    use std::thread;
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::super::{Message, Outlet};

    /// Messages that wait to be sent; a collector that is slower than that loses some.
    const WAITING: usize = 1024;
    /// Messages of one request.
    const BATCH: usize = 128;
    /// How long one request may take.
    const PATIENCE: Duration = Duration::from_secs(5);

    /// A thread that sends, so that nobody waits for it.
    #[derive(Debug)]
    pub(in super::super) struct Otlp {
        queue: SyncSender<Work>,
        lost: u64,
        why: String,
    }

    #[derive(Debug)]
    enum Work {
        Message(Message),
        /// One that somebody waits for.
        Must(Message, Sender<io::Result<()>>),
        /// Everything before this was tried: says what was lost since the last time.
        Settle(Sender<(u64, String)>),
    }

    impl Otlp {
        pub(super) fn new(endpoint: &str) -> io::Result<Self> {
            let (queue, work) = mpsc::sync_channel(WAITING);
            // The operator names the way, not the environment.
            let config = ureq::Agent::config_builder()
                .proxy(None)
                .timeout_global(Some(PATIENCE))
                .max_redirects(0);
            let client = Client {
                agent: config.build().into(),
                endpoint: endpoint.to_owned(),
                lost: 0,
                why: String::new(),
            };
            thread::Builder::new()
                .name("portcullis-otlp".to_owned())
                .spawn(move || client.run(&work))?;
            Ok(Self {
                queue,
                lost: 0,
                why: String::new(),
            })
        }
    }

    impl Outlet for Otlp {
        fn send(&mut self, message: &Message, must: bool) -> io::Result<()> {
            if must {
                let (tell, told) = mpsc::channel();
                let work = Work::Must(message.clone(), tell);
                self.queue.send(work).map_err(io::Error::other)?;
                return told.recv().map_err(io::Error::other)?;
            }
            if let Err(error) = self.queue.try_send(Work::Message(message.clone())) {
                self.lost += 1;
                self.why = match error {
                    TrySendError::Full(_) => "it takes them too slowly".to_owned(),
                    TrySendError::Disconnected(_) => "its thread has ended".to_owned(),
                };
            }
            Ok(())
        }

        fn settle(&mut self, within: Duration) -> Option<(u64, String)> {
            let (tell, told) = mpsc::channel();
            let sent = self.queue.try_send(Work::Settle(tell)).is_ok();
            let by_thread = match told.recv_timeout(within) {
                Ok(lost) => lost,
                Err(RecvTimeoutError::Timeout) if sent => (1, "it does not answer".to_owned()),
                Err(_) => (0, String::new()),
            };
            let lost = std::mem::take(&mut self.lost) + by_thread.0;
            let why = Some(by_thread.1).filter(|why| !why.is_empty());
            let why = why.unwrap_or_else(|| std::mem::take(&mut self.why));
            (lost > 0).then_some((lost, why))
        }
    }

    #[derive(Debug)]
    struct Client {
        agent: ureq::Agent,
        endpoint: String,
        lost: u64,
        why: String,
    }

    impl Client {
        /// Sends until nobody has anything to send any more.
        fn run(mut self, work: &Receiver<Work>) {
            let mut batch = Vec::new();
            while let Ok(first) = work.recv() {
                let mut next = Some(first);
                // What has come in the meantime goes along.
                while let Some(work_now) = next {
                    match work_now {
                        Work::Message(message) => {
                            batch.push(message);
                            if batch.len() == BATCH {
                                self.flush(&mut batch);
                            }
                        }
                        Work::Must(message, tell) => {
                            self.flush(&mut batch);
                            // Nobody waits any more if it cannot be told.
                            let _ = tell.send(self.post(&[message]));
                        }
                        Work::Settle(tell) => {
                            self.flush(&mut batch);
                            let why = std::mem::take(&mut self.why);
                            let _ = tell.send((std::mem::take(&mut self.lost), why));
                        }
                    }
                    next = work.try_recv().ok();
                }
                self.flush(&mut batch);
            }
        }

        fn flush(&mut self, batch: &mut Vec<Message>) {
            if batch.is_empty() {
                return;
            }
            if let Err(error) = self.post(batch) {
                self.lost += batch.len() as u64;
                self.why = error.to_string();
            }
            batch.clear();
        }

        fn post(&self, messages: &[Message]) -> io::Result<()> {
            let body = request(messages).to_string();
            let request = self.agent.post(&self.endpoint);
            let request = request.header("content-type", "application/json");
            // Other statuses than those of success are errors.
            let mut answer = request
                .send(body.as_bytes())
                .map_err(ureq::Error::into_io)?;
            // Read only so that the connection can be used again.
            let _ = answer.body_mut().read_to_vec();
            Ok(())
        }
    }

    /// An `ExportLogsServiceRequest`, as the JSON mapping of OTLP has it: 64-bit numbers are strings.
    fn request(messages: &[Message]) -> Value {
        let records: Vec<_> = messages.iter().map(record).collect();
        json!({ "resourceLogs": [{
            "resource": { "attributes": [text("service.name", "portcullis")] },
            "scopeLogs": [{ "scope": { "name": "portcullis.audit" }, "logRecords": records }],
        }] })
    }

    fn record(message: &Message) -> Value {
        let (number, word) = if message.denied {
            (13, "WARN")
        } else {
            (9, "INFO")
        };
        json!({
            "timeUnixNano": message.at.as_nanosecond().to_string(),
            "severityNumber": number,
            "severityText": word,
            "body": { "stringValue": message.text },
            "attributes": [text("portcullis.kind", message.kind)],
        })
    }

    fn text(key: &str, value: &str) -> Value {
        json!({ "key": key, "value": { "stringValue": value } })
    }
}
