// A plugin that says how many files are not committed.
import { plugin } from "@portcullis/sdk";
import { execFileSync } from "@portcullis/sdk/exec";

export const run = plugin(() => {
  const status = execFileSync("git", ["status", "--porcelain"], { encoding: "utf8" });
  return `${status.split("\n").length - 1} not committed`;
});
