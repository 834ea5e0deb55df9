//! `run --learn`: the smallest policy that one call of a plugin needs.
//!
//! The call is run once under a wide policy, with what it writes thrown away, and what it did is noted. From the notes a proposal
//! is made. Then the call is run again and again, under the proposal and under less and less of it, so that what is left is
//! what was needed: the observed run only proposes, the trials decide. Nothing here grants anything; the policy is printed.

mod arguments;
mod draft;
mod places;
mod proposal;
mod seen;
mod trial;
mod wide;

use std::fs::{self, File};
use std::io::{self, IsTerminal, Read as _};
use std::path::{Path, PathBuf};

use portcullis::LoadError;
use portcullis_config::AllowExec;
use portcullis_policy::{Confinement, Digest};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Signal, set_parent_process_death_signal};
use serde_json::json;

use crate::args::RunArgs;
use crate::code;
use crate::exit::Exit;
use crate::failure::{Failure, Result, Say as _, diagnostic};
use crate::render::{self, Printer, count};
use crate::settings::{Environment, Settings};
use crate::signals::Signals;
use crate::target::Target;
use draft::Draft;
use places::Cut;
use proposal::{Key, Line, Proposal};
pub(crate) use seen::Notes;
use seen::Seen;
use trial::{Call, Run, Trials};
use wide::Bounds;

/// Bytes of standard input that are kept for the trials.
const INPUT: u64 = 64 * 1024 * 1024;
/// Notes at most on what was seen: nobody reads more.
const NOTES: usize = 50;
/// Runs to learn from: each may ask for variables that the one before was not told.
const ROUNDS: usize = 3;
/// Learns what a call needs, and prints it.
///
/// # Errors
/// The plugin cannot be run here at all.
pub(crate) async fn learn(args: &RunArgs, env: Environment, out: Printer) -> Result<Exit> {
    match learnt(args, env, out).await {
        // Somebody ended it, and knows.
        Err(Failure { exit, reports }) if reports.is_empty() => Ok(exit),
        learnt => learnt,
    }
}

async fn learnt(args: &RunArgs, env: Environment, out: Printer) -> Result<Exit> {
    let mut signals = Signals::install()?;
    let flags = args.flags();
    if flags.confinement == Some(Confinement::Limits) {
        let report = diagnostic(
            code::UNLEARNT,
            "what unconfined commands do would be done, and could not be thrown away",
        );
        return Err(Failure::usage(
            report.help("leave out `--confinement=limits`"),
        ));
    }
    let own = portcullis_config::FlagSet {
        confinement: flags.confinement,
        // What is denied is known of a plugin that may run something.
        allow_exec: Some(AllowExec::All),
        deny_exec: flags.deny_exec.clone(),
        ..Default::default()
    };
    let (selector, rest) = args
        .plugin
        .split_first()
        .map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
    let rest = rest.strip_prefix(&["--".to_owned()]).unwrap_or(rest);
    let cwd = env.cwd.clone();
    let (settings, mut target) = Target::load(&args.common, &own, &env, selector)?;
    target.bytes = target.source()?.bytes;
    refuse_revoked(&settings, &target)?;
    let project = settings
        .project
        .canonicalize()
        .map_err(|error| Failure::unusable("open", &settings.project, &error))?;
    let place = Place::make(&settings)?;
    let stages = !rustix::process::geteuid().is_root();
    if !stages && !out.quiet {
        out.tell("portcullis: as root nothing is staged, so nothing is written while it is learnt");
    }
    let call = Call {
        dir: place.dir.clone(),
        project: project.clone(),
        data: settings.directories.data.clone(),
        plugin: target.entry.path.clone(),
        args: target.first_args.iter().chain(rest).cloned().collect(),
        flags: passed_on(args, &flags, &target),
        stdin: input(args.stdin, &target, &place.dir)?,
        stages,
    };
    let bounds = Bounds::of(&target, &flags, &project, &cwd);
    let watched = Watched {
        call: &call,
        target: &target,
        bounds: &bounds,
        env: &env,
    };
    let (learnt, seen, variables) = match watched.run(&mut signals).await? {
        Ok(learnt) => learnt,
        // It has said why.
        Err(exit) => return Ok(exit),
    };
    let draft = Draft {
        target: &target,
        bounds: &bounds,
        seen: &seen,
        project: &project,
        variables: &variables,
        env: &env,
    };
    let mut learning = Learning {
        trials: Trials::new(&call),
        draft: &draft,
        signals: &mut signals,
        is_cut_short: false,
    };
    let (proposal, found) = learning.learn(&learnt).await?;
    // What was found comes first: a plugin decides how many the others are.
    let mut notes = learning.notes(found);
    notes.extend(
        learnt
            .error()
            .map(|error| format!("the call failed: {error}")),
    );
    let others = draft.notes(&learnt.denials());
    notes.extend(others.iter().take(NOTES).cloned());
    if let Some(more) = others.len().checked_sub(NOTES).filter(|&more| more > 0) {
        notes.push(format!("and {}", count(more as u64, "more note")));
    }
    let trials = learning.trials.count;
    print(&proposal, &learnt, trials, found, &notes, args, out)?;
    Ok(match found {
        Found::Enough => Exit::OK,
        Found::TooLittle | Found::Untried(_) => Exit::NEGATIVE,
    })
}

