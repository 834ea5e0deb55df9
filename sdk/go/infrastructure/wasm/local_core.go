//go:build wasip1 && !reglet

package wasm

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"time"

	"github.com/portcullis-rs/portcullis/sdk/go/domain/fault"
	"github.com/portcullis-rs/portcullis/sdk/go/domain/ports"
	"github.com/portcullis-rs/portcullis/sdk/go/internal/core"
	"github.com/portcullis-rs/portcullis/sdk/go/internal/memory"
)

//go:wasmimport portcullis:core/v1 fs_read
func fsRead(request uint64) uint64

//go:wasmimport portcullis:core/v1 fs_write
func fsWrite(request uint64) uint64

//go:wasmimport portcullis:core/v1 fs_entries
func fsEntries(request uint64) uint64

//go:wasmimport portcullis:core/v1 fs_stat
func fsStat(request uint64) uint64

//go:wasmimport portcullis:core/v1 fs_make_directory
func fsMakeDirectory(request uint64) uint64

//go:wasmimport portcullis:core/v1 fs_remove
func fsRemove(request uint64) uint64

//go:wasmimport portcullis:core/v1 fs_rename
func fsRename(request uint64) uint64

//go:wasmimport portcullis:core/v1 kv_get
func kvGet(request uint64) uint64

//go:wasmimport portcullis:core/v1 kv_set
func kvSet(request uint64) uint64

//go:wasmimport portcullis:core/v1 kv_delete
func kvDelete(request uint64) uint64

//go:wasmimport portcullis:core/v1 kv_list
func kvList(request uint64) uint64

//go:wasmimport portcullis:core/v1 kv_compare_and_swap
func kvSwap(request uint64) uint64

//go:wasmimport portcullis:core/v1 env_get
func envGet(request uint64) uint64

//go:wasmimport portcullis:core/v1 prompt_text
func promptText(request uint64) uint64

//go:wasmimport portcullis:core/v1 prompt_confirm
func promptConfirm(request uint64) uint64

//go:wasmimport portcullis:core/v1 prompt_choose
func promptChoose(request uint64) uint64

//go:wasmimport portcullis:core/v1 prompt_choose_some
func promptChooseSome(request uint64) uint64

//go:wasmimport portcullis:core/v1 log
func hostLog(level int32, text uint64)

type (
	nothing = struct{}
	onPath  struct {
		Path string `json:"path"`
	}
	onKey struct {
		Key string `json:"key"`
	}
)

// failed is what a call that was not done is to the plugin.
func failed(capability, function, object string, err error) error {
	var why *core.Refused
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &why):
		return &fault.CallError{Function: function, Object: object, Kind: "io", Reason: err.Error()}
	case why.Kind == "denied":
		return &fault.CapabilityError{Capability: capability, Object: object}
	}
	return &fault.CallError{Function: function, Object: object, Kind: why.Kind, Reason: why.Limit}
}

// Read gives all of a file.
func (FSAdapter) Read(path string) ([]byte, error) {
	content, err := core.Ask[[]byte](fsRead, onPath{path})
	return content, failed("fs", "fs_read", path, err)
}

// Write makes a file, or replaces one, as a whole.
func (FSAdapter) Write(path string, content []byte) error {
	if content == nil {
		content = []byte{}
	}
	_, err := core.Ask[*nothing](fsWrite, struct {
		onPath
		Content []byte `json:"content"`
	}{onPath{path}, content})
	return failed("fs", "fs_write", path, err)
}

// Entries lists a directory.
func (FSAdapter) Entries(path string) ([]ports.FileEntry, error) {
	entries, err := core.Ask[[]ports.FileEntry](fsEntries, onPath{path})
	return entries, failed("fs", "fs_entries", path, err)
}

// Stat looks at a name, and not through a link.
func (FSAdapter) Stat(path string) (ports.FileInfo, error) {
	found, err := core.Ask[struct {
		Kind     ports.FileKind
		Size     uint64
		Modified uint64
	}](fsStat, onPath{path})
	info := ports.FileInfo{Kind: found.Kind, Size: int64(min(found.Size, math.MaxInt64))}
	if found.Modified != 0 {
		info.Modified = time.Unix(0, int64(min(found.Modified, math.MaxInt64)))
	}
	return info, failed("fs", "fs_stat", path, err)
}

// MakeDirectory makes one directory.
func (FSAdapter) MakeDirectory(path string) error {
	_, err := core.Ask[*nothing](fsMakeDirectory, onPath{path})
	return failed("fs", "fs_make_directory", path, err)
}

