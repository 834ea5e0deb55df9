// A plugin for tests that speaks to the host as the generations of Reglet's SDK do, without any SDK: what it is asked to do stands in
// its configuration, and what the host answered it tells as it came.
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -tags gen2 -o plugin.wasm .
package main

import (
	"runtime"
	"unsafe"
)

//go:wasmimport reglet_host log_message
func hostLog(record uint64)

//go:wasmimport reglet_host exec_command
func hostExec(request uint64) uint64

// What the SDK gives out at most; it ends itself when it is asked for more.
const maxAllocated = 100 << 20

var (
	// What the host or the guest holds an address of.
	held      = map[uint32][]byte{}
	allocated int
)

//go:wasmexport allocate
func allocate(size uint32) uint32 {
	if size == 0 {
		return 0
	}
	if allocated+int(size) > maxAllocated {
		panic("memory limit exceeded")
	}
	bytes := make([]byte, size)
	at := address(bytes)
	held[at] = bytes
	allocated += int(size)
	return at
}

//go:wasmexport deallocate
func deallocate(at, _ uint32) {
	if bytes, is := held[at]; is {
		allocated -= len(bytes)
		delete(held, at)
	}
}

func address(bytes []byte) uint32 {
	return uint32(uintptr(unsafe.Pointer(&bytes[0])))
}

// give copies bytes to where the host finds them until they are freed.
func give(bytes []byte) uint64 {
	if len(bytes) == 0 {
		return 0
	}
	at := allocate(uint32(len(bytes)))
	copy(held[at], bytes)
	return uint64(at)<<32 | uint64(len(bytes))
}

// take gives what lies at a place, and frees it.
func take(packed uint64) []byte {
	at, length := uint32(packed>>32), uint32(packed)
	if packed == 0 {
		return nil
	}
	bytes := append([]byte{}, unsafe.Slice((*byte)(unsafe.Pointer(uintptr(at))), length)...)
	deallocate(at, length)
	return bytes
}

// ask sends a request and gives the answer. As in the SDK, the room of some requests is never freed.
func ask(function func(uint64) uint64, request []byte, frees bool) []byte {
	packed := give(request)
	answer := take(function(packed))
	if frees {
		deallocate(uint32(packed>>32), uint32(packed))
	}
	runtime.KeepAlive(request)
	return answer
}

// log hands a record over and forgets it.
func log(record []byte) {
	hostLog(give(record))
}

func main() {}
