// Whether a file is there and is a regular one, as test says.
//
//	portcullis run --allow-exec=test --read /etc plugin.wasm --config '{"path": "/etc/passwd"}'
//
// Built with GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o plugin.wasm .
package main

import (
	"context"

	"github.com/portcullis-rs/portcullis/sdk/go"
	"github.com/portcullis-rs/portcullis/sdk/go/exec"
)

type fileCheck struct{}

func (fileCheck) Check(ctx context.Context, config sdk.Config) (sdk.Evidence, error) {
	path, _ := config["path"].(string)
	if path == "" {
		return sdk.Failure("config", "`path` has to be that of a file"), nil
	}
	result, err := exec.Run(ctx, exec.CommandRequest{
		Command: "test",
		Args:    []string{"-f", path},
	})
	if err != nil {
		return sdk.Failure("exec", err.Error()), nil
	}
	return sdk.Success(map[string]any{
		"path":   path,
		"exists": result.ExitCode == 0,
	}), nil
}

func init() { sdk.Register(fileCheck{}) }
func main() {}
