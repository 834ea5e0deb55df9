// Package kv keeps values from one run of the plugin to the next, with a kv grant. Each call is whole, and on disk when it returns.
package kv

import (
	"iter"

	"github.com/portcullis-rs/portcullis/sdk/go/domain/ports"
	"github.com/portcullis-rs/portcullis/sdk/go/infrastructure/wasm"
)

// Store is what the plugin keeps.
type Store struct{ port ports.KeyValueStore }

// Open gives the plugin's own state.
func Open() *Store { return &Store{wasm.KVAdapter{}} }

// OpenWith gives state that is kept elsewhere, such as in a test.
func OpenWith(port ports.KeyValueStore) *Store { return &Store{port} }

// Get gives the value of a key, and false where it has none.
func (s *Store) Get(key string) ([]byte, bool, error) { return s.port.Get(key) }

// Set gives a key a value.
func (s *Store) Set(key string, value []byte) error { return s.port.Set(key, value) }

// Delete forgets a key, and says whether it had a value.
func (s *Store) Delete(key string) (bool, error) { return s.port.Delete(key) }

// CompareAndSwap gives a key a value if it has the expected one; nil is none. Otherwise nothing is done and it is false.
func (s *Store) CompareAndSwap(key string, expected, value []byte) (bool, error) {
	return s.port.Swap(key, expected, value)
}

// page is how many keys are asked for at once.
const page = 100

// Keys gives all keys that begin with a prefix, in the order of their bytes. An error is the last.
func (s *Store) Keys(prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		after := ""
		for {
			found, err := s.port.List(prefix, after, page)
			if err != nil {
				yield("", err)
				return
			}
			for _, key := range found.Keys {
				if !yield(key, nil) {
					return
				}
				after = key
			}
			if !found.More || len(found.Keys) == 0 {
				return
			}
		}
	}
}
