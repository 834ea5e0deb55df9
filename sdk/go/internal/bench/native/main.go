// A command so many times, natively: what a plugin in Go is measured beside. It prints nanoseconds.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"
)

func main() {
	times, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	var took time.Duration
	for range times {
		time.Sleep(5 * time.Millisecond)
		began := time.Now()
		if _, err := exec.Command(os.Args[1]).Output(); err != nil {
			panic(err)
		}
		took += time.Since(began)
	}
	fmt.Println(took.Nanoseconds())
}
