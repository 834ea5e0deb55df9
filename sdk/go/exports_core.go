//go:build wasip1 && !reglet

package sdk

import (
	"encoding/json"

	"github.com/portcullis-rs/portcullis/sdk/go/internal/memory"
)

// run is what the host calls: a list of texts, and one text or an error.
//
//go:wasmexport run
func run(args uint64) uint64 {
	var words []string
	answer := map[string]string{}
	if err := json.Unmarshal(memory.Take(args), &words); err != nil {
		answer["error"] = err.Error()
	} else if text, err := answered(words); err != nil {
		answer["error"] = err.Error()
	} else {
		answer["ok"] = text
	}
	// Texts alone: nothing here fails.
	bytes, _ := json.Marshal(answer)
	return memory.Give(bytes)
}
