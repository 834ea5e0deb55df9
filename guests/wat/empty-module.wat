;; A core module with nothing in it.
(module)
