;; A plugin that imports `process` as it is, but whose `run` takes and returns a number.
(component
    (import "portcullis:cli/process@0.1.0" (instance
        (type $request (record
            (field "program" string)
            (field "args" (list string))
            (field "cwd" (option string))
            (field "env" (list (tuple string string)))
            (field "inherit-env" bool)
            (field "stdin" (option (list u8)))))
        (export "exec-request" (type $exec-request (eq $request)))
        (type $result (record (field "status" u32) (field "stdout" (list u8)) (field "stderr" (list u8))))
        (export "exec-result" (type $exec-result (eq $result)))
        (export "exec" (func (param "req" $exec-request) (result (result $exec-result (error string)))))))
    (core module $main (func (export "run") (param i32) (result i32) (local.get 0)))
    (core instance $main (instantiate $main))
    (func (export "run") (param "args" u32) (result u32) (canon lift (core func $main "run"))))
