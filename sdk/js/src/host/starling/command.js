export * as default from "portcullis:cli/command@0.1.0";
