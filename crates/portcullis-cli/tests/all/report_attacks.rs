//! Text of a plugin in the page of its run: it is shown, and is nothing else. A trail is made in which every text is hostile.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use html5ever::tendril::TendrilSink as _;
use markup5ever_rcdom::{Handle, NodeData, RcDom};
use portcullis_audit::{
    Answer, Asked, Connection, Decision, DenialsFolded, Done, Effect, Ended, Event, Exhausted,
    Masked, Options, Outcome, Rule, RunEnded, RunStarted, Sink as _, Timestamp, Trail, Verdict,
};

use crate::browser::Browser;
use crate::context::Context;

/// What would change the title if it ran, or load something, or end what it is in.
const HOSTILE: [&str; 21] = [
    "<script>document.title='ran'</script>",
    "</script><script>document.title='ran'</script>",
    "</style><script>document.title='ran'</script>",
    "</title></head><body onload=document.title='ran'>",
    "<img src=x onerror=\"document.title='ran'\">",
    "<svg onload=document.title='ran'></svg>",
    "<iframe srcdoc=\"<script>parent.document.title='ran'</script>\"></iframe>",
    "<a href=\"javascript:document.title='ran'\" id=planted>x</a>",
    "<a href='data:text/html,<script>1</script>'>x</a>",
    "<meta http-equiv=refresh content=\"0;url=http://planted.example/\">",
    "<base href=http://planted.example/><link rel=stylesheet href=x>",
    "<form action=http://planted.example/><button>x</button></form>",
    "\" onmouseover=\"document.title='ran'\" x=\"",
    "' onfocus='document.title=1' autofocus tabindex=1 x='",
    "--><!--<![CDATA[ ]]><plaintext>",
    "&lt;script&gt;document.title='ran'&lt;/script&gt;&#60;&#x3c;",
    "`${document.title='ran'}`{{constructor}}",
    "</td></tr></table></details></section></main><h1>Trail intact</h1>",
    "\u{202e}evil\u{2066}\u{200b}\u{feff}\u{e0041}",
    "nul\0 esc\x1b[2J bell\x07 c1\u{9b} line\nbreak\u{2028}end",
    "denied{}*{background:url(http://planted.example/)}",
];

/// The trail of this context, to be written by the test.
pub(crate) fn trail(context: &Context) -> Trail {
    let home = context.home();
    fs::create_dir_all(home.join(".local/state/portcullis")).unwrap();
    fs::create_dir_all(home.join(".local/share")).unwrap();
    let mut options = Options::default();
    options.keep_head_in = Some(home.join(".local/share/portcullis"));
    Trail::open(&home.join(".local/state/portcullis/audit"), options).unwrap()
}

/// A trail with this text wherever it has any that is not ours.
fn with(context: &Context, texts: &[String]) {
    let trail = trail(context);
    let mut at = 0;
    let mut write = |event: Event| {
        at += 1;
        let time = Timestamp::from_millisecond(1_700_000_000_000 + at).unwrap();
        trail.append(time, &event).unwrap();
    };
    let run = texts[0].clone();
    write(Event::RunStarted(RunStarted {
        run: run.clone(),
        plugin: texts[0].clone(),
        plugin_digest: texts[0].clone(),
        policy_files: texts.to_vec(),
        args: Masked::argv(texts),
    }));
    let mut call = 0;
    for text in texts {
        for capability in ["exec", "fs", "http", "net", text.as_str()] {
            events(&run, &mut call, capability, text, &mut write);
        }
    }
    write(Event::RunEnded(RunEnded {
        run,
        exit_code: 0,
        duration_us: 5,
    }));
}

