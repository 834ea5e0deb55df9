//go:build gen1a

package main

import (
	"encoding/json"
	"time"
)

// Evidence has no tags in this generation: its keys are those of Go.
type Evidence struct {
	Status    bool
	Error     *detail
	Timestamp time.Time
	Data      map[string]any
	Raw       *string
}

type detail struct {
	Message string `json:"message"`
	Type    string `json:"type"`
	Code    string `json:"code"`
}

func observed(config []byte) uint64 {
	data, err := act(config)
	if err != nil {
		return evidence(Evidence{Error: &detail{Message: err.Error(), Type: "plugin_error"}})
	}
	return evidence(Evidence{Status: true, Data: data})
}

func panicked(why string) uint64 {
	return evidence(Evidence{Error: &detail{Message: why, Type: "panic"}})
}

func evidence(evidence Evidence) uint64 {
	evidence.Timestamp = time.Now()
	bytes, _ := json.Marshal(evidence)
	return give(bytes)
}
