;; A plugin that wants the network through wasi:http.
(component
    (import "wasi:http/outgoing-handler@0.2.0" (instance))
    (core module $main
        (memory (export "memory") 1)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
        ;; Sixteen is the address of zeros: the tag of `ok`, then an empty string.
        (func (export "run") (param i32 i32) (result i32) (i32.const 16)))
    (core instance $main (instantiate $main))
    (func (export "run") (param "args" (list string)) (result (result string (error string)))
        (canon lift (core func $main "run")
            (memory (core memory $main "memory")) (realloc (core func $main "cabi_realloc"))))
)