/// Whether the proposal is enough for the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Enough,
    /// The call comes to something else under it: what it needs is never proposed, or it does not repeat itself.
    TooLittle,
    /// The call was not repeated, because of this.
    Untried(&'static str),
}

/// The directory of one learning, removed with it.
struct Place {
    dir: PathBuf,
    /// Says for as long as it is locked that the directory is in use.
    _lock: File,
}

impl Place {
    fn make(settings: &Settings) -> Result<Self> {
        let above = settings.directories.data.join("learning");
        for dir in [&settings.directories.data, &above] {
            let private = portcullis_private::PrivateDir::open_or_create(dir);
            private.map_err(|error| Failure::audit(&error))?;
        }
        Self::make_in(&above).map_err(|error| Failure::unusable("use", &above, &error))
    }

    fn make_in(above: &Path) -> io::Result<Self> {
        // Nobody else makes or removes one meanwhile.
        let alone = File::open(above)?;
        flock(&alone, FlockOperation::LockExclusive)?;
        for left in fs::read_dir(above)?.flatten() {
            let lock = File::open(left.path())?;
            if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
                // Of one that was killed.
                let _: io::Result<()> = fs::remove_dir_all(left.path());
            }
        }
        let mut number = 0_u64;
        let dir = loop {
            let dir = above.join(number.to_string());
            match fs::create_dir(&dir) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                made => break made.map(|()| dir)?,
            }
        };
        let lock = File::open(&dir)?;
        flock(&lock, FlockOperation::LockExclusive)?;
        Ok(Self { dir, _lock: lock })
    }
}

/// Ends this run with the learning that it belongs to, which has the directory above its state locked. Gives whether that is
/// still there.
pub(crate) fn follow(state: &Path) -> io::Result<bool> {
    set_parent_process_death_signal(Some(Signal::TERM))?;
    let Some(place) = state.parent() else {
        return Ok(false);
    };
    let lock = File::open(place)?;
    Ok(flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err())
}

impl Drop for Place {
    fn drop(&mut self) {
        // The next learning removes what is left.
        let _: io::Result<()> = fs::remove_dir_all(&self.dir);
    }
}

/// What the plugin is to read, kept because it reads it in each run.
fn input(wanted: bool, target: &Target, dir: &Path) -> Result<Option<PathBuf>> {
    let is_command = portcullis::Kind::of(&target.bytes).is_command();
    if !wanted && (!is_command || io::stdin().is_terminal()) {
        return Ok(None);
    }
    let file = dir.join("input");
    let mut bytes = Vec::new();
    io::stdin().lock().take(INPUT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > INPUT {
        let most = INPUT / (1024 * 1024);
        let report = diagnostic(
            code::UNLEARNT,
            format!("standard input has more than {most} MiB, which is what is kept for each run"),
        );
        return Err(Failure::usage(report));
    }
    fs::write(&file, bytes).map_err(|error| Failure::unusable("write", &file, &error))?;
    Ok(Some(file))
}

/// Nothing of what is revoked has run, not even to be learnt from.
fn refuse_revoked(settings: &Settings, target: &Target) -> Result<()> {
    let digest = Digest::from(target.digest);
    if settings.provenance().revoked.contains(&digest) {
        let plugin = target.entry.id.clone();
        return Err(LoadError::Revoked { plugin, digest }.into());
    }
    Ok(())
}

/// What holds in each run: flags as they were given, and the programs that a policy denies the plugin.
fn passed_on(args: &RunArgs, flags: &portcullis_config::FlagSet, target: &Target) -> Vec<String> {
    let answers = args.answer.iter();
    let mut passed: Vec<_> = answers.map(|answer| format!("--answer={answer}")).collect();
    passed.extend(flags.confinement.map(|tier| {
        let word = match tier {
            Confinement::Full => "full",
            Confinement::Namespaces => "namespaces",
            Confinement::Landlock => "landlock",
            Confinement::Limits => "limits",
        };
        format!("--confinement={word}")
    }));
    let exec = target.entry.grants.exec.iter();
    let denied = exec.flat_map(|exec| &exec.deny);
    passed.extend(denied.map(|rule| format!("--deny-exec={}", rule.program)));
    let told = flags.env.iter().filter(|text| text.contains('='));
    passed.extend(told.map(|text| format!("--env={text}")));
    passed
}

/// The runs that are learnt from.
struct Watched<'a> {
    call: &'a Call,
    target: &'a Target,
    bounds: &'a Bounds,
    env: &'a Environment,
}

