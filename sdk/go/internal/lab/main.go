// Everything that the SDK can do, for tests of what it does on a host: each argument is one act, and what came of each is one line.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/portcullis-rs/portcullis/sdk/go"
	"github.com/portcullis-rs/portcullis/sdk/go/env"
	"github.com/portcullis-rs/portcullis/sdk/go/exec"
	"github.com/portcullis-rs/portcullis/sdk/go/fs"
	"github.com/portcullis-rs/portcullis/sdk/go/kv"
	"github.com/portcullis-rs/portcullis/sdk/go/log"
	"github.com/portcullis-rs/portcullis/sdk/go/prompt"
)

func main() {}

func init() { sdk.RegisterFunc(run) }

var acts = map[string]func(ctx context.Context, words []string) string{
	"run":      runs,
	"timeout":  timeout,
	"cancel":   cancel,
	"over":     over,
	"two":      two,
	"big":      big,
	"bytes":    bytesOf,
	"named":    named,
	"cat":      cat,
	"sort":     sorted,
	"unread":   unread,
	"kill":     kill,
	"files":    files,
	"read":     read,
	"walk":     walk,
	"keep":     keep,
	"variable": variable,
	"ask":      ask,
	"say":      say,
	"panic":    func(context.Context, []string) string { panic("on purpose") },
}

func run(ctx context.Context, args []string) (string, error) {
	var lines []string
	for _, arg := range args {
		words := strings.Fields(arg)
		act, ok := acts[words[0]]
		if !ok {
			return "", fmt.Errorf("no such act: %q", words[0])
		}
		lines = append(lines, act(ctx, words[1:]))
	}
	return strings.Join(lines, "\n"), nil
}

// told is a result and an error, by all that a plugin can ask of them.
func told(result *exec.CommandResponse, err error) string {
	var parts []string
	if result != nil {
		parts = append(parts, fmt.Sprintf("exit=%d stdout=%q", result.ExitCode, result.Stdout))
		if result.Stderr != "" {
			parts = append(parts, fmt.Sprintf("stderr=%q", result.Stderr))
		}
		if result.IsTimeout {
			parts = append(parts, "timeout")
		}
	}
	return strings.Join(append(parts, kindsOf(err)...), " ")
}

func kindsOf(err error) (kinds []string) {
	var denied *exec.CapabilityError
	var failed *exec.ExecError
	for kind, is := range map[string]bool{
		"deadline-exceeded": errors.Is(err, context.DeadlineExceeded),
		"canceled":          errors.Is(err, context.Canceled),
		"capability-error":  errors.As(err, &denied),
		"exec-error":        errors.As(err, &failed),
	} {
		if is {
			kinds = append(kinds, kind)
		}
	}
	switch {
	case failed != nil:
		kinds = append(kinds, string(failed.Kind))
	case errors.Is(err, iofs.ErrPermission):
		kinds = append(kinds, "permission")
	case errors.Is(err, iofs.ErrNotExist):
		kinds = append(kinds, "not-exist")
	case err != nil && len(kinds) == 0:
		kinds = append(kinds, "error: "+err.Error())
	}
	return kinds
}

func runs(ctx context.Context, words []string) string {
	return told(exec.Run(ctx, exec.CommandRequest{Command: words[0], Args: words[1:]}))
}

// timeout gives a command a time in one of three ways, or all of them, and the least of them counts.
func timeout(ctx context.Context, words []string) string {
	req := exec.CommandRequest{Command: "sh", Args: []string{"-c", "echo partial; sleep 30"}}
	var opts []exec.RunOption
	for _, word := range words {
		how, text, _ := strings.Cut(word, "=")
		limit, err := time.ParseDuration(text)
		if err != nil {
			return err.Error()
		}
		switch how {
		case "context":
			var stop context.CancelFunc
			ctx, stop = context.WithTimeout(ctx, limit)
			defer stop()
		case "request":
			req.Timeout = int(limit / time.Second)
		case "option":
			opts = append(opts, exec.WithExecTimeout(limit))
		}
	}
	began := time.Now()
	result, err := exec.Run(ctx, req, opts...)
	return fmt.Sprintf("%s within=%t", told(result, err), time.Since(began) < 8*time.Second)
}

