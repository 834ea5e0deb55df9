// Package fs reads and writes whole files, beneath what the plugin was granted.
//
// A path is absolute, or relative to the project, or begins with a name that the policy gives a directory. What lies outside is
// io/fs.ErrPermission, whether it is there or not. With the build tag `reglet` files are those that WASI opens.
package fs

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/portcullis-rs/portcullis/sdk/go/domain/ports"
	"github.com/portcullis-rs/portcullis/sdk/go/infrastructure/wasm"
)

// Entry is a name in a directory.
type Entry = ports.FileEntry

// Info is what is known of a name.
type Info = ports.FileInfo

var host wasm.FSAdapter

// ReadFile gives all of a file.
func ReadFile(name string) ([]byte, error) { return host.Read(name) }

// WriteFile makes a file or takes the place of one: whole or not at all.
func WriteFile(name string, content []byte) error { return host.Write(name, content) }

// ReadDir lists a directory.
func ReadDir(name string) ([]Entry, error) { return host.Entries(name) }

// Stat looks at a name, and not through a link.
func Stat(name string) (Info, error) { return host.Stat(name) }

// Mkdir makes one directory.
func Mkdir(name string) error { return host.MakeDirectory(name) }

// Remove removes a file, a link or an empty directory.
func Remove(name string) error { return host.Remove(name) }

// Rename gives what has a name another, which takes the place of what had that.
func Rename(from, to string) error { return host.Rename(from, to) }

// Dir is a directory as an io/fs.FS, for io/fs.WalkDir, text/template and the like. It can also read files and directories by name.
func Dir(name string) fs.FS { return DirOf(host, name) }

// DirOf is a directory of something else, such as a mock in a test.
func DirOf(files ports.FileSystem, name string) fs.FS { return dir{files, name} }

type dir struct {
	files ports.FileSystem
	root  string
}

func (d dir) at(op, name string) (string, error) {
	if !fs.ValidPath(name) {
		return "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	return path.Join(d.root, name), nil
}

func failed(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

func (d dir) ReadFile(name string) ([]byte, error) {
	at, err := d.at("read", name)
	if err != nil {
		return nil, err
	}
	content, err := d.files.Read(at)
	return content, failed("read", name, err)
}

func (d dir) ReadDir(name string) ([]fs.DirEntry, error) {
	at, err := d.at("readdir", name)
	if err != nil {
		return nil, err
	}
	entries, err := d.files.Entries(at)
	slices.SortFunc(entries, func(one, other Entry) int { return strings.Compare(one.Name, other.Name) })
	listed := make([]fs.DirEntry, 0, len(entries))
	for _, entry := range entries {
		listed = append(listed, dirEntry{d, path.Join(name, entry.Name), entry})
	}
	return listed, failed("readdir", name, err)
}

func (d dir) Stat(name string) (fs.FileInfo, error) {
	at, err := d.at("stat", name)
	if err != nil {
		return nil, err
	}
	info, err := d.files.Stat(at)
	return fileInfo{path.Base(name), info}, failed("stat", name, err)
}

func (d dir) Open(name string) (fs.File, error) {
	info, err := d.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		entries, err := d.ReadDir(name)
		if err != nil {
			return nil, err
		}
		return &openDir{info: info, entries: entries}, nil
	}
	content, err := d.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return &openFile{info: info, rest: content}, nil
}

type fileInfo struct {
	name string
	info ports.FileInfo
}

func (i fileInfo) Name() string       { return i.name }
func (i fileInfo) Size() int64        { return i.info.Size }
func (i fileInfo) ModTime() time.Time { return i.info.Modified }
func (i fileInfo) IsDir() bool        { return i.info.Kind == ports.Directory }
func (i fileInfo) Sys() any           { return nil }
func (i fileInfo) Mode() fs.FileMode  { return mode(i.info.Kind) | 0o444 }

func mode(kind ports.FileKind) fs.FileMode {
	switch kind {
	case ports.File:
		return 0
	case ports.Directory:
		return fs.ModeDir
	case ports.Link:
		return fs.ModeSymlink
	}
	return fs.ModeIrregular
}

type dirEntry struct {
	dir   dir
	path  string
	entry ports.FileEntry
}

func (e dirEntry) Name() string               { return e.entry.Name }
func (e dirEntry) IsDir() bool                { return e.entry.Kind == ports.Directory }
func (e dirEntry) Type() fs.FileMode          { return mode(e.entry.Kind) }
func (e dirEntry) Info() (fs.FileInfo, error) { return e.dir.Stat(e.path) }

type openFile struct {
	info fs.FileInfo
	rest []byte
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *openFile) Close() error               { return nil }
func (f *openFile) Read(into []byte) (int, error) {
	if len(f.rest) == 0 && len(into) > 0 {
		return 0, io.EOF
	}
	n := copy(into, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

type openDir struct {
	info    fs.FileInfo
	entries []fs.DirEntry
}

func (f *openDir) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *openDir) Close() error               { return nil }
func (f *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: f.info.Name(), Err: errors.New("is a directory")}
}

func (f *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if n > 0 && len(f.entries) == 0 {
		return nil, io.EOF
	}
	if n <= 0 || n > len(f.entries) {
		n = len(f.entries)
	}
	taken := f.entries[:n]
	f.entries = f.entries[n:]
	return taken, nil
}
