export * as default from "wasi:io/poll@0.2.0";
