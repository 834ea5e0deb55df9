// From findings to the text a person reads.

/** Packages listed of each kind; the rest is counted. */
const LISTED = 20;

/** What is wrong, and what is only worth a look. */
const PROBLEMS = { missing: "missing", invalid: "not the version that was asked for", extraneous: "not asked for" };
const REMARKS = { duplicates: "in several versions", unlicensed: "without a licence" };

export function hasProblems(found) {
  return Object.keys(PROBLEMS).some((kind) => found[kind].length > 0);
}

export function render(found) {
  const lines = [`packages installed: ${found.count}`];
  for (const [kind, title] of Object.entries({ ...PROBLEMS, ...REMARKS })) {
    const entries = found[kind];
    if (entries.length === 0) {
      continue;
    }
    lines.push(`${entries.length} ${title}`, ...entries.slice(0, LISTED).map((entry) => `  ${entry}`));
    if (entries.length > LISTED) {
      lines.push(`  and ${entries.length - LISTED} more`);
    }
  }
  return lines.join("\n");
}
