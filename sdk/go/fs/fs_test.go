package fs_test

import (
	"errors"
	iofs "io/fs"
	"path"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/portcullis-rs/portcullis/sdk/go/domain/fault"
	"github.com/portcullis-rs/portcullis/sdk/go/domain/ports"
	"github.com/portcullis-rs/portcullis/sdk/go/fs"
)

// tree has files by their paths.
type tree map[string]string

func (t tree) Read(name string) ([]byte, error) {
	if content, ok := t[name]; ok {
		return []byte(content), nil
	}
	return nil, &fault.CallError{Function: "fs_read", Object: name, Kind: "not-found"}
}

func (t tree) Entries(name string) ([]ports.FileEntry, error) {
	found := map[string]ports.FileKind{}
	for file := range t {
		if rest, ok := strings.CutPrefix(file, name+"/"); ok {
			first, _, more := strings.Cut(rest, "/")
			found[first] = ports.File
			if more {
				found[first] = ports.Directory
			}
		}
	}
	var entries []ports.FileEntry
	for name, kind := range found {
		entries = append(entries, ports.FileEntry{Name: name, Kind: kind})
	}
	return entries, nil
}

func (t tree) Stat(name string) (ports.FileInfo, error) {
	if content, ok := t[name]; ok {
		return ports.FileInfo{Kind: ports.File, Size: int64(len(content))}, nil
	}
	if entries, _ := t.Entries(name); len(entries) > 0 {
		return ports.FileInfo{Kind: ports.Directory}, nil
	}
	return ports.FileInfo{}, &fault.CallError{Function: "fs_stat", Object: name, Kind: "not-found"}
}

func (tree) Write(string, []byte) error  { return nil }
func (tree) MakeDirectory(string) error  { return nil }
func (tree) Remove(string) error         { return nil }
func (tree) Rename(string, string) error { return nil }

func TestADirectoryIsAFileSystem(t *testing.T) {
	files := tree{"/data/a.txt": "a", "/data/d/b.txt": "bb", "/data/d/e/c": ""}
	if err := fstest.TestFS(fs.DirOf(files, "/data"), "a.txt", "d/b.txt", "d/e/c"); err != nil {
		t.Fatal(err)
	}
}

func TestNothingBesideADirectoryIsReached(t *testing.T) {
	of := fs.DirOf(tree{"/secret": "x", "/data/a": "a"}, "/data")
	for _, name := range []string{"../secret", "/secret", "a/../../secret", ""} {
		if _, err := of.Open(name); !errors.Is(err, iofs.ErrInvalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := of.Open("none"); !errors.Is(err, iofs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := fs.ReadFile(path.Join("/", "x")); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
}
