// A plugin that does what `sdk/parity/scenarios.toml` says: the first argument is the scenario, the rest are its own.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/portcullis-rs/portcullis/sdk/go"
	"github.com/portcullis-rs/portcullis/sdk/go/env"
	"github.com/portcullis-rs/portcullis/sdk/go/exec"
	files "github.com/portcullis-rs/portcullis/sdk/go/fs"
	"github.com/portcullis-rs/portcullis/sdk/go/http"
	"github.com/portcullis-rs/portcullis/sdk/go/kv"
	"github.com/portcullis-rs/portcullis/sdk/go/log"
	"github.com/portcullis-rs/portcullis/sdk/go/prompt"
)

func main() {}

func init() { sdk.RegisterFunc(parity) }

func parity(ctx context.Context, args []string) (string, error) {
	if len(args) == 0 {
		return "", errors.New("usage: SCENARIO [ARG]...")
	}
	scenario, args := args[0], args[1:]
	switch scenario {
	case "output":
		return read(ctx, "printf", `one\ntwo\n`)
	case "arguments":
		return read(ctx, "printf", "[%s]", "a b", "$x", "", "*")
	case "bytes":
		response, err := run(ctx, "printf", `\377\000`)
		return fmt.Sprintf("%x", response.Stdout), err
	case "status":
		response, err := run(ctx, "false")
		return fmt.Sprint("status ", response.ExitCode), err
	case "must-succeed":
		return mustSucceed(ctx)
	case "signal":
		response, err := run(ctx, "sh", "-c", "kill -9 $$")
		return fmt.Sprint("signal ", response.Signal), err
	case "both-outputs":
		response, err := run(ctx, "sh", "-c", "echo out; echo err >&2")
		return chomp(response.Stdout) + "|" + chomp(response.Stderr), err
	case "environment":
		return output(ctx, exec.CommandRequest{Command: "printenv", Args: []string{"GREETING"}, Env: []string{"GREETING=hello"}})
	case "directory":
		directory, err := output(ctx, exec.CommandRequest{Command: "pwd", Dir: "sub"})
		return path.Base(directory), err
	case "input":
		return output(ctx, exec.CommandRequest{Command: "cat", Stdin: []byte("héllo")})
	case "large-input":
		return largeInput(ctx)
	case "deadline":
		return deadline(ctx)
	case "denied":
		_, err := run(ctx, "id")
		return kind(err)
	case "not-found":
		_, err := run(ctx, "no-such-program")
		return kind(err)
	case "lines":
		return lines(ctx)
	case "conversation":
		return conversation(ctx)
	case "kill":
		return kill(ctx)
	case "files":
		return wholeFiles()
	case "file-missing":
		_, err := files.ReadFile("missing.txt")
		return kind(err)
	case "file-denied":
		_, err := files.ReadFile("/etc/passwd")
		return kind(err)
	case "get":
		response, err := http.NewClient().Get(ctx, args[0])
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%d %s %s", response.Status, response.Header("x-kind"), response.Body), nil
	case "post":
		response, err := http.NewClient().Do(ctx, http.Request{
			Method: "POST", URL: args[0], Headers: [][2]string{{"x-kind", "loud"}}, Body: []byte("quiet"),
		})
		if err != nil {
			return "", err
		}
		return string(response.Body), nil
	case "http-denied":
		_, err := http.NewClient().Get(ctx, "https://example.com/")
		return kind(err)
	case "variable":
		granted, err := variable("PARITY")
		path, other := variable("PATH")
		return granted + " " + path, errors.Join(err, other)
	case "state":
		return state()
	case "log":
		slog.New(log.NewHandler(slog.LevelInfo)).Info("it begins")
		return "logged", nil
	case "questions":
		return questions()
	case "plugin-arguments":
		return strings.Join(args, "|"), nil
	case "error":
		return "", errors.New("it does not work")
	case "crash":
		panic("it broke")
	}
	return "", fmt.Errorf("no scenario %q", scenario)
}

// run runs a command; a status other than 0 is no error.
func run(ctx context.Context, command string, args ...string) (exec.CommandResponse, error) {
	response, err := exec.Run(ctx, exec.CommandRequest{Command: command, Args: args})
	if err != nil {
		return exec.CommandResponse{}, err
	}
	return *response, nil
}

func read(ctx context.Context, command string, args ...string) (string, error) {
	return output(ctx, exec.CommandRequest{Command: command, Args: args})
}

// output is what a command that has to succeed wrote.
func output(ctx context.Context, req exec.CommandRequest) (string, error) {
	text, err := exec.Output(ctx, req)
	return chomp(text), err
}

func chomp(text string) string { return strings.TrimRight(text, "\n") }

// kind is that of an error that has to be there.
func kind(err error) (string, error) {
	switch {
	case err == nil:
		return "", errors.New("it was done")
	case errors.Is(err, fs.ErrPermission):
		return "denied", nil
	case errors.Is(err, fs.ErrNotExist):
		return "not found", nil
	}
	return "", err
}

func mustSucceed(ctx context.Context) (string, error) {
	_, err := read(ctx, "cat", "missing")
	var failed *exec.ExitError
	if !errors.As(err, &failed) {
		return "", fmt.Errorf("it is no failure of the command: %w", err)
	}
	line, _, _ := strings.Cut(failed.Response.Stderr, "\n")
	return fmt.Sprintf("failed %d %s", failed.Response.ExitCode, line), nil
}

