//! LOCAL ONLY, never committed: stands in for the command line until it is wired.
#![allow(clippy::all, clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, clippy::print_stderr)]
use std::{ffi::CString, fs::File, io::{self, Read}, os::fd::{AsFd, OwnedFd}, path::Path};
use portcullis_confine::*;
fn list(text: &str, key: &str) -> Option<Vec<String>> {
    let at = text.find(&format!("{key} = ["))?;
    let rest = &text[at..]; let rest = &rest[rest.find('[')? + 1..]; let inner = &rest[..rest.find(']')?];
    Some(inner.split('"').skip(1).step_by(2).map(str::to_owned).collect())
}
fn main() {
    enter();
    let args: Vec<String> = std::env::args().collect();
    let text = std::fs::read_to_string(&args[3]).unwrap();
    let tier = match () { () if text.contains("\"full\"") => Tier::Full, () if text.contains("\"namespaces\"") => Tier::Namespaces, () => Tier::Landlock };
    let mut plan = Plan::new(tier).home(std::env::var("HOME").unwrap());
    let net = text.lines().find(|l| l.starts_with("net = ")).unwrap();
    plan = plan.network(match net { "net = \"open\"" => Net::Open, "net = \"loopback\"" => Net::Loopback, "net = \"none\"" => Net::None, "net = []" => Net::None, _ => Net::Proxy });
    let we = list(&text, "write_exec").unwrap_or_default();
    let root = |p: &str, a| Root::open(&std::fs::canonicalize(p).unwrap(), a).unwrap();
    let write = list(&text, "write").unwrap();
    for p in &write { plan = plan.root(root(p, if we.contains(p) { Access::WriteExec } else { Access::Write })); }
    for p in list(&text, "{ read").unwrap() { if !write.contains(&p) { plan = plan.root(root(&p, Access::Read)); } }
    for p in list(&text, "system").unwrap_or_default() { plan = plan.root(root(&p, Access::Program)); }
    let mut reqs = args[7..].split(|a| a == ";;").peekable();
    let prog = reqs.peek().unwrap().iter().skip_while(|a| *a != "--").nth(1).unwrap().clone();
    plan = plan.root(root(&prog, Access::Program));
    if let Some(names) = list(&text, ", exec") { plan = plan.only_listed_programs(); for n in names { plan = plan.root(root(&format!("/usr/bin/{n}"), Access::Program)); } }
    let server = match SpawnServer::start(&Helper::find(None).unwrap(), &plan) { Ok(s) => s, Err(e) => { let mut e: &dyn std::error::Error = &e; loop { eprintln!("{e}"); match e.source() { Some(s) => e = s, None => break } } std::process::exit(3) } };
    let template = server.template(&plan).unwrap();
    for r in reqs {
        template.request_cell().unwrap();
        let cell = loop { let s = template.socket(); let mut f=[rustix::event::PollFd::new(&s, rustix::event::PollFlags::IN)]; rustix::event::poll(&mut f, None).unwrap(); match template.receive_cell() { Ok(Some(c)) => break c, Ok(None) => {}, Err(e) => { eprintln!("{e:?}"); std::process::exit(3) } } };
        let cwd = r[1].strip_prefix("--cwd=").unwrap();
        let words: Vec<_> = r.iter().skip_while(|a| *a != "--").skip(1).collect();
        let argv: Vec<CString> = words.iter().map(|w| CString::new(w.as_bytes()).unwrap()).collect();
        let env: Vec<CString> = [format!("HOME={}", std::env::var("HOME").unwrap()), "PATH=/usr/bin:/bin".into(), "HTTPS_PROXY=http://127.0.0.1:3128".into()].iter().map(|w| CString::new(w.as_bytes()).unwrap()).collect();
        let (mut out, out_end) = io::pipe().unwrap();
        let (mut err, err_end) = io::pipe().unwrap();
        let stdin: OwnedFd = File::open("/dev/null").unwrap().into();
        let program = File::open(&words[0]).unwrap(); let dir = File::open(cwd).unwrap();
        let limits = Rlimits { open_files: Some(4096), processes: Some(512), ..Rlimits::default() };
        let c = CellCommand { program: program.as_fd(), argv: &argv, env: &env, cwd: dir.as_fd(), stdin: stdin.as_fd(), stdout: out_end.as_fd(), stderr: err_end.as_fd(), limits };
        cell.start(&c).unwrap(); drop(out_end); drop(err_end);
        let mut o = Vec::new(); out.read_to_end(&mut o).unwrap(); let mut e = Vec::new(); err.read_to_end(&mut e).unwrap();
        let ev = loop { let s = cell.socket(); let mut f=[rustix::event::PollFd::new(&s, rustix::event::PollFlags::IN)]; rustix::event::poll(&mut f, None).unwrap(); if let Some(e) = cell.receive().unwrap() { break e } };
        let s = match ev { Event::Exited { status: Status::Code(c), .. } => c as i32, Event::Exited { status: Status::Signal(s), .. } => 128 + s as i32, other => { eprintln!("{other:?}"); 999 } };
        println!("status={s}\nstdout={}\nstderr={}", String::from_utf8_lossy(&o), String::from_utf8_lossy(&e));
    }
    let _ = Path::new("/");
}
