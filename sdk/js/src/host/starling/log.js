export * as default from "portcullis:cli/log@0.1.0";
