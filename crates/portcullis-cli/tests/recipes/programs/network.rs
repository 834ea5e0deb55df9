//! Hosts, through the proxy of each command.

use std::fs;

use crate::Recipe;
use crate::site::site;
use crate::user::{command, find};
use crate::world::World;

pub(super) const RECIPES: &[Recipe] = &[
    Recipe {
        title: "curl",
        needs: &["curl", "python3", "openssl"],
        test: curl,
    },
    Recipe {
        title: "curl to a server on this machine",
        needs: &["curl", "python3", "openssl"],
        test: curl_here,
    },
    Recipe {
        title: "python3 over https",
        needs: &["python3", "openssl"],
        test: python,
    },
    Recipe {
        title: "pip",
        needs: &["pip", "python3", "openssl"],
        test: pip,
    },
    Recipe {
        title: "pip with a cache",
        needs: &["pip", "python3", "openssl"],
        test: pip_with_a_cache,
    },
    Recipe {
        title: "node over https",
        needs: &["node", "python3", "openssl"],
        test: node,
    },
    Recipe {
        title: "npm install",
        needs: &["npm", "tar", "python3", "openssl"],
        test: npm,
    },
];

const HELLO: &str = "https://api.github.com/hello";
const REFUSED: &str = "https://refused.example/hello";

/// A host that was not granted was not asked, whatever the command said.
fn refused_was_not_reached() {
    assert_eq!(site().requests("refused.example"), [""; 0]);
}

fn curl(world: &World) {
    assert_eq!(
        world.succeeds(&["curl", "-sSf", HELLO]),
        "hello from api.github.com\n"
    );
    world.fails(&["curl", "-sSf", REFUSED]);
    // Not without the proxy either.
    world.fails(&["curl", "-sSf", "--noproxy", "*", HELLO]);
    refused_was_not_reached();
}

fn curl_here(world: &World) {
    let port = site().tls;
    let url = format!("https://127.0.0.1:{port}/hello");
    assert_eq!(
        world.succeeds(&["curl", "-sSf", &url]),
        "hello from 127.0.0.1\n"
    );
    let other = site().proxy;
    world.fails(&["curl", "-sSf", &format!("http://127.0.0.1:{other}/hello")]);
    world.fails(&["curl", "-sSf", &url.replace("127.0.0.1", "localhost")]);
}

fn python(world: &World) {
    let get = |url: &str| {
        format!("import urllib.request as r; print(r.urlopen({url:?}).read().decode(), end='')")
    };
    let said = world.succeeds(&["python3", "-c", &get(HELLO)]);
    assert_eq!(said, "hello from api.github.com\n");
    let (ran, _) = world.fails(&["python3", "-c", &get(REFUSED)]);
    assert!(ran.stderr.contains("403"), "{ran:#?}");
    refused_was_not_reached();
}

fn node(world: &World) {
    let get = |url: &str| {
        format!("fetch({url:?}).then((r) => r.text()).then((t) => process.stdout.write(t))")
    };
    let said = world.succeeds(&["node", "-e", &get(HELLO)]);
    assert_eq!(said, "hello from api.github.com\n");
    world.fails(&["node", "-e", &get(REFUSED)]);
    refused_was_not_reached();
}

