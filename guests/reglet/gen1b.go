//go:build gen1b

package main

import "encoding/json"

func observed(config []byte) uint64 {
	data, err := act(config)
	if err != nil {
		return result(map[string]any{"status": "failure", "message": err.Error()})
	}
	return result(map[string]any{"status": "success", "data": data})
}

func panicked(why string) uint64 {
	return result(map[string]any{
		"status": "error",
		"error":  map[string]any{"message": why, "type": "panic", "code": ""},
	})
}

func result(values map[string]any) uint64 {
	values["timestamp"] = "2026-01-01T00:00:00Z"
	bytes, _ := json.Marshal(values)
	return give(bytes)
}