// Remove removes a file, a link or an empty directory.
func (FSAdapter) Remove(path string) error {
	_, err := core.Ask[*nothing](fsRemove, onPath{path})
	return failed("fs", "fs_remove", path, err)
}

// Rename gives a name to what has another.
func (FSAdapter) Rename(from, to string) error {
	_, err := core.Ask[*nothing](fsRename, struct {
		From string `json:"from"`
		To   string `json:"to"`
	}{from, to})
	return failed("fs", "fs_rename", from, err)
}

// Get gives the value of a key.
func (KVAdapter) Get(key string) ([]byte, bool, error) {
	value, err := core.Ask[*[]byte](kvGet, onKey{key})
	if err != nil || value == nil {
		return nil, false, failed("kv", "kv_get", key, err)
	}
	return *value, true, nil
}

// Set gives a key a value.
func (KVAdapter) Set(key string, value []byte) error {
	if value == nil {
		value = []byte{}
	}
	_, err := core.Ask[*nothing](kvSet, struct {
		onKey
		Value []byte `json:"value"`
	}{onKey{key}, value})
	return failed("kv", "kv_set", key, err)
}

// Delete forgets a key.
func (KVAdapter) Delete(key string) (bool, error) {
	deleted, err := core.Ask[bool](kvDelete, onKey{key})
	return deleted, failed("kv", "kv_delete", key, err)
}

// List gives a page of keys.
func (KVAdapter) List(prefix, after string, limit int) (ports.KeyPage, error) {
	asked := struct {
		Prefix string  `json:"prefix"`
		After  *string `json:"after"`
		Limit  uint32  `json:"limit"`
	}{Prefix: prefix, Limit: uint32(max(0, min(limit, math.MaxInt32)))}
	if after != "" {
		asked.After = &after
	}
	page, err := core.Ask[ports.KeyPage](kvList, asked)
	return page, failed("kv", "kv_list", prefix, err)
}

// Swap gives a key a value if it has the expected one.
func (KVAdapter) Swap(key string, expected, value []byte) (bool, error) {
	if value == nil {
		value = []byte{}
	}
	swapped, err := core.Ask[bool](kvSwap, struct {
		onKey
		Expected []byte `json:"expected"`
		Value    []byte `json:"value"`
	}{onKey{key}, expected, value})
	return swapped, failed("kv", "kv_compare_and_swap", key, err)
}

// Get reads a variable.
func (EnvAdapter) Get(name string) (string, bool, error) {
	value, err := core.Ask[*string](envGet, struct {
		Name string `json:"name"`
	}{name})
	if err != nil || value == nil {
		return "", false, failed("env", "env_get", name, err)
	}
	return *value, true, nil
}

type question struct {
	ID      string `json:"id"`
	Message string `json:"message"`
}

// Text asks for a line.
func (PromptAdapter) Text(id, message string, def *string) (string, error) {
	text, err := core.Ask[string](promptText, struct {
		question
		Default *string `json:"default"`
	}{question{id, message}, def})
	return text, failed("prompt", "prompt_text", id, err)
}

// Confirm asks for yes or no.
func (PromptAdapter) Confirm(id, message string, def bool) (bool, error) {
	yes, err := core.Ask[bool](promptConfirm, struct {
		question
		Default bool `json:"default"`
	}{question{id, message}, def})
	return yes, failed("prompt", "prompt_confirm", id, err)
}

// Choose asks for one option.
func (PromptAdapter) Choose(id, message string, options []string, def int) (int, error) {
	asked := struct {
		question
		Options []string `json:"options"`
		Default *int     `json:"default"`
	}{question: question{id, message}, Options: options}
	if def >= 0 {
		asked.Default = &def
	}
	chosen, err := core.Ask[int](promptChoose, asked)
	return chosen, failed("prompt", "prompt_choose", id, err)
}

// ChooseSome asks for some options.
func (PromptAdapter) ChooseSome(id, message string, options []string, defs []int) ([]int, error) {
	chosen, err := core.Ask[[]int](promptChooseSome, struct {
		question
		Options  []string `json:"options"`
		Defaults []int    `json:"defaults"`
	}{question{id, message}, options, defs})
	return chosen, failed("prompt", "prompt_choose_some", id, err)
}

// Write writes a line to the plugin's standard error.
func (LogAdapter) Write(record ports.LogRecord) {
	text := line(record)
	if record.RequestID != "" {
		text = fmt.Sprintf("%s request_id=%q", text, record.RequestID)
	}
	bytes := []byte(text)
	hostLog(int32(record.Level), memory.Pack(bytes))
	runtime.KeepAlive(bytes)
}
