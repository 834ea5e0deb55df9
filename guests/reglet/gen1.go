//go:build gen1a || gen1b

package main

import "fmt"

//go:wasmexport describe
func describe() uint64 {
	return give([]byte(`{"name":"guest","version":"1.0.0","description":"for tests","sdk_version":"0.1.0-alpha",` +
		`"min_host_version":"0.2.0","capabilities":[{"kind":"exec","pattern":"/bin/echo"},{"kind":"env","pattern":"LANG"}]}`))
}

//go:wasmexport schema
func schema() uint64 {
	return give([]byte(`{"type":"object","properties":{"act":{"type":"string"}}}`))
}

//go:wasmexport observe
func observe(at, length uint32) (packed uint64) {
	defer func() {
		if why := recover(); why != nil {
			held, allocated = map[uint32][]byte{}, 0
			packed = panicked(fmt.Sprint("plugin panic: ", why))
		}
	}()
	return observed(configuration(at, length))
}