// cancel gives up on a command that would leave a file two seconds later, and looks for it.
func cancel(ctx context.Context, words []string) string {
	ctx, stop := context.WithCancel(ctx)
	go func() {
		time.Sleep(300 * time.Millisecond)
		stop()
	}()
	result, err := exec.Run(ctx, exec.CommandRequest{
		Command: "sh",
		Args:    []string{"-c", "echo partial; sleep 2; echo > late"},
		Dir:     words[0],
	})
	time.Sleep(3 * time.Second)
	_, late := fs.Stat(words[0] + "/late")
	return fmt.Sprintf("%s killed=%t", told(result, err), errors.Is(late, iofs.ErrNotExist))
}

// over asks under contexts that are over before anything begins.
func over(ctx context.Context, _ []string) string {
	cancelled, stop := context.WithCancel(ctx)
	stop()
	late, stop := context.WithTimeout(ctx, -time.Second)
	defer stop()
	req := exec.CommandRequest{Command: "echo"}
	return told(exec.Run(cancelled, req)) + ", " + told(exec.Run(late, req))
}

// two runs two commands at once.
func two(ctx context.Context, _ []string) string {
	began := time.Now()
	done := make(chan string)
	for range 2 {
		go func() {
			done <- told(exec.Run(ctx, exec.CommandRequest{Command: "sleep", Args: []string{"2"}}))
		}()
	}
	said := <-done + ", " + <-done
	return fmt.Sprintf("%s at once=%t", said, time.Since(began) < 3500*time.Millisecond)
}

func big(ctx context.Context, words []string) string {
	result, err := exec.Run(ctx, exec.CommandRequest{Command: "head", Args: []string{"-c", words[0], "/dev/zero"}})
	if err != nil {
		return told(nil, err)
	}
	return strconv.Itoa(len(result.Stdout))
}

func bytesOf(ctx context.Context, _ []string) string {
	result, err := exec.Run(ctx, exec.CommandRequest{Command: "printf", Args: []string{`\377\000\303x`}})
	if err != nil {
		return told(nil, err)
	}
	return fmt.Sprintf("%x", result.Stdout)
}

func named(ctx context.Context, words []string) string {
	//lint:ignore SA1029 plugins for Reglet have it there
	plain := context.WithValue(ctx, "request_id", words[1])
	return runs(sdk.WithRequestID(ctx, words[0]), []string{"echo"}) + ", " + runs(plain, []string{"echo"})
}

// cat sends as many bytes through a command, and reads while it writes.
func cat(ctx context.Context, words []string) string {
	size, _ := strconv.Atoi(words[0])
	sent := bytes.Repeat([]byte("0123456789abcde\n"), size/16)
	p, err := exec.Start(ctx, exec.CommandRequest{Command: "cat"})
	if err != nil {
		return told(nil, err)
	}
	failed := make(chan error)
	go func() {
		_, err := p.Stdin().Write(sent)
		p.Stdin().Close()
		failed <- err
	}()
	got, err := io.ReadAll(p.Stdout())
	result, waited := p.Wait()
	return fmt.Sprintf("%s same=%t %v", told(result, errors.Join(err, waited)), bytes.Equal(got, sent), <-failed)
}

func sorted(ctx context.Context, words []string) string {
	p, err := exec.Start(ctx, exec.CommandRequest{Command: "sort"})
	if err != nil {
		return told(nil, err)
	}
	for _, word := range words {
		fmt.Fprintln(p.Stdin(), word)
	}
	p.Stdin().Close()
	var lines []string
	scanner := bufio.NewScanner(p.Stdout())
	for scanner.Scan() {
		lines = append(lines, scanner.Text())
	}
	result, err := p.Wait()
	return fmt.Sprintf("%s %v", told(result, err), lines)
}

// unread waits for a command, and reads what it wrote afterwards.
func unread(ctx context.Context, _ []string) string {
	p, err := exec.Start(ctx, exec.CommandRequest{Command: "sh", Args: []string{"-c", "cat; echo out; echo err >&2; exit 3"}})
	if err != nil {
		return told(nil, err)
	}
	result, err := p.Wait()
	out, _ := io.ReadAll(p.Stdout())
	failed, _ := io.ReadAll(p.Stderr())
	_, closed := p.Stdin().Write([]byte("x"))
	return fmt.Sprintf("%s %q %q closed=%t", told(result, err), out, failed, errors.Is(closed, io.ErrClosedPipe))
}

