// How full the disk is that a path lies on, as df says.
//
//	portcullis run --allow-exec=df plugin.wasm --config '{"path": "/", "most": 90}'
//
// Built with GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o plugin.wasm .
package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/portcullis-rs/portcullis/sdk/go"
	"github.com/portcullis-rs/portcullis/sdk/go/exec"
)

type diskSpace struct{}

func (diskSpace) Check(ctx context.Context, config sdk.Config) (sdk.Evidence, error) {
	path, _ := config["path"].(string)
	if !strings.HasPrefix(path, "/") {
		return sdk.Failure("config", "`path` has to be absolute"), nil
	}
	most, ok := config["most"].(float64)
	if !ok {
		most = 100
	}
	result, err := exec.Run(ctx, exec.CommandRequest{
		Command: "df",
		Args:    []string{"-P", path},
	})
	if err != nil {
		return sdk.Failure("exec", err.Error()), nil
	}
	if result.ExitCode != 0 {
		return sdk.Failure("df", strings.TrimSpace(result.Stderr)), nil
	}
	disk, err := parse(result.Stdout)
	if err != nil {
		return sdk.Failure("df", err.Error()), nil
	}
	disk["full"] = float64(disk["percent"].(int)) > most
	return sdk.Success(disk), nil
}

// parse reads the second line of what df -P says: a file system, its 1,024-byte blocks, those in use and free, how full it is, and where
// it is mounted.
func parse(text string) (map[string]any, error) {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) < 2 {
		return nil, fmt.Errorf("no file system in %q", text)
	}
	fields := strings.Fields(lines[1])
	if len(fields) < 6 {
		return nil, fmt.Errorf("six columns expected: %q", lines[1])
	}
	blocks, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return nil, err
	}
	percent, err := strconv.Atoi(strings.TrimSuffix(fields[4], "%"))
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"filesystem": fields[0],
		"bytes":      blocks * 1024,
		"percent":    percent,
		"mount":      strings.Join(fields[5:], " "),
	}, nil
}

func init() { sdk.Register(diskSpace{}) }
func main() {}