impl Watched<'_> {
    /// Runs it until it asks for no variable that it was not told, or did something outside. Gives what the last run did, and the variables; or how this
    /// ends because the plugin cannot be run.
    async fn run(&self, signals: &mut Signals) -> Result<Result<(Run, Seen, Vec<String>), Exit>> {
        let (policy, notes) = (
            self.call.dir.join("learning.toml"),
            self.call.dir.join("seen.json"),
        );
        let mut variables: Vec<String> = Vec::new();
        for round in 1.. {
            let text = self.bounds.policy(self.target, &variables).toml();
            fs::write(&policy, text)
                .map_err(|error| Failure::unusable("write", &policy, &error))?;
            let run = self.call.learn(&policy, &notes, signals).await?;
            let seen = fs::read(&notes).ok();
            // The next run makes it anew.
            let _: io::Result<()> = fs::remove_file(&notes);
            let seen = seen.and_then(|bytes| serde_json::from_slice::<Seen>(&bytes).ok());
            let Some(seen) = seen.filter(|_| !trial::is_ours(&run)) else {
                let exit = u8::try_from(run.exit).map_or(Exit::OURS, Exit);
                return Ok(Err(if exit == Exit::OK { Exit::OURS } else { exit }));
            };
            let asked = seen.variables.iter().filter(|(name, variable)| {
                let is_told = variables.contains(name);
                variable.is_set && is_name(name) && !self.env.is_secret(name) && !is_told
            });
            let asked: Vec<_> = asked.map(|(name, _)| name.clone()).collect();
            if asked.is_empty() || round == ROUNDS || seen.has_effects() {
                return Ok(Ok((run, seen, variables)));
            }
            variables.extend(asked);
        }
        Ok(Err(Exit::OURS))
    }
}

/// Whether it is the name of one variable, as a policy has it.
fn is_name(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
}

/// From the first proposal to one of which nothing can be left out.
struct Learning<'a> {
    trials: Trials<'a>,
    draft: &'a Draft<'a>,
    signals: &'a mut Signals,
    /// Whether there was no time to try everything.
    is_cut_short: bool,
}

