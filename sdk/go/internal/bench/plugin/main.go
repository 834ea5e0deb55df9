// A call so many times, for benchmarks. It answers with nanoseconds.
package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/portcullis-rs/portcullis/sdk/go"
	"github.com/portcullis-rs/portcullis/sdk/go/env"
	"github.com/portcullis-rs/portcullis/sdk/go/exec"
)

func main() {}

func init() {
	sdk.RegisterFunc(func(ctx context.Context, args []string) (string, error) {
		if args[0] == "nothing" {
			return "", nil
		}
		times, err := strconv.Atoi(args[2])
		if err != nil {
			return "", err
		}
		var took time.Duration
		for range times {
			if args[0] == "exec" {
				time.Sleep(5 * time.Millisecond)
			}
			began := time.Now()
			switch args[0] {
			case "exec":
				_, err = exec.Run(ctx, exec.CommandRequest{Command: args[1]})
			case "env":
				_, _, err = env.Get(args[1])
			}
			took += time.Since(began)
			if err != nil {
				return "", err
			}
		}
		return fmt.Sprint(took.Nanoseconds()), nil
	})
}
