;; A plugin that wants two interfaces no host has.
(component
    (import "example:weather/forecast@1.0.0" (instance (export "today" (func (result string)))))
    (import "example:weather/alarm@1.0.0" (instance (export "ring" (func))))
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
