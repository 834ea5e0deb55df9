package main

import "unsafe"

// configuration copies what the host has put into the room that it asked for.
func configuration(at, length uint32) []byte {
	if length == 0 {
		return nil
	}
	return append([]byte{}, unsafe.Slice((*byte)(unsafe.Pointer(uintptr(at))), length)...)
}
