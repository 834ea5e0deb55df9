;; A plugin in the core-module form: runs one command, and gives back what the host said of it.
(module
    (import "portcullis:core/v1" "log" (func $log (param i32 i64)))
    (import "portcullis:core/v1" "exec" (func $exec (param i64) (result i64)))
    (memory (export "memory") 2)
    (data (i32.const 16) "{\"ok\":\"done\"}")
    (data (i32.const 64) "{\"program\":\"echo\",\"args\":[\"a b\",\"$HOME\"]}")
    ;; The second page is for what the host passes; it is used from its start again for every message.
    (func (export "allocate") (param $length i32) (result i32)
        (select (i32.const 65536) (i32.const 0) (i32.le_u (local.get $length) (i32.const 65536))))
    (func $packed (param $at i32) (param $length i32) (result i64)
        (i64.or
            (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32))
            (i64.extend_i32_u (local.get $length))))
    (func (export "run") (param $args i64) (result i64)
        (call $log (i32.const 2) (local.get $args))
        (call $log (i32.const 2) (call $exec (call $packed (i32.const 64) (i32.const 41))))
        (call $packed (i32.const 16) (i32.const 13))))
