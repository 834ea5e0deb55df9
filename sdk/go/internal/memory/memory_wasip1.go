//go:build wasip1

// Package memory passes bytes between the plugin and its host: by pointers packed into 64 bits, (address << 32) | length.
package memory

import "unsafe"

// What the host holds an address of, so that the garbage collector leaves it.
var held = map[uint32][]byte{}

//go:wasmexport allocate
func allocate(length uint32) uint32 {
	if length == 0 {
		return 0
	}
	bytes := make([]byte, length)
	at := uint32(uintptr(unsafe.Pointer(&bytes[0])))
	held[at] = bytes
	return at
}

// Hosts of Reglet give back what they asked for, and what they were given. Ours leaves it to the plugin.
//
//go:wasmexport deallocate
func deallocate(at, _ uint32) {
	delete(held, at)
}

// Pack is the pointer to bytes, which stay the caller's: they have to be kept alive until the host has read them.
func Pack(bytes []byte) uint64 {
	if len(bytes) == 0 {
		return 0
	}
	return uint64(uintptr(unsafe.Pointer(&bytes[0])))<<32 | uint64(len(bytes))
}

// What was given last: no host needs it any more when it calls again, and not every host gives it back.
var given uint64

// Give is the pointer to bytes that the host is left with, until the next are given.
func Give(bytes []byte) uint64 {
	Take(given)
	given = Pack(bytes)
	if given != 0 {
		held[uint32(given>>32)] = bytes
	}
	return given
}

// Take is what the host passed, which is the caller's from now on; nil where that was nothing.
func Take(packed uint64) []byte {
	at := uint32(packed >> 32)
	bytes := held[at]
	delete(held, at)
	return bytes[:min(len(bytes), int(uint32(packed)))]
}

// Look is what the host passed and will give back itself.
func Look(at, length uint32) []byte {
	bytes := held[at]
	return bytes[:min(len(bytes), int(length))]
}
