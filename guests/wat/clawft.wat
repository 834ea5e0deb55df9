;; A plugin of clawft that a person can read: no WASI, one function of the host. Every tool reads the file that its
;; parameters are the path of.
(component
    (import "host" (instance $host
        (export "read-file" (func (param "path" string) (result (result string (error string)))))))
    (core module $memory
        (memory (export "memory") 2)
        (global $next (mut i32) (i32.const 4096))
        ;; Never gives anything back: one call of a small file is all that is wanted of it.
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
            (local $place i32)
            (local.set $place (global.get $next))
            (global.set $next (i32.add (global.get $next) (local.get 3)))
            (local.get $place)))
    (core instance $memory (instantiate $memory))
    (core func $read (canon lower (func $host "read-file")
        (memory (core memory $memory "memory")) (realloc (core func $memory "cabi_realloc"))))
    (core module $main
        (import "host" "read-file" (func $read (param i32 i32 i32)))
        (import "memory" "memory" (memory 2))
        (data (i32.const 64) "{\"name\":\"reader\",\"version\":\"0.1.0\",\"tools\":[]}")
        ;; Where the description is, and how long.
        (data (i32.const 128) "\40\00\00\00\2e\00\00\00")
        ;; Sixteen is the address of zeros: the tag of `ok`.
        (func (export "init") (result i32) (i32.const 16))
        (func (export "describe") (result i32) (i32.const 128))
        ;; What the host answers has the shape of what is returned.
        (func (export "execute-tool") (param i32 i32 i32 i32) (result i32)
            (call $read (local.get 2) (local.get 3) (i32.const 32))
            (i32.const 32)))
    (core instance $main (instantiate $main
        (with "memory" (instance $memory))
        (with "host" (instance (export "read-file" (func $read))))))
    (func $init (result (result (error string)))
        (canon lift (core func $main "init") (memory (core memory $memory "memory"))))
    (func $execute (param "tool-name" string) (param "params-json" string) (result (result string (error string)))
        (canon lift (core func $main "execute-tool")
            (memory (core memory $memory "memory")) (realloc (core func $memory "cabi_realloc"))))
    (func $describe (result string)
        (canon lift (core func $main "describe") (memory (core memory $memory "memory"))))
    (instance $plugin
        (export "init" (func $init))
        (export "execute-tool" (func $execute))
        (export "describe" (func $describe)))
    (export "plugin" (instance $plugin))
)
