;; A plugin that would answer HTTP requests as well.
(component
    (instance $handler)
    (export "wasi:http/incoming-handler@0.2.0" (instance $handler))
    (core module $main
        (memory (export "memory") 1)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
        (func (export "run") (param i32 i32) (result i32) (i32.const 16)))
    (core instance $main (instantiate $main))
    (func (export "run") (param "args" (list string)) (result (result string (error string)))
        (canon lift (core func $main "run")
            (memory (core memory $main "memory")) (realloc (core func $main "cabi_realloc"))))
)