impl Learning<'_> {
    async fn learn(&mut self, learnt: &Run) -> Result<(Proposal, Found)> {
        let whole = self.draft.whole(true);
        let untried = if self.draft.seen.has_effects() {
            Some("a second run would have done again what the first one did on the network")
        } else if learnt.is_endless() {
            Some("the call was ended because its time was over, which it would be in each trial")
        } else {
            None
        };
        if let Some(why) = untried {
            return Ok((self.narrowest(), Found::Untried(why)));
        }
        let mut proposal = whole;
        let mut is_enough = self.trials.begin(&proposal, learnt, self.signals).await?;
        if !is_enough {
            // A kind may have been read out of arguments that are none.
            let literal = self.draft.whole(false);
            if literal != proposal {
                proposal = literal;
                is_enough = self.trials.begin(&proposal, learnt, self.signals).await?;
            }
        }
        if !self.trials.can_compare() {
            return Ok((self.narrowest(), Found::TooLittle));
        }
        if !self.write_nothing(&mut proposal).await? {
            self.cut(&mut proposal, Key::Write).await?;
        }
        self.cut(&mut proposal, Key::Read).await?;
        self.drop_lines(&mut proposal).await?;
        self.tighten(&mut proposal).await?;
        self.narrow_rules(&mut proposal).await?;
        // What comes to the same by chance once does not twice.
        let holds = self.trials.is_enough(&proposal, self.signals).await?;
        Ok((
            proposal,
            if is_enough && holds {
                Found::Enough
            } else {
                Found::TooLittle
            },
        ))
    }

    /// What was used and nothing wider, untried.
    fn narrowest(&self) -> Proposal {
        let mut proposal = self.draft.whole(false);
        let bounds = self.draft.bounds;
        proposal.lines.retain(|line| bounds.may_need(line.key));
        for key in [Key::Read, Key::Write] {
            self.replace(
                &mut proposal,
                key,
                self.draft.cover(key, None, Cut::Directories),
            );
        }
        proposal
    }

    fn replace(&self, proposal: &mut Proposal, key: Key, places: Vec<PathBuf>) {
        let named = &self.draft.bounds.named;
        let is_named = |line: &Line| named.iter().any(|(_, named)| named == line);
        proposal
            .lines
            .retain(|line| line.key != key || is_named(line));
        proposal.lines.extend(self.draft.places(key, places));
    }

    /// Takes a change over if it leaves enough. Gives whether it does.
    async fn attempt(&mut self, proposal: &mut Proposal, changed: Proposal) -> Result<bool> {
        if self.trials.are_over() {
            self.is_cut_short = true;
            return Ok(false);
        }
        if changed == *proposal {
            return Ok(false);
        }
        let is_enough = self.trials.is_enough(&changed, self.signals).await?;
        if is_enough {
            *proposal = changed;
        }
        Ok(is_enough)
    }

    /// Takes away all writing where none was seen, and compares with that from then on.
    async fn write_nothing(&mut self, proposal: &mut Proposal) -> Result<bool> {
        if self.draft.has_written() || !self.draft.bounds.named.is_empty() {
            return Ok(false);
        }
        let mut changed = proposal.clone();
        self.replace(&mut changed, Key::Write, Vec::new());
        self.replace(&mut changed, Key::Read, self.draft.wide(Key::Read));
        let does = self.trials.begin_unstaged(&changed, self.signals).await?;
        if does {
            *proposal = changed;
        }
        Ok(does)
    }

    /// Cuts the directories down: to nothing, to the files that were used, to their directories, or not at all.
    async fn cut(&mut self, proposal: &mut Proposal, key: Key) -> Result<()> {
        if !proposal.lines.iter().any(|line| line.key == key) {
            return Ok(());
        }
        let covers = [
            Vec::new(),
            self.draft.cover(key, None, Cut::Files),
            self.draft.cover(key, None, Cut::Directories),
        ];
        for places in covers {
            let mut changed = proposal.clone();
            self.replace(&mut changed, key, places.clone());
            if key == Key::Write {
                // What may be written may be read, and now is only read.
                let mut read = self.draft.wide(Key::Read);
                read.retain(|dir| !places.iter().any(|place| dir.starts_with(place)));
                self.replace(&mut changed, Key::Read, read);
            }
            if self.attempt(proposal, changed).await? {
                break;
            }
        }
        Ok(())
    }

    /// Leaves out each line that is not needed.
    async fn drop_lines(&mut self, proposal: &mut Proposal) -> Result<()> {
        let mut at = 0;
        while at < proposal.lines.len() {
            let mut changed = proposal.clone();
            changed.lines.remove(at);
            if !self.attempt(proposal, changed).await? {
                at += 1;
            }
        }
        if proposal.has_commands {
            let changed = Proposal {
                has_commands: false,
                ..proposal.clone()
            };
            let has_rules = proposal.lines.iter().any(|line| line.key == Key::Allow);
            if !has_rules {
                self.attempt(proposal, changed).await?;
            }
        }
        Ok(())
    }

    /// Has each directory give way to the files in it, where few were used.
    async fn tighten(&mut self, proposal: &mut Proposal) -> Result<()> {
        for key in [Key::Write, Key::Read] {
            let files = self.draft.cover(key, None, Cut::Files);
            let dirs: Vec<_> = proposal
                .lines
                .iter()
                .filter(|line| line.key == key)
                .cloned()
                .collect();
            for dir in dirs {
                let is_it = |place: &Path| self.draft.place(place).as_ref() == Some(&dir.value);
                let within: Vec<_> = files
                    .iter()
                    .filter(|file| file.ancestors().skip(1).any(is_it))
                    .cloned()
                    .collect();
                if within.is_empty() {
                    continue;
                }
                let mut changed = proposal.clone();
                changed.lines.retain(|line| *line != dir);
                changed.lines.extend(self.draft.places(key, within));
                let before = proposal.lines.len();
                if self.attempt(proposal, changed).await? {
                    let new = proposal.lines.len() + 1 - before;
                    self.drop_last(proposal, new).await?;
                }
            }
        }
        Ok(())
    }

    /// Leaves out those of the last lines that are not needed.
    async fn drop_last(&mut self, proposal: &mut Proposal, lines: usize) -> Result<()> {
        let mut at = proposal.lines.len().saturating_sub(lines);
        while at < proposal.lines.len() {
            let mut changed = proposal.clone();
            changed.lines.remove(at);
            if !self.attempt(proposal, changed).await? {
                at += 1;
            }
        }
        Ok(())
    }

    /// Takes away from each rule what its commands did not need.
    async fn narrow_rules(&mut self, proposal: &mut Proposal) -> Result<()> {
        let draft = self.draft;
        let has = |proposal: &Proposal, key| proposal.lines.iter().any(|line| line.key == key);
        let rules: Vec<_> = (0..proposal.lines.len())
            .filter(|&at| proposal.lines[at].key == Key::Allow)
            .collect();
        // With one rule, and a plugin that uses no file itself, the rights of the rule are those of the plugin.
        let is_alone = rules.len() == 1 && draft.seen.files.is_empty();
        for at in rules {
            let commands = draft.commands_of(&proposal.lines[at]);
            let mut choices = vec![draft.programs(&commands)];
            if !is_alone && has(proposal, Key::Write) {
                choices.push(draft.own(proposal, Key::Write, &commands));
            }
            if !is_alone && has(proposal, Key::Read) {
                choices.push(draft.own(proposal, Key::Read, &commands));
            }
            if has(proposal, Key::Net) {
                choices.push(vec!["net = \"none\"".to_owned()]);
            }
            for narrowings in choices {
                for narrowing in narrowings {
                    let mut changed = proposal.clone();
                    changed.lines[at].narrowing.push(narrowing);
                    if self.attempt(proposal, changed).await? {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// What there is to say of the trials.
    fn notes(&self, found: Found) -> Vec<String> {
        let mut notes = Vec::new();
        match found {
            Found::Enough => {}
            Found::TooLittle => notes.push(
                "NOT ENOUGH: under this policy the call comes to something else than while it was learnt: what it needs is not proposed, or no two runs of it are the same"
                    .to_owned(),
            ),
            Found::Untried(why) => notes.push(format!("NOT TRIED: {why}")),
        }
        if self.is_cut_short {
            notes.push(
                "there was no time to try without each line: some may not be needed".to_owned(),
            );
        }
        if found == Found::Enough {
            for what in self.trials.unsteady() {
                notes.push(format!(
                    "of two calls the {what} differed, so it was not compared"
                ));
            }
        }
        notes
    }
}

impl Draft<'_> {
    /// What the commands of a rule need of the places that are granted: none of them, or fewer.
    fn own(&self, proposal: &Proposal, key: Key, commands: &[&seen::Command]) -> Vec<String> {
        let field = if key == Key::Write { "write" } else { "read" };
        let mut choices = vec![format!("{field} = []")];
        let granted = proposal.lines.iter().filter(|line| line.key == key);
        let granted: Vec<_> = granted.map(|line| line.value.clone()).collect();
        let places = self.cover(key, Some(commands), Cut::Files);
        let own: Vec<_> = places
            .iter()
            .filter_map(|place| self.place(place))
            .collect();
        if !own.is_empty() && own != granted {
            choices.push(format!("{field} = [{}]", own.join(", ")));
        }
        choices
    }
}

fn print(
    proposal: &Proposal,
    learnt: &Run,
    trials: u64,
    found: Found,
    notes: &[String],
    args: &RunArgs,
    out: Printer,
) -> Result<()> {
    let mut text = format!(
        "# NOT REVIEWED: learnt by `portcullis run --learn` from one call, which ended with code {}, and {}.\n# Read every line before you use it. Each was needed for that call; another call may need more.\n",
        learnt.exit,
        count(trials, "trial"),
    );
    for note in notes {
        text.push_str(&format!("# - {}\n", render::line(note)));
    }
    text.push('\n');
    text.push_str(&proposal.toml());
    if args.common.output.json {
        out.json(json!({
            "toml": text,
            "enough": match found {
                Found::Enough => Some(true),
                Found::TooLittle => Some(false),
                Found::Untried(_) => None,
            },
            "trials": trials,
            "exit_code": learnt.exit,
            "notes": notes,
        }))?;
    } else {
        out.line(text.trim_end())?;
    }
    Ok(())
}
