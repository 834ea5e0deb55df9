package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// kind is what a piece of code is.
type kind string

const (
	// file has a package clause.
	file kind = "file"
	// declarations tell what there is in the SDK.
	declarations kind = "declarations"
	// statements are a part of a function.
	statements kind = "statements"
	// noGo is no Go, whatever the document says.
	noGo kind = "no Go"
)

var importLines = regexp.MustCompile(`(?m)^import (\(\n(.*\n)*?\)|"[^"]+")\n`)

// kindOf tells what a text is. What is nothing but comments is no Go.
func kindOf(text string) kind {
	set := token.NewFileSet()
	if _, err := parser.ParseFile(set, "", text, 0); err == nil {
		return file
	}
	if parsed, err := parser.ParseFile(set, "", "package p\n"+text, 0); err == nil && len(parsed.Decls) > len(parsed.Imports) {
		return declarations
	}
	body := importLines.ReplaceAllString(text, "")
	parsed, err := parser.ParseFile(set, "", "package p\nfunc f() {\n"+body+"\n}", 0)
	if err != nil || len(parsed.Decls) != 1 {
		return noGo
	}
	if function, ok := parsed.Decls[0].(*ast.FuncDecl); !ok || len(function.Body.List) == 0 {
		return noGo
	}
	return statements
}

// wrapped is a package that has the code, and a function Check that does it.
func wrapped(piece *found, name, base string) (string, error) {
	piece.Kind = kindOf(piece.Source)
	var source string
	switch piece.Kind {
	case noGo:
		piece.Slips = append(piece.Slips, "it is no Go")
		return "", nil
	case file:
		// The plugin that has all pieces is the one that is registered.
		source = strings.Replace(piece.Source, "func init() {", "func Registered() {", 1) + "\nfunc Check(ctx context.Context, config sdk.Config) (sdk.Evidence, error) {\n" +
			"\treturn (&MyPlugin{}).Check(ctx, config)\n}\n"
	case declarations:
		source = "package p\n" + strings.TrimSpace(piece.Source) + declared(piece.Source)
	case statements:
		imports := strings.Join(importLines.FindAllString(piece.Source, -1), "")
		body := importLines.ReplaceAllString(piece.Source, "")
		source = "package p\n" + imports + inFunction(body)
	}
	return imported(piece, source, name, base)
}

// sameFields compiles where the SDK's type of this name has every field of a struct, with the same type: each can be assigned
// to the other.
func sameFields(spec *ast.TypeSpec) string {
	name := spec.Name.Name
	fields, ok := spec.Type.(*ast.StructType)
	if !ok {
		return fmt.Sprintf("\nvar _ = exec.%s(%s{})\n", name, name)
	}
	var code strings.Builder
	fmt.Fprintf(&code, "\nvar _ = func(said *%s, is *exec.%s) {\n", name, name)
	for _, field := range fields.Fields.List {
		for _, name := range field.Names {
			fmt.Fprintf(&code, "\tsaid.%s, is.%s = is.%s, said.%s\n", name.Name, name.Name, name.Name, name.Name)
		}
	}
	code.WriteString("}\n")
	return code.String()
}

// declared holds declarations against the SDK: its types have the same fields, and may have more, and functions can be called so.
func declared(text string) string {
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, "", "package p\n"+text, 0)
	if err != nil {
		return ""
	}
	var more strings.Builder
	known := map[string]bool{}
	for _, decl := range parsed.Decls {
		switch decl := decl.(type) {
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				if spec, ok := spec.(*ast.TypeSpec); ok {
					known[spec.Name.Name] = true
					more.WriteString(sameFields(spec))
				}
			}
		case *ast.FuncDecl:
			var names []string
			for _, field := range decl.Type.Params.List {
				spread := ""
				if _, ok := field.Type.(*ast.Ellipsis); ok {
					spread = "..."
				}
				for _, name := range field.Names {
					names = append(names, name.Name+spread)
				}
			}
			// A signature without a body gets the SDK's.
			fmt.Fprintf(&more, " {\n\treturn exec.%s(%s)\n}\n", decl.Name.Name, strings.Join(names, ", "))
		}
	}
	for _, name := range []string{"CommandRequest", "CommandResponse", "RunOption"} {
		if !known[name] {
			fmt.Fprintf(&more, "\ntype %s = exec.%s\n", name, name)
		}
	}
	return more.String() + "\nfunc Check(context.Context, sdk.Config) (sdk.Evidence, error) {\n" +
		"\treturn sdk.Success(map[string]any{\"declared\": true}), nil\n}\n"
}

