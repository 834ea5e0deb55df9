//! The attribute, and the function that it leaves.

use std::fmt;

use portcullis as sdk;
use portcullis::process::Command;
use portcullis::testing::{Host, Reply};

mod silent {
    #[portcullis::plugin]
    fn silent() {}

    #[test]
    fn is_called() {
        silent();
    }
}

mod fails {
    #[portcullis::plugin]
    fn fails(args: Vec<String>) -> Result<(), Box<dyn std::error::Error>> {
        let _: u32 = args.concat().parse()?;
        Ok(())
    }

    #[test]
    fn is_called() {
        assert!(fails(vec!["1".to_owned()]).is_ok() && fails(Vec::new()).is_err());
    }
}

/// Something to display.
struct Shown(String);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "on {}", self.0)
    }
}

#[sdk::plugin(crate = sdk)]
fn branch() -> Result<impl fmt::Display, impl fmt::Display> {
    let branch = Command::new("git")
        .args(["branch", "--show-current"])
        .read();
    branch.map(Shown)
}

#[test]
fn a_plugins_function_is_tested_as_any_other() {
    let host = Host::new().command(["git", "branch", "**"], Reply::new().stdout("main\n"));
    assert_eq!(
        host.run(branch)
            .map_err(|error| error.to_string())
            .unwrap()
            .to_string(),
        "on main"
    );
    let denied = Host::new().run(branch).err().unwrap();
    assert!(denied.to_string().contains("denied"));
}

#[test]
fn hosts_are_those_of_their_thread_and_may_be_nested() {
    let say = |text: &str| Host::new().command(["say"], Reply::new().stdout(text));
    let read = || Command::new("say").read().unwrap();
    let (outer, inner) = (say("outer"), say("inner"));
    outer.run(|| {
        assert_eq!(inner.run(read), "inner");
        let panicked = std::panic::catch_unwind(|| Host::new().run(|| panic!("within")));
        assert!(panicked.is_err());
        assert_eq!(read(), "outer");
    });
    assert_eq!((outer.calls().len(), inner.calls().len()), (1, 1));
}

#[test]
#[should_panic(expected = "call this in `portcullis::testing::Host::run`")]
fn without_a_host_it_is_said_what_to_do() {
    let _ = Command::new("git").output();
}
