// From the tree that `npm ls` prints to what a person should look at.

/** Findings of each kind, sorted; packages are written `name@version`. */
export function findings(tree) {
  const packages = installed(tree);
  const present = packages.filter(({ node }) => node.version !== undefined);
  return {
    count: new Set(present.map(identity)).size,
    missing: unique(packages.filter(({ node }) => node.missing).map(want)),
    invalid: unique(present.filter(({ node }) => node.invalid).map((it) => `${identity(it)}, wanted ${it.node.invalid}`)),
    extraneous: unique(present.filter(({ node }) => node.extraneous).map(identity)),
    duplicates: duplicates(present),
    unlicensed: unique(present.filter(({ node }) => !licence(node)).map(identity)),
  };
}

/** Every node of the tree but its root, each with its name. */
function installed(tree) {
  const found = [];
  // Not recursive: how deep a tree is, is for whoever published the packages to say.
  const open = [tree];
  while (open.length > 0) {
    for (const [name, node] of Object.entries(open.pop().dependencies ?? {})) {
      found.push({ name, node });
      open.push(node);
    }
  }
  return found;
}

function identity({ name, node }) {
  return `${name}@${node.version}`;
}

/** What is missing, and who wants it: npm has that in a sentence only. */
function want({ name, node }) {
  const sentence = node.problems?.find((problem) => problem.startsWith("missing: "));
  return sentence?.slice("missing: ".length) ?? name;
}

/** Names that are installed in several versions. */
function duplicates(packages) {
  const versions = new Map();
  for (const { name, node } of packages) {
    versions.set(name, (versions.get(name) ?? new Set()).add(node.version));
  }
  const several = [...versions].filter(([, known]) => known.size > 1);
  return unique(several.map(([name, known]) => `${name}: ${[...known].sort().join(", ")}`));
}

/** The licence of a package, in today's form or one that old packages have; nothing where it grants none. */
function licence({ license, licenses }) {
  const stated = license ?? licenses;
  const words = [stated].flat().map((entry) => (typeof entry === "string" ? entry : entry?.type));
  return words.filter((word) => word && word !== "UNLICENSED").join(" OR ");
}

function unique(texts) {
  return [...new Set(texts)].sort();
}
