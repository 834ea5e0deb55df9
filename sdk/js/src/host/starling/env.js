export * as default from "portcullis:cli/env@0.1.0";
