package main

import (
	"regexp"
	"strings"
)

// block is code in a document.
type block struct {
	line int
	text string
}

var (
	fence = regexp.MustCompile("(?ms)^```go\n(.*?)^```")
	// How code begins between lines of prose.
	begins = regexp.MustCompile(`^(package \w+$|import |type \w+ |func \w+\(|\w+(, \w+)* := |// )`)
	// A line of prose that is a Go expression as well.
	word = regexp.MustCompile(`^\w+$`)
)

// blocks is all code of a document, in its order.
func blocks(text string) []block {
	var all []block
	if fences := fence.FindAllStringSubmatchIndex(text, -1); fences != nil {
		for _, at := range fences {
			all = append(all, block{1 + strings.Count(text[:at[2]], "\n"), text[at[2]:at[3]]})
		}
		return all
	}
	lines := strings.Split(text, "\n")
	for at := 0; at < len(lines); at++ {
		if !begins.MatchString(lines[at]) {
			continue
		}
		// The longest run of lines that is Go.
		end := 0
		for next := at + 1; next <= len(lines) && !word.MatchString(lines[next-1]); next++ {
			if kindOf(strings.Join(lines[at:next], "\n")) != noGo {
				end = next
			}
		}
		if end > 0 {
			all = append(all, block{at + 1, strings.Join(lines[at:end], "\n")})
			at = end - 1
		}
	}
	return all
}
