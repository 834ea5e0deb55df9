//! Languages.

use crate::Recipe;
use crate::world::World;

pub(super) const RECIPES: &[Recipe] = &[
    Recipe {
        title: "python3",
        needs: &["python3"],
        test: python,
    },
    Recipe {
        title: "python3 in a virtual environment",
        needs: &["python3"],
        test: environment,
    },
    Recipe {
        title: "node",
        needs: &["node"],
        test: node,
    },
    Recipe {
        title: "npm ls",
        needs: &["npm"],
        test: npm_ls,
    },
    Recipe {
        title: "java",
        needs: &["java"],
        test: java,
    },
];

const POOL: &str = "
import multiprocessing, ssl, threading
def square(number):
    return number * number
if __name__ == '__main__':
    with multiprocessing.Pool(4) as pool:
        print(pool.map(square, range(5)))
    queue = multiprocessing.Queue()
    process = multiprocessing.Process(target=queue.put, args=('put',))
    process.start(); print(queue.get()); process.join()
    thread = threading.Thread(target=print, args=('thread',)); thread.start(); thread.join()
    print('authorities', len(ssl.create_default_context().get_ca_certs()) > 10)
";

fn python(world: &World) {
    world.file("project/pool.py", POOL);
    let said = world.succeeds(&["python3", "pool.py"]);
    assert_eq!(said, "[0, 1, 4, 9, 16]\nput\nthread\nauthorities True\n");
    let (ran, _) = world.fails(&["python3", "-c", &format!("open({:?})", world.secret())]);
    assert!(ran.stderr.contains("FileNotFoundError"), "{ran:#?}");
    world.fails(&["python3", "-c", "open('new', 'w')"]);
    world.fails(&[
        "python3",
        "-c",
        "import socket; socket.create_connection(('127.0.0.1', 9))",
    ]);
}

fn environment(world: &World) {
    world.succeeds(&["python3", "-m", "venv", "--without-pip", ".venv"]);
    let script = "import os, subprocess, sys; print(subprocess.check_output(\
        ['.venv/bin/python', '-c', 'import sys; print(sys.prefix)'], text=True), end='')";
    let prefix = world.succeeds(&["python3", "-c", script]);
    assert_eq!(
        prefix.trim_end(),
        world.path("project/.venv").to_str().unwrap()
    );
    // What is written elsewhere is not executed.
    world.file("project/tool", "#!/bin/sh\necho ran\n");
    let script =
        "import os, subprocess; os.chmod('tool', 0o755); subprocess.run(['./tool'], check=True)";
    let (ran, _) = world.fails(&["python3", "-c", script]);
    assert!(ran.stderr.contains("PermissionError"), "{ran:#?}");
}

const WORKER: &str = "
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');
const { execFileSync } = require('node:child_process');
if (isMainThread) {
  const worker = new Worker(__filename, { workerData: 20 });
  worker.on('message', (sum) => {
    console.log(sum, execFileSync('/bin/echo', ['child']).toString().trim());
  });
} else {
  parentPort.postMessage(workerData + 1);
}
";

fn node(world: &World) {
    world.file("project/worker.js", WORKER);
    assert_eq!(world.succeeds(&["node", "worker.js"]), "21 child\n");
    let read = format!("require('fs').readFileSync({:?})", world.secret());
    let (ran, _) = world.fails(&["node", "-e", &read]);
    assert!(ran.stderr.contains("ENOENT"), "{ran:#?}");
    world.fails(&["node", "-e", "require('fs').writeFileSync('new', '')"]);
    world.fails(&[
        "node",
        "-e",
        "require('net').connect(9, '127.0.0.1').on('error', (e) => { throw e })",
    ]);
}

fn npm_ls(world: &World) {
    let package = r#"{ "name": "mine", "version": "1.0.0", "dependencies": { "tiny": "^1.0.0" } }"#;
    world.file("project/package.json", package);
    world.file(
        "project/node_modules/tiny/package.json",
        r#"{ "name": "tiny", "version": "1.2.3" }"#,
    );
    let listed = world.succeeds(&["npm", "ls"]);
    assert!(listed.contains("tiny@1.2.3"), "{listed}");
    world.fails(&["npm", "pkg", "set", "version=2.0.0"]);
    assert!(
        world
            .read("project/package.json")
            .contains("1.0.0\", \"dep")
    );
}

const HELLO: &str = "
import java.nio.file.*;
import java.util.stream.*;
public class Hello {
    public static void main(String[] args) throws Exception {
        int sum = IntStream.range(0, 1000).parallel().sum();
        System.out.println(sum + \" \" + Files.readString(Path.of(args[0])));
    }
}
";

fn java(world: &World) {
    world.file("project/Hello.java", HELLO);
    world.file("project/text", "text");
    assert_eq!(
        world.succeeds(&["java", "Hello.java", "text"]),
        "499500 text\n"
    );
    let (ran, _) = world.fails(&["java", "Hello.java", &world.secret()]);
    assert!(ran.stderr.contains("NoSuchFileException"), "{ran:#?}");
}
