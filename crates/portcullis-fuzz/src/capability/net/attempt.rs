//! As there, for what is always allowed and has no end.

use std::time::Duration;

use portcullis_policy::Target;

use super::failure::{Failed, NetFailure};
use super::script::Script;
use super::target;
use crate::capability::Client;
use crate::gate::{Asked, Gate};

/// As there.
pub(super) struct Outside {
    pub(super) client: Client,
    pub(super) server: Script,
}

/// As there.
pub(super) trait Given {
    fn bytes(&self) -> usize;
}

impl Gate {
    pub(super) fn net_place(
        &mut self,
        _: &'static str,
        host: &str,
        port: u16,
        timeout: Option<Duration>,
    ) -> Result<(Target, (), Outside), NetFailure> {
        self.asked.push(Asked::Mail {
            host: host.to_owned(),
            port,
            timeout,
        });
        self.fails(host)?;
        let outside = Outside {
            client: Client,
            server: self.says.server.clone(),
        };
        Ok((target(), (), outside))
    }

    pub(super) async fn net_attempt<T: Given>(
        &mut self,
        (): (),
        work: impl Future<Output = Result<T, Failed>>,
    ) -> Result<T, NetFailure> {
        match work.await {
            Ok(answer) => {
                let _counted: usize = answer.bytes();
                Ok(answer)
            }
            Err(Failed::Other(failure)) => Err(failure),
            Err(Failed::Denied(_)) => panic!("nothing is decided here"),
        }
    }
}
