//go:build wasip1 && !reglet

// Package core calls functions of `portcullis:core/v1`, each a request and an answer in JSON.
package core

import (
	"encoding/json"
	"errors"
	"runtime"
	"sync"

	"github.com/portcullis-rs/portcullis/sdk/go/internal/memory"
)

// Refused is why a function did not do what it was asked.
type Refused struct {
	Kind string `json:"kind"`
	// Limit is which one it was, where the kind is "limit".
	Limit string `json:"limit"`
}

func (r *Refused) Error() string { return r.Kind }

// ErrNoRoom says that the plugin had no memory for an answer.
var ErrNoRoom = errors.New("there was no memory for the answer of the host")

// One call that has an answer at a time: while room is made for it, other goroutines may run.
var calls sync.Mutex

// Ask calls a function. Its error is a [Refused] where the host said so.
func Ask[T any](call func(request uint64) uint64, request any) (T, error) {
	asked, err := json.Marshal(request)
	if err != nil {
		var none T
		return none, err
	}
	answer, err := Answer[T](func() uint64 { return call(memory.Pack(asked)) })
	runtime.KeepAlive(asked)
	return answer, err
}

// Answer makes a call whose answer is a message.
func Answer[T any](call func() uint64) (T, error) {
	calls.Lock()
	bytes := memory.Take(call())
	calls.Unlock()
	var answer struct {
		Ok    T        `json:"ok"`
		Error *Refused `json:"error"`
	}
	if bytes == nil {
		return answer.Ok, ErrNoRoom
	}
	if err := json.Unmarshal(bytes, &answer); err != nil {
		return answer.Ok, err
	}
	if answer.Error != nil {
		return answer.Ok, answer.Error
	}
	return answer.Ok, nil
}
