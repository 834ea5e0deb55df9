// A plugin in Go for the core-module form, with the standard library alone:
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o plugin.wasm .
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

func main() {}

//go:wasmexport run
func run(args uint64) uint64 {
	var words []string
	result := map[string]string{}
	if err := json.Unmarshal(take(args), &words); err != nil {
		result["error"] = err.Error()
	} else if text, err := work(words); err != nil {
		result["error"] = err.Error()
	} else {
		result["ok"] = text
	}
	bytes, _ := json.Marshal(result)
	// The instance keeps it until it is gone.
	held[0] = bytes
	return pack(bytes)
}

// work runs a command in the given time, and two at once if there are two of them, with `+` between.
func work(words []string) (string, error) {
	limit, err := time.ParseDuration(words[0])
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	log(2, fmt.Sprintf("within %v: %q", limit, words[1:]))
	type result struct {
		text []byte
		err  error
	}
	var results []chan result
	start := 1
	for at := start; at <= len(words); at++ {
		if at < len(words) && words[at] != "+" {
			continue
		}
		command, done := words[start:at], make(chan result, 1)
		results = append(results, done)
		go func() {
			text, err := output(ctx, command[0], command[1:]...)
			done <- result{text, err}
		}()
		start = at + 1
	}
	var all string
	for _, done := range results {
		result := <-done
		if result.err != nil {
			return "", result.err
		}
		all += string(result.text)
	}
	return all, nil
}