func kill(ctx context.Context, _ []string) string {
	p, err := exec.Start(ctx, exec.CommandRequest{Command: "sleep", Args: []string{"30"}})
	if err != nil {
		return told(nil, err)
	}
	p.Kill()
	return told(p.Wait())
}

func files(_ context.Context, words []string) string {
	var parts []string
	say := func(what string, err error) {
		parts = append(parts, strings.Join(append([]string{what}, kindsOf(err)...), " "))
	}
	root := words[0]
	say("mkdir", fs.Mkdir(root+"/d"))
	say("write", fs.WriteFile(root+"/d/f", []byte("hi\x00\xff")))
	content, err := fs.ReadFile(root + "/d/f")
	say(fmt.Sprintf("read %q", content), err)
	info, err := fs.Stat(root + "/d/f")
	say(fmt.Sprintf("stat %s %d %t", info.Kind, info.Size, time.Since(info.Modified) < time.Hour), err)
	entries, err := fs.ReadDir(root + "/d")
	say(fmt.Sprint("list ", entries), err)
	say("rename", fs.Rename(root+"/d/f", root+"/g"))
	_, err = fs.ReadFile(root + "/d/f")
	say("gone", err)
	say("remove", errors.Join(fs.Remove(root+"/g"), fs.Remove(root+"/d")))
	return strings.Join(parts, ", ")
}

func read(_ context.Context, words []string) string {
	content, err := fs.ReadFile(words[0])
	return strings.Join(append([]string{fmt.Sprintf("%q", content)}, kindsOf(err)...), " ")
}

func walk(_ context.Context, words []string) string {
	var found []string
	err := iofs.WalkDir(fs.Dir(words[0]), ".", func(path string, entry iofs.DirEntry, err error) error {
		found = append(found, path)
		return err
	})
	return strings.Join(append(found, kindsOf(err)...), " ")
}

func keep(context.Context, []string) string {
	store := kv.Open()
	_, had, err := store.Get("a")
	if err != nil {
		return strings.Join(kindsOf(err), " ")
	}
	if err := store.Set("a", []byte{0, 255}); err != nil {
		return strings.Join(kindsOf(err), " ")
	}
	value, has, _ := store.Get("a")
	lost, _ := store.CompareAndSwap("a", nil, []byte("x"))
	won, _ := store.CompareAndSwap("a", value, []byte("y"))
	for n := range 210 {
		if err := store.Set(fmt.Sprintf("k%03d", n), nil); err != nil {
			return strings.Join(kindsOf(err), " ")
		}
	}
	keys := 0
	for _, err := range store.Keys("k") {
		if err != nil {
			return strings.Join(kindsOf(err), " ")
		}
		keys++
	}
	gone, err := store.Delete("a")
	return fmt.Sprintf("%t %t %x %t %t %d %t %v", had, has, value, lost, won, keys, gone, err)
}

func variable(_ context.Context, words []string) string {
	value, ok, err := env.Get(words[0])
	return fmt.Sprintf("%q %t %v", value, ok, err)
}

func ask(context.Context, []string) string {
	name, err := prompt.TextOr("name", "Who?", "nobody")
	sure, _ := prompt.Confirm("sure", "Sure?", false)
	one, none := prompt.Choose("one", "Which?", []string{"a", "b"}, -1)
	some, _ := prompt.ChooseSome("some", "Which?", []string{"a", "b", "c"}, 0, 2)
	return fmt.Sprintf("%q %t %d %v %v %v", name, sure, one, some, err, none)
}

func say(ctx context.Context, words []string) string {
	logger := slog.New(log.NewHandler(slog.LevelInfo)).With("act", "say")
	logger.DebugContext(ctx, "not this")
	logger.WarnContext(sdk.WithRequestID(ctx, "r-1"), strings.Join(words, " "), "n", 7, slog.Group("g", "a", "b c"))
	return "said"
}