/// A wheel with one module, made by python's own archiver.
const WHEEL: &str = "
import sys, zipfile
path, name = sys.argv[1:]
with zipfile.ZipFile(path, 'w') as wheel:
    wheel.writestr(f'{name}.py', 'said = 1')
    info = f'{name}-1.0.dist-info/'
    wheel.writestr(info + 'METADATA', f'Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n')
    wheel.writestr(info + 'WHEEL', 'Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
    wheel.writestr(info + 'RECORD', f'{name}.py,,\\n')
";

/// Serves a package of this name; gives the name of its file.
fn package(world: &World, name: &str) -> String {
    let file = format!("{name}-1.0-py3-none-any.whl");
    let served = site().host("files.pythonhosted.org").join(&file);
    make(
        world,
        &["python3", "-c", WHEEL, served.to_str().unwrap(), name],
    );
    let index = site().host("pypi.org").join("simple").join(name);
    fs::create_dir_all(&index).unwrap();
    let link =
        format!("<!DOCTYPE html><a href=\"https://files.pythonhosted.org/{file}\">{file}</a>");
    fs::write(index.join("index"), link).unwrap();
    file
}

/// What was downloaded once is not asked for again, in this project.
fn pip_with_a_cache(world: &World) {
    // One for each world: others ask for theirs at the same time.
    let name = world
        .path("")
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .replace('-', "");
    let file = package(world, &name);
    let asked = || {
        let requests = site().requests("files.pythonhosted.org");
        let of_file = requests.iter().filter(|request| request.ends_with(&file));
        of_file.count()
    };
    let download = |into: &str| {
        world.succeeds(&["pip", "download", "-q", "-d", into, &name]);
        assert!(world.path("project").join(into).join(&file).exists());
    };
    download("first");
    let first = asked();
    assert!(first > 0);
    download("second");
    assert_eq!(asked(), first);
    let kept = world.operator(&["cache".into(), "list".into()]);
    assert!(kept.contains("plugin `assistant`: `/usr/bin/pip"), "{kept}");
    let policy = world.read("policy.toml");
    world.file("policy.toml", &policy.replace(", cache = \"1GiB\"", ""));
    download("third");
    assert!(asked() > first, "the control");
}

fn pip(world: &World) {
    let file = package(world, "tiny");
    world.succeeds(&["pip", "download", "-q", "-d", "wheels", "tiny"]);
    assert!(world.path("project/wheels").join(file).exists());
    world.succeeds(&["pip", "install", "-q", "--target", "lib", "tiny"]);
    assert_eq!(world.read("project/lib/tiny.py"), "said = 1");
    let other = [
        "pip",
        "download",
        "-q",
        "--retries",
        "0",
        "-i",
        "https://refused.example/simple",
        "tiny",
    ];
    world.fails(&other);
    refused_was_not_reached();
}

fn npm(world: &World) {
    let registry = site().host("registry.npmjs.org");
    let archive = registry.join("tiny/-/tiny-1.0.0.tgz");
    fs::create_dir_all(archive.parent().unwrap()).unwrap();
    let scripts = r#""scripts": { "install": "./run.sh" }"#;
    let manifest = format!(r#"{{ "name": "tiny", "version": "1.0.0", {scripts} }}"#);
    world.file("outside/package/package.json", &manifest);
    world.file("outside/package/run.sh", "#!/bin/sh\necho ran > ran\n");
    make(world, &["chmod", "755", "package/run.sh"]);
    make(
        world,
        &["tar", "-czf", archive.to_str().unwrap(), "package"],
    );
    let url = "https://registry.npmjs.org/tiny/-/tiny-1.0.0.tgz";
    let version = format!(
        r#"{{ "name": "tiny", "version": "1.0.0", "hasInstallScript": true, {scripts}, "dist": {{ "tarball": "{url}" }} }}"#
    );
    let packument = format!(
        r#"{{ "name": "tiny", "dist-tags": {{ "latest": "1.0.0" }}, "versions": {{ "1.0.0": {version} }} }}"#
    );
    fs::write(registry.join("tiny/index"), packument).unwrap();
    world.file(
        "project/package.json",
        r#"{ "name": "mine", "version": "1.0.0" }"#,
    );
    world.directory("project/node_modules");
    world.succeeds(&["npm", "install", "--no-audit", "--no-fund", "tiny"]);
    assert_eq!(world.read("project/node_modules/tiny/ran"), "ran\n");
    assert!(world.read("project/package-lock.json").contains(url));
    let other = [
        "npm",
        "view",
        "--fetch-retries=0",
        "--registry=https://refused.example/",
        "tiny",
    ];
    world.fails(&other);
    refused_was_not_reached();
}

/// Makes what is served, outside of any cell.
fn make(world: &World, words: &[&str]) {
    let mut make = command(&find(words[0]).unwrap());
    let made = make
        .args(&words[1..])
        .current_dir(world.path("outside"))
        .output()
        .unwrap();
    assert!(made.status.success(), "{words:?}: {made:?}");
}
