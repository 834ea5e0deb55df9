package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
)

// Func is a plugin that does what its arguments say. The text is written to standard output; an error is the plugin's own, and its
// exit code 1. A panic is a crash.
type Func func(ctx context.Context, args []string) (string, error)

var work Func

// RegisterFunc makes a plugin known to the host that is no check. It belongs into an init function; the first one counts. Hosts of
// Reglet have nothing that calls it.
func RegisterFunc(f Func) {
	if work == nil {
		work = f
	}
}

// usage is what a check takes.
const usage = "a check takes `--config JSON`, `--describe` or `--schema`, and `--json`"

// answered does what the arguments say. A check that panics is an error, since there may be others to make; a plugin that does is over.
func answered(args []string) (string, error) {
	ctx := context.Background()
	switch {
	case registered != nil:
		return checked(ctx, registered, args)
	case work != nil:
		return work(ctx, args)
	}
	return "", errors.New("plugin not registered: call sdk.Register in an init function, since main is not called")
}

// checked makes a check, and gives its result as JSON. That of one that could not be made is an error: its text, or with `--json` the
// result too.
func checked(ctx context.Context, plugin Checker, args []string) (string, error) {
	var (
		config Config
		asJSON bool
	)
	for at := 0; at < len(args); at++ {
		switch args[at] {
		case "--json":
			asJSON = true
		case "--describe":
			metadata, err := describe(ctx, plugin)
			return encoded(metadata, err)
		case "--schema":
			text, err := schema(ctx, plugin)
			return string(text), err
		case "--config":
			at++
			if at == len(args) {
				return "", errors.New(usage)
			}
			if err := json.Unmarshal([]byte(args[at]), &config); err != nil {
				return "", fmt.Errorf("config: %w", err)
			}
		default:
			return "", fmt.Errorf("%q: %s", args[at], usage)
		}
	}
	evidence := safely(func() Evidence { return check(ctx, plugin, config) })
	text, err := encoded(evidence.result(), nil)
	switch {
	case err != nil || evidence.Status:
		return text, err
	case asJSON:
		return "", errors.New(text)
	}
	return "", evidence.Error
}

func encoded(value any, err error) (string, error) {
	if err != nil {
		return "", err
	}
	bytes, err := json.Marshal(value)
	return string(bytes), err
}

func safely(check func() Evidence) (evidence Evidence) {
	defer func() {
		if what := recover(); what != nil {
			evidence = panicked(what, debug.Stack())
		}
	}()
	return check()
}
