;; A plugin that writes to its own standard output: an order to the terminal, and a colour. With an argument it does so
;; for ever.
(component
    (import "wasi:io/error@0.2.0" (instance $errors (export "error" (type (sub resource)))))
    (alias export $errors "error" (type $error))
    (import "wasi:io/streams@0.2.0" (instance $streams
        (export "output-stream" (type $output-stream (sub resource)))
        (alias outer 1 $error (type $outer-error))
        (export "error" (type $stream-cause (eq $outer-error)))
        (type $failure (variant (case "last-operation-failed" (own $stream-cause)) (case "closed")))
        (export "stream-error" (type $stream-error (eq $failure)))
        (export "[method]output-stream.blocking-write-and-flush" (func
            (param "self" (borrow $output-stream)) (param "contents" (list u8))
            (result (result (error $stream-error)))))))
    (alias export $streams "output-stream" (type $stream))
    (import "wasi:cli/stdout@0.2.0" (instance $stdout
        (alias outer 1 $stream (type $outer-stream))
        (export "output-stream" (type $output-stream (eq $outer-stream)))
        (export "get-stdout" (func (result (own $output-stream))))))
    (core module $heap
        (memory (export "memory") 1)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
    (core instance $memory (instantiate $heap))
    (alias export $stdout "get-stdout" (func $get-stdout))
    (alias export $streams "[method]output-stream.blocking-write-and-flush" (func $write))
    (core func $get-stdout-core (canon lower (func $get-stdout)))
    (core func $write-core (canon lower (func $write) (memory (core memory $memory "memory"))))
    (core module $main
        (import "host" "get-stdout" (func $get-stdout (result i32)))
        (import "host" "write" (func $write (param i32 i32 i32 i32)))
        (import "host" "memory" (memory 1))
        (data (i32.const 16) "out \1b]52;c;x\07\1b[31mred\1b[0m\0a")
        (func (export "run") (param i32 i32) (result i32)
            (local $stdout i32)
            (local.set $stdout (call $get-stdout))
            (loop $again
                (call $write (local.get $stdout) (i32.const 16) (i32.const 26) (i32.const 64))
                ;; With arguments, for ever and whatever came of it.
                (br_if $again (local.get 1)))
            ;; There are only zeros there: `ok` with an empty string.
            (i32.const 128)))
    (core instance $plugin (instantiate $main (with "host" (instance
        (export "get-stdout" (func $get-stdout-core))
        (export "write" (func $write-core))
        (export "memory" (memory $memory "memory"))))))
    (func (export "run") (param "args" (list string)) (result (result string (error string)))
        (canon lift (core func $plugin "run")
            (memory (core memory $memory "memory")) (realloc (core func $memory "realloc")))))
