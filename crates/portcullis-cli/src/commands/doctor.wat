;; The plugin that `portcullis doctor` runs: it calls `true`, and answers with the host's error if there is one.
(component
    (type $process (instance
        (type $request (record
            (field "program" string) (field "args" (list string)) (field "cwd" (option string))
            (field "env" (list (tuple string string))) (field "inherit-env" bool) (field "stdin" (option (list u8)))))
        (export "exec-request" (type $exec-request (eq $request)))
        (type $outcome (record (field "status" u32) (field "stdout" (list u8)) (field "stderr" (list u8))))
        (export "exec-result" (type $exec-result (eq $outcome)))
        (type $answer (result $exec-result (error string)))
        (type $exec (func (param "request" $exec-request) (result $answer)))
        (export "exec" (func (type $exec)))))
    (import "portcullis:cli/process@0.1.0" (instance $host (type $process)))
    (core module $heap
        (memory (export "memory") 1)
        (global $next (mut i32) (i32.const 1024))
        (func (export "realloc") (param i32 i32 i32 i32) (result i32)
            (local $at i32)
            (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
            (global.set $next (i32.add (local.get $at) (local.get 3)))
            (local.get $at)))
    (core instance $memory (instantiate $heap))
    (alias export $host "exec" (func $exec))
    (core func $lowered
        (canon lower (func $exec) (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
    (core module $main
        (import "host" "exec" (func $exec
            (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
        (import "host" "memory" (memory 1))
        (data (i32.const 16) "true")
        (func (export "run") (param i32 i32) (result i32)
            (call $exec
                (i32.const 16) (i32.const 4) ;; the program
                (i32.const 0) (i32.const 0) ;; no arguments
                (i32.const 0) (i32.const 0) (i32.const 0) ;; no directory
                (i32.const 0) (i32.const 0) ;; no variables
                (i32.const 0) ;; nothing inherited
                (i32.const 0) (i32.const 0) (i32.const 0) ;; no standard input
                (i32.const 64)) ;; where the answer goes
            ;; An error has the same form as ours; there are only zeros at 128, which is `ok` with an empty string.
            (select (i32.const 64) (i32.const 128) (i32.load8_u (i32.const 64)))))
    (core instance $plugin (instantiate $main (with "host" (instance
        (export "exec" (func $lowered))
        (export "memory" (memory $memory "memory"))))))
    (func (export "run") (param "args" (list string)) (result (result string (error string)))
        (canon lift (core func $plugin "run")
            (memory (core memory $memory "memory")) (realloc (core func $memory "realloc")))))
