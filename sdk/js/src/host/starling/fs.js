export * as default from "portcullis:cli/fs@0.1.0";
