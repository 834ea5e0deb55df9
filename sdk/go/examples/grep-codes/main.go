// Whether a file has a pattern, as grep says by its exit code: 0 found, 1 not found, 2 and more an error.
//
//	portcullis run --allow-exec=grep --read . plugin.wasm --config '{"pattern": "TODO", "file": "main.go"}'
//
// Built with GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o plugin.wasm .
package main

import (
	"context"
	"strings"

	"github.com/portcullis-rs/portcullis/sdk/go"
	"github.com/portcullis-rs/portcullis/sdk/go/exec"
)

type grepCodes struct{}

func (grepCodes) Check(ctx context.Context, config sdk.Config) (sdk.Evidence, error) {
	pattern, _ := config["pattern"].(string)
	file, _ := config["file"].(string)
	result, err := exec.Run(ctx, exec.CommandRequest{
		Command: "grep",
		// Neither of them is taken for an option.
		Args: []string{"-n", "-e", pattern, "--", file},
	})
	if err != nil {
		return sdk.Failure("exec", err.Error()), nil
	}
	switch result.ExitCode {
	case 0:
		return sdk.Success(map[string]any{"found": true, "output": result.Stdout}), nil
	case 1:
		return sdk.Success(map[string]any{"found": false}), nil
	}
	return sdk.Failure("grep", strings.TrimSpace(result.Stderr)), nil
}

func init() { sdk.Register(grepCodes{}) }
func main() {}
