//! A plugin in one file: installed, inspected, run, signed and pushed as from any other source.

use std::fs;

use crate::context::Context;
use crate::installing::{ECHO, RUNS_ECHO, context, installed, names, runs, write};
use crate::signed::{ED25519, ED25519_PUBLIC, policy, registry_of, sign, signer};

const FILE: &str = "notes-1.0.0.tar";

/// Packs the plugin `notes`, and answers the digest that it has in a registry.
fn pack(context: &Context) -> String {
    let packed = context.json(&["pack", "notes", "--json"]);
    packed["resolved"].as_str().unwrap().to_owned()
}

#[test]
fn what_is_packed_is_the_same_every_time_and_installed_as_its_directory_is() {
    let context = context(RUNS_ECHO);
    let digest = pack(&context);
    let file = context.project().join(FILE);
    let bytes = fs::read(&file).unwrap();
    let (code, out, error) = context.ended(&["pack", "notes", "--output", "again.tar"]);
    assert_eq!(code, 0, "{error}");
    assert_eq!(
        out,
        format!("packed notes 1.0.0 as `again.tar`, in a registry {digest}\n")
    );
    let again = context.project().join("again.tar");
    assert_eq!(fs::read(&again).unwrap(), bytes);
    // Nor does it matter what was packed already, or where from.
    let (code, _, error) = context.ended(&["pack", FILE, "--output", "again.tar"]);
    assert_eq!(code, 0, "{error}");
    assert_eq!(fs::read(&again).unwrap(), bytes);

    let of_directory = context.json(&["inspect", "notes", "--json"]);
    let of_file = context.json(&["inspect", FILE, "--json"]);
    assert_eq!(
        of_directory["plugin"]["sha256"],
        of_file["plugin"]["sha256"]
    );
    assert_eq!(of_directory["plugin"]["id"], of_file["plugin"]["id"]);
    assert_eq!(of_directory["asks"], of_file["asks"]);

    fs::remove_dir_all(context.project().join("notes")).unwrap();
    let (code, out, error) = context.ended(&["install", "--yes", FILE]);
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("installed notes 1.0.0 (local)"), "{out}");
    assert_eq!(names(&context), installed("1.0.0"));
    let plugin = context.json(&["list", "--json"])["plugins"][0].clone();
    assert_eq!(plugin["resolved"], digest);
    assert_eq!(plugin["sha256"], of_file["plugin"]["sha256"]);
    assert_eq!(context.ended(&["verify"]).0, 0);
    assert!(!runs(&context), "nothing was granted");
}

#[test]
fn a_packed_file_runs_with_what_its_plugin_was_granted_and_asks_for() {
    let context = context(RUNS_ECHO);
    pack(&context);
    let run = |plugin: &str, flag: &[&str], program: &str| {
        let args = [&["run"], flag, &[plugin, "exec", "--", program, "ran"]].concat();
        context.ended(&args)
    };
    let (code, out, error) = run(FILE, &["--allow-exec=echo"], "echo");
    assert!(code == 0 && out.contains("stdout=ran"), "{out}{error}");
    let (code, _, error) = run(FILE, &[], "echo");
    assert!(code != 0 && error.contains("P0603"), "{error}");
    // Two keys to one door: its manifest does not ask for that.
    let (code, _, error) = run(FILE, &["--allow-exec=true"], "true");
    assert!(
        code != 0 && error.contains("does not ask for it in"),
        "{error}"
    );
    let (code, _, error) = context.ended(&["grant", FILE, "exec", "echo"]);
    assert_eq!(code, 0, "{error}");
    let granted = fs::read_to_string(context.own_policy()).unwrap();
    assert!(granted.contains("id = \"notes\""), "{granted}");
    assert_eq!(run(FILE, &[], "echo").0, 0);
    assert_eq!(context.ended(&["revoke", FILE, "exec", "echo"]).0, 0);
    // By its entry in a policy, with its digest, which is that of its component.
    let found = context.json(&["inspect", FILE, "--json"]);
    let sha256 = found["plugin"]["sha256"].as_str().unwrap();
    let entry = |sha256: &str| {
        format!(
            "confinement = \"limits\"\n[[plugins]]\nid = \"notes\"\npath = \"{FILE}\"\nsha256 = \"{sha256}\"\nexec = {{ allow = [\"echo\", \"true\"] }}\n"
        )
    };
    let config = context.write("policy.toml", entry(sha256));
    let config = ["--config", config.to_str().unwrap()];
    for plugin in ["notes", FILE] {
        let (code, out, error) = run(plugin, &config, "echo");
        assert!(code == 0 && out.contains("stdout=ran"), "{out}{error}");
        let (code, _, error) = run(plugin, &config, "true");
        assert!(
            code != 0 && error.contains("does not ask for it in"),
            "{error}"
        );
    }
    context.write("policy.toml", entry(&"a".repeat(64)));
    let (code, _, error) = run("notes", &config, "echo");
    assert!(code != 0 && error.contains("P0606"), "{error}");
}

