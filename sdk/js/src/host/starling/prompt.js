export * as default from "portcullis:cli/prompt@0.1.0";