/// One event of each kind, about this text.
fn events(run: &str, call: &mut u64, capability: &str, text: &str, write: &mut impl FnMut(Event)) {
    let masked = || Masked::new(text);
    let object = || match capability {
        "exec" => Masked::argv(["run", text]),
        "http" => Masked::new(&format!("GET https://{text}/{text}")),
        _ => masked(),
    };
    let effect = Effect {
        failed: Some(masked()),
        address: Some(text.to_owned()),
        secrets: vec![text.to_owned()],
        ..Effect::default()
    };
    *call += 1;
    write(Event::Asked(Asked {
        run: run.to_owned(),
        call: *call,
        plugin: text.to_owned(),
        capability: capability.to_owned(),
        object: object(),
        answer: Answer::Once,
    }));
    for verdict in [Verdict::Allow, Verdict::Deny] {
        write(Event::Decision(Decision {
            run: run.to_owned(),
            call: *call,
            plugin: text.to_owned(),
            capability: capability.to_owned(),
            function: Some(text.to_owned()),
            object: object(),
            request_id: Some(masked()),
            verdict,
            rule: Some(Rule {
                id: text.to_owned(),
                origin: text.to_owned(),
            }),
            code: Some(text.to_owned()),
            reason: Some(masked()),
            effect: None,
        }));
        if verdict == Verdict::Allow && capability == "exec" {
            write(outcome(run, *call, text));
        } else if verdict == Verdict::Allow {
            write(Event::Done(Done {
                run: run.to_owned(),
                call: *call,
                effect: effect.clone(),
            }));
        }
    }
    write(Event::DenialsFolded(DenialsFolded {
        run: run.to_owned(),
        plugin: text.to_owned(),
        capability: capability.to_owned(),
        function: Some(text.to_owned()),
        object: object(),
        code: Some(text.to_owned()),
        count: 3,
        first_call: *call,
        last_call: *call,
    }));
    write(Event::Exhausted(Exhausted {
        run: run.to_owned(),
        call: *call,
        plugin: text.to_owned(),
        export: text.to_owned(),
        resource: text.to_owned(),
        used: 1,
        limit: 1,
    }));
}

fn outcome(run: &str, call: u64, text: &str) -> Event {
    Event::Outcome(Outcome {
        run: run.to_owned(),
        call,
        ended: Ended::FailedToStart(Masked::new(text)),
        duration_us: 1,
        stdout_bytes: 1,
        stderr_bytes: 1,
        stdout_digest: None,
        stderr_digest: None,
        env_dropped: vec![text.to_owned()],
        stragglers_killed: 1,
        confinement: text.to_owned(),
        connections: vec![Connection {
            host: Masked::new(text),
            port: 1,
            address: Some(text.to_owned()),
            rule: Some(text.to_owned()),
            allowed: true,
            why: Masked::new(text),
            count: 2,
            bytes_up: 1,
            bytes_down: 1,
        }],
        trees: vec![Masked::new(text)],
    })
}

fn texts() -> Vec<String> {
    let mut texts: Vec<_> = HOSTILE.map(str::to_owned).into();
    texts.push(format!("<b>{}", "x\"'<>".repeat(65_536 / 5)));
    texts
}

