//go:build wasip1 && reglet

package sdk

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/portcullis-rs/portcullis/sdk/go/internal/memory"
)

// Both generations of exports are there, and a host takes those that it knows.

// give encodes an answer, or why there is none in the form that the generation has for it.
func give(value any, err error, failed func(Evidence) any) uint64 {
	if err != nil {
		value = failed(Failure("internal", err.Error()))
	}
	bytes, err := json.Marshal(value)
	if err != nil {
		bytes, _ = json.Marshal(failed(Failure("internal", err.Error())))
	}
	return memory.Give(bytes)
}

func asEvidence(evidence Evidence) any { return evidence }

func asResult(evidence Evidence) any {
	result := evidence.result()
	result.Status = StatusError
	return result
}

var errNotRegistered = fmt.Errorf("plugin not registered")

// observed makes a check of what stands at this place.
func observed(at, length uint32) (Evidence, time.Time) {
	began := time.Now()
	if registered == nil {
		return Failure("internal", errNotRegistered.Error()), began
	}
	var config Config
	if length != 0 {
		if err := json.Unmarshal(memory.Look(at, length), &config); err != nil {
			return Failure("config", err.Error()), began
		}
	}
	return safely(func() Evidence { return check(context.Background(), registered, config) }), began
}

//go:wasmexport observe
func observe(at, length uint32) uint64 {
	evidence, _ := observed(at, length)
	return give(evidence, nil, asEvidence)
}

//go:wasmexport _observe
func observeResult(at, length uint32) uint64 {
	evidence, began := observed(at, length)
	result := evidence.result()
	if evidence.Error != nil && (evidence.Error.Type == "internal" || evidence.Error.Type == "config") {
		result.Status = StatusError
	}
	end := time.Now()
	result.Metadata = &ResultMetadata{StartTime: began, EndTime: end, SDKVersion: Version, Duration: end.Sub(began)}
	return give(result, nil, asResult)
}

// told is what the plugin says of itself.
func told() (metadata Metadata, text []byte, err error) {
	defer func() {
		if what := recover(); what != nil {
			err = fmt.Errorf("plugin panic: %v", what)
		}
	}()
	if registered == nil {
		return metadata, nil, errNotRegistered
	}
	ctx := context.Background()
	if metadata, err = describe(ctx, registered); err != nil {
		return metadata, nil, err
	}
	text, err = schema(ctx, registered)
	return metadata, text, err
}

//go:wasmexport describe
func describeExport() uint64 {
	metadata, _, err := told()
	return give(metadata, err, asEvidence)
}

//go:wasmexport schema
func schemaExport() uint64 {
	_, text, err := told()
	return give(json.RawMessage(text), err, asEvidence)
}

//go:wasmexport _manifest
func manifest() uint64 {
	metadata, text, err := told()
	return give(struct {
		Metadata
		ConfigSchema json.RawMessage `json:"config_schema"`
		Capabilities map[string]any  `json:"capabilities"`
		Services     map[string]any  `json:"services"`
	}{metadata, text, grants(metadata.Capabilities), map[string]any{}}, err, asResult)
}
