package main

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"time"
)

// Config is what the plugin is asked to do.
type Config struct {
	Act     string          `json:"act"`
	Request json.RawMessage `json:"request"`
	Times   int             `json:"times"`
}

// Calls of this instance.
var calls int

func init() {
	log([]byte(`{"timestamp":"2026-01-01T00:00:00.5Z","level":"INFO","message":"guest registered","attrs":null,"context":{}}`))
}

// act does what a configuration says, and gives what there is to tell.
func act(config []byte) (map[string]any, error) {
	calls++
	var asked Config
	if err := json.Unmarshal(config, &asked); err != nil {
		return nil, err
	}
	switch asked.Act {
	case "exec":
		var answer []byte
		for range max(asked.Times, 1) {
			answer = ask(hostExec, asked.Request, true)
		}
		return told(answer)
	case "sizes":
		return sizes(ask(hostExec, asked.Request, true))
	case "log":
		for range max(asked.Times, 1) {
			log(asked.Request)
		}
		return nil, nil
	case "fail":
		return nil, errors.New("it is not as it should be")
	case "panic":
		panic("as asked")
	case "exit":
		os.Exit(3)
	case "spin":
		for {
		}
	case "facts":
		env := strings.Join(os.Environ(), ",")
		return map[string]any{"year": time.Now().Year(), "env": env, "calls": calls, "held": len(held)}, nil
	case "read":
		var path string
		if err := json.Unmarshal(asked.Request, &path); err != nil {
			return nil, err
		}
		bytes, err := os.ReadFile(path)
		return map[string]any{"read": string(bytes)}, err
	}
	return more(asked)
}

func told(answer []byte) (map[string]any, error) {
	if answer == nil {
		return nil, errors.New("host returned null response")
	}
	return map[string]any{"answer": string(answer)}, nil
}

// sizes tells of output that is too much to be told.
func sizes(answer []byte) (map[string]any, error) {
	var response struct {
		Stdout    string `json:"stdout"`
		Stderr    string `json:"stderr"`
		Truncated bool   `json:"stdout_truncated"`
	}
	if err := json.Unmarshal(answer, &response); err != nil {
		return nil, err
	}
	first := ""
	for _, c := range response.Stdout {
		first = string(c)
		break
	}
	return map[string]any{
		"encoded": len(answer), "stdout": len(response.Stdout), "stderr": len(response.Stderr),
		"truncated": response.Truncated, "first": first,
	}, nil
}
