package wasm

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/portcullis-rs/portcullis/sdk/go/domain/fault"
	"github.com/portcullis-rs/portcullis/sdk/go/domain/ports"
)

// maxOutput is how much of each stream Run keeps. A host may keep less.
const maxOutput = 10 << 20

// timeLimit is the least of the request's time and what its context has left; 0 where neither says anything.
func timeLimit(ctx context.Context, req ports.CommandRequest) time.Duration {
	var limit time.Duration
	if req.Timeout > 0 {
		limit = time.Duration(min(int64(req.Timeout), int64(maxTimeout/time.Second))) * time.Second
	}
	if end, ok := ctx.Deadline(); ok {
		// What is over already is told by the context itself.
		if left := max(time.Until(end), time.Nanosecond); limit == 0 || left < limit {
			limit = left
		}
	}
	return limit
}

// maxTimeout is as long as a command can be given: a year, so that no sum of times overflows.
const maxTimeout = 365 * 24 * time.Hour

// ended says that a command was not run to its end because its context was over, or its time.
func ended(command string, why error) error {
	return fmt.Errorf("exec %q: %w", command, why)
}

// pairs are variables as names and values.
func pairs(command string, env []string) ([][2]string, error) {
	var all [][2]string
	for _, entry := range env {
		name, value, ok := strings.Cut(entry, "=")
		if !ok || name == "" {
			reason := fmt.Sprintf("%q is not KEY=VALUE", entry)
			return nil, &fault.ExecError{Command: command, Kind: fault.Invalid, Reason: reason}
		}
		all = append(all, [2]string{name, value})
	}
	return all, nil
}
