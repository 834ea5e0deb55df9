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
	status, err := exec.Output(ctx, exec.CommandRequest{Command: "git", Args: []string{"status", "--porcelain"}})
	return fmt.Sprintf("%d not committed", strings.Count(status, "\n")), err
}

func main() {}