#[test]
fn a_packed_file_never_goes_by_the_name_of_another_plugin() {
    let context = context(RUNS_ECHO);
    pack(&context);
    assert_eq!(context.ended(&["install", "--yes", "notes"]).0, 0);
    let (code, _, error) = context.ended(&[&["run", FILE], &ECHO[1..]].concat());
    assert!(code != 0 && error.contains("P0902"), "{error}");
}

#[test]
fn what_is_packed_is_pushed_as_it_is_and_as_its_directory_would_be() {
    let context = context("");
    let Some((server, network)) = registry_of(&context) else {
        return;
    };
    policy(&context, "", &network);
    let digest = pack(&context);
    let place = |name: &str| format!("oci://{}/{name}:1.0.0", server.host());
    for (place, plugin) in [(place("directory"), "notes"), (place("packed"), FILE)] {
        let pushed = context.json(&["push", "--json", &place, plugin]);
        assert_eq!(pushed["resolved"], digest, "{plugin}");
    }
}

#[test]
fn what_signed_a_packed_file_signs_it_in_the_registry_too() {
    let context = context("");
    let Some((server, network)) = registry_of(&context) else {
        return;
    };
    let signing = format!("{network}{}", signer("notes", ED25519_PUBLIC));
    policy(&context, "", &signing);
    pack(&context);
    let install = |source: &str| {
        let (code, out, error) = context.ended(&["install", "--yes", source]);
        let verified = context.ended(&["verify"]).0;
        let _ = context.ended(&["remove", "notes"]);
        (code, verified, format!("{out}{error}"))
    };
    let (code, _, text) = install(FILE);
    assert!(code == 0 && text.contains("(local)"), "{text}");
    sign(&context, ED25519, FILE);
    assert!(context.project().join(format!("{FILE}.sig")).exists());
    let (code, verified, text) = install(FILE);
    assert!(
        code == 0 && verified == 0 && text.contains("(signed)"),
        "{text}"
    );

    let place = format!("oci://{}/notes:1.0.0", server.host());
    let (code, _, error) = context.ended(&["push", &place, FILE]);
    assert_eq!(code, 0, "{error}");
    let (code, verified, text) = install(&place);
    assert!(
        code == 0 && verified == 0 && text.contains("(signed)"),
        "{text}"
    );

    // It was made for that file.
    write(&context, "1.0.0", "", b'b');
    pack(&context);
    let (code, _, text) = install(FILE);
    assert!(
        code != 0 && text.contains("it signs another content"),
        "{text}"
    );
}

#[test]
fn what_is_no_plugin_is_neither_packed_nor_taken_for_a_packed_one() {
    let context = context("");
    context.write("notes/plugin.toml", "id = \"notes\"\nnonsense");
    let (code, _, error) = context.ended(&["pack", "notes"]);
    assert_ne!(code, 0);
    assert!(!context.project().join(FILE).exists(), "{error}");
    let mut tar = vec![0; 1024];
    tar[257..262].copy_from_slice(b"ustar");
    context.write("some.tar", &tar);
    for verb in [&["install", "--yes"][..], &["inspect"], &["run"]] {
        let (code, _, error) = context.ended(&[verb, &["some.tar"]].concat());
        assert_ne!(code, 0);
        assert!(error.contains("P0853"), "{verb:?}: {error}");
    }
}
