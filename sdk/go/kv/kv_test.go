package kv_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/portcullis-rs/portcullis/sdk/go/domain/ports"
	"github.com/portcullis-rs/portcullis/sdk/go/kv"
)

// shelf keeps values in memory, and gives pages of three keys at most.
type shelf struct {
	values map[string][]byte
	pages  int
	broken bool
}

func (s *shelf) Get(key string) ([]byte, bool, error) {
	value, ok := s.values[key]
	return value, ok, nil
}

func (s *shelf) Set(key string, value []byte) error {
	s.values[key] = value
	return nil
}

func (s *shelf) Delete(key string) (bool, error) {
	_, ok := s.values[key]
	delete(s.values, key)
	return ok, nil
}

func (s *shelf) List(prefix, after string, limit int) (ports.KeyPage, error) {
	s.pages++
	if s.broken && s.pages > 1 {
		return ports.KeyPage{}, errors.New("broken")
	}
	var keys []string
	for key := range s.values {
		if strings.HasPrefix(key, prefix) && key > after {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	most := min(limit, 3)
	return ports.KeyPage{Keys: keys[:min(len(keys), most)], More: len(keys) > most}, nil
}

func (s *shelf) Swap(string, []byte, []byte) (bool, error) { return false, nil }

func TestAllPagesOfKeysAreGiven(t *testing.T) {
	s := &shelf{values: map[string][]byte{"other": nil}}
	for n := range 8 {
		s.values[fmt.Sprintf("k%d", n)] = nil
	}
	store := kv.OpenWith(s)
	var keys []string
	for key, err := range store.Keys("k") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	if got := strings.Join(keys, " "); got != "k0 k1 k2 k3 k4 k5 k6 k7" || s.pages != 3 {
		t.Fatal(got, s.pages)
	}
	for key := range store.Keys("") {
		if key == "k1" {
			break
		}
	}
	if s.pages != 4 {
		t.Fatal("a reader that stops asks for no more pages:", s.pages)
	}
}

func TestAPageThatFailsIsTheLast(t *testing.T) {
	s := &shelf{values: map[string][]byte{"a": nil, "b": nil, "c": nil, "d": nil}, broken: true}
	var keys, errs int
	for _, err := range kv.OpenWith(s).Keys("") {
		if err != nil {
			errs++
		} else {
			keys++
		}
	}
	if keys != 3 || errs != 1 {
		t.Fatal(keys, errs)
	}
}
