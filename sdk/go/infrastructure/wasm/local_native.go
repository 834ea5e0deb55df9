//go:build !wasip1

package wasm

import (
	"fmt"
	"os"

	"github.com/portcullis-rs/portcullis/sdk/go/domain/ports"
)

// Read reads nothing.
func (FSAdapter) Read(string) ([]byte, error) { return nil, noHost("fs") }

// Write writes nothing.
func (FSAdapter) Write(string, []byte) error { return noHost("fs") }

// Entries lists nothing.
func (FSAdapter) Entries(string) ([]ports.FileEntry, error) { return nil, noHost("fs") }

// Stat looks at nothing.
func (FSAdapter) Stat(string) (ports.FileInfo, error) { return ports.FileInfo{}, noHost("fs") }

// MakeDirectory makes nothing.
func (FSAdapter) MakeDirectory(string) error { return noHost("fs") }

// Remove removes nothing.
func (FSAdapter) Remove(string) error { return noHost("fs") }

// Rename renames nothing.
func (FSAdapter) Rename(string, string) error { return noHost("fs") }

// Get gets nothing.
func (KVAdapter) Get(string) ([]byte, bool, error) { return nil, false, noHost("kv") }

// Set keeps nothing.
func (KVAdapter) Set(string, []byte) error { return noHost("kv") }

// Delete forgets nothing.
func (KVAdapter) Delete(string) (bool, error) { return false, noHost("kv") }

// List lists nothing.
func (KVAdapter) List(string, string, int) (ports.KeyPage, error) {
	return ports.KeyPage{}, noHost("kv")
}

// Swap keeps nothing.
func (KVAdapter) Swap(string, []byte, []byte) (bool, error) { return false, noHost("kv") }

// Get reads nothing.
func (EnvAdapter) Get(string) (string, bool, error) { return "", false, noHost("env") }

// Text asks nobody.
func (PromptAdapter) Text(string, string, *string) (string, error) { return "", noHost("prompt") }

// Confirm asks nobody.
func (PromptAdapter) Confirm(string, string, bool) (bool, error) { return false, noHost("prompt") }

// Choose asks nobody.
func (PromptAdapter) Choose(string, string, []string, int) (int, error) { return 0, noHost("prompt") }

// ChooseSome asks nobody.
func (PromptAdapter) ChooseSome(string, string, []string, []int) ([]int, error) {
	return nil, noHost("prompt")
}

// Write writes to standard error.
func (LogAdapter) Write(record ports.LogRecord) {
	fmt.Fprintf(os.Stderr, "%s: %s\n", levelNames[record.Level], line(record))
}
