// Snippets makes a plugin of the Go code in documents, so that a test can run each piece of it on a host.
//
//	go run ./internal/snippets DIRECTORY DOCUMENT...
//
// It writes a module into the directory, builds plugin.wasm there, and prints what it found as JSON. The plugin is a check whose config
// is {"snippet": N}. A document is Markdown with code blocks, or text in which code stands between lines of prose.
//
// Code in documents leaves things out. What is added, and nothing else is: package and imports around statements, a `req` or a
// `MyMockRunner` that a text speaks of and does not show, and a use of each variable. What is taken away is an unused import; that is a
// slip of the document, and listed.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// ours is the import path of the SDK; documents about Reglet have others.
const ours = "github.com/portcullis-rs/portcullis/sdk/go"

var aliases = map[string]string{
	"github.com/whiskeyjimbo/reglet/sdk":  "reglet",
	"github.com/reglet-dev/reglet-sdk/go": "reglet-sdk",
}

// found is a piece of code, as it is told to whoever runs it.
type found struct {
	Document string   `json:"document"`
	Line     int      `json:"line"`
	Kind     kind     `json:"kind"`
	Slips    []string `json:"slips"`
	Source   string   `json:"source"`
}

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: snippets DIRECTORY DOCUMENT...")
		os.Exit(2)
	}
	all, err := build(os.Args[1], os.Args[2:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(all); err != nil {
		os.Exit(1)
	}
}

func build(directory string, documents []string) ([]found, error) {
	var all []found
	var imports, cases strings.Builder
	for _, document := range documents {
		text, err := os.ReadFile(document)
		if err != nil {
			return nil, err
		}
		base := basePath(string(text))
		for _, block := range blocks(string(text)) {
			piece := found{Document: document, Line: block.line, Source: block.text, Slips: []string{}}
			name := fmt.Sprintf("s%02d", len(all))
			source, err := wrapped(&piece, name, base)
			if err != nil {
				return nil, fmt.Errorf("%s:%d: %w", document, block.line, err)
			}
			if piece.Kind != noGo {
				if err := write(filepath.Join(directory, name, "snippet.go"), source); err != nil {
					return nil, err
				}
				fmt.Fprintf(&imports, "\t%q\n", "snippets/"+name)
				fmt.Fprintf(&cases, "\tcase %d:\n\t\treturn %s.Check(ctx, config)\n", len(all), name)
			}
			all = append(all, piece)
		}
	}
	main := fmt.Sprintf(mainSource, imports.String(), ours, cases.String())
	if err := write(filepath.Join(directory, "main.go"), main); err != nil {
		return nil, err
	}
	module, err := moduleSource()
	if err != nil {
		return nil, err
	}
	if err := write(filepath.Join(directory, "go.mod"), module); err != nil {
		return nil, err
	}
	command := exec.Command("go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", "plugin.wasm", ".")
	command.Dir = directory
	command.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOWORK=off", "GOFLAGS=-mod=mod", "GOPROXY=off")
	if output, err := command.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, output)
	}
	return all, nil
}

const mainSource = `package main

import (
	"context"
	"fmt"

%s
	"%s"
)

type plugin struct{}

func (plugin) Check(ctx context.Context, config sdk.Config) (sdk.Evidence, error) {
	switch number, _ := config["snippet"].(float64); int(number) {
%s	default:
		return sdk.Evidence{}, fmt.Errorf("no snippet %%v", number)
	}
}

func init() { sdk.Register(plugin{}) }
func main() {}
`

// moduleSource leads every import path to this repository.
func moduleSource() (string, error) {
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		return "", fmt.Errorf("this file has no place")
	}
	root := filepath.Join(filepath.Dir(file), "../../..")
	text := "module snippets\n\ngo 1.24\n"
	paths := map[string]string{ours: "go"}
	for path, directory := range aliases {
		paths[path] = filepath.Join("go-aliases", directory)
	}
	for path, directory := range paths {
		text += fmt.Sprintf("require %s v0.0.0\nreplace %s => %s\n", path, path, filepath.Join(root, directory))
	}
	return text, nil
}

func write(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// basePath is where a document imports the SDK from.
func basePath(text string) string {
	for path := range aliases {
		if strings.Contains(text, `"`+path) {
			return path
		}
	}
	return ours
}
