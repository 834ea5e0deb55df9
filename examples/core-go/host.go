package main

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"sync"
	"unsafe"
)

//go:wasmimport portcullis:core/v1 log
func hostLog(level int32, text uint64)

//go:wasmimport portcullis:core/v1 exec_start
func hostStart(request uint64) uint64

//go:wasmimport portcullis:core/v1 exec_poll
func hostPoll(child int32, timeoutMs int64) uint64

//go:wasmimport portcullis:core/v1 exec_cancel
func hostCancel(child int32) int64

var (
	// One call that has an answer at a time: while Go makes room for it, other goroutines may run.
	calls sync.Mutex
	// What the host holds an address of, so that the garbage collector leaves it.
	held = map[uint32][]byte{}
)

//go:wasmexport allocate
func allocate(length uint32) uint32 {
	bytes := make([]byte, max(length, 1))
	at := uint32(uintptr(unsafe.Pointer(&bytes[0])))
	held[at] = bytes[:length]
	return at
}

func pack(bytes []byte) uint64 {
	if len(bytes) == 0 {
		return 0
	}
	return uint64(uintptr(unsafe.Pointer(&bytes[0])))<<32 | uint64(len(bytes))
}

func take(packed uint64) []byte {
	at := uint32(packed >> 32)
	bytes := held[at]
	delete(held, at)
	return bytes
}

func log(level int32, text string) {
	bytes := []byte(text)
	hostLog(level, pack(bytes))
	runtime.KeepAlive(bytes)
}

// answer decodes what a call of the host gave back.
func answer[T any](call func() uint64) (T, error) {
	var answer struct {
		Ok    T `json:"ok"`
		Error *struct {
			Kind string `json:"kind"`
		} `json:"error"`
	}
	calls.Lock()
	bytes := take(call())
	calls.Unlock()
	if err := json.Unmarshal(bytes, &answer); err != nil {
		return answer.Ok, err
	}
	if answer.Error != nil {
		return answer.Ok, errors.New(answer.Error.Kind)
	}
	return answer.Ok, nil
}

type request struct {
	Program string            `json:"program"`
	Args    []string          `json:"args"`
	Stdio   map[string]string `json:"stdio"`
}

type polled struct {
	Stdout  []byte `json:"stdout"`
	Outcome *struct {
		Exit struct {
			Kind string `json:"kind"`
			Code int    `json:"code"`
		} `json:"exit"`
	} `json:"outcome"`
}

// output runs a command until it ends or the context does.
func output(ctx context.Context, program string, args ...string) ([]byte, error) {
	asked, err := json.Marshal(request{program, args, map[string]string{"stdout": "pipe"}})
	if err != nil {
		return nil, err
	}
	started, err := answer[struct{ Child int32 }](func() uint64 { return hostStart(pack(asked)) })
	if err != nil {
		return nil, err
	}
	var all []byte
	for {
		if ctx.Err() != nil {
			hostCancel(started.Child)
			return all, ctx.Err()
		}
		now, err := answer[polled](func() uint64 { return hostPoll(started.Child, 5) })
		if err != nil {
			return all, err
		}
		all = append(all, now.Stdout...)
		if now.Outcome != nil {
			return all, nil
		}
		// There is one thread: whoever cancels runs now.
		runtime.Gosched()
	}
}
