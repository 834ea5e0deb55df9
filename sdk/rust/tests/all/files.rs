//! Files that are there only for a test.

use portcullis::testing::Host;
use portcullis::{ErrorKind, fs};

#[test]
fn files_are_written_looked_at_moved_and_removed() {
    let host = Host::new().directory("empty").file("notes/a.txt", "one");
    host.run(|| {
        fs::write("./notes/b.txt", "four").unwrap();
        assert_eq!(fs::metadata("notes/b.txt").unwrap().len(), 4);
        assert!(fs::metadata("notes").unwrap().is_dir() && fs::metadata(".").unwrap().is_dir());
        fs::rename("notes", "kept").unwrap();
        let names: Vec<_> = fs::read_dir("kept/")
            .unwrap()
            .map(|entry| entry.file_name().to_owned())
            .collect();
        assert_eq!(names, ["a.txt", "b.txt"]);
        fs::rename("kept/a.txt", "kept/b.txt").unwrap();
        assert_eq!(fs::read_to_string("kept/b.txt").unwrap(), "one");
        fs::remove("kept/b.txt").unwrap();
        fs::remove("kept").unwrap();
        fs::create_dir("made").unwrap();
        let root: Vec<_> = fs::read_dir(".").unwrap().collect();
        assert!(root.iter().all(|entry| entry.file_type().is_dir()));
        let names: Vec<_> = root.iter().map(fs::DirEntry::file_name).collect();
        assert_eq!(names, ["empty", "made"]);
    });
    assert_eq!(host.content("kept/b.txt"), None);
}

#[test]
fn what_cannot_be_done_is_of_its_kind() {
    let host = Host::new()
        .file("d/f", [0xff])
        .file("secret/key", "x")
        .denied("secret");
    host.run(|| {
        let kinds = [
            (fs::read("none").err(), ErrorKind::NotFound),
            (fs::read("d").err(), ErrorKind::NotAFile),
            (fs::read_to_string("d/f").err(), ErrorKind::Invalid),
            (fs::read("secret/key").err(), ErrorKind::Denied),
            (fs::write("secret/new", "").err(), ErrorKind::Denied),
            (fs::read("d/../d/f").err(), ErrorKind::Denied),
            (fs::read("").err(), ErrorKind::Invalid),
            (fs::write("none/f", "").err(), ErrorKind::NotFound),
            (fs::write("d", "").err(), ErrorKind::NotAFile),
            (fs::read_dir("d/f").err(), ErrorKind::NotADirectory),
            (fs::create_dir("d").err(), ErrorKind::AlreadyExists),
            (fs::remove("d").err(), ErrorKind::NotEmpty),
            (fs::rename("none", "d").err(), ErrorKind::NotFound),
        ];
        for (number, (error, kind)) in kinds.into_iter().enumerate() {
            assert_eq!(error.unwrap().kind(), kind, "{number}");
        }
        let error = fs::read("none").unwrap_err();
        assert_eq!(error.to_string(), "cannot read `none`: not found");
    });
    assert!(fs_is_as_it_was(&host));
}

fn fs_is_as_it_was(host: &Host) -> bool {
    host.content("d/f") == Some(vec![0xff]) && host.run(|| fs::read_dir(".").unwrap().len()) == 2
}
