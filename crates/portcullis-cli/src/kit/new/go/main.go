// A plugin that says how many files are not committed.
package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/portcullis-rs/portcullis/sdk/go"
	"github.com/portcullis-rs/portcullis/sdk/go/exec"
)

func init() { sdk.RegisterFunc(uncommitted) }

func uncommitted(ctx context.Context, args []string) (string, error) {
	status, err := exec.Run(ctx, exec.CommandRequest{Command: "git", Args: []string{"status", "--porcelain"}})
	if err == nil && status.ExitCode != 0 {
		err = fmt.Errorf("git status: %s", status.Stderr)
	}
	return fmt.Sprintf("%d not committed", strings.Count(status.Stdout, "\n")), err
}

func main() {}