// inFunction puts statements into Check, with what the text around them speaks of.
func inFunction(body string) string {
	names := assigned(body)
	var before, after strings.Builder
	if uses(body, "req") && !slices.Contains(names, "req") {
		before.WriteString("req := exec.CommandRequest{Command: \"sh\", Args: []string{\"-c\", \"pwd; echo DEBUG=$DEBUG\"}}\n")
	}
	for _, name := range names {
		fmt.Fprintf(&after, "_ = %s\n", name)
	}
	if slices.Contains(names, "result") {
		after.WriteString("return shown(result, err)\n")
	} else {
		after.WriteString("return sdk.Success(nil), nil\n")
	}
	source := "func Check(ctx context.Context, config sdk.Config) (sdk.Evidence, error) {\n" +
		before.String() + body + "\n" + after.String() + "}\n" + shownSource
	if uses(body, "MyMockRunner") {
		source += mockSource
	}
	return source
}

const shownSource = `
// shown is what the code has of a command at its end.
func shown(result *exec.CommandResponse, err error) (sdk.Evidence, error) {
	data := map[string]any{"deadline": errors.Is(err, context.DeadlineExceeded), "failed": err != nil}
	if result != nil {
		data["stdout"], data["exit_code"], data["timeout"] = result.Stdout, result.ExitCode, result.IsTimeout
	}
	return sdk.Success(data), nil
}
`

const mockSource = `
type MyMockRunner struct{}

func (*MyMockRunner) Run(context.Context, ports.CommandRequest) (*ports.CommandResult, error) {
	return &ports.CommandResult{Stdout: "mocked"}, nil
}
`

// assigned is what a text gives a name to in the function itself.
func assigned(body string) []string {
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, "", "package p\nfunc f() {\n"+body+"\n}", 0)
	if err != nil {
		return nil
	}
	var names []string
	for _, statement := range parsed.Decls[0].(*ast.FuncDecl).Body.List {
		assign, ok := statement.(*ast.AssignStmt)
		if !ok || assign.Tok != token.DEFINE {
			continue
		}
		for _, left := range assign.Lhs {
			if name, ok := left.(*ast.Ident); ok && name.Name != "_" && !slices.Contains(names, name.Name) {
				names = append(names, name.Name)
			}
		}
	}
	return names
}

func uses(text, name string) bool {
	return regexp.MustCompile(`\b` + name + `\b`).MatchString(text)
}

// imported gives a source its package and exactly the imports that it uses.
func imported(piece *found, source, name, base string) (string, error) {
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, "", source, parser.ParseComments)
	if err != nil {
		return "", err
	}
	used := map[string]bool{}
	ast.Inspect(parsed, func(node ast.Node) bool {
		if selector, ok := node.(*ast.SelectorExpr); ok {
			if of, ok := selector.X.(*ast.Ident); ok {
				used[of.Name] = true
			}
		}
		return true
	})
	paths := map[string]string{"sdk": base, "exec": base + "/exec", "ports": base + "/domain/ports"}
	for _, one := range []string{"log", "net", "fs", "kv", "env", "prompt"} {
		paths[one] = base + "/" + one
	}
	for _, standard := range []string{"context", "errors", "fmt", "strings", "time", "bufio", "io", "log/slog", "net/http"} {
		paths[path.Base(standard)] = standard
	}
	for _, spec := range parsed.Imports {
		written, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return "", err
		}
		as := path.Base(written)
		if written == base {
			as = "sdk"
		}
		if !used[as] {
			piece.Slips = append(piece.Slips, "unused import "+spec.Path.Value)
		}
		paths[as] = written
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "package %s\n\nimport (\n", name)
	for as, from := range paths {
		if used[as] {
			fmt.Fprintf(&out, "\t%s %q\n", as, from)
		}
	}
	out.WriteString(")\n")
	body := importLines.ReplaceAllString(source, "")
	body = regexp.MustCompile(`(?m)^package \w+\n`).ReplaceAllString(body, "")
	if piece.Kind == file {
		body = strings.TrimSpace(body) + "\n"
	}
	out.WriteString(body)
	formatted, err := format.Source(out.Bytes())
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, out.String())
	}
	return string(formatted), nil
}