// largeInput is given in one piece, and through a pipe.
func largeInput(ctx context.Context) (string, error) {
	input := bytes.Repeat([]byte("x"), 1<<20)
	whole, err := output(ctx, exec.CommandRequest{Command: "wc", Args: []string{"-c"}, Stdin: input})
	if err != nil {
		return "", err
	}
	wc, err := exec.Start(ctx, exec.CommandRequest{Command: "wc", Args: []string{"-c"}})
	if err != nil {
		return "", err
	}
	_, err = wc.Stdin().Write(input)
	_, waited := wc.Wait()
	piped, _ := bufio.NewReader(wc.Stdout()).ReadString('\n')
	if err = errors.Join(err, waited); err == nil && chomp(piped) != whole {
		err = fmt.Errorf("%s, and %q through a pipe", whole, piped)
	}
	return whole, err
}

func deadline(ctx context.Context) (string, error) {
	req := exec.CommandRequest{Command: "sh", Args: []string{"-c", "echo begun; exec sleep 30"}}
	response, err := exec.Run(ctx, req, exec.WithExecTimeout(2*time.Second))
	if !errors.Is(err, context.DeadlineExceeded) {
		return "", fmt.Errorf("it was not stopped: %w", err)
	}
	return "timed out " + chomp(response.Stdout), nil
}

func lines(ctx context.Context) (string, error) {
	sh, err := exec.Start(ctx, exec.CommandRequest{Command: "sh", Args: []string{"-c", "echo one; sleep 0.1; echo two"}})
	if err != nil {
		return "", err
	}
	var lines []string
	stdout := bufio.NewScanner(sh.Stdout())
	for stdout.Scan() {
		lines = append(lines, stdout.Text())
	}
	_, err = sh.Wait()
	return strings.Join(lines, ","), errors.Join(stdout.Err(), err)
}

func conversation(ctx context.Context) (string, error) {
	cat, err := exec.Start(ctx, exec.CommandRequest{Command: "cat"})
	if err != nil {
		return "", err
	}
	stdout := bufio.NewReader(cat.Stdout())
	var said []string
	for _, word := range []string{"ping", "pong"} {
		if _, err := fmt.Fprintln(cat.Stdin(), word); err != nil {
			return "", err
		}
		line, err := stdout.ReadString('\n')
		if err != nil {
			return "", err
		}
		said = append(said, chomp(line))
	}
	response, err := cat.Wait()
	if err != nil {
		return "", err
	}
	return strings.Join(append(said, strconv.Itoa(response.ExitCode)), " "), nil
}

func kill(ctx context.Context) (string, error) {
	sleep, err := exec.Start(ctx, exec.CommandRequest{Command: "sleep", Args: []string{"30"}})
	if err != nil {
		return "", err
	}
	sleep.Kill()
	response, err := sleep.Wait()
	if !errors.Is(err, context.Canceled) {
		return "", fmt.Errorf("it was not killed: %w", err)
	}
	return fmt.Sprint("signal ", response.Signal), nil
}

func wholeFiles() (string, error) {
	if err := files.WriteFile("notes.txt", []byte("text")); err != nil {
		return "", err
	}
	text, err := files.ReadFile("notes.txt")
	if err != nil {
		return "", err
	}
	info, err := files.Stat("notes.txt")
	if err != nil {
		return "", err
	}
	if err := errors.Join(files.Rename("notes.txt", "kept.txt"), files.Mkdir("made")); err != nil {
		return "", err
	}
	entries, err := files.ReadDir(".")
	said := []string{string(text), strconv.FormatInt(info.Size, 10)}
	for _, entry := range entries {
		said = append(said, entry.Name)
	}
	return strings.Join(said, " "), errors.Join(err, files.Remove("kept.txt"), files.Remove("made"))
}

func variable(name string) (string, error) {
	value, there, err := env.Get(name)
	if !there {
		value = "none"
	}
	return value, err
}

func state() (string, error) {
	store := kv.Open()
	swapped := map[bool]string{true: "swapped", false: "not swapped"}
	err := errors.Join(store.Set("a", []byte("1")), store.Set("b", []byte("2")))
	first, firstErr := store.CompareAndSwap("a", []byte("1"), []byte("3"))
	second, secondErr := store.CompareAndSwap("a", []byte("1"), []byte("4"))
	if err = errors.Join(err, firstErr, secondErr); err != nil {
		return "", err
	}
	var keys []string
	for key, err := range store.Keys("") {
		if err != nil {
			return "", err
		}
		keys = append(keys, key)
	}
	if _, err := store.Delete("b"); err != nil {
		return "", err
	}
	said := []string{swapped[first], swapped[second], strings.Join(keys, ",")}
	for _, key := range []string{"a", "b"} {
		value, there, err := store.Get(key)
		if err != nil {
			return "", err
		}
		if !there {
			value = []byte("none")
		}
		said = append(said, string(value))
	}
	return strings.Join(said, " "), nil
}

func questions() (string, error) {
	name, err := prompt.Text("name", "What is your name?")
	if err != nil {
		return "", err
	}
	sure, err := prompt.Confirm("sure", "Are you sure?", false)
	if err != nil {
		return "", err
	}
	colours := []string{"red", "green", "blue"}
	colour, err := prompt.Choose("colour", "Which colour?", colours, -1)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s %s %s", name, map[bool]string{true: "yes", false: "no"}[sure], colours[colour]), nil
}
