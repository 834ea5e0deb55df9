export * as default from "portcullis:cli/http@0.1.0";
