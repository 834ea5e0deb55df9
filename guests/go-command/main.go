// Command go-command is a command of WASI preview 1 as Go's compiler makes it. It does what its arguments say, one thing or,
// with `each`, several in a row:
//
//	args | env | cat | exit CODE | panic | eat | spin | sleep MS
//	each ACT...
//
// Acts are `read PATH`, `write PATH TEXT`, `append PATH TEXT`, `list PATH`, `mkdir PATH`, `remove PATH`, `rename FROM TO`,
// `symlink TARGET PATH`, `stat PATH`, `walk PATH`; each is answered on a line of its own.
package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	words := os.Args[1:]
	if len(words) == 0 {
		words = []string{"args"}
	}
	switch words[0] {
	case "args":
		fmt.Println(strings.Join(os.Args, "\n"))
	case "env":
		names := os.Environ()
		slices.Sort(names)
		fmt.Println(strings.Join(names, "\n"))
	case "cat":
		if _, err := io.Copy(os.Stdout, os.Stdin); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "exit":
		code, _ := strconv.Atoi(words[1])
		os.Exit(code)
	case "panic":
		panic("on purpose")
	case "eat":
		eat()
	case "spin":
		for {
			spun++
		}
	case "sleep":
		ms, _ := strconv.Atoi(words[1])
		began := time.Now()
		done := make(chan bool)
		go func() { time.Sleep(time.Duration(ms) * time.Millisecond); done <- true }()
		<-done
		fmt.Println("slept", time.Since(began) >= time.Duration(ms)*time.Millisecond)
	case "each":
		for _, act := range words[1:] {
			answer, err := do(strings.Split(act, " "))
			if err != nil {
				answer = "failed: " + err.Error()
			}
			fmt.Println(answer)
		}
	}
}

var (
	spun  int
	eaten [][]byte
)

// eat wants more memory than there is, and writes to all of it.
func eat() {
	for {
		bytes := make([]byte, 1<<20)
		for at := 0; at < len(bytes); at += 4096 {
			bytes[at] = 1
		}
		eaten = append(eaten, bytes)
	}
}

func do(words []string) (string, error) {
	switch words[0] {
	case "read":
		bytes, err := os.ReadFile(words[1])
		return string(bytes), err
	case "write":
		return "ok", os.WriteFile(words[1], []byte(words[2]), 0o644)
	case "append":
		file, err := os.OpenFile(words[1], os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return "", err
		}
		defer file.Close()
		_, err = file.WriteString(words[2])
		return "ok", err
	case "list":
		entries, err := os.ReadDir(words[1])
		var names []string
		for _, entry := range entries {
			names = append(names, entry.Name())
		}
		return strings.Join(names, " "), err
	case "walk":
		count := 0
		err := filepath.WalkDir(words[1], func(string, fs.DirEntry, error) error { count++; return nil })
		return strconv.Itoa(count), err
	case "mkdir":
		return "ok", os.Mkdir(words[1], 0o755)
	case "remove":
		return "ok", os.Remove(words[1])
	case "rename":
		return "ok", os.Rename(words[1], words[2])
	case "symlink":
		return "ok", os.Symlink(words[1], words[2])
	case "stat":
		info, err := os.Stat(words[1])
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%d %v", info.Size(), info.Mode().Type()), nil
	}
	return "", fmt.Errorf("no such act")
}
