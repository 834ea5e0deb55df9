//! Compilers and build tools.

use crate::world::{World, own_home};
use crate::{OF_OWN_HOME, Recipe};

pub(super) const RECIPES: &[Recipe] = &[
    Recipe {
        title: OF_OWN_HOME,
        needs: &["gcc", "~/.cargo/bin/cargo"],
        test: cargo,
    },
    Recipe {
        title: "gcc and make",
        needs: &["gcc", "make"],
        test: gcc_and_make,
    },
];

const HELLO: &str = "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n";
const MAKEFILE: &str = "\
check: build/hello\n\t./build/hello > build/said\n\
build/hello: hello.c\n\tmkdir -p build && $(CC) -O2 -o $@ hello.c\n\
elsewhere: hello.c\n\t$(CC) -o other/hello hello.c && ./other/hello\n";

fn gcc_and_make(world: &World) {
    world.file("project/hello.c", HELLO);
    world.file("project/Makefile", MAKEFILE);
    world.directory("project/other");
    world.succeeds(&["make", "-s", "-j2", "check"]);
    assert_eq!(world.read("project/build/said"), "hello\n");
    world.succeeds(&["gcc", "-c", "-o", "hello.o", "hello.c"]);
    // What was not built where it may be executed is not executed.
    let (ran, _) = world.fails(&["make", "-s", "elsewhere"]);
    assert!(ran.stderr.contains("Permission denied"), "{ran:#?}");
    assert!(world.path("project/other/hello").exists());
    let include = format!("-include{}", world.secret());
    world.fails(&["gcc", &include, "-c", "-o", "x.o", "hello.c"]);
}

const MANIFEST: &str = "[package]\nname = \"mine\"\nversion = \"0.1.0\"\nedition = \"2021\"\n";
const BUILD: &str = "fn main() { println!(\"cargo:rustc-env=SAID={}\", \"built\"); }\n";
const MAIN: &str =
    "fn main() { println!(env!(\"SAID\")); }\n#[test]\nfn holds() { assert_eq!(1 + 1, 2); }\n";

/// With the toolchain of whoever runs the tests.
fn cargo(world: &World) {
    for (file, text) in [
        ("Cargo.toml", MANIFEST),
        ("build.rs", BUILD),
        ("src/main.rs", MAIN),
    ] {
        world.file(&format!("project/{file}"), text);
    }
    world.succeeds(&["cargo", "build", "--offline", "-q"]);
    assert_eq!(
        world.succeeds(&["cargo", "run", "--offline", "-q"]),
        "built\n"
    );
    let tested = world.succeeds(&["cargo", "test", "--offline", "-q"]);
    assert!(tested.contains("1 passed"), "{tested}");
    credentials_are_not_there(world);
}

fn credentials_are_not_there(world: &World) {
    let manifest = own_home().join(".cargo/registry");
    let include = format!(
        "fn main() {{ for entry in std::fs::read_dir({manifest:?}).unwrap() {{ drop(entry) }} }}"
    );
    world.file("project/build.rs", &include);
    let (ran, _) = world.fails(&["cargo", "build", "--offline", "-q"]);
    assert!(ran.stderr.contains("NotFound"), "{ran:#?}");
}