/// The page of a hostile run, in a file of the project.
fn hostile() -> (Context, String) {
    let context = Context::new();
    with(&context, &texts());
    let (code, stdout, stderr) = context.ended(&["audit", "report", "--html", "report.html"]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    let page = fs::read_to_string(context.project().join("report.html")).unwrap();
    (context, page)
}

/// What a parser finds in a page.
#[derive(Default)]
struct Found {
    /// Elements with their attributes.
    elements: BTreeMap<String, BTreeSet<String>>,
    /// Attributes with their values.
    values: BTreeSet<(String, String)>,
    text: String,
    /// What stands in scripts.
    scripts: Vec<String>,
}

impl Found {
    fn of(page: &str) -> Self {
        let dom = html5ever::parse_document(RcDom::default(), html5ever::ParseOpts::default());
        let dom = dom.one(page);
        let mut found = Self::default();
        found.walk(&dom.document);
        found
    }

    fn walk(&mut self, node: &Handle) {
        match &node.data {
            NodeData::Element { name, attrs, .. } => {
                let attributes = self.elements.entry(name.local.to_string()).or_default();
                for attribute in attrs.borrow().iter() {
                    let name = attribute.name.local.to_string();
                    self.values
                        .insert((name.clone(), attribute.value.to_string()));
                    attributes.insert(name);
                }
                if &*name.local == "script" {
                    let children = node.children.borrow();
                    let text = children.iter().map(|child| match &child.data {
                        NodeData::Text { contents } => contents.borrow().to_string(),
                        _ => panic!("a script is text"),
                    });
                    self.scripts.push(text.collect());
                }
            }
            NodeData::Text { contents } => self.text.push_str(&contents.borrow()),
            NodeData::Comment { .. } | NodeData::ProcessingInstruction { .. } => {
                panic!("nothing of the page is a comment")
            }
            NodeData::Document | NodeData::Doctype { .. } => {}
        }
        for child in node.children.borrow().iter() {
            self.walk(child);
        }
    }
}

#[test]
fn a_page_of_hostile_text_has_our_elements_and_attributes_alone() {
    let (_context, page) = hostile();
    let found = Found::of(&page);
    assert_eq!(
        found.scripts,
        [include_str!("../../src/commands/audit/report/page.js")]
    );
    let shown: Vec<_> = found
        .elements
        .iter()
        .map(|(name, attributes)| {
            let attributes: Vec<_> = attributes.iter().map(String::as_str).collect();
            format!("{name} {}", attributes.join(" "))
                .trim_end()
                .to_owned()
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @"
    a class href
    article class id
    b
    body
    code
    dd
    details class
    div aria-label class hidden id role
    dl class
    dt
    fieldset
    figcaption
    figure
    footer
    h1
    h2 id
    h3
    head
    header
    html lang
    i class
    input aria-label checked class id name placeholder type
    label
    legend
    li class
    main
    meta charset content http-equiv name
    p class
    rect class height width x y
    script
    section aria-labelledby
    small
    span class id role
    style
    summary
    svg aria-label preserveAspectRatio role viewBox
    table
    tbody
    td class
    th class scope
    thead
    title
    tr class
    ul aria-label class
    ");
    assert_eq!(page.matches("<script").count(), 1);
    assert_eq!(page.matches("<style").count(), 1);
    // No attribute has text of the trail: their values are made of words, numbers and the page's own sentences.
    for (name, value) in &found.values {
        let is_ours = match name.as_str() {
            "class" | "id" | "name" | "type" | "scope" | "role" | "lang" | "charset"
            | "aria-labelledby" => value
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || " -".contains(c)),
            "href" => {
                value.starts_with('#') && value[1..].chars().all(|c| c.is_ascii_alphanumeric())
            }
            "x" | "y" | "width" | "height" | "viewbox" | "viewBox" => value
                .chars()
                .all(|c| c.is_ascii_digit() || " .".contains(c)),
            "open" | "hidden" | "checked" => value.is_empty(),
            _ => !value.contains("ran") || name == "content",
        };
        assert!(is_ours && !value.contains("planted"), "{name}={value:?}");
    }
    // And it is there to be read: as it was, but for what is not seen.
    for text in &HOSTILE[..18] {
        assert!(found.text.contains(text), "{text} is not shown");
    }
    assert!(
        found
            .text
            .contains(r"\u{202e}evil\u{2066}\u{200b}\u{feff}\u{e0041}")
    );
    assert!(
        found
            .text
            .contains(r"nul\u{0} esc\u{1b}[2J bell\u{7} c1\u{9b} line\nbreak\u{2028}end")
    );
    for unseen in [
        '\u{202e}',
        '\u{2066}',
        '\u{200b}',
        '\0',
        '\x1b',
        '\u{9b}',
        '\u{2028}',
        '\u{e0041}',
    ] {
        assert!(!page.contains(unseen), "{unseen:?}");
    }
}

/// Whether something of the plugin ran or was loaded. What runs by itself has run when a page is loaded: a picture that
/// cannot be had is waited for as well.
fn ran(browser: &mut Browser) -> bool {
    browser.until("document.readyState === 'complete'");
    browser.value("document.title").as_str() == Some("ran")
        || browser.requests().iter().any(|url| url.contains("planted"))
        || browser.seen("#planted") > 0
}

#[test]
fn in_a_browser_nothing_of_a_hostile_run_runs_or_loads() {
    let (context, page) = hostile();
    let Some(mut browser) = Browser::start(&context) else {
        return;
    };
    let file = context.project().join("report.html");
    browser.open(&file);
    assert!(!ran(&mut browser));
    assert_eq!(browser.requests(), [format!("file://{}", file.display())]);
    assert_eq!(browser.complaints(), Vec::<&serde_json::Value>::new());
    let rows = browser.value("document.querySelectorAll('tr.c').length");
    assert_eq!(rows, texts().len() * 5 * 3);

    browser.value("document.getElementById('m-asked').click()");
    let about = u64::try_from(texts().len() * 5).unwrap();
    assert_eq!(browser.seen("tr.c"), about, "each question with its answer");
    assert_eq!(
        browser.seen("[aria-labelledby=limits] p"),
        about,
        "each limit that was reached"
    );

    // If text were not text, the page's own policy would still keep it from running and loading; without both it runs.
    let planted =
        "<script>document.title='ran'</script><img src=x onerror=\"document.title='ran'\">";
    let broken = page.replacen("<footer>", &format!("<footer>{planted}"), 1);
    let broken_file = context.write("broken.html", &broken);
    browser.open(&broken_file);
    assert!(!ran(&mut browser), "the policy of the page holds");
    assert!(!browser.complaints().is_empty());
    let (before, rest) = broken.split_once("<meta http-equiv").unwrap();
    let (_, after) = rest.split_once('>').unwrap();
    let open = context.write("open.html", format!("{before}{after}"));
    browser.open(&open);
    assert!(
        ran(&mut browser),
        "without it, what is planted is seen to run"
    );
}
