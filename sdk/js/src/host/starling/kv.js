export * as default from "portcullis:cli/kv@0.1.0";
