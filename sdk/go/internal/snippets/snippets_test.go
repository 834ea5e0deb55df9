package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func kinds(t *testing.T, text string) (kinds []string) {
	t.Helper()
	for _, block := range blocks(text) {
		piece := found{Source: block.text}
		source, err := wrapped(&piece, "s00", basePath(text))
		if err != nil {
			t.Fatalf("line %d: %v\n%s", block.line, err, source)
		}
		kinds = append(kinds, strings.Join(append([]string{string(piece.Kind)}, piece.Slips...), ", "))
	}
	return kinds
}

func TestCodeIsFoundBetweenFencesAndBetweenProse(t *testing.T) {
	code := []string{
		"package main\nimport (\n\"context\"\n\"log\"\n\"" + ours + "\"\n)\ntype MyPlugin struct{}\n" +
			"func (p *MyPlugin) Check(ctx context.Context, config sdk.Config) (sdk.Evidence, error) {\nreturn sdk.Success(nil), nil\n}",
		"result, err := exec.Run(ctx, req,\nexec.WithWorkdir(\"/\"),\n)",
		"import \"" + ours + "/domain/ports\"\n// In a test:\nm := &MyMockRunner{} // implements ports.CommandRunner\n" +
			"result, err := exec.Run(ctx, req, exec.WithRunner(m))",
		"type CommandRequest struct {\nCommand string\n}",
		"func Run(ctx context.Context, req CommandRequest, opts ...RunOption) (*CommandResponse, error)",
	}
	want := []string{`file, unused import "log"`, "statements", "statements", "declarations", "declarations"}
	prose := "A Heading\nSome text - with words.\n" + strings.Join(code, "\nOverview\nThe Run function supports options:\n") + "\nSee Also\n"
	if got := kinds(t, prose); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	fenced := "# A\n```go\n" + strings.Join(code, "\n```\ntext\n```go\n") + "\n```\n```go\n// Request\n{ \"a\": 1 }\n```\n"
	if got := kinds(t, fenced); !slices.Equal(got, append(want, "no Go, it is no Go")) {
		t.Errorf("%q", got)
	}
}

// The documents of this repository, and others that are named by SNIPPETS, separated as paths are.
func TestThePiecesOfDocumentsBecomeAPlugin(t *testing.T) {
	documents := []string{"../../../../docs/go.md"}
	documents = append(documents, filepath.SplitList(os.Getenv("SNIPPETS"))...)
	directory := t.TempDir()
	all, err := build(directory, documents)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(directory, "plugin.wasm")); err != nil || info.Size() == 0 {
		t.Fatal(err)
	}
	pieces := 0
	for _, piece := range all {
		if piece.Document == documents[0] {
			pieces++
			if len(piece.Slips) != 0 {
				t.Errorf("line %d: %v", piece.Line, piece.Slips)
			}
		}
	}
	text, err := os.ReadFile(documents[0])
	if want := strings.Count(string(text), "\n```go\n"); err != nil || pieces != want || want == 0 {
		t.Errorf("%d pieces of %d in %s: %v", pieces, want, documents[0], err)
	}
}

func TestCodeThatIsWrongIsTold(t *testing.T) {
	document := filepath.Join(t.TempDir(), "d.md")
	text := "```go\nresult, err := exec.Run(ctx, 7)\n```\n"
	if err := os.WriteFile(document, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := build(t.TempDir(), []string{document}); err == nil || !strings.Contains(err.Error(), "cannot use 7") {
		t.Fatal(err)
	}
}

func TestATypeHasAllFieldsThatADocumentSays(t *testing.T) {
	for field, wrong := range map[string]string{"Command string": "", "Command int": "cannot use", "Nonsense int": "Nonsense"} {
		document := filepath.Join(t.TempDir(), "d.md")
		text := "```go\ntype CommandRequest struct {\n\t" + field + "\n}\n```\n"
		if err := os.WriteFile(document, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := build(t.TempDir(), []string{document})
		if (err == nil) != (wrong == "") || err != nil && !strings.Contains(err.Error(), wrong) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
