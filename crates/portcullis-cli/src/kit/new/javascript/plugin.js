// A plugin that says how many files are not committed.
import { plugin } from "@portcullis/sdk";
import { execFile } from "@portcullis/sdk/exec";

export const run = plugin(async () => {
  const { stdout } = await execFile("git", ["status", "--porcelain"]);
  return `${stdout.split("\n").length - 1} not committed`;
});
