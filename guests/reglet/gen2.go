//go:build gen2

package main

import (
	"encoding/json"
	"fmt"
)

//go:wasmexport _manifest
func manifest() uint64 {
	return give([]byte(`{"name":"guest","version":"1.0.0","description":"for tests","sdk_version":"0.1.0",` +
		`"config_schema":{"type":"object"},"capabilities":{"exec":{"commands":["/bin/echo","/usr/bin/*"]},` +
		`"env":{"vars":["LANG"]},"fs":null},"services":null}`))
}

//go:wasmexport _observe
func observe(at, length uint32) (packed uint64) {
	defer func() {
		if why := recover(); why != nil {
			held, allocated = map[uint32][]byte{}, 0
			packed = result(map[string]any{
				"status": "error",
				"error":  map[string]any{"message": fmt.Sprint("plugin panic: ", why), "type": "panic", "code": ""},
			})
		}
	}()
	return observed(configuration(at, length))
}

func observed(config []byte) uint64 {
	data, err := act(config)
	if err != nil {
		return result(map[string]any{"status": "failure", "message": err.Error()})
	}
	return result(map[string]any{"status": "success", "data": data})
}

func result(values map[string]any) uint64 {
	values["timestamp"] = "2026-01-01T00:00:00Z"
	bytes, _ := json.Marshal(values)
	return give(bytes)
}
